/** The segmentation networks by name. A network is one file; it gives its parameters and its forward pass. @module */
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Tensor, Tensor4D, Tensor5D } from "../tensorflow/tensors.ts";
import { distanceHeads, distanceHeadsSpec } from "./distance_heads.ts";
import type { Pass } from "./layers.ts";
import { mcnet, mcnetSpec } from "./mcnet.ts";
import type { SpecBuilder } from "./parameters.ts";
import { unet, unetSpec } from "./unet.ts";
import { urpcUnet, urpcUnetSpec } from "./urpc_unet.ts";
import { urpcUnet3d, urpcUnet3dSpec } from "./urpc_unet3d.ts";
import { vnet, vnetSpec } from "./vnet.ts";

/** What a forward pass gives; what nobody reads TensorFlow does not compute. */
export interface NetworkOutputs {
  /** What is tested `[B, ..., K]`. */
  logits: Tensor;
  /** Features in front of the head `[B, ..., 16]`, of "vnet" and "unet". */
  features?: Tensor;
  /** Signed distances of the foreground classes `[B, ..., K - 1]`, of a network with a head for them. */
  distance?: Tensor;
  /** All segmentations, the tested one first, of a network with several: MC-Net's decoders, URPC's scales. */
  all?: Tensor[];
}

/** A segmentation network. */
export interface Network {
  /** Adds its parameters, in the order of the authors' `state_dict`. */
  spec(builder: SpecBuilder, options: { classes: number }): SpecBuilder;
  /** Runs the network on a batch `[B, ..., 1]`. */
  forward(pass: Pass, x: Tensor): NetworkOutputs;
}

/** What a network is built on: V-Net for volumes, U-Net for slices. */
export type Backbone = "vnet" | "unet";
/** Names of the networks, from which a profile chooses. */
export const NETWORK_NAMES = [
  "vnet",
  "unet",
  "vnet_distance",
  "unet_distance",
  "vnet_mutual",
  "unet_mutual",
  "unet3d_pyramid",
  "unet_pyramid",
] as const;
/** One of {@linkcode NETWORK_NAMES}. */
export type NetworkName = typeof NETWORK_NAMES[number];

function withDistance(network: Backbone): Network {
  return {
    spec: (builder, { classes }) => distanceHeadsSpec(builder, { network, classes }),
    forward(pass, x) {
      const { tf } = openTensorFlow(), { logits, distance } = distanceHeads(pass, x);
      // The single logit z of a sigmoid is that of a softmax of 0 and z.
      const isSigmoid = logits.shape.at(-1) === 1;
      return { logits: isSigmoid ? tf.concat([tf.zerosLike(logits), logits], -1) : logits, distance };
    },
  };
}

function withSecondDecoder(network: Backbone): Network {
  return {
    spec: (builder, { classes }) => mcnetSpec(builder, { network, classes }),
    forward(pass, x) {
      const all = mcnet(pass, x);
      return { logits: all[0], all };
    },
  };
}

function withScales(spec: Network["spec"], scales: (pass: Pass, x: Tensor) => Tensor[]): Network {
  return {
    spec,
    forward(pass, x) {
      const all = scales(pass, x);
      return { logits: all[0], all };
    },
  };
}

/** The networks of all methods. */
export const NETWORKS: Record<NetworkName, Network> = {
  vnet: { spec: vnetSpec, forward: (pass, x) => vnet(pass, x as Tensor5D) },
  unet: { spec: unetSpec, forward: (pass, x) => unet(pass, x as Tensor4D) },
  vnet_distance: withDistance("vnet"),
  unet_distance: withDistance("unet"),
  vnet_mutual: withSecondDecoder("vnet"),
  unet_mutual: withSecondDecoder("unet"),
  unet3d_pyramid: withScales(urpcUnet3dSpec, (pass, x) => urpcUnet3d(pass, x as Tensor5D)),
  unet_pyramid: withScales(urpcUnetSpec, (pass, x) => urpcUnet(pass, x as Tensor4D)),
};
