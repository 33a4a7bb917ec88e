/**
 * Soft Dice losses and cross entropy on probabilities, channels last.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { softmax } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";

/**
 * Dice with linear denominator, all entries pooled: `1 - (2 Σ p q + s) / (Σ p + Σ q + s)`.
 *
 * Reference: SS-Net, `Binary_dice_loss` (LA: supervised term, and the distance of the smoothness term).
 * @param p Probabilities, any shape.
 * @param q Target of the same shape, probabilities or one-hot.
 * @param smooth s.
 * @returns In [0, 1] but for rounding; not 0 for p = q unless all entries are 0 or 1.
 *
 * @example Half the foreground found, and nothing else
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { linearDice } from "@ssnet/pipeline/losses/dice.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const loss = linearDice(tf.tensor1d([1, 0, 0]), tf.tensor1d([1, 1, 0]), 0);
 * assert.ok(Math.abs(loss.dataSync()[0] - (1 - 2 / 3)) < 1e-6);
 * ```
 */
export function linearDice(p: Tensor, q: Tensor, smooth = 1e-8): Scalar {
  const overlap = tf.add(tf.mul(tf.sum(tf.mul(p, q)), 2), smooth);
  return tf.sub(1, tf.div(overlap, tf.add(tf.add(tf.sum(p), tf.sum(q)), smooth))) as Scalar;
}

/** Mean over the foreground classes c = 1 … K - 1 of `loss(p_c, q_c)`, each `[..., 1]`. */
function meanOverForeground(p: Tensor, q: Tensor, loss: (p: Tensor, q: Tensor) => Scalar): Scalar {
  const classes = p.shape.at(-1)!, before = p.shape.slice(0, -1);
  const only = (x: Tensor, c: number) => tf.slice(x, [...before.map(() => 0), c], [...before, 1]);
  const losses = Array.from({ length: classes - 1 }, (_, i) => loss(only(p, i + 1), only(q, i + 1)));
  return losses.length === 1 ? losses[0] : tf.div(tf.addN(losses), losses.length) as Scalar;
}

/**
 * {@linkcode linearDice} of every foreground class, their mean; of two classes the supervised term of SS-Net and MC-Net on LA.
 * @param p Probabilities `[..., K]`.
 * @param q One-hot target `[..., K]`.
 *
 * @example One of two foreground classes is found
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { foregroundDice } from "@ssnet/pipeline/losses/dice.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const target = tf.tensor2d([[0, 1, 0], [0, 0, 1]]), found = tf.tensor2d([[0, 1, 0], [1, 0, 0]]);
 * assert.ok(Math.abs(foregroundDice(found, target).dataSync()[0] - 0.5) < 1e-6);
 * ```
 */
export function foregroundDice(p: Tensor, q: Tensor): Scalar {
  return meanOverForeground(p, q, linearDice);
}

/**
 * {@linkcode squaredDice} of every foreground class, their mean, s = 1e-5: of two classes LA's supervised term of UA-MT,
 * SASSNet and DTC.
 * @param p Probabilities `[..., K]`.
 * @param q One-hot target `[..., K]`.
 */
export function foregroundSquaredDice(p: Tensor, q: Tensor): Scalar {
  return meanOverForeground(p, q, (p, q) => squaredDice(p, q, 1e-5));
}

/** The sums per class `[K]` over all other axes: `Σ p q`, and `Σ p² + Σ q²`. */
function classSums(p: Tensor, q: Tensor): { overlap: Tensor; squares: Tensor } {
  const classes = p.shape.at(-1)!;
  const sum = (x: Tensor) => tf.sum(tf.reshape(x, [-1, classes]), 0);
  return { overlap: sum(tf.mul(p, q)), squares: tf.add(sum(tf.square(p)), sum(tf.square(q))) };
}

