/**
 * Inter-class separation with a bank of prototypes (SS-Net, section 2.3; after Alonso et al. 2021), in factorised form:
 * with weights a of mean 1, `mean_ij((1 - ẑ_i·m̂_j) a_i b_j) = 1 - (1/M Σ a_i ẑ_i)·(1/N Σ b_j m̂_j)`; no M×N matrix exists.
 *
 * All rows of a half run through the heads together, as batch statistics are over every voxel; a class picks its own
 * rows by a 0/1 mask. Shapes therefore never depend on values, and the step can be traced.
 * @module
 */
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { predict, project, select } from "../networks/heads.ts";
import type { Pass } from "../networks/layers.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import { stopGradient } from "../tensorflow/ops.ts";

/** Rows kept per class. */
export const BANK_ROWS = 32;

/** The feature bank: per class `[32, 32]` rows, zero beyond its count. The background's stays empty. */
export interface FeatureBank {
  rows: Tensor2D[];
  counts: Scalar[];
}
/** "ones" as the authors' code has it (its normalisation cancels), "learned" as the paper writes it. */
export type BankWeights = "ones" | "learned";

/** L2-normalised rows. @param x `[N, F]` */
function unitRows(x: Tensor2D): Tensor2D {
  const { tf } = openTensorFlow();
  return tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), 1, true)), 1e-12));
}
const asNumber = (condition: Tensor): Scalar => openTensorFlow().tf.cast(condition, "float32") as Scalar;
const memberOf = (labels: Tensor1D, classIndex: number): Tensor1D =>
  openTensorFlow().tf.cast(openTensorFlow().tf.equal(labels, classIndex), "float32");

/**
 * The bank after this step: per class the projections (running statistics) of its correct voxels; of more than 32 those
 * with the lowest `sigmoid(selector)` in ascending order, else all in their order. A class without any keeps what it had.
 *
 * @param pass Training pass that moves running statistics: the selectors run in it.
 * @param correct 1 for labelled voxels predicted right and not background `[N]`.
 */
export function updateBank(
  pass: Pass,
  bank: FeatureBank,
  { features, labels, correct }: { features: Tensor2D; labels: Tensor1D; correct: Tensor1D },
): FeatureBank {
  const { tf } = openTensorFlow();
  const projected = project(pass.with({ training: false }), features); // [N, 32]
  const order = tf.cast(tf.range(0, features.shape[0], 1, "int32"), "float32");
  const slots = Math.min(BANK_ROWS, features.shape[0]);
  const next: FeatureBank = { rows: [...bank.rows], counts: [...bank.counts] };
  for (let c = 1; c < bank.rows.length; c++) {
    const member = tf.mul(memberOf(labels, c), correct) as Tensor1D;
    const count = tf.sum(member) as Scalar;
    const ranked = tf.greater(count, BANK_ROWS);
    const logits = select(pass, projected, { of: "features", classIndex: c, member, active: asNumber(ranked) });
    const key = tf.where(ranked, tf.sigmoid(logits), order);
    const { indices } = tf.topk(tf.neg(tf.where(tf.cast(member, "bool"), key, tf.fill(key.shape, 1e9))), slots);
    const kept = tf.minimum(count, BANK_ROWS) as Scalar;
    const filled = tf.cast(tf.less(tf.range(0, slots), kept), "float32");
    const rows = tf.pad(
      tf.mul(tf.gatherND(projected, tf.expandDims(indices, 1)), tf.expandDims(filled, 1)) as Tensor2D,
      [
        [0, BANK_ROWS - slots],
        [0, 0],
      ],
    );
    const any = tf.greater(count, 0);
    next.rows[c] = tf.where(any, rows, bank.rows[c]) as Tensor2D;
    next.counts[c] = tf.where(any, kept, bank.counts[c]) as Scalar;
  }
  return next;
}

/** The loss of one half, and per class 1 where it took part: else its heads get no gradient at all. */
export interface Separation {
  loss: Scalar;
  took: Scalar[];
}

/**
 * Separation loss of one half: the sum over classes with more than 1 voxel and more than 1 bank row of
 * `mean_ij((1 - ẑ_i·m̂_j) a_i b_j)`, divided by the number of all classes.
 *
 * `a = M/Σs · s`, `s = sigmoid(selector(z))`, z detached; b by `bankWeights`.
 * @param features `[N, 16]` @param labels Class of every row `[N]`.
 */
export function separationLoss(
  pass: Pass,
  bank: FeatureBank,
  { features, labels, bankWeights }: { features: Tensor2D; labels: Tensor1D; bankWeights: BankWeights },
): Separation {
  const { tf } = openTensorFlow();
  const z = predict(pass, project(pass, features)); // [N, 32]
  const unit = unitRows(z), detached = stopGradient(z);
  let total: Tensor = tf.scalar(0);
  const took: Scalar[] = [tf.scalar(0)];
  for (let c = 1; c < bank.rows.length; c++) {
    const member = memberOf(labels, c), count = bank.counts[c];
    const active = asNumber(tf.logicalAnd(tf.greater(tf.sum(member), 1), tf.greater(count, 1)));
    took.push(active);
    const scores = tf.mul(
      tf.sigmoid(select(pass, detached, { of: "features", classIndex: c, member, active })),
      member,
    );
    // Σ a_i ẑ_i / M = Σ s_i ẑ_i / Σ s_i
    const center = tf.div(tf.sum(tf.mul(unit, tf.expandDims(scores, 1)), 0), tf.maximum(tf.sum(scores), 1e-12)); // [32]
    const prototypes = unitRows(bank.rows[c]); // [32, 32]
    const filled = tf.cast(tf.less(tf.range(0, BANK_ROWS), count), "float32") as Tensor1D;
    const b = tf.sigmoid(select(pass, prototypes, { of: "bank", classIndex: c, member: filled, active }));
    // The division by itself is the authors' normalisation over an axis of length 1: the selector runs and never learns.
    const weights = bankWeights === "ones"
      ? tf.div(b, b)
      : tf.div(tf.mul(b, count), tf.maximum(tf.sum(tf.mul(b, filled)), 1e-12));
    const prototype = tf.div(tf.sum(tf.mul(prototypes, tf.expandDims(weights, 1)), 0), tf.maximum(count, 1)); // [32]
    total = tf.add(total, tf.mul(tf.sub(1, tf.sum(tf.mul(center, prototype))), active));
  }
  return { loss: tf.div(total, bank.rows.length) as Scalar, took };
}
