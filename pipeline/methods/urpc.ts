/**
 * URPC (Luo et al., MICCAI 2021, "Efficient semi-supervised segmentation via uncertainty rectified pyramid consistency"):
 * heads on four scales of the decoder; on unlabeled rows each is to agree with their mean, less where it diverges from it.
 * `L = Σ_i (CE_i + Dice_i) / 8 + w L_con`; nothing is detached.
 *
 * Source of truth: HiLab-git/SSL4MIS (ACDC). Its 3-D network (instance norm, dropout in the decoder) was published for
 * other organs; on LA it runs here with LA's patch, stepped rate and ramp for 15,000 iterations (no official run exists).
 * Deviation: logarithms of probabilities come from the logits, so they are finite where the published code gives NaN.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile, Protocol } from "../datasets/dataset.ts";
import { pyramidConsistency } from "../losses/consistency.ts";
import { crossEntropy, oneHot, squaredDice } from "../losses/dice.ts";
import { buildNetwork } from "../networks/network.ts";
import { softmax } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import { defineMethod, type Method, type MethodDefinition, onePassStep } from "./method.ts";
import { labeledStep } from "./supervised.ts";

/** What the method's own code has differently from SS-Net's profile. */
const PROTOCOL = {
  la: {
    network: "unet3d_pyramid",
    learningRate: { base: 0.01, every: 2500 },
    consistency: { maximum: 0.1, length: 40, countsFrom: 0 },
    components: "all",
  },
  acdc: {
    network: "unet_pyramid",
    learningRate: { base: 0.01, power: 0.9 },
    consistency: { maximum: 0.1, length: 200, countsFrom: 0 },
  },
} as const satisfies Record<Protocol, Partial<DatasetProfile>>;

/** URPC on a dataset. Losses it reports: total, supervised, consistency before its weight. */
export const urpc: MethodDefinition = defineMethod({ title: "URPC", create });

function create(dataset: DatasetProfile): Method {
  const profile: DatasetProfile = { ...dataset, ...PROTOCOL[dataset.protocol] };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, { classes });
  /** Mean of every scale's cross entropy and Dice on the labeled rows, which come first. */
  const supervisedOf = (scales: Tensor[], label: Tensor): Scalar => {
    const target = oneHot(label, classes);
    const terms = scales.flatMap((logits) => {
      const own = tf.slice(logits, 0, label.shape[0]);
      return [crossEntropy(own, target), squaredDice(softmax(own), target, 1e-5)];
    });
    return tf.div(tf.addN(terms), terms.length) as Scalar;
  };
  return {
    profile,
    spec,
    usesUnlabeled: true,
    methodState: () => ({}),
    warmup: (inputs) => labeledStep(inputs, forward, ({ all }) => ({ supervised: supervisedOf(all!, inputs.label) })),
    step: (inputs) =>
      onePassStep(inputs, forward, ({ all }) => {
        const { label, consistencyWeight } = inputs;
        const supervised = supervisedOf(all!, label);
        const consistency = pyramidConsistency(all!.map((logits) => tf.slice(logits, label.shape[0])));
        const total = tf.add(supervised, tf.mul(consistencyWeight, consistency)) as Scalar;
        return { total, supervised, consistency };
      }),
  };
}
