/**
 * Pixel-level smoothness: virtual adversarial training (Miyato et al. 2018) with a Dice distance (SS-Net, section 2.2).
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";

/** Length of the probe in the power iteration; the reference's `xi`. */
export const PROBE_RADIUS = 10;

/**
 * Each sample divided by (its L2 norm over all elements + 1e-8).
 * @param d `[B, ...]`
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { unitPerSample } from "@ssnet/pipeline/losses/smoothness.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const unit = unitPerSample(tf.tensor2d([[3, 4], [0, 2]])).dataSync();
 * [0.6, 0.8, 0, 1].forEach((wanted, i) => assert.ok(Math.abs(unit[i] - wanted) < 1e-6));
 * ```
 */
export function unitPerSample(d: Tensor): Tensor {
  const axes = d.shape.slice(1).map((_, i) => i + 1);
  return tf.div(d, tf.add(tf.sqrt(tf.sum(tf.square(d), axes, true)), 1e-8));
}

/** What the smoothness term needs. */
export interface SmoothnessInputs {
  /** Batch `[B, ..., C]`. */
  x: Tensor;
  /** Uniform noise minus 0.5, of x's shape. */
  direction: Tensor;
  /** Probabilities of the clean pass `[B, ..., K]`; taken as a constant. */
  clean: Tensor;
  /** Probabilities of a perturbed pass: batch statistics, running statistics untouched. */
  probabilities: (x: Tensor) => Tensor;
  /** `Dist`: LA {@linkcode linearDice} over all channels pooled, ACDC {@linkcode squaredDice}. */
  distance: (p: Tensor, q: Tensor) => Scalar;
  /** Length of the perturbation; the reference's `epi`: 10 (LA), 6 (ACDC). */
  perturbationRadius: number;
}

/**
 * `r = g / (‖g‖ + 1e-8)` per sample, `g = ∂/∂d Dist(f(x + ξ d), q)` at the unit direction d, ξ = 10: one power iteration.
 * ξ is a finite step, not a derivative's limit.
 * @returns Of x's shape, unit length per sample.
 */
export function adversarialDirection({ x, direction, clean, probabilities, distance }: SmoothnessInputs): Tensor {
  const gradient = tf.grad((d) => distance(probabilities(tf.add(x, tf.mul(d, PROBE_RADIUS))), clean));
  return unitPerSample(gradient(unitPerSample(direction)));
}

/**
 * `Dist(f(x + ε r), q)`, ε the perturbation's radius; no gradient runs through r or q.
 * @param inputs `adversarial`: r, of {@linkcode adversarialDirection}.
 */
export function smoothnessLoss(inputs: SmoothnessInputs & { adversarial: Tensor }): Scalar {
  const { x, adversarial, clean, probabilities, distance, perturbationRadius } = inputs;
  return distance(probabilities(tf.add(x, tf.mul(adversarial, perturbationRadius))), clean);
}
