/**
 * `config.json` of a run folder: what was trained on which cases with which method, and by what. One schema for who writes
 * and who reads it; what versions up to 0.1 wrote is translated on reading.
 * @module
 */
import { basename } from "node:path";
import { z } from "zod";
import { sidesOf } from "../arrays/shape.ts";
import type { Vector3 } from "../arrays/geometry.ts";
import { isOrientation, orientationOf } from "../arrays/orientation.ts";
import { type Case, spacingOf } from "./case.ts";
import { CHOICE, type ChosenComponents, COMPONENTS_SCHEMA } from "./components.ts";
import { parseSplit, type Split } from "./split.ts";
import { writeAtomically } from "../files/atomic.ts";
import { isFile } from "../files/exists.ts";
import { type JsonFile, parseJson, readJson, readJsonIfThere, writeRecord } from "../files/json.ts";
import { NAME } from "../files/names.ts";
import { withPresentNames } from "../files/present_names.ts";
import { PLAN, type Plan } from "./plan.ts";
import { type Norm, NORMS } from "../tensorflow/norms.ts";
import { type Precision, PRECISIONS } from "../tensorflow/precision.ts";

/** The low-resolution stage of a short training: its first iterations see slices resized to a smaller patch. */
export interface LowResolutionStage {
  /** Size of its slices. */
  patch: number[];
  /** How many of the run's first iterations it takes. */
  iterations: number;
}

/** How patches are augmented: as the authors do, or `pipeline/data/strong_augmentation.ts`. */
export const AUGMENTATIONS = ["published", "strong"] as const;
/** One of {@linkcode AUGMENTATIONS}. */
export type Augmentation = typeof AUGMENTATIONS[number];

/**
 * Statistics of the batch norms that a network is tested with: those that the training collected step by step, as published;
 * each window's own; or those of many training patches, collected anew with the weights that are tested.
 */
export const STATISTICS = ["running", "window", "recomputed"] as const;
/** One of {@linkcode STATISTICS}. */
export type Statistics = typeof STATISTICS[number];

/** The grid of the volumes that a run was trained on. */
export interface TrainedGrid {
  /** Which way the axes of its arrays run, "LPS" ({@linkcode orientationOf}). */
  orientation: string;
  /** Millimeters along them, where the network knows one spacing alone; null: each image has its own. */
  spacing: Vector3 | null;
}

/**
 * The grid of a case that a run is trained on.
 * @param one Null: not known, as of older runs.
 * @param dataset What its published files have, where the case does not say; without a known spacing each image has its own.
 * A plan says all of it.
 */
export function gridOf(
  one: Pick<Case, "geometry" | "correctedSpacing" | "header"> | null,
  { orientation, knownSpacing, plan }: { orientation: string; knownSpacing: number | null; plan?: Plan },
): TrainedGrid {
  if (plan) return { orientation, spacing: plan.spacing };
  const isPlaced = one?.geometry && (one.header?.codes.some((code) => code > 0) ?? true);
  return {
    orientation: isPlaced ? orientationOf(one!.geometry!.direction) : orientation,
    spacing: knownSpacing === null ? null : one && spacingOf(one) || [knownSpacing, knownSpacing, knownSpacing],
  };
}

/** How a run is trained. */
export interface Training {
  /** The preset that what is not given came from. */
  preset: "paper" | "fast";
  /** Iterations of the whole training, the warm-up included. */
  iterations: number;
  /** First iterations on the labeled half alone. */
  warmup: number;
  /** Arithmetic of the convolutions. */
  precision: Precision;
  /** How the learning rate goes. */
  rateSchedule: "published" | "constant" | "cosine";
  /** How its patches are augmented. */
  augmentation: Augmentation;
  /** The norm behind the network's convolutions. */
  norm: Norm;
  /** Whether a moving average of the weights is kept and tested. */
  ema: boolean;
  /** Statistics of the batch norms that its network is used with; absent in older runs: as its preset has them. */
  statistics?: Statistics;
  /** The low-resolution stage; null where there is none. */
  lowResolution: LowResolutionStage | null;
  /** The network's input: two sides or three. */
  patch: number[];
  /** Seed of everything random. */
  seed: number;
  /** The file of weights that it began with, and its SHA-256; absent where it began with random ones. */
  init?: { file: string; sha256: string };
  /** Iterations between validations. */
  validateEvery: number;
  /** Iterations between saved states. */
  saveEvery: number;
  /** A step in which not all is finite ends the training, or is left out; absent in older runs: stop. */
  nan?: "stop" | "skip";
  /** TensorFlow's threads. */
  threads: number;
  /** Where it was computed. */
  device: "cpu" | "gpu";
  /** Folder of the cases. */
  cases: string;
  /** What stands there of the machine. */
  computedOn?: unknown;
}

