// deno-lint-ignore-file no-explicit-any
/**
 * Fused TensorFlow kernels with their gradients, where tfjs has none or composes them of many small operations.
 * Volumes are `[B, X, Y, Z, C]`, slices `[B, H, W, C]`, rows `[N, F]`; everything is float32.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { streamKey } from "../arrays/random.ts";
import { ATTRIBUTE, type Attribute, DTYPE } from "./binding.ts";
import { tensorflow } from "./device.ts";
import type { Tensor, Tensor1D, Tensor4D, Tensor5D } from "./tensors.ts";

/** The data type float32 as an attribute, most often "T". */
export const float = (name: string): Attribute => ({ name, type: ATTRIBUTE.type, value: DTYPE.float });
/** A text as an attribute. */
export const string = (name: string, value: string): Attribute => ({ name, type: ATTRIBUTE.string, value });
/** One operation with one output, below tfjs: no gradient of its own. */
export const runOp = (op: string, attributes: Attribute[], inputs: Tensor[]): Tensor =>
  tensorflow().backend.executeSingleOutput(op, attributes, inputs);
/** One operation with several outputs, as {@linkcode runOp}. */
export const runOps = (op: string, attributes: Attribute[], inputs: Tensor[], outputs: number): Tensor[] =>
  tensorflow().backend.executeMultipleOutputs(op, attributes, inputs, outputs);

const BIAS: Attribute[] = [float("T"), string("data_format", "NHWC")];

/** `x + b` over the last axis. @param x `[..., C]` @param b `[C]` */
export function addBias<T extends Tensor>(x: T, b: Tensor1D): T {
  const op = tf.customGrad((x: any, b: any) => ({
    value: runOp("BiasAdd", BIAS, [x, b]),
    gradFunc: (dy: any) => [dy, channelSums(dy)],
  }));
  return op(x, b) as T;
}

/** Columns that the kernel of {@linkcode channelSums} adds at full speed, and channels below which it is slow. */
const WIDE = 64, FEW = 16;

/**
 * Sum of every channel, by the kernel made for the gradient of a bias; no gradient of its own. It adds few channels one
 * value at a time: as rows of 64 columns, summed again, they take a twentieth of its time.
 * @param x `[..., C]`; sizes that are not known while a step is traced read -1. @returns `[C]`
 */
export function channelSums(x: Tensor): Tensor1D {
  const channels = x.shape.at(-1)!;
  const folds = channels < FEW && WIDE % channels === 0 && Math.min(...x.shape) > 0 && x.size % WIDE === 0;
  if (!folds) return runOp("BiasAddGrad", BIAS, [x]) as Tensor1D;
  const wide = runOp("BiasAddGrad", BIAS, [tf.reshape(x, [-1, WIDE])]);
  return tf.sum(tf.reshape(wide, [-1, channels]), 0) as Tensor1D;
}

/**
 * Softmax over the last axis. That of two classes is the sigmoid of their difference: TensorFlow's kernel takes many times
 * as long for an axis of two.
 * @param logits `[..., K]`
 */
export function softmax<T extends Tensor>(logits: T): T {
  if (logits.shape.at(-1) !== 2) return tf.softmax(logits);
  const differences = (x: any) =>
    tf.reshape(tf.matMul(tf.reshape(x, [-1, 2]), tf.tensor2d([[1, -1], [-1, 1]])), x.shape);
  const op = tf.customGrad((x: any, save: any) => {
    const p = tf.sigmoid(differences(x));
    save([p]);
    return { value: p, gradFunc: (dp: any, [p]: any[]) => differences(runOp("SigmoidGrad", [float("T")], [p, dp])) };
  });
  return op(logits) as T;
}

