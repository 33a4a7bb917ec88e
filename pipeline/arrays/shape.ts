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
