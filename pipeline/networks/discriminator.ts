/**
 * SASSNet's discriminator (Li et al., MICCAI 2020): from a map of signed distances and its image, two logits for
 * "unlabeled" and "labeled". For slices the public 2-D one of SSL4MIS. No norms. Sizes must be multiples of 16.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { leakyRelu } from "../tensorflow/ops.ts";
import { linear } from "../tensorflow/rows.ts";
import type { Tensor, Tensor2D, Tensor4D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { Scope } from "./scope.ts";

const FILTERS = 64, SLOPE = 0.2, DROPOUT = 0.5;
/** Side of the blocks that the 2-D discriminator averages; lines that fill no block are left out. */
const BLOCK = 7;

/** Blocks along an axis of the last map of slices, which may be smaller than one block; and their side. */
const blocksOf = (size: number) => ({ side: Math.min(BLOCK, size), count: Math.floor(size / Math.min(BLOCK, size)) });

/** The maps and patches that a discriminator is made for. */
export interface DiscriminatorOptions {
  /** C, channels of the image. */
  channels: number;
  /** K, background included: the map of signed distances is of the others. */
  classes: number;
  /** `[X, Y, Z]` or `[H, W]`; for slices it decides the inputs of the last layer. */
  patch: readonly number[];
  /** The filters of the first convolution; each of the next three has twice those of the one before. */
  filters?: number;
}

/** What the last layer reads: volumes: the mean of every channel; slices: that of every block, channels first. */
function pooled(x: Tensor): Tensor2D {
  if (x.rank === 5) return tf.mean(x, [1, 2, 3]);
  const [, h, w] = (x as Tensor4D).shape, sides: [number, number] = [blocksOf(h).side, blocksOf(w).side];
  const blocks = tf.avgPool(x as Tensor4D, sides, sides, "valid");
  return tf.reshape(tf.transpose(blocks, [0, 3, 1, 2]), [x.shape[0], -1]);
}

/** A built discriminator: from signed distances `[B, ..., K - 1]` and the image `[B, ..., C]` to logits `[B, 2]`. */
export type Discriminator = (pass: Pass, sample: { map: Tensor; image: Tensor }) => Tensor2D;

/**
 * The discriminator: class 0 an unlabeled sample, class 1 a labeled one. 11,020,290 values for volumes of one
 * channel and 2 classes, whatever the patch.
 */
export function discriminator(
  at: Scope,
  { channels, classes, patch, filters = FILTERS }: DiscriminatorOptions,
): Discriminator {
  const kernel = patch.map(() => 4), width = (i: number) => filters * 2 ** i;
  const onMap = at.conv("conv0", { kernel, in: classes - 1, out: filters });
  const onImage = at.conv("conv1", { kernel, in: channels, out: filters });
  const [conv2, conv3, conv4] = [1, 2, 3].map((i) =>
    at.conv(`conv${i + 1}`, { kernel, in: width(i - 1), out: width(i) })
  );
  const blocks = patch.length === 3 ? 1 : patch.reduce((product, n) => product * blocksOf(n / 16).count, 1);
  const classifier = at.linear("classifier", { in: width(3) * blocks, out: 2 });
  const activated = (x: Tensor) => leakyRelu(x, SLOPE);
  return (pass, { map, image }) => {
    let x: Tensor = onMap(pass, map).add(onImage(pass, image));
    if (x.rank === 5) x = pass.channelDropout(activated(x), DROPOUT); // the public 2-D one has neither here
    for (const conv of [conv2, conv3]) x = pass.channelDropout(activated(conv(pass, x)), DROPOUT);
    const { weight, bias } = classifier(pass);
    return linear(pooled(activated(conv4(pass, x))), weight, bias);
  };
}
