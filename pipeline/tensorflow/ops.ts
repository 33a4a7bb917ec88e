// deno-lint-ignore-file no-explicit-any
/**
 * Fused TensorFlow kernels with their gradients, where tfjs has none or composes them of many small operations.
 * Volumes are `[B, X, Y, Z, C]`, slices `[B, H, W, C]`, rows `[N, F]`; everything is float32.
 * @module
 */
import type { Tensor, Tensor1D, Tensor5D } from "@tensorflow/tfjs";
import { ATTRIBUTE, type Attribute, DTYPE } from "./binding.ts";
import { openTensorFlow } from "./device.ts";

const float = (name: string): Attribute => ({ name, type: ATTRIBUTE.type, value: DTYPE.float });
const string = (name: string, value: string): Attribute => ({ name, type: ATTRIBUTE.string, value });
const one = (op: string, attributes: Attribute[], inputs: Tensor[]): Tensor =>
  openTensorFlow().backend.executeSingleOutput(op, attributes, inputs);
const many = (op: string, attributes: Attribute[], inputs: Tensor[], outputs: number): Tensor[] =>
  openTensorFlow().backend.executeMultipleOutputs(op, attributes, inputs, outputs);

/** `x + b` over the last axis. @param x `[..., C]` @param b `[C]` */
export function addBias<T extends Tensor>(x: T, b: Tensor1D): T {
  const attributes = [float("T"), string("data_format", "NHWC")];
  const op = openTensorFlow().tf.customGrad((x: any, b: any) => ({
    value: one("BiasAdd", attributes, [x, b]),
    gradFunc: (dy: any) => [dy, one("BiasAddGrad", attributes, [dy])],
  }));
  return op(x, b) as T;
}

/** `max(x, 0)`. */
export function relu<T extends Tensor>(x: T): T {
  const op = openTensorFlow().tf.customGrad((x: any, save: any) => {
    const y = one("Relu", [float("T")], [x]);
    save([y]);
    return { value: y, gradFunc: (dy: any, [y]: Tensor[]) => one("ReluGrad", [float("T")], [dy, y]) };
  });
  return op(x) as T;
}

/** `x` where positive, else `slope * x`. */
export function leakyRelu<T extends Tensor>(x: T, slope: number): T {
  const attributes = [float("T"), { name: "alpha", type: ATTRIBUTE.float, value: slope }];
  const op = openTensorFlow().tf.customGrad((x: any, save: any) => {
    save([x]);
    return {
      value: one("LeakyRelu", attributes, [x]),
      gradFunc: (dy: any, [x]: Tensor[]) => one("LeakyReluGrad", attributes, [dy, x]),
    };
  });
  return op(x) as T;
}

/** What a batch norm in training mode gives: its output and the statistics of the batch. */
export interface Normalized<T extends Tensor> {
  y: T;
  mean: Tensor1D;
  /** Unbiased, as running statistics take it. */
  variance: Tensor1D;
}

const as4d = (shape: number[]): [number, number, number, number] => {
  const [b, ...rest] = shape, c = rest.pop()!;
  const w = rest.length ? rest.pop()! : 1;
  return [b, rest.reduce((a, n) => a * n, 1), w, c];
};

/**
 * Batch norm with the statistics of the batch, eps 1e-5: `(x - mean) / sqrt(biased variance + eps) * gamma + beta`.
 *
 * @param x `[..., C]`; the statistics run over all axes but the last.
 * @returns The output, the batch's mean and its unbiased variance `[C]` (both without gradient,
 * kept: the caller disposes them).
 */
export function batchNormTrain<T extends Tensor>(x: T, gamma: Tensor1D, beta: Tensor1D): Normalized<T> {
  const { tf } = openTensorFlow();
  const shared = [
    float("T"),
    float("U"),
    { name: "epsilon", type: ATTRIBUTE.float, value: 1e-5 },
    string("data_format", "NHWC"),
    { name: "is_training", type: ATTRIBUTE.bool, value: true },
  ];
  const statistics: Tensor1D[] = [];
  const op = tf.customGrad((x: any, gamma: any, beta: any, save: any) => {
    const none = tf.tensor1d([]);
    const flat = tf.reshape(x, as4d(x.shape));
    const forward = [...shared, { name: "exponential_avg_factor", type: ATTRIBUTE.float, value: 1 }];
    const [y, mean, variance, ...reserve] = many("FusedBatchNormV3", forward, [flat, gamma, beta, none, none], 6);
    // customGrad tidies up behind itself: what the caller gets must be kept.
    statistics.push(tf.keep(mean) as Tensor1D, tf.keep(variance) as Tensor1D);
    save([flat, gamma, ...reserve]);
    return {
      value: tf.reshape(y, x.shape),
      gradFunc: (dy: any, saved: Tensor[]) => {
        const [dx, dGamma, dBeta] = many("FusedBatchNormGradV3", shared, [tf.reshape(dy, saved[0].shape), ...saved], 5);
        return [tf.reshape(dx, x.shape), dGamma, dBeta];
      },
    };
  });
  const y = op(x, gamma, beta) as T;
  return { y, mean: statistics[0], variance: statistics[1] };
}

