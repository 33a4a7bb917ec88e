/**
 * How a network is said, once: building it declares its parameters in the order of the authors' `state_dict` and gives its
 * forward function. Building needs no TensorFlow.
 * @module
 */
import type { Norm } from "../tensorflow/norms.ts";
import type { Moments } from "../tensorflow/rows.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor5D } from "../tensorflow/tensors.ts";
import type { NormalizedLayer, Pass } from "./layers.ts";
import type { NetworkSpec, ParameterSpec } from "./parameters.ts";

/** A built layer, from features to features. */
export type Layer<T extends Tensor> = (pass: Pass, x: T) => T;

/** What a forward pass gives; what nobody reads TensorFlow does not compute. */
export interface NetworkOutputs {
  /** What is tested `[B, ..., K]`. */
  logits: Tensor;
  /** Features in front of the head `[B, ..., F]`, of a network that says its `featureWidth`. */
  features?: Tensor;
  /** Signed distances of the foreground classes `[B, ..., K - 1]`, of a network with a head for them. */
  distance?: Tensor;
  /** All segmentations, the tested one first, of a network with several: MC-Net's decoders, URPC's scales. */
  all?: Tensor[];
}

/** A built segmentation network, from `[B, ..., C]`. */
export interface Forward {
  (pass: Pass, x: Tensor): NetworkOutputs;
  /** F of its features; absent where it gives none. */
  featureWidth?: number;
}

/** What the encoder of a segmentation network is built with. */
export interface EncoderOptions {
  /** C, channels of the image. */
  channels: number;
  /** Filters at the finest level; 16 where none are given. */
  filters?: number;
}

/** What a segmentation network is built with. */
export interface NetworkOptions extends EncoderOptions {
  /** K, background included. */
  classes: number;
}

/** Channels of a layer. */
export interface Width {
  /** Channels that it reads. */
  in: number;
  /** Channels that it gives. */
  out: number;
}

/** Shape of a convolution. */
export interface Convolution extends Width {
  /** The size along every axis: 3 and 1 keep the size, 2 and 4 (its padding 1) have stride 2. */
  kernel: readonly number[];
  /** Whether the weights begin as normal numbers, where PyTorch's default is uniform ones. */
  normal?: boolean;
}

/** How a decoder doubles the size: by a transposed convolution, or by interpolation with aligned corners and a convolution. */
export type Upsampling = "transposed" | "linear";

/** Names of a layer and of the norm behind it. */
export type LayerAndNorm = readonly [layer: string, norm: string];

/** A linear layer as it stands in a pass: weight `[F, G]`, bias `[G]`. */
export interface Linear {
  /** The weight `[F, G]`. */
  weight: Tensor2D;
  /** The bias `[G]`. */
  bias: Tensor1D;
}

/**
 * Where a network's layers get their names and declare their parameters: every method adds those of one layer and gives the
 * function that runs it.
 *
 * @example A convolution of 3 x 3 x 3 and its batch norm
 * ```ts
 * import assert from "node:assert/strict";
 * import { build } from "@ssnet/pipeline/networks/scope.ts";
 *
 * const { spec } = build((at) => at.in("block").convNorm(["0", "1"], { kernel: [3, 3, 3], in: 1, out: 16 }));
 * assert.deepEqual(spec.parameters.map(({ name }) => name), [
 *   "block.0.weight", "block.0.bias", "block.1.weight", "block.1.bias",
 * ]);
 * assert.deepEqual([spec.parameters[0].shape, spec.parameters[0].fanIn], [[16, 1, 3, 3, 3], 27]);
 * ```
 */
export class Scope {
  readonly #spec: NetworkSpec;
  /** The norm behind its convolutions. */
  readonly norm: Norm;
  /** What the names below begin with, the dot included. */
  readonly prefix: string;

  /** A scope that adds to a specification. */
  constructor(spec: NetworkSpec, norm: Norm, prefix = "") {
    this.#spec = spec;
    this.norm = norm;
    this.prefix = prefix;
  }

