/**
 * MC-Net (Wu et al., MICCAI 2021, "Semi-supervised left atrium segmentation with mutual consistency training"), version 1:
 * two decoders on one encoder, each to agree with the other's sharpened probabilities on all rows.
 * `L = λ Σ_d Dice(p_d) + w (mean((p₁ - sp(p₂))²) + mean((p₂ - sp(p₁))²))`; the targets are not detached.
 *
 * Source of truth: ycwu1997/MC-Net (both datasets). As there: the Dice of ACDC lacks the factor 2, sharpening is of every
 * channel by itself, the cross entropy is no part of L, the first decoder alone is tested, on LA without a component filter.
 * Deviation: on LA the last network is tested, not the one that was best on the test cases.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile, Protocol } from "../datasets/dataset.ts";
import { mutualConsistency } from "../losses/consistency.ts";
import { foregroundDice, halvedDice, oneHot } from "../losses/dice.ts";
import { buildNetwork } from "../networks/network.ts";
import type { NetworkOutputs } from "../networks/scope.ts";
import { softmax } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import { defineMethod, type Method, type MethodDefinition, onePassStep } from "./method.ts";
import { labeledStep } from "./supervised.ts";

/** What the method's own code has differently from SS-Net's profile: a constant rate on both, the ramp counted from 1. */
const PROTOCOL = {
  la: {
    network: "vnet_mutual",
    learningRate: { base: 0.01, every: Infinity },
    consistency: { maximum: 1, length: 40, countsFrom: 1 },
    components: "all",
  },
  acdc: { network: "unet_mutual", consistency: { maximum: 0.1, length: 200, countsFrom: 1 } },
} as const satisfies Record<Protocol, Partial<DatasetProfile>>;
const LABELED_LOSS = { la: { dice: foregroundDice, weight: 0.5 }, acdc: { dice: halvedDice, weight: 1 } } as const;

/** MC-Net on a dataset. Losses it reports: total, supervised (the weighted sum of both decoders' Dice), consistency before its weight. */
export const mcNet: MethodDefinition = defineMethod({ title: "MC-Net", create });

function create(dataset: DatasetProfile): Method {
  const profile: DatasetProfile = { ...dataset, ...PROTOCOL[dataset.protocol] };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, { classes });
  const { dice, weight } = LABELED_LOSS[profile.protocol];
  /** The weighted sum of every decoder's Dice on the labeled rows, which come first. */
  const supervisedOf = (probabilities: Tensor[], label: Tensor): Scalar => {
    const target = oneHot(label, classes);
    const terms = probabilities.map((p) => dice(tf.slice(p, 0, label.shape[0]), target));
    return tf.mul(tf.addN(terms), weight) as Scalar;
  };
  const probabilitiesOf = (outputs: NetworkOutputs) => outputs.all!.map((logits) => softmax(logits));
  return {
    profile,
    spec,
    usesUnlabeled: true,
    methodState: () => ({}),
    warmup: (inputs) =>
      labeledStep(inputs, forward, (outputs) => ({
        supervised: supervisedOf(probabilitiesOf(outputs), inputs.label),
      })),
    step: (inputs) =>
      onePassStep(inputs, forward, (outputs) => {
        const probabilities = probabilitiesOf(outputs);
        const supervised = supervisedOf(probabilities, inputs.label), consistency = mutualConsistency(probabilities);
        const total = tf.add(supervised, tf.mul(inputs.consistencyWeight, consistency)) as Scalar;
        return { total, supervised, consistency };
      }),
  };
}
