/**
 * SASSNet's discriminator (Li et al., MICCAI 2020): from a map of signed distances and its image, two logits for
 * "unlabeled" and "labeled". For slices the public 2-D one of SSL4MIS. No norms. Sizes must be multiples of 16.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { leakyRelu } from "../tensorflow/ops.ts";
import type { Tensor, Tensor2D, Tensor4D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

const WIDTHS = [64, 128, 256, 512], SLOPE = 0.2, DROPOUT = 0.5;
/** Side of the blocks that the 2-D discriminator averages; lines that fill no block are left out. */
const BLOCK = 7;

/** Blocks along an axis of the last map of slices, which may be smaller than one block; and their side. */
const blocksOf = (size: number) => ({ side: Math.min(BLOCK, size), count: Math.floor(size / Math.min(BLOCK, size)) });

/** For what maps and patches a discriminator is made. */
export interface DiscriminatorOptions {
  /** Of the map of signed distances: the foreground classes. */
  channels: number;
  /** `[X, Y, Z]` or `[H, W]`; for slices it decides the inputs of the last layer. */
  patch: readonly number[];
}

/** Parameters: 11,020,290 values for volumes and 1 channel, whatever the patch. */
export function discriminatorSpec(builder: SpecBuilder, { channels, patch }: DiscriminatorOptions): SpecBuilder {
  const kernel = patch.map(() => 4);
  builder.layer("conv", "conv0", [WIDTHS[0], channels, ...kernel]).layer("conv", "conv1", [WIDTHS[0], 1, ...kernel]);
  for (let i = 1; i < WIDTHS.length; i++) {
    builder.layer("conv", `conv${i + 1}`, [WIDTHS[i], WIDTHS[i - 1], ...kernel]);
  }
  const blocks = patch.length === 3 ? 1 : patch.reduce((product, n) => product * blocksOf(n / 16).count, 1);
  return builder.layer("linear", "classifier", [2, WIDTHS[3] * blocks]);
}

/** What the last layer reads: volumes: the mean of every channel; slices: that of every block, channels first. */
function pooled(x: Tensor): Tensor2D {
  if (x.rank === 5) return tf.mean(x, [1, 2, 3]);
  const [, h, w] = (x as Tensor4D).shape, sides: [number, number] = [blocksOf(h).side, blocksOf(w).side];
  const blocks = tf.avgPool(x as Tensor4D, sides, sides, "valid");
  return tf.reshape(tf.transpose(blocks, [0, 3, 1, 2]), [x.shape[0], -1]);
}

/**
 * Forward pass.
 * @param map Signed distances `[B, ..., channels]`. @param image `[B, ..., 1]`
 * @returns Logits `[B, 2]`: class 0 an unlabeled sample, class 1 a labeled one.
 */
export function discriminator(pass: Pass, { map, image }: { map: Tensor; image: Tensor }): Tensor2D {
  const activated = (x: Tensor) => leakyRelu(x, SLOPE);
  let x: Tensor = pass.convolution(map, "conv0").add(pass.convolution(image, "conv1"));
  if (x.rank === 5) x = pass.channelDropout(activated(x), DROPOUT); // the public 2-D one has neither here
  for (const name of ["conv2", "conv3"]) x = pass.channelDropout(activated(pass.convolution(x, name)), DROPOUT);
  return pass.linear(pooled(activated(pass.convolution(x, "conv4"))), "classifier");
}
