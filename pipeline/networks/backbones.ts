/** V-Net and U-Net in parts, under one form: what networks of both are built on. @module */
import type { Tensor, Tensor4D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { EncoderOptions, Layer, Scope, Upsampling, Width } from "./scope.ts";
import { unetDecoder, unetEncoder, unetHead } from "./unet.ts";
import { vnetDecoder, vnetEncoder, vnetHead } from "./vnet.ts";

/** What a network is built on: V-Net for volumes, U-Net for slices. */
export type Backbone = "vnet" | "unet";

/** The parts of a backbone; filters at the finest level 16 where none are given. */
export interface Parts {
  /** Gives the way from `[B, ..., C]` to five levels, the finest first. */
  encoder(at: Scope, options: EncoderOptions): (pass: Pass, x: Tensor) => Tensor[];
  /** Gives the way from these levels to the features in front of a head. */
  decoder(at: Scope, upsampling: Upsampling, filters?: number): (pass: Pass, levels: Tensor[]) => Tensor;
  /** Gives the way from features to logits. */
  head(at: Scope, name: string, width: Width): Layer<Tensor>;
}

/** The parts by the backbone's name. */
export const BACKBONES: Record<Backbone, Parts> = {
  vnet: {
    encoder: vnetEncoder as Parts["encoder"],
    decoder: vnetDecoder as Parts["decoder"],
    head: vnetHead as Parts["head"],
  },
  unet: {
    encoder: unetEncoder as Parts["encoder"],
    decoder(at, upsampling, filters) {
      const decoder = unetDecoder(at, upsampling, filters);
      return (pass, levels) => decoder(pass, levels as Tensor4D[])[0];
    },
    head: unetHead as Parts["head"],
  },
};
