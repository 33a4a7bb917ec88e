/** Intensities of an image: mean and standard deviation, and the two published normalizations. @module */
import { nearestQuantile } from "./quantiles.ts";

/** Mean and standard deviation of all voxels, N in the denominator. */
export function meanAndStandardDeviation(image: Float32Array): { mean: number; standardDeviation: number } {
  let sum = 0, squares = 0;
  for (let i = 0; i < image.length; i++) sum += image[i];
  const mean = sum / image.length;
  for (let i = 0; i < image.length; i++) squares += (image[i] - mean) ** 2;
  return { mean, standardDeviation: Math.sqrt(squares / image.length) };
}

/** Lowest and highest value. */
export function extremes(image: Float32Array): { minimum: number; maximum: number } {
  let minimum = Infinity, maximum = -Infinity;
  for (let i = 0; i < image.length; i++) {
    if (image[i] < minimum) minimum = image[i];
    if (image[i] > maximum) maximum = image[i];
  }
  return { minimum, maximum };
}

/**
 * `(image - mean) / standardDeviation` over all voxels (standard deviation with N in the denominator); 0 everywhere for
 * a constant image.
 * @param sample Whose mean and standard deviation are taken, instead of the image's.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { normalize } from "@ssnet/pipeline/arrays/intensity.ts";
 *
 * assert.deepEqual(normalize(Float32Array.of(1, 3, 1, 3)), Float32Array.of(-1, 1, -1, 1));
 * ```
 */
export function normalize(image: Float32Array, sample: Float32Array = image): Float32Array {
  const { mean, standardDeviation } = meanAndStandardDeviation(sample);
  return image.map((v) => standardDeviation > 0 ? (v - mean) / standardDeviation : 0);
}

/**
 * `(image - min) / (max - min)` over all voxels; an image of one value gives NaN.
 * @param sample Whose extremes are taken, instead of the image's.
 */
export function minMax(image: Float32Array, sample: Float32Array = image): Float32Array {
  let low = Infinity, high = -Infinity;
  for (const v of sample) [low, high] = [Math.min(low, v), Math.max(high, v)];
  return image.map((v) => (v - low) / (high - low));
}

/** Intensities of an image in numbers. */
export interface Intensity {
  /** Mean over all voxels. */
  mean: number;
  /** Standard deviation, with N in the denominator. */
  standardDeviation: number;
  /** Lowest value. */
  minimum: number;
  /** Highest value. */
  maximum: number;
  /** Percentiles by percent, "0.5" to "99.5". */
  percentiles: Record<string, number>;
}

/**
 * Mean, standard deviation (N in the denominator), extremes and percentiles of an image; a percentile is the value of
 * the nearest voxel in order, of a volume of more than two million voxels among evenly spaced ones, at least a million.
 *
 * @example Of five voxels the median is the third in order
 * ```ts
 * import assert from "node:assert/strict";
 * import { intensityOf } from "@ssnet/pipeline/arrays/intensity.ts";
 *
 * const { mean, percentiles } = intensityOf(Float32Array.of(1, 9, 2, 4, 4));
 * assert.deepEqual([mean, percentiles[50]], [4, 4]);
 * ```
 */
export function intensityOf(image: Float32Array): Intensity {
  const step = Math.max(Math.floor(image.length / 1e6), 1);
  const sorted = Float32Array.from({ length: Math.ceil(image.length / step) }, (_, i) => image[i * step]).sort();
  return {
    ...meanAndStandardDeviation(image),
    ...extremes(image),
    percentiles: Object.fromEntries(
      [0.5, 5, 25, 50, 75, 95, 99.5].map((percent) => [percent, nearestQuantile(sorted, percent / 100)]),
    ),
  };
}
