/** The segmentation networks by name. A network is one file; it gives its parameters and its forward pass. @module */
import type { Tensor, Tensor4D, Tensor5D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";
import { unet, unetSpec } from "./unet.ts";
import { vnet, vnetSpec } from "./vnet.ts";

/** A segmentation network. */
export interface Network {
  /** Adds its parameters, in the order of the authors' `state_dict`. */
  spec(builder: SpecBuilder, options: { classes: number }): SpecBuilder;
  /** `[B, ..., 1]` to logits `[B, ..., K]` and the features in front of the head `[B, ..., 16]`. */
  forward(pass: Pass, x: Tensor): { logits: Tensor; features: Tensor };
}
/** V-Net for volumes, U-Net for slices. */
export type NetworkName = "vnet" | "unet";

/** For schemas, which want at least one. */
export const NETWORK_NAMES = ["vnet", "unet"] as const satisfies NetworkName[];
/** What a profile chooses from. */
export const NETWORKS: Record<NetworkName, Network> = {
  vnet: { spec: vnetSpec, forward: (pass, x) => vnet(pass, x as Tensor5D) },
  unet: { spec: unetSpec, forward: (pass, x) => unet(pass, x as Tensor4D) },
};
