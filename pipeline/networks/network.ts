/** The segmentation networks by name: a researcher adds one by adding its file and a line here. @module */
import type { Norm } from "../tensorflow/norms.ts";
import { distanceHeads } from "./distance_heads.ts";
import { twoDecoders } from "./two_decoders.ts";
import { build, type Built, type Forward, type NetworkOptions, type Scope } from "./scope.ts";
import { unet } from "./unet.ts";
import { urpcUnet } from "./urpc_unet.ts";
import { urpcUnet3d } from "./urpc_unet3d.ts";
import { vnet } from "./vnet.ts";

/** A network, unbuilt. */
export type Network = (at: Scope, options: NetworkOptions) => Forward;

const vnetDistance: Network = (at, options) => distanceHeads(at, { backbone: "vnet", ...options });
const unetDistance: Network = (at, options) => distanceHeads(at, { backbone: "unet", ...options });
const vnetMutual: Network = (at, options) => twoDecoders(at, { backbone: "vnet", ...options });
const unetMutual: Network = (at, options) => twoDecoders(at, { backbone: "unet", ...options });

/** The networks by name, from which a profile chooses. */
export const NETWORKS = {
  vnet,
  unet,
  vnet_distance: vnetDistance,
  unet_distance: unetDistance,
  vnet_mutual: vnetMutual,
  unet_mutual: unetMutual,
  unet3d_pyramid: urpcUnet3d,
  unet_pyramid: urpcUnet,
} as const satisfies Record<string, Network>;
/** A network's name, as a profile has it. */
export type NetworkName = keyof typeof NETWORKS;
/** The names, for schemas, which want at least one. */
export const NETWORK_NAMES = Object.keys(NETWORKS) as [NetworkName, ...NetworkName[]];

/**
 * A network by its name, with its parameters.
 * @param options `norm`: behind its convolutions; "batch", as published, where it is absent.
 * @throws {RangeError} For another norm of a network that was published with one of its own.
 */
export function buildNetwork(
  name: NetworkName,
  { norm, ...options }: NetworkOptions & { norm?: Norm },
): Built<Forward> {
  return build((at) => NETWORKS[name](at, options), norm);
}
