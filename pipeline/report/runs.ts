/**
 * What a report reads: run folders as `train` leaves them and the `evaluation-*` folders that `evaluate` puts into
 * them. Nothing is computed anew; every number of a report stands in one of these files.
 * @module
 */
import { basename, normalize, resolve } from "node:path";
import { DataError, readEach } from "../files/errors.ts";
import { nameProblem } from "../files/names.ts";
import { foldersIn } from "../datasets/raw_folder.ts";
import { readRunConfig, type RunConfig } from "../records/run.ts";
import { missingIterations, readLog } from "../files/log.ts";
import { counted, listed } from "../files/words.ts";
import { type Metrics, readMetrics } from "../records/evaluation.ts";
import { datasetOf } from "../datasets/datasets.ts";
import type { Dataset, DatasetProfile, OptionSchema } from "../datasets/dataset.ts";

/** One `evaluation-*` folder. */
export interface Evaluation {
  /** Its path; masks stand in it as `CASE.nii.gz`. */
  folder: string;
  /** What follows `evaluation-` in the folder's name. */
  name: string;
  /** What stands in `metrics.json`. */
  metrics: Metrics;
}

/** What a report knows of the methods: by their keys, in the order of its rows. */
export type Methods = Record<string, {
  /** The title as papers print it. */
  title: string;
  /** Its settings, with the published values on a dataset as defaults. */
  settings(dataset: DatasetProfile): OptionSchema;
}>;

/** The method of a run. */
export interface RunMethod {
  /** The title as papers print it; its key where it is not known. */
  title: string;
  /** The place in the order of the methods; behind all of them where it is not known. */
  place: number;
  /** Every setting by its key, in the order of the keys, those that the run does not name as published. */
  settings: [string, unknown][];
  /** The settings that are not as published. */
  changed: [string, unknown][];
}

/** One run folder. */
export interface Run {
  /** Its path. */
  folder: string;
  /** The folder's own name, or its path where two runs have the same. */
  name: string;
  /** What stands in `config.json`. */
  config: RunConfig;
  /** The dataset that it was trained on. */
  dataset: Dataset;
  /** What is known of its method. */
  method: RunMethod;
  /** Values of `metrics.jsonl` by key, in the order of iterations; a key is absent where nothing was logged. */
  curves: Record<string, { iteration: number; value: number }[]>;
  /** Last logged iteration; 0 without a log. */
  iteration: number;
  /** Mean Dice of the validation cases in the order of iterations, from `validation.jsonl`; empty without one. */
  validation: { iteration: number; value: number }[];
  /** Sum of `seconds` over the log, in minutes, repeated iterations included; null without a log. */
  minutes: number | null;
  /** The evaluations in the order of their names. */
  evaluations: Evaluation[];
  /** What a reader must know: no evaluation, an unfinished or diverged training. */
  notes: string[];
}

/** An interrupted run repeats the iterations after its last checkpoint; the later ones are those it went on with. */
function lastRows<Row extends { iteration: number }>(rows: Row[]): Map<number, Row> {
  const last = new Map(rows.map((row) => [row.iteration, row]));
  return new Map([...last].sort(([a], [b]) => a - b));
}

/** A run that names a setting with its published value and one that does not name it have the same settings. */
function methodOf({ method: { name, settings } }: RunConfig, dataset: DatasetProfile, methods: Methods): RunMethod {
  const keys = Object.keys(methods), known = keys.includes(name) ? methods[name] : null;
  const usual = known?.settings(dataset).parse({}) ?? {};
  const entries = Object.entries({ ...usual, ...settings }).sort(([a], [b]) => a < b ? -1 : 1);
  return {
    title: known?.title ?? name,
    place: known ? keys.indexOf(name) : keys.length,
    settings: entries,
    changed: Object.entries(settings).filter(([key, value]) => value !== usual[key]),
  };
}

