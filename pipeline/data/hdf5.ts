/** HDF5 files of the field: every dataset at the root as a typed array with its shape. @module */
import { File, ready } from "h5wasm/node";

/** One dataset, C order. */
export interface HdfArray {
  data: Float32Array | Float64Array | Int32Array | Uint8Array;
  shape: number[];
}

/**
 * All datasets at the root of a file. Needs `--allow-read` and `--allow-env`.
 * @throws {Error} Naming the file when it is no readable HDF5.
 */
export async function readArrays(path: string): Promise<Record<string, HdfArray>> {
  await ready;
  Deno.statSync(path);
  let file: File | undefined;
  try {
    file = new File(path, "r");
    // deno-lint-ignore no-explicit-any
    const entry = (key: string) => file!.get(key) as any;
    return Object.fromEntries(file.keys().map((key) => [key, { data: entry(key).value, shape: entry(key).shape }]));
  } catch (error) {
    throw new Error(`Cannot read "${path}" as HDF5: ${(error as Error).message}`, { cause: error });
  } finally {
    file?.close();
  }
}
