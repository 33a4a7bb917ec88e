/** Adam (Kingma & Ba, ICLR 2015) as PyTorch computes it; for networks that learn beside the segmentation network. @module */
import defer * as tf from "@tensorflow/tfjs";
import type { Weights } from "../networks/parameters.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";

/** Adam's constants. */
export interface AdamOptions {
  /** Learning rate. */
  learningRate: number;
  /** Decay of the first moment. */
  beta1: number;
  /** Decay of the second moment. */
  beta2: number;
}

/** Parameters and what Adam keeps beside them; moments have the names and shapes of the weights. */
export interface AdamState {
  /** What learns. */
  weights: Weights;
  /** m. */
  first: Weights;
  /** v. */
  second: Weights;
  /** t: updates so far. */
  step: Scalar;
}

const EPSILON = 1e-8;

/** The state before the first update. */
export function startAdam(weights: Weights): AdamState {
  const zeros = () => Object.fromEntries(Object.entries(weights).map(([name, { shape }]) => [name, tf.zeros(shape)]));
  return { weights, first: zeros(), second: zeros(), step: tf.scalar(0) as Scalar };
}

/**
 * One update of every weight: `m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²;
 * p = p - rate m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + 1e-8)`.
 * @param gradients In the order of the weights.
 *
 * @example The first update is as long as the rate, whatever the gradient
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { startAdam, updateAdam } from "@ssnet/pipeline/methods/adam.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const start = startAdam({ w: tf.tensor1d([1, 1]) });
 * const { weights } = updateAdam(start, [tf.tensor1d([5, -0.1])], { learningRate: 0.1, beta1: 0.9, beta2: 0.99 });
 * [0.9, 1.1].forEach((wanted, i) => assert.ok(Math.abs(weights.w.dataSync()[i] - wanted) < 1e-6));
 * ```
 */
export function updateAdam(
  { weights, first, second, step }: AdamState,
  gradients: Tensor[],
  { learningRate, beta1, beta2 }: AdamOptions,
): AdamState {
  const t = tf.add(step, 1), next: AdamState = { weights: {}, first: {}, second: {}, step: t as Scalar };
  const [correction1, correction2] = [beta1, beta2].map((beta) => tf.sub(1, tf.pow(beta, t)));
  Object.keys(weights).forEach((name, i) => {
    const m = tf.add(tf.mul(first[name], beta1), tf.mul(gradients[i], 1 - beta1));
    const v = tf.add(tf.mul(second[name], beta2), tf.mul(tf.square(gradients[i]), 1 - beta2));
    const length = tf.add(tf.sqrt(tf.div(v, correction2)), EPSILON);
    next.first[name] = m;
    next.second[name] = v;
    next.weights[name] = tf.sub(weights[name], tf.mul(tf.div(tf.div(m, correction1), length), learningRate));
  });
  return next;
}
