/**
 * U-Net as SS-Net uses it on ACDC (Ronneberger et al. 2015, with batch norm): 16 to 256 channels, LeakyReLU 0.01,
 * dropout between the two convolutions of each encoder block, bilinear upsampling with aligned corners, 3x3 head.
 * Sizes must be multiples of 16.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { leakyRelu, maxPool2, upBilinear } from "../tensorflow/ops.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { EncoderOptions, Forward, Layer, NetworkOptions, Scope, Upsampling, Width } from "./scope.ts";

const FILTERS = 16, SLOPE = 0.01;
/** The dropout by level, the finest first; every level has twice the filters of the one above. */
const DROPOUT = [0.05, 0.1, 0.2, 0.3, 0.5];
const COARSEST = DROPOUT.length - 1;

/** Two convolutions with batch norm and LeakyReLU, dropout between them. */
function block(at: Scope, width: Width, dropout = 0): Layer<Tensor4D> {
  const first = at.convNorm<Tensor4D>(["0", "1"], { kernel: [3, 3], ...width });
  const second = at.convNorm<Tensor4D>(["4", "5"], { kernel: [3, 3], in: width.out, out: width.out });
  return (pass, x) => {
    x = leakyRelu(first(pass, x), SLOPE);
    if (dropout) x = pass.dropout(x, dropout);
    return leakyRelu(second(pass, x), SLOPE);
  };
}

/**
 * The encoder, from `[B, H, W, C]` to five levels, the finest first, 16 to 256 channels, each half the size of the one
 * before.
 */
export function unetEncoder(
  at: Scope,
  { channels, filters = FILTERS }: EncoderOptions,
): (pass: Pass, x: Tensor4D) => Tensor4D[] {
  const blocks = DROPOUT.map((dropout, level) => {
    const out = filters * 2 ** level, name = level ? `down${level}.maxpool_conv.1.conv_conv` : "in_conv.conv_conv";
    return block(at.in(name), { in: level ? out / 2 : channels, out }, dropout);
  });
  return (pass, x) =>
    blocks.reduce<Tensor4D[]>(
      (levels, block, level) => [...levels, block(pass, level ? maxPool2(levels[level - 1]) : x)],
      [],
    );
}

/** Twice the size, half the channels. */
function doubling(at: Scope, upsampling: Upsampling, width: Width): Layer<Tensor4D> {
  if (upsampling === "transposed") return at.upConv("up", { kernel: [2, 2], ...width });
  const convolution = at.conv<Tensor4D>("conv1x1", { kernel: [1, 1], ...width });
  return (pass, x) => upBilinear(convolution(pass, x));
}

/** A decoder, from the encoder's levels to four, the finest first, 16 to 128 channels. */
export function unetDecoder(
  at: Scope,
  upsampling: Upsampling,
  filters = FILTERS,
): (pass: Pass, levels: Tensor4D[]) => Tensor4D[] {
  const stages = DROPOUT.slice(1).map((_, i) => {
    const level = COARSEST - 1 - i, width = filters * 2 ** level, stage = at.in(`up${i + 1}`);
    return {
      level,
      up: doubling(stage, upsampling, { in: 2 * width, out: width }),
      block: block(stage.in("conv.conv_conv"), { in: 2 * width, out: width }),
    };
  });
  return (pass, levels) => {
    const decoded: Tensor4D[] = [];
    let x = levels.at(-1)!;
    for (const { level, up, block } of stages) {
      x = block(pass, tf.concat([levels[level], up(pass, x)], 3));
      decoded.unshift(x);
    }
    return decoded;
  };
}

/** A 3x3 head on the features of a decoder. */
export function unetHead(at: Scope, name: string, width: Width): Layer<Tensor4D> {
  return at.conv(name, { kernel: [3, 3], ...width });
}

/** The U-Net without SS-Net's heads, for `[B, H, W, C]`; 1,813,764 values for 1 channel and 4 classes. */
export function unet(at: Scope, { channels, classes, filters = FILTERS }: NetworkOptions): Forward {
  const encoder = unetEncoder(at.in("encoder"), { channels, filters });
  const decoder = unetDecoder(at.in("decoder"), "linear", filters);
  const head = unetHead(at.in("decoder"), "out_conv", { in: filters, out: classes });
  const forward: Forward = (pass, x) => {
    const [features] = decoder(pass, encoder(pass, x as Tensor4D));
    return { logits: head(pass, features), features };
  };
  return Object.assign(forward, { featureWidth: filters });
}
