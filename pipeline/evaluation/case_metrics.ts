/**
 * The four numbers of one evaluated case, as the paper's evaluation reports them and without its convention for
 * empty masks.
 * @module
 */
import { dice, jaccard } from "./overlap.ts";
import { surfaceMetrics } from "./surface_distance.ts";

/** Overlaps between 0 and 1; distances in the unit of the spacing. */
export interface CaseScores {
  /** {@linkcode dice} */
  dice: number;
  /** {@linkcode jaccard} */
  jaccard: number;
  /** 95th percentile of the distances of both directions together. */
  hd95: number;
  /** Mean distance from the prediction's surface to the reference's, this direction only. */
  asd: number;
}

/** The same case under two conventions; they differ only where a mask is empty. */
export interface CaseMetrics {
  /** What the authors' evaluation reports: an empty prediction scores 0 in all four, distances included. */
  published: CaseScores;
  /** Two empty masks overlap fully, one empty mask not at all; a distance of an empty mask is NaN. */
  honest: CaseScores;
  /** Normalized surface distance, of empty masks as the overlap in `honest`; with a tolerance only. */
  nsd?: number;
}

/**
 * Dice, Jaccard, 95th percentile of the Hausdorff distance and average surface distance (prediction to reference)
 * of one case. Formulas: {@linkcode dice}, {@linkcode jaccard}, {@linkcode surfaceMetrics}.
 *
 * An empty prediction scores 0, 0, 0, 0 in `published`, which makes a missed object look perfect by distance; in `honest`
 * it has no distance (NaN), and overlap 1 with an empty reference, else 0. An empty reference with a non-empty prediction
 * has overlap 0 and no distance in both; the authors' evaluation raises an error there and reports nothing.
 *
 * Source: tests/golden/README.md, section `metrics.h5`.
 *
 * @param prediction any non-zero value is object; raster order, last axis fastest
 * @param reference as `prediction`
 * @param shape `[X, Y]` or `[X, Y, Z]`, in voxels
 * @param spacing size of a voxel along each axis, in the same order; 1 by default, as the authors evaluate
 * @param tolerance in the unit of `spacing`; without it there is no `nsd`
 * @throws {RangeError} when a mask does not have the shape's size, or the spacing is not one positive number per axis;
 * the spacing is read only when both masks have an object
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { caseMetrics } from "@ssnet/pipeline/evaluation/case_metrics.ts";
 *
 * const { published, honest } = caseMetrics(Uint8Array.of(0, 0), Uint8Array.of(0, 1), [1, 2]);
 * assert.deepEqual(published, { dice: 0, jaccard: 0, hd95: 0, asd: 0 });
 * assert.deepEqual(honest, { dice: 0, jaccard: 0, hd95: NaN, asd: NaN });
 * ```
 */
export function caseMetrics(
  prediction: Uint8Array,
  reference: Uint8Array,
  shape: readonly number[],
  spacing: readonly number[] = shape.map(() => 1),
  tolerance?: number,
): CaseMetrics {
  const count = shape.reduce((product, n) => product * n, 1);
  if (count !== prediction.length) {
    throw new RangeError(`prediction has ${prediction.length} voxels, shape [${shape}] has ${count}`);
  }
  const masks = { prediction, reference };
  const isEmpty = (mask: Uint8Array) => !mask.some((value) => value !== 0);
  const withNsd = (nsd: number | undefined) => tolerance !== undefined && { nsd };
  if (isEmpty(prediction)) {
    const overlap = isEmpty(reference) ? 1 : 0;
    return {
      published: { dice: 0, jaccard: 0, hd95: 0, asd: 0 },
      honest: { dice: overlap, jaccard: overlap, hd95: NaN, asd: NaN },
      ...withNsd(overlap),
    };
  }
  const { hd95, asd, nsd } = isEmpty(reference)
    ? { hd95: NaN, asd: NaN, nsd: 0 }
    : surfaceMetrics(prediction, reference, shape, spacing, tolerance);
  const scores = { dice: dice(masks), jaccard: jaccard(masks), hd95, asd };
  return { published: scores, honest: { ...scores }, ...withNsd(nsd) };
}
