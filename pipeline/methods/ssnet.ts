/**
 * SS-Net (Wu et al., MICCAI 2022): the losses and gradients of one training step.
 * `L = L_sup + w (L_smooth + 0.1 (L_sep,labeled + L_sep,unlabeled))`; cross entropy is reported and not part of L.
 * Ablations are settings: a term of weight 0 is left out with its passes.
 * Pure: tensors in, tensors out, so that `trace` turns it into one TensorFlow function.
 *
 * L's two halves, around the clean and around the perturbed pass, are differentiated one after the other, so that only
 * one pass's activations exist at a time.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { z } from "zod";
import type { DatasetProfile, OptionSchema, Protocol } from "../datasets/dataset.ts";
import { crossEntropy, linearDice, oneHot, squaredDice, SUPERVISED_DICE } from "../losses/dice.ts";
import {
  type BankOrder,
  type BankWeights,
  type FeatureBank,
  separationLoss,
  updateBank,
} from "../losses/separation.ts";
import { adversarialDirection, smoothnessLoss } from "../losses/smoothness.ts";
import { type Heads, heads, PROJECTED } from "../networks/heads.ts";
import { Pass } from "../networks/layers.ts";
import { type NetworkName, NETWORKS } from "../networks/network.ts";
import type { Weights } from "../networks/parameters.ts";
import { build, type Built, type Forward } from "../networks/scope.ts";
import { after, seedOfDraw, softmax, statelessUniform, withoutGradient } from "../tensorflow/ops.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";
import {
  addGradients,
  defineMethod,
  gradientsOf,
  type Method,
  type MethodDefinition,
  type MethodOptions,
  type StepInputs,
  type StepOutputs,
} from "./method.ts";

/** What the published code does differently on the two datasets. */
const PROTOCOL = {
  la: { perturbationRadius: 10, distance: linearDice },
  acdc: { perturbationRadius: 6, distance: squaredDice },
} as const satisfies Record<Protocol, unknown>;

/** What an ablation changes. */
export interface SSNetSettings {
  /** Of the smoothness term; 0 leaves it out. Published: 1. */
  smoothnessWeight: number;
  /** Of the separation term; 0 leaves it out, heads and bank included. Published: 0.1. */
  separationWeight: number;
  /** Length of the adversarial perturbation (epsilon). Published: 10 on LA, 6 on ACDC. */
  perturbationRadius: number;
  /** Rows that the bank keeps per class. Published: 32. */
  bankRows: number;
  /** Which scores stay in the bank: "lowest" as the authors' code, "highest" as the paper's words. */
  bankKeeps: BankOrder;
  /** "ones" as the authors' code, "learned" as the paper. */
  bankWeights: BankWeights;
}

/** Its schema, with the published values on a dataset. */
export function ssnetSettings(dataset: DatasetProfile): OptionSchema<SSNetSettings> {
  const { perturbationRadius } = PROTOCOL[dataset.protocol];
  return z.strictObject({
    smoothnessWeight: z.number().nonnegative().default(1).describe("weight of the smoothness term, 0 leaves it out"),
    separationWeight: z.number().nonnegative().default(0.1).describe(
      "weight of the separation term, 0 leaves it out, heads and bank included",
    ),
    perturbationRadius: z.number().positive().default(perturbationRadius).describe(
      "length of the adversarial perturbation (epsilon)",
    ),
    bankRows: z.int().min(2).max(65536).default(32).describe("rows that the bank keeps per class"),
    bankKeeps: z.enum(["lowest", "highest"]).default("lowest").describe(
      "which scores stay in the bank; lowest: as the authors' code; highest: as the paper's words",
    ),
    bankWeights: z.enum(["ones", "learned"]).default("ones").describe(
      "ones: as the authors' code; learned: as the paper",
    ),
  });
}
/**
 * SS-Net on a dataset. Its memory is the feature bank, `bank.1.rows` `[S, 32]` and `bank.1.count` for every class from 1 on.
 * Losses it reports: total, supervised (Dice alone), cross_entropy (no part of the total), smoothness, separation_labeled,
 * separation_unlabeled; the last three before their weights.
 */
