/** Number types of stored tensors, by safetensors' names; the real ones become float32. @module */
import { sizeOf } from "../arrays/shape.ts";

/** Bytes of a value. */
export const WIDTHS: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** Decoders of the types from bytes of their own, little-endian. */
const DECODERS: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Float32Array> = {
  F32: ({ buffer }) => new Float32Array(buffer),
  F64: ({ buffer }) => new Float32Array(new Float64Array(buffer)),
  F16: ({ buffer }) => new Float32Array(new Float16Array(buffer)),
  BF16: ({ buffer }) => new Float32Array(Uint32Array.from(new Uint16Array(buffer), (half) => half << 16).buffer),
};

/** The types whose values can be read. */
export const REAL_TYPES: readonly string[] = Object.keys(DECODERS);

/** One array of a file. */
export interface StoredTensor {
  /** `[]` for a single number. */
  shape: number[];
  /** "F32", "I64", …; a type may be unknown here. */
  dtype: string;
  /** C order, made anew at every call. @throws {RangeError} When the type is none of {@linkcode REAL_TYPES}. */
  values(): Float32Array;
}

/**
 * Values as float32; F64 is rounded.
 * @param bytes Little-endian; copied.
 * @throws {RangeError} When the type is none of {@linkcode REAL_TYPES}.
 *
 * @example A half and a bfloat16 number
 * ```ts
 * import assert from "node:assert/strict";
 * import { realValues } from "@ssnet/pipeline/files/dtypes.ts";
 *
 * assert.equal(realValues(Uint8Array.of(0x00, 0x3e), "F16")[0], 1.5);
 * assert.equal(realValues(Uint8Array.of(0xc0, 0x3f), "BF16")[0], 1.5);
 * ```
 */
export function realValues(bytes: Uint8Array, dtype: string): Float32Array {
  if (!REAL_TYPES.includes(dtype)) throw new RangeError(`it is ${dtype}; ${REAL_TYPES.join(", ")} wanted`);
  return DECODERS[dtype](new Uint8Array(bytes));
}

/** One array to write. */
export interface TensorSource {
  /** `[]` for a single number. */
  shape: number[];
  /** float32, float16 or int64. */
  dtype: "F32" | "F16" | "I64";
  /** C order, of the type's own array; asked for when it is written, so that one array alone is in memory. */
  values: () => Float32Array | Float16Array | BigInt64Array;
}

/** The bytes of an array that is written. @throws {RangeError} Naming it when its values do not fill its shape. */
export function valuesOf(name: string, { shape, dtype, values }: TensorSource): Uint8Array {
  const { buffer, byteOffset, byteLength } = values();
  if (byteLength === sizeOf(shape) * WIDTHS[dtype]) return new Uint8Array(buffer, byteOffset, byteLength);
  throw new RangeError(`Cannot write ${name}: [${shape}] of ${dtype} wanted, ${byteLength} bytes found`);
}

/**
 * Values in half precision.
 * @throws {RangeError} Naming the array when a value is beyond half precision's largest, 65504.
 */
export function asHalf(name: string, values: Float32Array): Float16Array {
  const halves = Float16Array.from(values),
    beyond = halves.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(values[i]));
  if (beyond < 0) return halves;
  throw new RangeError(`Cannot write ${name} as float16: it holds ${values[beyond]}, and float16 ends at 65504`);
}
