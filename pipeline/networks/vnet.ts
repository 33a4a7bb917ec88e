/**
 * V-Net as SS-Net uses it on LA (Milletari et al. 2016, without residuals): 16 filters, batch norm, additive skips,
 * `Dropout3d(0.5)` after the fifth and the ninth block, 1x1x1 head. Sizes must be multiples of 16.
 * @module
 */
import { upTrilinear } from "../tensorflow/ops.ts";
import type { Tensor5D } from "../tensorflow/tensors.ts";
import type { DecoderOptions, Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

const FILTERS = 16;
const DROPOUT = 0.5;
/** Name, convolutions, and width in multiples of `FILTERS`. */
const ENCODER = [["one", 1, 1], ["two", 2, 2], ["three", 3, 4], ["four", 3, 8], ["five", 3, 16]] as const;
const DECODER = [["six", 3, 8], ["seven", 3, 4], ["eight", 2, 2], ["nine", 1, 1]] as const;

function blockSpec(builder: SpecBuilder, name: string, [count, inputs, width]: [number, number, number]) {
  for (let i = 0; i < count; i++) {
    builder.layer("conv", `${name}.conv.${3 * i}`, [width, i ? width : inputs, 3, 3, 3]);
    builder.batchNorm(`${name}.conv.${3 * i + 1}`, width);
  }
}

/** Parameters of the encoder. @param prefix As their names begin, with its dot. */
export function vnetEncoderSpec(builder: SpecBuilder, prefix: string): SpecBuilder {
  ENCODER.forEach(([name, count, multiple], i) => {
    const width = multiple * FILTERS;
    blockSpec(builder, `${prefix}block_${name}`, [count, i ? width : 1, width]);
    if (i === ENCODER.length - 1) return;
    builder.layer("conv", `${prefix}block_${name}_dw.conv.0`, [2 * width, width, 2, 2, 2]);
    builder.batchNorm(`${prefix}block_${name}_dw.conv.1`, 2 * width);
  });
  return builder;
}

/** Parameters of a decoder up to the features in front of its head. */
export function vnetDecoderSpec(builder: SpecBuilder, { prefix, upsampling }: DecoderOptions): SpecBuilder {
  let below = "five";
  for (const [name, count, multiple] of DECODER) {
    const width = multiple * FILTERS, up = `${prefix}block_${below}_up.conv`;
    if (upsampling === "transposed") {
      builder.layer("convT", `${up}.0`, [2 * width, width, 2, 2, 2]).batchNorm(`${up}.1`, width);
    } else {
      builder.layer("conv", `${up}.1`, [width, 2 * width, 3, 3, 3]).batchNorm(`${up}.2`, width);
    }
    blockSpec(builder, `${prefix}block_${name}`, [count, width, width]);
    below = name;
  }
  return builder;
}

/** A 1x1x1 head on the features of a decoder. */
export function vnetHeadSpec(builder: SpecBuilder, name: string, channels: number): SpecBuilder {
  return builder.layer("conv", name, [channels, FILTERS, 1, 1, 1]);
}

const MAIN: DecoderOptions = { prefix: "decoder.", upsampling: "transposed" };

/** Parameters of the V-Net without SS-Net's heads; 9,448,866 values for 2 classes. */
export function vnetSpec(builder: SpecBuilder, { classes }: { classes: number }): SpecBuilder {
  return vnetHeadSpec(vnetDecoderSpec(vnetEncoderSpec(builder, "encoder."), MAIN), "decoder.out_conv", classes);
}

/** A convolution and its batch norm stand one behind the other in the authors' sequences. */
const layers = (name: string, position = 0) => ({
  convolution: `${name}.${position}`,
  norm: `${name}.${position + 1}`,
});

/** @param from Convolutions that are done already. */
function block(
  pass: Pass,
  x: Tensor5D,
  { name, count, from = 0 }: { name: string; count: number; from?: number },
): Tensor5D {
  for (let i = from; i < count; i++) x = pass.convolutionNormRelu(x, layers(`${name}.conv`, 3 * i));
  return x;
}

/**
 * The encoder.
 * @param x `[B, X, Y, Z, 1]` @param prefix As the names of its parameters begin, with its dot.
 * @returns Five levels, the finest first, 16 to 256 channels, each half the size of the one before; the last after its
 * dropout, which all decoders share.
 */
export function vnetEncoder(pass: Pass, x: Tensor5D, prefix: string): Tensor5D[] {
  const levels: Tensor5D[] = [];
  for (const [name, count] of ENCODER) {
    x = block(pass, x, { name: `${prefix}block_${name}`, count });
    levels.push(x);
    if (name === "five") break;
    x = pass.convolutionNormRelu(x, layers(`${prefix}block_${name}_dw.conv`)); // half the size, twice the channels
  }
  return levels.with(-1, pass.channelDropout(x, DROPOUT));
}

/** A decoder. @param levels Of the encoder. @returns Features in front of the head `[B, X, Y, Z, 16]`, after their dropout. */
export function vnetDecoder(pass: Pass, levels: Tensor5D[], { prefix, upsampling }: DecoderOptions): Tensor5D {
  const skips = levels.slice(0, -1);
  let x = levels.at(-1)!, below = "five";
  for (const [name, count] of DECODER) {
    const up = `${prefix}block_${below}_up.conv`; // twice the size, half the channels
    x = upsampling === "transposed"
      ? pass.upConvolutionNormRelu(x, layers(up))
      : pass.convolutionNormRelu(upTrilinear(x, { factor: 2, alignedCorners: true }), layers(up, 1));
    const own = `${prefix}block_${name}`;
    x = pass.sumConvolutionNormRelu(x, skips.pop()!, layers(`${own}.conv`));
    x = block(pass, x, { name: own, count, from: 1 });
    below = name;
  }
  return pass.channelDropout(x, DROPOUT);
}

/**
 * Forward pass.
 *
 * @param x `[B, X, Y, Z, 1]`
 * @returns Logits `[B, X, Y, Z, K]` and the features in front of the head `[B, X, Y, Z, 16]`, after their dropout.
 */
export function vnet(pass: Pass, x: Tensor5D): { logits: Tensor5D; features: Tensor5D } {
  const features = vnetDecoder(pass, vnetEncoder(pass, x, "encoder."), MAIN);
  return { logits: pass.convolution(features, "decoder.out_conv"), features };
}
