/**
 * `config.json` of a run folder: what was trained on which cases with which method, and by what. One schema for who writes
 * and who reads it; what versions up to 0.1 wrote is translated on reading.
 * @module
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { parseSplit, type Split } from "../data/splits.ts";
import { DATASET_NAMES, DATASETS } from "../datasets/datasets.ts";
import type { CoarseStage } from "./coarse.ts";
import { writeJson } from "./files.ts";
import { readJson, readJsonIfThere, RUN_CONFIG } from "./json.ts";
import { PRECISIONS } from "../tensorflow/trace.ts";

const SIDES = z.array(z.int().positive().multipleOf(16)).min(2).max(3);
const TRAINING = z.strictObject({
  preset: z.enum(["paper", "fast"]),
  iterations: z.int().nonnegative(),
  warmup: z.int().nonnegative(),
  precision: z.enum(PRECISIONS),
  rateSchedule: z.enum(["published", "constant", "cosine"]),
  averaged: z.boolean(),
  coarse: (z.strictObject({ patch: SIDES, iterations: z.int().positive() }) satisfies z.ZodType<CoarseStage>)
    .nullable(),
  patch: SIDES,
  seed: z.int().nonnegative(),
  validateEvery: z.int().positive(),
  saveEvery: z.int().positive(),
  threads: z.int().positive(),
  device: z.enum(["cpu", "gpu"]),
  cases: z.string(),
  computedOn: z.unknown().optional(),
});
const CONFIG = z.strictObject({
  dataset: z.enum(DATASET_NAMES),
  method: z.strictObject({ name: z.string(), settings: z.record(z.string(), z.union([z.number(), z.string()])) }),
  training: TRAINING,
  split: z.unknown().optional(),
  versions: z.record(z.string(), z.string().nullable()),
  commit: z.string().nullable(),
}).superRefine(({ dataset, training: { patch } }, { addIssue }) => {
  const wanted = DATASETS[dataset].patch;
  if (patch.length === wanted.length) return;
  addIssue({
    code: "custom",
    path: ["training", "patch"],
    message: `${wanted.length} multiples of 16 wanted, as in ${wanted.join("x")}`,
  });
});

/** How a run is trained. */
export type Training = z.infer<typeof TRAINING>;
/** The configuration of a run. */
export type RunConfig = Omit<z.infer<typeof CONFIG>, "split"> & {
  /** Its own: what is tested is not what is trained on, whatever a file says later. */
  split: Split;
};

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

/** The flat form as the present one; anything else as it is. */
function translated(content: unknown): unknown {
  const flat = FLAT.loose().safeParse(content);
  if (!flat.success) return content;
  const { dataset, method, splitContent, versions, split: _, run: __, patch, coarse, ...others } = flat.data;
  const sides = (text: string) => text.split("x").map(Number);
  const entries = Object.entries(others), isTraining = ([key]: [string, unknown]) => key in FLAT.shape;
  return {
    dataset,
    method: { name: method, settings: Object.fromEntries(entries.filter((entry) => !isTraining(entry))) },
    training: {
      ...Object.fromEntries(entries.filter(isTraining)),
      ...method === "supervised" && { warmup: 0 }, // it is its own warm-up; the first versions wrote the preset's
      patch: sides(patch),
      coarse: coarse && { ...coarse, patch: sides(coarse.patch) },
    },
    split: splitContent,
    versions,
    commit: null,
  };
}

const FILE = z.preprocess(translated, CONFIG), pathOf = (folder: string) => `${folder}/config.json`;
const withSplit = (content: z.infer<typeof CONFIG>, path: string): RunConfig => ({
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
 * import { differencesOf } from "@ssnet/pipeline/runs/config.ts";
 *
 * const differences = differencesOf({ seed: 1, threads: 2 }, { seed: 7, threads: 4 });
 * assert.deepEqual(differences, ["seed: started with 1, now 7"]);
 * ```
 */
export function differencesOf(stored: Record<string, unknown>, now: Record<string, unknown>): string[] {
  return Object.entries(now)
    .filter(([key, value]) =>
      value !== undefined && !(FREE as readonly string[]).includes(key) &&
      JSON.stringify(value) !== JSON.stringify(stored[key])
    )
    .map(([key, value]) => `${key}: started with ${JSON.stringify(stored[key])}, now ${JSON.stringify(value)}`);
}

/** The commit of this tree, read from its `.git`; null outside a checkout. Needs `--allow-read`. */
export function commitOfTree(): string | null {
  const read = (path: string): string | null => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return null; // no checkout, or one that git keeps elsewhere: the commit is not known
    }
  };
  let git = fileURLToPath(new URL("../../.git", import.meta.url));
  const elsewhere = read(git)?.match(/^gitdir: (.+)$/m)?.[1]; // of a worktree
  if (elsewhere) git = elsewhere;
  const head = read(`${git}/HEAD`)?.trim(), ref = head?.match(/^ref: (.+)$/)?.[1];
  if (!head || !ref) return head ?? null;
  const common = read(`${git}/commondir`)?.trim(), folders = common ? [git, `${git}/${common}`] : [git];
  for (const folder of folders) {
    const own = read(`${folder}/${ref}`)?.trim();
    if (own) return own;
  }
  const packed = folders.map((folder) => read(`${folder}/packed-refs`)).find((text) => text);
  return packed?.match(new RegExp(`^([0-9a-f]+) ${RegExp.escape(ref)}$`, "m"))?.[1] ?? null;
}
