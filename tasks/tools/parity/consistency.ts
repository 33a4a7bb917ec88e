/** `consistency`: the consistency terms of UA-MT, URPC and MC-Net with their supervised terms, and all gradients. @module */
import * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor, Tensor1D } from "@tensorflow/tfjs";
import {
  certainMask,
  maskedSquaredError,
  mutualConsistency,
  predictiveEntropy,
  pyramidConsistency,
} from "../../../pipeline/losses/consistency.ts";
import {
  crossEntropy,
  foregroundDice,
  foregroundSquaredDice,
  halvedDice,
  squaredDice,
} from "../../../pipeline/losses/dice.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { softmax } from "../../../pipeline/tensorflow/ops.ts";
import { channelsLast, type Golden, numbers, sub } from "./golden.ts";
import { consistencyWeight, uncertaintyThreshold } from "../../../pipeline/losses/ramps.ts";

openTensorFlow();
/** The limits of the loss functions, and of their gradients by the largest entry. */
const VALUE = { limit: 2e-6 }, GRADIENT = { limit: 1e-5 };

type Loss = (outputs: Tensor[]) => Scalar;

export function consistencies(golden: Golden): void {
  uncertaintyAware(golden);
  const { urpcIteration, urpcRampLength2d, urpcRampLength3d } = golden.cases;
  for (const [name, length] of [["urpc_2d", urpcRampLength2d], ["urpc_3d", urpcRampLength3d]] as const) {
    const supervised = (z: Tensor, target: Tensor) =>
      tf.mul(tf.add(crossEntropy(z, target), squaredDice(softmax(z), target, 1e-5)), 1 / 8);
    checkOutputs(golden, name, {
      terms: { supervised_loss: supervised },
      supervised,
      unsupervised: (outputs) => pyramidConsistency(outputs.map((z) => rows(golden, z)[1])),
      weight: consistencyWeight(urpcIteration, { maximum: 0.1, length }),
    });
  }
  const { mcnetIteration, mcnetRampLength2d, mcnetRampLength3d, mcnetSupervisedWeight } = golden.cases;
  for (const name of ["mcnet_2d", "mcnet_3d", "mcnetplus_3d"]) {
    const slices = name.endsWith("2d"), dice = slices ? halvedDice : foregroundDice;
    const ramp = slices ? { maximum: 0.1, length: mcnetRampLength2d } : { maximum: 1, length: mcnetRampLength3d };
    const supervised = (z: Tensor, target: Tensor) => dice(softmax(z), target);
    checkOutputs(golden, name, {
      terms: { ce_sum: crossEntropy, dice_sum: supervised },
      supervised: (z, target) => tf.mul(supervised(z, target), mcnetSupervisedWeight),
      unsupervised: (outputs) => mutualConsistency(outputs.map((z) => softmax(z))),
      weight: consistencyWeight(mcnetIteration, ramp),
    });
  }
}

interface Terms {
  /** Sums over the outputs, of the labeled rows. */
  terms: Record<string, (logits: Tensor, target: Tensor) => Tensor>;
  /** The supervised part of the total, likewise. */
  supervised: (logits: Tensor, target: Tensor) => Tensor;
  unsupervised: Loss;
  weight: number;
}

/** A method with several outputs of one network. */
function checkOutputs(golden: Golden, name: string, { terms, supervised, unsupervised, weight }: Terms): void {
  const outputs = tf.unstack(golden.tensor(`${name}_outputs`)).map(channelsLast);
  const target = rows(golden, oneHot(golden, `${name}_label`, outputs[0]))[0];
  const sum = (term: Terms["supervised"], outputs: Tensor[]) =>
    tf.addN(outputs.map((z) => term(rows(golden, z)[0], target)));
  for (const [term, of] of Object.entries(terms)) golden.check(`${name}_${term}`, numbers(sum(of, outputs)), VALUE);
  const total: Loss = (outputs) => tf.add(sum(supervised, outputs), tf.mul(unsupervised(outputs), weight));
  golden.check(`${name}_consistency_loss`, numbers(unsupervised(outputs)), VALUE);
  golden.check(`${name}_loss`, numbers(total(outputs)), VALUE);
  for (const [key, loss] of Object.entries({ consistency: unsupervised, loss: total })) {
    const gradients = tf.grads((...outputs: Tensor[]) => loss(outputs))(outputs);
    golden.checkGradient(`${name}_grad_${key}`, gradients.flatMap((g) => [...sub(g, 1)]), GRADIENT);
  }
}

function uncertaintyAware(golden: Golden): void {
  const outputs = golden.image("uamt_outputs"), teacher = softmax(golden.image("uamt_ema_output"));
  const target = rows(golden, oneHot(golden, "uamt_label", outputs))[0];
  const [, copiesTimesSamples] = golden.shape("uamt_passes"), samples = teacher.shape[0];
  const passes = tf.unstack(golden.tensor("uamt_passes")).flatMap((pass) =>
    tf.split(softmax(channelsLast(pass)), copiesTimesSamples / samples)
  );
  const mean = tf.div(tf.addN(passes), passes.length), uncertainty = predictiveEntropy(mean);
  golden.check("uamt_mean_probability", sub(mean, 1), VALUE);
  golden.check("uamt_uncertainty", numbers(uncertainty), VALUE);
  const [iteration, length] = golden.values("uamt_iteration");
  const threshold = uncertaintyThreshold(iteration, length);
  golden.check("uamt_threshold", [threshold], VALUE);
  const mask = certainMask(uncertainty, tf.scalar(threshold));
  golden.check("uamt_mask", numbers(mask), { limit: 0 });
  const weight = consistencyWeight(iteration, { maximum: 0.1, length: golden.cases.uamtRampLength });
  golden.check("uamt_consistency_weight", [weight], VALUE);

  type Dice = (p: Tensor, q: Tensor) => Scalar;
  const supervised = (dice: Dice) => (z: Tensor) => {
    const labeled = rows(golden, z)[0];
    return tf.mul(tf.add(crossEntropy(labeled, target), dice(softmax(labeled), target)), 0.5);
  };
  const both = supervised((p, q) => squaredDice(p, q, 1e-5));
  const unsupervised = (z: Tensor) => maskedSquaredError(softmax(rows(golden, z)[1]), teacher, mask);
  const total = (z: Tensor) => tf.add(both(z), tf.mul(unsupervised(z), weight));
  golden.check("uamt_la_supervised_loss", numbers(supervised(foregroundSquaredDice)(outputs)), VALUE);
  golden.check("uamt_supervised_loss", numbers(both(outputs)), VALUE);
  golden.check("uamt_consistency_loss", numbers(unsupervised(outputs)), VALUE);
  golden.check("uamt_loss", numbers(total(outputs)), VALUE);
  golden.checkGradient("uamt_grad_outputs", sub(tf.grad(total)(outputs), 1), GRADIENT);
}

/** Labeled and unlabeled rows. */
function rows(golden: Golden, x: Tensor): [Tensor, Tensor] {
  const { labeled } = golden.cases;
  return tf.split(x, [labeled, x.shape[0] - labeled]) as [Tensor, Tensor];
}

function oneHot(golden: Golden, key: string, like: Tensor): Tensor {
  return tf.cast(tf.oneHot(golden.labels(key) as Tensor1D, like.shape.at(-1)!), "float32");
}