  /** The scope of the names behind `NAME.`. */
  in(name: string): Scope {
    return new Scope(this.#spec, this.norm, `${this.prefix}${name}.`);
  }

  /** A convolution with its bias. */
  conv<T extends Tensor>(name: string, shape: Convolution): Layer<T> {
    const layer = this.#conv(name, shape);
    return (pass, x) => pass.convolution(x, layer);
  }

  /** A convolution and the norm behind it. */
  convNorm<T extends Tensor>([name, norm]: LayerAndNorm, shape: Convolution): Layer<T> {
    const names = this.#normalized(this.#conv(name, shape), norm, shape.out);
    return (pass, x) => pass.convolutionNorm(x, names);
  }

  /** A convolution, the norm behind it and ReLU. */
  convNormRelu<T extends Tensor>([name, norm]: LayerAndNorm, shape: Convolution): Layer<T> {
    const names = this.#normalized(this.#conv(name, shape), norm, shape.out);
    return (pass, x) => pass.convolutionNormRelu(x, names);
  }

  /** A convolution of the sum of two maps, the norm behind it and ReLU. */
  sumConvNormRelu(
    [name, norm]: LayerAndNorm,
    shape: Convolution,
  ): (pass: Pass, a: Tensor5D, b: Tensor5D) => Tensor5D {
    const names = this.#normalized(this.#conv(name, shape), norm, shape.out);
    return (pass, a, b) => pass.sumConvolutionNormRelu(a, b, names);
  }

  /** A convolution and an instance norm, which has no parameters. */
  convInstanceNorm<T extends Tensor>(name: string, shape: Convolution): Layer<T> {
    const layer = this.#conv(name, shape);
    return (pass, x) => pass.convolutionInstanceNorm(x, layer);
  }

  /** A transposed convolution (kernel 2, stride 2) with its bias. */
  upConv<T extends Tensor>(name: string, shape: Convolution): Layer<T> {
    const layer = this.#transposed(name, shape);
    return (pass, x) => pass.upConvolution(x, layer);
  }

  /** A transposed convolution (kernel 2, stride 2), the norm behind it and ReLU. */
  upConvNormRelu<T extends Tensor>([name, norm]: LayerAndNorm, shape: Convolution): Layer<T> {
    const names = this.#normalized(this.#transposed(name, shape), norm, shape.out);
    return (pass, x) => pass.upConvolutionNormRelu(x, names);
  }

  /** A linear layer on rows. */
  linear(name: string, width: Width): (pass: Pass) => Linear {
    const layer = this.#linear(name, width);
    return ({ weights }) => ({
      weight: weights[`${layer}.weight`] as Tensor2D,
      bias: weights[`${layer}.bias`] as Tensor1D,
    });
  }

  /** A linear layer and the batch norm behind it, as one linear layer on rows of these moments ({@linkcode Pass.linearNorm}). */
  linearNorm(
    [name, norm]: LayerAndNorm,
    width: Width,
  ): (pass: Pass, rows: Moments | null, active?: Scalar) => Linear {
    const names = { layer: this.#linear(name, width), norm: this.#norm(norm, width.out, "batch") };
    return (pass, rows, active) => pass.linearNorm(names, rows, active);
  }

  #conv(name: string, { kernel, in: inputs, out, normal }: Convolution): string {
    return this.#layer(normal ? "conv_normal" : "conv", name, { shape: [out, inputs, ...kernel], outputs: out });
  }

  #transposed(name: string, { kernel, in: inputs, out }: Convolution): string {
    return this.#layer("convT", name, { shape: [inputs, out, ...kernel], outputs: out });
  }

  #linear(name: string, { in: inputs, out }: Width): string {
    return this.#layer("linear", name, { shape: [out, inputs], outputs: out });
  }

  /** Adds `NAME.weight` and `NAME.bias`; gives the whole name. */
  #layer(kind: ParameterSpec["kind"], name: string, { shape, outputs }: { shape: number[]; outputs: number }): string {
    const whole = this.prefix + name, fanIn = shape.slice(1).reduce((a, b) => a * b, 1);
    this.#spec.parameters.push({ name: `${whole}.weight`, shape, kind, fanIn });
    this.#spec.parameters.push({ name: `${whole}.bias`, shape: [outputs], kind: "bias", fanIn });
    return whole;
  }

  /** The names of a convolution, which has been added, and of the norm behind it, which is. */
  #normalized(convolution: string, norm: string, channels: number): NormalizedLayer {
    return { kind: this.norm, convolution, norm: this.#norm(norm, channels, this.norm) };
  }

  /** Adds `NAME.weight` and `NAME.bias`, of a batch norm `NAME.running_mean` and `NAME.running_var` too, each `[channels]`. */
  #norm(name: string, channels: number, kind: Norm): string {
    const whole = this.prefix + name, shape = [channels];
    this.#spec.parameters.push({ name: `${whole}.weight`, shape, kind: "bn_gamma", fanIn: 0 });
    this.#spec.parameters.push({ name: `${whole}.bias`, shape, kind: "bn_beta", fanIn: 0 });
    if (kind !== "batch") return whole;
    this.#spec.buffers.push({ name: `${whole}.running_mean`, shape, kind: "running_mean" });
    this.#spec.buffers.push({ name: `${whole}.running_var`, shape, kind: "running_var" });
    return whole;
  }
}

/** What {@linkcode build} gives. */
export interface Built<F> {
  /** Parameters and running statistics, in the order of the `state_dict`. */
  spec: NetworkSpec;
  /** What the network's function gave: mostly its forward function. */
  forward: F;
}

/**
 * Builds a network, or several that are to share a `state_dict`.
 * @param norm Behind its convolutions; heads on rows have batch norms.
 */
export function build<F>(network: (at: Scope) => F, norm: Norm = "batch"): Built<F> {
  const spec: NetworkSpec = { parameters: [], buffers: [] };
  return { spec, forward: network(new Scope(spec, norm)) };
}
