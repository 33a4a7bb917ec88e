/**
 * Files and folders that are either whole or not there: written under a temporary name, then renamed. Temporary names hold
 * the process's number, and the process keeps them locked; what one that was killed has left is removed by the next writer.
 * @module
 */
import { basename, dirname } from "node:path";
import { isSystemError } from "./errors.ts";
import { unlessStopped } from "./signals.ts";
import { writeAll } from "./write_all.ts";

/** A text, or parts taken one by one: a generator's are made when it is their turn, and one alone is in memory. */
export type Content = string | Iterable<Uint8Array>;

/** Writes a file beside its final place, syncs it and renames it. Needs `--allow-read`, `--allow-write`. */
export function writeAtomically(path: string, content: Content): Promise<void> {
  return writeTogether([{ path, content }]);
}

/**
 * Writes several files that belong together as {@linkcode writeAtomically} does one: the first is renamed when all are
 * written. Needs `--allow-read`, `--allow-write`.
 */
export async function writeTogether(files: { path: string; content: Content }[]): Promise<void> {
  const temporary = (path: string) => `${path}.${Deno.pid}.part`;
  using open = new DisposableStack(); // until all are renamed
  let at = "";
  try {
    for (const { path, content } of files) {
      removeLeftovers(at = path);
      const options = { read: true, write: true, create: true, truncate: true };
      const file = open.use(lockedFile(temporary(path), (path) => Deno.openSync(path, options)));
      for (const part of typeof content === "string" ? [content] : content) writeAll(file, part);
      await file.sync();
    }
    for (const { path } of files) await Deno.rename(temporary(at = path), path);
  } catch (error) {
    for (const { path } of files) await Deno.remove(temporary(path)).catch(() => {}); // it may never have been made
    throw named(error, at);
  }
}

/** Writes a value as JSON for readers: indented, with a last line end. NaN becomes null. Needs the rights of a file. */
export function writeJson(path: string, value: unknown): Promise<void> {
  return writeAtomically(path, JSON.stringify(value, null, 2) + "\n");
}

/**
 * Fills a temporary folder beside its final place, then puts it in the place of what stood there. After an error what
 * stood there is untouched; a signal that ends the task is such an error. Needs `--allow-read`, `--allow-write` for the
 * folder around it.
 * @param fill Writes into the temporary folder, which exists and is empty.
 */
export async function replaceFolder(path: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${Deno.pid}.part`, old = `${path}.${Deno.pid}.old.part`;
  using lock = new DisposableStack();
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await unlessStopped(async () => {
      lock.use(claimTemporaryFolder(path));
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
    throw named(error, path);
  }
}

/**
 * Makes a temporary folder beside a final place, which is seen to be in use until it is disposed, and removes what killed
 * processes left there. Needs `--allow-read`, `--allow-write`.
 */
export function claimTemporaryFolder(path: string): { path: string } & Disposable {
  removeLeftovers(path);
  const temporary = `${path}.${Deno.pid}.part`;
  const lock = lockedFile(temporary, (path, isAgain) => {
    Deno.mkdirSync(path, { recursive: isAgain });
    return Deno.openSync(path);
  });
  return { path: temporary, [Symbol.dispose]: () => lock.close() };
}

/** Removes a folder with all in it, if it is there. Needs `--allow-write`. */
export async function removeFolder(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Removes what processes that are gone left of a file or folder that they were writing; what one had moved aside for it is
 * put back. Needs `--allow-read`, `--allow-write`.
 */
export function removeLeftovers(path: string): void {
  const folder = dirname(path), start = `${basename(path)}.`;
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(folder)];
  } catch {
    return; // who writes there says what is wrong with it
  }
  for (const { name, isDirectory } of entries) {
    if (!name.startsWith(start) || !/^\d+\.(old\.)?part$/.test(name.slice(start.length))) continue;
    const left = `${folder}/${name}`;
    try {
      using file = Deno.openSync(left, { read: true, write: !isDirectory });
      if (!file.tryLockSync(true)) continue; // its process is alive
      if (!isAt(file, left)) continue; // that has put it in its place, and may be writing the next one under this name
      if (name.endsWith(".old.part") && !entries.some(({ name }) => name === basename(path))) {
        Deno.renameSync(left, path);
      } else Deno.removeSync(left, { recursive: true });
    } catch {
      // It is another user's, or has just been renamed, or the file system has no locks to tell by: it stays.
    }
  }
}

/**
 * A file or folder that is seen to be in use until it is disposed; the end of the process, however it comes, disposes it.
 * Between its making and its lock another process may take it for a leftover and remove it: then it is made again.
 */
function lockedFile(path: string, make: (path: string, isAgain: boolean) => Deno.FsFile): Deno.FsFile {
  for (let attempt = 0;; attempt++) {
    let file: Deno.FsFile | null = null;
    try {
      file = make(path, attempt > 0);
      if (isKept(file, path) || attempt === ATTEMPTS) return file;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) || attempt === ATTEMPTS) throw error;
    }
    file?.close();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
}

/** How often a file or folder is made that others remove, 5 ms apart. */
const ATTEMPTS = 100;

/** Locks a file that was just made; false when another process is about to remove it, or has. */
function isKept(file: Deno.FsFile, path: string): boolean {
  try {
    if (!file.tryLockSync(false)) return false;
  } catch {
    return true; // the file system has no locks: nobody will take the file for a dead process's either
  }
  return isAt(file, path);
}

/** Whether an open file or folder is what stands at a path. */
function isAt(file: Deno.FsFile, path: string): boolean {
  const { ino, dev } = file.statSync(), there = Deno.lstatSync(path);
  return there.ino === ino && there.dev === dev;
}

/** The same error with the name of its file, where it is the file system's and lacks that, as that of a full disk does. */
export function named(error: unknown, path: string): unknown {
  if (isSystemError(error) && !error.message.includes(path)) {
    error.message = `Cannot write "${path}": ${error.message}`;
  }
  return error;
}
