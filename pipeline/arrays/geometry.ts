/**
 * Where the voxels of a volume lie: NIfTI's world, RAS+ (x to the right, y to the front, z to the head), millimeters.
 * @module
 */

/** Three numbers, one an axis. */
export type Vector3 = [number, number, number];

/** Axes of an array, the last one fastest. Files hold X fastest, so "ZYX" is their own order of voxels. */
export type AxisOrder = "XYZ" | "ZYX";

/** Place of a volume's voxels: voxel `(i, j, k)` has its center at `origin + direction · (spacing ∘ (i, j, k))`. */
export interface Geometry {
  /** Millimeters between neighbors along the array's axes, in its order. */
  spacing: Vector3;
  /** Centre of voxel (0, 0, 0), RAS+ millimeters. */
  origin: Vector3;
  /** 3 × 3, row-major; column j is the unit vector of the array's axis j in RAS+. */
  direction: number[];
}

/** Differences that are still the same place: what programs lose by storing 32-bit numbers. */
export const TOLERANCE = { millimeters: 1e-3, direction: 1e-4 };

const AXES = [0, 1, 2] as const;

/**
 * Geometry of an affine: three rows `[m₀, m₁, m₂, offset]`, voxel indices to RAS+ millimeters.
 *
 * @example Voxels of 1 x 1 x 8 mm whose second axis runs to the back
 * ```ts
 * import assert from "node:assert/strict";
 * import { fromAffine } from "@ssnet/pipeline/arrays/geometry.ts";
 *
 * const { spacing, origin, direction } = fromAffine([[1, 0, 0, 0], [0, -1, 0, 90], [0, 0, 8, 0]]);
 * assert.deepEqual([spacing, origin], [[1, 1, 8], [0, 90, 0]]);
 * assert.deepEqual(direction, [1, 0, 0, 0, -1, 0, 0, 0, 1]);
 * ```
 */
export function fromAffine(rows: number[][]): Geometry {
  const spacing = AXES.map((j) => Math.hypot(rows[0][j], rows[1][j], rows[2][j])) as Vector3;
  return { // + 0 turns -0 into 0
    spacing,
    origin: AXES.map((i) => rows[i][3] + 0) as Vector3,
    direction: AXES.flatMap((i) => AXES.map((j) => rows[i][j] / spacing[j] + 0)),
  };
}

/** Whether the axes lie in one plane, or nearly so, so that the voxels have no volume. */
export function isFlat({ direction: [a, b, c, d, e, f, g, h, i] }: Geometry): boolean {
  return !(Math.abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) > 1e-3);
}

/** What is wrong with axes that are not at right angles, so that widths alone do not say where voxels lie; else null. */
export function skewProblem({ direction }: Geometry): string | null {
  const dot = (a: number, b: number) =>
    Math.abs([0, 3, 6].reduce((sum, i) => sum + direction[i + a] * direction[i + b], 0));
  const skew = Math.max(dot(0, 1), dot(0, 2), dot(1, 2));
  if (skew <= 1e-3) return null;
  return `its axes are not at right angles: the cosine of two is ${skew.toFixed(4)}; directions of a rotation wanted`;
}

/** Affine of a geometry, three rows: the inverse of {@linkcode fromAffine}. */
export function toAffine({ spacing, origin, direction }: Geometry): number[][] {
  return AXES.map((i) => [...AXES.map((j) => direction[3 * i + j] * spacing[j]), origin[i]]);
}

/** Geometry of the same voxels in an array with its axes in reverse order, X, Y, Z as Z, Y, X. */
export function reverseAxes({ spacing, origin, direction }: Geometry): Geometry {
  return {
    spacing: spacing.toReversed() as Vector3,
    origin,
    direction: AXES.flatMap((i) => direction.slice(3 * i, 3 * i + 3).reverse()),
  };
}

/** Geometry of the part of a volume that begins at voxel `first`. */
export function cropGeometry(geometry: Geometry, first: Vector3): Geometry {
  const affine = toAffine(geometry);
  const origin = affine.map(([a, b, c, offset]) => a * first[0] + b * first[1] + c * first[2] + offset) as Vector3;
  return { ...geometry, origin };
}

/** Geometry of the same field of view on another grid: its corners stay, its voxels become wider or narrower. */
export function resizedGeometry(geometry: Geometry, shape: readonly number[], to: readonly number[]): Geometry {
  const spacing = AXES.map((j) => geometry.spacing[j] * shape[j] / to[j]) as Vector3;
  const first = AXES.map((j) => (shape[j] / to[j] - 1) / 2) as Vector3;
  return { ...cropGeometry(geometry, first), spacing };
}

/** What differs beyond {@linkcode TOLERANCE}, with both values; empty for the same place. */
export function geometryDifferences(found: Geometry, wanted: Geometry): string[] {
  const limits = { spacing: TOLERANCE.millimeters, origin: TOLERANCE.millimeters, direction: TOLERANCE.direction };
  return (["spacing", "origin", "direction"] as const)
    .filter((key) => found[key].some((value, i) => !(Math.abs(value - wanted[key][i]) <= limits[key])))
    .map((key) => `${key} [${found[key].map(short)}] found, [${wanted[key].map(short)}] wanted`);
}

const short = (value: number) => Number(value.toFixed(5));
