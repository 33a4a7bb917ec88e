/**
 * Soft Dice losses and cross entropy on probabilities, channels last.
 * @module
 */
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";

/**
 * Dice with linear denominator, all entries pooled: `1 - (2 Σ p q + s) / (Σ p + Σ q + s)`.
 *
 * Reference: SS-Net, `Binary_dice_loss` (LA: supervised term, and the distance of the smoothness term).
 * @param p Probabilities, any shape. @param q Target of the same shape. @param smooth s.
 */
export function linearDice(p: Tensor, q: Tensor, smooth = 1e-8): Scalar {
  const { tf } = openTensorFlow();
  const overlap = tf.add(tf.mul(tf.sum(tf.mul(p, q)), 2), smooth);
  return tf.sub(1, tf.div(overlap, tf.add(tf.add(tf.sum(p), tf.sum(q)), smooth))) as Scalar;
}

/**
 * `linearDice` of the last class alone; of two classes that is the foreground.
 * @param p Probabilities `[..., K]`. @param q One-hot target `[..., K]`.
 */
export function foregroundDice(p: Tensor, q: Tensor): Scalar {
  const { tf } = openTensorFlow();
  const last = (x: Tensor) =>
    tf.slice(x, x.shape.map((n, i) => i === x.rank - 1 ? n - 1 : 0), [...x.shape.slice(0, -1), 1]);
  return linearDice(last(p), last(q));
}

/**
 * Dice with squared denominator, mean over classes: `mean_c [1 - (2 Σ p q + s) / (Σ p² + Σ q² + s)]`.
 *
 * Reference: SS-Net, `softDiceLoss` and `DiceLoss` (ACDC; s = 1e-10); the compared methods take s = 1e-5.
 * @param p Probabilities `[..., K]`. @param q Target `[..., K]`.
 */
export function squaredDice(p: Tensor, q: Tensor, smooth = 1e-10): Scalar {
  const { tf } = openTensorFlow();
  const classes = p.shape.at(-1)!;
  const sum = (x: Tensor) => tf.sum(tf.reshape(x, [-1, classes]), 0); // [K]
  const overlap = tf.add(tf.mul(sum(tf.mul(p, q)), 2), smooth);
  return tf.mean(tf.sub(1, tf.div(overlap, tf.add(tf.add(sum(tf.square(p)), sum(tf.square(q))), smooth)))) as Scalar;
}

/** Mean cross entropy. @param logits `[..., K]` @param target One-hot `[..., K]` */
export function crossEntropy(logits: Tensor, target: Tensor): Scalar {
  const { tf } = openTensorFlow();
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), target), -1))) as Scalar;
}
