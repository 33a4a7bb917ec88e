/**
 * URPC's network for slices (Luo et al., MedIA 2022; the public code's `UNet_URPC`): the U-Net with a head at each of the
 * four decoder levels, the coarser three behind a perturbation that only their heads see.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { masked, upNearest } from "../tensorflow/ops.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import type { DecoderOptions, Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";
import { unetDecoder, unetDecoderSpec, unetEncoder, unetEncoderSpec, unetHeadSpec } from "./unet.ts";

const DECODER: DecoderOptions = { prefix: "decoder.", upsampling: "linear" };
const NOISE = 0.3, DROPOUT = 0.5;
/** Bounds of the share of the largest attention above which a region is removed. */
const STRONGEST = [0.7, 0.9];

/**
 * Parameters: 1,831,060 values for 4 classes. Those of a head on the encoder's last level, `out_conv_dp4`, are there as in
 * the public code; no output depends on them.
 */
export function urpcUnetSpec(builder: SpecBuilder, { classes }: { classes: number }): SpecBuilder {
  unetDecoderSpec(unetEncoderSpec(builder), DECODER);
  unetHeadSpec(builder, "decoder.out_conv", { channels: classes });
  for (const level of [4, 3, 2, 1]) unetHeadSpec(builder, `decoder.out_conv_dp${level}`, { channels: classes, level });
  return builder;
}

/** `x + x n`, n uniform in ±0.3, the same for all samples; x itself where dropout is off. @param x `[B, H, W, C]` */
export function featureNoise(pass: Pass, x: Tensor4D): Tensor4D {
  const uniform = pass.uniform([1, ...x.shape.slice(1)]);
  return uniform ? tf.mul(x, tf.add(tf.mul(uniform, 2 * NOISE), 1 - NOISE)) : x;
}

/**
 * x without the places where the mean over its channels is at least r times the sample's largest one; r uniform in 0.7 to
 * 0.9, the same for all samples. x itself where dropout is off.
 * @param x `[B, H, W, C]`
 */
export function featureDropout(pass: Pass, x: Tensor4D): Tensor4D {
  const uniform = pass.uniform([]);
  if (!uniform) return x;
  const [low, high] = STRONGEST;
  return masked(x, (x) => {
    const attention = tf.mean(x, 3, true);
    return tf.less(attention, tf.mul(tf.max(attention, [1, 2], true), tf.add(tf.mul(uniform, high - low), low)));
  });
}

/**
 * Forward pass; the perturbations act where dropout is on.
 * @param x `[B, H, W, 1]`
 * @returns Logits of the four heads, the finest first, each resized to the input `[B, H, W, K]`; the first is tested.
 */
export function urpcUnet(pass: Pass, x: Tensor4D): Tensor4D[] {
  const levels = unetDecoder(pass, unetEncoder(pass, x), DECODER);
  const perturbed = [
    levels[0],
    featureNoise(pass, levels[1]),
    featureDropout(pass, levels[2]),
    pass.dropout(levels[3], DROPOUT),
  ];
  return perturbed.map((features, level) => {
    if (level === 0) return pass.convolution(features, "decoder.out_conv");
    return upNearest(pass.convolution(features, `decoder.out_conv_dp${level}`), 2 ** level);
  });
}
