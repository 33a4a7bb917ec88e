// deno-lint-ignore-file no-explicit-any
/**
 * Norms by TensorFlow's fused kernels, with their gradients: batch norm (Ioffe & Szegedy 2015), instance norm (Ulyanov et
 * al. 2016) and group norm (Wu & He, ECCV 2018). Volumes are `[B, X, Y, Z, C]`, slices `[B, H, W, C]`.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { sizeOf } from "../arrays/shape.ts";
import { ATTRIBUTE, type Attribute } from "./binding.ts";
import { tensorflow } from "./device.ts";
import { float, runOp, runOps, string } from "./ops.ts";
import type { Tensor, Tensor1D } from "./tensors.ts";

/**
 * What the layers of a network are normalized by: the statistics of a channel over the batch, those of a channel of each
 * sample, or those of {@linkcode GROUP_CHANNELS} channels of each sample. The latter two have no running statistics.
 */
export const NORMS = ["batch", "instance", "group"] as const;
/** One of {@linkcode NORMS}. */
export type Norm = typeof NORMS[number];

/**
 * Channels of a group, all of a layer that has fewer: the number that Wu & He measured as best among fixed ones (their
 * table 3), and V-Net's and U-Net's at the finest level. PyTorch's `GroupNorm(max(C / 16, 1), C)`.
 */
export const GROUP_CHANNELS = 16;

/** What a batch norm in training mode gives: its output and the statistics of the batch. */
export interface Normalized<T extends Tensor> {
  /** The normalized tensor, of x's shape. */
  y: T;
  /** `[C]`, with the bias of the convolution in front. */
  mean: Tensor1D;
  /** The unbiased variance, as running statistics take it. */
  variance: Tensor1D;
}

/** The number added to every variance, as PyTorch's batch norm does. */
export const EPSILON = 1e-5;

/** Attributes of the kernels over four axes, or five. @param isTraining Whether they take the batch's statistics, or those they are given. */
const attributes = (rank: number, isTraining: boolean): Attribute[] => [
  float("T"),
  float("U"),
  { name: "epsilon", type: ATTRIBUTE.float, value: EPSILON },
  string("data_format", rank === 5 ? "NDHWC" : "NHWC"),
  { name: "is_training", type: ATTRIBUTE.bool, value: isTraining },
];
const AVERAGE: Attribute = { name: "exponential_avg_factor", type: ATTRIBUTE.float, value: 1 };

/** Output, mean and unbiased variance, and what the gradient's kernel wants of it, by the statistics of x. @param x Of {@linkcode kernelShape}. */
const byOwn = (x: Tensor, gamma: Tensor, beta: Tensor): Tensor[] => {
  const none = tf.tensor1d([]);
  return runOps("FusedBatchNormV3", [...attributes(x.rank, true), AVERAGE], [x, gamma, beta, none, none], 6);
};
/** `(x - mean) / sqrt(variance + eps) * gamma + beta` in one pass over x. @param x Of {@linkcode kernelShape}, all else `[C]`. */
const byGiven = (x: Tensor, { gamma, beta, mean, variance }: Record<"gamma" | "beta" | "mean" | "variance", Tensor>) =>
  runOps("FusedBatchNormV3", [...attributes(x.rank, false), AVERAGE], [x, gamma, beta, mean, variance], 6)[0];
/** Gradients by x, gamma and beta. @param saved x, gamma and what {@linkcode byOwn} gave behind the statistics. */
const gradients = (dy: Tensor, saved: Tensor[]): Tensor[] =>
  runOps("FusedBatchNormGradV3", attributes(dy.rank, true), [dy, ...saved], 5);
const relu = (x: Tensor) => runOp("Relu", [float("T")], [x]);
const reluGradient = (dy: Tensor, y: Tensor) => runOp("ReluGrad", [float("T")], [dy, y]);

/**
 * The shape in which the kernels take a map: a GPU takes a volume as it is; a CPU joins norm and ReLU only over four
 * axes.
 */
function kernelShape(shape: number[]): number[] {
  if (shape.length === 5 && tensorflow().binding.isUsingGpuDevice()) return shape;
  const [b, ...rest] = shape, c = rest.pop()!, w = rest.pop() ?? 1;
  return [b, sizeOf(rest), w, c];
}

