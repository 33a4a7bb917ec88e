/**
 * Layers as PyTorch has them, on named weights: convolutions with bias, batch norm (eps 1e-5, momentum 0.1,
 * unbiased running variance), instance and group norm, dropout of channels and of entries, linear layers.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { batchNormTrain, EPSILON, GROUP_CHANNELS, type Norm, sampleNorm } from "../tensorflow/norms.ts";
import * as ops from "../tensorflow/ops.ts";
import type * as rows from "../tensorflow/rows.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D, Tensor5D } from "../tensorflow/tensors.ts";
import type { Weights } from "./parameters.ts";

/** A layer and the norm behind it. */
export interface NormalizedLayer {
  /** Which norm. */
  kind: Norm;
  /** What the names of the convolution's parameters begin with. */
  convolution: string;
  /** What the names of the norm's parameters begin with. */
  norm: string;
}

/** How a network is run. */
export interface PassOptions {
  /** Normalize by the batch's statistics (training) or by the running ones (evaluation). */
  training: boolean;
  /**
   * Whether the pass moves the running statistics; only a training pass can. "later": not before
   * {@linkcode Pass.moveStatistics}, for a pass that runs before another one whose turn comes first. "replace": they become
   * those of the pass's batch.
   */
  updateStatistics?: boolean | "later" | "replace";
  /** int32 `[2]`; without it dropout is off. */
  dropoutSeed?: Tensor1D;
}

/**
 * One run of a network. `buffers` is replaced entry by entry while running statistics move, `folded` grows; nothing else
 * changes. Passes that share their buffers move the same statistics.
 */
export class Pass {
  #draws = 0;
  /** What a pass that moves the statistics later adds to them: a tenth of its batch's. */
  readonly #shares: Weights = {};
  /**
   * The weights and biases of the layers in front of batch norms with these folded in, under the
   * layers' names. A pass that is given them, and no running statistics, computes the same.
   */
  readonly folded: Weights = {};
  /**
   * A pass for one forward run; another pass with the same seed draws the same dropout.
   * @param weights By name, TensorFlow's layout.
   * @param buffers Running statistics; give a copy to keep the old ones.
   */
  constructor(readonly weights: Weights, readonly buffers: Weights, readonly options: PassOptions) {}

  /** The same weights and buffers under other options. */
  with(options: PassOptions): Pass {
    return new Pass(this.weights, this.buffers, options);
  }