export const ssnet: MethodDefinition = defineMethod({ title: "SS-Net", settings: ssnetSettings, create });

/**
 * The network with SS-Net's heads on its features.
 * @throws {RangeError} For one that gives no features.
 */
export function networkWithHeads(name: NetworkName, { classes }: { classes: number }): Built<SSNetNetwork> {
  return build((at) => {
    const forward = NETWORKS[name](at, { classes }) as Forward;
    if (!forward.featureWidth) throw new RangeError(`Cannot put SS-Net's heads on ${name}: it gives no features`);
    return { forward, heads: heads(at, { classes, features: forward.featureWidth }) };
  });
}

/** What {@linkcode networkWithHeads} builds. */
export interface SSNetNetwork {
  /** The segmentation. */
  forward: Forward;
  /** The heads in a pass. */
  heads: (pass: Pass) => Heads;
}

function create(profile: DatasetProfile, { settings }: MethodOptions<SSNetSettings>): Method {
  const { classes } = profile, network = networkWithHeads(profile.network, { classes });
  const step = (inputs: StepInputs) => {
    const seed = tf.add(inputs.seed, tf.tensor1d([1, 0], "int32")) as Tensor1D; // its own stream
    const direction = tf.sub(statelessUniform(inputs.x.shape, seed), 0.5);
    return ssnetStep(network.forward, { ...inputs, direction, profile, settings, dropout: true });
  };
  return {
    profile,
    spec: network.spec,
    usesUnlabeled: true,
    memory() {
      const memory: Weights = {};
      for (let c = 1; c < classes; c++) {
        memory[`bank.${c}.rows`] = tf.zeros([settings.bankRows, PROJECTED]);
        memory[`bank.${c}.count`] = tf.scalar(0);
      }
      return memory;
    },
    step,
  };
}

/** What SS-Net's step reads beyond every method's: its noise comes from outside, so that stored values can be checked. */
export interface SSNetInputs extends Omit<StepInputs, "scheduled" | "targets"> {
  /** Network and classes; by its name the distance, the supervised term and the perturbation's radius. */
  profile: DatasetProfile;
  /** Uniform noise minus 0.5 of x's shape. */
  direction: Tensor;
  /** Weights, radius and bank. */
  settings: SSNetSettings;
  /** Off only where stored values are checked. */
  dropout: boolean;
}

/**
 * One step's losses, gradients, running statistics and bank. Four forward passes: the clean one, the main one, the probe
 * of the power iteration, the perturbed one. The first two move the running statistics, as if the main one came first.
 */
