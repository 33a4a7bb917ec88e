/**
 * Parameters and buffers under the names of the authors' `state_dict`: shapes, PyTorch's default initialization,
 * and the way between PyTorch's layouts and TensorFlow's.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { Tensor } from "../tensorflow/tensors.ts";
import { sizeOf } from "../arrays/shape.ts";

/** One parameter; `shape` in PyTorch's layout: convolutions `[out, in, k...]`, transposed ones `[in, out, k...]`, linear `[out, in]`. */
export interface ParameterSpec {
  /** Its name in the `state_dict`. */
  name: string;
  /** Its shape in PyTorch's layout. */
  shape: number[];
  /** What it is, which decides how it is initialized; "conv_normal" is a convolution with a normal distribution. */
  kind: "conv" | "conv_normal" | "convT" | "linear" | "bias" | "bn_gamma" | "bn_beta";
  /** PyTorch's fan-in of the weight (for a bias: of its weight): `shape[1] * k...`. */
  fanIn: number;
}
/** One running statistic. */
export interface BufferSpec {
  /** Its name in the `state_dict`. */
  name: string;
  /** `[C]` */
  shape: number[];
  /** Which statistic: a mean begins as 0, a variance as 1. */
  kind: "running_mean" | "running_var";
}
/** All parameters and buffers of a network, in the order of the `state_dict`. */
export interface NetworkSpec {
  /** What the optimizer moves. */
  parameters: ParameterSpec[];
  /** What batch norms in training mode move. */
  buffers: BufferSpec[];
}
/** Values in PyTorch's layout, by name. */
export type StateDict = Record<string, Float32Array>;
/** Values in TensorFlow's layout, by name. */
export type Weights = Record<string, Tensor>;

/**
 * PyTorch's default initialization (Kaiming-uniform with a = √5): weights and biases uniform in ±1/√fan_in, gamma 1,
 * beta 0; running means 0, variances 1. "conv_normal" is Kaiming-normal: mean 0, standard deviation √(2/fan_in).
 * @param random Uniform in [0, 1); one number a weight or bias (two a normal one), in the order of the specification.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { stream } from "@ssnet/pipeline/arrays/random.ts";
 * import { initialize } from "@ssnet/pipeline/networks/parameters.ts";
 * import { build } from "@ssnet/pipeline/networks/scope.ts";
 *
 * const { spec } = build((at) => at.linearNorm(["head", "norm"], { in: 16, out: 32 }));
 * const state = initialize(spec, stream(1337, "weights"));
 * assert.equal(state["head.weight"].length, 512);
 * assert.ok(state["head.weight"].every((value) => Math.abs(value) <= 1 / Math.sqrt(16)));
 * assert.deepEqual([state["norm.weight"][0], state["norm.bias"][0], state["norm.running_var"][0]], [1, 0, 1]);
 * ```
 */
export function initialize(spec: NetworkSpec, random: () => number): StateDict {
  const state: StateDict = {};
  for (const { name, shape, kind, fanIn } of spec.parameters) {
    const values = new Float32Array(sizeOf(shape));
    if (kind === "bn_gamma") values.fill(1);
    else if (kind === "conv_normal") {
      const standardDeviation = Math.sqrt(2 / fanIn);
      for (let i = 0; i < values.length; i++) values[i] = normal(random) * standardDeviation;
    } else if (kind !== "bn_beta") {
      const bound = 1 / Math.sqrt(fanIn);
      for (let i = 0; i < values.length; i++) values[i] = (2 * random() - 1) * bound;
    }
    state[name] = values;
  }
  return { ...state, ...initialStatistics(spec) };
}

/** Normal with mean 0 and variance 1 (Box and Muller 1958). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Running means 0, running variances 1. */
export function initialStatistics(spec: NetworkSpec): StateDict {
  return Object.fromEntries(
    spec.buffers.map((
      { name, shape, kind },
    ) => [name, new Float32Array(sizeOf(shape)).fill(kind === "running_var" ? 1 : 0)]),
  );
}

/** The permutation between the two layouts reverses itself only for rank 2; both directions are given by rank. */
const TO_TENSORFLOW: Record<number, number[]> = { 1: [0], 2: [1, 0], 4: [2, 3, 1, 0], 5: [2, 3, 4, 1, 0] };
const TO_PYTORCH: Record<number, number[]> = { 1: [0], 2: [1, 0], 4: [3, 2, 0, 1], 5: [4, 3, 0, 1, 2] };

/** A tensor in TensorFlow's layout from a value in PyTorch's. Convolutions become `[k..., in, out]`, transposed ones `[k..., out, in]`. */
export function toTensorFlow(values: Float32Array, shape: number[]): Tensor {
  return tf.tidy(() => tf.transpose(tf.tensor(values, shape, "float32"), TO_TENSORFLOW[shape.length]));
}

/** The value in PyTorch's layout of a tensor in TensorFlow's. */
export function toPyTorch(tensor: Tensor): Float32Array {
  const transposed = tf.transpose(tensor, TO_PYTORCH[tensor.rank]);
  const values = transposed.dataSync() as Float32Array; // not out of a tidy(), which would look for tensors among them
  transposed.dispose();
  return values;
}

/**
 * Tensors of a state, in TensorFlow's layout, on its device; the caller disposes them.
 * @throws {RangeError} Naming every parameter that is missing or has another size.
 */
export function toWeights(spec: NetworkSpec, state: StateDict): { weights: Weights; buffers: Weights } {
  const problems = [...spec.parameters, ...spec.buffers].flatMap(({ name, shape }) =>
    state[name]?.length === sizeOf(shape)
      ? []
      : [`${name}: ${sizeOf(shape)} values wanted, ${state[name]?.length ?? "none"} found`]
  );
  if (problems.length) throw new RangeError(`Cannot load these parameters into the network:\n${problems.join("\n")}`);
  const all = (list: { name: string; shape: number[] }[]): Weights =>
    Object.fromEntries(list.map(({ name, shape }) => [name, toTensorFlow(state[name], shape)]));
  return { weights: all(spec.parameters), buffers: all(spec.buffers) };
}
