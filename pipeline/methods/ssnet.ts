/**
 * SS-Net (Wu et al., MICCAI 2022): the losses and gradients of one training step.
 * `L = L_sup + w (L_smooth + 0.1 (L_sep,labeled + L_sep,unlabeled))`; cross entropy is reported and not part of L.
 * Pure: tensors in, tensors out, so that `trace` turns it into one TensorFlow function.
 *
 * L's two halves, around the clean and around the perturbed pass, are differentiated one after the other, so that only
 * one pass's activations exist at a time.
 * @module
 */
import type { DatasetProfile } from "../data/profiles.ts";
import { crossEntropy, foregroundDice, linearDice, squaredDice } from "../losses/dice.ts";
import { BANK_ROWS, type BankWeights, type FeatureBank, separationLoss, updateBank } from "../losses/separation.ts";
import { adversarialDirection, smoothnessLoss } from "../losses/smoothness.ts";
import { headsSpec, PROJECTED } from "../networks/heads.ts";
import { Pass } from "../networks/layers.ts";
import { NETWORKS } from "../networks/network.ts";
import { SpecBuilder, type Weights } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import { after, statelessUniform, withoutGradient } from "../tensorflow/ops.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";
import { gradientsOf, type Method, type MethodOptions, type StepInputs, type StepOutputs } from "./method.ts";

const SEPARATION_WEIGHT = 0.1;
/** What the published code does differently on the two datasets. */
const PROTOCOL = {
  la: { perturbationRadius: 10, distance: linearDice, supervised: foregroundDice },
  acdc: { perturbationRadius: 6, distance: squaredDice, supervised: squaredDice },
} as const;

/**
 * SS-Net on a dataset. Its memory is the feature bank, `bank.1.rows` `[32, 32]` and `bank.1.count` for every class from 1 on.
 * Losses it reports: total, cross_entropy (no part of the total), dice, smoothness, separation_labeled,
 * separation_unlabeled; the last three before their weights.
 */
export function ssnet({ profile, bankWeights }: MethodOptions): Method {
  const { classes } = profile, heads = { classes };
  const spec = headsSpec(NETWORKS[profile.network].spec(new SpecBuilder(), { classes }), heads);
  const memory: Record<string, number[]> = {};
  for (let c = 1; c < classes; c++) {
    memory[`bank.${c}.rows`] = [BANK_ROWS, PROJECTED];
    memory[`bank.${c}.count`] = [];
  }
  const step = (inputs: StepInputs) => {
    const { tf } = openTensorFlow();
    const seed = tf.add(inputs.seed, tf.tensor1d([1, 0], "int32")) as Tensor1D; // its own stream
    const direction = tf.sub(statelessUniform(inputs.x.shape, seed), 0.5);
    return ssnetStep({ ...inputs, direction, profile, bankWeights, dropout: true });
  };
  return { spec, usesUnlabeled: true, memory, step };
}

/** What SS-Net's step reads beyond every method's: its noise comes from outside, so that stored values can be checked. */
export interface SSNetInputs extends StepInputs {
  /** Network and classes; by its name the distance, the supervised term and the perturbation's radius. */
  profile: DatasetProfile;
  /** Uniform noise minus 0.5 of x's shape. */
  direction: Tensor;
  /** "ones" as the authors' code, "learned" as the paper. */
  bankWeights: BankWeights;
  /** Off only where stored values are checked. */
  dropout: boolean;
}

/**
 * One step's losses, gradients, running statistics and bank. Four forward passes: the clean one, the main one, the probe
 * of the power iteration, the perturbed one. The first two move the running statistics, as if the main one came first.
 */