  #vector(name: string): Tensor1D {
    return this.weights[name] as Tensor1D;
  }

  /** Kernels 3 and 1 keep the size, kernels 2 and 4 (its padding 1) have stride 2; without bias. Sizes that are halved are even. */
  #convolve<T extends Tensor>(x: T, weight: Tensor): T {
    const kernel = weight.shape[0], stride = kernel % 2 ? 1 : 2, padding = kernel === 2 ? "valid" : "same";
    if (x.rank === 4) return tf.conv2d(x as unknown as Tensor4D, weight as Tensor4D, stride, padding) as Tensor as T;
    if (kernel === 3 && x.shape[4] === 1 && x.shape[3]! % ops.IMAGE_LINES === 0) {
      return ops.imageConvolution(x as unknown as Tensor5D, weight as Tensor5D) as Tensor as T;
    }
    return tf.conv3d(x as unknown as Tensor5D, weight as Tensor5D, stride, padding) as Tensor as T;
  }

  /**
   * Convolution: kernels 3 and 1 keep the size, kernels 2 and 4 (its padding 1) have stride 2.
   * @param x `[B, X, Y, Z, C]` or `[B, H, W, C]`
   */
  convolution<T extends Tensor>(x: T, name: string): T {
    return ops.addBias(this.#convolve(x, this.weights[`${name}.weight`]), this.#vector(`${name}.bias`));
  }

  /**
   * Convolution and the norm behind it.
   * @param x `[B, X, Y, Z, C]` or `[B, H, W, C]`
   */
  convolutionNorm<T extends Tensor>(x: T, names: NormalizedLayer): T {
    return this.#normalized(x, names, { apply: (x, weight) => this.#convolve(x, weight), outputAxis: [-1] });
  }

  /**
   * Convolution, norm and ReLU.
   * @param x `[B, X, Y, Z, C]`
   */
  convolutionNormRelu<T extends Tensor>(x: T, names: NormalizedLayer): T {
    const how = { outputAxis: [-1], rectified: true };
    return this.#normalized(x, names, { apply: (x, weight) => this.#convolve(x, weight), ...how });
  }

  /**
   * {@linkcode convolutionNormRelu} of the sum of two maps, kernel 3.
   * @param a `[B, X, Y, Z, C]`
   * @param b Of a's shape.
   */
  sumConvolutionNormRelu(a: Tensor5D, b: Tensor5D, names: NormalizedLayer): Tensor5D {
    const apply = (a: Tensor5D, weight: Tensor) => ops.convolutionOfSum(a, b, weight as Tensor5D);
    return this.#normalized(a, names, { apply, outputAxis: [-1], rectified: true });
  }

  /**
   * Convolution and an instance norm without parameters behind it.
   * @param x `[B, X, Y, Z, C]`
   */
  convolutionInstanceNorm<T extends Tensor>(x: T, name: string): T {
    const bias = this.#vector(`${name}.bias`),
      parameters = { gamma: tf.onesLike(bias), beta: tf.zerosLike(bias), bias };
    return sampleNorm(this.#convolve(x, this.weights[`${name}.weight`]), parameters, { channels: 1, rectified: false });
  }

  /**
   * Transposed convolution (kernel 2, stride 2).
   * @param x `[B, H, W, C]`
   */
  upConvolution<T extends Tensor>(x: T, name: string): T {
    return ops.addBias(ops.upConvolution(x, this.weights[`${name}.weight`]), this.#vector(`${name}.bias`));
  }

  /**
   * Transposed convolution (kernel 2, stride 2), norm and ReLU.
   * @param x `[B, X, Y, Z, C]`
   */
  upConvolutionNormRelu<T extends Tensor>(x: T, names: NormalizedLayer): T {
    return this.#normalized(x, names, { apply: ops.upConvolution<T>, outputAxis: [-1, 1], rectified: true });
  }

  /**
   * @param outputAxis Shape that lays a vector along the weight's axis of outputs.
   * @param rectified Whether a ReLU follows.
   */
  #normalized<T extends Tensor>(
    x: T,
    { kind, convolution, norm }: NormalizedLayer,
    { apply, outputAxis, rectified = false }: {
      apply: (x: T, weight: Tensor) => T;
      outputAxis: number[];
      rectified?: boolean;
    },
  ): T {
    if (this.options.training || kind !== "batch") {
      const weight = this.weights[`${convolution}.weight`], bias = this.#vector(`${convolution}.bias`);
      const parameters = { gamma: this.#vector(`${norm}.weight`), beta: this.#vector(`${norm}.bias`), bias };
      if (kind !== "batch") {
        const channels = kind === "instance" ? 1 : Math.min(GROUP_CHANNELS, bias.size);
        return sampleNorm(apply(x, weight), parameters, { channels, rectified });
      }
      const { y, mean, variance } = batchNormTrain(apply(x, weight), parameters, { rectified });
      this.#move(norm, { mean, variance });
      mean.dispose();
      variance.dispose();
      return y;
    }
    const { weight, bias } = this.#fold(convolution, norm, outputAxis);
    const y = ops.addBias(apply(x, weight), bias);
    return rectified ? ops.relu(y) : y;
  }

  /**
   * Weight and bias of a layer with the batch norm behind it in them.
   * @param outputAxis As for `#normalized`.
   */
  #fold(convolution: string, norm: string, outputAxis: number[]): { weight: Tensor; bias: Tensor1D } {
    const weight = this.weights[`${convolution}.weight`], bias = this.#vector(`${convolution}.bias`);
    if (!(`${norm}.running_mean` in this.buffers)) return { weight, bias };
    const { scale, shift } = this.#affine(norm, this.#running(norm), bias);
    const folded = { weight: tf.mul(weight, tf.reshape(scale, outputAxis)), bias: shift };
    this.folded[`${convolution}.weight`] = folded.weight;
    this.folded[`${convolution}.bias`] = folded.bias;
    return folded;
  }

  /** Mean and biased variance that a batch norm has collected. */
  #running(norm: string) {
    return {
      mean: this.buffers[`${norm}.running_mean`] as Tensor1D,
      variance: this.buffers[`${norm}.running_var`] as Tensor1D,
    };
  }

  /** A batch norm of given statistics behind a bias: `scale x + shift`, for an x without that bias. */
  #affine(norm: string, { mean, variance }: { mean: Tensor1D; variance: Tensor1D }, bias: Tensor1D) {
    const scale = tf.div(this.#vector(`${norm}.weight`), tf.sqrt(tf.add(variance, EPSILON))) as Tensor1D;
    return { scale, shift: tf.add(tf.mul(tf.sub(bias, mean), scale), this.#vector(`${norm}.bias`)) as Tensor1D };
  }

  /**
   * Running statistics take a tenth of the batch's.
   * @param active 0 leaves them alone.
   */
  #move(norm: string, batch: { mean: Tensor1D; variance: Tensor1D }, active?: Scalar) {
    if (!this.options.updateStatistics) return;
    for (const [key, value] of [["running_mean", batch.mean], ["running_var", batch.variance]] as const) {
      const name = `${norm}.${key}`, old = this.buffers[name];
      if (this.options.updateStatistics === "later") {
        this.#shares[name] = tf.keep(tf.mul(value, 0.1));
        continue;
      }
      if (this.options.updateStatistics === "replace") {
        this.buffers[name] = tf.keep(value.clone());
        continue;
      }
      // Kept: the pass may run inside a gradient, which tidies up behind itself.
      this.buffers[name] = tf.keep(
        tf.tidy(() =>
          active
            ? tf.where(tf.cast(active, "bool"), tf.add(old, tf.mul(tf.sub(value, old), 0.1)), old)
            : tf.add(tf.mul(old, 0.9), tf.mul(value, 0.1))
        ),
      );
    }
  }

  /** Moves the running statistics as they are now by the batches of this pass, one that was to do so later. */
  moveStatistics(): void {
    for (const [name, share] of Object.entries(this.#shares)) {
      this.buffers[name] = tf.add(tf.mul(this.buffers[name], 0.9), share);
    }
  }

  /**
   * A linear layer and the batch norm behind it, as one linear layer: in training the statistics of `x W + b` follow from
   * the moments of x, so the layer needs no map in front of the norm.
   *
   * @param input Moments of the rows that the batch consists of; null in evaluation.
   * @param active Scalar 0 or 1: whether the layer really runs, that is moves its running statistics.
   * @returns Weight `[F, G]` and bias `[G]`.
   */
  linearNorm(
    { layer, norm }: { layer: string; norm: string },
    input: rows.Moments | null,
    active?: Scalar,
  ): { weight: Tensor2D; bias: Tensor1D } {
    const weight = this.weights[`${layer}.weight`] as Tensor2D, bias = this.#vector(`${layer}.bias`);
    let statistics = this.#running(norm);
    if (input) {
      const mean = tf.add(tf.reshape(tf.matMul(tf.expandDims(input.mean, 0), weight), [-1]), bias) as Tensor1D;
      // Rounding can push the variance of a constant column below 0.
      const variance = tf.maximum(tf.sum(tf.mul(weight, tf.matMul(input.covariance, weight)), 0), 0) as Tensor1D;
      statistics = { mean, variance };
      const unbiased = tf.div(tf.mul(variance, input.count), tf.maximum(tf.sub(input.count, 1), 1)) as Tensor1D;
      this.#move(norm, { mean, variance: unbiased }, active);
    }
    const { scale, shift } = this.#affine(norm, statistics, bias);
    return { weight: tf.mul(weight, scale), bias: shift };
  }

  /** A seed of its own for every dropout of the pass; null where dropout is off. */
  #drawSeed(): Tensor1D | null {
    const seed = this.options.dropoutSeed;
    return seed ? ops.foldIn(seed, `draw ${++this.#draws}`) : null;
  }

  /**
   * Dropout of whole channels, fresh at every call of one pass.
   * @param x `[B, ..., C]`
   */
  channelDropout<T extends Tensor>(x: T, probability: number): T {
    const seed = this.#drawSeed();
    return seed ? ops.channelDropout(x, probability, seed) : x;
  }

  /**
   * Dropout of single entries, fresh at every call of one pass.
   * @param x Any shape.
   */
  dropout<T extends Tensor>(x: T, probability: number): T {
    const seed = this.#drawSeed();
    return seed ? ops.dropout(x, probability, seed) : x;
  }

  /** Uniform numbers in [0, 1), fresh at every call of one pass; null where dropout is off. */
  uniform(shape: number[]): Tensor | null {
    const seed = this.#drawSeed();
    return seed && ops.statelessUniform(shape, seed);
  }
}
