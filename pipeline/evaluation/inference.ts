/** A network in evaluation, traced: the one way from images to its outputs. @module */
import defer * as tf from "@tensorflow/tfjs";
import { Pass } from "../networks/layers.ts";
import type { Weights } from "../networks/parameters.ts";
import type { Forward } from "../networks/scope.ts";
import type { Tensor } from "../tensorflow/tensors.ts";
import { trace } from "../tensorflow/trace.ts";
import { tensorsOf } from "../tensorflow/tree.ts";
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
  /** Arithmetic of the convolutions. */
  precision: Precision;
}

/**
 * The network for images `[B, ..., C]`, traced for every shape, dropout off. TensorFlow computes beside the caller.
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
  const run = trace(function inference(images: Tensor, weights: Weights) {
    return output(forward(new Pass(weights, {}, { training: statistics === "window" }), images).logits);
  }, precision);
  const fold = trace(function fold(image: Tensor, { weights, buffers }: NetworkParameters) {
    const pass = new Pass(weights, buffers, { training: false });
    forward(pass, image); // to see which layers there are: what nobody reads is not computed
    return pass.folded;
  });
  let folded: Weights = {}, foldedFrom: Tensor[] = [];
  const foldAnew = async ({ rank, shape }: Tensor, parameters: NetworkParameters) => {
    const image = tf.zeros([1, ...Array(rank - 2).fill(16), shape[rank - 1]]), result = await fold(image, parameters);
    tf.dispose([image, folded]);
    [folded, foldedFrom] = [result, tensorsOf(parameters)];
  };
  return async (images) => {
    const { weights, buffers } = read(), now = { weights, buffers };
    // A training's step replaces the tensors that it changes.
    const isNew = tensorsOf(now).some((tensor, i) => tensor !== foldedFrom[i]);
    if (statistics === "running" && isNew) await foldAnew(images, now);
    const result = await run(images, { ...weights, ...folded });
    const data = result.dataSync() as Values;
    result.dispose();
    return data;
  };
}
