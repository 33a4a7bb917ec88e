/**
 * JSON files of the pipeline, read and checked by their schemas; all that can be wrong with one has the same words. Those
 * that are not edited by hand are records: their last field, `checksum`, is the SHA-256 of the others, as JSON without blanks.
 * @module
 */
import { basename, dirname } from "node:path";
import { z } from "zod";
import { writeAtomically } from "./atomic.ts";
import { DataError } from "./errors.ts";
import { exists } from "./exists.ts";
import { sha256 } from "./hash.ts";
import { listed } from "./words.ts";

/** What errors say of a file. */
export interface JsonFile {
  /** "the split". */
  what: string;
  /** How to come by a good one: "write one with deno task split:la". */
  remedy: string;
}

/** A record as its file's text: indented, with its checksum and a last line end. NaN becomes null. */
export function recordText(record: object): string {
  return JSON.stringify({ ...record, checksum: sha256(JSON.stringify(record)) }, null, 2) + "\n";
}

/** Writes a record with its checksum. Needs `--allow-read`, `--allow-write`. */
export function writeRecord(path: string, record: object): Promise<void> {
  return writeAtomically(path, recordText(record));
}

/**
 * Reads a file. Needs `--allow-read`.
 * @throws {DataError} When it is not there, no JSON, another content than the schema's, or than its checksum says.
 */
export async function readJson<S extends z.ZodType>(path: string, schema: S, file: JsonFile): Promise<z.infer<S>> {
  const content = await readJsonIfThere(path, schema, file);
  if (content !== null) return content;
  const near = filesNear(path), meant = near.length ? `, but ${listed(near.map((near) => `"${near}"`))}` : "";
  throw new DataError(`Cannot read ${file.what} "${path}": there is no such file${meant}; ${file.remedy}`);
}

/** Files of the same name a level higher or deeper: often their folder was meant. */
function filesNear(path: string): string[] {
  const folder = dirname(path), name = basename(path);
  try {
    const deeper = [...Deno.readDirSync(folder)].map((entry) => `${folder}/${entry.name}`).sort();
    return [dirname(folder), ...deeper].map((folder) => `${folder}/${name}`).filter(exists);
  } catch {
    return []; // there is no such folder, or it is not ours to read
  }
}

/** Reads as {@linkcode readJson}, and gives null where there is no file. */
export async function readJsonIfThere<S extends z.ZodType>(
  path: string,
  schema: S,
  file: JsonFile,
): Promise<z.infer<S> | null> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    if (error instanceof Deno.errors.IsADirectory) {
      throw new DataError(`Cannot read ${file.what} "${path}": it is a folder; name a file`, { cause: error });
    }
    throw error;
  }
  return parseJson(text, schema, { ...file, path });
}

/**
 * A file's text as its schema has it, without the checksum that a record has.
 * @param file With the path that it came from.
 * @throws {DataError} When it is no JSON, another content than the schema's, or than its checksum says.
 */
export function parseJson<S extends z.ZodType>(text: string, schema: S, file: JsonFile & { path: string }): z.infer<S> {
  let content: unknown;
  try {
    content = JSON.parse(text, refuseProto);
  } catch (error) {
    const { what, path, remedy } = file, why = (error as Error).message;
    throw new DataError(`Cannot read ${what} "${path}": it is no JSON: ${why}; ${remedy}`, { cause: error });
  }
  return checkContent(withoutChecksum(content, file), schema, file);
}

/**
 * Parsed JSON as its schema has it.
 * @param file With the path that it came from.
 * @throws {DataError} Naming everything that is not as the schema wants it.
 */
export function checkContent<S extends z.ZodType>(
  content: unknown,
  schema: S,
  { path, what, remedy }: JsonFile & { path: string },
): z.infer<S> {
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  const { issues } = result.error, more = issues.length > 10 ? `\nand ${issues.length - 10} more` : "";
  throw new DataError(
    `Cannot read ${what} "${path}": it is not as wanted:\n${
      z.prettifyError({ issues: issues.slice(0, 10) })
    }${more}\n${remedy}`,
  );
}

/** A record as it was before its checksum; what has none, as files of earlier versions, as it is. */
function withoutChecksum(content: unknown, { what, path }: JsonFile & { path: string }): unknown {
  if (typeof content !== "object" || content === null || !("checksum" in content)) return content;
  const { checksum, ...record } = content;
  if (checksum === sha256(JSON.stringify(record))) return record;
  throw new DataError(
    `Cannot read ${what} "${path}": its checksum is another: it was changed after it was written; restore it, or, where ` +
      'the change is meant, take "checksum" out of it',
  );
}

/** A key that becomes an object's prototype where it is copied, and vanishes from its keys. */
function refuseProto(key: string, value: unknown): unknown {
  if (key === "__proto__") throw new SyntaxError('"__proto__" cannot be a key');
  return value;
}
