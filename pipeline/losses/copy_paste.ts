/**
 * Bidirectional copy-paste (BCP; Bai et al., CVPR 2023): a box of one image in another, and the losses of the two regions,
 * as its published code computes them now (the ACDC Dice masks every class, the background too).
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { softmax, statelessUniform } from "../tensorflow/ops.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { crossEntropy, squaredDice } from "./dice.ts";

/**
 * The mask of one iteration: 0 in a box of `floor(2/3 n)` of every axis of n voxels, 1 outside. The box starts anywhere in
 * `[0, n - floor(2/3 n))`, each place equally likely; the last one, flush with the border, never comes.
 * @param size Patch `[X, Y, Z]` or `[H, W]`. @param seed int32 `[2]`
 * @returns `[1, ...size, 1]`
 *
 * @example The box of LA's patch is 74 x 74 x 53
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { LA } from "@ssnet/pipeline/datasets/la/profile.ts";
 * import { boxMask } from "@ssnet/pipeline/losses/copy_paste.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const mask = boxMask(LA.patch, tf.tensor1d([3, 4], "int32"));
 * assert.deepEqual(mask.shape, [1, 112, 112, 80, 1]);
 * assert.equal(tf.sum(tf.sub(1, mask)).dataSync()[0], 74 * 74 * 53);
 * ```
 */
export function boxMask(size: readonly number[], seed: Tensor1D): Tensor {
  const uniform = tf.unstack(statelessUniform([size.length], seed));
  return outsideBoxes(size, (n, axis) => {
    const side = Math.floor(2 * n / 3);
    return { start: tf.reshape(tf.floor(tf.mul(uniform[axis], n - side)), [1, 1]), side: tf.scalar(side) };
  });
}

/**
 * 0 in a box of every row, 1 outside.
 * @param size Patch `[X, Y, Z]` or `[H, W]`. @param boxOf Along an axis of n voxels: its first voxels `[B, 1]`, and the voxels
 * of its side, `[B, 1]` or a number.
 * @returns `[B, ...size, 1]`
 */
export function outsideBoxes(
  size: readonly number[],
  boxOf: (n: number, axis: number) => { start: Tensor; side: Tensor },
): Tensor {
  const lines = size.map((n, axis) => {
    const { start, side } = boxOf(n, axis), position = tf.sub(tf.range(0, n), start); // [B, n]
    const inside = tf.cast(tf.logicalAnd(tf.greaterEqual(position, 0), tf.less(position, side)), "float32");
    return tf.reshape(inside, [start.shape[0], ...size.map((_, i) => i === axis ? n : 1), 1]);
  });
  return tf.sub(1, lines.reduce((a, b) => tf.mul(a, b)));
}

/**
 * `M a + (1 - M) b`: b's box in a. Images, and one-hot labels, which stay one-hot.
 * @param mask M `[1, ..., 1]`, or one a row `[B, ..., 1]` @param outside a `[B, ..., C]` @param inside b, of the same shape.
 */
export function paste(mask: Tensor, { outside, inside }: { outside: Tensor; inside: Tensor }): Tensor {
  return tf.add(tf.mul(outside, mask), tf.mul(inside, tf.sub(1, mask)));
}

/** Cross entropy of a region R, pooled over the batch: `Σ R CE / Σ R`. @param region R `[1, ..., 1]`, 0 or 1, not empty. */
export function regionCrossEntropy(logits: Tensor, target: Tensor, region: Tensor): Scalar {
  return tf.div(crossEntropy(logits, tf.mul(target, region)), tf.mean(region)) as Scalar;
}

/**
 * LA's Dice of a region R, linear, of every sample b and class c, background included:
 * `mean_bc [1 - (2 Σ_R p q + 1e-5) / (Σ_R (p + q) + 1e-5)]`.
 * @param p Probabilities `[B, ..., K]`. @param q One-hot target `[B, ..., K]`. @param region R `[1, ..., 1]`, 0 or 1.
 */