async function readRun(folder: string, methods: Methods): Promise<Run> {
  const problem = nameProblem(basename(resolve(folder)));
  if (problem) throw new DataError(`Cannot read the run "${folder}": ${problem}`);
  const config = await readRunConfig(folder), { iterations } = config.training;
  const dataset = datasetOf(config, folder), method = methodOf(config, dataset, methods);
  const rows = await readLog(`${folder}/metrics.jsonl`), notes: string[] = [];
  const last = lastRows(rows), curves: Run["curves"] = Object.create(null); // no key is there before it is logged
  for (const [iteration, row] of last) {
    for (const [key, value] of Object.entries(row)) {
      if (key === "iteration" || key === "seconds" || key === "skipped") continue;
      if (value !== null) (curves[key] ??= []).push({ iteration, value });
      else if (key === "total" && !row.skipped) { // as earlier versions log it
        notes.push(`the loss is no number at iteration ${iteration}: the training diverged`);
      }
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
  const skipped = [...last.values()].filter(({ skipped }) => skipped).map(({ iteration }) => `${iteration}`);
  if (skipped.length) {
    notes.push(
      `the training diverged: ${counted(skipped.length, "step")} in which not all was finite ${
        skipped.length === 1 ? "was" : "were"
      } not taken (iteration ${listed(skipped)})`,
    );
  }
  const missing = missingIterations(rows);
  if (missing) notes.push(`metrics.jsonl lacks iterations ${missing}: neither curves nor minutes have them`);
  if (!rows.length) notes.push("no metrics.jsonl, or an empty one: no learning curves, no minutes");
  else if (iteration < iterations) {
    notes.push(`the training is not finished: ${iteration} of ${iterations} iterations`);
  }
  const evaluations: Evaluation[] = [];
  // One that ends with .part is being written.
  const found = foldersIn(folder).filter((name) => name.startsWith("evaluation-") && !name.endsWith(".part"));
  for (const name of found) {
    const path = `${folder}/${name}`, metrics = await readMetrics(path);
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
    const own = { dataset: config.dataset, method: config.method.name };
    for (const key of ["dataset", "method"] as const) {
      if (metrics[key] === own[key]) continue;
      throw new DataError(`Cannot report "${path}": its ${key} is "${metrics[key]}", that of its run "${own[key]}"`);
    }
    evaluations.push({ folder: path, name: name.slice("evaluation-".length), metrics });
  }
  if (!evaluations.length) {
    notes.push("no evaluation-* folder, so no results: run the dataset's eval task on it first");
  }
  const minutes = rows.length ? rows.reduce((sum, row) => sum + (row.seconds ?? 0), 0) / 60 : null;
  const validation = [...lastRows(await readLog(`${folder}/validation.jsonl`)).values()]
    .flatMap(({ iteration, dice }) => typeof dice === "number" ? [{ iteration, value: dice }] : []);
  return {
    folder,
    name: basename(folder),
    config,
    dataset,
    method,
    curves,
    iteration,
    validation,
    minutes,
    evaluations,
    notes,
  };
}

/**
 * Reads run folders with their evaluations. Needs `--allow-read`.
 *
 * @param folders One or more; a folder named twice is read once.
 * @param methods Titles, order and published settings.
 * @throws {DataError} Naming every folder or file that is missing, no JSON, or not of the form that `train` and
 * `evaluate` write.
 */
export async function readRuns(folders: string[], methods: Methods): Promise<Run[]> {
  const paths = [...new Set(folders.map((folder) => normalize(folder).replace(/(?<=.)\/$/, "")))];
  const { results: runs, problems } = await readEach(paths, (path) => readRun(path, methods));
  if (problems.length) throw new DataError(problems.join("\n"));
  const names = runs.map(({ name }) => name);
  for (const run of runs) if (names.indexOf(run.name) !== names.lastIndexOf(run.name)) run.name = run.folder;
  return runs;
}
