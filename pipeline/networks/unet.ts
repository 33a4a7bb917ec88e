/**
 * U-Net as SS-Net uses it on ACDC (Ronneberger et al. 2015, with batch norm): 16 to 256 channels, LeakyReLU 0.01,
 * dropout between the two convolutions of each encoder block, bilinear upsampling with aligned corners, 3x3 head.
 * Sizes must be multiples of 16.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { leakyRelu, maxPool2, upBilinear } from "../tensorflow/ops.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import type { DecoderOptions, Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

const WIDTHS = [16, 32, 64, 128, 256], DROPOUT = [0.05, 0.1, 0.2, 0.3, 0.5], SLOPE = 0.01;
const LEVELS = WIDTHS.length;

const encoderBlock = (level: number) =>
  level === 0 ? "encoder.in_conv.conv_conv" : `encoder.down${level}.maxpool_conv.1.conv_conv`;
const decoderStage = (prefix: string, level: number) => `${prefix}up${LEVELS - 1 - level}`;

function blockSpec(builder: SpecBuilder, name: string, [inputs, width]: [number, number]) {
  builder.layer("conv", `${name}.0`, [width, inputs, 3, 3]).batchNorm(`${name}.1`, width);
  builder.layer("conv", `${name}.4`, [width, width, 3, 3]).batchNorm(`${name}.5`, width);
}

/** Parameters of the encoder; their names begin with `encoder.`. */
export function unetEncoderSpec(builder: SpecBuilder): SpecBuilder {
  WIDTHS.forEach((width, level) => blockSpec(builder, encoderBlock(level), [level ? WIDTHS[level - 1] : 1, width]));
  return builder;
}

/** Parameters of a decoder up to the features in front of its head. */
export function unetDecoderSpec(builder: SpecBuilder, { prefix, upsampling }: DecoderOptions): SpecBuilder {
  for (let level = LEVELS - 2; level >= 0; level--) {
    const width = WIDTHS[level], stage = decoderStage(prefix, level);
    if (upsampling === "transposed") builder.layer("convT", `${stage}.up`, [2 * width, width, 2, 2]);
    else builder.layer("conv", `${stage}.conv1x1`, [width, 2 * width, 1, 1]);
    blockSpec(builder, `${stage}.conv.conv_conv`, [2 * width, width]);
  }
  return builder;
}

/** A 3x3 head. @param level Of the features that it reads: 0 the finest, 4 the coarsest. */
export function unetHeadSpec(
  builder: SpecBuilder,
  name: string,
  { channels, level = 0 }: { channels: number; level?: number },
): SpecBuilder {
  return builder.layer("conv", name, [channels, WIDTHS[level], 3, 3]);
}

const MAIN: DecoderOptions = { prefix: "decoder.", upsampling: "linear" };

/** Parameters of the U-Net without SS-Net's heads; 1,813,764 values for 4 classes. */
export function unetSpec(builder: SpecBuilder, { classes }: { classes: number }): SpecBuilder {
  return unetHeadSpec(unetDecoderSpec(unetEncoderSpec(builder), MAIN), "decoder.out_conv", { channels: classes });
}

function layer(pass: Pass, x: Tensor4D, { name, position }: { name: string; position: number }): Tensor4D {
  const names = { convolution: `${name}.${position}`, norm: `${name}.${position + 1}` };
  return leakyRelu(pass.convolutionNorm(x, names), SLOPE);
}

/** The encoder. @param x `[B, H, W, 1]` @returns Five levels, the finest first, 16 to 256 channels, each half the size of the one before. */
export function unetEncoder(pass: Pass, x: Tensor4D): Tensor4D[] {
  return WIDTHS.reduce<Tensor4D[]>((levels, _, level) => {
    const name = encoderBlock(level), input = level ? maxPool2(levels[level - 1]) : x;
    const first = pass.dropout(layer(pass, input, { name, position: 0 }), DROPOUT[level]);
    return [...levels, layer(pass, first, { name, position: 4 })];
  }, []);
}

/** A decoder. @param levels Of the encoder. @returns Four levels, the finest first, 16 to 128 channels. */
export function unetDecoder(pass: Pass, levels: Tensor4D[], { prefix, upsampling }: DecoderOptions): Tensor4D[] {
  const decoded: Tensor4D[] = [];
  let x = levels.at(-1)!;
  for (let level = LEVELS - 2; level >= 0; level--) {
    const stage = decoderStage(prefix, level), name = `${stage}.conv.conv_conv`;
    const up = upsampling === "transposed" // half the channels, twice the size
      ? pass.upConvolution(x, `${stage}.up`)
      : upBilinear(pass.convolution(x, `${stage}.conv1x1`));
    x = layer(pass, tf.concat([levels[level], up], 3), { name, position: 0 });
    x = layer(pass, x, { name, position: 4 });
    decoded.unshift(x);
  }
  return decoded;
}

/**
 * Forward pass.
 *
 * @param x `[B, H, W, 1]`
 * @returns Logits `[B, H, W, K]` and the features in front of the head `[B, H, W, 16]`.
 */
export function unet(pass: Pass, x: Tensor4D): { logits: Tensor4D; features: Tensor4D } {
  const [features] = unetDecoder(pass, unetEncoder(pass, x), MAIN);
  return { logits: pass.convolution(features, "decoder.out_conv"), features };
}
