/**
 * What a report reads: run folders as `train` leaves them and the `evaluation-*` folders that `evaluate` puts into
 * them. Nothing is computed anew; every number of a report stands in one of these files.
 * @module
 */
import { basename, normalize, resolve } from "node:path";
import { z } from "zod";
import { DataError, readEach } from "../data/data_error.ts";
import { DATASET_NAMES } from "../data/profiles.ts";
import { NAME, nameProblem } from "../data/names.ts";
import { CLINICAL_NAMES } from "../evaluation/clinical.ts";
import { readJson, RUN_CONFIG, RUN_METRICS } from "../runs/json.ts";
import { missingIterations, readLog } from "../runs/log.ts";
import { counted, listed } from "../runs/words.ts";

const CONFIG = z.looseObject({
  dataset: z.enum(DATASET_NAMES),
  method: z.string(),
  preset: z.string(),
  iterations: z.number(),
  warmup: z.number(),
  precision: z.string(),
  seed: z.number(),
  averaged: z.boolean().default(false),
  coarse: z.object({ patch: z.string(), iterations: z.number() }).nullable().default(null),
  patch: z.union([z.string(), z.array(z.number())]),
  validateEvery: z.number().optional(),
  threads: z.number().optional(),
  computedOn: z.unknown().optional(),
  splitContent: z.unknown().optional(),
});

/** Bounded, so that sums and percentages stay numbers: there are no such volumes, and no such times. */
const NUMBER = z.number().min(-1e15).max(1e15), OVERLAP = z.number().min(0).max(1);
const SCORES = z.object({
  dice: OVERLAP.nullable(),
  jaccard: OVERLAP.nullable(),
  hd95: NUMBER.nullable(),
  asd: NUMBER.nullable(),
});
const DISTANCES = SCORES.pick({ hd95: true, asd: true });
const STATISTIC = z.object({ mean: NUMBER.nullable(), deviation: NUMBER.nullable(), cases: NUMBER });
const SUMMARY = z.object({ dice: STATISTIC, jaccard: STATISTIC, hd95: STATISTIC, asd: STATISTIC });
const SUMMARIES = z.object({
  published: z.record(z.string(), SUMMARY),
  honest: z.record(z.string(), SUMMARY),
  millimeters: z.record(z.string(), SUMMARY.pick({ hd95: true, asd: true })).nullable(),
});
const COUNTS = z.object({ labeled: NUMBER, unlabeled: NUMBER, validation: NUMBER, test: NUMBER });
const BY_QUANTITY = <S extends z.ZodType>(schema: S) => z.record(z.enum(CLINICAL_NAMES), schema);
const PATIENT = z.object({
  patient: NAME,
  frames: z.object({ ED: z.string().nullable(), ES: z.string().nullable() }),
  values: BY_QUANTITY(z.object({
    predicted: NUMBER.nullable(),
    reference: NUMBER.nullable(),
    error: NUMBER.nullable(),
  })),
});
const AGREEMENT = z.object({
  unit: z.enum(["ml", "%", "g"]),
  bias: NUMBER.nullable(),
  deviation: NUMBER.nullable(),
  limits: z.tuple([NUMBER, NUMBER]).nullable(),
  meanAbsolute: NUMBER.nullable(),
  patients: NUMBER,
});

/** The form of `metrics.json`. */
export const METRICS = z.object({
  dataset: z.enum(DATASET_NAMES),
  method: z.string(),
  checkpoint: z.string(),
  iteration: NUMBER,
  batchNorm: z.string(),
  precision: z.string(),
  patch: z.array(NUMBER),
  stride: z.array(NUMBER).nullable(),
  largestComponent: z.boolean(),
  preparations: z.array(z.string()),
  trainingPreparations: z.array(z.string()).default([]),
  nominalSpacing: z.boolean(),
  correctedSpacings: z.array(z.object({
    header: z.array(z.number()).nullable(),
    used: z.array(z.number()),
    cases: z.array(z.string()),
  })).default([]),
  split: COUNTS.extend({ source: z.string(), patients: COUNTS.nullable() }),
  cases: z.string(),
  seconds: NUMBER,
  versions: z.record(z.string(), z.string()),
  classes: z.array(NAME).min(1),
  rows: z.array(z.object({
    case: NAME,
    patient: NAME.nullable(),
    phase: z.enum(["ED", "ES"]).nullable(),
    class: NAME,
    voxels: NUMBER,
    referenceVoxels: NUMBER,
    milliliters: z.object({ predicted: NUMBER, reference: NUMBER }).nullable(),
    seconds: NUMBER,
    published: SCORES,
    honest: SCORES,
    millimeters: DISTANCES.nullable(),
  })).min(1),
  summary: SUMMARIES,
  patientSummary: SUMMARIES.nullable(),
  patients: z.array(PATIENT),
  clinical: BY_QUANTITY(AGREEMENT).nullable(),
});

/** Resolved options of a training, those of its method included. */
export type Config = z.infer<typeof CONFIG>;
/** The content of `metrics.json`. */
export type Metrics = z.infer<typeof METRICS>;
/** Mean, sample deviation and number of the cases (or patients) that have a value. */
export type Statistic = z.infer<typeof STATISTIC>;

/** One `evaluation-*` folder. */
export interface Evaluation {
  /** Its path; masks stand in it as `CASE.nii.gz`. */
  folder: string;
  /** What follows `evaluation-` in the folder's name. */
  name: string;
  /** What stands in `metrics.json`. */
  metrics: Metrics;
}

