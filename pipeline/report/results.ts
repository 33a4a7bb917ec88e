/**
 * The tables of a report, once for both of its forms: results beside the published ones, the protocol of every row,
 * cases ordered by Dice. Rows of different datasets or numbers of labeled cases never share a table.
 * @module
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { DATASETS } from "../datasets/datasets.ts";
import { isMethod, METHODS } from "../methods/methods.ts";
import { readJson } from "../files/json.ts";
import { counted } from "../files/words.ts";
import type { RunConfig } from "../records/run.ts";
import type { Evaluation, Run } from "./runs.ts";
import { lowResolutionText } from "../training/low_resolution.ts";
import { correctedSpacingText, type Metrics, type Spread } from "../records/evaluation.ts";

const PROTOCOL = z.strictObject({
  iterations: z.number(),
  warmup: z.number(),
  trainingPrecision: z.string(),
  patch: z.array(z.number()),
  split: z.string(),
  unlabeled: z.record(z.string(), z.number()),
  validation: z.number(),
  test: z.number(),
  preparation: z.string(),
  checkpoint: z.string(),
  batchNorm: z.string(),
  precision: z.string(),
  stride: z.array(z.number()).nullable(),
  largestComponent: z.boolean(),
});
const PUBLISHED_ROW = z.strictObject({
  method: z.string(),
  class: z.string().optional(),
  labeled: z.number(),
  dice: z.number(),
  jaccard: z.number(),
  hd95: z.number(),
  asd: z.number(),
  source: z.string(),
});
const PUBLISHED = z.strictObject({
  about: z.string(),
  sources: z.record(z.string(), z.string()),
  protocol: PROTOCOL,
  rows: z.array(PUBLISHED_ROW),
});

/** A published result: Dice and Jaccard in %, distances in voxels, means over the test cases. */
export type PublishedRow = z.infer<typeof PUBLISHED_ROW>;
/** The content of a dataset's `published.json`: its table with the protocol, and where numbers come from, by the key that a row names. */
export type Published = z.infer<typeof PUBLISHED>;

/** Reads the published tables that come with the datasets, by their names. Needs `--allow-read`. */
export async function readPublished(): Promise<Record<string, Published>> {
  const tables: Record<string, Published> = {};
  for (const { name, published } of Object.values(DATASETS)) {
    if (!published) continue;
    tables[name] = await readJson(fileURLToPath(published), PUBLISHED, {
      what: "the published results",
      remedy: "take the file that comes with the project",
    });
  }
  return tables;
}

/** One run under one evaluation: a row of the table. */
export interface Result {
  /** With its configuration and curves. */
  run: Run;
  /** One of the run's. */
  evaluation: Evaluation;
  /** Run and evaluation, unique in a report. */
  label: string;
}

/** What one table may hold: one dataset, one number of labeled cases. */
export interface Group {
  /** A profile's name. */
  dataset: string;
  /** Of the dataset, for readers. */
  title: string;
  /** What is counted: cases or patients. */
  unit: string;
  /** How many of them are labeled. */
  labeled: number;
  /** In the order of the runs. */
  results: Result[];
  /** Published rows for this number, then the upper bound that the paper prints beside every number. */
  published: PublishedRow[];
  /** Of the published rows; null where there are none. */
  protocol: Published["protocol"] | null;
}

/** A dataset as readers know it; its name where there is none of that name. */
export function datasetTitle(name: string): string {
  return DATASETS[name]?.title ?? name;
}

/** The tables of a report, in the order of the runs. */
export function groupResults(runs: Run[], tables: Record<string, Published>): Group[] {
  const groups = new Map<string, Group>();
  for (const run of runs) {
    for (const evaluation of run.evaluations) {
      const { dataset } = evaluation.metrics, { labeled } = countsOf(evaluation.metrics), known = tables[dataset];
      const published = publishedRows(known?.rows ?? [], labeled);
      const key = `${dataset} ${labeled}`;
      if (!groups.has(key)) {
        groups.set(key, {
          dataset,
          title: datasetTitle(dataset),
          unit: `${DATASETS[dataset]?.unit ?? "case"}s`,
          labeled,
          results: [],
          published,
          protocol: published.length && known ? known.protocol : null,
        });
      }
      groups.get(key)!.results.push({ run, evaluation, label: `${run.name}, ${evaluation.name}` });
    }
  }
  return [...groups.values()];
}

