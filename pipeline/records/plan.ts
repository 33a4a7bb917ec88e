/**
 * `plan.json`: how a dataset of one's own is prepared and trained on, as `preprocess` proposes it and its user may edit it;
 * beside the cases, and a copy in the `config.json` of every run.
 * @module
 */
import { z } from "zod";
import type { Vector3 } from "../arrays/geometry.ts";
import { isOrientation } from "../arrays/orientation.ts";
import { writeJson } from "../files/atomic.ts";
import { type JsonFile, readJsonIfThere } from "../files/json.ts";
import { NAME } from "../files/names.ts";

/**
 * How intensities become what a network reads, under the names of nnU-Net's `channel_names`: `CT` cut to the percentiles 0.5
 * and 99.5 of the foreground and brought to its mean and standard deviation; `zscore` to mean 0 and standard deviation
 * 1 of each image; `rescale_to_0_1` to the extremes of each image; `noNorm` as they are.
 */
export const NORMALIZATIONS = ["CT", "zscore", "rescale_to_0_1", "noNorm"] as const;
/** One of {@linkcode NORMALIZATIONS}. */
export type Normalization = typeof NORMALIZATIONS[number];

/** Intensities under the labels of the labeled cases. */
export interface Foreground {
  /** Percentile 0.5. */
  low: number;
  /** Percentile 99.5. */
  high: number;
  /** Mean of all. */
  mean: number;
  /** Standard deviation. */
  standardDeviation: number;
}

/** A channel of the images. */
export interface PlannedChannel {
  /** The channel's name in `dataset.json`. */
  name: string;
  /** One of {@linkcode NORMALIZATIONS}. */
  normalization: Normalization;
  /** What `CT` takes. */
  foreground: Foreground;
}

/** Lowest, median and highest along every axis of {@linkcode Plan}'s orientation. */
export interface Range {
  /** Lowest. */
  lowest: Vector3;
  /** Median. */
  median: Vector3;
  /** Highest. */
  highest: Vector3;
}

/** What was found in the raw files: what a proposal stands on, for readers. */
export interface DatasetFingerprint {
  /** Cases with a label. */
  labeled: number;
  /** Cases without. */
  unlabeled: number;
  /** Cases by the orientation of their files' axes; "unknown" of those that say none. */
  orientations: Record<string, number>;
  /** Millimeters; null where no file says any. */
  spacing: Range | null;
  /** Voxels. */
  shape: Range;
  /** Voxels of every class over all labels. */
  voxels: Record<string, number>;
}

/** The plan of a dataset of one's own; `plan.json`. */
export interface Plan {
  /** Its name in tasks, as its raw folder has it. */
  dataset: string;
  /** A name for readers. */
  title: string;
  /** What a split counts: patients where names are `PATIENT_frameNN`. */
  unit: "case" | "patient";
  /** The channels in the order of the files' `_0000`, `_0001`. */
  channels: PlannedChannel[];
  /** Names of the labels from 1 on. */
  classes: string[];
  /** V-Net for volumes, U-Net for slices. */
  network: "vnet" | "unet";
  /** The dataset whose published schedule and settings are taken: LA for volumes, ACDC for slices. */
  protocol: "la" | "acdc";
  /** Which way the axes of all cases run, in the order of the arrays; of slices the first axis counts them. */
  orientation: string;
  /** Millimeters along these axes that all cases are resampled to; null: each keeps its own. */
  spacing: Vector3 | null;
  /** The network's input. */
  patch: number[];
  /** Rows of a batch. */
  batch: { labeled: number; unlabeled: number };
  /** Share of a window that the next one overlaps at test. */
  overlap: number;
  /** Cases that the raw folder sets apart for the test. */
  test: string[];
  /** Gigabytes that a training may take. */
  memory: number;
  /** What was found. */
  fingerprint: DatasetFingerprint;
}

const THREE = z.tuple([z.number(), z.number(), z.number()]);
const RANGE = z.strictObject({ lowest: THREE, median: THREE, highest: THREE });
const CHANNEL = z.strictObject({
  name: z.string(),
  normalization: z.enum(NORMALIZATIONS),
  foreground: z.strictObject({ low: z.number(), high: z.number(), mean: z.number(), standardDeviation: z.number() }),
}).refine(
  ({ normalization, foreground: { low, high, standardDeviation } }) =>
    normalization !== "CT" || low < high && standardDeviation > 0,
  {
    path: ["foreground"],
    message: "CT wants low below high, and a standard deviation above 0",
  },
);
/** Its schema, also of the copy in a run's configuration. */
export const PLAN: z.ZodType<Plan> = z.strictObject({
  dataset: NAME,
  title: z.string(),
  unit: z.enum(["case", "patient"]),
  channels: z.array(CHANNEL).min(1),
  classes: z.array(NAME).min(1).refine((names) => new Set(names).size === names.length, "names that differ wanted"),
  network: z.enum(["vnet", "unet"]),
  protocol: z.enum(["la", "acdc"]),
  orientation: z.string().refine(isOrientation, "one letter each of RL, AP and SI wanted, as in LPS"),
  spacing: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]).nullable(),
  patch: z.array(z.int().positive().multipleOf(16)),
  batch: z.strictObject({ labeled: z.int().positive(), unlabeled: z.int().positive() }),
  overlap: z.number().min(0).max(0.95),
  test: z.array(NAME),
  memory: z.number().positive(),
  fingerprint: z.strictObject({
    labeled: z.int().positive(),
    unlabeled: z.int().nonnegative(),
    orientations: z.record(z.string(), z.int().positive()),
    spacing: RANGE.nullable(),
    shape: RANGE,
    voxels: z.record(z.string(), z.int().nonnegative()),
  }),
}).superRefine(({ network, protocol, patch }, { addIssue }) => {
  const [sides, own] = network === "vnet" ? [3, "la"] as const : [2, "acdc"] as const;
  if (patch.length !== sides) {
    addIssue({
      code: "custom",
      path: ["patch"],
      message: `${sides} multiples of 16 wanted for ${network}, found ${patch.length}`,
    });
  }
  if (protocol !== own) addIssue({ code: "custom", path: ["protocol"], message: `"${own}" wanted for ${network}` });
});

const pathOf = (folder: string) => `${folder}/plan.json`;
const fileOf = (dataset: string): JsonFile => ({
  what: "the plan",
  remedy: `correct what is named, or remove the file and let deno task preprocess ${dataset} propose one`,
});

/**
 * Reads the plan of a folder of cases. Needs `--allow-read`.
 * @param dataset Whose it is, for errors.
 * @returns Null where there is none.
 * @throws {DataError} Naming every key that is not as wanted.
 */
export function readPlanIfThere(folder: string, dataset: string): Promise<Plan | null> {
  return readJsonIfThere(pathOf(folder), PLAN, fileOf(dataset));
}

/** Writes the plan of a folder of cases. Needs `--allow-read`, `--allow-write`. */
export function writePlan(folder: string, plan: Plan): Promise<void> {
  return writeJson(pathOf(folder), plan);
}
