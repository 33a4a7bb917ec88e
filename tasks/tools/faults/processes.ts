/**
 * Tasks as a user starts them, with the rights that `deno.json` gives them, as processes that can be killed: each run is a
 * group of its own, a shell whose child is the task, whose children may be further tasks.
 * @module
 */
import { fileURLToPath } from "node:url";
import config from "../../../deno.json" with { type: "json" };
import { emptyLoaderVariables } from "../../../pipeline/files/loader_variables.ts";
import { quoted } from "../../../pipeline/files/places.ts";

const TASKS: Record<string, { command: string }> = config.tasks,
  PROJECT = fileURLToPath(new URL("../../../", import.meta.url));

/** How a run ended. */
export interface Answer {
  /** Exit code; 128 and more: a signal's. */
  code: number;
  /** All that its processes printed. */
  said: string;
}

/** What is started. */
export interface Command {
  /** Its name in `deno.json`, or a program beside this file. */
  task: string;
  /** The arguments behind its name. */
  args: string[];
}

/** A run that may still go on. */
export interface Running {
  /** How it ended, once the last process of the group is gone. */
  ended: Promise<Answer>;
  /** Sends a signal: to the deepest child, to its parent, or to the whole group. */
  kill(target: Target, signal: Deno.Signal): Promise<boolean>;
}

/** Who is killed. */
export const TARGETS = ["process", "parent", "group"] as const;
/** One of {@linkcode TARGETS}. */
export type Target = typeof TARGETS[number];

/** The shell's line of a task: without `setup` in front, and with its arguments behind. */
function lineOf(task: string): string {
  if (!(task in TASKS)) {
    const program = quoted(fileURLToPath(new URL(`${task}.ts`, import.meta.url)));
    return `exec deno run --no-prompt --allow-read --allow-write="$SSNET_HOME" --allow-env ${program} "$@"`;
  }
  return TASKS[task].command.split("&& ").at(-1)!.replace("deno run", "exec deno run --no-prompt") + ' "$@"';
}

/** Starts a task. @param home Where it may write: its `SSNET_HOME` and `TMPDIR`. @param under A program that starts it. */
export function start(home: string, { task, args }: Command, under = ""): Running {
  const line = lineOf(task).replace("exec deno", `exec ${under} deno`);
  const child = new Deno.Command("sh", {
    args: ["-c", `(${line}) & wait $!`, "sh", ...args],
    cwd: PROJECT,
    env: { ...emptyLoaderVariables(), NO_COLOR: "1", SSNET_HOME: home, TMPDIR: home, INIT_CWD: PROJECT },
    detached: true,
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  // A pipe ends with the last process that holds it.
  const printed = Promise.all([child.stdout, child.stderr].map((stream) => new Response(stream).text()));
  return {
    ended: printed.then(async (texts) => ({ code: (await child.status).code, said: texts.join("") })),
    async kill(target, signal) {
      const chain = [child.pid];
      for (let next: number | undefined = child.pid; next;) {
        next = await childOf(next);
        if (next) chain.push(next);
      }
      if (chain.length < 2) return false; // it has ended, or has not begun
      try {
        Deno.kill(target === "group" ? -child.pid : chain.at(target === "process" ? -1 : -2)!, signal);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/** Deno itself reads `/proc` with all rights only. */
async function childOf(pid: number): Promise<number | undefined> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", "cat /proc/$1/task/*/children", "sh", `${pid}`],
    stderr: "null",
  }).output();
  return Number(new TextDecoder().decode(stdout).trim().split(/\s+/)[0]) || undefined;
}

/** Whether a line of the shell succeeds. @param args Its `$1`, `$2`, … */
export async function runShell(line: string, ...args: string[]): Promise<boolean> {
  const command = new Deno.Command("sh", { args: ["-c", line, "sh", ...args], stdout: "null", stderr: "null" });
  return (await command.output()).success;
}