export function ssnetStep(inputs: SSNetInputs): StepOutputs {
  const { tf } = openTensorFlow();
  const { weights, memory, x, label, direction, consistencyWeight, bankWeights, profile } = inputs;
  const { classes } = profile, { forward } = NETWORKS[profile.network], protocol = PROTOCOL[profile.name];
  const buffers = { ...inputs.buffers };
  let draws = 0;
  const pass = (over: Weights | null) => {
    const seed = tf.add(inputs.seed, tf.tensor1d([0, 1000 * ++draws], "int32")) as Tensor1D;
    return new Pass(weights, over ?? buffers, {
      training: true,
      updateStatistics: over !== null,
      dropoutSeed: inputs.dropout ? seed : undefined,
    });
  };
  const labeled = label.shape[0], unlabeled = x.shape[0] - labeled;
  const halves = (t: Tensor) => tf.split(t, [labeled, unlabeled]);
  const flatLabel = tf.reshape(label, [-1]) as Tensor1D;
  const target = tf.cast(tf.oneHot(label, classes), "float32");
  const indices = Array.from({ length: classes }, (_, c) => c);
  const old: FeatureBank = {
    rows: indices.map((c) => memory[`bank.${c}.rows`] as Tensor2D),
    counts: indices.map((c) => memory[`bank.${c}.count`] as Scalar),
  };
  let bank = old;
  const took: Scalar[][] = [];
  const kept: Record<string, Tensor> = {};

  // The clean pass moves the running statistics after the main one, so its share (a tenth of the batch's) is kept apart.
  const share: Weights = Object.fromEntries(Object.keys(buffers).map((key) => [key, tf.zerosLike(buffers[key])]));
  const untouched = { ...share };
  const clean = tf.softmax(forward(pass(share), x).logits);

  const main = gradientsOf(() => {
    const { logits, features } = forward(pass(buffers), x);
    const probabilities = tf.softmax(after(logits, [clean]));
    kept.dice = protocol.supervised(halves(probabilities)[0], target);
    kept.crossEntropy = withoutGradient(logits, (logits) => tf.keep(crossEntropy(halves(logits)[0], target)));
    const [predictedLabel, pseudoLabel] = withoutGradient(
      probabilities,
      (probabilities) =>
        halves(tf.cast(tf.argMax(probabilities, -1), "int32")).map((half) =>
          tf.keep(tf.reshape(half, [-1]) as Tensor1D)
        ),
    );
    const [labeledFeatures, unlabeledFeatures] = halves(features).map((half) =>
      tf.reshape(half, [-1, features.shape.at(-1)!]) as Tensor2D
    );
    const heads = pass(buffers);
    bank = withoutGradient(labeledFeatures, (features) => {
      const correct = tf.logicalAnd(tf.equal(predictedLabel, flatLabel), tf.greater(flatLabel, 0)) as Tensor1D;
      const next = updateBank(heads, old, { features, labels: flatLabel, correct });
      for (const tensor of [...next.rows, ...next.counts]) if (tensor) tf.keep(tensor);
      return next;
    });
    const separate = (features: Tensor2D, labels: Tensor1D) => {
      const { loss, took: classesTook } = separationLoss(heads, bank, { features, labels, bankWeights });
      took.push(classesTook.map((t) => tf.keep(t)));
      return loss;
    };
    kept.separationLabeled = separate(labeledFeatures, flatLabel);
    kept.separationUnlabeled = separate(unlabeledFeatures, pseudoLabel);
    for (const tensor of Object.values(kept)) tf.keep(tensor);
    const separation = tf.mul(tf.add(kept.separationLabeled, kept.separationUnlabeled), SEPARATION_WEIGHT);
    return tf.add(kept.dice, tf.mul(consistencyWeight, separation));
  }, weights);

  const smooth = {
    x: after(x, main.gradients.filter((g) => g !== null)),
    direction,
    clean,
    distance: protocol.distance,
    perturbationRadius: protocol.perturbationRadius,
    probabilities: (v: Tensor) => tf.softmax(forward(pass(null), v).logits),
  };
  const adversarial = adversarialDirection(smooth);
  const perturbed = gradientsOf(() => {
    kept.smoothness = tf.keep(smoothnessLoss({ ...smooth, adversarial }));
    return tf.mul(consistencyWeight, kept.smoothness);
  }, weights);

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
      total: tf.add(main.value, perturbed.value) as Scalar,
      cross_entropy: kept.crossEntropy as Scalar,
      dice: kept.dice as Scalar,
      smoothness: kept.smoothness as Scalar,
      separation_labeled: kept.separationLabeled as Scalar,
      separation_unlabeled: kept.separationUnlabeled as Scalar,
    },
    gradients: main.gradients.map((g, i) => {
      const h = perturbed.gradients[i];
      return g && h ? tf.add(g, h) : g ?? h;
    }),
    participation,
    buffers,
    memory: nextMemory,
  };
}
