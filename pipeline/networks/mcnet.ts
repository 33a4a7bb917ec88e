/**
 * MC-Net's network (Wu et al., MICCAI 2021; the public code's v1): one encoder, two decoders that differ in how they
 * double the size. V-Net: transposed convolution, then interpolation; U-Net: interpolation, then transposed convolution.
 * @module
 */
import type { Tensor, Tensor4D, Tensor5D } from "../tensorflow/tensors.ts";
import type { DecoderOptions, Pass } from "./layers.ts";
import type { Backbone } from "./network.ts";
import type { SpecBuilder } from "./parameters.ts";
import { unetDecoder, unetDecoderSpec, unetEncoder, unetEncoderSpec, unetHeadSpec } from "./unet.ts";
import { vnetDecoder, vnetDecoderSpec, vnetEncoder, vnetEncoderSpec, vnetHeadSpec } from "./vnet.ts";

const DECODERS: Record<Backbone, DecoderOptions[]> = {
  vnet: [{ prefix: "decoder1.", upsampling: "transposed" }, { prefix: "decoder2.", upsampling: "linear" }],
  unet: [{ prefix: "decoder1.", upsampling: "linear" }, { prefix: "decoder2.", upsampling: "transposed" }],
};

/** Parameters of MC-Net; 12,347,716 values for V-Net and 2 classes, 2,577,624 for U-Net and 4. */
export function mcnetSpec(
  builder: SpecBuilder,
  { network, classes }: { network: Backbone; classes: number },
): SpecBuilder {
  network === "vnet" ? vnetEncoderSpec(builder, "encoder.") : unetEncoderSpec(builder);
  for (const decoder of DECODERS[network]) {
    const head = `${decoder.prefix}out_conv`;
    if (network === "vnet") vnetHeadSpec(vnetDecoderSpec(builder, decoder), head, classes);
    else unetHeadSpec(unetDecoderSpec(builder, decoder), head, { channels: classes });
  }
  return builder;
}

/**
 * Forward pass.
 * @param x `[B, X, Y, Z, 1]` for V-Net or `[B, H, W, 1]` for U-Net.
 * @returns Logits of the two decoders `[B, ..., K]`; the first decoder is the one that is tested.
 *
 * @example Two predictions of a slice
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { stream } from "@ssnet/pipeline/arrays/random.ts";
 * import { Pass } from "@ssnet/pipeline/networks/layers.ts";
 * import { mcnet, mcnetSpec } from "@ssnet/pipeline/networks/mcnet.ts";
 * import { initialize, SpecBuilder, toWeights } from "@ssnet/pipeline/networks/parameters.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const spec = mcnetSpec(new SpecBuilder(), { network: "unet", classes: 4 });
 * const { weights, buffers } = toWeights(spec, initialize(spec, stream(1337, "weights")));
 * const [first, second] = mcnet(new Pass(weights, buffers, { training: false }), tf.zeros([1, 32, 32, 1]));
 * assert.deepEqual([first.shape, second.shape], [[1, 32, 32, 4], [1, 32, 32, 4]]);
 * ```
 */
export function mcnet(pass: Pass, x: Tensor): [Tensor, Tensor] {
  let features: (decoder: DecoderOptions) => Tensor;
  if (x.rank === 5) {
    const levels = vnetEncoder(pass, x as Tensor5D, "encoder.");
    features = (decoder) => vnetDecoder(pass, levels, decoder);
  } else {
    const levels = unetEncoder(pass, x as Tensor4D);
    features = (decoder) => unetDecoder(pass, levels, decoder)[0];
  }
  const logits = DECODERS[x.rank === 5 ? "vnet" : "unet"].map((decoder) =>
    pass.convolution(features(decoder), `${decoder.prefix}out_conv`)
  );
  return [logits[0], logits[1]];
}