/** Gradient of a 3-D convolution of x with respect to its kernel. @param how `dy`: that of its output; `shape`: the kernel's. */
function filterGradient(
  x: Tensor,
  { dy, shape, strides, padding }: { dy: Tensor; shape: number[]; strides: number[]; padding: string },
): Tensor {
  return runOp("Conv3DBackpropFilterV2", [
    float("T"),
    { name: "strides", type: ATTRIBUTE.int, value: [1, ...strides, 1] },
    string("padding", padding),
    string("data_format", "NDHWC"),
  ], [x, tf.tensor1d(shape, "int32"), dy]);
}

/** Lines of the last axis that {@linkcode imageConvolution} computes at once, backwards. */
export const IMAGE_LINES = 8;

/**
 * Convolution of a volume of one channel, kernel 3, stride 1, same size. Its gradient with respect to the volume would be
 * a convolution to a single channel, which leaves most of a processor's vectors empty: it is computed as one to 8
 * channels, those of 8 neighboring lines, of stride 8.
 * @param x `[B, X, Y, Z, 1]`, Z a multiple of 8. @param weight `[3, 3, 3, 1, O]` @returns `[B, X, Y, Z, O]`
 */
export function imageConvolution(x: Tensor5D, weight: Tensor5D): Tensor5D {
  const toImage = (dy: Tensor5D, weight: Tensor5D) => {
    const mirrored = tf.transpose(tf.reverse(weight, [0, 1, 2]), [0, 1, 2, 4, 3]);
    const shifted = Array.from(
      { length: IMAGE_LINES },
      (_, j) => tf.pad(mirrored, [[0, 0], [0, 0], [j, IMAGE_LINES - 1 - j], [0, 0], [0, 0]]),
    );
    return tf.reshape(tf.conv3d(dy, tf.concat(shifted, 4) as Tensor5D, [1, 1, IMAGE_LINES], "same"), x.shape);
  };
  const op = tf.customGrad((x: any, weight: any, save: any) => {
    save([x, weight]);
    return {
      value: tf.conv3d(x, weight, 1, "same"),
      gradFunc: (
        dy: any,
        [x, weight]: any[],
      ) => [toImage(dy, weight), filterGradient(x, { dy, shape: weight.shape, strides: [1, 1, 1], padding: "SAME" })],
    };
  });
  return op(x, weight) as Tensor5D;
}

/**
 * Convolution of a sum, stride 1, same size. The sum is not kept for the gradient but made again: beside its two terms,
 * which are kept for theirs, it would be one more of the largest maps of a V-Net.
 * @param a `[B, X, Y, Z, I]` @param b Of a's shape. @param weight `[3, 3, 3, I, O]` @returns `[B, X, Y, Z, O]`
 */
export function convolutionOfSum(a: Tensor5D, b: Tensor5D, weight: Tensor5D): Tensor5D {
  const op = tf.customGrad((a: any, b: any, weight: any, save: any) => {
    save([a, b, weight]);
    return {
      value: tf.conv3d(tf.add(a, b) as Tensor5D, weight, 1, "same"),
      gradFunc: (dy: any, [a, b, weight]: any[]) => {
        // Behind the incoming gradient: else TensorFlow takes the sum of the forward pass, and keeps it.
        const x = tf.add(controlDependencies(a, [dy]), b),
          dx = tf.conv3dTranspose(dy, weight, a.shape, 1 as any, "same");
        return [dx, dx, filterGradient(x, { dy, shape: weight.shape, strides: [1, 1, 1], padding: "SAME" })];
      },
    };
  });
  return op(a, b, weight) as Tensor5D;
}

/** `max(x, 0)`. */
export function relu<T extends Tensor>(x: T): T {
  const op = tf.customGrad((x: any, save: any) => {
    const y = runOp("Relu", [float("T")], [x]);
    save([y]);
    return { value: y, gradFunc: (dy: any, [y]: Tensor[]) => runOp("ReluGrad", [float("T")], [dy, y]) };
  });
  return op(x) as T;
}

