/**
 * Consistency terms of three compared methods, channels last: UA-MT (Yu et al., MICCAI 2019), URPC (Luo et al.,
 * MICCAI 2021) and MC-Net (Wu et al., MICCAI 2021), each as its published code computes it.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";

/**
 * UA-MT's uncertainty: `-Σ_c m_c ln(m_c + 1e-6)`.
 * @param mean Mean of the teacher's probabilities over its stochastic passes `[B, ..., K]`.
 * @returns `[B, ..., 1]`, in nats, up to ln K.
 */
export function predictiveEntropy(mean: Tensor): Tensor {
  return tf.neg(tf.sum(tf.mul(mean, tf.log(tf.add(mean, 1e-6))), -1, true));
}

/**
 * 1 where `uncertainty < threshold`, else 0. Through it no gradient can flow.
 * @param threshold Of {@linkcode uncertaintyThreshold}.
 */
export function certainMask(uncertainty: Tensor, threshold: Scalar): Tensor {
  return tf.cast(tf.less(uncertainty, threshold), "float32");
}

/**
 * UA-MT's consistency: `Σ M (p - q)² / (2 Σ M + 1e-16)`, sums over batch, space and, above, all classes. The 2 is that of
 * LA's two classes and stays with more.
 * @param p Student's probabilities `[B, ..., K]`. @param q Teacher's, of one pass. @param mask M `[B, ..., 1]`, 0 or 1.
 * @returns 0 where no voxel is certain.
 *
 * @example Of two voxels the teacher is sure of the first; student and teacher differ there by 0.1
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { certainMask, maskedSquaredError, predictiveEntropy } from "@ssnet/pipeline/losses/consistency.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const teacher = tf.tensor2d([[0.9, 0.1], [0.5, 0.5]]), student = tf.tensor2d([[0.8, 0.2], [0.9, 0.1]]);
 * const mask = certainMask(predictiveEntropy(teacher), tf.scalar(0.6));
 * assert.deepEqual([...mask.dataSync()], [1, 0]);
 * const loss = maskedSquaredError(student, teacher, mask).dataSync()[0];
 * assert.ok(Math.abs(loss - (0.1 ** 2 + 0.1 ** 2) / 2) < 1e-6);
 * ```
 */
export function maskedSquaredError(p: Tensor, q: Tensor, mask: Tensor): Scalar {
  const error = tf.sum(tf.mul(tf.square(tf.sub(p, q)), mask));
  return tf.div(error, tf.add(tf.mul(tf.sum(mask), 2), 1e-16)) as Scalar;
}

/** The smallest normal float32: below it a mean probability counts as 0, with a finite logarithm. */
const SMALLEST = 2 ** -126;

/**
 * URPC's pyramid consistency: with `m = mean_i p_i` and per voxel `k_i = Σ_c m_c (ln m_c - ln p_i,c)`, the mean over i of
 * `mean((m - p_i)² exp(-k_i)) / (mean(exp(-k_i)) + 1e-8) + mean(k_i)`.
 *
 * Nothing is detached: gradients flow through m, p_i and the weights exp(-k_i).
 *
 * **Deviation:** ln p_i comes from the logits, so it stays finite where p_i underflows and the published code gives NaN.
 * @param logits Of every scale, brought to one size, each `[B, ..., K]`.
 *
 * @example Scales that agree cost nothing
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { pyramidConsistency } from "@ssnet/pipeline/losses/consistency.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const sure = tf.tensor2d([[0, 3], [3, 0]]), less = tf.tensor2d([[0, 1], [1, 0]]);
 * assert.ok(Math.abs(pyramidConsistency([sure, sure]).dataSync()[0]) < 1e-6);
 * assert.ok(pyramidConsistency([sure, less]).dataSync()[0] > 0.02);
 * ```
 */
export function pyramidConsistency(logits: Tensor[]): Scalar {
  const scales = logits.map((z) => {
    const logarithm = tf.logSoftmax(z);
    return { logarithm, probabilities: tf.exp(logarithm) };
  });
  const mean = tf.div(tf.addN(scales.map((scale) => scale.probabilities)), scales.length);
  const logMean = tf.log(tf.maximum(mean, SMALLEST));
  const terms = scales.map(({ logarithm, probabilities }) => {
    const divergence = tf.sum(tf.mul(mean, tf.sub(logMean, logarithm)), -1, true); // [B, ..., 1]
    const weight = tf.exp(tf.neg(divergence));
    const error = tf.mean(tf.mul(tf.square(tf.sub(mean, probabilities)), weight));
    return tf.add(tf.div(error, tf.add(tf.mean(weight), 1e-8)), tf.mean(divergence));
  });
  return tf.div(tf.addN(terms), terms.length) as Scalar;
}

/** Multiplies up to the tenth power: TensorFlow's powers and their gradients take logarithms. */
function tenthPower(x: Tensor): Tensor {
  const second = tf.square(x);
  return tf.mul(tf.square(tf.square(second)), second);
}

/**
 * MC-Net's sharpening, of every channel by itself: `p^(1/T) / (p^(1/T) + (1 - p)^(1/T))`, T = 0.1. Of more than two
 * channels the results do not sum to 1.
 * @param p Probabilities, any shape.
 *
 * @example What is above 1/2 goes to 1
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { sharpen } from "@ssnet/pipeline/losses/consistency.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const [even, above, one] = sharpen(tf.tensor1d([0.5, 0.6, 1])).dataSync();
 * assert.ok(Math.abs(even - 0.5) < 1e-6 && Math.abs(above - 1 / (1 + (2 / 3) ** 10)) < 1e-6 && one === 1);
 * ```
 */
export function sharpen(p: Tensor): Tensor {
  const power = tenthPower(p);
  return tf.div(power, tf.add(power, tenthPower(tf.sub(1, p))));
}

/**
 * MC-Net's mutual consistency: `Σ_{i ≠ j} mean((p_i - sharpen(p_j))²)` over ordered pairs of decoders. The targets are not
 * detached.
 * @param probabilities Of every decoder, each `[B, ..., K]`, labeled and unlabeled rows.
 *
 * @example Two decoders that are sure of opposite classes
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { mutualConsistency } from "@ssnet/pipeline/losses/consistency.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const p = tf.tensor2d([[1, 0]]), q = tf.tensor2d([[0, 1]]);
 * assert.equal(mutualConsistency([p, p]).dataSync()[0], 0);
 * assert.equal(mutualConsistency([p, q]).dataSync()[0], 2);
 * ```
 */
export function mutualConsistency(probabilities: Tensor[]): Scalar {
  const sharpened = probabilities.map(sharpen);
  const pairs = probabilities.flatMap((p, i) =>
    sharpened.filter((_, j) => j !== i).map((target) => tf.mean(tf.square(tf.sub(p, target))))
  );
  return tf.addN(pairs) as Scalar;
}
