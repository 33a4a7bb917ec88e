/** The loader's variables of the environment, for programs that a task starts. @module */

/**
 * Environment of a program that a task starts by its name: Deno hands the loader's variables (`LD_LIBRARY_PATH`,
 * `LD_PRELOAD`, …) on only where any program may be started, and else refuses to start one at all. Clusters set them for
 * every login. Needs `--allow-env`.
 */
export function emptyLoaderVariables(): Record<string, string> {
  const names = Object.keys(Deno.env.toObject()).filter((name) => /^(LD|DYLD)_/.test(name));
  return Object.fromEntries(names.map((name) => [name, ""]));
}
