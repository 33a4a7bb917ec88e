/**
 * The network with two heads of SASSNet (Li et al., MICCAI 2020) and DTC (Luo et al., AAAI 2021): on the features of
 * V-Net or U-Net one head for signed distances, one for the segmentation.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { Tensor, Tensor4D, Tensor5D } from "../tensorflow/tensors.ts";
import type { DecoderOptions, Pass } from "./layers.ts";
import type { Backbone } from "./network.ts";
import type { SpecBuilder } from "./parameters.ts";
import { unetDecoder, unetDecoderSpec, unetEncoder, unetEncoderSpec, unetHeadSpec } from "./unet.ts";
import { vnetDecoder, vnetDecoderSpec, vnetEncoder, vnetEncoderSpec, vnetHeadSpec } from "./vnet.ts";

/** The public V-Net of these methods gives its parts no prefix. */
const DECODERS: Record<Backbone, DecoderOptions> = {
  vnet: { prefix: "", upsampling: "transposed" },
  unet: { prefix: "decoder.", upsampling: "linear" },
};

/**
 * Parameters of the network with both heads: 9,448,866 values for V-Net and 2 classes, 1,814,199 for U-Net and 4. The
 * distances are those of the foreground classes, `classes - 1` channels.
 */
export function distanceHeadsSpec(
  builder: SpecBuilder,
  { network, classes }: { network: Backbone; classes: number },
): SpecBuilder {
  const decoder = DECODERS[network],
    [distance, segmentation] = ["out_conv", "out_conv2"].map((name) => decoder.prefix + name);
  if (network === "vnet") {
    vnetDecoderSpec(vnetEncoderSpec(builder, decoder.prefix), decoder);
    return vnetHeadSpec(vnetHeadSpec(builder, distance, classes - 1), segmentation, classes === 2 ? 1 : classes);
  }
  unetDecoderSpec(unetEncoderSpec(builder), decoder);
  unetHeadSpec(builder, distance, { channels: classes - 1 });
  return unetHeadSpec(builder, segmentation, { channels: classes });
}

/** What the two heads give. */
export interface DistanceHeads {
  /** Signed distances of the foreground classes in -1..1, behind the tanh `[B, ..., K - 1]`. */
  distance: Tensor;
  /** V-Net of two classes: of a sigmoid `[B, X, Y, Z, 1]`; else of a softmax `[B, ..., K]`. Tested is this one. */
  logits: Tensor;
}

/** Forward pass. @param x `[B, X, Y, Z, 1]` for V-Net or `[B, H, W, 1]` for U-Net. */
export function distanceHeads(pass: Pass, x: Tensor): DistanceHeads {
  const decoder = DECODERS[x.rank === 5 ? "vnet" : "unet"];
  const features: Tensor = x.rank === 5
    ? vnetDecoder(pass, vnetEncoder(pass, x as Tensor5D, decoder.prefix), decoder)
    : unetDecoder(pass, unetEncoder(pass, x as Tensor4D), decoder)[0];
  return {
    distance: tf.tanh(pass.convolution(features, `${decoder.prefix}out_conv`)),
    logits: pass.convolution(features, `${decoder.prefix}out_conv2`),
  };
}
