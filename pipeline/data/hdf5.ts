/** HDF5 files of the field: every dataset at the root as a typed array with its shape, and the root's attributes. @module */
import { Dataset, File, ready } from "h5wasm/node";

/** One dataset, C order. */
export interface HdfArray {
  /** In the file's own type; 64-bit whole numbers become float64. */
  data: Float32Array | Float64Array | Int32Array | Uint8Array;
  /** The last axis is the fastest. */
  shape: number[];
}

/** Text, or numbers; a single number is a list of one. */
export type HdfAttribute = string | number[];

/**
 * All datasets and attributes at the root of a file. Needs `--allow-read` and `--allow-env`.
 * @throws {Error} Naming the file when it is no readable HDF5.
 */
export async function readHdf5(path: string): Promise<{
  arrays: Record<string, HdfArray>;
  attributes: Record<string, HdfAttribute>;
}> {
  // Failures become exceptions; else the library prints its own stack to the terminal and goes on.
  (await ready).activate_throwing_error_handler();
  Deno.statSync(path);
  let file: File | undefined;
  try {
    file = new File(path, "r");
    const arrays: Record<string, HdfArray> = {};
    for (const key of file.keys()) {
      const entry = file.get(key);
      if (!(entry instanceof Dataset)) continue; // a group, as in files with more than a volume
      const data = entry.value, shape = entry.shape;
      if (ArrayBuffer.isView(data) && shape) arrays[key] = { data: withoutBigInt(data) as HdfArray["data"], shape };
    }
    const attributes = Object.entries(file.attrs).map(([name, { value }]): [string, HdfAttribute] => {
      if (typeof value === "string") return [name, value];
      return [name, Array.from(ArrayBuffer.isView(value) ? value as Float64Array : [value as number], Number)];
    });
    return { arrays, attributes: Object.fromEntries(attributes) };
  } catch (error) {
    throw new Error(`Cannot read "${path}" as HDF5: ${reasonOf(error) ?? "it is truncated, damaged or no HDF5"}`, {
      cause: error,
    });
  } finally {
    file?.close();
  }
}

/** The innermost reason, in the last line of the library's stack; null where the library may not write that to a temporary file. */
function reasonOf(error: unknown): string | null {
  if (error instanceof Deno.errors.NotCapable) return null;
  return (error as Error).message.trim().split("\n").at(-1)!.replace(/^\s*minor:\s*/, "");
}

const withoutBigInt = (data: ArrayBufferView): ArrayBufferView =>
  data instanceof BigInt64Array || data instanceof BigUint64Array ? Float64Array.from(data, Number) : data;

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

/**
 * Writes datasets (gzip) and attributes of the root; under a temporary name, then renamed. Needs `--allow-read`,
 * `--allow-write`, `--allow-env`.
 */
export async function writeArrays(
  path: string,
  arrays: Record<string, HdfOutput>,
  attributes: Record<string, HdfAttribute> = {},
): Promise<void> {
  await ready;
  const temporary = `${path}.${Deno.pid}.part`;
  const refuse = (why: string, cause?: unknown) =>
    new Deno.errors.WriteZero(`Cannot write "${path}": ${why}; is the disk full?`, { cause });
  await Deno.writeFile(temporary, new Uint8Array()); // h5wasm does not say that a folder is missing or closed; this does
  try {
    try {
      const file = new File(temporary, "w");
      try {
        for (const [name, { data, shape }] of Object.entries(arrays)) {
          file.create_dataset({ name, data, shape, chunks: shape, compression: 4 });
        }
        for (const [name, value] of Object.entries(attributes)) {
          file.create_attribute(name, typeof value === "string" ? value : Float64Array.from(value));
        }
      } finally {
        file.close();
      }
    } catch (error) {
      throw refuse(reasonOf(error) ?? "the library failed", error);
    }
    // The library does not always say when it cannot write: a full disk is seen by reading back.
    const written = await readArrays(temporary).catch(() => ({} as Record<string, HdfArray>));
    const incomplete = Object.keys(arrays).filter((name) =>
      String(written[name]?.shape) !== String(arrays[name].shape)
    );
    if (incomplete.length) throw refuse(`${incomplete} could not be read back`);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {}); // the error above matters, not this one
    throw error;
  }
}
