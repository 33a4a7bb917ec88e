/** One trial: a stage is disturbed, then the same command must end as if nothing had been. @module */
import { removeFolder } from "../../../pipeline/files/atomic.ts";
import { wait } from "./counts.ts";
import { contentOf, differences } from "./comparison.ts";
import { type Answer, type Running, start, type Target } from "./processes.ts";
import type { Stage } from "./stages.ts";

/** A stage as it ends undisturbed. */
export interface Undisturbed {
  /** What it does. */
  stage: Stage;
  /** What its folder says then. */
  content: Record<string, string>;
  /** How long that took. */
  seconds: number;
}

/** What waits for another process has so long. */
const PATIENCE_SECONDS = 180;

/** Runs a stage in a folder below `home` that keeps what it makes. @throws {Error} When it fails. */
export async function runUndisturbed(home: string, stage: Stage): Promise<Undisturbed> {
  const folder = await prepareFolder(home, stage.name, stage), begun = performance.now();
  const { code, said } = await start(folder, stage.command(folder)).ended;
  if (code) throw new Error(`${stage.name} ended with ${code} undisturbed:\n${said}`);
  return { stage, seconds: (performance.now() - begun) / 1000, content: await contentOf(folder) };
}

/** A folder with what a stage starts from. */
export async function prepareFolder(home: string, name: string, { from = {} }: Stage): Promise<string> {
  const folder = `${home}/${name}`;
  await Deno.mkdir(folder, { recursive: true });
  for (const [copy, path] of Object.entries(from)) {
    await Deno.mkdir(`${folder}/${copy}`);
    for (const { name } of Deno.readDirSync(path)) await Deno.copyFile(`${path}/${name}`, `${folder}/${copy}/${name}`);
  }
  return folder;
}

/** When which signal is sent to whom, once for each time that the command is run. */
export interface Disturbance {
  /** The name of the trial's folder. */
  name: string;
  /** Its moments: each is told the folder, and whether the run has ended. */
  moments: ((folder: string, isOver: () => boolean) => Promise<unknown>)[];
  /** The signal that is sent then. */
  signal: Deno.Signal;
  /** Gives whom it is sent to, drawn anew each time. */
  target(): Target;
}

/** What came of a trial. */
export interface Outcome {
  /** Signals that found a process. */
  injected: number;
  /** How the disturbed runs ended. */
  answers: Answer[];
  /** What is wrong behind them. */
  faults: string[];
}

/** Disturbs a stage, leaves it in peace, compares, and removes the folder. */
export async function disturb(home: string, one: Undisturbed, disturbance: Disturbance): Promise<Outcome> {
  const { stage } = one, { moments, signal, target } = disturbance, begun: Running[] = [], told: string[] = [];
  const folder = await prepareFolder(home, disturbance.name, stage);
  for (const moment of moments) {
    const running = start(folder, stage.command(folder));
    let isOver = false;
    begun.push(running);
    running.ended.finally(() => isOver = true);
    await Promise.race([moment(folder, () => isOver), running.ended]);
    const whom = target();
    if (!await running.kill(whom, signal)) break;
    told.push(`${signal} to the ${whom}`);
    if (signal !== "SIGKILL") await running.ended; // it may clean up
  }
  const faults = await goOn(folder, one, begun);
  await removeFolder(folder);
  const answers = await Promise.all(begun.map(({ ended }) => ended));
  return { injected: told.length, answers, faults: faults.length ? [`${told.join(", ")}: ${faults.join("; ")}`] : [] };
}

/** What is wrong with a stage that goes on in a folder where it was disturbed. @param begun Who may still write there. */
export async function goOn(folder: string, { stage, content }: Undisturbed, begun: Running[] = []): Promise<string[]> {
  const { code, said } = await runToEnd(folder, stage);
  await Promise.all(begun.map(({ ended }) => ended)); // the child of a killed parent goes on
  return code ? [`it ends with ${code}:\n${said}`] : differences(await contentOf(folder), content);
}

/**
 * The same command until it ends: a training goes on with `--resume` where it says so, and what is told that another process
 * is at work tries again.
 */
async function runToEnd(folder: string, { command }: Stage): Promise<Answer> {
  const until = performance.now() + 1000 * PATIENCE_SECONDS, plain = command(folder);
  let next = plain, answer: Answer;
  do {
    answer = await start(folder, next).ended;
    if (/is writing it|it is taken by/.test(answer.said)) await wait(0.3);
    else if (/go on with --resume/.test(answer.said)) next = { ...plain, args: [...plain.args, "--resume"] };
    else if (/without --resume/.test(answer.said)) next = plain;
    else break;
  } while (answer.code && performance.now() < until);
  return answer;
}

/** What is wrong with how a run refused to go on: it must fail, name the file and show no stack. */
export function refusalFaults({ code, said }: Answer, path: string): string[] {
  if (code === 0) return [];
  const problems: string[] = [];
  if (/^ {4}at /m.test(said)) problems.push("it shows a stack");
  if (!said.includes(path)) problems.push("it names no file");
  if (code > 128 || code === 1) problems.push(`it ends with ${code}`);
  return problems.length ? [`${problems.join(", ")}:\n${said}`] : [];
}
