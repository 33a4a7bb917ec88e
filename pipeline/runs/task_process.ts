/** A task as a process of its own, as a user starts it: with its rights and no more. @module */
import { fileURLToPath } from "node:url";

/** Tasks that open TensorFlow. */
const NATIVE = ["train", "evaluate"];

/**
 * Starts `tasks/NAME.ts`; says so first. Needs `--allow-run=deno`.
 * @param writes The folders it may write to.
 */
export function startTask(name: string, args: string[], writes: string[]): Deno.ChildProcess {
  console.log(`\n== ${name} ${args.join(" ")}`);
  const native = NATIVE.includes(name) ? ["--allow-ffi", "--allow-sys"] : [];
  return new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-env", `--allow-write=${writes}`, ...native],
      ...[fileURLToPath(new URL(`../../tasks/${name}.ts`, import.meta.url)), ...args],
    ],
    env: { LD_LIBRARY_PATH: "" }, // Deno hands it on only where any program may be started
  }).spawn();
}
