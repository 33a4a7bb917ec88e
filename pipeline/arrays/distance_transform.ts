/**
 * The exact Euclidean distance transform: for the surface distances of the evaluation and the signed distance maps of
 * SASSNet and DTC.
 *
 * Source: Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012: separable, linear in voxels.
 * @module
 */

/**
 * Checks a mask against its shape.
 * @throws {RangeError} When the mask does not have the shape's size.
 */
export function checkSize(mask: Uint8Array, shape: readonly number[]): void {
  const count = shape.reduce((product, n) => product * n, 1);
  if (count !== mask.length) throw new RangeError(`mask has ${mask.length} voxels, shape [${shape}] has ${count}`);
}

/**
 * Checks a spacing.
 * @throws {RangeError} When the spacing is not one positive number per axis.
 */
export function checkSpacing(shape: readonly number[], spacing: readonly number[]): void {
  if (spacing.length !== shape.length || !spacing.every((w) => w > 0 && Number.isFinite(w))) {
    throw new RangeError(`spacing [${spacing}] is not one positive number per axis of shape [${shape}]`);
  }
}

/** Voxels between neighbors along each axis; the last axis is the fastest. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

/**
 * The square of {@linkcode distanceTransform}, with the same arguments: whole numbers, and exact, without a spacing.
 * Nothing is checked.
 */
export function squaredDistanceTransform(
  mask: Uint8Array,
  shape: readonly number[],
  spacing: readonly number[] = shape.map(() => 1),
): Float64Array {
  const squared = new Float64Array(mask.length);
  for (let i = 0; i < mask.length; i++) squared[i] = mask[i] === 0 ? Infinity : 0;
  const strides = stridesOf(shape);
  const longest = Math.max(...shape);
  const line = new Float64Array(longest), starts = new Float64Array(longest);
  const vertices = new Int32Array(longest);
  for (let axis = 0; axis < shape.length; axis++) {
    const n = shape[axis], stride = strides[axis], width = spacing[axis], area = width * width;
    for (let block = 0; block < mask.length; block += n * stride) {
      for (let first = block; first < block + stride; first++) {
        let lowest = Infinity, highest = 0;
        for (let q = 0; q < n; q++) {
          const value = line[q] = squared[first + q * stride];
          if (value < lowest) lowest = value;
          if (value > highest) highest = value;
        }
        // No parabola moves a line without any vertex, or with a vertex of height 0 everywhere: most lines of a crop.
        if (lowest === Infinity || highest === 0) continue;
        // Lower envelope of the parabolas line[v] + area (q - v)²; vertices[k] is lowest from starts[k] on.
        let last = -1;
        for (let q = 0; q < n; q++) {
          if (line[q] === Infinity) continue;
          let start = -Infinity;
          while (last >= 0) {
            const v = vertices[last];
            start = (line[q] - line[v]) / (2 * area * (q - v)) + (q + v) / 2;
            if (start > starts[last]) break;
            last--;
          }
          if (last < 0) start = -Infinity;
          vertices[++last] = q;
          starts[last] = start;
        }
        for (let q = 0, k = 0; q < n; q++) {
          while (k < last && starts[k + 1] < q) k++;
          const offset = width * (q - vertices[k]);
          squared[first + q * stride] = line[vertices[k]] + offset * offset;
        }
      }
    }
  }
  return squared;
}

/**
 * Exact Euclidean distance from each voxel to the nearest non-zero voxel:
 * `d(p) = min over q with mask(q) ≠ 0 of sqrt(Σ_axis (spacing (p - q))²)`. Infinity everywhere for an all-zero mask.
 *
 * Source: Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012.
 *
 * @param mask raster order, last axis fastest
 * @param shape voxels per axis, any number of axes
 * @param spacing size of a voxel along each axis of `shape`, in the same order; 1 by default
 * @returns distances in the unit of `spacing`, same order as `mask`
 * @throws {RangeError} when the mask does not have the shape's size, or the spacing is not one positive number per axis
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { distanceTransform } from "@ssnet/pipeline/arrays/distance_transform.ts";
 *
 * const distances = distanceTransform(Uint8Array.of(1, 0, 0, 0), [2, 2], [3, 4]);
 * assert.deepEqual(distances, Float64Array.of(0, 4, 3, 5));
 * ```
 */
export function distanceTransform(
  mask: Uint8Array,
  shape: readonly number[],
  spacing: readonly number[] = shape.map(() => 1),
): Float64Array {
  checkSize(mask, shape);
  checkSpacing(shape, spacing);
  return squaredDistanceTransform(mask, shape, spacing).map(Math.sqrt);
}
