/**
 * Training on the labeled half alone, the lower bound of every comparison: `L = (cross entropy + Dice) / 2`.
 * @module
 */
import { crossEntropy, foregroundDice, squaredDice } from "../losses/dice.ts";
import { Pass } from "../networks/layers.ts";
import { NETWORKS } from "../networks/network.ts";
import { SpecBuilder } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Scalar } from "../tensorflow/tensors.ts";
import { gradientsOf, type Method, type MethodOptions } from "./method.ts";

const DICE = { la: foregroundDice, acdc: squaredDice } as const;

/**
 * Labeled-only training on a dataset, with the network of the other methods but no heads. Losses it reports: total,
 * supervised (the same), cross_entropy, dice. The same step is the warm-up of a short training of another method.
 */
export function supervised({ profile }: MethodOptions): Method {
  const { classes } = profile, { spec, forward } = NETWORKS[profile.network];
  return {
    profile,
    spec: spec(new SpecBuilder(), { classes }),
    usesUnlabeled: false,
    memory: () => ({}),
    step({ weights, buffers, memory, x, label, seed }) {
      const { tf } = openTensorFlow();
      const pass = new Pass(weights, { ...buffers }, { training: true, updateStatistics: true, dropoutSeed: seed });
      const labeled = tf.slice(x, x.shape.map(() => 0), [label.shape[0], ...x.shape.slice(1)]);
      const target = tf.cast(tf.oneHot(label, classes), "float32");
      const losses: Record<string, Scalar> = {};
      const { value, gradients } = gradientsOf(() => {
        const { logits } = forward(pass, labeled);
        losses.cross_entropy = tf.keep(crossEntropy(logits, target));
        losses.dice = tf.keep(DICE[profile.name](tf.softmax(logits), target));
        return tf.mul(tf.add(losses.cross_entropy, losses.dice), 0.5);
      }, weights);
      const all = { total: value, supervised: value, ...losses };
      return { losses: all, gradients, participation: {}, buffers: pass.buffers, memory };
    },
  };
}

/** A method's warm-up, as a method on the same network and state. */
export function warmupOf(method: Method): Method {
  const { profile, spec, memory, warmup } = method;
  return { profile, spec, memory, usesUnlabeled: false, step: warmup ?? supervised({ profile }).step };
}