/** Parameters of a batch norm, each `[C]`. */
export interface NormParameters {
  /** Factor of the normalized values; PyTorch's `weight`. */
  gamma: Tensor1D;
  /** The shift that is added to them; PyTorch's `bias`. */
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
 * @param rectified Whether `max(y, 0)` is given instead of y: right behind the norm TensorFlow makes one kernel of both.
 * @returns The output, the batch's mean (bias included) and its unbiased variance `[C]` (both without gradient,
 * kept: the caller disposes them).
 */
export function batchNormTrain<T extends Tensor>(
  x: T,
  { gamma, beta, bias }: NormParameters,
  { rectified }: { rectified: boolean },
): Normalized<T> {
  const statistics: Tensor1D[] = [];
  const op = tf.customGrad((x: any, gamma: any, beta: any, bias: any, save: any) => {
    const shape = kernelShape(x.shape), flat = shape === x.shape ? x : tf.reshape(x, shape);
    const [normalized, mean, variance, ...reserve] = byOwn(flat, gamma, beta);
    // On the norm's own shape: a reshape between the two would keep TensorFlow from joining them.
    const y = rectified ? relu(normalized) : normalized;
    // customGrad tidies up behind itself: what the caller gets must be kept.
    statistics.push(tf.keep(tf.add(mean, bias)) as Tensor1D, tf.keep(variance) as Tensor1D);
    save([flat, gamma, ...reserve, ...rectified ? [y] : []]);
    return {
      value: tf.reshape(y, x.shape),
      gradFunc: (dy: any, saved: Tensor[]) => {
        const flatDy = tf.reshape(dy, saved[0].shape);
        const dNormalized = rectified ? reluGradient(flatDy, saved[5]) : flatDy;
        const [dx, dGamma, dBeta] = gradients(dNormalized, saved.slice(0, 5));
        return [tf.reshape(dx, x.shape), dGamma, dBeta, tf.zerosLike(dBeta)];
      },
    };
  });
  const y = op(x, gamma, beta, bias) as T;
  return { y, mean: statistics[0], variance: statistics[1] };
}

/** What a norm of single samples is told beside its parameters. */
export interface SampleNormOptions {
  /** Channels that share their statistics: 1 is instance norm, more is group norm. The channels are a multiple of it. */
  channels: number;
  /** Whether `max(y, 0)` is given instead of y. */
  rectified: boolean;
}

/**
 * Instance or group norm, eps 1e-5: `(x + bias - mean) / sqrt(biased variance + eps) * gamma + beta`, the statistics those of
 * each group of neighboring channels of each sample. It has no others: training and evaluation are the same.
 *
 * A batch norm's kernel a sample passes over x less often than moments and their gradients would (on a CPU a third of their
 * time); samples are split without a copy. Of a group the kernel gives the statistics of its channels, from which its own
 * follow, and a second call normalizes by these: `variance = mean_c(variance_c + (mean_c - mean)²)`. The gradient is that of
 * the channels' norms and what the group's differs by, a linear function of x. A bias in front of an instance norm cancels,
 * and its gradient is exactly 0; a group's mean moves by the mean of its biases.
 *
 * @param x `[B, ..., C]` without the bias. @returns Of x's shape.
 */
