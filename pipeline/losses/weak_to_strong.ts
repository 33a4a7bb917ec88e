/**
 * FixMatch's weak-to-strong consistency (Sohn et al., NeurIPS 2020) with CutMix (Yun et al., ICCV 2019), for segmentation as
 * in UniMatch (Yang et al., CVPR 2023): what the network is sure of in the weak view is the label of the strong one.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { foldIn, statelessUniform } from "../tensorflow/ops.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { outsideBoxes } from "./copy_paste.ts";
import { oneHot, squaredDice } from "./dice.ts";

/** A row is mixed with this probability, and its box is so much of it, as in UniMatch. */
const MIXED_SHARE = 0.5, LEAST_SHARE = 0.02, LARGEST_SHARE = 0.4;

/**
 * CutMix's masks, one a row: 0 in a box, 1 outside; half of the rows have no box. Its share s of the row is uniform in
 * [0.02, 0.4], its sides are `max(1, round(n s^(1/d)))` of the d axes of n voxels, and each of its places is equally likely.
 * @param size Patch `[X, Y, Z]` or `[H, W]`. @param seed int32 `[2]`
 * @returns `[rows, ...size, 1]`
 */
export function cutMixMask(rows: number, size: readonly number[], seed: Tensor1D): Tensor {
  const draw = (name: string, columns: number) => statelessUniform([rows, columns], foldIn(seed, name));
  const isMixed = tf.cast(tf.less(draw("mixed", 1), MIXED_SHARE), "float32");
  const share = tf.add(tf.mul(draw("share", 1), LARGEST_SHARE - LEAST_SHARE), LEAST_SHARE);
  const ofSide = tf.pow(share, 1 / size.length), places = tf.split(draw("place", size.length), size.length, 1);
  return outsideBoxes(size, (n, axis) => {
    const side = tf.maximum(tf.round(tf.mul(ofSide, n)), 1);
    const start = tf.floor(tf.mul(places[axis], tf.sub(n + 1, side)));
    return { start, side: tf.mul(side, isMixed) };
  });
}

/** Every row in the place of the one before it, the first in that of the last: whose boxes the rows take. */
export function nextRows(x: Tensor): Tensor {
  return tf.concat([tf.slice(x, 1), tf.slice(x, 0, 1)]);
}

/**
 * Pseudo labels: one-hot where the largest probability is at least `threshold`, 0 in all classes elsewhere.
 * @param probabilities `[..., K]`
 *
 * @example The second voxel is not sure enough
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { confidentLabels } from "@ssnet/pipeline/losses/weak_to_strong.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const labels = confidentLabels(tf.tensor2d([[0.02, 0.98], [0.1, 0.9]]), 0.95);
 * assert.deepEqual([...labels.dataSync()], [0, 1, 0, 0]);
 * ```
 */
export function confidentLabels(probabilities: Tensor, threshold: number): Tensor {
  const isSure = tf.cast(tf.greaterEqual(tf.max(probabilities, -1, true), threshold), "float32");
  return tf.mul(oneHot(tf.argMax(probabilities, -1), probabilities.shape.at(-1)!), isSure);
}

/**
 * {@linkcode squaredDice} of the voxels that have a label, s = 1e-5.
 * @param p Probabilities `[..., K]`. @param labels Of {@linkcode confidentLabels}.
 * @returns 0 where no voxel has one.
 */
export function confidentDice(p: Tensor, labels: Tensor): Scalar {
  return squaredDice(tf.mul(p, tf.sum(labels, -1, true)), labels, 1e-5);
}
