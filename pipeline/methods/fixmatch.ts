/**
 * FixMatch (Sohn et al., NeurIPS 2020) with CutMix for segmentation: what the network is sure of in the weak view of an
 * unlabeled row is the label of its strong view, into which a box of the next row's is pasted.
 * `L = (CE + Dice) / 2 + Dice(strong view, pseudo labels)`, the second over the voxels with a confidence of at least 0.95.
 *
 * Source of truth: LiheYoung/UniMatch, `more-scenarios/medical` (ACDC), with one strong view and without its feature
 * perturbation, which is FixMatch there. The weak view is the training's augmentation without what changes intensities, the
 * strong one adds that of the strong augmentation.
 * Deviations: that code's intensities are color jitter and a wider blur; its box is up to 3.3 times as long as wide, ours has
 * the patch's proportions, so that a volume has one too; the other row of a mix is the next one of the batch, not one of a
 * second loader. Pseudo labels come from one pass of the batch's statistics without dropout, there from a pass with dropout and,
 * in the box, from one of running statistics. The factor 1/2 of its total, which halves the rate, is left out. On LA, which it
 * does not have, rate and length are those of SS-Net's table; the batches are SS-Net's.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile, Protocol } from "../datasets/dataset.ts";
import { paste } from "../losses/copy_paste.ts";
import { comparedSupervised, oneHot } from "../losses/dice.ts";
import { confidentDice, confidentLabels, cutMixMask, nextRows } from "../losses/weak_to_strong.ts";
import { Pass } from "../networks/layers.ts";
import { buildNetwork } from "../networks/network.ts";
import { controlDependencies, foldIn, softmax } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import { defineMethod, type Method, type MethodDefinition, onePassStep } from "./method.ts";

/** FixMatch's weight is 1 from the first step on. */
const consistency = { maximum: 1, length: 0, countsFrom: 0 } as const;
/** What the method's own code has differently from SS-Net's profile. */
const PROTOCOL = {
  la: { consistency },
  acdc: { consistency, learningRate: { base: 0.01, power: 0.9 } },
} as const satisfies Record<Protocol, Partial<DatasetProfile>>;
const CONFIDENCE = 0.95;

/**
 * FixMatch on a dataset. Losses it reports: total, supervised, consistency before its weight, certain_share (of the unlabeled
 * voxels, those that count).
 */
export const fixmatch: MethodDefinition = defineMethod({ title: "FixMatch + CutMix", create });

function create(dataset: DatasetProfile): Method {
  const profile: DatasetProfile = { ...dataset, ...PROTOCOL[dataset.protocol] };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, profile);
  return {
    profile,
    spec,
    usesUnlabeled: true,
    hasStrongViews: true,
    methodState: () => ({}),
    step(inputs) {
      const { weights, x, label, seed, consistencyWeight } = inputs;
      const labeled = label.shape[0], unlabeled = (x.shape[0] - labeled) / 2;
      const [images, weak, strong] = tf.split(x, [labeled, unlabeled, unlabeled]);
      const mask = cutMixMask(unlabeled, x.shape.slice(1, -1), foldIn(seed, "cut mix"));
      const mixed = (rows: Tensor) => paste(mask, { outside: rows, inside: nextRows(rows) });
      const sure = softmax(forward(new Pass(weights, {}, { training: true }), weak).logits);
      const pseudo = mixed(confidentLabels(sure, CONFIDENCE));
      const student = {
        ...inputs,
        x: controlDependencies(tf.concat([images, mixed(strong)]), [pseudo]),
        seed: foldIn(seed, "student"),
      };
      return onePassStep(student, forward, ({ logits }) => {
        const [labeledLogits, strongLogits] = tf.split(logits, [labeled, unlabeled]);
        const supervised = comparedSupervised(labeledLogits, oneHot(label, classes), profile.protocol);
        const consistency = confidentDice(softmax(strongLogits), pseudo);
        const total = tf.add(supervised, tf.mul(consistencyWeight, consistency)) as Scalar;
        return { total, supervised, consistency, certain_share: tf.mean(tf.sum(pseudo, -1)) as Scalar };
      });
    },
  };
}
