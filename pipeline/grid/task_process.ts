/** A task as a process of its own, as a user starts it: with its rights and no more. @module */
import { fileURLToPath } from "node:url";
import { emptyLoaderVariables } from "../files/loader_variables.ts";

const NATIVE = ["--allow-ffi", "--allow-sys"];
/** What tasks may beyond reading, the environment and their folders. */
const RIGHTS: Record<string, string[]> = { preprocess: ["--allow-sys=hostname"], train: NATIVE, evaluate: NATIVE };

/**
 * Starts `tasks/NAME.ts`; says so first. Needs `--allow-run=deno`.
 * @param writes The folders it may write to.
 */
export function startTask(name: string, args: string[], writes: string[]): Deno.ChildProcess {
  console.log(`\n== ${name} ${args.join(" ")}`);
  const rights = RIGHTS[name] ?? [];
  return new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-env", `--allow-write=${writes}`, ...rights],
      ...[fileURLToPath(new URL(`../../tasks/${name}.ts`, import.meta.url)), ...args],
    ],
    env: emptyLoaderVariables(),
  }).spawn();
}
