/**
 * URPC's network for slices (Luo et al., MedIA 2022; the public code's `UNet_URPC`): the U-Net with a head at each of the
 * four decoder levels, the coarser three behind a perturbation that only their heads see.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { masked, upNearest } from "../tensorflow/ops.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { Forward, NetworkOptions, Scope } from "./scope.ts";
import { unetDecoder, unetEncoder, unetHead } from "./unet.ts";

const FILTERS = 16, NOISE = 0.3, DROPOUT = 0.5;
/** Bounds of the share of the largest attention above which a region is removed. */
const STRONGEST = [0.7, 0.9];

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
 * The network, for `[B, H, W, C]`; 1,831,060 values for 1 channel and 4 classes. It gives the logits of the four heads, the finest first,
 * each resized to the input; the first is tested. The perturbations act where dropout is on. The parameters of a head on the
 * encoder's last level, `out_conv_dp4`, are there as in the public code; no output depends on them.
 */
export function urpcUnet(at: Scope, { channels, classes, filters = FILTERS }: NetworkOptions): Forward {
  const encoder = unetEncoder(at.in("encoder"), { channels, filters });
  const decoder = unetDecoder(at.in("decoder"), "linear", filters);
  const head = (level: number) =>
    unetHead(at.in("decoder"), level ? `out_conv_dp${level}` : "out_conv", { in: filters * 2 ** level, out: classes });
  const finest = head(0), [, ...coarser] = [4, 3, 2, 1].map(head);
  const heads = [finest, ...coarser.toReversed()];
  return (pass, x) => {
    const levels = decoder(pass, encoder(pass, x as Tensor4D));
    const perturbed = [
      levels[0],
      featureNoise(pass, levels[1]),
      featureDropout(pass, levels[2]),
      pass.dropout(levels[3], DROPOUT),
    ];
    const all = perturbed.map((features, level) => {
      const logits = heads[level](pass, features);
      return level ? upNearest(logits, 2 ** level) : logits;
    });
    return { logits: all[0], all };
  };
}
