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
  emptyBank,
  type FeatureBank,
  recallBank,
  rememberBank,
  updateBank,
} from "../losses/feature_bank.ts";
import { type BankWeights, type Separation, separationLoss } from "../losses/separation.ts";
import { adversarialDirection, smoothnessLoss } from "../losses/smoothness.ts";
import { type Heads, heads } from "../networks/heads.ts";
import { Pass, type PassOptions } from "../networks/layers.ts";
import { type NetworkName, NETWORKS } from "../networks/network.ts";
import { build, type Built, type Forward, type NetworkOptions } from "../networks/scope.ts";
import { controlDependencies, foldIn, softmax, statelessUniform, withoutGradient } from "../tensorflow/ops.ts";
import type { Norm } from "../tensorflow/norms.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";
import { tensorsOf } from "../tensorflow/tree.ts";
import {
  addGradients,
  defineMethod,
  differentiate,
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
  /** The weight of the smoothness term; 0 leaves it out. Published: 1. */
  smoothnessWeight: number;
  /** The weight of the separation term; 0 leaves it out, heads and bank included. Published: 0.1. */
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
 * SS-Net on a dataset. Its state is the feature bank, `bank.1.rows` `[S, 32]` and `bank.1.count` for every class from 1 on.
 * Losses it reports: total, supervised (Dice alone), cross_entropy (no part of the total), smoothness, separation_labeled,
 * separation_unlabeled; the last three before their weights.
 */
export const ssnet: MethodDefinition = defineMethod({ title: "SS-Net", settings: ssnetSettings, create });

/**
 * The network with SS-Net's heads on its features.
 * @throws {RangeError} For one that gives no features.
 */
export function networkWithHeads(
  name: NetworkName,
  { norm, ...options }: NetworkOptions & { norm?: Norm },
): Built<SSNetNetwork> {
  const { classes } = options;
  return build((at) => {
    const forward = NETWORKS[name](at, options) as Forward;
    if (!forward.featureWidth) throw new RangeError(`Cannot put SS-Net's heads on ${name}: it gives no features`);
    return { forward, heads: heads(at, { classes, features: forward.featureWidth }) };
  }, norm);
}

/** What {@linkcode networkWithHeads} builds. */
export interface SSNetNetwork {
  /** The segmentation. */
  forward: Forward;
  /** The heads in a pass. */
  heads: (pass: Pass) => Heads;
}

function create(profile: DatasetProfile, { settings }: MethodOptions<SSNetSettings>): Method {
  const { classes } = profile, network = networkWithHeads(profile.network, profile);
  const step = (inputs: StepInputs) => {
    const direction = tf.sub(statelessUniform(inputs.x.shape, foldIn(inputs.seed, "direction")), 0.5);
    return ssnetStep(network.forward, { ...inputs, direction, profile, settings, dropout: true });
  };
  return {
    profile,
    spec: network.spec,
    usesUnlabeled: true,
    methodState: () => rememberBank(emptyBank({ classes, size: settings.bankRows })),
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

/** `L_sup`: Dice of the labeled half; its cross entropy is reported alone. @param logits Of the labeled half. */
function supervisedTerm(
  { logits, probabilities }: Record<"logits" | "probabilities", Tensor>,
  label: Tensor,
  { protocol, classes }: DatasetProfile,
): Record<"supervised" | "cross_entropy", Scalar> {
  const target = oneHot(label, classes);
  const supervised = SUPERVISED_DICE[protocol](probabilities, target);
  return { supervised, cross_entropy: withoutGradient(logits, (z) => tf.keep(crossEntropy(z, target))) };
}

/**
 * `L_smooth = Dist(f(x + ε r), q)`: the adversarial direction r is where the clean prediction q changes most.
 * @param run A perturbed pass: batch statistics, running statistics untouched.
 */
function smoothnessTerm(
  { x, direction, settings, profile }: SSNetInputs,
  { clean, run }: { clean: Tensor; run: (name: string, x: Tensor) => Tensor },
): () => Scalar {
  const { perturbationRadius } = settings, { distance } = PROTOCOL[profile.protocol];
  const inputs = { x, direction, clean, distance, perturbationRadius };
  const adversarial = adversarialDirection({ ...inputs, probabilities: (x) => run("probe", x) });
  return () => smoothnessLoss({ ...inputs, adversarial, probabilities: (x) => run("perturbed", x) });
}

/** What the separation of both halves gives. */
interface SeparationTerm {
  /** `L_sep` of the labeled half with its labels, and of the unlabeled half with pseudo labels. */
  labeled: Separation;
  unlabeled: Separation;
  /** The bank with the labeled half's prototypes. */
  bank: FeatureBank;
}

/** `L_sep`: the bank takes the voxels that are predicted right, and each half is compared with it. */
function separationTerm(
  heads: Heads,
  bank: FeatureBank,
  { features, probabilities, label, settings }: Record<"features" | "probabilities" | "label", Tensor> & {
    settings: SSNetSettings;
  },
): SeparationTerm {
  const halves = halvesAt(label.shape[0]), { bankKeeps: keeps, bankWeights } = settings;
  // As float32: TensorFlow compares int32 on the host, also where the step runs on a GPU.
  const labels = tf.cast(tf.reshape(label, [-1]), "float32") as Tensor1D;
  const [predictedLabels, pseudoLabels] = withoutGradient(
    probabilities,
    (probabilities) =>
      halves(tf.cast(tf.argMax(probabilities, -1), "float32")).map((half) =>
        tf.keep(tf.reshape(half, [-1]) as Tensor1D)
      ),
  );
  const [labeledRows, unlabeledRows] = halves(features).map((half) =>
    tf.reshape(half, [-1, features.shape.at(-1)!]) as Tensor2D
  );
  const next = withoutGradient(labeledRows, (features) => {
    const correct = tf.logicalAnd(tf.equal(predictedLabels, labels), tf.greater(labels, 0)) as Tensor1D;
    const next = updateBank(heads, bank, { features, labels, correct, keeps });
    tensorsOf(next).forEach((tensor) => tf.keep(tensor));
    return next;
  });
  return {
    labeled: separationLoss(heads, next, { features: labeledRows, labels, bankWeights }),
    unlabeled: separationLoss(heads, next, { features: unlabeledRows, labels: pseudoLabels, bankWeights }),
    bank: next,
  };
}

/** Which heads took part, by the first part of their names: those of a class where either half had it. */
function participationOf({ labeled, unlabeled }: SeparationTerm): Record<string, Scalar> {
  const participation: Record<string, Scalar> = {};
  let any: Tensor = tf.scalar(0);
  for (let c = 1; c < labeled.took.length; c++) {
    const either = tf.maximum(labeled.took[c], unlabeled.took[c]) as Scalar;
    participation[`contrastive_class_selector_${c}`] = either;
    participation[`contrastive_class_selector_memory${c}`] = either;
    any = tf.maximum(any, either);
  }
  return { ...participation, projection_head: any as Scalar, prediction_head: any as Scalar };
}

/** Splits rows into the labeled ones, which come first, and the unlabeled ones. */
const halvesAt = (labeled: number) => (rows: Tensor): Tensor[] => tf.split(rows, [labeled, rows.shape[0] - labeled]);

/**
 * One step's losses, gradients, running statistics and bank. Four forward passes: the clean one, the main one, the probe
 * of the power iteration, the perturbed one. The first two move the running statistics, as if the main one came first.
 */
export function ssnetStep({ forward, heads }: SSNetNetwork, inputs: SSNetInputs): StepOutputs {
  const { weights, x, label, consistencyWeight, settings, profile } = inputs;
  const { smoothnessWeight, separationWeight } = settings, halves = halvesAt(label.shape[0]);
  const buffers = { ...inputs.buffers }, bank = recallBank(inputs.methodState, profile.classes);
  const pass = (name: string, updateStatistics: PassOptions["updateStatistics"]) => {
    const dropoutSeed = inputs.dropout ? foldIn(inputs.seed, name) : undefined;
    return new Pass(weights, buffers, { training: true, updateStatistics, dropoutSeed });
  };
  const probabilitiesOf = (pass: Pass, x: Tensor) => softmax(forward(pass, x).logits);

  const cleanPass = smoothnessWeight ? pass("clean", "later") : null;
  const clean = cleanPass && probabilitiesOf(cleanPass, x); // q

  // L_sup + w 0.1 (L_sep,labeled + L_sep,unlabeled)
  const main = differentiate(() => {
    const own = pass("main", true), { logits, features } = forward(own, x);
    const probabilities = softmax(clean ? controlDependencies(logits, [clean]) : logits);
    const [ofLabeled] = halves(probabilities), [labeledLogits] = halves(logits);
    const terms = supervisedTerm({ logits: labeledLogits, probabilities: ofLabeled }, label, profile);
    if (!separationWeight) return { total: terms.supervised, ...terms, separation: null };
    const separation = separationTerm(heads(own), bank, { features: features!, probabilities, label, settings });
    const both = tf.mul(tf.add(separation.labeled.loss, separation.unlabeled.loss), separationWeight);
    return {
      total: tf.add(terms.supervised, tf.mul(consistencyWeight, both)) as Scalar,
      ...terms,
      separation,
    };
  }, weights);
  const { separation, supervised, cross_entropy } = main;
  let { total, gradients } = main;
  const losses: Record<string, Scalar> = {};
  if (separation) {
    losses.separation_labeled = separation.labeled.loss;
    losses.separation_unlabeled = separation.unlabeled.loss;
  }

  // + w L_smooth
  if (clean) {
    const behind = { ...inputs, x: controlDependencies(x, gradients.filter((gradient) => gradient !== null)) };
    const smoothnessOf = smoothnessTerm(behind, { clean, run: (name, x) => probabilitiesOf(pass(name, false), x) });
    const perturbed = differentiate(() => {
      const smoothness = smoothnessOf();
      const total = tf.mul(consistencyWeight, tf.mul(smoothness, smoothnessWeight)) as Scalar;
      return { total, smoothness };
    }, weights);
    losses.smoothness = perturbed.smoothness;
    total = tf.add(total, perturbed.total) as Scalar;
    gradients = addGradients(gradients, perturbed.gradients);
  }
  cleanPass?.moveStatistics();

  return {
    losses: { total, supervised, cross_entropy, ...losses },
    gradients,
    participation: separation ? participationOf(separation) : {},
    buffers,
    methodState: rememberBank(separation?.bank ?? bank),
  };
}
