/**
 * An example of a method: entropy minimization (Grandvalet & Bengio, NeurIPS 2004), `L = Dice + w H(p_U)`: unlabeled voxels
 * are to be decided. Its file goes to `pipeline/methods`, its line into `methods.ts`.
 * @module
 */
import { z } from "zod";
import * as tf from "@tensorflow/tfjs";
import type { DatasetProfile } from "@ssnet/pipeline/datasets/dataset.ts";
import { predictiveEntropy } from "@ssnet/pipeline/losses/consistency.ts";
import { oneHot, squaredDice } from "@ssnet/pipeline/losses/dice.ts";
import { defineMethod, onePassStep } from "@ssnet/pipeline/methods/method.ts";
import { buildNetwork } from "@ssnet/pipeline/networks/network.ts";
import { softmax } from "@ssnet/pipeline/tensorflow/ops.ts";
import type { Scalar } from "@ssnet/pipeline/tensorflow/tensors.ts";

/** Losses it reports: total, supervised, entropy before its weights. */
export const entropyMinimization = defineMethod({
  title: "Entropy minimization",
  settings: (_: DatasetProfile) =>
    z.strictObject({ entropyWeight: z.number().nonnegative().default(0.1).describe("weight of the entropy") }),
  create(profile, { settings: { entropyWeight } }) {
    const { classes } = profile, { spec, forward } = buildNetwork(profile.network, profile);
    return {
      profile,
      spec,
      usesUnlabeled: true,
      methodState: () => ({}),
      step: (inputs) =>
        onePassStep(inputs, forward, ({ logits }) => {
          const { label, x, consistencyWeight } = inputs, labeled = label.shape[0];
          const [own, others] = tf.split(softmax(logits), [labeled, x.shape[0] - labeled]);
          const supervised = squaredDice(own, oneHot(label, classes));
          const entropy = tf.mean(predictiveEntropy(others)) as Scalar;
          const weighted = tf.mul(tf.mul(consistencyWeight, entropyWeight), entropy);
          return { total: tf.add(supervised, weighted) as Scalar, supervised, entropy };
        }),
    };
  },
});
