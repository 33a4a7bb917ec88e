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
  /** "published": the course of the method's own rate; "constant": its base; "cosine": {@linkcode cosineRate} over the whole training. */
  rateSchedule: "published" | "constant" | "cosine";
  /** Whether the moving average of the weights is tested instead of the last ones ({@linkcode averaged}). */
  averaged: boolean;
  /**
   * Of the labeled-only iterations, warm-up or labeled-only training, the first `share` of them see slices resized to a
   * smaller `patch`, which costs less; null: none. Only where a patch is a whole slice: a volume's patch would show less of it.
   */
  coarse: { patch: readonly number[]; share: number } | null;
}

/** Published course of a learning rate: a tenth of it after every so many iterations (Infinity: constant), or `(1 - s/T)^power`. */
export type Rate = { base: number } & ({ every: number } | { power: number });

/** A dataset and SS-Net's published protocol on it; another method spreads it and changes what its own paper has differently. */
export interface DatasetProfile {
  /** In tasks, split files, run folders; methods look up by it what the authors' code does differently. */
  name: "la" | "acdc";
  /** Background included. */
  classes: number;
  /** Of the classes from 1 on, as results print them. */
  classNames: readonly string[];
  /** What is tested: V-Net for volumes, U-Net for slices, or a method's own. */
  network: NetworkName;
  /** Voxels of a network input along every axis. */
  patch: readonly number[];
  /** First rows of a batch. */
  labeledPerBatch: number;
  /** Rows behind them, for a method that takes any. */
  unlabeledPerBatch: number;
  /** True millimeters along every axis, where the headers of the dataset's published files say 1; null: they are right. */
  knownSpacing: number | null;
  /** Published first iterations on the labeled half alone; the base rate holds in them. */
  warmup: number;
  /** Published iterations behind the warm-up; every length below belongs to them and shrinks with a shorter training. */
  iterations: number;
  /** Learning rate. */
  rate: Rate;
  /** Weight of the unsupervised terms: its maximum, the length of its ramp in steps, and the number of the first iteration. */
  consistency: { maximum: number; length: number; countsFrom: 0 | 1 };
  /** Published stride of the sliding window; null where there is none. */
  stride: readonly number[] | null;
  /** Whether only the largest component of a prediction is kept. */
  largestComponent: boolean;
  /** Which one is tested: the best of the validation cases as published, or the last where the authors chose by the test cases. */
  checkpoint: "best" | "last";
  /** A short training, on the labeled half alone at first. */
  fast: Preset;
}

/** "paper": the published training; "fast": the profile's short one. */
export function presetOf(profile: DatasetProfile, name: "paper" | "fast"): Preset {
  if (name === "fast") return profile.fast;
  const { warmup, iterations } = profile;
  return {
    iterations: warmup + iterations,
    precision: "fp32",
    warmup,
    rateSchedule: "published",
    averaged: false,
    coarse: null,
  };
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
  knownSpacing: 0.625,
  warmup: 0,
  iterations: 15000,
  rate: { base: 0.01, every: 2500 },
  consistency: { maximum: 1, length: 40, countsFrom: 1 },
  largestComponent: true,
  checkpoint: "last",
  fast: { iterations: 1535, precision: "bf16", warmup: 1375, rateSchedule: "constant", averaged: true, coarse: null },
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
  knownSpacing: null,
  warmup: 0,
  iterations: 30000,
  rate: { base: 0.01, every: Infinity },
  consistency: { maximum: 0.1, length: 200, countsFrom: 0 },
  largestComponent: false,
  checkpoint: "best",
  fast: {
    iterations: 3050,
    precision: "bf16",
    warmup: 2950,
    rateSchedule: "cosine",
    averaged: true,
    coarse: { patch: [128, 128], share: 0.8 },
  },
} as const satisfies DatasetProfile;

/** The datasets by name. */
export const PROFILES = { la: LA, acdc: ACDC } as const;
/** Name of a dataset. */
export type DatasetName = keyof typeof PROFILES;
/** For schemas, which want at least one. */
export const DATASET_NAMES = Object.keys(PROFILES) as [DatasetName, ...DatasetName[]];
