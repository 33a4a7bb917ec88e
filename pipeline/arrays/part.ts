/** Parts of volumes: what a box holds, and a box's values in the volume that it was cut out of. @module */
import type { Vector3 } from "./geometry.ts";
import { sizeOf } from "./shape.ts";

/** A part of a volume. */
export interface Part {
  /** Shape of the volume. */
  whole: Vector3;
  /** The part's first voxel there. */
  first: Vector3;
  /** Shape of the part. */
  shape: Vector3;
}

/** Gives where every row of a part, along the last axis, begins in the volume and in the part. */
function* rowsOf({ whole, first, shape }: Part): Generator<[outside: number, inside: number]> {
  for (let i = 0; i < shape[0]; i++) {
    for (let j = 0; j < shape[1]; j++) {
      yield [((first[0] + i) * whole[1] + first[1] + j) * whole[2] + first[2], (i * shape[1] + j) * shape[2]];
    }
  }
}

/**
 * The values of a part; the same array where that is all.
 * @param values Of the whole, the last axis fastest.
 *
 * @example There and back
 * ```ts
 * import assert from "node:assert/strict";
 * import { cropped, type Part, uncropped } from "@ssnet/pipeline/arrays/part.ts";
 *
 * const part: Part = { whole: [1, 2, 3], first: [0, 0, 1], shape: [1, 2, 1] };
 * const inside = cropped(Uint8Array.of(1, 2, 3, 4, 5, 6), part);
 * assert.deepEqual(inside, Uint8Array.of(2, 5));
 * assert.deepEqual(uncropped(inside, part), Uint8Array.of(0, 2, 0, 0, 5, 0));
 * ```
 */
export function cropped<T extends Float32Array | Uint8Array>(values: T, part: Part): T {
  if (sizeOf(part.shape) === values.length) return values;
  const inside = new (values.constructor as new (length: number) => T)(sizeOf(part.shape)), [, , nz] = part.shape;
  for (const [from, to] of rowsOf(part)) inside.set(values.subarray(from, from + nz) as T & ArrayLike<number>, to);
  return inside;
}

/** The volume around a part, 0 outside of it; the same array where the part is all. */
export function uncropped<T extends Float32Array | Uint8Array>(inside: T, part: Part): T {
  if (sizeOf(part.whole) === inside.length) return inside;
  const values = new (inside.constructor as new (length: number) => T)(sizeOf(part.whole)), [, , nz] = part.shape;
  for (const [to, from] of rowsOf(part)) values.set(inside.subarray(from, from + nz) as T & ArrayLike<number>, to);
  return values;
}
