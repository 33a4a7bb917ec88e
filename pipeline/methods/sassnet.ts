/**
 * SASSNet (Li et al., MICCAI 2020, "Shape-aware semi-supervised 3D semantic segmentation"): a second head regresses signed
 * distance maps s, and a discriminator D that sees map and image learns to tell labeled from unlabeled rows.
 * `L = Dice + 0.3 MSE(s, sdf) + w CE(D(s_U, x_U), labeled)`; then one step of D with `CE(D(s, x), labeled | unlabeled)`.
 *
 * Source of truth: kleinzcy/SASSnet (LA). As there: while the network learns, D runs without dropout; while D learns, the
 * network runs with its running statistics and without dropout. The cross entropy of the segmentation is no part of L.
 * Deviations: 15,000 iterations on LA, where SASSNet's own code has 6000; weight 0.015 for any number of labels (it has
 * 0.015 for 8 and 0.01 for 16). It has no 2-D version: on ACDC the heads and targets are those of DTC here, D is that of
 * HiLab-git/SSL4MIS's adversarial network, the weight 0.01.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile, Protocol } from "../datasets/dataset.ts";
import { crossEntropy, oneHot } from "../losses/dice.ts";
import { discriminator } from "../networks/discriminator.ts";
import { Pass } from "../networks/layers.ts";
import { buildNetwork } from "../networks/network.ts";
import { initialize, toWeights, type Weights } from "../networks/parameters.ts";
import { build } from "../networks/scope.ts";
import { controlDependencies, foldIn } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import { type AdamState, startAdam, updateAdam } from "./adam.ts";
import { distanceTargets, labeledTerms } from "./dtc.ts";
import {
  defineMethod,
  gradientsOf,
  type Method,
  type MethodDefinition,
  type MethodOptions,
  onePassStep,
} from "./method.ts";
import { labeledStep } from "./supervised.ts";

/** What the method's own code has differently from SS-Net's profile. */
const PROTOCOL = {
  la: {
    network: "vnet_distance",
    learningRate: { base: 0.01, every: 2500 },
    consistency: { maximum: 0.015, length: 40, countsFrom: 0 },
    components: "all",
  },
  acdc: {
    network: "unet_distance",
    learningRate: { base: 0.01, power: 0.9 },
    consistency: { maximum: 0.01, length: 200, countsFrom: 0 },
  },
} as const satisfies Record<Protocol, Partial<DatasetProfile>>;
const ADAM = { learningRate: 1e-4, beta1: 0.9, beta2: 0.99 }, LABELED = 1;
const PARTS = { weights: "", first: "first.", second: "second." } as const;

/** The discriminator and its optimizer in the method's own state, behind "discriminator.". */
function remember(state: AdamState): Weights {
  const methodState: Weights = { "discriminator.step": state.step };
  for (const [part, prefix] of Object.entries(PARTS)) {
    for (const [name, tensor] of Object.entries(state[part as keyof typeof PARTS])) {
      methodState[`discriminator.${prefix}${name}`] = tensor;
    }
  }
  return methodState;
}

function recall(names: string[], methodState: Weights): AdamState {
  const of = (prefix: string): Weights =>
    Object.fromEntries(names.map((name) => [name, methodState[`discriminator.${prefix}${name}`]]));
  const { weights, first, second } = PARTS;
  return {
    weights: of(weights),
    first: of(first),
    second: of(second),
    step: methodState["discriminator.step"] as Scalar,
  };
}

/**
 * SASSNet on a dataset. Its state is the discriminator with its optimizer. Losses it reports: total, supervised, dice,
 * distance and adversarial before their weights, discriminator.
 */
export const sassnet: MethodDefinition = defineMethod({ title: "SASSNet", create });

function create(dataset: DatasetProfile, { patch }: MethodOptions): Method {
  const profile: DatasetProfile = { ...dataset, ...PROTOCOL[dataset.protocol] };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, { classes });
  const judge = build((at) => discriminator(at, { channels: classes - 1, patch }));
  const names = judge.spec.parameters.map(({ name }) => name);
  /** Cross entropy of D's verdict on rows of which the first `passing` are to pass for labeled ones. */
  const verdict = (pass: Pass, { map, image, passing }: { map: Tensor; image: Tensor; passing: number }): Scalar => {
    const classOf = Array.from({ length: map.shape[0] }, (_, row) => row < passing ? LABELED : 0);
    const target = oneHot(tf.tensor1d(classOf, "int32"), 2);
    return crossEntropy(judge.forward(pass, { map, image }), target);
  };
  return {
    profile,
    spec,
    usesUnlabeled: true,
    methodState: (random) => remember(startAdam(toWeights(judge.spec, initialize(judge.spec, random)).weights)),
    targets: (label, shape) => distanceTargets(label, shape, classes),
    warmup: (inputs) => labeledStep(inputs, forward, (outputs) => labeledTerms(outputs, inputs, profile)),
    step: (inputs) =>
      onePassStep(inputs, forward, (outputs) => {
        const { methodState, x, label, consistencyWeight } = inputs;
        const terms = labeledTerms(outputs, inputs, profile);
        const fixed = new Pass(recall(names, methodState).weights, {}, { training: false });
        const [map, image] = [outputs.distance!, x].map((t) => tf.slice(t, label.shape[0])); // of the unlabeled rows
        const adversarial = verdict(fixed, { map, image, passing: map.shape[0] });
        const total = tf.add(terms.supervised, tf.mul(consistencyWeight, adversarial)) as Scalar;
        return { total, ...terms, adversarial };
      }),
    afterUpdate({ weights, buffers, methodState, x, label, seed }) {
      const state = recall(names, methodState);
      const { distance } = forward(
        new Pass(weights, buffers, { training: false }),
        controlDependencies(x, Object.values(weights)),
      );
      const dropoutSeed = foldIn(seed, "discriminator");
      const { value, gradients } = gradientsOf(() => {
        const pass = new Pass(state.weights, {}, { training: true, dropoutSeed });
        return verdict(pass, { map: distance!, image: x, passing: label.shape[0] });
      }, state.weights);
      const next = updateAdam(state, gradients as Tensor[], ADAM);
      return { losses: { discriminator: value }, methodState: remember(next) };
    },
  };
}
