/** What differs between the datasets: network, patch, batch, classes and the published schedule. @module */
import type { NetworkName } from "../networks/network.ts";
import type { Precision } from "../tensorflow/trace.ts";
import type { Shape3 } from "./augment.ts";

/** Everything that a preset of a training changes. */
export interface Preset {
  /** Of the whole training, the warm-up included. */
  iterations: number;
  /** Of the convolutions. */
  precision: Precision;
  /** First iterations on the labeled half alone. */
  warmup: number;
  /** "step": the published rate; "flat": constant, a tenth in the last sixth. */
  rateSchedule: "step" | "flat";
}

/** A dataset and its published protocol. */
export interface DatasetProfile {
  /** In tasks, split files, run folders; methods look up by it what the authors' code does differently. */
  name: "la" | "acdc";
  /** Background included. */
  classes: number;
  /** Of the classes from 1 on, as results print them. */
  classNames: readonly string[];
  /** V-Net for volumes, U-Net for slices. */
  network: NetworkName;
  /** Voxels of a network input along every axis. */
  patch: readonly number[];
  /** First rows of a batch. */
  labeledPerBatch: number;
  /** Rows behind them, for a method that takes any. */
  unlabeledPerBatch: number;
  /** Published length of a training; every length below belongs to it and shrinks with a shorter one. */
  iterations: number;
  /** Learning rate, a tenth of it after every so many iterations (Infinity: constant). */
  rate: { base: number; every: number };
  /** Weight of the unsupervised terms: its maximum, the length of its ramp in steps, and the number of the first iteration. */
  consistency: { maximum: number; length: number; countsFrom: 0 | 1 };
  /** Published stride of the sliding window; null where there is none. */
  stride: readonly number[] | null;
  /** Whether only the largest component of a prediction is kept. */
  largestComponent: boolean;
  /** Which one is tested: the best of the validation cases as published, or the last where the authors chose by the test cases. */
  checkpoint: "best" | "last";
  /** "paper": the published training; "fast": a short one, on the labeled half alone at first. */
  presets: { paper: Preset; fast: Preset };
}

/** Left atrium, 3-D. */
export const LA = {
  name: "la",
  classes: 2,
  classNames: ["left atrium"],
  network: "vnet",
  patch: [112, 112, 80] as Shape3,
  stride: [18, 18, 4],
  labeledPerBatch: 2,
  unlabeledPerBatch: 2,
  iterations: 15000,
  rate: { base: 0.01, every: 2500 },
  consistency: { maximum: 1, length: 40, countsFrom: 1 },
  largestComponent: true,
  checkpoint: "last",
  presets: {
    paper: { iterations: 15000, precision: "fp32", warmup: 0, rateSchedule: "step" },
    fast: { iterations: 650, precision: "bf16", warmup: 500, rateSchedule: "flat" },
  },
} as const satisfies DatasetProfile;

/** Cardiac cine MRI, 2-D: trained on slices, validated and tested on volumes `[Z, Y, X]`. */
export const ACDC = {
  name: "acdc",
  classNames: ["right ventricle", "myocardium", "left ventricle"],
  classes: 4,
  network: "unet",
  patch: [256, 256],
  stride: null,
  labeledPerBatch: 12,
  unlabeledPerBatch: 12,
  iterations: 30000,
  rate: { base: 0.01, every: Infinity },
  consistency: { maximum: 0.1, length: 200, countsFrom: 0 },
  largestComponent: false,
  checkpoint: "best",
  presets: {
    paper: { iterations: 30000, precision: "fp32", warmup: 0, rateSchedule: "step" },
    fast: { iterations: 900, precision: "bf16", warmup: 600, rateSchedule: "flat" },
  },
} as const satisfies DatasetProfile;

/** The datasets by name. */
export const PROFILES = { la: LA, acdc: ACDC } as const;
/** Name of a dataset. */
export type DatasetName = keyof typeof PROFILES;
