/**
 * SS-Net (Wu et al., MICCAI 2022): one training step's losses and gradients on LA.
 * `L = Dice + w (L_smooth + 0.1 (L_sep,labeled + L_sep,unlabeled))`; cross entropy is reported and not part of L.
 * Pure: tensors in, tensors out, so that `trace` turns it into one TensorFlow function.
 * @module
 */
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D, Tensor5D } from "@tensorflow/tfjs";
import { crossEntropy, linearDice } from "../losses/dice.ts";
import { type BankWeights, type FeatureBank, separationLoss, updateBank } from "../losses/separation.ts";
import { adversarialDirection, smoothnessLoss } from "../losses/smoothness.ts";
import { Pass } from "../networks/layers.ts";
import type { Weights } from "../networks/parameters.ts";
import { vnet } from "../networks/vnet.ts";
import { openTensorFlow } from "../tensorflow/device.ts";

const SEPARATION_WEIGHT = 0.1, PERTURBATION_RADIUS = 10;

/** What a step reads. */
export interface StepInputs {
  weights: Weights;
  buffers: Weights;
  bank: FeatureBank;
  /** Batch, labeled rows first `[B, X, Y, Z, 1]`. */
  x: Tensor5D;
  /** int32 labels of the labeled rows `[L, X, Y, Z]`. */
  label: Tensor4D;
  /** Uniform noise minus 0.5 of x's shape. */
  direction: Tensor;
  consistencyWeight: Scalar;
  bankWeights: BankWeights;
  /** int32 `[2]`; dropout is off without it. */
  dropoutSeed?: Tensor1D;
}
/** What a step gives; `gradients[i]` belongs to the i-th weight and is null where none arrives. */
export interface StepResult {
  total: Scalar;
  crossEntropy: Scalar;
  dice: Scalar;
  smoothness: Scalar;
  separationLabeled: Scalar;
  separationUnlabeled: Scalar;
  gradients: (Tensor | null)[];
  buffers: Weights;
  bank: FeatureBank;
}

/** One step's losses, gradients, running statistics and bank. */
export function ssnetStep(inputs: StepInputs): StepResult {
  const { tf } = openTensorFlow();
  const { weights, x, label, direction, consistencyWeight, bankWeights, dropoutSeed } = inputs;
  const buffers = { ...inputs.buffers };
  let draws = 0;
  const pass = (updateStatistics: boolean) => {
    const seed = dropoutSeed && tf.add(dropoutSeed, tf.tensor1d([0, 1000 * ++draws], "int32")) as Tensor1D;
    return new Pass(weights, buffers, { training: true, updateStatistics, dropoutSeed: seed });
  };
  const labeled = label.shape[0], classes = inputs.bank.rows.length;
  const rowsOf = <T extends Tensor>(t: T, from: number, count: number) =>
    tf.slice(t, [from, ...t.shape.slice(1).map(() => 0)], [count, ...t.shape.slice(1)]);
  const foreground = tf.cast(tf.equal(label, 1), "float32");
  const flatLabel = tf.reshape(label, [-1]) as Tensor1D;
  const kept: Record<string, Tensor> = {};
  let bank = inputs.bank;
  // Outside the differentiated function: neither the clean prediction nor the perturbation may carry a gradient.
  // The clean pass moves the running statistics after the main one, so its share (a tenth of the batch's) is kept apart.
  const share: Weights = Object.fromEntries(Object.keys(buffers).map((key) => [key, tf.zerosLike(buffers[key])]));
  const untouched = { ...share };
  const cleanPass = new Pass(weights, share, { ...pass(true).options });
  const clean = tf.softmax(vnet(cleanPass, x).logits);
  const smooth = {
    x,
    direction,
    clean,
    distance: linearDice,
    perturbationRadius: PERTURBATION_RADIUS,
    probabilities: (v: Tensor) => tf.softmax(vnet(pass(false), v as Tensor5D).logits),
  };
  const adversarial = adversarialDirection(smooth);
  const objective = () => {
    const { logits, features } = vnet(pass(true), x);
    const probabilities = tf.softmax(logits);
    const p1 = tf.squeeze(tf.slice(rowsOf(probabilities, 0, labeled), [0, 0, 0, 0, 1], [-1, -1, -1, -1, 1]), [4]);
    kept.dice = linearDice(p1, foreground);
    const target = tf.cast(tf.oneHot(label, classes), "float32");
    kept.crossEntropy = crossEntropy(rowsOf(logits, 0, labeled), target);
    let prediction!: Tensor; // from an unrecorded body: labels carry no gradient
    tf.customGrad((probabilities) => {
      prediction = tf.keep(tf.cast(tf.argMax(probabilities as Tensor, -1), "int32"));
      return { value: tf.scalar(0), gradFunc: () => tf.zerosLike(probabilities as Tensor) };
    })(probabilities);
    const half = (from: number, count: number) =>
      tf.reshape(rowsOf(features, from, count), [-1, features.shape[4]]) as Tensor2D;
    const labeledFeatures = half(0, labeled), unlabeled = x.shape[0] - labeled;
    const flatPrediction = tf.reshape(rowsOf(prediction, 0, labeled), [-1]);
    const correct = tf.cast(
      tf.logicalAnd(tf.equal(flatPrediction, flatLabel), tf.greater(flatLabel, 0)),
      "float32",
    ) as Tensor1D;
    const heads = pass(true);
    // The body of a customGrad is not recorded: the bank is a constant of the gradient.
    tf.customGrad((features) => {
      bank = updateBank(heads, inputs.bank, { features: features as Tensor2D, labels: flatLabel, correct });
      for (const tensor of [...bank.rows, ...bank.counts]) tf.keep(tensor);
      return { value: tf.scalar(0), gradFunc: () => tf.zerosLike(features as Tensor) };
    })(labeledFeatures);
    kept.separationLabeled = separationLoss(heads, bank, { features: labeledFeatures, labels: flatLabel, bankWeights });
    const pseudo = tf.reshape(rowsOf(prediction, labeled, unlabeled), [-1]) as Tensor1D;
    kept.separationUnlabeled = separationLoss(heads, bank, {
      features: half(labeled, unlabeled),
      labels: pseudo,
      bankWeights,
    });
    kept.smoothness = smoothnessLoss({ ...smooth, adversarial });
    const separation = tf.mul(tf.add(kept.separationLabeled, kept.separationUnlabeled), SEPARATION_WEIGHT);
    const total = tf.add(kept.dice, tf.mul(consistencyWeight, tf.add(kept.smoothness, separation)));
    for (const tensor of Object.values(kept)) tf.keep(tensor);
    return total;
  };
  // deno-lint-ignore no-explicit-any
  const engine = tf.engine() as any;
  const { value, grads } = engine.gradients(objective, Object.values(weights), null, true);
  for (const key of Object.keys(share)) {
    if (share[key] !== untouched[key]) buffers[key] = tf.add(tf.mul(buffers[key], 0.9), share[key]);
  }
  return {
    total: value,
    crossEntropy: kept.crossEntropy as Scalar,
    dice: kept.dice as Scalar,
    smoothness: kept.smoothness as Scalar,
    separationLabeled: kept.separationLabeled as Scalar,
    separationUnlabeled: kept.separationUnlabeled as Scalar,
    gradients: Array.from({ length: Object.keys(weights).length }, (_, i) => grads[i] ?? null),
    buffers,
    bank,
  };
}
