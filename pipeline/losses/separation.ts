/**
 * Inter-class separation with a bank of prototypes (SS-Net, section 2.3; after Alonso et al. 2021), in factorized form:
 * with weights a of mean 1, `mean_ij((1 - ẑ_i·m̂_j) a_i b_j) = 1 - (1/M Σ a_i ẑ_i)·(1/N Σ b_j m̂_j)`; no M×N matrix exists.
 *
 * Batch statistics of the heads are over every voxel of a half, but they follow from the moments of the rows in front of
 * them; only the rows of a class go through the heads themselves.
 * @module
 */
import { prediction, PROJECTED, projectedMoments, projection, runUnread, select } from "../networks/heads.ts";
import type { Pass } from "../networks/layers.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import { stopGradient } from "../tensorflow/ops.ts";
import * as rows from "../tensorflow/rows.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";

/** The feature bank: per class `[S, 32]` rows (published: S = 32), zero beyond its count. The background's stays empty. */
export interface FeatureBank {
  /** By class, from 0 on; entry 0 is never read. */
  rows: Tensor2D[];
  /** By class: how many of the rows are filled. */
  counts: Scalar[];
}
/** Which scores stay when there are more voxels than rows. */
export type BankOrder = "lowest" | "highest";
/** "ones" as the authors' code has it (its normalization cancels), "learned" as the paper writes it. */
export type BankWeights = "ones" | "learned";

const asNumber = (condition: Tensor): Scalar => openTensorFlow().tf.cast(condition, "float32") as Scalar;

/** How often a condition holds. */
const countOf = (condition: Tensor1D): Scalar => openTensorFlow().tf.sum(asNumber(condition));

/**
 * The bank after this step: per class the projections (running statistics) of its correct voxels; of more than S those
 * with the lowest (or highest) `sigmoid(selector)` in that order, else all in their order. A class without any keeps what it had.
 *
 * @param pass Training pass that moves running statistics: the selectors run in it.
 * The paper speaks of the features with the highest scores; the authors' code keeps the lowest.
 *
 * @param features `[N, 16]` @param labels int32 `[N]`
 * @param correct bool `[N]`: labeled voxels predicted right and not background. @param keeps Which scores stay.
 * @returns Tensors of their own; the bank that was given is left as it is.
 *
 * @example Two correct voxels of class 1 fill two rows; a second step without any keeps them
 * ```ts
 * import assert from "node:assert/strict";
 * import { stream } from "@ssnet/pipeline/arrays/random.ts";
 * import { separationLoss, updateBank } from "@ssnet/pipeline/losses/separation.ts";
 * import { headsSpec } from "@ssnet/pipeline/networks/heads.ts";
 * import { Pass } from "@ssnet/pipeline/networks/layers.ts";
 * import { initialize, SpecBuilder, toWeights } from "@ssnet/pipeline/networks/parameters.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { type Tensor2D } from "@ssnet/pipeline/tensorflow/tensors.ts";
 *
 * const { tf } = openTensorFlow({ device: "cpu" });
 * const spec = headsSpec(new SpecBuilder(), { classes: 2 });
 * const { weights, buffers } = toWeights(spec, initialize(spec, stream(1, "weights")));
 * const pass = new Pass(weights, buffers, { training: true, updateStatistics: true });
 * const features = tf.randomNormal([4, 16], 0, 1, "float32", 1) as Tensor2D, labels = tf.tensor1d([1, 1, 1, 0], "int32");
 * const empty = { rows: [0, 1].map(() => tf.zeros([32, 32]) as Tensor2D), counts: [0, 1].map(() => tf.scalar(0)) };
 * const right = tf.tensor1d([true, false, true, false], "bool"), none = tf.zerosLike(right);
 * const bank = updateBank(pass, empty, { features, labels, correct: right, keeps: "lowest" });
 * const same = updateBank(pass, bank, { features, labels, correct: none, keeps: "lowest" });
 * assert.deepEqual([0, 1].map((c) => same.counts[c].dataSync()[0]), [0, 2]);
 * assert.deepEqual(same.rows[1].arraySync(), bank.rows[1].arraySync());
 *
 * const { loss, took } = separationLoss(pass, bank, { features, labels, bankWeights: "ones" });
 * assert.ok(loss.dataSync()[0] > 0 && loss.dataSync()[0] < 1); // at most 2, halved: the background counts as a class
 * assert.deepEqual(took.map((t) => t.dataSync()[0]), [0, 1]);
 * ```
 */