export function sampleNorm<T extends Tensor>(
  x: T,
  { gamma, beta, bias }: NormParameters,
  { channels, rectified }: SampleNormOptions,
): T {
  const shape = kernelShape(x.shape), [b, c] = [shape[0], shape.at(-1)!], voxels = sizeOf(shape.slice(1, -1));
  if (c % channels) {
    throw new RangeError(`Cannot normalize ${c} channels in groups of ${channels}: a multiple is wanted`);
  }
  const isInstance = channels === 1, count = c / channels;
  const samples = (t: any): Tensor[] => tf.split(tf.reshape(t, shape), b);
  const joined = (ts: Tensor[]) => tf.reshape(tf.concat(ts), x.shape);
  /** The mean over the channels of a group, for each of them; `[B, C]` as all that follows from statistics. */
  const overGroup = (t: Tensor) => {
    const mean = tf.mean(tf.reshape(t, [b, count, channels]), 2, true);
    return tf.reshape(tf.tile(mean, [1, 1, channels]), [b, c]);
  };
  const standardDeviation = (variance: Tensor) => tf.sqrt(tf.add(variance, EPSILON));
  /** Samples normalized, what the gradient's kernel wants of each, and the statistics that it needs. */
  const forward = (xs: Tensor[], { gamma, beta, bias }: Record<keyof NormParameters, Tensor>) => {
    const own = xs.map((x) => byOwn(x, gamma, beta)), reserves = own.map((one) => one.slice(3));
    if (isInstance) return { ys: own.map(([y]) => y), reserves, statistics: [] };
    const mean = tf.stack(own.map((one) => one[1])), unbiased = tf.stack(own.map((one) => one[2]));
    const variance = tf.mul(unbiased, (voxels - 1) / voxels), moved = tf.add(mean, bias);
    const groupMean = overGroup(moved), offset = tf.sub(moved, groupMean);
    const groupVariance = overGroup(tf.add(variance, tf.square(offset)));
    const means = tf.unstack(tf.sub(groupMean, bias)), variances = tf.unstack(groupVariance);
    const ys = xs.map((x, i) => byGiven(x, { gamma, beta, mean: means[i], variance: variances[i] }));
    return {
      ...{ ys, reserves },
      statistics: [mean, offset, standardDeviation(variance), standardDeviation(groupVariance)],
    };
  };
  /** Gradients by each sample, gamma, beta and bias. */
  const backward = (dys: Tensor[], gamma: Tensor, { xs, reserves, statistics }: Record<string, any>) => {
    const byOwnOf = (gammas: Tensor[]) => {
      const found = dys.map((dy, i) => gradients(dy, [xs[i], gammas[i], ...reserves[i]]));
      return [found.map(([dx]) => dx), tf.stack(found.map((one) => one[1])), tf.stack(found.map((one) => one[2]))] as [
        ...[Tensor[], Tensor, Tensor],
      ];
    };
    if (isInstance) {
      const [dxs, dGamma, dBeta] = byOwnOf(xs.map(() => gamma));
      return { dxs, parameters: [dGamma, dBeta, tf.zeros([b, c])] };
    }
    const [mean, offset, standardDeviation, groupStandardDeviation] = statistics,
      scale = tf.div(gamma, groupStandardDeviation);
    const [dxsOfChannels, dOwn, dBeta] = byOwnOf(tf.unstack(tf.mul(scale, standardDeviation)));
    const dGamma = tf.div(tf.add(tf.mul(dOwn, standardDeviation), tf.mul(offset, dBeta)), groupStandardDeviation);
    // What the group's gradient takes away, by its means over group and voxels, and what the channels' has taken already.
    const meanOfDy = tf.div(overGroup(tf.mul(gamma, dBeta)), groupStandardDeviation);
    const alongX = tf.div(overGroup(tf.mul(gamma, dGamma)), tf.square(groupStandardDeviation));
    const slope = tf.div(tf.sub(tf.div(tf.mul(scale, dOwn), standardDeviation), alongX), voxels);
    const dBias = tf.sub(tf.mul(scale, dBeta), tf.add(meanOfDy, tf.mul(alongX, offset)));
    const [slopes, shifts, means] = [slope, tf.div(dBias, voxels), mean].map((t) => tf.unstack(t));
    const variance = tf.fill([c], 1 - EPSILON);
    const dxs = dxsOfChannels.map((dx, i) =>
      tf.add(dx, byGiven(xs[i], { gamma: slopes[i], beta: shifts[i], mean: means[i], variance }))
    );
    return { dxs, parameters: [dGamma, dBeta, dBias] };
  };
  const op = tf.customGrad((x: any, gamma: any, beta: any, bias: any, save: any) => {
    const xs = samples(x), { ys, reserves, statistics } = forward(xs, { gamma, beta, bias });
    const y = joined(rectified ? ys.map(relu) : ys);
    save([gamma, ...rectified ? [y] : [], ...statistics, ...xs, ...reserves.flat()]);
    return {
      value: y,
      gradFunc: (dy: any, [gamma, ...rest]: Tensor[]) => {
        const dNormalized = rectified ? reluGradient(dy, rest.shift()!) : dy;
        const saved = {
          statistics: rest.splice(0, statistics.length),
          xs: rest.splice(0, b),
          reserves: [] as Tensor[][],
        };
        while (rest.length) saved.reserves.push(rest.splice(0, 3));
        const { dxs, parameters } = backward(samples(dNormalized), gamma, saved);
        return [joined(dxs), ...parameters.map((t) => tf.sum(t, 0))] as any;
      },
    };
  });
  return op(x, gamma, beta, bias) as T;
}
