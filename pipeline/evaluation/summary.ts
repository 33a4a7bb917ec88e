/**
 * Rows of results, one a case and class, and their means and deviations, as `metrics.json` holds them. A number that does
 * not exist (a distance of an empty mask) is null, never NaN: JSON has none.
 * @module
 */
import type { CaseScores } from "./case_metrics.ts";

/** Overlaps between 0 and 1, distances in voxels; null: does not exist. */
export type Scores = Record<keyof CaseScores, number | null>;
/** Distances in millimeters; null: does not exist. */
export type Distances = Record<"hd95" | "asd", number | null>;

/** One case and class. */
export interface ResultRow {
  case: string;
  class: string;
  voxels: number;
  referenceVoxels: number;
  /** Of inference and metrics of the whole case. */
  seconds: number;
  published: Scores;
  honest: Scores;
  /** Null where the spacing is not known; conventions as in `honest`. */
  millimeters: Distances | null;
}

/** A number over cases. */
export interface Spread {
  /** Null where no case has a value. */
  mean: number | null;
  /** Sample deviation (N - 1 in the denominator); null for fewer than two cases. */
  deviation: number | null;
  /** How many cases have a value. */
  cases: number;
}

/** By class, and under "mean" the mean over the classes of a case; then by metric. */
export type Summary<Metric extends string> = Record<string, Record<Metric, Spread>>;

/** Mean and sample deviation of the values that exist. */
export function spread(values: (number | null)[]): Spread {
  const here = values.filter((value) => value !== null), cases = here.length;
  if (!cases) return { mean: null, deviation: null, cases };
  const mean = here.reduce((sum, value) => sum + value, 0) / cases;
  const squares = here.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: cases > 1 ? Math.sqrt(squares / (cases - 1)) : null, cases };
}

/** Means and deviations of all rows, under both conventions, and in millimeters over the cases whose spacing is known. */
export function summarize(rows: ResultRow[]): {
  published: Summary<keyof Scores>;
  honest: Summary<keyof Scores>;
  millimeters: Summary<keyof Distances> | null;
} {
  const overlapAndDistance = ["dice", "jaccard", "hd95", "asd"] as const, distance = ["hd95", "asd"] as const;
  const measured = rows.filter((row) => row.millimeters);
  return {
    published: summaryOf(rows, overlapAndDistance, (row) => row.published),
    honest: summaryOf(rows, overlapAndDistance, (row) => row.honest),
    millimeters: measured.length ? summaryOf(measured, distance, (row) => row.millimeters!) : null,
  };
}

function summaryOf<Metric extends string>(
  rows: ResultRow[],
  metrics: readonly Metric[],
  valuesOf: (row: ResultRow) => Record<Metric, number | null>,
): Summary<Metric> {
  const classes = Object.groupBy(rows, (row) => row.class), cases = Object.groupBy(rows, (row) => row.case);
  const summary: Summary<Metric> = {};
  const of = (values: (metric: Metric) => (number | null)[]) =>
    Object.fromEntries(metrics.map((metric) => [metric, spread(values(metric))])) as Record<Metric, Spread>;
  for (const [name, own] of Object.entries(classes)) {
    summary[name] = of((metric) => own!.map((row) => valuesOf(row)[metric]));
  }
  summary.mean = of((metric) =>
    Object.values(cases).map((own) => spread(own!.map((row) => valuesOf(row)[metric])).mean)
  );
  return summary;
}
