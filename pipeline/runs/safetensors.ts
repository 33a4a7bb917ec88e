/**
 * safetensors files: 8 bytes of header length, a JSON header, then the values, little-endian; as `safetensors.torch` reads them.
 * @module
 */
import { DataError } from "../data/cases.ts";
import { writeAtomically } from "./files.ts";

/** One array of a file. */
export interface StoredTensor {
  /** `[]` for a single number. */
  shape: number[];
  /** C order; float32 (`F32`) or int64 (`I64`). */
  data: Float32Array | BigInt64Array;
}

const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * Writes float32 (`F32`) and int64 (`I64`) arrays in the order given and string metadata; under a temporary name, then
 * renamed. Needs `--allow-read`, `--allow-write`.
 */
export async function writeSafetensors(
  path: string,
  tensors: Record<string, StoredTensor>,
  metadata: Record<string, string> = {},
): Promise<void> {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: metadata };
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const begin = end;
    end += data.byteLength;
    header[name] = { dtype: data instanceof Float32Array ? "F32" : "I64", shape, data_offsets: [begin, end] };
  }
  const text = JSON.stringify(header);
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(head.length), true);
  await writeAtomically(path, [length, head, ...Object.values(tensors).map(({ data }) => bytesOf(data))]);
}

/**
 * Reads a file. Needs `--allow-read`.
 * @throws {DataError} Naming the file, when it is truncated, no safetensors, or holds another data type.
 */
export async function readSafetensors(path: string): Promise<{
  tensors: Record<string, StoredTensor>;
  metadata: Record<string, string>;
}> {
  const bytes = await Deno.readFile(path);
  const refuse = (why: string) => new DataError(`Cannot read "${path}" as safetensors: ${why}`);
  if (bytes.length < 8) throw refuse(`${bytes.length} bytes found`);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  if (8 + length > bytes.length) throw refuse(`its header claims ${length} bytes, the file has ${bytes.length}`);
  let header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch {
    throw refuse("its header is no JSON");
  }
  const { __metadata__: metadata, ...entries } = header;
  const tensors: Record<string, StoredTensor> = {};
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(entries)) {
    if (8 + length + end > bytes.length) throw refuse(`it is truncated at ${name}`);
    const part = bytes.slice(8 + length + begin, 8 + length + end).buffer;
    if (dtype !== "F32" && dtype !== "I64") throw refuse(`${name} is ${dtype}; F32 or I64 wanted`);
    tensors[name] = { shape, data: dtype === "F32" ? new Float32Array(part) : new BigInt64Array(part) };
  }
  return { tensors, metadata: (metadata ?? {}) as unknown as Record<string, string> };
}
