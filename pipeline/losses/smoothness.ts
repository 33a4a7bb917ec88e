/**
 * Pixel-level smoothness: virtual adversarial training (Miyato et al. 2018) with a Dice distance (SS-Net, section 2.2).
 * @module
 */
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";

/** Length of the probe in the power iteration; the reference's `xi`. */
export const PROBE_RADIUS = 10;

/** Each sample divided by (its L2 norm over all elements + 1e-8). @param d `[B, ...]` */
export function unitPerSample(d: Tensor): Tensor {
  const { tf } = openTensorFlow();
  const axes = d.shape.slice(1).map((_, i) => i + 1);
  return tf.div(d, tf.add(tf.sqrt(tf.sum(tf.square(d), axes, true)), 1e-8));
}

/** What the term needs. */
export interface SmoothnessInputs {
  /** Batch `[B, ..., 1]`. */
  x: Tensor;
  /** Uniform noise minus 0.5, of x's shape. */
  direction: Tensor;
  /** Probabilities of the clean pass `[B, ..., K]`; taken as a constant. */
  clean: Tensor;
  /** Probabilities of a perturbed pass: batch statistics, running statistics untouched. */
  probabilities: (x: Tensor) => Tensor;
  distance: (p: Tensor, q: Tensor) => Scalar;
  /** Length of the perturbation; the reference's `epi`: 10 (LA), 6 (ACDC). */
  perturbationRadius: number;
}

/** `r = g / (‖g‖ + 1e-8)` per sample, `g = ∂/∂d Dist(f(x + ξ d), q)` at the unit direction: one power iteration. */
export function adversarialDirection({ x, direction, clean, probabilities, distance }: SmoothnessInputs): Tensor {
  const { tf } = openTensorFlow();
  const gradient = tf.grad((d) => distance(probabilities(tf.add(x, tf.mul(d, PROBE_RADIUS))), clean));
  return unitPerSample(gradient(unitPerSample(direction)));
}

/** `Dist(f(x + ε r), q)`; no gradient runs through r or q. */
export function smoothnessLoss(inputs: SmoothnessInputs & { adversarial: Tensor }): Scalar {
  const { tf } = openTensorFlow();
  const { x, adversarial, clean, probabilities, distance, perturbationRadius } = inputs;
  return distance(probabilities(tf.add(x, tf.mul(adversarial, perturbationRadius))), clean);
}
