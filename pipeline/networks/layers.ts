/**
 * Layers as PyTorch has them, on named weights: convolutions with bias, batch norm (eps 1e-5, momentum 0.1,
 * unbiased running variance), channel dropout, linear layers.
 * @module
 */
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor5D } from "@tensorflow/tfjs";
import { openTensorFlow } from "../tensorflow/device.ts";
import * as ops from "../tensorflow/ops.ts";
import type { Weights } from "./parameters.ts";

/** How a network is run. */
export interface PassOptions {
  /** Normalise by the batch's statistics (training) or by the running ones (evaluation). */
  training: boolean;
  /** Whether the pass moves the running statistics; only a training pass can. */
  updateStatistics?: boolean;
  /** int32 `[2]`; without it dropout is off. */
  dropoutSeed?: Tensor1D;
}

/** One run of a network. `buffers` is replaced entry by entry while running statistics move; nothing else changes. */
export class Pass {
  #draws = 0;
  constructor(readonly weights: Weights, readonly buffers: Weights, readonly options: PassOptions) {}

  /** The same weights and buffers under other options. */
  with(options: PassOptions): Pass {
    return new Pass(this.weights, this.buffers, options);
  }

  #bias<T extends Tensor>(x: T, name: string): T {
    return ops.addBias(x, this.weights[`${name}.bias`] as Tensor1D);
  }

  /** 3-D convolution: kernel 3 or 1 keeps the size, kernel 2 has stride 2. @param x `[B, X, Y, Z, C]` */
  conv3d(x: Tensor5D, name: string): Tensor5D {
    const weight = this.weights[`${name}.weight`] as Tensor5D;
    const halves = weight.shape[0] === 2;
    return this.#bias(openTensorFlow().tf.conv3d(x, weight, halves ? 2 : 1, halves ? "valid" : "same"), name);
  }

  /** Transposed convolution, kernel 2, stride 2. @param x `[B, X, Y, Z, C]` */
  upConvolution(x: Tensor5D, name: string): Tensor5D {
    return this.#bias(ops.upConvolution(x, this.weights[`${name}.weight`] as Tensor5D), name);
  }

  /** `x W + b`. @param x `[N, F]` */
  linear(x: Tensor2D, name: string): Tensor2D {
    return this.#bias(openTensorFlow().tf.matMul(x, this.weights[`${name}.weight`] as Tensor2D), name);
  }

  /** Batch norm; running statistics take a tenth of the batch's. @param x `[..., C]` */
  batchNorm<T extends Tensor>(x: T, name: string): T {
    const { tf } = openTensorFlow();
    const gamma = this.weights[`${name}.weight`] as Tensor1D, beta = this.weights[`${name}.bias`] as Tensor1D;
    const meanName = `${name}.running_mean`, varianceName = `${name}.running_var`;
    if (!this.options.training) {
      return ops.batchNormApply(x, { gamma, beta, mean: this.buffers[meanName], variance: this.buffers[varianceName] });
    }
    const { y, mean, variance } = ops.batchNormTrain(x, gamma, beta);
    if (this.options.updateStatistics) {
      const move = (key: string, batch: Tensor) => {
        // Kept: the pass may run inside a gradient, which tidies up behind itself.
        this.buffers[key] = tf.keep(tf.tidy(() => tf.add(tf.mul(this.buffers[key], 0.9), tf.mul(batch, 0.1))));
      };
      move(meanName, mean);
      move(varianceName, variance);
    }
    mean.dispose();
    variance.dispose();
    return y;
  }

  /**
   * Batch norm in training mode over some rows only: those where `member` is 1; running statistics move if any is and `active`.
   * @param x `[N, F]` @param member `[N]` @param active Scalar 0 or 1.
   */
  batchNormOver(x: Tensor2D, name: string, { member, active }: { member: Tensor1D; active: Scalar }): Tensor2D {
    const { tf } = openTensorFlow();
    const column = tf.expandDims(member, 1); // [N, 1]
    const count = tf.maximum(tf.sum(member), 1);
    const mean = tf.div(tf.sum(tf.mul(x, column), 0), count); // [F]
    const centered = tf.sub(x, mean);
    const variance = tf.div(tf.sum(tf.mul(tf.square(centered), column), 0), count);
    if (this.options.updateStatistics) {
      const unbiased = tf.div(tf.mul(variance, count), tf.maximum(tf.sub(count, 1), 1));
      for (const [key, batch] of [[`${name}.running_mean`, mean], [`${name}.running_var`, unbiased]] as const) {
        const step = tf.mul(tf.sub(batch, this.buffers[key]), tf.mul(active, 0.1));
        this.buffers[key] = tf.keep(tf.add(this.buffers[key], step));
      }
    }
    const scaled = tf.div(centered, tf.sqrt(tf.add(variance, 1e-5)));
    return tf.add(tf.mul(scaled, this.weights[`${name}.weight`]), this.weights[`${name}.bias`]) as Tensor2D;
  }

  /** Dropout of whole channels, fresh at every call of one pass. @param x `[B, ..., C]` */
  channelDropout<T extends Tensor>(x: T, probability: number): T {
    const { tf } = openTensorFlow();
    const seed = this.options.dropoutSeed;
    if (!seed) return x;
    return ops.channelDropout(x, probability, tf.add(seed, tf.tensor1d([0, ++this.#draws], "int32")));
  }
}