/** Batch norm with given statistics, eps 1e-5. @param x `[..., C]` */
export function batchNormApply<T extends Tensor>(
  x: T,
  { gamma, beta, mean, variance }: { gamma: Tensor; beta: Tensor; mean: Tensor; variance: Tensor },
): T {
  const { tf } = openTensorFlow();
  const scale = tf.div(gamma, tf.sqrt(tf.add(variance, 1e-5)));
  return tf.add(tf.mul(x, scale), tf.sub(beta, tf.mul(mean, scale))) as T;
}

/**
 * Transposed convolution without overlap: kernel 2, stride 2.
 * @param x `[B, X, Y, Z, I]` @param weight `[2, 2, 2, O, I]` @returns `[B, 2X, 2Y, 2Z, O]`
 */
export function upConvolution(x: Tensor5D, weight: Tensor5D): Tensor5D {
  const { tf } = openTensorFlow();
  const [b, X, Y, Z] = x.shape, o = weight.shape[3];
  registerTransposedGradient();
  return tf.conv3dTranspose(x, weight, [b, 2 * X, 2 * Y, 2 * Z, o], 2 as any, "same");
}

let registered = false;
/** tfjs has no gradient for `Conv3DBackpropInputV2`, the 3-D transposed convolution. */
function registerTransposedGradient() {
  if (registered) return;
  registered = true;
  const { tf } = openTensorFlow();
  tf.registerGradient({
    kernelName: "Conv3DBackpropInputV2",
    inputsToSave: ["dy", "filter"],
    gradFunc: (g: any, saved: any[], attributes: any) => {
      const [x, weight] = saved, { strides, pad } = attributes;
      const steps = typeof strides === "number" ? [strides, strides, strides] : strides;
      return {
        dy: () => tf.conv3d(g, weight, steps, pad),
        filter: () =>
          one("Conv3DBackpropFilterV2", [
            float("T"),
            { name: "strides", type: ATTRIBUTE.int, value: [1, ...steps, 1] },
            string("padding", pad.toUpperCase()),
            string("data_format", "NDHWC"),
          ], [g, tf.tensor1d(weight.shape, "int32"), x]),
      };
    },
  });
}

/** Uniform numbers in [0, 1) that depend on the seed alone. @param seed int32 `[2]` */
export function statelessUniform(shape: number[], seed: Tensor1D): Tensor {
  const { tf } = openTensorFlow();
  const int = (name: string) => ({ name, type: ATTRIBUTE.type, value: DTYPE.int32 });
  return one("StatelessRandomUniform", [float("dtype"), int("T"), int("Tseed")], [tf.tensor1d(shape, "int32"), seed]);
}

/** Dropout of whole channels (`Dropout3d`): each `[b, c]` is 0 with `probability`, else scaled by `1 / (1 - probability)`. */
export function channelDropout<T extends Tensor>(x: T, probability: number, seed: Tensor1D): T {
  const { tf } = openTensorFlow();
  const shape = [x.shape[0], ...x.shape.slice(1, -1).map(() => 1), x.shape.at(-1)!];
  const keep = tf.cast(tf.greaterEqual(statelessUniform(shape, seed), probability), "float32");
  return tf.mul(x, tf.mul(keep, 1 / (1 - probability))) as T;
}

/** The same value, through which no gradient flows. */
export function stopGradient<T extends Tensor>(x: T): T {
  const { tf } = openTensorFlow();
  const op = tf.customGrad((x: any) => ({ value: tf.clone(x), gradFunc: (dy: any) => tf.zerosLike(dy) }));
  return op(x) as T;
}
