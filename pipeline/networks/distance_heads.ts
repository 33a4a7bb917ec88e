/**
 * The network with two heads of SASSNet (Li et al., MICCAI 2020) and DTC (Luo et al., AAAI 2021): on the features of
 * V-Net or U-Net one head for signed distances, one for the segmentation.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { type Backbone, BACKBONES } from "./backbones.ts";
import type { Forward, NetworkOptions, Scope } from "./scope.ts";

const FILTERS = 16;

/**
 * The network with both heads, for `[B, ..., C]`: of one channel 9,448,866 values for V-Net and 2 classes, 1,814,199 for U-Net
 * and 4. It gives signed distances of the foreground classes in -1..1, behind the tanh, and logits. The public V-Net gives its parts
 * no prefix, and of two classes a single logit z, a sigmoid's, which is that of a softmax of 0 and z.
 */
export function distanceHeads(
  at: Scope,
  { backbone, channels, classes, filters = FILTERS }: NetworkOptions & { backbone: Backbone },
): Forward {
  const parts = BACKBONES[backbone], isVnet = backbone === "vnet", isSigmoid = isVnet && classes === 2;
  const [encoding, decoding] = isVnet ? [at, at] : [at.in("encoder"), at.in("decoder")];
  const encoder = parts.encoder(encoding, { channels, filters });
  const decoder = parts.decoder(decoding, isVnet ? "transposed" : "linear", filters);
  const distances = parts.head(decoding, "out_conv", { in: filters, out: classes - 1 });
  const segmentation = parts.head(decoding, "out_conv2", { in: filters, out: isSigmoid ? 1 : classes });
  return (pass, x) => {
    const features = decoder(pass, encoder(pass, x));
    const distance = tf.tanh(distances(pass, features)), logits = segmentation(pass, features);
    return { logits: isSigmoid ? tf.concat([tf.zerosLike(logits), logits], -1) : logits, distance };
  };
}
