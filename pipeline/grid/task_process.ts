/** A task as a process of its own, as a user starts it: with its rights and no more. @module */
import { fileURLToPath } from "node:url";
import { rightsOf } from "../files/places.ts";
import { emptyLoaderVariables } from "../files/loader_variables.ts";

/**
 * Starts `tasks/NAME.ts` with the rights of its task; says so first. Needs `--allow-read`, `--allow-run=deno`.
 * @param writes The folders it may write to.
 * @param preload A file that runs in its process in front of it.
 */
export function startTask(name: string, args: string[], writes: string[], preload?: URL): Deno.ChildProcess {
  console.log(`\n== ${name} ${args.join(" ")}`);
  const rights = (rightsOf(`tasks/${name}.ts`) ?? []).filter((right) => !right.startsWith("--allow-write"));
  return new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", ...rights, `--allow-write=${writes}`, ...preload ? ["--preload", preload.href] : []],
      ...[fileURLToPath(new URL(`../../tasks/${name}.ts`, import.meta.url)), ...args],
    ],
    env: emptyLoaderVariables(),
  }).spawn();
}