/** The split in the unit of the published tables: patients where cases are frames of patients, else cases. */
export function countsOf({ split }: Metrics): NonNullable<Metrics["split"]["patients"]> {
  return split.patients ?? split;
}

/** Rows of a number of labeled cases; without such rows there is nothing to compare with, and no upper bound either. */
function publishedRows(rows: PublishedRow[], labeled: number): PublishedRow[] {
  const all = Math.max(...rows.map((row) => row.labeled)), own = rows.filter((row) => row.labeled === labeled);
  return own.length && labeled !== all ? [...own, ...rows.filter((row) => row.labeled === all)] : own;
}

/** The printed name of a method; its key where there is none of that name. */
export function methodName(key: string): string {
  return isMethod(key) ? METHODS[key].title : key;
}
/** Its place in a table of methods; unknown ones come last. */
export function methodOrder(key: string): number {
  const known = Object.keys(METHODS), place = known.indexOf(key);
  return place < 0 ? known.length : place;
}

/** The settings of a run's method that are not as published. */
export function methodOptions({ dataset, method: { name, settings } }: RunConfig): Record<string, string> {
  const usual: Record<string, unknown> = isMethod(name) && Object.hasOwn(DATASETS, dataset)
    ? METHODS[name].settings(DATASETS[dataset]).parse({})
    : {};
  return Object.fromEntries(
    Object.entries(settings).filter(([key, value]) => value !== usual[key]).map(([key, value]) => [key, String(value)]),
  );
}

/** One setting of the protocol over all rows of a table. */
export interface Setting {
  /** First column of the table. */
  name: string;
  /** Null where it is not known, or means nothing there. */
  published: string | null;
  /** One value a result; `differs` where the published value is known and another. */
  values: { text: string; differs: boolean }[];
}

/** What stands over the protocol's table. */
export function protocolReading({ protocol }: Group): string {
  return protocol ? "≠ marks what differs from the published protocol." : "No published protocol is known here.";
}

/** Every setting that a row of the table depends on, the published one beside it. */
export function protocolSettings({ results, protocol, labeled, unit }: Group): Setting[] {
  const side = (sizes: readonly number[] | null) => sizes?.join(" × ") ?? "whole slices";
  const yes = (value: boolean) => value ? "kept" : "not taken";
  const number = (value: number) => value.toLocaleString("en-US");
  const settings: [string, string | null, (result: Result) => string][] = [
    ["Method", null, ({ run }) => methodName(run.config.method.name)],
    [
      "Options of the method",
      null,
      ({ run }) => Object.entries(methodOptions(run.config)).map((pair) => pair.join(" ")).join(", ") || "none",
    ],
    ["Preset", null, ({ run }) => run.config.training.preset],
    ["Iterations", protocol && number(protocol.iterations), ({ run }) => number(run.config.training.iterations)],
    [
      "Warm-up, labeled only",
      protocol && number(protocol.warmup),
      ({ run }) => number(run.config.training.warmup),
    ],
    [
      "Coarse iterations",
      protocol && "none",
      ({ run: { config: { training: { lowResolution } } } }) => lowResolutionText(lowResolution, ", ") ?? "none",
    ],
    [
      "Tested weights",
      protocol && "the checkpoint's iteration",
      ({ run }) => run.config.training.ema ? "moving average" : "the checkpoint's iteration",
    ],
    ["Training, minutes", null, ({ run }) => run.minutes === null ? "not logged" : run.minutes.toFixed(1)],
    ["Training precision", protocol && protocol.trainingPrecision, ({ run }) => run.config.training.precision],
    ["Patch", protocol && side(protocol.patch), ({ evaluation }) => side(evaluation.metrics.patch)],
    ["Seed", null, ({ run }) => String(run.config.training.seed)],
    ["Split", protocol && protocol.split, ({ evaluation }) => evaluation.metrics.split.source],
    [
      `Training ${unit}, labeled + unlabeled`,
      protocol && `${labeled} + ${protocol.unlabeled[labeled] ?? "?"}`,
      ({ evaluation: { metrics } }) => `${countsOf(metrics).labeled} + ${countsOf(metrics).unlabeled}`,
    ],
    [
      `Validation ${unit}`,
      protocol && String(protocol.validation),
      ({ evaluation: { metrics } }) => String(countsOf(metrics).validation),
    ],
    [
      `Test ${unit}`,
      protocol && String(protocol.test),
      ({ evaluation: { metrics } }) => String(countsOf(metrics).test),
    ],
    [
      "Preparation",
      protocol && protocol.preparation,
      ({ evaluation: { metrics: { preparations: [first, ...others] } } }) =>
        first + (others.length ? `; ${others.length} other${others.length > 1 ? "s" : ""}` : ""),
    ],
    [
      "Checkpoint",
      protocol && protocol.checkpoint,
      checkpointText,
    ],
    ["Checkpoint's iteration", null, ({ evaluation }) => number(evaluation.metrics.iteration)],
    ["Batch norm statistics", protocol && protocol.batchNorm, ({ evaluation }) => evaluation.metrics.batchNorm],
    ["Inference precision", protocol && protocol.precision, ({ evaluation }) => evaluation.metrics.precision],
    ["Window stride", protocol && side(protocol.stride), ({ evaluation }) => side(evaluation.metrics.stride)],
    [
      "Largest component",
      protocol && yes(protocol.largestComponent),
      ({ evaluation }) => yes(evaluation.metrics.largestComponent),
    ],
    ["Spacing", null, ({ evaluation: { metrics } }) => spacing(metrics)],
    [
      "Versions",
      null,
      ({ evaluation }) => Object.entries(evaluation.metrics.versions).map((pair) => pair.join(" ")).join(", "),
    ],
    [
      "Trained on",
      null,
      ({ run: { config: { training: { computedOn } } } }) =>
        computedOn === undefined
          ? "not recorded"
          : typeof computedOn === "string"
          ? computedOn
          : JSON.stringify(computedOn),
    ],
  ];
  return settings.map(([name, value, of]) => ({
    name,
    published: value,
    values: results.map((result) => {
      const text = of(result);
      // "as published" is a preparation that a case of the field's own files has, whatever was done to it.
      return { text, differs: value !== null && text !== value && text !== "as published" };
    }),
  }));
}

