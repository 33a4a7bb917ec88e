/** What differs between the datasets: patch, batch, classes and the published schedule. @module */
import type { NetworkName } from "../networks/network.ts";
import type { Shape3 } from "./augment.ts";

/** A dataset and its published protocol. */
export interface DatasetProfile {
  name: "la" | "acdc";
  classes: number;
  network: NetworkName;
  patch: Shape3;
  labeledPerBatch: number;
  unlabeledPerBatch: number;
  /** Published length of a training; every length below belongs to it and shrinks with a shorter one. */
  iterations: number;
  rate: number;
  rateEvery: number;
  consistency: { maximum: number; length: number };
  /** Stride of the sliding window. */
  stride: Shape3;
}

/** Left atrium, 3-D. */
export const LA: DatasetProfile = {
  name: "la",
  classes: 2,
  network: "vnet",
  patch: [112, 112, 80],
  labeledPerBatch: 2,
  unlabeledPerBatch: 2,
  iterations: 15000,
  rate: 0.01,
  rateEvery: 2500,
  consistency: { maximum: 1, length: 40 },
  stride: [18, 18, 4],
};
