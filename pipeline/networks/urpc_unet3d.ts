/**
 * URPC's network for volumes (Luo et al., MedIA 2022; the public code's `unet_3D_dv_semi`): 3-D U-Net of 16 to 256
 * channels with instance norm, trilinear upsampling, dropout of channels along the decoder and a head at each of its four
 * levels. Sizes must be multiples of 16.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { maxPool2, relu, upTrilinear } from "../tensorflow/ops.ts";
import type { Tensor, Tensor5D } from "../tensorflow/tensors.ts";
import type { Forward, Layer, NetworkOptions, Scope, Width } from "./scope.ts";

const FILTERS = 16;
/** The dropout by decoder level, the finest first. */
const DROPOUT = [0.1, 0.2, 0.3, 0.5];
/** The encoder's names by level, the finest first; every level has twice the filters of the one above. */
const ENCODER = ["conv1", "conv2", "conv3", "conv4", "center"];
/** The decoder's levels from the coarsest to the finest, as they run and as their parameters stand. */
const DECODER = [3, 2, 1, 0];
const KERNEL = { kernel: [3, 3, 3], normal: true };

/** Two convolutions with instance norm and ReLU. */
function block(at: Scope, { in: inputs, out }: Width): Layer<Tensor5D> {
  const first = at.convInstanceNorm<Tensor5D>("conv1.0", { ...KERNEL, in: inputs, out });
  const second = at.convInstanceNorm<Tensor5D>("conv2.0", { ...KERNEL, in: out, out });
  return (pass, x) => relu(second(pass, relu(first(pass, x))));
}

/**
 * The network, for `[B, X, Y, Z, C]`; 5,884,504 values for 1 channel and 2 classes, convolutions initialized as "conv_normal". It gives
 * the logits of the four heads, the finest first, each interpolated to the input; the first is tested. There are no running
 * statistics.
 * @throws {RangeError} For another norm than "batch", which stands for what is published: it has one of its own.
 */
export function urpcUnet3d(at: Scope, { channels, classes, filters = FILTERS }: NetworkOptions): Forward {
  if (at.norm !== "batch") {
    throw new RangeError(
      `Cannot build URPC's network for volumes with ${at.norm} norm: it has an instance norm of its own`,
    );
  }
  const width = (level: number) => filters * 2 ** level;
  const encoder = ENCODER.map((name, level) =>
    block(at.in(name), { in: level ? width(level - 1) : channels, out: width(level) })
  );
  const decoder = DECODER.map((level) =>
    block(at.in(`up_concat${level + 1}.conv`), { in: width(level) + width(level + 1), out: width(level) })
  );
  const heads = DECODER.map((level) =>
    at.conv<Tensor5D>(level ? `dsv${level + 1}.dsv.0` : "dsv1", {
      kernel: [1, 1, 1],
      normal: true,
      in: width(level),
      out: classes,
    })
  );
  const up = (x: Tensor5D, factor: number) => upTrilinear(x, { factor, alignedCorners: false });
  return (pass, image) => {
    const levels: Tensor5D[] = [];
    let x = image as Tensor5D;
    for (const block of encoder) {
      x = block(pass, levels.length ? maxPool2(x) : x); // half the size, twice the channels
      levels.push(x);
    }
    const all: Tensor[] = [];
    DECODER.forEach((level, i) => {
      x = decoder[i](pass, tf.concat([levels[level], up(x, 2)], 4));
      x = pass.channelDropout(x, DROPOUT[level]);
      const own = heads[i](pass, x);
      all.unshift(level ? up(own, 2 ** level) : own);
    });
    return { logits: all[0], all };
  };
}