/** The settings that matter most, in one line. */
export function shortProtocol(result: Result): string {
  const { run: { config: { training }, minutes }, evaluation: { metrics } } = result;
  const warmup = training.warmup ? `, ${training.warmup} of them labeled only` : "";
  return [
    `preset ${training.preset}`,
    `${training.iterations.toLocaleString("en-US")} iterations${warmup}`,
    ...(minutes === null ? [] : [`${minutes.toFixed(1)} min`]),
    `training ${training.precision}`,
    `seed ${training.seed}`,
    `checkpoint ${checkpointText(result)}`,
    `batch norm ${metrics.batchNorm}`,
    `inference ${metrics.precision}`,
    metrics.largestComponent ? "largest component" : "all components",
    `${countsOf(metrics).test} test ${metrics.split.patients ? "patients" : "cases"}, ${metrics.split.source}`,
  ].join(" · ");
}

/** The same of the published rows. */
export function shortPublished({ unit, protocol }: { unit: string; protocol: Published["protocol"] }): string {
  return [
    `${protocol.iterations.toLocaleString("en-US")} iterations`,
    `training ${protocol.trainingPrecision}`,
    `checkpoint ${protocol.checkpoint}`,
    `batch norm ${protocol.batchNorm}`,
    protocol.largestComponent ? "largest component" : "all components",
    `${protocol.test} test ${unit}`,
  ].join(" · ");
}

/** Training keeps a best checkpoint only where there is a validation list. */
function checkpointText(
  { run: { config: { training: { validateEvery } } }, evaluation: { metrics: { checkpoint } } }: Result,
): string {
  if (checkpoint !== "best") return checkpoint;
  return "best of the validation list" + (validateEvery ? `, every ${validateEvery} iterations` : "");
}

function spacing({ summary, nominalSpacing, correctedSpacings }: Metrics): string {
  if (!summary.millimeters) return "unknown, no mm";
  const told = nominalSpacing ? "nominal, so are mm, ml and g" : "from the images";
  return correctedSpacings.length ? [told, ...correctedSpacings.map(correctedSpacingText)].join("; ") : told;
}

/** The four numbers in the order of the tables. */
export const NUMBERS = ["dice", "jaccard", "hd95", "asd"] as const;
/** One of them. */
export type NumberName = typeof NUMBERS[number];
/** Their printed names with units; the spacing plays no part in the distances. */
export const UNITS: Record<NumberName, string> = {
  dice: "Dice %",
  jaccard: "Jaccard %",
  hd95: "95HD voxels",
  asd: "ASD voxels",
};
/** Letters of the sources, as footnotes of the page. */
export function letter(index: number): string {
  return String.fromCharCode(97 + index);
}
/** What stands in the place of published rows where there are none. */
export function nothingPublished(group: Group): string {
  return `There are no published results here for this dataset with ${labeledText(group)}.`;
}
/** "1 labeled patient", "8 labeled cases". */
export function labeledText({ labeled, unit }: Group): string {
  return counted(labeled, `labeled ${unit.replace(/s$/, "")}`);
}