export function updateBank(
  pass: Pass,
  bank: FeatureBank,
  { features, labels, correct, keeps }: {
    features: Tensor2D;
    labels: Tensor1D;
    correct: Tensor1D;
    keeps: BankOrder;
  },
): FeatureBank {
  const { tf } = openTensorFlow(), size = bank.rows.at(-1)!.shape[0];
  const project = projection(pass, null);
  const next: FeatureBank = { rows: [...bank.rows], counts: [...bank.counts] };
  for (let c = 1; c < bank.rows.length; c++) {
    const member = tf.logicalAnd(tf.equal(labels, c), correct) as Tensor1D, count = countOf(member);
    const at = rows.positions(member), projected = project(rows.gatherRows(features, at)); // [M, 32]
    const isRanked = tf.greater(count, size), active = asNumber(isRanked);
    const batch = rows.moments(projected, count);
    const scores = tf.squeeze(select(pass, projected, { of: "features", classIndex: c, batch, active }), [1]);
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

/** The loss of one half, and per class 1 where it took part, else 0: its heads then get no gradient at all. */
export interface Separation {
  /** In [0, 2 (K - 1) / K]: mean cosine distances, summed over the foreground and divided by all K classes. */
  loss: Scalar;
  /** By class, from 0 on. */
  took: Scalar[];
}

/**
 * Separation loss of one half: the sum over classes with more than 1 voxel and more than 1 bank row of
 * `mean_ij((1 - ẑ_i·m̂_j) a_i b_j)`, divided by the number of all classes.
 *
 * `a = M/Σs · s`, `s = sigmoid(selector(z))`, z detached; b by `bankWeights`.
 * @param pass Training pass; the batch norms of its heads take the statistics of these rows.
 * @param features `[N, 16]` @param labels Class of every row, int32 `[N]`: true labels, or pseudo labels of the other half.
 */
export function separationLoss(
  pass: Pass,
  bank: FeatureBank,
  { features, labels, bankWeights }: { features: Tensor2D; labels: Tensor1D; bankWeights: BankWeights },
): Separation {
  const { tf } = openTensorFlow();
  const all = tf.scalar(features.shape[0]);
  const project = projection(pass, rows.moments(features, all));
  const predict = prediction(pass, projectedMoments(pass, { features, project, count: all }));
  let total: Tensor = tf.scalar(0);
  const took: Scalar[] = [tf.scalar(0)];
  for (let c = 1; c < bank.rows.length; c++) {
    const member = tf.equal(labels, c) as Tensor1D, voxels = countOf(member), bankCount = bank.counts[c];
    const takesPart = tf.logicalAnd(tf.greater(voxels, 1), tf.greater(bankCount, 1)), active = asNumber(takesPart);
    took.push(active);
    // Of a class that takes no part, and of the bank beyond its count, there are no rows in what follows: not one of their
    // values could be divided by a deviation or a sum of its own.
    const rowsOf = (x: Tensor2D, condition: Tensor) =>
      rows.gatherRows(x, rows.positions(tf.logicalAnd(condition, takesPart) as Tensor1D));
    const count = tf.mul(voxels, active) as Scalar, prototypeCount = tf.mul(bankCount, active) as Scalar;
    const z = predict(project(rowsOf(features, member))); // [M, 32]
    const detached = stopGradient(z);
    const batch = rows.moments(detached, count);
    const scores = select(pass, detached, { of: "features", classIndex: c, batch, active }); // [M, 1]
    // Σ a_i ẑ_i / M = Σ s_i ẑ_i / Σ s_i
    const weight = tf.maximum(rows.sumRows(scores), 1e-12); // [1]
    const center = tf.div(rows.weightedUnitSum(scores, z), weight); // [32]
    const filled = tf.less(tf.range(0, bank.rows[c].shape[0]), bankCount);
    const prototypes = rows.unitRows(rowsOf(bank.rows[c], filled)); // [N, 32]
    const bankBatch = rows.moments(prototypes, prototypeCount);
    const selection = { of: "bank", classIndex: c, batch: bankBatch, active } as const;
    const b = bankWeights === "ones" ? runUnread(pass, prototypes, selection) : select(pass, prototypes, selection); // [N, 1]
    const bankWeight = bankWeights === "ones" ? tf.maximum(prototypeCount, 1) : tf.maximum(rows.sumRows(b), 1e-12);
    const prototype = tf.div(rows.weightedSum(b, prototypes), bankWeight); // [32]
    total = tf.add(total, tf.mul(tf.sub(1, tf.sum(tf.mul(center, prototype))), active));
  }
  return { loss: tf.div(total, bank.rows.length) as Scalar, took };
}
