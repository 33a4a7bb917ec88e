/** A network in evaluation, traced: the one way from images to its outputs. @module */
import defer * as tf from "@tensorflow/tfjs";
import { Pass } from "../networks/layers.ts";
import type { Weights } from "../networks/parameters.ts";
import type { Forward } from "../networks/scope.ts";
import type { Tensor } from "../tensorflow/tensors.ts";
import { trace } from "../tensorflow/trace.ts";
import type { Precision } from "../tensorflow/precision.ts";

/** Parameters and running statistics of a network, read anew at every call: a training's state can be given and goes on. */
export interface NetworkParameters {
  /** Parameters by name; a method's heads among them, which inference does not run. */
  weights: Weights;
  /** Running statistics. */
  buffers: Weights;
}

/** How a network is evaluated. */
export interface InferenceOptions {
  /** The forward pass. */
  forward: Forward;
  /** "running" as published; "window": the batch norm takes those of the images in the call, which look at nothing else. */
  statistics: "running" | "window";
  /** Of the convolutions. */
  precision: Precision;
}

/**
 * The network for images `[B, ..., 1]`, traced for every shape, dropout off. TensorFlow computes beside the caller.
 *
 * Batch norms of running statistics are folded into the layers in front of them by a function of its own, once for all
 * calls on the same parameters: inside the network's their quotients and roots, which stay in float32, would keep a bf16
 * network's biases and rectifiers in float32 too, apart from the convolutions that TensorFlow otherwise joins them with.
 *
 * @param read Gives the parameters; called at every call, as a training replaces them.
 * @param output What is made of the logits `[B, ..., K]`.
 * @returns Values of the output; the caller keeps its images.
 */
export function inference<Values extends Float32Array | Int32Array>(
  read: () => NetworkParameters,
  { forward, statistics, precision }: InferenceOptions,
  output: (logits: Tensor) => Tensor,
): (images: Tensor) => Promise<Values> {
  const first = read(), names = { weights: Object.keys(first.weights), buffers: Object.keys(first.buffers) };
  const named = (names: string[], values: Tensor[]): Weights =>
    Object.fromEntries(names.map((name, i) => [name, values[i]]));
  const run = trace(function inference(images: Tensor, ...values: Tensor[]) {
    const pass = new Pass(named(names.weights, values), {}, { training: statistics === "window" });
    return [tf.tidy(() => output(forward(pass, images).logits))];
  }, precision);
  let foldedNames: string[] = [], folded: Weights = {}, foldedFrom: Tensor[] = [];
  const fold = trace(function fold(image: Tensor, ...values: Tensor[]) {
    const weights = named(names.weights, values), buffers = named(names.buffers, values.slice(names.weights.length));
    const pass = new Pass(weights, buffers, { training: false });
    forward(pass, image); // to see which layers there are: what nobody reads is not computed
    foldedNames = Object.keys(pass.folded);
    return Object.values(pass.folded);
  });
  const foldAnew = async (rank: number, values: Tensor[]) => {
    const image = tf.zeros([1, ...Array(rank - 2).fill(16), 1]), results = await fold(image, ...values);
    tf.dispose([image, folded]);
    [folded, foldedFrom] = [named(foldedNames, results), values];
  };
  return async (images) => {
    const { weights, buffers } = read();
    const values = [...names.weights.map((name) => weights[name]), ...names.buffers.map((name) => buffers[name])];
    // A training's step replaces the tensors that it changes.
    const isNew = values.some((value, i) => value !== foldedFrom[i]);
    if (statistics === "running" && isNew) await foldAnew(images.rank, values);
    const [result] = await run(images, ...names.weights.map((name) => folded[name] ?? weights[name]));
    const data = result.dataSync() as Values;
    result.dispose();
    return data;
  };
}
