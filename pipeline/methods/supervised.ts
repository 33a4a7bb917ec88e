/**
 * Training on the labeled half alone, the lower bound of every comparison: `L = (cross entropy + Dice) / 2`.
 * @module
 */
import { crossEntropy, foregroundDice, squaredDice } from "../losses/dice.ts";
import { Pass } from "../networks/layers.ts";
import { type Network, type NetworkOutputs, NETWORKS } from "../networks/network.ts";
import { SpecBuilder } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Scalar } from "../tensorflow/tensors.ts";
import { gradientsOf, type Method, type MethodOptions, type StepInputs, type StepOutputs } from "./method.ts";

const DICE = { la: foregroundDice, acdc: squaredDice } as const;

/**
 * A step on the labeled rows alone.
 * @param lossesOf From the network's outputs on them: `supervised` is the total, the others are reported.
 */
export function labeledStep(
  { weights, buffers, memory, x, label, seed }: StepInputs,
  forward: Network["forward"],
  lossesOf: (outputs: NetworkOutputs) => Record<"supervised", Scalar> & Record<string, Scalar>,
): StepOutputs {
  const { tf } = openTensorFlow();
  const pass = new Pass(weights, { ...buffers }, { training: true, updateStatistics: true, dropoutSeed: seed });
  const labeled = tf.slice(x, 0, label.shape[0]);
  let losses!: Record<"supervised", Scalar> & Record<string, Scalar>;
  const { value, gradients } = gradientsOf(() => {
    losses = lossesOf(forward(pass, labeled));
    Object.values(losses).forEach((loss) => tf.keep(loss));
    return losses.supervised;
  }, weights);
  return { losses: { total: value, ...losses }, gradients, participation: {}, buffers: pass.buffers, memory };
}

/**
 * Labeled-only training on a dataset, with the network of the other methods but no heads. Losses it reports: total,
 * supervised (the same), cross_entropy, dice. The same step is the warm-up of methods that have no other.
 */
export function supervised({ profile }: MethodOptions): Method {
  const { classes } = profile, { spec, forward } = NETWORKS[profile.network];
  return {
    profile,
    spec: spec(new SpecBuilder(), { classes }),
    usesUnlabeled: false,
    memory: () => ({}),
    step: (inputs) =>
      labeledStep(inputs, forward, ({ logits }) => {
        const { tf } = openTensorFlow(), target = tf.cast(tf.oneHot(inputs.label, classes), "float32");
        const cross_entropy = crossEntropy(logits, target), dice = DICE[profile.name](tf.softmax(logits), target);
        return { supervised: tf.mul(tf.add(cross_entropy, dice), 0.5) as Scalar, cross_entropy, dice };
      }),
  };
}

/** A method's warm-up, as a method on the same network and state. */
export function warmupOf(method: Method): Method {
  const { profile, spec, memory, warmup, targets } = method;
  const own = warmup ? { step: warmup, targets } : { step: supervised({ profile }).step };
  return { profile, spec, memory, usesUnlabeled: false, ...own };
}