/** `x` where positive, else `slope * x`. @param slope Above 0. */
export function leakyRelu<T extends Tensor>(x: T, slope: number): T {
  const attributes = [float("T"), { name: "alpha", type: ATTRIBUTE.float, value: slope }];
  const op = tf.customGrad((x: any, save: any) => {
    const y = runOp("LeakyRelu", attributes, [x]);
    // y has the sign of x and is needed by the layer behind it anyway: x is free at once.
    save([y]);
    return { value: y, gradFunc: (dy: any, [y]: Tensor[]) => runOp("LeakyReluGrad", attributes, [dy, y]) };
  });
  return op(x) as T;
}

/**
 * Transposed convolution without overlap: kernel 2, stride 2.
 * @param x `[B, X, Y, Z, I]` or `[B, H, W, I]` @param weight `[2, 2, 2, O, I]` or `[2, 2, O, I]`
 * @returns Twice the size, O channels.
 */
export function upConvolution<T extends Tensor>(x: T, weight: Tensor): T {
  const size = x.shape.slice(1, -1).map((n) => 2 * n), shape = [x.shape[0], ...size, weight.shape.at(-2)!] as any;
  if (x.rank === 4) return tf.conv2dTranspose(x as any, weight as Tensor4D, shape, 2, "same") as Tensor as T;
  registerTransposedGradient();
  return tf.conv3dTranspose(x as any, weight as Tensor5D, shape, 2 as any, "same") as Tensor as T;
}

let registered = false;
/** tfjs has no gradient for `Conv3DBackpropInputV2`, the 3-D transposed convolution. */
function registerTransposedGradient() {
  if (registered) return;
  registered = true;
  tf.registerGradient({
    kernelName: "Conv3DBackpropInputV2",
    inputsToSave: ["dy", "filter"],
    gradFunc: (g: any, saved: any[], attributes: any) => {
      const [x, weight] = saved, { strides, pad } = attributes;
      const steps = typeof strides === "number" ? [strides, strides, strides] : strides;
      return {
        dy: () => tf.conv3d(g, weight, steps, pad),
        filter: () => filterGradient(g, { dy: x, shape: weight.shape, strides: steps, padding: pad.toUpperCase() }),
      };
    },
  });
}

/** Uniform numbers in [0, 1) that depend on the seed alone. @param seed int32 `[2]` */
export function statelessUniform(shape: number[], seed: Tensor1D): Tensor {
  return stateless("StatelessRandomUniform", shape, seed);
}

/** Normal numbers of mean 0 and standard deviation 1 that depend on the seed alone. @param seed int32 `[2]` */
export function statelessNormal(shape: number[], seed: Tensor1D): Tensor {
  return stateless("StatelessRandomNormal", shape, seed);
}

/** Which noise a seed gives; another number whenever the draws change, so that a run does not go on with other ones. */
export const DRAWS = "2";

/**
 * A seed of its own for everything that is drawn from one: of another name, or another seed, the numbers have nothing in
 * common. Names below names are folded in one after the other.
 * @param seed int32 `[2]` @param name What is drawn.
 *
 * @example Clean and perturbed pass draw other dropouts, each its own again
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { foldIn } from "@ssnet/pipeline/tensorflow/ops.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const seed = tf.tensor1d([1337, 1], "int32");
 * const [clean, perturbed, again] = ["clean", "perturbed", "clean"].map((name) => [...foldIn(seed, name).dataSync()]);
 * assert.notDeepEqual(clean, perturbed);
 * assert.deepEqual(clean, again);
 * ```
 */
export function foldIn(seed: Tensor1D, name: string): Tensor1D {
  const key = Int32Array.of(streamKey(0, name), streamKey(1, name));
  const int = (name: string) => ({ name, type: ATTRIBUTE.type, value: DTYPE.int32 });
  const inputs = [tf.tensor1d([2], "int32"), tf.add(seed, tf.tensor1d(key, "int32"))];
  // Whoever draws from it wants it in the host's memory: a GPU would wait for two numbers to travel.
  return onHost(() =>
    runOp("StatelessRandomUniformFullInt", [int("dtype"), int("T"), int("Tseed")], inputs)
  ) as Tensor1D;
}