/** The configuration of a run, as `config.json` holds it. */
export interface RunConfig {
  /** The dataset's name. */
  dataset: string;
  /** A copy of the plan of a dataset of its user's own. */
  plan?: Plan;
  /** The method's name and its settings. */
  method: { name: string; settings: Record<string, string | number> };
  /** How it is trained. */
  training: Training;
  /** The grid of its cases; absent in older runs: as its dataset is published. */
  grid?: TrainedGrid;
  /** The split, a copy: what is tested is not what was trained on, whatever a file says later. */
  split: Split;
  /** Versions of the programs; null where one is not known. */
  versions: Record<string, string | null>;
  /** Commit of the source; null outside a checkout. */
  commit: string | null;
}

const SIDES = z.array(z.int().positive().multipleOf(16)).min(2).max(3);
const TRAINING: z.ZodType<Training> = z.strictObject({
  preset: z.enum(["paper", "fast"]),
  iterations: z.int().nonnegative(),
  warmup: z.int().nonnegative(),
  precision: z.enum(PRECISIONS),
  rateSchedule: z.enum(["published", "constant", "cosine"]),
  augmentation: z.enum(AUGMENTATIONS).default("published"), // runs before 0.2 do not say it
  norm: z.enum(NORMS).default("batch"), // runs before 0.3 do not say it
  ema: z.boolean(),
  statistics: z.enum(STATISTICS).optional(),
  lowResolution: z.strictObject({ patch: SIDES, iterations: z.int().positive() }).nullable(),
  patch: SIDES,
  seed: z.int().nonnegative(),
  init: z.strictObject({ file: z.string(), sha256: z.string() }).optional(),
  validateEvery: z.int().positive(),
  saveEvery: z.int().positive(),
  nan: z.enum(["stop", "skip"]).optional(),
  threads: z.int().positive(),
  device: z.enum(["cpu", "gpu"]),
  cases: z.string(),
  computedOn: z.unknown().optional(),
});
type Unsplit = Omit<RunConfig, "split"> & { split?: unknown };
const CONFIG: z.ZodType<Unsplit> = z.strictObject({
  dataset: NAME,
  plan: PLAN.optional(),
  method: z.strictObject({ name: z.string(), settings: z.record(z.string(), z.union([z.number(), z.string()])) }),
  training: TRAINING,
  grid: z.strictObject({
    orientation: z.string().refine(isOrientation, "one letter each of RL, AP and SI wanted"),
    spacing: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]).nullable(),
  }).optional(),
  split: z.unknown().optional(),
  versions: z.record(z.string(), z.string().nullable()),
  commit: z.string().nullable(),
});

/**
 * The fields of a training that may change when it goes on: its result stays as it is, or nearly (threads, device). One
 * that stopped at a step may go on and leave it out.
 */
export const FREE: readonly (keyof Training)[] = ["threads", "device", "saveEvery", "nan", "cases", "computedOn"];

/**
 * A training as far as the flat form, which versions up to 0.1 wrote, may lack it: of one that was written by hand, beside a
 * checkpoint from elsewhere, dataset, method, patch and split are enough.
 */
const LACKING = {
  ...{ preset: "paper", iterations: 0, warmup: 0, precision: "fp32", rateSchedule: "published", averaged: false },
  ...{ seed: 1337, validateEvery: 200, saveEvery: 200, threads: 1, device: "cpu", cases: "", computedOn: undefined },
};
const FLAT = z.looseObject({
  method: z.string(),
  patch: z.string(),
  coarse: z.object({ patch: z.string(), iterations: z.number() }).nullable().default(null),
});

/** Names in a training that were others before. */
const RENAMED: Record<string, keyof Training> = { coarse: "lowResolution", averaged: "ema" };

/** What earlier versions wrote as the present form; anything else as it is. */
function translated(content: unknown): unknown {
  const earlier = z.looseObject({ training: z.looseObject({}) }).safeParse(content);
  if (earlier.success) return { ...earlier.data, training: withPresentNames(earlier.data.training, RENAMED) };
  const flat = FLAT.safeParse(content);
  if (!flat.success) return content;
  const { dataset, method, patch, coarse, splitContent, versions = {}, split: _, run: __, ...others } = flat.data;
  const training: Record<string, unknown> = { ...LACKING }, settings: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(others)) (key in LACKING ? training : settings)[key] = value;
  if (method === "supervised") training.warmup = 0; // it is its own warm-up; the first versions wrote the preset's
  const sides = { patch: sidesOf(patch), coarse: coarse && { ...coarse, patch: sidesOf(coarse.patch) } };
  const now = {
    dataset,
    method: { name: method, settings },
    training: withPresentNames({ ...training, ...sides }, RENAMED),
  };
  return { ...now, split: splitContent, versions, commit: null };
}

