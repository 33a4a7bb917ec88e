/**
 * `config.json` of a run folder: what was trained on which cases with which method, and by what. One schema for who writes
 * and who reads it; what versions up to 0.1 wrote is translated on reading.
 * @module
 */
import { z } from "zod";
import { parseSplit, type Split } from "./split.ts";
import { writeJson } from "../files/atomic.ts";
import { type JsonFile, readJson, readJsonIfThere } from "../files/json.ts";
import { NAME } from "../files/names.ts";
import { type Precision, PRECISIONS } from "../tensorflow/precision.ts";

/** The low-resolution stage of a short training: its first iterations see slices resized to a smaller patch. */
export interface LowResolutionStage {
  /** Of its slices. */
  patch: number[];
  /** The first ones of the run. */
  iterations: number;
}

/** How a run is trained. */
export interface Training {
  /** Where what is not given came from. */
  preset: "paper" | "fast";
  /** The warm-up included. */
  iterations: number;
  /** First iterations on the labeled half alone. */
  warmup: number;
  /** Of the convolutions. */
  precision: Precision;
  /** How the learning rate goes. */
  rateSchedule: "published" | "constant" | "cosine";
  /** Whether a moving average of the weights is kept and tested. */
  ema: boolean;
  /** Null where there is none. */
  lowResolution: LowResolutionStage | null;
  /** The network's input: two sides or three. */
  patch: number[];
  /** Of everything random. */
  seed: number;
  /** Iterations between validations. */
  validateEvery: number;
  /** Iterations between saved states. */
  saveEvery: number;
  /** Of TensorFlow. */
  threads: number;
  /** Where it was computed. */
  device: "cpu" | "gpu";
  /** Folder of the cases. */
  cases: string;
  /** What stands there of the machine. */
  computedOn?: unknown;
}

/** The configuration of a run. */
export interface RunConfig {
  /** Its name. */
  dataset: string;
  /** Its name, and what differs from its defaults or is not said by them. */
  method: { name: string; settings: Record<string, string | number> };
  /** How it is trained. */
  training: Training;
  /** Its own: what is tested is not what is trained on, whatever a file says later. */
  split: Split;
  /** Of programs; null where one is not known. */
  versions: Record<string, string | null>;
  /** Of the source; null outside a checkout. */
  commit: string | null;
}

const SIDES = z.array(z.int().positive().multipleOf(16)).min(2).max(3);
const TRAINING: z.ZodType<Training> = z.strictObject({
  preset: z.enum(["paper", "fast"]),
  iterations: z.int().nonnegative(),
  warmup: z.int().nonnegative(),
  precision: z.enum(PRECISIONS),
  rateSchedule: z.enum(["published", "constant", "cosine"]),
  ema: z.boolean(),
  lowResolution: z.strictObject({ patch: SIDES, iterations: z.int().positive() }).nullable(),
  patch: SIDES,
  seed: z.int().nonnegative(),
  validateEvery: z.int().positive(),
  saveEvery: z.int().positive(),
  threads: z.int().positive(),
  device: z.enum(["cpu", "gpu"]),
  cases: z.string(),
  computedOn: z.unknown().optional(),
});
type Unsplit = Omit<RunConfig, "split"> & { split?: unknown };
const CONFIG: z.ZodType<Unsplit> = z.strictObject({
  dataset: NAME,
  method: z.strictObject({ name: z.string(), settings: z.record(z.string(), z.union([z.number(), z.string()])) }),
  training: TRAINING,
  split: z.unknown().optional(),
  versions: z.record(z.string(), z.string().nullable()),
  commit: z.string().nullable(),
});

/** Of a training what may change when it goes on: its result stays as it is, or nearly (threads, device). */
export const FREE: readonly (keyof Training)[] = ["threads", "device", "saveEvery", "cases", "computedOn"];

/**
 * Fields of the flat form that versions up to 0.1 wrote, without those of the methods' settings; of one that was written by
 * hand, beside a checkpoint from elsewhere, dataset, method, patch and split are enough.
 */
const FLAT = z.object({
  dataset: z.string(),
  method: z.string(),
  preset: z.string().default("paper"),
  iterations: z.number().default(0),
  warmup: z.number().default(0),
  precision: z.string().default("fp32"),
  rateSchedule: z.string().default("published"),
  averaged: z.boolean().default(false),
  coarse: z.object({ patch: z.string(), iterations: z.number() }).nullable().default(null),
  patch: z.string(),
  seed: z.number().default(1337),
  validateEvery: z.number().default(200),
  saveEvery: z.number().default(200),
  threads: z.number().default(1),
  device: z.string().default("cpu"),
  cases: z.string().default(""),
  split: z.unknown().optional(),
  run: z.unknown().optional(),
  splitContent: z.unknown().optional(),
  computedOn: z.unknown().optional(),
  versions: z.record(z.string(), z.string().nullable()).default({}),
});

/** Names in a training that were others before. */
const RENAMED: Record<string, keyof Training> = { coarse: "lowResolution", averaged: "ema" };

function withPresentNames(training: object): object {
  return Object.fromEntries(Object.entries(training).map(([name, value]) => [RENAMED[name] ?? name, value]));
}

/** What earlier versions wrote as the present form; anything else as it is. */
function translated(content: unknown): unknown {
  const earlier = z.looseObject({ training: z.looseObject({}) }).safeParse(content);
  if (earlier.success) return { ...earlier.data, training: withPresentNames(earlier.data.training) };
  const flat = FLAT.loose().safeParse(content);
  if (!flat.success) return content;
  const { dataset, method, splitContent, versions, split: _, run: __, patch, coarse, ...others } = flat.data;
  const sides = (text: string) => text.split("x").map(Number);
  const entries = Object.entries(others), isTraining = ([key]: [string, unknown]) => key in FLAT.shape;
  return {
    dataset,
    method: { name: method, settings: Object.fromEntries(entries.filter((entry) => !isTraining(entry))) },
    training: withPresentNames({
      ...Object.fromEntries(entries.filter(isTraining)),
      ...method === "supervised" && { warmup: 0 }, // it is its own warm-up; the first versions wrote the preset's
      patch: sides(patch),
      coarse: coarse && { ...coarse, patch: sides(coarse.patch) },
    }),
    split: splitContent,
    versions,
    commit: null,
  };
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

/** As {@linkcode readRunConfigIfThere}. @throws {DataError} Where there is none, too. */
export async function readRunConfig(folder: string): Promise<RunConfig> {
  return withSplit(await readJson(pathOf(folder), FILE, RUN_CONFIG), pathOf(folder));
}

/** Writes the configuration of a run. Needs `--allow-read`, `--allow-write`. */
export function writeRunConfig(folder: string, config: RunConfig): Promise<void> {
  return writeJson(pathOf(folder), config);
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
