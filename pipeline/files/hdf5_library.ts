/**
 * The library of HDF5, compiled to WebAssembly: bytes to arrays and back, in memory alone, so that a file can name no other
 * file of the disk. It may hang or be left broken by a damaged file; what reads one runs on a thread that can be given up.
 * @module
 */
import { Dataset, File, FS, ready } from "h5wasm";
import type { HdfArray, HdfAttribute, HdfContent, HdfOutput } from "./hdf5.ts";

let files = 0;
/** A name that no file had before: the library takes files of one name for the same. */
const newName = () => `/${files++}.h5`;

/** Filters that the library can undo, by their registered numbers: deflate, shuffle, Fletcher's sum, szip, n-bit, scale. */
const KNOWN_FILTERS = [1, 2, 3, 4, 5, 6];
/** How much deflate can shrink at most, and what the file's own structures may hold beside its datasets. */
const MOST_DEFLATED = 1100, SLACK = 1 << 16;

/**
 * All datasets and attributes at the root of a file.
 * @param only Names of the datasets that are wanted; others are named and left out.
 * @throws {Error} Saying what is wrong; then the library must not be used again.
 */
export async function decodeHdf5(bytes: Uint8Array, only?: readonly string[]): Promise<HdfContent> {
  (await ready).activate_throwing_error_handler(); // else it prints its own stack to the terminal and goes on
  const name = newName();
  FS!.writeFile(name, bytes);
  try {
    const file = new File(name, "r"), arrays: Record<string, HdfArray> = Object.create(null), names = file.keys();
    for (const key of names) {
      const entry = only && !only.includes(key) ? null : file.get(key);
      if (!(entry instanceof Dataset)) continue; // a group, as in files with more than a volume
      const array = decodeDataset(entry, key, bytes.length, only !== undefined);
      if (array) arrays[key] = array;
    }
    const attributes: Record<string, HdfAttribute> = Object.create(null);
    for (const [key, { value }] of Object.entries(file.attrs)) {
      attributes[key] = typeof value === "string"
        ? value
        : Array.from(ArrayBuffer.isView(value) ? value as Float64Array : [value as number], Number);
    }
    file.close();
    return { names, arrays, attributes };
  } catch (error) {
    throw new Error(reasonOf(error), { cause: error });
  } finally {
    FS!.unlink(name);
  }
}

/** Gives a dataset's array, and null where it holds no numbers and that is no fault. */
function decodeDataset(dataset: Dataset, key: string, bytes: number, isWanted: boolean): HdfArray | null {
  const { type, size, shape, chunks, virtual_sources } = dataset.metadata, refuse = (why: string) => new Error(why);
  const isNumber = (type === 0 && [1, 2, 4, 8].includes(size)) || (type === 1 && [4, 8].includes(size));
  if (!isNumber || !shape) {
    if (!isWanted) return null;
    throw refuse(`its dataset "${key}" is ${typeText(type, size, shape)}; whole numbers, float32 or float64 wanted`);
  }
  if (virtual_sources) throw refuse(`the data of its dataset "${key}" stand in other files`);
  const unknown = dataset.filters.filter(({ id }) => !KNOWN_FILTERS.includes(id));
  if (unknown.length) {
    const filters = unknown.map(({ id, name }) => name ? `"${name}" (${id})` : String(id)).join(", ");
    throw refuse(
      `its dataset "${key}" is compressed by the filter ${filters}, which is not known here; save it anew with gzip`,
    );
  }
  const sizeOf = (axes: number[]) => axes.reduce((a, n) => a * n, size), announced = sizeOf(shape);
  const room = dataset.filters.length ? MOST_DEFLATED * bytes + SLACK : bytes;
  const most = Math.max(announced, chunks && announced ? sizeOf(chunks) : 0);
  if (most > room) {
    throw refuse(
      `its dataset "${key}" announces [${shape}]${
        chunks ? ` in chunks of [${chunks}]` : ""
      }, ${most} bytes, for which a ` +
        `file of ${bytes} bytes has no room: it was never written, or is truncated or damaged`,
    );
  }
  const data = dataset.value;
  return ArrayBuffer.isView(data) ? { data: withoutBigInt(data) as HdfArray["data"], shape } : null;
}

const CLASSES = ["whole", "floating-point", "time", "text", "bit", "opaque", "compound", "reference", "enumeration"];

function typeText(type: number, size: number, shape: number[] | null): string {
  if (!shape) return "empty";
  return type === 1 ? `float${8 * size}` : `of ${CLASSES[type] ?? "other"} values of ${size} bytes`;
}

/** A file of these datasets (gzip, in one chunk) and attributes of its root. @throws {Error} When the library fails. */
export async function encodeHdf5(
  arrays: Record<string, HdfOutput>,
  attributes: Record<string, HdfAttribute>,
): Promise<Uint8Array> {
  (await ready).activate_throwing_error_handler();
  const name = newName();
  try {
    const file = new File(name, "w");
    for (const [key, { data, shape }] of Object.entries(arrays)) {
      file.create_dataset({ name: key, data, shape, chunks: shape, compression: 4 });
    }
    for (const [key, value] of Object.entries(attributes)) {
      file.create_attribute(key, typeof value === "string" ? value : Float64Array.from(value));
    }
    file.close();
    return FS!.readFile(name);
  } finally {
    FS!.unlink(name);
  }
}

/** The innermost reason, in the last line of the library's stack. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split("\n").at(-1)!.replace(/^\s*minor:\s*/, "") || "it is truncated, damaged or no HDF5";
}

const withoutBigInt = (data: ArrayBufferView): ArrayBufferView =>
  data instanceof BigInt64Array || data instanceof BigUint64Array ? Float64Array.from(data, Number) : data;
