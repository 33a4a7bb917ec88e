/**
 * safetensors files: 8 bytes of header length, a JSON header, then the values, little-endian; as `safetensors.torch` reads them.
 * Written are the types that PyTorch's `load_state_dict` wants of us, read those that others write. The metadata of what is
 * written has `sha256`: of the header without it, then of all values; other programs read past it.
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { writeAtomically } from "./atomic.ts";
import { sizeOf } from "../arrays/shape.ts";
import { realValues, type StoredTensor, type TensorSource, valuesOf, WIDTHS } from "./dtypes.ts";
import { DataError } from "./errors.ts";

const ENTRY = z.object({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
type HeaderEntry = z.infer<typeof ENTRY>;
/** Key of the checksum in the metadata, and what says there that it must be there: a damaged key is no missing one. */
const CHECKSUM = "sha256", MARK = { checksum: CHECKSUM };
const HEADER = z.object({ __metadata__: z.record(z.string(), z.string()).default({}) }).catchall(ENTRY);

/**
 * Writes arrays in the order given and string metadata; under a temporary name, then renamed. Needs `--allow-read`,
 * `--allow-write`.
 * @throws {RangeError} Naming the array whose values do not fill its shape.
 */
export async function writeSafetensors(
  path: string,
  tensors: Record<string, TensorSource>,
  metadata: Record<string, string> = {},
): Promise<void> {
  await writeAtomically(path, safetensorsParts(tensors, metadata));
}

/** The bytes of {@linkcode writeSafetensors}, array by array. @throws {RangeError} As that. */
export function* safetensorsParts(
  tensors: Record<string, TensorSource>,
  metadata: Record<string, string>,
): Generator<Uint8Array> {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: { ...metadata, ...MARK } };
  for (const [name, { shape, dtype }] of Object.entries(tensors)) {
    const begin = end;
    end += sizeOf(shape) * WIDTHS[dtype];
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const hash = createHash("sha256").update(JSON.stringify(header));
  for (const [name, source] of Object.entries(tensors)) hash.update(valuesOf(name, source));
  header.__metadata__ = { ...metadata, ...MARK, [CHECKSUM]: hash.digest("hex") };
  const text = JSON.stringify(header);
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(head.length), true);
  yield length;
  yield head;
  for (const [name, source] of Object.entries(tensors)) yield valuesOf(name, source);
}

/**
 * Reads the arrays and metadata of a safetensors file. Needs `--allow-read`.
 * @throws {DataError} As {@linkcode decodeSafetensors}.
 */
export async function readSafetensors(path: string): Promise<SafetensorsContent> {
  return decodeSafetensors(await Deno.readFile(path), path);
}

/** What stands in a file. */
export interface SafetensorsContent {
  /** The arrays by their names; of any type, read when they are asked for. */
  tensors: Record<string, StoredTensor>;
  /** Strings by name, without the checksum. */
  metadata: Record<string, string>;
}

/**
 * The arrays of a file's bytes, which must stay as they are.
 * @param source Its path, for errors.
 * @throws {DataError} Naming the file, when it is truncated, no safetensors, or has gaps, overlaps or bytes behind its end;
 * when it has a checksum, and another content.
 */
export function decodeSafetensors(bytes: Uint8Array, source: string): SafetensorsContent {
  const refuse = (why: string) => new DataError(`Cannot read "${source}" as safetensors: ${why}`);
  if (bytes.length < 8) throw refuse(`${bytes.length} bytes found`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (8 + length > bytes.length) throw refuse(`its header claims ${length} bytes, the file has ${bytes.length}`);
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch {
    throw refuse("its header is no JSON");
  }
  const header = HEADER.safeParse(content);
  if (!header.success) throw refuse(`its header is not as wanted:\n${z.prettifyError(header.error)}`);
  const { __metadata__: metadata, ...entries } = header.data, tensors: Record<string, StoredTensor> = {};
  let next = 0; // the format has neither gaps nor overlaps, and nothing behind the last array
  for (const [name, { data_offsets: [begin, end] }] of Object.entries(entries).sort(byOffsets)) {
    if (8 + length + end > bytes.length) throw refuse(`it is truncated at ${name}`);
    if (begin !== next || end < begin) {
      throw refuse(`${name} stands at bytes ${begin} to ${end}, where ${next} is next`);
    }
    next = end;
  }
  const rest = bytes.length - 8 - length - next;
  if (rest) throw refuse(`${rest} bytes stand behind its last array`);
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(entries)) {
    if (dtype in WIDTHS && end - begin !== sizeOf(shape) * WIDTHS[dtype]) {
      throw refuse(`${name} is [${shape}] of ${dtype}, for which ${end - begin} bytes are too few or too many`);
    }
    const stored = bytes.subarray(8 + length + begin, 8 + length + end);
    tensors[name] = { shape, dtype, values: () => realValues(stored, dtype) };
  }
  const { [CHECKSUM]: checksum, ...marked } = metadata, { checksum: mark, ...told } = marked;
  const isChecked = mark === MARK.checksum || checksum !== undefined;
  if (isChecked && checksum !== checksumOf(content as object, marked, bytes.subarray(8 + length))) {
    throw refuse("its checksum is another: it was damaged after it was written; restore it, or take another");
  }
  return { tensors, metadata: told };
}

/** The checksum of a header without its checksum, and of the values behind it. */
function checksumOf(header: object, metadata: Record<string, string>, values: Uint8Array): string {
  return createHash("sha256").update(JSON.stringify({ ...header, __metadata__: metadata })).update(values).digest(
    "hex",
  );
}

function byOffsets([, { data_offsets: a }]: [string, HeaderEntry], [, { data_offsets: b }]: [string, HeaderEntry]) {
  return a[0] - b[0] || a[1] - b[1];
}
