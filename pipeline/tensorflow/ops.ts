// deno-lint-ignore-file no-explicit-any
/**
 * Fused TensorFlow kernels with their gradients, where tfjs has none or composes them of many small operations.
 * Volumes are `[B, X, Y, Z, C]`, slices `[B, H, W, C]`, rows `[N, F]`; everything is float32.
 * @module
 */
import { ATTRIBUTE, type Attribute, DTYPE } from "./binding.ts";
import { openTensorFlow } from "./device.ts";
import type { Tensor, Tensor1D, Tensor4D, Tensor5D } from "./tensors.ts";

/** The data type float32 as an attribute, most often "T". */
export const float = (name: string): Attribute => ({ name, type: ATTRIBUTE.type, value: DTYPE.float });
const string = (name: string, value: string): Attribute => ({ name, type: ATTRIBUTE.string, value });
/** One operation with one output, below tfjs: no gradient of its own. */
export const one = (op: string, attributes: Attribute[], inputs: Tensor[]): Tensor =>
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

/** `x` where positive, else `slope * x`. @param slope Above 0. */
export function leakyRelu<T extends Tensor>(x: T, slope: number): T {
  const attributes = [float("T"), { name: "alpha", type: ATTRIBUTE.float, value: slope }];
  const op = openTensorFlow().tf.customGrad((x: any, save: any) => {
    const y = one("LeakyRelu", attributes, [x]);
    // y has the sign of x and is needed by the layer behind it anyway: x is free at once.
    save([y]);
    return { value: y, gradFunc: (dy: any, [y]: Tensor[]) => one("LeakyReluGrad", attributes, [dy, y]) };
  });
  return op(x) as T;
}

/** What a batch norm in training mode gives: its output and the statistics of the batch. */
export interface Normalized<T extends Tensor> {
  /** Of x's shape. */
  y: T;
  /** `[C]`, with the bias of the convolution in front. */
  mean: Tensor1D;
  /** Unbiased, as running statistics take it. */
  variance: Tensor1D;
}

/** Added to every variance, as PyTorch's batch norm does. */
export const EPSILON = 1e-5;

const as4d = (shape: number[]): [number, number, number, number] => {
  const [b, ...rest] = shape, c = rest.pop()!;
  const w = rest.length ? rest.pop()! : 1;
  return [b, rest.reduce((a, n) => a * n, 1), w, c];
};

/** Parameters of a batch norm, each `[C]`. */
export interface NormParameters {
  /** Factor of the normalized values; PyTorch's `weight`. */
  gamma: Tensor1D;
  /** Added to them; PyTorch's `bias`. */
  beta: Tensor1D;
  /** Bias of the convolution in front, which has not been added to x. */
  bias: Tensor1D;
}

/**
 * Batch norm with the statistics of the batch, eps 1e-5: `(x - mean) / sqrt(biased variance + eps) * gamma + beta`.
 *
 * A bias in front of it cancels: it is not added, only moves the mean that is returned, and its gradient is exactly 0.
 *
 * @param x `[..., C]` without that bias; the statistics run over all axes but the last.
 * @returns The output, the batch's mean (bias included) and its unbiased variance `[C]` (both without gradient,
 * kept: the caller disposes them).
 */
export function batchNormTrain<T extends Tensor>(x: T, { gamma, beta, bias }: NormParameters): Normalized<T> {
  const { tf } = openTensorFlow();
  const shared = [
    float("T"),
    float("U"),
    { name: "epsilon", type: ATTRIBUTE.float, value: EPSILON },
    string("data_format", "NHWC"),
    { name: "is_training", type: ATTRIBUTE.bool, value: true },
  ];
  const statistics: Tensor1D[] = [];
  const op = tf.customGrad((x: any, gamma: any, beta: any, bias: any, save: any) => {
    const none = tf.tensor1d([]);
    const flat = tf.reshape(x, as4d(x.shape));
    const forward = [...shared, { name: "exponential_avg_factor", type: ATTRIBUTE.float, value: 1 }];
    const [y, mean, variance, ...reserve] = many("FusedBatchNormV3", forward, [flat, gamma, beta, none, none], 6);
    // customGrad tidies up behind itself: what the caller gets must be kept.
    statistics.push(tf.keep(tf.add(mean, bias)) as Tensor1D, tf.keep(variance) as Tensor1D);
    save([flat, gamma, ...reserve]);
    return {
      value: tf.reshape(y, x.shape),
      gradFunc: (dy: any, saved: Tensor[]) => {
        const [dx, dGamma, dBeta] = many("FusedBatchNormGradV3", shared, [tf.reshape(dy, saved[0].shape), ...saved], 5);
        return [tf.reshape(dx, x.shape), dGamma, dBeta, tf.zerosLike(dBeta)];
      },
    };
  });
  const y = op(x, gamma, beta, bias) as T;
  return { y, mean: statistics[0], variance: statistics[1] };
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
  return stateless("StatelessRandomUniform", shape, seed);
}

/** Normal numbers of mean 0 and deviation 1 that depend on the seed alone. @param seed int32 `[2]` */
export function statelessNormal(shape: number[], seed: Tensor1D): Tensor {
  return stateless("StatelessRandomNormal", shape, seed);
}

function stateless(op: string, shape: number[], seed: Tensor1D): Tensor {
  const { tf } = openTensorFlow();
  const int = (name: string) => ({ name, type: ATTRIBUTE.type, value: DTYPE.int32 });
  return one(op, [float("dtype"), int("T"), int("Tseed")], [tf.tensor1d(shape, "int32"), seed]);
}

