/**
 * V-Net as SS-Net uses it on LA (Milletari et al. 2016, without residuals): 16 filters, batch norm, additive skips,
 * `Dropout3d(0.5)` after the fifth and the ninth block, 1x1x1 head. Sizes must be multiples of 16.
 * @module
 */
import { relu } from "../tensorflow/ops.ts";
import type { Tensor5D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

const FILTERS = 16;
const DROPOUT = 0.5;
/** Name, convolutions, and width in multiples of `FILTERS`. */
const ENCODER = [["one", 1, 1], ["two", 2, 2], ["three", 3, 4], ["four", 3, 8], ["five", 3, 16]] as const;
const DECODER = [["six", 3, 8], ["seven", 3, 4], ["eight", 2, 2], ["nine", 1, 1]] as const;

/** Parameters of the V-Net without heads; 9,448,866 values for 2 classes. */
export function vnetSpec(builder: SpecBuilder, { classes }: { classes: number }): SpecBuilder {
  const block = (name: string, count: number, inputs: number, width: number) => {
    for (let i = 0; i < count; i++) {
      builder.layer("conv", `${name}.conv.${3 * i}`, [width, i ? width : inputs, 3, 3, 3]);
      builder.batchNorm(`${name}.conv.${3 * i + 1}`, width);
    }
  };
  ENCODER.forEach(([name, count, multiple], i) => {
    const width = multiple * FILTERS;
    block(`encoder.block_${name}`, count, i ? width : 1, width);
    if (i === ENCODER.length - 1) return;
    builder.layer("conv", `encoder.block_${name}_dw.conv.0`, [2 * width, width, 2, 2, 2]);
    builder.batchNorm(`encoder.block_${name}_dw.conv.1`, 2 * width);
  });
  let below = "five";
  for (const [name, count, multiple] of DECODER) {
    const width = multiple * FILTERS;
    builder.layer("convT", `decoder.block_${below}_up.conv.0`, [2 * width, width, 2, 2, 2]);
    builder.batchNorm(`decoder.block_${below}_up.conv.1`, width);
    block(`decoder.block_${name}`, count, width, width);
    below = name;
  }
  return builder.layer("conv", "decoder.out_conv", [classes, FILTERS, 1, 1, 1]);
}

/** A convolution and its batch norm stand one behind the other in the authors' sequences. */
const layers = (name: string, position = 0) => ({
  convolution: `${name}.${position}`,
  norm: `${name}.${position + 1}`,
});

/**
 * Forward pass.
 *
 * @param x `[B, X, Y, Z, 1]`
 * @returns Logits `[B, X, Y, Z, K]` and the features in front of the head `[B, X, Y, Z, 16]`, after their dropout.
 */
export function vnet(pass: Pass, x: Tensor5D): { logits: Tensor5D; features: Tensor5D } {
  const block = (x: Tensor5D, name: string, count: number) => {
    for (let i = 0; i < count; i++) {
      x = relu(pass.convolutionNorm(x, layers(`${name}.conv`, 3 * i)));
    }
    return x;
  };
  const skips: Tensor5D[] = [];
  for (const [name, count] of ENCODER) {
    x = block(x, `encoder.block_${name}`, count);
    if (name === "five") break;
    skips.push(x);
    x = relu(pass.convolutionNorm(x, layers(`encoder.block_${name}_dw.conv`))); // half the size, twice the channels
  }
  x = pass.channelDropout(x, DROPOUT);
  let below = "five";
  for (const [name, count] of DECODER) {
    x = relu(pass.upConvolutionNorm(x, layers(`decoder.block_${below}_up.conv`))); // twice the size, half the channels
    x = block(x.add(skips.pop()!), `decoder.block_${name}`, count);
    below = name;
  }
  const features = pass.channelDropout(x, DROPOUT);
  return { logits: pass.convolution(features, "decoder.out_conv"), features };
}
