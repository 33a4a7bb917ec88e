/** A network in evaluation, traced: the one way from images to its outputs. @module */
import { Pass } from "../networks/layers.ts";
import { type NetworkName, NETWORKS } from "../networks/network.ts";
import type { Weights } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Tensor } from "../tensorflow/tensors.ts";
import { type Precision, trace } from "../tensorflow/trace.ts";

/** Whose parameters are used; read anew at every call, so that a training's state can be given and goes on. */
export interface NetworkParameters {
  /** By name; of a method with heads these too, which inference does not run. */
  weights: Weights;
  /** Running statistics. */
  buffers: Weights;
}

/** How a network is evaluated. */
export interface InferenceOptions {
  /** Whose forward pass. */
  network: NetworkName;
  /** "running" as published; "window": the batch norm takes those of the images in the call, which look at nothing else. */
  statistics: "running" | "window";
  /** Of the convolutions. */
  precision: Precision;
}

/**
 * The network for images `[B, ..., 1]`, traced for every shape, dropout off.
 * @param output What is made of the logits `[B, ..., K]`.
 * @returns Values of the output; the caller keeps its images.
 */
export function inference<Values extends Float32Array | Int32Array>(
  parameters: NetworkParameters,
  { network, statistics, precision }: InferenceOptions,
  output: (logits: Tensor) => Tensor,
): (images: Tensor) => Promise<Values> {
  const { tf } = openTensorFlow();
  const names = { weights: Object.keys(parameters.weights), buffers: Object.keys(parameters.buffers) };
  const run = trace(function inference(images: Tensor, ...values: Tensor[]) {
    const named = (names: string[]): Weights => Object.fromEntries(names.map((name) => [name, values.shift()!]));
    const pass = new Pass(named(names.weights), named(names.buffers), { training: statistics === "window" });
    return [tf.tidy(() => output(NETWORKS[network].forward(pass, images).logits))];
  }, precision);
  return async (images) => {
    const { weights, buffers } = parameters;
    const values = [...names.weights.map((name) => weights[name]), ...names.buffers.map((name) => buffers[name])];
    const [result] = await run(images, ...values);
    const data = result.dataSync() as Values;
    result.dispose();
    return data;
  };
}