const RUN_CONFIG: JsonFile = { what: "the options of the run", remedy: "name a run folder of deno task train" };
const FILE = z.preprocess(translated, CONFIG), pathOf = (folder: string) => `${folder}/config.json`;
const withSplit = (content: Unsplit, path: string): RunConfig => ({
  ...content,
  split: parseSplit(content.split, path),
});

/**
 * Reads the configuration of a run. Needs `--allow-read`.
 * @returns Null where the folder has none.
 * @throws {DataError} When it is no JSON, or not as {@linkcode writeRunConfig} writes it.
 */
export async function readRunConfigIfThere(folder: string): Promise<RunConfig | null> {
  const path = pathOf(folder), content = await readJsonIfThere(path, FILE, RUN_CONFIG);
  return content && withSplit(content, path);
}

/** Reads as {@linkcode readRunConfigIfThere}. @throws {DataError} Where there is none, too. */
export async function readRunConfig(folder: string): Promise<RunConfig> {
  return withSplit(await readJson(pathOf(folder), FILE, RUN_CONFIG), pathOf(folder));
}

/** What a file of weights says of its network in its metadata, so that it alone is enough to segment images. */
export interface NetworkMetadata extends ChosenComponents {
  /** The configuration of a run without what names cases or the machine: no split, no folders. */
  config: RunConfig;
}

const NETWORK = z.strictObject({
  config: CONFIG,
  components: COMPONENTS_SCHEMA,
  componentsChoice: CHOICE.nullable(),
});

/** Metadata of a network for others, under one key. */
export function networkMetadata({ config, ...components }: NetworkMetadata): Record<string, string> {
  const { split: _, training: { computedOn: __, init, ...training }, ...rest } = config;
  const said = { ...training, cases: "", ...(init && { init: { ...init, file: basename(init.file) } }) };
  return { ss_net: JSON.stringify({ config: { ...rest, training: said }, ...components }) };
}

/**
 * What {@linkcode networkMetadata} wrote; null where a file does not say it.
 * @param path Of the file, for errors.
 * @throws {DataError} When it says something else.
 */
export function readNetworkMetadata(metadata: Record<string, string>, path: string): NetworkMetadata | null {
  if (metadata.ss_net === undefined) return null;
  const file = { what: "the metadata of the network", remedy: "export it anew", path };
  const { config, ...components } = parseJson(metadata.ss_net, NETWORK, file);
  const none = { source: "none", labeled: [], unlabeled: [], validation: [], test: [] };
  return { config: { ...config, split: { profile: config.dataset, ...none } }, ...components };
}

/** Whether a folder holds a run. Needs `--allow-read`. */
export const isRun = (folder: string): boolean => isFile(pathOf(folder));

/** Whether the training of a run has ended: it wrote `DONE`. Needs `--allow-read`. */
export const isDone = (folder: string): boolean => isFile(`${folder}/DONE`);

/** Writes `DONE`, which says after how many iterations. Needs `--allow-read`, `--allow-write`. */
export function writeDone(folder: string, iterations: number): Promise<void> {
  return writeAtomically(`${folder}/DONE`, `${iterations}\n`);
}

/** Writes the configuration of a run. Needs `--allow-read`, `--allow-write`. */
export function writeRunConfig(folder: string, config: RunConfig): Promise<void> {
  return writeRecord(pathOf(folder), config);
}

/**
 * What two configurations differ in, "KEY: started with X, now Y", where it decides the result.
 *
 * @example Another seed is another run, another number of threads is not
 * ```ts
 * import assert from "node:assert/strict";
 * import { differencesOf } from "@ssnet/pipeline/records/run.ts";
 *
 * const differences = differencesOf({ seed: 1, threads: 2 }, { seed: 7, threads: 4 });
 * assert.deepEqual(differences, ["seed: started with 1, now 7"]);
 * ```
 */
export function differencesOf(stored: object, now: object): string[] {
  const then: Record<string, unknown> = { ...stored };
  return Object.entries(now)
    .filter(([key, value]) =>
      value !== undefined && !(FREE as readonly string[]).includes(key) &&
      JSON.stringify(value) !== JSON.stringify(then[key])
    )
    .map(([key, value]) => `${key}: started with ${JSON.stringify(then[key])}, now ${JSON.stringify(value)}`);
}
