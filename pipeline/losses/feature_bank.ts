/**
 * The bank of prototypes that SS-Net's separation compares with (section 2.3; after Alonso et al. 2021): per class the
 * projected features of voxels that are predicted right.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { type Heads, PROJECTED } from "../networks/heads.ts";
import type { Weights } from "../networks/parameters.ts";
import * as rows from "../tensorflow/rows.ts";
import type { Scalar, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";

/** The feature bank: per class `[S, 32]` rows (published: S = 32), zero beyond its count. The background's stays empty. */
export interface FeatureBank {
  /** The rows by class, from 0 on; entry 0 is never read. */
  rows: Tensor2D[];
  /** The number of filled rows by class. */
  counts: Scalar[];
}
/** Which scores stay when there are more voxels than rows. */
export type BankOrder = "lowest" | "highest";

/** A bank without prototypes. @param size S, rows a class. */
export function emptyBank({ classes, size }: { classes: number; size: number }): FeatureBank {
  return {
    rows: Array.from({ length: classes }, () => tf.zeros([size, PROJECTED]) as Tensor2D),
    counts: Array.from({ length: classes }, () => tf.scalar(0) as Scalar),
  };
}

/** A bank in a method's state: `bank.1.rows` `[S, 32]` and `bank.1.count` of every class from 1 on. */
export function rememberBank({ rows, counts }: FeatureBank): Weights {
  const entries = rows.flatMap((own, c) => [[`bank.${c}.rows`, own], [`bank.${c}.count`, counts[c]]] as const);
  return Object.fromEntries(entries.slice(2));
}

/** The bank that {@linkcode rememberBank} put away; the background's, which is never read, is class 1's. */
export function recallBank(methodState: Weights, classes: number): FeatureBank {
  const stored = Array.from({ length: classes }, (_, c) => Math.max(c, 1));
  return {
    rows: stored.map((c) => methodState[`bank.${c}.rows`] as Tensor2D),
    counts: stored.map((c) => methodState[`bank.${c}.count`] as Scalar),
  };
}

/**
 * The bank after this step: per class the projections (running statistics) of its correct voxels; of more than S those
 * with the lowest (or highest) `sigmoid(selector)` in that order, else all in their order. A class without any keeps what it had.
 *
 * The paper speaks of the features with the highest scores; the authors' code keeps the lowest.
 *
 * @param heads In a training pass that moves running statistics: the selectors run in it.
 * @param features `[N, 16]` @param labels int32 `[N]`
 * @param correct bool `[N]`: labeled voxels predicted right and not background. @param keeps Which scores stay.
 * @returns Tensors of their own; the bank that was given is left as it is.
 *
 * @example Two correct voxels of class 1 fill two rows; a second step without any keeps them
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { stream } from "@ssnet/pipeline/arrays/random.ts";
 * import { emptyBank, updateBank } from "@ssnet/pipeline/losses/feature_bank.ts";
 * import { separationLoss } from "@ssnet/pipeline/losses/separation.ts";
 * import { heads } from "@ssnet/pipeline/networks/heads.ts";
 * import { Pass } from "@ssnet/pipeline/networks/layers.ts";
 * import { initialize, toWeights } from "@ssnet/pipeline/networks/parameters.ts";
 * import { build } from "@ssnet/pipeline/networks/scope.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { type Tensor2D } from "@ssnet/pipeline/tensorflow/tensors.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const { spec, forward } = build((at) => heads(at, { classes: 2, features: 16 }));
 * const { weights, buffers } = toWeights(spec, initialize(spec, stream(1, "weights")));
 * const inPass = forward(new Pass(weights, buffers, { training: true, updateStatistics: true }));
 * const features = tf.randomNormal([4, 16], 0, 1, "float32", 1) as Tensor2D, labels = tf.tensor1d([1, 1, 1, 0], "int32");
 * const empty = emptyBank({ classes: 2, size: 32 });
 * const right = tf.tensor1d([true, false, true, false], "bool"), none = tf.zerosLike(right);
 * const bank = updateBank(inPass, empty, { features, labels, correct: right, keeps: "lowest" });
 * const same = updateBank(inPass, bank, { features, labels, correct: none, keeps: "lowest" });
 * assert.deepEqual([0, 1].map((c) => same.counts[c].dataSync()[0]), [0, 2]);
 * assert.deepEqual(same.rows[1].arraySync(), bank.rows[1].arraySync());
 *
 * const { loss, took } = separationLoss(inPass, bank, { features, labels, bankWeights: "ones" });
 * assert.ok(loss.dataSync()[0] > 0 && loss.dataSync()[0] < 1); // at most 2, halved: the background counts as a class
 * assert.deepEqual(took.map((t) => t.dataSync()[0]), [0, 1]);
 * ```
 */
export function updateBank(
  heads: Heads,
  bank: FeatureBank,
  { features, labels, correct, keeps }: {
    features: Tensor2D;
    labels: Tensor1D;
    correct: Tensor1D;
    keeps: BankOrder;
  },
): FeatureBank {
  const size = bank.rows.at(-1)!.shape[0];
  const project = heads.projection(null);
  const next: FeatureBank = { rows: [...bank.rows], counts: [...bank.counts] };
  for (let c = 1; c < bank.rows.length; c++) {
    const member = tf.logicalAnd(tf.equal(labels, c), correct) as Tensor1D, count = rows.countOf(member);
    const at = rows.positions(member), projected = project(rows.gatherRows(features, at)); // [M, 32]
    const isRanked = tf.greater(count, size), active = rows.asNumber(isRanked);
    const batch = rows.moments(projected, count);
    const scores = tf.squeeze(heads.select(projected, { of: "features", classIndex: c, batch, active }), [1]);
    // Ranked by score, else by position.
    const score = keeps === "lowest" ? scores : tf.neg(scores);
    const key = rows.either(isRanked, score as Tensor1D, tf.cast(at, "float32"));
    // So many empty rows behind them that there are always enough to choose from.
    const padded = rows.append(projected, tf.zeros([size, PROJECTED]));
    const chosen = rows.smallest(rows.append(key, tf.fill([size], Number.MAX_SAFE_INTEGER)), size);
    const any = tf.greater(count, 0);
    next.rows[c] = tf.where(any, rows.gatherRows(padded, chosen), bank.rows[c]) as Tensor2D;
    next.counts[c] = tf.where(any, tf.minimum(count, size), bank.counts[c]) as Scalar;
  }
  return next;
}
