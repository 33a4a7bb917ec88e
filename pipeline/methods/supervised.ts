/**
 * Training on the labeled half alone, the lower bound of every comparison: `L = (cross entropy + Dice) / 2`.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { crossEntropy, oneHot, SUPERVISED_DICE } from "../losses/dice.ts";
import { buildNetwork } from "../networks/network.ts";
import type { Forward, NetworkOutputs } from "../networks/scope.ts";
import { softmax } from "../tensorflow/ops.ts";
import type { Scalar } from "../tensorflow/tensors.ts";
import {
  defineMethod,
  type Method,
  type MethodDefinition,
  onePassStep,
  type StepInputs,
  type StepOutputs,
} from "./method.ts";

/**
 * A step on the labeled rows alone.
 * @param lossesOf From the network's outputs on them: `supervised` is the total, the others are reported.
 */
export function labeledStep(
  inputs: StepInputs,
  forward: Forward,
  lossesOf: (outputs: NetworkOutputs) => Record<"supervised", Scalar> & Record<string, Scalar>,
): StepOutputs {
  const labeled = tf.slice(inputs.x, 0, inputs.label.shape[0]);
  return onePassStep({ ...inputs, x: labeled }, forward, (outputs) => {
    const losses = lossesOf(outputs);
    return { total: losses.supervised, ...losses };
  });
}

/**
 * Labeled-only training on a dataset, with the network of the other methods but no heads. Losses it reports: total,
 * supervised (the same), cross_entropy, dice. The same step is the warm-up of methods that have no other.
 */
export const supervised: MethodDefinition = defineMethod({ title: "labeled only", create });

function create(profile: DatasetProfile): Method {
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, profile);
  return {
    profile,
    spec,
    usesUnlabeled: false,
    methodState: () => ({}),
    step: (inputs) =>
      labeledStep(inputs, forward, ({ logits }) => {
        const target = oneHot(inputs.label, classes);
        const cross_entropy = crossEntropy(logits, target),
          dice = SUPERVISED_DICE[profile.protocol](softmax(logits), target);
        return { supervised: tf.mul(tf.add(cross_entropy, dice), 0.5) as Scalar, cross_entropy, dice };
      }),
  };
}

/** A method's warm-up, as a method on the same network and state. */
export function warmupOf(method: Method): Method {
  const { profile, spec, methodState, warmup, targets } = method;
  const own = warmup ? { step: warmup, targets } : { step: create(profile).step };
  return { profile, spec, methodState, usesUnlabeled: false, ...own };
}
