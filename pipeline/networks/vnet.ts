/**
 * V-Net as SS-Net uses it on LA (Milletari et al. 2016, without residuals): 16 filters, batch norm, additive skips,
 * `Dropout3d(0.5)` after the fifth and the ninth block, 1x1x1 head. Sizes must be multiples of 16.
 * @module
 */
import { upTrilinear } from "../tensorflow/ops.ts";
import type { Tensor5D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type {
  EncoderOptions,
  Forward,
  Layer,
  LayerAndNorm,
  NetworkOptions,
  Scope,
  Upsampling,
  Width,
} from "./scope.ts";

const FILTERS = 16, DROPOUT = 0.5;
/** Name and convolutions of the blocks; every level has twice the filters of the one above. */
const ENCODER = [["one", 1], ["two", 2], ["three", 3], ["four", 3], ["five", 3]] as const;
const DECODER = [["six", 3], ["seven", 3], ["eight", 2], ["nine", 1]] as const;

/** Names of a convolution and its batch norm, which stand one behind the other in the authors' sequences. */
const names = (i: number): LayerAndNorm => [`conv.${3 * i}`, `conv.${3 * i + 1}`];

/** Convolutions with batch norm and ReLU. @param options `from`: how many of the block's are built already. */
function block(
  at: Scope,
  { count, in: inputs, out, from = 0 }: Width & { count: number; from?: number },
): Layer<Tensor5D> {
  const layers = Array.from({ length: count - from }, (_, k) => {
    const i = from + k;
    return at.convNormRelu<Tensor5D>(names(i), { kernel: [3, 3, 3], in: i ? out : inputs, out });
  });
  return (pass, x) => layers.reduce((x, layer) => layer(pass, x), x);
}

/**
 * The encoder, from `[B, X, Y, Z, C]` to five levels, the finest first, 16 to 256 channels, each half the size of the one
 * before; the last after its dropout, which all decoders share.
 */
export function vnetEncoder(
  at: Scope,
  { channels, filters = FILTERS }: EncoderOptions,
): (pass: Pass, x: Tensor5D) => Tensor5D[] {
  const stages = ENCODER.map(([name, count], level) => {
    const width = filters * 2 ** level, isLast = level === ENCODER.length - 1;
    return {
      block: block(at.in(`block_${name}`), { count, in: level ? width : channels, out: width }),
      down: isLast ? null : at.in(`block_${name}_dw`).convNormRelu<Tensor5D>(["conv.0", "conv.1"], {
        kernel: [2, 2, 2],
        in: width,
        out: 2 * width,
      }),
    };
  });
  return (pass, x) => {
    const levels: Tensor5D[] = [];
    for (const { block, down } of stages) {
      x = block(pass, x);
      levels.push(x);
      if (down) x = down(pass, x); // half the size, twice the channels
    }
    return levels.with(-1, pass.channelDropout(x, DROPOUT));
  };
}

/** Twice the size, half the channels, batch norm and ReLU. */
function doubling(at: Scope, upsampling: Upsampling, width: Width): Layer<Tensor5D> {
  if (upsampling === "transposed") return at.upConvNormRelu(["conv.0", "conv.1"], { kernel: [2, 2, 2], ...width });
  const convolution = at.convNormRelu<Tensor5D>(["conv.1", "conv.2"], { kernel: [3, 3, 3], ...width });
  return (pass, x) => convolution(pass, upTrilinear(x, { factor: 2, alignedCorners: true }));
}

/** A decoder, from the encoder's levels to the features in front of its head `[B, X, Y, Z, 16]`, after their dropout. */
export function vnetDecoder(
  at: Scope,
  upsampling: Upsampling,
  filters = FILTERS,
): (pass: Pass, levels: Tensor5D[]) => Tensor5D {
  const below = ["five", "six", "seven", "eight"];
  const stages = DECODER.map(([name, count], i) => {
    const width = filters * 2 ** (DECODER.length - 1 - i);
    return {
      up: doubling(at.in(`block_${below[i]}_up`), upsampling, { in: 2 * width, out: width }),
      join: at.in(`block_${name}`).sumConvNormRelu(names(0), { kernel: [3, 3, 3], in: width, out: width }),
      block: block(at.in(`block_${name}`), { count, in: width, out: width, from: 1 }),
    };
  });
  return (pass, levels) => {
    const skips = levels.slice(0, -1);
    let x = levels.at(-1)!;
    for (const { up, join, block } of stages) x = block(pass, join(pass, up(pass, x), skips.pop()!));
    return pass.channelDropout(x, DROPOUT);
  };
}

/** A 1x1x1 head on the features of a decoder. */
export function vnetHead(at: Scope, name: string, width: Width): Layer<Tensor5D> {
  return at.conv(name, { kernel: [1, 1, 1], ...width });
}

/** The V-Net without SS-Net's heads, for `[B, X, Y, Z, C]`; 9,448,866 values for 1 channel and 2 classes. */
export function vnet(at: Scope, { channels, classes, filters = FILTERS }: NetworkOptions): Forward {
  const encoder = vnetEncoder(at.in("encoder"), { channels, filters }),
    decoder = vnetDecoder(at.in("decoder"), "transposed", filters);
  const head = vnetHead(at.in("decoder"), "out_conv", { in: filters, out: classes });
  const forward: Forward = (pass, x) => {
    const features = decoder(pass, encoder(pass, x as Tensor5D));
    return { logits: head(pass, features), features };
  };
  return Object.assign(forward, { featureWidth: filters });
}