/** Dropout of whole channels (`Dropout3d`): each `[b, c]` is 0 with `probability`, else scaled by `1 / (1 - probability)`. */
export function channelDropout<T extends Tensor>(x: T, probability: number, seed: Tensor1D): T {
  const { tf } = openTensorFlow();
  const shape = [x.shape[0], ...x.shape.slice(1, -1).map(() => 1), x.shape.at(-1)!];
  const keep = tf.cast(tf.greaterEqual(statelessUniform(shape, seed), probability), "float32");
  return tf.mul(x, tf.mul(keep, 1 / (1 - probability))) as T;
}

/**
 * The same value, computed in a trace only when all of `before` are. TensorFlow may run independent parts of a step in any
 * order; this way the memory of one is free before the next begins.
 */
export function after<T extends Tensor>(x: T, before: Tensor[]): T {
  const { tf, backend, binding } = openTensorFlow();
  const op = tf.customGrad((x: any) => ({
    value: backend.createOutputTensor(
      binding.after(backend.getInputTensorIds([x])[0], backend.getInputTensorIds(before)),
    ),
    gradFunc: (dy: any) => dy,
  }));
  return op(x) as T;
}

/** What `fn` makes of x, outside of every gradient. The caller keeps what shall outlive the enclosing tidy. */
export function withoutGradient<R>(x: Tensor, fn: (x: any) => R): R {
  const { tf } = openTensorFlow();
  let result!: R;
  // The body of a customGrad is not recorded.
  tf.customGrad((x: any) => {
    result = fn(x);
    return { value: tf.scalar(0), gradFunc: () => tf.zerosLike(x) };
  })(x);
  return result;
}

/** The same value, through which no gradient flows. */
export function stopGradient<T extends Tensor>(x: T): T {
  const { tf } = openTensorFlow();
  const op = tf.customGrad((x: any) => ({ value: tf.clone(x), gradFunc: (dy: any) => tf.zerosLike(dy) }));
  return op(x) as T;
}

/** The largest of every 2 x 2 block. @param x `[B, H, W, C]`, H and W even @returns `[B, H/2, W/2, C]` */
export function maxPool2(x: Tensor4D): Tensor4D {
  const attributes = [
    float("T"),
    string("padding", "VALID"),
    string("data_format", "NHWC"),
    { name: "ksize", type: ATTRIBUTE.int, value: [1, 2, 2, 1] },
    { name: "strides", type: ATTRIBUTE.int, value: [1, 2, 2, 1] },
  ];
  const op = openTensorFlow().tf.customGrad((x: any, save: any) => {
    const y = one("MaxPool", attributes, [x]);
    save([x, y]);
    return { value: y, gradFunc: (dy: any, [x, y]: Tensor[]) => one("MaxPoolGrad", attributes, [x, y, dy]) };
  });
  return op(x) as Tensor4D;
}

/**
 * Bilinear interpolation to twice the size, corners aligned: line i of an axis of n lies at `i (n - 1) / (2n - 1)`.
 * TensorFlow's kernel: separable matrix products take three times as long.
 * @param x `[B, H, W, C]` @returns `[B, 2H, 2W, C]`
 */
export function upBilinear(x: Tensor4D): Tensor4D {
  const { tf } = openTensorFlow();
  const attributes = [float("T"), { name: "align_corners", type: ATTRIBUTE.bool, value: true }];
  const op = tf.customGrad((x: any, save: any) => {
    save([x]);
    const size = tf.tensor1d([2 * x.shape[1], 2 * x.shape[2]], "int32");
    return {
      value: one("ResizeBilinear", attributes, [x, size]),
      gradFunc: (dy: any, [x]: Tensor[]) => one("ResizeBilinearGrad", attributes, [dy, x]),
    };
  });
  return op(x) as Tensor4D;
}

/**
 * Dropout of single entries: each is 0 with `probability`, else scaled by `1 / (1 - probability)`.
 *
 * Drawing a number for every entry would cost more than a convolution, so a random word serves four: an entry is dropped
 * when its byte is below `floor(256 probability + u)`. One uniform u a draw makes the probability exact.
 * @param seed int32 `[2]`
 */
export function dropout<T extends Tensor>(x: T, probability: number, seed: Tensor1D): T {
  const { tf } = openTensorFlow();
  const type = (name: string, value: number): Attribute => ({ name, type: ATTRIBUTE.type, value });
  const { int32, uint8 } = DTYPE;
  const op = tf.customGrad((x: any, save: any) => {
    const words = one("StatelessRandomUniformFullInt", [type("dtype", int32), type("T", int32), type("Tseed", int32)], [
      tf.tensor1d([Math.ceil(x.size / 4)], "int32"),
      seed,
    ]);
    const all = one("Reshape", [type("T", uint8), type("Tshape", int32)], [
      one("Bitcast", [type("T", int32), type("type", uint8)], [words]),
      tf.tensor1d([-1], "int32"),
    ]);
    const bytes = one("Slice", [type("T", uint8), type("Index", int32)], [
      all,
      tf.tensor1d([0], "int32"),
      tf.tensor1d([x.size], "int32"),
    ]);
    const u = statelessUniform([], tf.add(seed, tf.tensor1d([1 << 30, 0], "int32")) as Tensor1D); // its own stream
    const threshold = one("Cast", [float("SrcT"), type("DstT", uint8)], [tf.floor(tf.add(u, 256 * probability))]);
    const keep = tf.reshape(one("GreaterEqual", [type("T", uint8)], [bytes, threshold]), x.shape);
    const apply = (v: any, keep: Tensor) => tf.mul(tf.mul(v, 1 / (1 - probability)), tf.cast(keep, "float32"));
    save([keep]);
    return { value: apply(x, keep), gradFunc: (dy: any, [keep]: Tensor[]) => apply(dy, keep) };
  });
  return op(x) as T;
}
