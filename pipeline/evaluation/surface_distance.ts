/**
 * Distances between the surfaces of two masks, on an exact Euclidean distance transform.
 * @module
 */
import { quantile } from "../arrays/quantiles.ts";
import { checkSize, checkSpacing, squaredDistanceTransform, stridesOf } from "../arrays/distance_transform.ts";

/** Distances between two surfaces, in the unit of the spacing (voxels without one). */
export interface SurfaceMetrics {
  /** Hausdorff distance: the largest distance of both directions. */
  hd: number;
  /** 95th percentile of the distances of both directions together, linearly interpolated. */
  hd95: number;
  /** Mean distance from the prediction's surface to the reference's, this direction only. */
  asd: number;
  /** Mean distance from the reference's surface to the prediction's. */
  asdReverse: number;
}

/**
 * Surface of a mask: object voxels with a face neighbor (6 in 3-D, 4 in 2-D) outside the object, where everything
 * outside the array counts as outside.
 *
 * Source: tests/golden/README.md, section `metrics.h5`.
 *
 * @param mask any non-zero value is object; raster order, last axis fastest
 * @param shape voxels per axis
 * @returns 1 on the surface, 0 elsewhere; same order as `mask`
 * @throws {RangeError} when the mask does not have the shape's size
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { surface } from "@ssnet/pipeline/evaluation/surface_distance.ts";
 *
 * const square = new Uint8Array(9).fill(1);
 * assert.deepEqual(surface(square, [3, 3]), Uint8Array.of(1, 1, 1, 1, 0, 1, 1, 1, 1));
 * ```
 */
export function surface(mask: Uint8Array, shape: readonly number[]): Uint8Array {
  checkSize(mask, shape);
  const strides = stridesOf(shape);
  const result = new Uint8Array(mask.length);
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] === 0) continue;
    for (let axis = 0; axis < shape.length; axis++) {
      const stride = strides[axis], n = shape[axis], at = Math.floor(i / stride) % n;
      if (at === 0 || at === n - 1 || mask[i - stride] === 0 || mask[i + stride] === 0) {
        result[i] = 1;
        break;
      }
    }
  }
  return result;
}

/**
 * The surfaces of two masks in the smallest box that holds both. Nothing outside the box is object, so a surface is the
 * same in the box and in the whole array.
 */
function cropSurfaces(
  a: Uint8Array,
  b: Uint8Array,
  shape: readonly number[],
): { a: Uint8Array; b: Uint8Array; shape: number[] } {
  checkSize(a, shape);
  checkSize(b, shape);
  const strides = stridesOf(shape), axes = shape.length, row = shape[axes - 1];
  const low = shape.slice(), high = shape.map(() => -1);
  let hasA = false, hasB = false;
  for (let first = 0; first < a.length; first += row) {
    let from = -1, to = -1;
    for (let k = 0; k < row; k++) {
      const inA = a[first + k] !== 0, inB = b[first + k] !== 0;
      if (!inA && !inB) continue;
      hasA ||= inA;
      hasB ||= inB;
      if (from < 0) from = k;
      to = k;
    }
    if (from < 0) continue;
    low[axes - 1] = Math.min(low[axes - 1], from);
    high[axes - 1] = Math.max(high[axes - 1], to);
    for (let axis = 0; axis < axes - 1; axis++) {
      const at = Math.floor(first / strides[axis]) % shape[axis];
      low[axis] = Math.min(low[axis], at);
      high[axis] = Math.max(high[axis], at);
    }
  }
  if (!hasA || !hasB) throw new RangeError("an empty mask has no surface to measure a distance to");
  const box = shape.map((_, axis) => high[axis] - low[axis] + 1), boxRow = box[axes - 1];
  const boxStrides = stridesOf(box), count = boxStrides[0] * box[0];
  const cropA = new Uint8Array(count), cropB = new Uint8Array(count);
  for (let first = 0; first < count; first += boxRow) {
    let from = 0;
    for (let axis = 0; axis < axes; axis++) {
      from += (Math.floor(first / boxStrides[axis]) % box[axis] + low[axis]) * strides[axis];
    }
    cropA.set(a.subarray(from, from + boxRow), first);
    cropB.set(b.subarray(from, from + boxRow), first);
  }
  return { a: surface(cropA, box), b: surface(cropB, box), shape: box };
}