/** What `fn` records runs on the CPU, also in a step on a GPU. */
function onHost<R>(fn: () => R): R {
  const { binding } = tensorflow();
  binding.onHost = true;
  try {
    return fn();
  } finally {
    binding.onHost = false;
  }
}

function stateless(op: string, shape: number[], seed: Tensor1D): Tensor {
  const int = (name: string) => ({ name, type: ATTRIBUTE.type, value: DTYPE.int32 });
  return runOp(op, [float("dtype"), int("T"), int("Tseed")], [tf.tensor1d(shape, "int32"), seed]);
}

/** Dropout of whole channels (`Dropout3d`): each `[b, c]` is 0 with `probability`, else scaled by `1 / (1 - probability)`. */
export function channelDropout<T extends Tensor>(x: T, probability: number, seed: Tensor1D): T {
  const shape = [x.shape[0], ...x.shape.slice(1, -1).map(() => 1), x.shape.at(-1)!];
  const keep = tf.cast(tf.greaterEqual(statelessUniform(shape, seed), probability), "float32");
  return tf.mul(x, tf.mul(keep, 1 / (1 - probability))) as T;
}

/**
 * The same value, computed in a trace only when all of `before` are. TensorFlow may run independent parts of a step in any
 * order; this way the memory of one is free before the next begins.
 */
export function controlDependencies<T extends Tensor>(x: T, before: Tensor[]): T {
  const { backend, binding } = tensorflow();
  const op = tf.customGrad((x: any) => ({
    value: backend.createOutputTensor(
      binding.controlDependencies(backend.getInputTensorIds([x])[0], backend.getInputTensorIds(before)),
    ),
    gradFunc: (dy: any) => dy,
  }));
  return op(x) as T;
}

/** A gradient in the type that its activation has where a step is recorded with casts; no gradient of its own. */
export function inTypeOf<T extends Tensor>(x: Tensor, dx: T): T {
  const { backend, binding } = tensorflow(), [like, id] = backend.getInputTensorIds([x, dx]);
  return backend.createOutputTensor(binding.inTypeOf(like, id));
}

/** What `fn` makes of x, outside of every gradient. The caller keeps what shall outlive the enclosing tidy. */
export function withoutGradient<R>(x: Tensor, fn: (x: any) => R): R {
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
  const op = tf.customGrad((x: any) => ({ value: tf.clone(x), gradFunc: (dy: any) => tf.zerosLike(dy) }));
  return op(x) as T;
}

/** x where `mask` makes it true, else 0; no gradient flows through the mask. @param mask Of what broadcasts to x's shape. */
export function masked<T extends Tensor>(x: T, mask: (x: T) => Tensor): T {
  const op = tf.customGrad((x: any, save: any) => {
    const factor = tf.cast(mask(x), "float32");
    save([factor]);
    return { value: tf.mul(x, factor), gradFunc: (dy: any, [factor]: Tensor[]) => tf.mul(dy, factor) };
  });
  return op(x) as T;
}

/** The largest of every block of 2. @param x `[B, X, Y, Z, C]` or `[B, H, W, C]`, sizes even @returns Half the size. */
export function maxPool2<T extends Tensor>(x: T): T {
  const blocks = [1, ...x.shape.slice(1, -1).map(() => 2), 1], volumes = x.rank === 5;
  const name = volumes ? "MaxPool3D" : "MaxPool";
  const attributes = [
    float("T"),
    string("padding", "VALID"),
    string("data_format", volumes ? "NDHWC" : "NHWC"),
    { name: "ksize", type: ATTRIBUTE.int, value: blocks },
    { name: "strides", type: ATTRIBUTE.int, value: blocks },
  ];
  const backwards = volumes ? [...attributes, float("TInput")] : attributes;
  const op = tf.customGrad((x: any, save: any) => {
    const y = runOp(name, attributes, [x]);
    save([x, y]);
    return { value: y, gradFunc: (dy: any, [x, y]: Tensor[]) => runOp(`${name}Grad`, backwards, [x, y, dy]) };
  });
  return op(x) as T;
}

