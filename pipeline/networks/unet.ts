/**
 * U-Net as SS-Net uses it on ACDC (Ronneberger et al. 2015, with batch norm): 16 to 256 channels, LeakyReLU 0.01,
 * dropout between the two convolutions of each encoder block, bilinear upsampling with aligned corners, 3x3 head.
 * Sizes must be multiples of 16.
 * @module
 */
import { openTensorFlow } from "../tensorflow/device.ts";
import { leakyRelu, maxPool2, upBilinear } from "../tensorflow/ops.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

const WIDTHS = [16, 32, 64, 128, 256], DROPOUT = [0.05, 0.1, 0.2, 0.3, 0.5], SLOPE = 0.01;
const LEVELS = WIDTHS.length;

const encoderBlock = (level: number) =>
  level === 0 ? "encoder.in_conv.conv_conv" : `encoder.down${level}.maxpool_conv.1.conv_conv`;
const decoderStage = (level: number) => `decoder.up${LEVELS - 1 - level}`;

/** Parameters of the U-Net without heads; 1,813,764 values for 4 classes. */
export function unetSpec(builder: SpecBuilder, { classes }: { classes: number }): SpecBuilder {
  const block = (name: string, inputs: number, width: number) => {
    builder.layer("conv", `${name}.0`, [width, inputs, 3, 3]).batchNorm(`${name}.1`, width);
    builder.layer("conv", `${name}.4`, [width, width, 3, 3]).batchNorm(`${name}.5`, width);
  };
  WIDTHS.forEach((width, level) => block(encoderBlock(level), level ? WIDTHS[level - 1] : 1, width));
  for (let level = LEVELS - 2; level >= 0; level--) {
    const width = WIDTHS[level], stage = decoderStage(level);
    builder.layer("conv", `${stage}.conv1x1`, [width, 2 * width, 1, 1]);
    block(`${stage}.conv.conv_conv`, 2 * width, width);
  }
  return builder.layer("conv", "decoder.out_conv", [classes, WIDTHS[0], 3, 3]);
}

/**
 * Forward pass.
 *
 * @param x `[B, H, W, 1]`
 * @returns Logits `[B, H, W, K]` and the features in front of the head `[B, H, W, 16]`.
 */
export function unet(pass: Pass, x: Tensor4D): { logits: Tensor4D; features: Tensor4D } {
  const { tf } = openTensorFlow();
  const layer = (x: Tensor4D, name: string, i: number) =>
    leakyRelu(pass.convolutionNorm(x, { convolution: `${name}.${i}`, norm: `${name}.${i + 1}` }), SLOPE);
  const skips: Tensor4D[] = [];
  WIDTHS.forEach((_, level) => {
    if (level) {
      skips.push(x);
      x = maxPool2(x); // half the size
    }
    const name = encoderBlock(level);
    x = layer(pass.dropout(layer(x, name, 0), DROPOUT[level]), name, 4);
  });
  for (let level = LEVELS - 2; level >= 0; level--) {
    const stage = decoderStage(level);
    const up = upBilinear(pass.convolution(x, `${stage}.conv1x1`)); // half the channels, twice the size
    x = tf.concat([skips.pop()!, up], 3);
    x = layer(layer(x, `${stage}.conv.conv_conv`, 0), `${stage}.conv.conv_conv`, 4);
  }
  return { logits: pass.convolution(x, "decoder.out_conv"), features: x };
}
