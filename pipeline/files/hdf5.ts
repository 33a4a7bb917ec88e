/** HDF5 files of the field: every dataset at the root as a typed array with its shape, and the root's attributes. @module */
import { writeAtomically } from "./atomic.ts";
import { BoundedWorker } from "./bounded_worker.ts";
import { DataError } from "./errors.ts";
import type { DecodingJob, DecodingResult } from "./hdf5_reader.ts";

/** One dataset, C order. */
export interface HdfArray {
  /** The values in the file's own type; 64-bit whole numbers become float64. */
  data: Float32Array | Float64Array | Int32Array | Uint8Array;
  /** The last axis is the fastest. */
  shape: number[];
}

/** Text, or numbers; a single number is a list of one. */
export type HdfAttribute = string | number[];

/** What stands at the root of a file. */
export interface HdfContent {
  /** The names of everything that has one there. */
  names: string[];
  /** Datasets of numbers by their names. */
  arrays: Record<string, HdfArray>;
  /** The attributes by their names. */
  attributes: Record<string, HdfAttribute>;
}

/** Reads the files of this thread one after the other; one that fails may have broken its library, so another follows it. */
const reader = new BoundedWorker<DecodingJob, DecodingResult>(new URL("./hdf5_reader.ts", import.meta.url));

/** How long a file of so many bytes may take: many times what a busy machine needs. */
export const readingSeconds = (bytes: number): number => 60 + bytes / 1e6;

/** Why a file cannot be read, in the words of all that read HDF5. @param why Null: it took too long. */
export function unreadable(path: string, why: string | null): DataError {
  return new DataError(`Cannot read "${path}" as HDF5: ${why ?? "reading it does not come to an end; it is damaged"}`);
}

/**
 * All datasets and attributes at the root of a file, decoded on a thread of its own. Needs `--allow-read`.
 * @param options `only`: names of the datasets that are wanted. `seconds`: after which a file is given up.
 * @throws {DataError} Naming the file when it is no readable HDF5.
 * @throws {Deno.errors.NotFound} When it is not there.
 */
export async function readHdf5(
  path: string,
  { only, seconds }: { only?: readonly string[]; seconds?: number } = {},
): Promise<HdfContent> {
  const bytes = await readFileBytes(path);
  const limits = { transfer: [bytes.buffer], seconds: seconds ?? readingSeconds(bytes.length) };
  const result = await reader.call({ bytes, only }, limits);
  if (result && !("problem" in result)) return result;
  reader.end();
  throw unreadable(path, result && result.problem);
}

/** All of a file. @throws {DataError} When it is none: a folder, a device or a pipe, which may have no end. */
export async function readFileBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const { isFile } = await Deno.stat(path);
  if (isFile) return await Deno.readFile(path);
  throw new DataError(`Cannot read "${path}": it is no file`);
}

/** The datasets of {@linkcode readHdf5} alone. */
export async function readArrays(path: string): Promise<Record<string, HdfArray>> {
  return (await readHdf5(path)).arrays;
}

/** A dataset to write. */
export interface HdfOutput {
  /** Becomes float32 or uint8 in the file. */
  data: Float32Array | Uint8Array;
  /** The last axis is the fastest. */
  shape: number[];
}

/** Writes datasets (gzip) and attributes of the root; under a temporary name, then renamed. Needs `--allow-read`, `--allow-write`. */
export async function writeArrays(
  path: string,
  arrays: Record<string, HdfOutput>,
  attributes: Record<string, HdfAttribute> = {},
): Promise<void> {
  const { encodeHdf5 } = await import("./hdf5_library.ts"); // it takes a third of a second to start: only for who writes
  await writeAtomically(path, [await encodeHdf5(arrays, attributes)]);
}
