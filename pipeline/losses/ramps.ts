/** Weights and thresholds that rise over a training. @module */

/**
 * Ramp-up factor `exp(-5 (1 - clip(step, 0, length) / length)²)`.
 *
 * Paper: Laine & Aila, arXiv 1610.02242.
 *
 * @param step Position in the ramp, same unit as `length`; clamped to `[0, length]`.
 * @param length Length of the ramp; 0 switches the ramp off (factor 1).
 * @returns Factor in `[exp(-5), 1]`.
 * @throws {RangeError} If `length` is negative.
 *
 * @example The weight is full at the end of the ramp
 * ```ts
 * import assert from "node:assert/strict";
 * import { rampUp } from "@ssnet/pipeline/losses/ramps.ts";
 *
 * assert.equal(rampUp(0, 40), Math.exp(-5));
 * assert.equal(rampUp(40, 40), 1);
 * ```
 */
export function rampUp(step: number, length: number): number {
  if (length < 0) throw new RangeError(`Cannot ramp up over a negative length: current length is ${length}`);
  if (length === 0) return 1;
  const phase = 1 - Math.min(Math.max(step, 0), length) / length;
  return Math.exp(-5 * phase * phase);
}

/** Iterations per step of the ramp. */
const RAMP_INTERVAL = 150;

/**
 * Weight of the unsupervised terms: `maximum * rampUp(floor(iteration / 150), length)`.
 *
 * @param iteration SS-Net counts from 1 on LA (read after counting up), from 0 on ACDC; the others by `countsFrom`.
 * @param ramp LA: maximum 1, length 40. ACDC: maximum 0.1, length 200.
 * @returns Between `maximum * exp(-5)` and `maximum`; a staircase, constant over 150 iterations.
 *
 * @example LA's weight is full after 40 steps of 150 iterations
 * ```ts
 * import assert from "node:assert/strict";
 * import { LA } from "@ssnet/pipeline/datasets/la/profile.ts";
 * import { consistencyWeight } from "@ssnet/pipeline/losses/ramps.ts";
 *
 * assert.equal(consistencyWeight(6000, LA.consistency), 1);
 * assert.equal(consistencyWeight(149, LA.consistency), consistencyWeight(0, LA.consistency));
 * ```
 */
export function consistencyWeight(iteration: number, ramp: { maximum: number; length: number }): number {
  return ramp.maximum * rampUp(Math.floor(iteration / RAMP_INTERVAL), ramp.length);
}

/**
 * UA-MT's threshold: the consistency counts where the entropy is below `(0.75 + 0.25 rampUp(iteration, length)) ln 2`.
 *
 * Reference: UA-MT, `train_LA_meanteacher_certainty_unlabel.py`; ln 2 also where there are more than two classes.
 * @param iteration From 0. @param length Iterations of the whole training.
 * @returns In nats, up to ln 2.
 *
 * @example At the end all voxels of two classes count, but for those of probability 1/2
 * ```ts
 * import assert from "node:assert/strict";
 * import { uncertaintyThreshold } from "@ssnet/pipeline/losses/ramps.ts";
 *
 * assert.ok(Math.abs(uncertaintyThreshold(0, 6000) - 0.521028) < 1e-6);
 * assert.equal(uncertaintyThreshold(6000, 6000), Math.LN2);
 * ```
 */
export function uncertaintyThreshold(iteration: number, length: number): number {
  return (0.75 + 0.25 * rampUp(iteration, length)) * Math.LN2;
}
