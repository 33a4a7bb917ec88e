/**
 * Folders of raw cases as people have them: behind symbolic links, beside what systems and editors leave there, named a
 * level too high or too low.
 * @module
 */
import { dirname, resolve } from "node:path";
import { isFolder } from "../files/exists.ts";
import { listed } from "../files/words.ts";
import { DataError } from "../files/errors.ts";

/** Names that systems and programs give to what they leave: hidden ones, and these. */
const LEFTOVER =
  /^(\..*|__MACOSX|Thumbs\.db|desktop\.ini|\$RECYCLE\.BIN|System Volume Information|lost\+found|@eaDir)$/i;

/**
 * What stands in a folder, in the order of the names, without {@linkcode leftoversIn} it; nothing where there is no folder.
 * A link counts as what it leads to; one that leads nowhere stays a link. Needs `--allow-read`.
 */
export function entriesOf(folder: string): Deno.DirEntry[] {
  return allEntries(folder).filter(({ name }) => !LEFTOVER.test(name)).map((entry) => {
    if (!entry.isSymlink) return entry;
    try {
      const { isFile, isDirectory } = Deno.statSync(`${folder}/${entry.name}`);
      return { name: entry.name, isFile, isDirectory, isSymlink: false };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return entry;
      throw error;
    }
  }).sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Names of the folders in a folder. Needs `--allow-read`. */
export function foldersIn(folder: string): string[] {
  return entriesOf(folder).filter((f) => f.isDirectory).map((f) => f.name);
}

/** Longer is no path. */
const PATH_BYTES = 4096;

/**
 * What is wrong with the links of a folder, by their names: they lead nowhere, or were stored as the text of their path, as
 * Git and archives do where there are no links. Needs `--allow-read`.
 */
export function lostLinks(folder: string): { name: string; problem: string }[] {
  return entriesOf(folder).flatMap(({ name, isSymlink, isFile }) => {
    const path = `${folder}/${name}`;
    if (isSymlink) return [{ name, problem: `a symbolic link to "${Deno.readLinkSync(path)}", which is not there` }];
    if (!isFile || Deno.statSync(path).size > PATH_BYTES) return [];
    const target = Deno.readTextFileSync(path).trim();
    if (!target || /[\0\n]/.test(target) || !isFolder(resolve(folder, target))) return [];
    return [{
      name,
      problem: `a file that holds the path "${target}" instead of a symbolic link to it; make the link`,
    }];
  });
}

/** What systems and programs have left in a folder; of macOS's files "._*" alone, as there is one a file. Needs `--allow-read`. */
export function leftoversIn(folder: string): string[] {
  const names = allEntries(folder).map(({ name }) => name).filter((name) => LEFTOVER.test(name));
  return [...new Set(names.map((name) => name.startsWith("._") ? "._*" : name))].sort();
}

function allEntries(folder: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(folder)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
}

/**
 * Refuses a folder of raw cases that is none. Needs `--allow-read`.
 * @param caseFile Matches the name of a file by which the folder of a case is known.
 * @throws {DataError} When it is not there or has no folders; when it is the folder of one case, or one around the folder
 * of cases, naming the one that was meant.
 */
export function checkRawFolder(raw: string, caseFile: RegExp): void {
  const isCase = (folder: string) => entriesOf(folder).some((f) => !f.isDirectory && caseFile.test(f.name));
  const holdsCases = (folder: string) => foldersIn(folder).some((name) => isCase(`${folder}/${name}`));
  const cannot = `Cannot find cases in "${raw}":`;
  if (holdsCases(raw)) return;
  if (isCase(raw)) {
    let around = dirname(resolve(raw));
    while (isCase(around)) around = dirname(around);
    throw new DataError(`${cannot} it is a folder in the folder of raw cases; give --raw ${quoted(around)}`);
  }
  const folders = foldersIn(raw), deeper = folders.map((name) => `${raw}/${name}`).filter(holdsCases);
  if (deeper.length) {
    throw new DataError(
      `${cannot} they lie a level deeper; give --raw ${deeper.map(quoted).join(" or ")}`,
    );
  }
  if (folders.length) return; // what is wrong with them is told one by one
  const entries = listed(entriesOf(raw).map((f) => f.name));
  throw new DataError(
    `${cannot} ${isFolder(raw) ? `it has no folders, found ${entries || "nothing"}` : "there is no such folder"}`,
  );
}

/** A path as a shell takes it. */
const quoted = (path: string) => /^[\w./@:+-]+$/.test(path) ? path : `"${path}"`;