/** One run folder. */
export interface Run {
  /** Its path. */
  folder: string;
  /** The folder's own name, or its path where two runs have the same. */
  name: string;
  /** What stands in `config.json`. */
  config: Config;
  /** Values of `metrics.jsonl` by key, in the order of iterations; a key is absent where nothing was logged. */
  curves: Record<string, { iteration: number; value: number }[]>;
  /** Last logged iteration; 0 without a log. */
  iteration: number;
  /** Mean Dice of the validation cases in the order of iterations, from `validation.jsonl`; empty without one. */
  validation: { iteration: number; value: number }[];
  /** Sum of `seconds` over the log, in minutes, repeated iterations included; null without a log. */
  minutes: number | null;
  /** In the order of their names. */
  evaluations: Evaluation[];
  /** What a reader must know: no evaluation, an unfinished or diverged training. */
  notes: string[];
}

/** An interrupted run repeats the iterations after its last checkpoint; the later ones are those it went on with. */
function lastRows<Row extends { iteration: number }>(rows: Row[]): Map<number, Row> {
  const last = new Map(rows.map((row) => [row.iteration, row]));
  return new Map([...last].sort(([a], [b]) => a - b));
}

async function readRun(folder: string): Promise<Run> {
  const problem = nameProblem(basename(resolve(folder)));
  if (problem) throw new DataError(`Cannot read the run "${folder}": ${problem}`);
  const config = await readJson(`${folder}/config.json`, CONFIG, RUN_CONFIG);
  const rows = await readLog(`${folder}/metrics.jsonl`), notes: string[] = [];
  const last = lastRows(rows), curves: Run["curves"] = Object.create(null); // no key is there before it is logged
  for (const [iteration, row] of last) {
    for (const [key, value] of Object.entries(row)) {
      if (key === "iteration" || key === "seconds") continue;
      if (value !== null) (curves[key] ??= []).push({ iteration, value });
      else if (key === "total") notes.push(`the loss is no number at iteration ${iteration}: the training diverged`);
    }
  }
  const iteration = Math.max(0, ...last.keys());
  if (rows.length > last.size) {
    const twice = rows.length - last.size;
    notes.push(
      `${counted(twice, "iteration")} ${
        twice === 1 ? "was" : "were"
      } computed twice after an interruption; the minutes ` +
        `count both`,
    );
  }
  const missing = missingIterations(rows);
  if (missing) notes.push(`metrics.jsonl lacks iterations ${missing}: neither curves nor minutes have them`);
  if (!rows.length) notes.push("no metrics.jsonl, or an empty one: no learning curves, no minutes");
  else if (iteration < config.iterations) {
    notes.push(`the training is not finished: ${iteration} of ${config.iterations} iterations`);
  }
  const evaluations: Evaluation[] = [];
  const found = [...Deno.readDirSync(folder)].filter((f) =>
    f.isDirectory && f.name.startsWith("evaluation-") && !f.name.endsWith(".part") // one that is being written
  );
  for (const name of found.map((f) => f.name).sort()) {
    const path = `${folder}/${name}`, metrics = await readJson(`${path}/metrics.json`, METRICS, RUN_METRICS);
    const { classes, summary } = metrics, wanted = classes.length > 1 ? ["mean", ...classes] : classes;
    const all = [summary, ...(metrics.patientSummary ? [metrics.patientSummary] : [])];
    const lacking = wanted.filter((key) =>
      all.some((of) => !Object.hasOwn(of.published, key) || !Object.hasOwn(of.honest, key))
    );
    if (lacking.length) {
      throw new DataError(
        `Cannot report "${path}/metrics.json": its summary lacks "${listed(lacking)}", found ${
          listed(Object.keys(summary.honest))
        }`,
      );
    }
    for (const key of ["dataset", "method"] as const) {
      if (metrics[key] === config[key]) continue;
      throw new DataError(`Cannot report "${path}": its ${key} is "${metrics[key]}", that of its run "${config[key]}"`);
    }
    evaluations.push({ folder: path, name: name.slice("evaluation-".length), metrics });
  }
  if (!evaluations.length) {
    notes.push("no evaluation-* folder, so no results: run the dataset's eval task on it first");
  }
  const minutes = rows.length ? rows.reduce((sum, row) => sum + (row.seconds ?? 0), 0) / 60 : null;
  const validation = [...lastRows(await readLog(`${folder}/validation.jsonl`)).values()]
    .flatMap(({ iteration, dice }) => typeof dice === "number" ? [{ iteration, value: dice }] : []);
  return { folder, name: basename(folder), config, curves, iteration, validation, minutes, evaluations, notes };
}

/**
 * Reads run folders with their evaluations. Needs `--allow-read`.
 *
 * @param folders One or more; a folder named twice is read once.
 * @throws {DataError} Naming every folder or file that is missing, no JSON, or not of the form that `train` and
 * `evaluate` write.
 */
export async function readRuns(folders: string[]): Promise<Run[]> {
  const paths = [...new Set(folders.map((folder) => normalize(folder).replace(/(?<=.)\/$/, "")))];
  const { results: runs, problems } = await readEach(paths, readRun);
  if (problems.length) throw new DataError(problems.join("\n"));
  const names = runs.map(({ name }) => name);
  for (const run of runs) if (names.indexOf(run.name) !== names.lastIndexOf(run.name)) run.name = run.folder;
  return runs;
}