/** One of TensorFlow's kernels that resize slices, with its gradient. @param x `[B, H, W, C]` @param size `[H', W']` */
function resize(
  x: Tensor4D,
  size: [number, number],
  { kernel, flags }: { kernel: "ResizeBilinear" | "ResizeNearestNeighbor"; flags: Record<string, boolean> },
): Tensor4D {
  const set = Object.entries(flags).map(([name, value]): Attribute => ({ name, type: ATTRIBUTE.bool, value }));
  const attributes = [float("T"), ...set], [, h, w] = x.shape;
  const op = tf.customGrad((x: any, save: any) => {
    save([x]);
    return {
      value: runOp(kernel, attributes, [x, tf.tensor1d(size, "int32")]),
      gradFunc: (dy: any, [x]: Tensor[]) =>
        runOp(`${kernel}Grad`, attributes, [dy, kernel === "ResizeBilinear" ? x : tf.tensor1d([h, w], "int32")]),
    };
  });
  return op(x) as Tensor4D;
}
const linear = (alignedCorners: boolean) => ({
  kernel: "ResizeBilinear" as const,
  flags: { align_corners: alignedCorners, half_pixel_centers: !alignedCorners },
});

/**
 * Bilinear interpolation to twice the size, corners aligned: line i of an axis of n lies at `i (n - 1) / (2n - 1)`.
 * TensorFlow's kernel: separable matrix products take three times as long.
 * @param x `[B, H, W, C]` @returns `[B, 2H, 2W, C]`
 */
export function upBilinear(x: Tensor4D): Tensor4D {
  const [, h, w] = x.shape;
  return resize(x, [2 * h, 2 * w], linear(true));
}

/** How {@linkcode upTrilinear} interpolates. */
export interface TrilinearOptions {
  /** Times the size of every axis. */
  factor: number;
  /**
   * Whether line i of an axis of n lies at `i (n - 1) / (factor n - 1)`; else at `(i + 0.5) / factor - 0.5`, not beyond
   * the ends.
   */
  alignedCorners: boolean;
}

/**
 * Trilinear interpolation to a multiple of the size: separable, the first axis and then the planes of the other two.
 * @param x `[B, X, Y, Z, C]`
 *
 * @example Without aligned corners the ends are held
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { upTrilinear } from "@ssnet/pipeline/tensorflow/ops.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const line = tf.tensor5d([0, 4], [1, 2, 1, 1, 1]);
 * const up = upTrilinear(line, { factor: 2, alignedCorners: false });
 * assert.deepEqual(up.shape, [1, 4, 2, 2, 1]);
 * assert.deepEqual([...tf.slice(up, [0, 0, 0, 0, 0], [1, 4, 1, 1, 1]).dataSync()], [0, 1, 3, 4]);
 * ```
 */
export function upTrilinear(x: Tensor5D, { factor, alignedCorners }: TrilinearOptions): Tensor5D {
  const [b, X, Y, Z, c] = x.shape, how = linear(alignedCorners);
  const lines = resize(tf.reshape(x, [b, X, Y * Z, c]), [factor * X, Y * Z], how);
  const planes = resize(tf.reshape(lines, [b * factor * X, Y, Z, c]), [factor * Y, factor * Z], how);
  return tf.reshape(planes, [b, factor * X, factor * Y, factor * Z, c]);
}