/** A number as printed: overlaps in %, distances as they are, two decimals; "–" where there is none. */
export function printed(name: NumberName, value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return (name === "dice" || name === "jaccard" ? 100 * value : value).toFixed(2);
}

/** A statistic as printed; the deviation is left out where it does not exist (one case). */
export function printedStatistic(
  name: NumberName,
  statistic: Spread | undefined,
): { mean: string; deviation: string | null } {
  const mean = printed(name, statistic?.mean);
  return { mean, deviation: statistic?.deviation == null ? null : printed(name, statistic.deviation) };
}

/** One line of the results table. */
export interface ResultLine {
  /** Whose line it is. */
  result: Result;
  /** Null for the mean over the classes of a case, or the only class. */
  part: string | null;
  /** Under the published convention for empty masks. */
  published: Record<NumberName, Spread>;
  /** Under the honest one. */
  honest: Record<NumberName, Spread>;
  /** Honest too, over the cases whose spacing is known; null where there are none. */
  millimeters: Record<"hd95" | "asd", Spread> | null;
  /** Cases, or patients, that the line is over. */
  count: number;
}

/** The lines of a result: its mean, its classes where there are several, its mean by patient where cases are frames. */
export function resultLines(result: Result): ResultLine[] {
  const { summary, patientSummary, classes, rows, patients } = result.evaluation.metrics;
  const cases = new Set(rows.map((row) => row.case)).size, main = classes.length > 1 ? "mean" : classes[0];
  const line = (part: string | null, of: Metrics["summary"], key: string, count: number) => ({
    result,
    part,
    published: of.published[key],
    honest: of.honest[key],
    millimeters: of.millimeters?.[key] ?? null,
    count,
  });
  return [
    line(null, summary, main, cases),
    ...(classes.length > 1 ? classes.map((name) => line(name, summary, name, cases)) : []),
    ...(patientSummary ? [line("by patient, ED and ES averaged", patientSummary, main, patients.length)] : []),
  ];
}

/** A unit as printed: with a nominal spacing it is marked. */
export function unitText(unit: "mm" | "ml" | "g" | "%", nominal: boolean): string {
  return nominal && unit !== "%" ? `nominal ${unit}` : unit;
}

/** Whether any result's millimeters are nominal. */
export function anyNominal(results: Result[]): boolean {
  return results.some(({ evaluation }) => evaluation.metrics.nominalSpacing);
}

/** A number with its sign, as printed: −1.5, +2.0, 0.0; "–" where there is none. */
export function signed(value: number | null, digits = 1): string {
  if (value === null) return "–";
  const size = Math.abs(value).toFixed(digits);
  return (Number(size) === 0 ? "" : value < 0 ? "−" : "+") + size;
}

/** A case with its Dice, the mean over its classes that have one (honest convention). */
export interface CaseDice {
  /** Of the case. */
  name: string;
  /** In [0, 1]. */
  dice: number;
}

/** Cases from the lowest Dice to the highest, the same Dice by name; without those that have none. */
export function casesByDice({ rows }: Metrics): CaseDice[] {
  const byCase = new Map<string, number[]>();
  for (const { case: name, honest: { dice } } of rows) {
    if (dice !== null) byCase.set(name, [...byCase.get(name) ?? [], dice]);
  }
  return [...byCase].map(([name, values]) => ({ name, dice: values.reduce((a, b) => a + b) / values.length }))
    .sort((a, b) => a.dice - b.dice || (a.name < b.name ? -1 : 1));
}

/**
 * The best, the median and the worst case by Dice; of an even number the lower of the two in the middle. With one or
 * two cases there is no median of its own.
 */
export function shownCases(metrics: Metrics): (CaseDice & { rank: "best" | "median" | "worst" | "only" })[] {
  const order = casesByDice(metrics), last = order.length - 1;
  if (last < 0) return [];
  if (last === 0) return [{ ...order[0], rank: "only" }];
  const middle = last > 1 ? [{ ...order[Math.floor(last / 2)], rank: "median" as const }] : [];
  return [{ ...order[last], rank: "best" }, ...middle, { ...order[0], rank: "worst" }];
}
