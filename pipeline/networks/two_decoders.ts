/**
 * MC-Net's network (Wu et al., MICCAI 2021; the public code's v1): one encoder, two decoders that differ in how they
 * double the size. V-Net: transposed convolution, then interpolation; U-Net: interpolation, then transposed convolution.
 * @module
 */
import { type Backbone, BACKBONES } from "./backbones.ts";
import type { Forward, NetworkOptions, Scope } from "./scope.ts";

const FILTERS = 16;
const UPSAMPLING = { vnet: ["transposed", "linear"], unet: ["linear", "transposed"] } as const;

/**
 * MC-Net's network, for `[B, ..., C]`; of one channel 12,347,716 values for V-Net and 2 classes, 2,577,624 for U-Net and 4. It
 * gives the logits of both decoders; the first one is tested.
 *
 * @example Two predictions of a slice
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { stream } from "@ssnet/pipeline/arrays/random.ts";
 * import { Pass } from "@ssnet/pipeline/networks/layers.ts";
 * import { twoDecoders } from "@ssnet/pipeline/networks/two_decoders.ts";
 * import { initialize, toWeights } from "@ssnet/pipeline/networks/parameters.ts";
 * import { build } from "@ssnet/pipeline/networks/scope.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const { spec, forward } = build((at) => twoDecoders(at, { backbone: "unet", channels: 1, classes: 4 }));
 * const { weights, buffers } = toWeights(spec, initialize(spec, stream(1337, "weights")));
 * const { all } = forward(new Pass(weights, buffers, { training: false }), tf.zeros([1, 32, 32, 1]));
 * assert.deepEqual(all!.map(({ shape }) => shape), [[1, 32, 32, 4], [1, 32, 32, 4]]);
 * ```
 */
export function twoDecoders(
  at: Scope,
  { backbone, channels, classes, filters = FILTERS }: NetworkOptions & { backbone: Backbone },
): Forward {
  const parts = BACKBONES[backbone], encoder = parts.encoder(at.in("encoder"), { channels, filters });
  const decoders = UPSAMPLING[backbone].map((upsampling, i) => {
    const own = at.in(`decoder${i + 1}`), decoder = parts.decoder(own, upsampling, filters);
    return { decoder, head: parts.head(own, "out_conv", { in: filters, out: classes }) };
  });
  return (pass, x) => {
    const levels = encoder(pass, x), all = decoders.map(({ decoder, head }) => head(pass, decoder(pass, levels)));
    return { logits: all[0], all };
  };
}
