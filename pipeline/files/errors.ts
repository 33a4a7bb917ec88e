/** The errors of bad input data and of a lost network, and reading that collects them; apart from the cases, which read files themselves. @module */

/** A problem with input data: the message names the file, what was found and what is wanted. The tasks exit with code 3. */
export class DataError extends Error {
  /** What stands in front of the message where it is printed with its stack. */
  override name = "DataError";
}

/** Weights or running statistics that are no finite numbers: the message names the first. The tasks exit with code 5. */
export class DivergedError extends Error {
  /** What stands in front of the message where it is printed with its stack. */
  override name = "DivergedError";
}

/** Whether an error is the operating system's: a full disk, a quota, a missing file. Deno gives a code to some of them only. */
export function isSystemError(error: unknown): error is Error & { code?: unknown } {
  if (!(error instanceof Error) || error instanceof DataError) return false;
  return "code" in error || /\(os error \d+\)/.test(error.message);
}

/**
 * What `read` makes of each, one after the other, and what is wrong with those that it refuses: a task names every bad one
 * at once. Other errors than {@linkcode DataError} are thrown.
 */
export async function readEach<Name, T>(
  names: readonly Name[],
  read: (name: Name) => Promise<T>,
): Promise<{ results: T[]; problems: string[] }> {
  const results: T[] = [], problems: string[] = [];
  for (const name of names) {
    try {
      results.push(await read(name));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(error.message);
    }
  }
  return { results, problems };
}