function sampleDistances(
  from: Uint8Array,
  to: Uint8Array,
  shape: readonly number[],
  spacing: readonly number[],
): Float64Array {
  const squared = squaredDistanceTransform(to, shape, spacing);
  let count = 0;
  for (let i = 0; i < from.length; i++) if (from[i] !== 0) squared[count++] = Math.sqrt(squared[i]);
  return squared.slice(0, count);
}

/**
 * Euclidean distance from every surface voxel of `a` to the nearest surface voxel of `b`, in raster order of `a`.
 *
 * Source: tests/golden/README.md, section `metrics.h5`. The transform runs on the box around both surfaces only.
 *
 * @param a any non-zero value is object; raster order, last axis fastest
 * @param b as `a`
 * @param shape voxels per axis
 * @param spacing size of a voxel along each axis, in the same order; 1 by default, as the authors evaluate
 * @returns distances in the unit of `spacing`
 * @throws {RangeError} when a mask is empty or does not have the shape's size, or the spacing is not one positive
 * number per axis
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { surfaceDistances } from "@ssnet/pipeline/evaluation/surface_distance.ts";
 *
 * const distances = surfaceDistances(Uint8Array.of(1, 1, 0, 0), Uint8Array.of(0, 0, 0, 1), [1, 4], [1, 2]);
 * assert.deepEqual(distances, Float64Array.of(6, 4));
 * ```
 */
export function surfaceDistances(
  a: Uint8Array,
  b: Uint8Array,
  shape: readonly number[],
  spacing: readonly number[] = shape.map(() => 1),
): Float64Array {
  checkSpacing(shape, spacing);
  const crop = cropSurfaces(a, b, shape);
  return sampleDistances(crop.a, crop.b, crop.shape, spacing);
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Hausdorff distance, its 95th percentile and the average surface distances of two masks. With `D(P, R)` the
 * {@linkcode surfaceDistances} from prediction to reference: `hd = max(D(P, R) ∪ D(R, P))`,
 * `hd95 = percentile95(D(P, R) ∪ D(R, P))`, `asd = mean D(P, R)`, `asdReverse = mean D(R, P)`.
 *
 * Source: tests/golden/README.md, section `metrics.h5` (values by medpy 0.5); `asd` is not symmetric.
 *
 * @param prediction any non-zero value is object; raster order, last axis fastest
 * @param reference as `prediction`
 * @param shape voxels per axis
 * @param spacing size of a voxel along each axis, in the same order; 1 by default, as the authors evaluate
 * @returns distances in the unit of `spacing`
 * @throws {RangeError} when a mask is empty or does not have the shape's size, or the spacing is not one positive
 * number per axis
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { surfaceMetrics } from "@ssnet/pipeline/evaluation/surface_distance.ts";
 *
 * const { hd, asd, asdReverse } = surfaceMetrics(Uint8Array.of(1, 1, 0, 0), Uint8Array.of(0, 0, 0, 1), [1, 4]);
 * assert.deepEqual({ hd, asd, asdReverse }, { hd: 3, asd: 2.5, asdReverse: 2 });
 * ```
 */
export function surfaceMetrics(
  prediction: Uint8Array,
  reference: Uint8Array,
  shape: readonly number[],
  spacing: readonly number[] = shape.map(() => 1),
): SurfaceMetrics {
  checkSpacing(shape, spacing);
  const crop = cropSurfaces(prediction, reference, shape);
  const forward = sampleDistances(crop.a, crop.b, crop.shape, spacing);
  const reverse = sampleDistances(crop.b, crop.a, crop.shape, spacing);
  const both = new Float64Array(forward.length + reverse.length);
  both.set(forward);
  both.set(reverse, forward.length);
  both.sort();
  return {
    hd: both[both.length - 1],
    hd95: quantile(both, 0.95),
    asd: mean(forward),
    asdReverse: mean(reverse),
  };
}
