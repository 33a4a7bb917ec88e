/**
 * Overlap of two masks: the Dice coefficient and the Jaccard index.
 * @module
 */

/** Two masks of one volume in the same voxel order; any non-zero value is object. */
export interface MaskPair {
  /** What is judged. */
  prediction: Uint8Array;
  /** What it is judged by. */
  reference: Uint8Array;
}

function checkSizes({ prediction, reference }: MaskPair) {
  if (prediction.length === reference.length) return;
  throw new RangeError(`prediction has ${prediction.length} voxels, reference has ${reference.length}`);
}

function countOverlap(masks: MaskPair): { both: number; sum: number } {
  checkSizes(masks);
  const { prediction, reference } = masks;
  let both = 0, sum = 0;
  for (let i = 0; i < prediction.length; i++) {
    const p = prediction[i] !== 0 ? 1 : 0, r = reference[i] !== 0 ? 1 : 0;
    both += p & r;
    sum += p + r;
  }
  return { both, sum };
}

/**
 * Dice coefficient `2 |P ∩ R| / (|P| + |R|)`, between 0 and 1, no unit. The axis order does not matter.
 *
 * Source: tests/golden/README.md, section `metrics.h5` (values by medpy 0.5). For two empty masks the
 * formula is 0 / 0 and the result is NaN; versions of that library return 0, 1 or NaN there.
 *
 * @throws {RangeError} when the masks differ in size
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { dice } from "@ssnet/pipeline/evaluation/overlap.ts";
 *
 * assert.equal(dice({ prediction: Uint8Array.of(1, 1, 0), reference: Uint8Array.of(0, 1, 1) }), 0.5);
 * ```
 */
export function dice(masks: MaskPair): number {
  const { both, sum } = countOverlap(masks);
  return 2 * both / sum;
}

/**
 * Jaccard index `|P ∩ R| / |P ∪ R|`, between 0 and 1, no unit. The axis order does not matter.
 *
 * Source: tests/golden/README.md, section `metrics.h5` (values by medpy 0.5). For two empty masks the
 * result is NaN, as for {@linkcode dice}.
 *
 * @throws {RangeError} when the masks differ in size
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { jaccard } from "@ssnet/pipeline/evaluation/overlap.ts";
 *
 * assert.equal(jaccard({ prediction: Uint8Array.of(1, 1, 0), reference: Uint8Array.of(0, 1, 1) }), 1 / 3);
 * ```
 */
export function jaccard(masks: MaskPair): number {
  const { both, sum } = countOverlap(masks);
  return both / (sum - both);
}

/**
 * {@linkcode dice} of every class from 1 on, in one pass over two maps of class numbers; 0, as published, where a class is
 * not predicted.
 *
 * @param classes Background included.
 * @throws {RangeError} when the maps differ in size
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { diceByClass } from "@ssnet/pipeline/evaluation/overlap.ts";
 *
 * const maps = { prediction: Uint8Array.of(1, 1, 0, 0), reference: Uint8Array.of(0, 1, 1, 2) };
 * assert.deepEqual(diceByClass(maps, 4), [0.5, 0, 0]);
 * ```
 */
export function diceByClass(maps: MaskPair, classes: number): number[] {
  checkSizes(maps);
  const { prediction, reference } = maps;
  const both = new Uint32Array(256), predicted = new Uint32Array(256), referred = new Uint32Array(256);
  for (let i = 0; i < prediction.length; i++) {
    const p = prediction[i], r = reference[i];
    predicted[p]++;
    referred[r]++;
    if (p === r) both[p]++;
  }
  return Array.from(
    { length: classes - 1 },
    (_, k) => predicted[k + 1] ? 2 * both[k + 1] / (predicted[k + 1] + referred[k + 1]) : 0,
  );
}
