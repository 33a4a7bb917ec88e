/**
 * Training on the labeled half alone, the lower bound of every comparison: `L = (cross entropy + Dice) / 2`.
 * @module
 */
import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { crossEntropy, linearDice } from "../losses/dice.ts";
import { Pass } from "../networks/layers.ts";
import { SpecBuilder } from "../networks/parameters.ts";
import { vnet, vnetSpec } from "../networks/vnet.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Method, MethodOptions, StepInputs, StepOutputs } from "./method.ts";

/** The method for `classes` classes. */
export function supervised({ classes }: MethodOptions): Method {
  const spec = vnetSpec(new SpecBuilder(), { classes });
  return { spec, usesUnlabeled: false, memory: {}, step: (inputs) => supervisedStep(inputs, classes) };
}

function supervisedStep({ weights, buffers, memory, x, label, seed }: StepInputs, classes: number): StepOutputs {
  const { tf } = openTensorFlow();
  const pass = new Pass(weights, { ...buffers }, { training: true, updateStatistics: true, dropoutSeed: seed });
  const labeled = tf.slice(x, [0, 0, 0, 0, 0], [label.shape[0], ...x.shape.slice(1)]) as typeof x;
  const target = tf.cast(tf.oneHot(label, classes), "float32");
  const losses: Record<string, Scalar> = {};
  const objective = () => {
    const { logits } = vnet(pass, labeled);
    losses.cross_entropy = tf.keep(crossEntropy(logits, target));
    const foreground = (t: Tensor) => tf.slice(t, [0, 0, 0, 0, 1], [-1, -1, -1, -1, 1]);
    losses.dice = tf.keep(linearDice(foreground(tf.softmax(logits)), foreground(target)));
    return tf.mul(tf.add(losses.cross_entropy, losses.dice), 0.5);
  };
  // deno-lint-ignore no-explicit-any
  const engine = tf.engine() as any; // tf.variableGrads wants tf.Variable, which a trace cannot hold
  const { value, grads } = engine.gradients(objective, Object.values(weights), null, true);
  return { losses: { total: value, ...losses }, gradients: grads, participation: {}, buffers: pass.buffers, memory };
}
