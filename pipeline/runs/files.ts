/** Files and folders that are either whole or not there: written under a temporary name, then renamed. @module */
import { unlessStopped } from "./signals.ts";

/**
 * Writes a file beside its final place, syncs it and renames it. Needs `--allow-read`, `--allow-write`.
 * @param parts Taken one by one: a generator's are made when it is their turn, and one alone is in memory.
 */
export async function writeAtomically(path: string, parts: Iterable<Uint8Array>): Promise<void> {
  const temporary = `${path}.${Deno.pid}.part`;
  try {
    using file = await Deno.open(temporary, { write: true, create: true, truncate: true });
    for (const part of parts) for (let n = 0; n < part.length;) n += await file.write(part.subarray(n));
    await file.sync();
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {}); // it may never have been made
    throw error;
  }
}

/** Writes a value as JSON for readers: indented, with a last line end. NaN becomes null. Needs the rights of a file. */
export function writeJson(path: string, value: unknown): Promise<void> {
  return writeAtomically(path, [new TextEncoder().encode(JSON.stringify(value, null, 2) + "\n")]);
}

/**
 * Fills a temporary folder beside its final place, then puts it in the place of what stood there. After an error what
 * stood there is untouched; a signal that ends the task is such an error. Needs `--allow-read`, `--allow-write` for the folder around it.
 * @param fill Writes into the temporary folder, which exists and is empty.
 */
export async function replaceFolder(path: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${Deno.pid}.part`, old = `${path}.${Deno.pid}.old.part`;
  try {
    await unlessStopped(async () => {
      await Deno.mkdir(temporary, { recursive: true });
      await fill(temporary);
    });
    await Deno.rename(path, old).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    await Deno.rename(temporary, path);
    await removeFolder(old);
  } catch (error) {
    await Deno.rename(old, path).catch(() => {}); // where it had been moved aside
    await removeFolder(temporary).catch(() => {}); // the error above matters, not this one
    throw error;
  }
}

/** Removes a folder with all in it, if it is there. Needs `--allow-write`. */
export async function removeFolder(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
