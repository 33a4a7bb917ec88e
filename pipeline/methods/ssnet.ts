/**
 * SS-Net (Wu et al., MICCAI 2022): one training step's losses and gradients on LA.
 * `L = Dice + w (L_smooth + 0.1 (L_sep,labeled + L_sep,unlabeled))`; cross entropy is reported and not part of L.
 * Pure: tensors in, tensors out, so that `trace` turns it into one TensorFlow function.
 * @module
 */
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor5D } from "@tensorflow/tfjs";
import { crossEntropy, linearDice } from "../losses/dice.ts";
import { BANK_ROWS, type BankWeights, type FeatureBank, separationLoss, updateBank } from "../losses/separation.ts";
import { adversarialDirection, smoothnessLoss } from "../losses/smoothness.ts";
import { headsSpec, PROJECTED } from "../networks/heads.ts";
import { Pass } from "../networks/layers.ts";
import { SpecBuilder, type Weights } from "../networks/parameters.ts";
import { vnet, vnetSpec } from "../networks/vnet.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import { statelessUniform } from "../tensorflow/ops.ts";
import type { Method, MethodOptions, StepInputs, StepOutputs } from "./method.ts";

const SEPARATION_WEIGHT = 0.1, PERTURBATION_RADIUS = 10;

/** SS-Net for `classes` classes. */
export function ssnet({ classes, bankWeights }: MethodOptions): Method {
  const spec = headsSpec(vnetSpec(new SpecBuilder(), { classes }), { classes });
  const memory: Record<string, number[]> = {};
  for (let c = 1; c < classes; c++) {
    memory[`bank.${c}.rows`] = [BANK_ROWS, PROJECTED];
    memory[`bank.${c}.count`] = [];
  }
  const step = (inputs: StepInputs) => {
    const { tf } = openTensorFlow();
    const seed = tf.add(inputs.seed, tf.tensor1d([1, 0], "int32")) as Tensor1D; // its own stream
    const direction = tf.sub(statelessUniform(inputs.x.shape, seed), 0.5);
    return ssnetStep({ ...inputs, direction, classes, bankWeights, dropout: true });
  };
  return { spec, usesUnlabeled: true, memory, step };
}

/** What SS-Net's step reads beyond every method's: its noise comes from outside, so that stored values can be checked. */
export interface SSNetInputs extends StepInputs {
  classes: number;
  /** Uniform noise minus 0.5 of x's shape. */
  direction: Tensor;
  bankWeights: BankWeights;
  dropout: boolean;
}

/** One step's losses, gradients, running statistics and bank. */
export function ssnetStep(inputs: SSNetInputs): StepOutputs {
  const { tf } = openTensorFlow();
  const { weights, memory, x, label, direction, consistencyWeight, bankWeights, classes } = inputs;
  const buffers = { ...inputs.buffers };
  let draws = 0;
  const pass = (updateStatistics: boolean) => {
    const seed = tf.add(inputs.seed, tf.tensor1d([0, 1000 * ++draws], "int32")) as Tensor1D;
    return new Pass(weights, buffers, {
      training: true,
      updateStatistics,
      dropoutSeed: inputs.dropout ? seed : undefined,
    });
  };
  const labeled = label.shape[0];
  const rowsOf = <T extends Tensor>(t: T, from: number, count: number) =>
    tf.slice(t, [from, ...t.shape.slice(1).map(() => 0)], [count, ...t.shape.slice(1)]);
  const foreground = tf.cast(tf.equal(label, 1), "float32");
  const flatLabel = tf.reshape(label, [-1]) as Tensor1D;
  const kept: Record<string, Tensor> = {};
  const old: FeatureBank = {
    rows: Array.from({ length: classes }, (_, c) => memory[`bank.${c}.rows`] as Tensor2D),
    counts: Array.from({ length: classes }, (_, c) => memory[`bank.${c}.count`] as Scalar),
  };
  let bank = old;
  const took: Scalar[][] = [];
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
      bank = updateBank(heads, old, { features: features as Tensor2D, labels: flatLabel, correct });
      for (const tensor of [...bank.rows, ...bank.counts]) if (tensor) tf.keep(tensor);
      return { value: tf.scalar(0), gradFunc: () => tf.zerosLike(features as Tensor) };
    })(labeledFeatures);
    const separate = (features: Tensor2D, labels: Tensor1D) => {
      const { loss, took: classesTook } = separationLoss(heads, bank, { features, labels, bankWeights });
      took.push(classesTook.map((t) => tf.keep(t)));
      return loss;
    };
    kept.separationLabeled = separate(labeledFeatures, flatLabel);
    const pseudo = tf.reshape(rowsOf(prediction, labeled, unlabeled), [-1]) as Tensor1D;
    kept.separationUnlabeled = separate(half(labeled, unlabeled), pseudo);
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
  const participation: Record<string, Scalar> = {};
  let any: Tensor = tf.scalar(0);
  for (let c = 1; c < classes; c++) {
    const either = tf.maximum(took[0][c], took[1][c]) as Scalar;
    participation[`contrastive_class_selector_${c}`] = participation[`contrastive_class_selector_memory${c}`] = either;
    any = tf.maximum(any, either);
  }
  participation.projection_head = participation.prediction_head = any as Scalar;
  const nextMemory: Weights = {};
  for (let c = 1; c < classes; c++) {
    nextMemory[`bank.${c}.rows`] = bank.rows[c];
    nextMemory[`bank.${c}.count`] = bank.counts[c];
  }
  return {
    losses: {
      total: value,
      cross_entropy: kept.crossEntropy as Scalar,
      dice: kept.dice as Scalar,
      smoothness: kept.smoothness as Scalar,
      separation_labeled: kept.separationLabeled as Scalar,
      separation_unlabeled: kept.separationUnlabeled as Scalar,
    },
    gradients: Array.from({ length: Object.keys(weights).length }, (_, i) => grads[i] ?? null),
    participation,
    buffers,
    memory: nextMemory,
  };
}
