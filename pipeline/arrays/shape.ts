/** Shapes of arrays. @module */

/** Height and width. */
export type Shape2 = readonly [number, number];
/** Voxels along three axes, the last one fastest. */
export type Shape3 = readonly [number, number, number];

/** Values in an array of a shape; 1 for `[]`. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** The sides of a shape in words, "112x112x80". */
export const sidesOf = (text: string): number[] => text.split("x").map(Number);

/**
 * A patch 16 voxels shorter along the axis where it is longest against a size; null where no axis is longer than 16.
 *
 * @example The axis that is longest for its size, not the longest one
 * ```ts
 * import assert from "node:assert/strict";
 * import { shortened } from "@ssnet/pipeline/arrays/shape.ts";
 *
 * assert.deepEqual(shortened([96, 80, 16], [96, 64, 1]), [96, 64, 16]);
 * assert.equal(shortened([16, 16], [8, 8]), null);
 * ```
 */
export function shortened(patch: readonly number[], size: readonly number[]): number[] | null {
  const ratios = patch.map((n, axis) => n > 16 ? n / size[axis] : 0), longest = Math.max(...ratios);
  return longest ? patch.with(ratios.indexOf(longest), patch[ratios.indexOf(longest)] - 16) : null;
}
