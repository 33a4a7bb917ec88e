/**
 * What one table of a report may hold: results of one dataset and one number of labeled cases, beside the published ones;
 * and its cases in the order of their Dice.
 * @module
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { DATASETS } from "../datasets/datasets.ts";
import { readJson } from "../files/json.ts";
import { counted } from "../files/words.ts";
import { COMPONENTS_SCHEMA } from "../records/components.ts";
import type { Metrics } from "../records/evaluation.ts";
import type { Evaluation, Methods, Run } from "./runs.ts";

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
  components: COMPONENTS_SCHEMA,
});
const PUBLISHED_ROW = z.strictObject({
  method: z.string(),
  title: z.string().optional(),
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

/** A published result: Dice and Jaccard in %, distances in voxels, means over the test cases; its title where it is not its method's. */
export type PublishedRow = z.infer<typeof PUBLISHED_ROW>;
/** The content of a dataset's `published.json`: its table with the protocol, and where numbers come from, by the key that a row names. */
export type PublishedResults = z.infer<typeof PUBLISHED>;

/** Reads the published tables that come with the datasets, by their names. Needs `--allow-read`. */
export async function readPublishedResults(): Promise<Record<string, PublishedResults>> {
  const tables: Record<string, PublishedResults> = {};
  for (const { name, publishedResults } of Object.values(DATASETS)) {
    if (!publishedResults) continue;
    tables[name] = await readJson(fileURLToPath(publishedResults), PUBLISHED, {
      what: "the published results",
      remedy: "take the file that comes with the project",
    });
  }
  return tables;
}

/** One run under one evaluation: a row of the table. */
export interface Result {
  /** The run with its configuration and curves. */
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
  /** The dataset's title, for readers. */
  title: string;
  /** What is counted: cases or patients. */
  unit: string;
  /** How many of them are labeled. */
  labeled: number;
  /** The results in the order of the runs. */
  results: Result[];
  /** Published rows for this number, then the upper bound that the paper prints beside every number. */
  publishedRows: (PublishedRow & { title: string })[];
  /** Where they come from: the keys of the sources, in the order of their numbers. */
  sources: string[];
  /** The protocol of the published rows; null where there are none. */
  protocol: PublishedResults["protocol"] | null;
}

/** The tables of a report, in the order of the runs. */
export function groupResults(runs: Run[], tables: Record<string, PublishedResults>, methods: Methods): Group[] {
  const groups = new Map<string, Group>();
  for (const run of runs) {
    for (const evaluation of run.evaluations) {
      const { dataset } = evaluation.metrics, { labeled } = countsOf(evaluation.metrics), known = tables[dataset];
      const key = `${dataset} ${labeled}`;
      if (!groups.has(key)) {
        const publishedRows = publishedRowsOf(known?.rows ?? [], labeled);
        groups.set(key, {
          dataset,
          title: run.dataset.title,
          unit: `${run.dataset.unit}s`,
          labeled,
          results: [],
          publishedRows: publishedRows.map((row) => ({
            ...row,
            title: row.title ?? methods[row.method]?.title ?? row.method,
          })),
          sources: [...new Set(publishedRows.map(({ source }) => source))],
          protocol: publishedRows.length ? known.protocol : null,
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
function publishedRowsOf(rows: PublishedRow[], labeled: number): PublishedRow[] {
  const all = Math.max(...rows.map((row) => row.labeled)), own = rows.filter((row) => row.labeled === labeled);
  return own.length && labeled !== all ? [...own, ...rows.filter((row) => row.labeled === all)] : own;
}

/** The published mean of a method with the group's number of labeled cases; null where there is none. */
export function publishedRowOf(
  { publishedRows, labeled }: Group,
  method: string,
): Group["publishedRows"][number] | null {
  return publishedRows.find((row) => row.labeled === labeled && !row.class && row.method === method) ?? null;
}

/** What stands in the place of published rows where there are none. */
export function noPublishedResults(group: Group): string {
  return `There are no published results here for this dataset with ${labeledText(group)}.`;
}

/** "1 labeled patient", "8 labeled cases". */
export function labeledText({ labeled, unit }: Group): string {
  return counted(labeled, `labeled ${unit.replace(/s$/, "")}`);
}

/** Whether any result's millimeters are nominal. */
export function anyNominal(results: Result[]): boolean {
  return results.some(({ evaluation }) => evaluation.metrics.nominalSpacing);
}

/** A case with its Dice, the mean over its classes that have one (honest convention). */
export interface CaseDice {
  /** The name of the case. */
  name: string;
  /** Its Dice, in [0, 1]. */
  dice: number;
}

/** Cases from the lowest Dice to the highest, the same Dice by name; without those that have none. */
export function casesByDice({ rows }: Metrics): CaseDice[] {
  const byCase = Map.groupBy(rows.filter(({ honest }) => honest.dice !== null), (row) => row.case);
  return [...byCase]
    .map(([name, own]) => ({ name, dice: own.reduce((sum, { honest }) => sum + honest.dice!, 0) / own.length }))
    .sort((a, b) => a.dice - b.dice || (a.name < b.name ? -1 : 1));
}

/** Where a case stands by Dice over all cases of its result. */
export type Rank = "best" | "median" | "worst" | "only";

/**
 * The best, the median and the worst case by Dice; of an even number the lower of the two in the middle. With one or
 * two cases there is no median of its own.
 */
export function shownCases(metrics: Metrics): (CaseDice & { rank: Rank })[] {
  const order = casesByDice(metrics), last = order.length - 1;
  if (last < 0) return [];
  if (last === 0) return [{ ...order[0], rank: "only" }];
  const middle = last > 1 ? [{ ...order[Math.floor(last / 2)], rank: "median" as const }] : [];
  return [{ ...order[last], rank: "best" }, ...middle, { ...order[0], rank: "worst" }];
}