/**
 * Dice with squared denominator, mean over classes: `mean_c [1 - (2 Σ p q + s) / (Σ p² + Σ q² + s)]`.
 *
 * Reference: SS-Net, `softDiceLoss` and `DiceLoss` (ACDC; s = 1e-10); UA-MT, SASSNet, DTC and URPC take s = 1e-5.
 * @param p Probabilities `[..., K]`.
 * @param q Target `[..., K]`, probabilities or one-hot.
 * @param smooth s.
 * @returns In [0, 1] but for rounding; 0 for p = q.
 *
 * @example The background counts as much as any other class
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { squaredDice } from "@ssnet/pipeline/losses/dice.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const p = tf.tensor2d([[1, 0], [1, 0], [1, 0]]), q = tf.tensor2d([[1, 0], [1, 0], [0, 1]]);
 * const loss = squaredDice(p, q).dataSync()[0];
 * assert.ok(Math.abs(loss - ((1 - 4 / 5) + 1) / 2) < 1e-6);
 * ```
 */
export function squaredDice(p: Tensor, q: Tensor, smooth = 1e-10): Scalar {
  const { overlap, squares } = classSums(p, q);
  return tf.mean(tf.sub(1, tf.div(tf.add(tf.mul(overlap, 2), smooth), tf.add(squares, smooth)))) as Scalar;
}

/** The labeled Dice of SS-Net and of labeled-only training, by the protocol: probabilities and one-hot target `[..., K]`. */
export const SUPERVISED_DICE = { la: foregroundDice, acdc: squaredDice } as const;

/** The labeled Dice of UA-MT, SASSNet and DTC, by the dataset: probabilities and one-hot target `[..., K]`, s = 1e-5. */
export const COMPARED_DICE = {
  la: foregroundSquaredDice,
  acdc: (p: Tensor, q: Tensor): Scalar => squaredDice(p, q, 1e-5),
} as const;

/**
 * {@linkcode squaredDice} without the factor 2: `mean_c [1 - Σ p q / (Σ p² + Σ q² + 1e-10)]`. MC-Net's supervised term on
 * ACDC, as published: half of `squaredDice`, plus 0.5, so 0.5 for p = q.
 * @param p Probabilities `[..., K]`.
 * @param q Target `[..., K]`.
 *
 * @example Nothing is wrong, and the loss is 0.5
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { halvedDice } from "@ssnet/pipeline/losses/dice.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const p = tf.tensor2d([[1, 0], [1, 0], [0, 1]]);
 * assert.ok(Math.abs(halvedDice(p, p).dataSync()[0] - 0.5) < 1e-6);
 * ```
 */
export function halvedDice(p: Tensor, q: Tensor): Scalar {
  const { overlap, squares } = classSums(p, q);
  return tf.mean(tf.sub(1, tf.div(overlap, tf.add(squares, 1e-10)))) as Scalar;
}

/**
 * Labels as the losses compare with them: one-hot, float32.
 * @param label int32 `[...]`
 * @returns `[..., K]`
 */
export function oneHot(label: Tensor, classes: number): Tensor {
  return tf.cast(tf.oneHot(label, classes), "float32");
}

/**
 * Softmax cross entropy, mean over batch and space: `mean(-Σ_c t_c log softmax(logits)_c)`. SS-Net reports it and does not
 * train on it.
 * @param logits `[..., K]`
 * @param target One-hot `[..., K]`
 */
export function crossEntropy(logits: Tensor, target: Tensor): Scalar {
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), target), -1))) as Scalar;
}

/**
 * The labeled term of UA-MT, mean teacher and FixMatch: `(CE + Dice) / 2`, the Dice by the protocol ({@linkcode COMPARED_DICE}).
 * @param logits `[..., K]`
 * @param target One-hot `[..., K]`.
 */
export function comparedSupervised(logits: Tensor, target: Tensor, protocol: keyof typeof COMPARED_DICE): Scalar {
  const dice = COMPARED_DICE[protocol](softmax(logits), target);
  return tf.mul(tf.add(crossEntropy(logits, target), dice), 0.5) as Scalar;
}