export function regionLinearDice(p: Tensor, q: Tensor, region: Tensor): Scalar {
  const axes = p.shape.slice(1, -1).map((_, i) => i + 1), smooth = 1e-5;
  const sum = (x: Tensor) => tf.sum(tf.mul(x, region), axes); // [B, K]
  const overlap = tf.add(tf.mul(sum(tf.mul(p, q)), 2), smooth);
  return tf.mean(tf.sub(1, tf.div(overlap, tf.add(sum(tf.add(p, q)), smooth)))) as Scalar;
}

/**
 * ACDC's Dice of a region R, {@linkcode squaredDice} with sums over R: of every class, background included, pooled over
 * the batch.
 * @param p Probabilities `[B, ..., K]`. @param q One-hot target `[B, ..., K]`. @param region R `[1, ..., 1]`, 0 or 1.
 */
export function regionSquaredDice(p: Tensor, q: Tensor, region: Tensor): Scalar {
  return squaredDice(tf.mul(p, region), tf.mul(q, region)); // R² = R
}

/** Dice of a region: LA {@linkcode regionLinearDice}, ACDC {@linkcode regionSquaredDice}. */
export type RegionDice = (p: Tensor, q: Tensor, region: Tensor) => Scalar;

/**
 * `(Dice_R + CE_R) / 2` of a region R.
 * @param logits `[B, ..., K]` @param options `target`: one-hot `[B, ..., K]`, read in the region only; `region`: R `[1, ..., 1]`.
 */
export function regionLoss(
  logits: Tensor,
  { target, region, dice }: { target: Tensor; region: Tensor; dice: RegionDice },
): Scalar {
  const overlap = dice(softmax(logits), target, region);
  return tf.mul(tf.add(overlap, regionCrossEntropy(logits, target, region)), 0.5) as Scalar;
}

/** The label of a region and what the region counts. */
export interface Region {
  /** One-hot `[B, ..., K]`; read in the region only. */
  target: Tensor;
  /** 1 where the label is true, 0.5 where it is a pseudo label. */
  weight: number;
}

/** What the loss of a mixed image is made of. */
export interface CopyPaste {
  /** The mask that {@linkcode boxMask} gives. */
  mask: Tensor;
  /** The region where the mask is 1. */
  outside: Region;
  /** The box. */
  inside: Region;
  /** The dataset's. */
  dice: RegionDice;
}

/**
 * BCP's loss of mixed images: `w_M L_M + w_B L_B`, L of {@linkcode regionLoss}, M the region outside the box and B the box.
 * @param logits Of the mixed images `[B, ..., K]`.
 * @returns The sum, and both losses before their weights.
 *
 * @example A box with a pseudo label counts half as much as what is around it
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { boxMask, copyPasteLoss, regionLinearDice } from "@ssnet/pipeline/losses/copy_paste.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const mask = boxMask([6, 6], tf.tensor1d([0, 0], "int32"));
 * const target = tf.concat([tf.ones([1, 6, 6, 1]), tf.zeros([1, 6, 6, 1])], 3), logits = tf.zeros([1, 6, 6, 2]);
 * const { total, outside } = copyPasteLoss(logits, {
 *   mask, outside: { target, weight: 1 }, inside: { target, weight: 0.5 }, dice: regionLinearDice,
 * });
 * const wanted = (2 / 3 + Math.LN2) / 2; // mean Dice loss of 1/3 and 1
 * assert.ok(Math.abs(outside.dataSync()[0] - wanted) < 1e-5);
 * assert.ok(Math.abs(total.dataSync()[0] - 1.5 * wanted) < 1e-5);
 * ```
 */
export function copyPasteLoss(
  logits: Tensor,
  { mask, outside, inside, dice }: CopyPaste,
): { total: Scalar; outside: Scalar; inside: Scalar } {
  const losses = {
    outside: regionLoss(logits, { target: outside.target, region: mask, dice }),
    inside: regionLoss(logits, { target: inside.target, region: tf.sub(1, mask), dice }),
  };
  const total = tf.add(tf.mul(losses.outside, outside.weight), tf.mul(losses.inside, inside.weight)) as Scalar;
  return { total, ...losses };
}
