/** Times of the networks' work: a training step, one row there and back, inference. @module */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { sliceNetwork, sliceProbabilities } from "../evaluation/slices.ts";
import { windowNetwork } from "../evaluation/sliding_window.ts";
import { crossEntropy, oneHot, SUPERVISED_DICE } from "../losses/dice.ts";
import { createMethod, gradientsOf, type Method } from "../methods/method.ts";
import { METHODS } from "../methods/methods.ts";
import { discriminator } from "../networks/discriminator.ts";
import { Pass } from "../networks/layers.ts";
import { buildNetwork } from "../networks/network.ts";
import { initialize, type NetworkSpec, toWeights, type Weights } from "../networks/parameters.ts";
import { build } from "../networks/scope.ts";
import { stream } from "../arrays/random.ts";
import { syntheticBatches, syntheticRows } from "../training/synthetic_batch.ts";
import { startState, type TrainingState, trainingStep } from "../training/training_step.ts";
import { softmax } from "../tensorflow/ops.ts";
import type { Tensor, Tensor1D, Tensor5D } from "../tensorflow/tensors.ts";
import { trace } from "../tensorflow/trace.ts";
import type { PassName } from "../records/measurement.ts";
import { tensorsOf } from "../tensorflow/tree.ts";
import { phantomCase } from "./inputs.ts";
import type { CountedNetwork } from "./kinds.ts";
import { repeat, type Timing } from "./timing.ts";
import type { Shape2 } from "../arrays/shape.ts";
import type { Precision } from "../tensorflow/precision.ts";

/** How work is timed. */
export interface How {
  /** Arithmetic of the convolutions. */
  precision: Precision;
  /** The number of counted repetitions. */
  iterations: number;
}

/** One whole training step: losses, gradients, update. */
export async function timeStep(method: Method, { precision, iterations }: How): Promise<Timing> {
  const state = startState(method, stream(1, "weights")), step = trainingStep(method, precision);
  const batchOf = syntheticBatches(method);
  return await repeat(iterations, async (i) => {
    const losses = await step(state, batchOf(i));
    Object.values(losses).forEach((loss: Tensor) => loss.dataSync());
  });
}

/** Whether a network takes rows of a dataset: volumes or slices; the discriminator is made for either. */
export function takes(network: CountedNetwork, profile: DatasetProfile): boolean {
  if (network === "discriminator") return true;
  return buildNetwork(network, profile).spec.parameters[0].shape.length === profile.patch.length + 2; // of a convolution
}

/** A network over one labeled row. */
interface Model {
  /** Its parameters and running statistics. */
  spec: NetworkSpec;
  /** What a gradient is taken by in a pass back to the input: the image, the discriminator's map. */
  input: Tensor;
  /** A loss of the input that depends on every output. */
  loss: (pass: Pass, input: Tensor) => Tensor;
}

/** Dice of every segmentation and the mean square of the distances; of the discriminator its cross entropy. */
function modelOf(network: CountedNetwork, profile: DatasetProfile): Model {
  const { classes, patch, protocol } = profile;
  const { x, label } = syntheticRows(profile, { labeled: 1, unlabeled: 0 });
  if (network === "discriminator") {
    const { spec, forward } = build((at) => discriminator(at, profile));
    return {
      spec,
      input: tf.randomUniform([1, ...patch, classes - 1], -1, 1, "float32", 1),
      loss: (pass, map) => crossEntropy(forward(pass, { map, image: x }), oneHot(tf.tensor1d([1], "int32"), 2)),
    };
  }
  const { spec, forward } = buildNetwork(network, profile), dice = SUPERVISED_DICE[protocol];
  return {
    spec,
    input: x,
    loss(pass, x) {
      const { logits, all = [logits], distance } = forward(pass, x), target = oneHot(label, classes);
      const terms = all.map((logits): Tensor => dice(softmax(logits), target));
      if (distance) terms.push(tf.mean(tf.square(distance)));
      return tf.addN(terms);
    },
  };
}

/** One labeled row through a network, as far as the pass goes. */
export async function timePass(
  network: CountedNetwork,
  profile: DatasetProfile,
  { pass: name, precision, iterations }: How & { pass: PassName },
): Promise<Timing> {
  const { spec, input, loss } = modelOf(network, profile);
  const { weights, buffers } = toWeights(spec, initialize(spec, stream(1, "weights")));
  const run = trace(function pass(input: Tensor, seed: Tensor1D, weights: Weights) {
    const pass = new Pass(weights, { ...buffers }, { training: true, dropoutSeed: seed });
    if (name === "forward") return { value: loss(pass, input), gradients: [] };
    return gradientsOf(() => loss(pass, input), name === "input" ? { input } : weights);
  }, precision);
  return await repeat(iterations, async (i) => {
    const seed = tf.tensor1d([7, i], "int32") as Tensor1D;
    const { value, gradients } = await run(input, seed, weights);
    value.dataSync();
    tensorsOf([seed, value, gradients]).forEach((tensor) => tensor.dispose());
  });
}

/** The dataset's network as labeled-only training begins with it. */
export function untrained(profile: DatasetProfile): TrainingState {
  return startState(createMethod(METHODS.supervised, profile), stream(1, "weights"));
}

/** One window (LA), or a volume of 10 slices with its zooms (ACDC). */
export async function timeInference(profile: DatasetProfile, { precision, iterations }: How): Promise<Timing> {
  const { channels, patch } = profile, state = untrained(profile);
  const how = { forward: buildNetwork(profile.network, profile).forward, statistics: "running", precision } as const;
  if (patch.length === 3) {
    const network = windowNetwork(() => state, how), x = tf.randomNormal([1, ...patch, channels], 0, 1, "float32", 1);
    return await repeat(iterations, () => network(x as Tensor5D));
  }
  const network = sliceNetwork(() => state, how), { image, shape } = phantomCase(profile);
  const slices = { size: patch as Shape2, classes: profile.classes, network };
  return await repeat(iterations, () => sliceProbabilities(image, shape, slices));
}