export function ssnetStep({ forward, heads: headsOf }: SSNetNetwork, inputs: SSNetInputs): StepOutputs {
  const { weights, memory, x, label, direction, consistencyWeight, settings, profile } = inputs;
  const { smoothnessWeight, separationWeight, perturbationRadius, bankKeeps, bankWeights } = settings;
  const { classes } = profile, protocol = PROTOCOL[profile.protocol];
  const buffers = { ...inputs.buffers };
  let draws = 0;
  const pass = (over: Weights | null) => {
    const seed = seedOfDraw(inputs.seed, 1000 * ++draws);
    return new Pass(weights, over ?? buffers, {
      training: true,
      updateStatistics: over !== null,
      dropoutSeed: inputs.dropout ? seed : undefined,
    });
  };
  const labeled = label.shape[0], unlabeled = x.shape[0] - labeled;
  const halves = (t: Tensor) => tf.split(t, [labeled, unlabeled]);
  const flatLabel = tf.reshape(label, [-1]) as Tensor1D;
  const target = oneHot(label, classes);
  const indices = Array.from({ length: classes }, (_, c) => c);
  const old: FeatureBank = {
    rows: indices.map((c) => memory[`bank.${c}.rows`] as Tensor2D),
    counts: indices.map((c) => memory[`bank.${c}.count`] as Scalar),
  };
  let bank = old;
  const took: Scalar[][] = [];
  const kept: Record<string, Scalar> = {};

  // The clean pass moves the running statistics after the main one, so its share (a tenth of the batch's) is kept apart.
  const share: Weights = Object.fromEntries(Object.keys(buffers).map((key) => [key, tf.zerosLike(buffers[key])]));
  const untouched = { ...share };
  const clean = smoothnessWeight ? softmax(forward(pass(share), x).logits) : null;

  /** Moves the bank on and gives the separation of both halves. */
  const separation = (features: Tensor, probabilities: Tensor): Tensor => {
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
    const heads = headsOf(pass(buffers));
    bank = withoutGradient(labeledFeatures, (features) => {
      const correct = tf.logicalAnd(tf.equal(predictedLabel, flatLabel), tf.greater(flatLabel, 0)) as Tensor1D;
      const next = updateBank(heads, old, { features, labels: flatLabel, correct, keeps: bankKeeps });
      for (const tensor of [...next.rows, ...next.counts]) if (tensor) tf.keep(tensor);
      return next;
    });
    const separate = (features: Tensor2D, labels: Tensor1D) => {
      const { loss, took: classesTook } = separationLoss(heads, bank, { features, labels, bankWeights });
      took.push(classesTook.map((t) => tf.keep(t)));
      return tf.keep(loss);
    };
    kept.separation_labeled = separate(labeledFeatures, flatLabel);
    kept.separation_unlabeled = separate(unlabeledFeatures, pseudoLabel);
    return tf.mul(tf.add(kept.separation_labeled, kept.separation_unlabeled), separationWeight);
  };

  const main = gradientsOf(() => {
    const { logits, features } = forward(pass(buffers), x);
    const probabilities = softmax(clean ? after(logits, [clean]) : logits);
    kept.supervised = tf.keep(SUPERVISED_DICE[profile.protocol](halves(probabilities)[0], target));
    kept.cross_entropy = withoutGradient(logits, (logits) => tf.keep(crossEntropy(halves(logits)[0], target)));
    if (!separationWeight) return kept.supervised;
    return tf.add(kept.supervised, tf.mul(consistencyWeight, separation(features!, probabilities)));
  }, weights);
  let { value: total, gradients } = main;

  if (clean) {
    const smooth = {
      x: after(x, gradients.filter((g) => g !== null)),
      direction,
      clean,
      distance: protocol.distance,
      perturbationRadius,
      probabilities: (v: Tensor) => softmax(forward(pass(null), v).logits),
    };
    const adversarial = adversarialDirection(smooth);
    const perturbed = gradientsOf(() => {
      kept.smoothness = tf.keep(smoothnessLoss({ ...smooth, adversarial }));
      return tf.mul(consistencyWeight, tf.mul(kept.smoothness, smoothnessWeight));
    }, weights);
    total = tf.add(total, perturbed.value) as Scalar;
    gradients = addGradients(gradients, perturbed.gradients);
  }

  for (const key of Object.keys(share)) {
    if (share[key] !== untouched[key]) buffers[key] = tf.add(tf.mul(buffers[key], 0.9), share[key]);
  }
  const participation: Record<string, Scalar> = {};
  if (separationWeight) {
    let any: Tensor = tf.scalar(0);
    for (let c = 1; c < classes; c++) {
      const either = tf.maximum(took[0][c], took[1][c]) as Scalar;
      participation[`contrastive_class_selector_${c}`] =
        participation[`contrastive_class_selector_memory${c}`] =
          either;
      any = tf.maximum(any, either);
    }
    participation.projection_head = participation.prediction_head = any as Scalar;
  }
  const nextMemory: Weights = {};
  for (let c = 1; c < classes; c++) {
    nextMemory[`bank.${c}.rows`] = bank.rows[c];
    nextMemory[`bank.${c}.count`] = bank.counts[c];
  }
  const { supervised, cross_entropy, ...others } = kept;
  return {
    losses: { total, supervised, cross_entropy, ...others },
    gradients,
    participation,
    buffers,
    memory: nextMemory,
  };
}
