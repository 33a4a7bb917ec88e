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
import type { DatasetProfile } from "../data/profiles.ts";
import { pyramidConsistency } from "../losses/consistency.ts";
import { crossEntropy, squaredDice } from "../losses/dice.ts";
import { Pass } from "../networks/layers.ts";
import { NETWORKS } from "../networks/network.ts";
import { SpecBuilder } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import { gradientsOf, type Method, type MethodOptions } from "./method.ts";
import { labeledStep } from "./supervised.ts";

/** What the method's own code has differently from SS-Net's profile. */
const PROTOCOL = {
  la: {
    network: "unet3d_pyramid",
    rate: { base: 0.01, every: 2500 },
    consistency: { maximum: 0.1, length: 40, countsFrom: 0 },
    largestComponent: false,
  },
  acdc: {
    network: "unet_pyramid",
    rate: { base: 0.01, power: 0.9 },
    consistency: { maximum: 0.1, length: 200, countsFrom: 0 },
  },
} as const satisfies Record<string, Partial<DatasetProfile>>;

/** URPC on a dataset. Losses it reports: total, supervised, consistency before its weight. */
export function urpc(options: MethodOptions): Method {
  const profile: DatasetProfile = { ...options.profile, ...PROTOCOL[options.profile.name] };
  const { classes } = profile, { spec, forward } = NETWORKS[profile.network];
  /** Mean of every scale's cross entropy and Dice on the labeled rows, which come first. */
  const supervisedOf = (scales: Tensor[], label: Tensor): Scalar => {
    const { tf } = openTensorFlow(), target = tf.cast(tf.oneHot(label, classes), "float32");
    const terms = scales.flatMap((logits) => {
      const own = tf.slice(logits, 0, label.shape[0]);
      return [crossEntropy(own, target), squaredDice(tf.softmax(own), target, 1e-5)];
    });
    return tf.div(tf.addN(terms), terms.length) as Scalar;
  };
  return {
    profile,
    spec: spec(new SpecBuilder(), { classes }),
    usesUnlabeled: true,
    memory: () => ({}),
    warmup: (inputs) => labeledStep(inputs, forward, ({ all }) => ({ supervised: supervisedOf(all!, inputs.label) })),
    step({ weights, buffers, memory, x, label, seed, consistencyWeight }) {
      const { tf } = openTensorFlow(), labeled = label.shape[0];
      const pass = new Pass(weights, { ...buffers }, { training: true, updateStatistics: true, dropoutSeed: seed });
      const kept: Record<string, Scalar> = {};
      const { value, gradients } = gradientsOf(() => {
        const scales = forward(pass, x).all!;
        kept.supervised = tf.keep(supervisedOf(scales, label));
        kept.consistency = tf.keep(pyramidConsistency(scales.map((logits) => tf.slice(logits, labeled))));
        return tf.add(kept.supervised, tf.mul(consistencyWeight, kept.consistency));
      }, weights);
      const { supervised, consistency } = kept;
      const losses = { total: value, supervised, consistency };
      return { losses, gradients, participation: {}, buffers: pass.buffers, memory };
    },
  };
}
