/** Quantiles of sorted values. @module */

/**
 * The value below which a share of sorted values lies, linearly interpolated between the two neighbors of place
 * `share (n - 1)`: `numpy.quantile`'s default.
 *
 * @param sorted Ascending; NaN where there is none.
 * @param share From 0 to 1.
 *
 * @example A fifth of the way from the first to the last of two
 * ```ts
 * import assert from "node:assert/strict";
 * import { quantile } from "@ssnet/pipeline/arrays/quantiles.ts";
 *
 * assert.equal(quantile([10, 20], 0.2), 12);
 * ```
 */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const place = (sorted.length - 1) * share, below = Math.floor(place), above = Math.ceil(place);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/** The value nearest to the place of {@linkcode quantile}, which is one of them; of two the later one. */
export function nearestQuantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.round(share * (sorted.length - 1))];
}

/** The value in the middle; of an even number the mean of the two there. @param values In any order. */
export function median(values: readonly number[]): number {
  return quantile(values.toSorted((a, b) => a - b), 0.5);
}