/** Every entry `factor` times along both axes. @param x `[B, H, W, C]` */
export function upNearest(x: Tensor4D, factor: number): Tensor4D {
  const [, h, w] = x.shape, flags = { align_corners: false, half_pixel_centers: false };
  return resize(x, [factor * h, factor * w], { kernel: "ResizeNearestNeighbor", flags });
}

/**
 * Dropout of single entries: each is 0 with `probability`, else scaled by `1 / (1 - probability)`.
 *
 * Drawing a number for every entry would cost more than a convolution, so a random word serves four: an entry is dropped
 * when its byte is below `floor(256 probability + u)`. One uniform u a draw makes the probability exact.
 * @param seed int32 `[2]`
 */
export function dropout<T extends Tensor>(x: T, probability: number, seed: Tensor1D): T {
  const type = (name: string, value: number): Attribute => ({ name, type: ATTRIBUTE.type, value });
  const { int32, uint8 } = DTYPE;
  const op = tf.customGrad((x: any, save: any) => {
    const words = runOp(
      "StatelessRandomUniformFullInt",
      [type("dtype", int32), type("T", int32), type("Tseed", int32)],
      [
        tf.tensor1d([Math.ceil(x.size / 4)], "int32"),
        seed,
      ],
    );
    const all = runOp("Reshape", [type("T", uint8), type("Tshape", int32)], [
      runOp("Bitcast", [type("T", int32), type("type", uint8)], [words]),
      tf.tensor1d([-1], "int32"),
    ]);
    // Only where it must be: TensorFlow slices bytes on the CPU alone, and a GPU's would travel there and back.
    const bytes = x.size % 4 === 0 ? all : runOp("Slice", [type("T", uint8), type("Index", int32)], [
      all,
      tf.tensor1d([0], "int32"),
      tf.tensor1d([x.size], "int32"),
    ]);
    const u = statelessUniform([], foldIn(seed, "threshold"));
    const threshold = runOp("Cast", [float("SrcT"), type("DstT", uint8)], [tf.floor(tf.add(u, 256 * probability))]);
    const keep = tf.reshape(runOp("GreaterEqual", [type("T", uint8)], [bytes, threshold]), x.shape);
    const apply = (v: any, keep: Tensor) => tf.mul(tf.mul(v, 1 / (1 - probability)), tf.cast(keep, "float32"));
    save([keep]);
    return { value: apply(x, keep), gradFunc: (dy: any, [keep]: Tensor[]) => apply(dy, keep) };
  });
  return op(x) as T;
}

/** All numbers of some tensors, one tensor behind the other, `[N]`. */
export function flat(tensors: Tensor[]): Tensor1D {
  return tf.concat(tensors.map((tensor) => tensor.rank === 1 ? tensor : tf.reshape(tensor, [-1]))) as Tensor1D;
}

/**
 * Applies an elementwise function to lists of tensors, tensor by tensor, computed on each list as one flat tensor: a GPU
 * starts one kernel instead of hundreds of small ones. No gradient.
 * @param lists Tensors of the same shapes in the same order.
 * @param fn Of the flat lists; gives flat tensors of their length.
 * @returns A list for each of these, in the shapes of the given ones.
 *
 * @example Two lists are added
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { elementwise } from "@ssnet/pipeline/tensorflow/ops.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const [sums] = elementwise([[tf.scalar(1), tf.tensor([2, 3])], [tf.scalar(10), tf.tensor([20, 30])]], (a, b) => [tf.add(a, b)]);
 * assert.deepEqual(sums.map((sum) => sum.arraySync()), [11, [22, 33]]);
 * ```
 */
export function elementwise(lists: Tensor[][], fn: (...flat: Tensor[]) => Tensor[]): Tensor[][] {
  const shapes = lists[0].map(({ shape }) => shape);
  const sizes = lists[0].map(({ size }) => size);
  return fn(...lists.map(flat)).map((all) =>
    tf.split(all, sizes).map((part, i) => shapes[i].length === 1 ? part : tf.reshape(part, shapes[i]))
  );
}
