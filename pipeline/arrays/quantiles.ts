/** Quantiles of sorted values, between two of them or the nearest one. @module */

/**
 * The value a fraction of the way from the first to the last, linearly interpolated, as `numpy.percentile` of a hundred
 * times the fraction.
 * @param sorted Ascending, at least one.
 * @param fraction From 0 to 1.
 *
 * @example The median of four values is the mean of the middle ones
 * ```ts
 * import assert from "node:assert/strict";
 * import { quantile } from "@ssnet/pipeline/arrays/quantiles.ts";
 *
 * assert.equal(quantile(Float64Array.of(1, 2, 5, 9), 0.5), 3.5);
 * ```
 */
export function quantile(sorted: Float64Array, fraction: number): number {
  const at = (sorted.length - 1) * fraction, below = Math.floor(at);
  const low = sorted[below], high = sorted[Math.min(below + 1, sorted.length - 1)];
  return low + (high - low) * (at - below);
}

/** The one of the values that lies nearest to that place, {@linkcode quantile}: no other than an image has. */
export function nearestQuantile(sorted: Float32Array, fraction: number): number {
  return sorted[Math.round(fraction * (sorted.length - 1))];
}
