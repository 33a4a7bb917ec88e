/**
 * Two-stream sampling: an epoch is one shuffled pass over the labeled cases in chunks (the remainder is dropped);
 * the unlabeled cases are shuffled anew every epoch.
 * @module
 */
import { permutation, stream } from "../arrays/random.ts";

/** Sizes of the two streams and of their share of a batch. */
export interface TwoStreams {
  /** Cases (LA) or slices (ACDC) whose labels are used. */
  labeledCases: number;
  /** The number of cases that are read without labels; 0 for a method that takes none. */
  unlabeledCases: number;
  /** First rows of a batch: 2 (LA), 12 (ACDC). */
  labeledPerBatch: number;
  /** Rows behind them: 2 (LA), 12 (ACDC), or 0. */
  unlabeledPerBatch: number;
}

/**
 * Cases of the batch of an iteration, a pure function of seed and iteration.
 * @param iteration From 1.
 * @returns Positions in the labeled and in the unlabeled list.
 * @throws {RangeError} When a stream has fewer cases than a batch wants.
 *
 * @example Two batches are an epoch over four labeled cases
 * ```ts
 * import assert from "node:assert/strict";
 * import { batchCases } from "@ssnet/pipeline/data/sampler.ts";
 *
 * const streams = { labeledCases: 4, unlabeledCases: 9, labeledPerBatch: 2, unlabeledPerBatch: 2 };
 * const first = batchCases(1337, 1, streams), second = batchCases(1337, 2, streams);
 * assert.deepEqual([...first.labeled, ...second.labeled].sort(), [0, 1, 2, 3]);
 * ```
 */
export function batchCases(seed: number, iteration: number, streams: TwoStreams): {
  labeled: number[];
  unlabeled: number[];
} {
  const { labeledCases, unlabeledCases, labeledPerBatch, unlabeledPerBatch } = streams;
  if (labeledCases < labeledPerBatch) {
    throw new RangeError(`Cannot fill a batch: ${labeledPerBatch} labeled cases wanted, ${labeledCases} found`);
  }
  const perEpoch = Math.floor(labeledCases / labeledPerBatch);
  const epoch = Math.floor((iteration - 1) / perEpoch), chunk = (iteration - 1) % perEpoch;
  if (unlabeledCases < unlabeledPerBatch) {
    throw new RangeError(`Cannot fill a batch: ${unlabeledPerBatch} unlabeled cases wanted, ${unlabeledCases} found`);
  }
  const labeled = permutation(labeledCases, stream(seed, "sampler labeled", epoch));
  // Few unlabeled cases: passes follow one another until the epoch is full.
  const unlabeled: number[] = [], random = stream(seed, "sampler unlabeled", epoch);
  while (unlabeled.length < perEpoch * unlabeledPerBatch) unlabeled.push(...permutation(unlabeledCases, random));
  return {
    labeled: labeled.slice(chunk * labeledPerBatch, (chunk + 1) * labeledPerBatch),
    unlabeled: unlabeled.slice(chunk * unlabeledPerBatch, (chunk + 1) * unlabeledPerBatch),
  };
}
