/**
 * URPC's network for volumes (Luo et al., MedIA 2022; the public code's `unet_3D_dv_semi`): 3-D U-Net of 16 to 256
 * channels with instance norm, trilinear upsampling, dropout of channels along the decoder and a head at each of its four
 * levels. Sizes must be multiples of 16.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { maxPool2, relu, upTrilinear } from "../tensorflow/ops.ts";
import type { Tensor5D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

const WIDTHS = [16, 32, 64, 128, 256];
/** By decoder level, the finest first. */
const DROPOUT = [0.1, 0.2, 0.3, 0.5];
const ENCODER = ["conv1", "conv2", "conv3", "conv4", "center"];
const decoderStage = (level: number) => `up_concat${level + 1}`;
const head = (level: number) => level === 0 ? "dsv1" : `dsv${level + 1}.dsv.0`;

/** Parameters: 5,884,504 values for 2 classes, convolutions initialized as "conv_normal". There are no running statistics. */
export function urpcUnet3dSpec(builder: SpecBuilder, { classes }: { classes: number }): SpecBuilder {
  const block = (name: string, inputs: number, width: number) => {
    builder.layer("conv_normal", `${name}.conv1.0`, [width, inputs, 3, 3, 3]);
    builder.layer("conv_normal", `${name}.conv2.0`, [width, width, 3, 3, 3]);
  };
  WIDTHS.forEach((width, level) => block(ENCODER[level], level ? WIDTHS[level - 1] : 1, width));
  for (const level of [3, 2, 1, 0]) {
    block(`${decoderStage(level)}.conv`, WIDTHS[level] + WIDTHS[level + 1], WIDTHS[level]);
  }
  for (const level of [3, 2, 1, 0]) builder.layer("conv_normal", head(level), [classes, WIDTHS[level], 1, 1, 1]);
  return builder;
}

/**
 * Forward pass.
 * @param x `[B, X, Y, Z, 1]`
 * @returns Logits of the four heads, the finest first, each interpolated to the input `[B, X, Y, Z, K]`; the first is tested.
 */
export function urpcUnet3d(pass: Pass, x: Tensor5D): Tensor5D[] {
  const up = (x: Tensor5D, factor: number) => upTrilinear(x, { factor, alignedCorners: false });
  const block = (x: Tensor5D, name: string) => {
    for (const layer of ["conv1.0", "conv2.0"]) x = relu(pass.convolutionInstanceNorm(x, `${name}.${layer}`));
    return x;
  };
  const levels: Tensor5D[] = [];
  for (const name of ENCODER) {
    x = block(levels.length ? maxPool2(x) : x, name); // half the size, twice the channels
    levels.push(x);
  }
  const logits: Tensor5D[] = [];
  for (const level of [3, 2, 1, 0]) {
    x = block(tf.concat([levels[level], up(x, 2)], 4), `${decoderStage(level)}.conv`);
    x = pass.channelDropout(x, DROPOUT[level]);
    const own = pass.convolution(x, head(level));
    logits.unshift(level ? up(own, 2 ** level) : own);
  }
  return logits;
}
