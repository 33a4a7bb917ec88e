/**
 * Rows of results, one a case and class, and their means and deviations, as `metrics.json` holds them. A number that does
 * not exist (a distance of an empty mask) is null, never NaN: JSON has none.
 * @module
 */
import type { Case } from "../data/cases.ts";
import type { CaseScores } from "./case_metrics.ts";

/** Overlaps between 0 and 1, distances in voxels; null: does not exist. */
export type Scores = Record<keyof CaseScores, number | null>;
/** Distances in millimeters; null: does not exist. */
export type Distances = Record<"hd95" | "asd", number | null>;

/** Scores of one class of a case, or of a patient. */
export interface ScoreRow {
  /** Name of the case, or of the patient. */
  case: string;
  /** Name of the class. */
  class: string;
  /** An empty prediction scores 0 in all four. */
  published: Scores;
  /** Two empty masks overlap fully, one empty mask not at all; an empty mask has no distance. */
  honest: Scores;
  /** Null where the spacing is not known; conventions as in `honest`. */
  millimeters: Distances | null;
}

/** One case and class. */
export interface ResultRow extends ScoreRow {
  /** Who was imaged; null where the case does not say. */
  patient: string | null;
  /** End of diastole or of systole; null where the case does not say. */
  phase: "ED" | "ES" | null;
  /** Predicted voxels of the class. */
  voxels: number;
  /** Voxels of the class in the reference. */
  referenceVoxels: number;
  /** Voxels times the volume of a voxel; null where the spacing is not known. */
  milliliters: { predicted: number; reference: number } | null;
  /** Of inference and metrics of the whole case. */
  seconds: number;
}

/** A number over cases, or over patients. */
export interface Spread {
  /** Null where no case has a value. */
  mean: number | null;
  /** Sample deviation (N - 1 in the denominator); null for fewer than two cases. */
  deviation: number | null;
  /** How many cases (or patients) have a value. */
  cases: number;
}

/** By class, and under "mean" the mean over the classes of a case; then by metric. */
export type Summary<Metric extends string> = Record<string, Record<Metric, Spread>>;

/** Mean and sample deviation of the values that exist. */
export function spread(values: readonly (number | null)[]): Spread {
  const here = values.filter((value) => value !== null), cases = here.length;
  if (!cases) return { mean: null, deviation: null, cases };
  const mean = here.reduce((sum, value) => sum + value, 0) / cases;
  const squares = here.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: cases > 1 ? Math.sqrt(squares / (cases - 1)) : null, cases };
}

const SCORES = ["dice", "jaccard", "hd95", "asd"] as const, DISTANCES = ["hd95", "asd"] as const;

/** Summaries of the same rows. */
export interface Summaries {
  /** An empty prediction scores 0. */
  published: Summary<keyof Scores>;
  /** Over the values that exist. */
  honest: Summary<keyof Scores>;
  /** Over the rows whose spacing is known; null where there is none. */
  millimeters: Summary<keyof Distances> | null;
}

/** Means and deviations of all rows, under both conventions, and in millimeters over the cases whose spacing is known. */
export function summarize(rows: readonly ScoreRow[]): Summaries {
  const measured = rows.filter((row) => row.millimeters);
  return {
    published: summaryOf(rows, SCORES, (row) => row.published),
    honest: summaryOf(rows, SCORES, (row) => row.honest),
    millimeters: measured.length ? summaryOf(measured, DISTANCES, (row) => row.millimeters!) : null,
  };
}

/**
 * A row a patient and class: the mean over the patient's frames that have a value. To {@linkcode summarize} with the
 * patient as the unit: two frames of one heart are not two independent cases.
 * @param rows Rows without a patient are left out.
 */
export function patientRows(rows: readonly ResultRow[]): ScoreRow[] {
  const groups = Object.groupBy(rows.filter((row) => row.patient !== null), (row) => `${row.patient}\n${row.class}`);
  return Object.values(groups).map((frames) => {
    const measured = frames!.filter((row) => row.millimeters);
    return {
      case: frames![0].patient!,
      class: frames![0].class,
      published: meanOf(SCORES, frames!.map((row) => row.published)),
      honest: meanOf(SCORES, frames!.map((row) => row.honest)),
      millimeters: measured.length ? meanOf(DISTANCES, measured.map((row) => row.millimeters!)) : null,
    };
  });
}

function meanOf<Metric extends string>(
  metrics: readonly Metric[],
  all: Record<Metric, number | null>[],
): Record<Metric, number | null> {
  const pairs = metrics.map((metric) => [metric, spread(all.map((values) => values[metric])).mean]);
  return Object.fromEntries(pairs) as Record<Metric, number | null>;
}

function summaryOf<Metric extends string>(
  rows: readonly ScoreRow[],
  metrics: readonly Metric[],
  valuesOf: (row: ScoreRow) => Record<Metric, number | null>,
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

/** A spacing that distances and volumes were measured with instead of a header's. */
export interface CorrectedSpacing {
  /** Millimeters along the axes of the cases, as the headers say them; null: they say none. */
  header: number[] | null;
  /** Millimeters that were taken. */
  used: number[];
  /** Cases that it was taken for. */
  cases: string[];
}

/** The corrected spacings of cases, each with its cases; none where the headers' count. */
export function correctedSpacings(
  cases: Pick<Case, "name" | "geometry" | "correctedSpacing">[],
): CorrectedSpacing[] {
  const found = new Map<string, CorrectedSpacing>();
  for (const { name, geometry, correctedSpacing: used } of cases) {
    if (!used) continue;
    const header = geometry?.spacing ?? null, key = JSON.stringify([header, used]);
    found.set(key, { header, used, cases: [...found.get(key)?.cases ?? [], name] });
  }
  return [...found.values()];
}

/** In words. */
export function correctedSpacingText({ header, used, cases }: CorrectedSpacing): string {
  const found = header ? `the header's ${header.join(" x ")} mm` : "an unknown spacing";
  return `spacing ${used.join(" x ")} mm instead of ${found} (${cases.length} case${cases.length === 1 ? "" : "s"})`;
}
