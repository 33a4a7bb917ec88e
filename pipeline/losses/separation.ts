/**
 * Inter-class separation with a bank of prototypes (SS-Net, section 2.3; after Alonso et al. 2021), in factorized form:
 * with weights a of mean 1, `mean_ij((1 - ẑ_i·m̂_j) a_i b_j) = 1 - (1/M Σ a_i ẑ_i)·(1/N Σ b_j m̂_j)`; no M×N matrix exists.
 *
 * Batch statistics of the heads are over every voxel of a half, but they follow from the moments of the rows in front of
 * them; only the rows of a class go through the heads themselves.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { type Heads, projectedMoments } from "../networks/heads.ts";
import { stopGradient } from "../tensorflow/ops.ts";
import * as rows from "../tensorflow/rows.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";
import type { FeatureBank } from "./feature_bank.ts";

/** "ones" as the authors' code has it (its normalization cancels), "learned" as the paper writes it. */
export type BankWeights = "ones" | "learned";

/** The loss of one half, and per class 1 where it took part, else 0: its heads then get no gradient at all. */
export interface Separation {
  /**
   * The loss, in [0, 2 (K - 1) / K]: mean cosine distances, summed over the foreground and divided by all K classes.
   */
  loss: Scalar;
  /** Whether a class took part, from class 0 on. */
  took: Scalar[];
}

/**
 * Separation loss of one half: the sum over classes with more than 1 voxel and more than 1 bank row of
 * `mean_ij((1 - ẑ_i·m̂_j) a_i b_j)`, divided by the number of all classes.
 *
 * `a = M/Σs · s`, `s = sigmoid(selector(z))`, z detached; b by `bankWeights`.
 * @param heads In a training pass; their batch norms take the statistics of these rows.
 * @param features `[N, 16]`
 * @param labels Class of every row, int32 `[N]`: true labels, or pseudo labels of the other half.
 */
export function separationLoss(
  heads: Heads,
  bank: FeatureBank,
  { features, labels, bankWeights }: { features: Tensor2D; labels: Tensor1D; bankWeights: BankWeights },
): Separation {
  const all = tf.scalar(features.shape[0]);
  const project = heads.projection(rows.moments(features, all));
  const predict = heads.prediction(projectedMoments({ features, project, count: all }));
  let total: Tensor = tf.scalar(0);
  const took: Scalar[] = [tf.scalar(0)];
  for (let c = 1; c < bank.rows.length; c++) {
    const member = tf.equal(labels, c) as Tensor1D, voxels = rows.countOf(member), bankCount = bank.counts[c];
    const takesPart = tf.logicalAnd(tf.greater(voxels, 1), tf.greater(bankCount, 1)), active = rows.asNumber(takesPart);
    took.push(active);
    // Of a class that takes no part, and of the bank beyond its count, there are no rows in what follows: not one of their
    // values could be divided by a standard deviation or a sum of its own.
    const rowsOf = (x: Tensor2D, condition: Tensor) =>
      rows.gatherRows(x, rows.positions(tf.logicalAnd(condition, takesPart) as Tensor1D));
    const count = tf.mul(voxels, active) as Scalar, prototypeCount = tf.mul(bankCount, active) as Scalar;
    const z = predict(project(rowsOf(features, member))); // [M, 32]
    const detached = stopGradient(z);
    const batch = rows.moments(detached, count);
    const scores = heads.select(detached, { of: "features", classIndex: c, batch, active }); // [M, 1]
    // Σ a_i ẑ_i / M = Σ s_i ẑ_i / Σ s_i
    const weight = tf.maximum(rows.sumRows(scores), 1e-12); // [1]
    const center = tf.div(rows.weightedUnitSum(scores, z), weight); // [32]
    const filled = tf.less(tf.range(0, bank.rows[c].shape[0]), bankCount);
    const prototypes = rows.unitRows(rowsOf(bank.rows[c], filled)); // [N, 32]
    const bankBatch = rows.moments(prototypes, prototypeCount);
    const selection = { of: "bank", classIndex: c, batch: bankBatch, active } as const;
    const b = bankWeights === "ones" ? heads.runUnread(prototypes, selection) : heads.select(prototypes, selection); // [N, 1]
    const bankWeight = bankWeights === "ones" ? tf.maximum(prototypeCount, 1) : tf.maximum(rows.sumRows(b), 1e-12);
    const prototype = tf.div(rows.weightedSum(b, prototypes), bankWeight); // [32]
    total = tf.add(total, tf.mul(tf.sub(1, tf.sum(tf.mul(center, prototype))), active));
  }
  return { loss: tf.div(total, bank.rows.length) as Scalar, took };
}
