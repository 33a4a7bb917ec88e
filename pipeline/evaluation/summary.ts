/**
 * Rows of results, one a case and class, and their means and standard deviations, as `metrics.json` holds them. A
 * number that does not exist (a distance of an empty mask) is null, never NaN: JSON has none.
 * @module
 */
import type { Case } from "../records/case.ts";
import type { CorrectedSpacing, ResultRow, ScoreRow, Spread, Summaries } from "../records/evaluation.ts";

/** An interval of the mean of some values. */
export type IntervalOf = (values: readonly number[]) => [number, number] | null;

/** Mean and sample standard deviation of the values that exist, and with `intervalOf` the interval of the mean. */
export function spread(values: readonly (number | null)[], intervalOf?: IntervalOf): Spread {
  const here = values.filter((value) => value !== null), cases = here.length;
  const interval = intervalOf && { interval: intervalOf(here) };
  if (!cases) return { mean: null, standardDeviation: null, cases, ...interval };
  const mean = here.reduce((sum, value) => sum + value, 0) / cases;
  const squares = here.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, standardDeviation: cases > 1 ? Math.sqrt(squares / (cases - 1)) : null, cases, ...interval };
}

const SCORES = ["dice", "jaccard", "hd95", "asd"] as const, DISTANCES = ["hd95", "asd", "nsd"] as const;

/**
 * Means and standard deviations of all rows, under both conventions, and in millimeters over the cases whose spacing is
 * known.
 * @param intervalOf As {@linkcode bootstrapInterval}; without it there are no intervals.
 */
export function summarize(rows: readonly ScoreRow[], intervalOf?: IntervalOf): Summaries {
  const measured = rows.filter((row) => row.millimeters);
  return {
    published: summaryOf(rows, { metrics: SCORES, valuesOf: (row) => row.published, intervalOf }),
    honest: summaryOf(rows, { metrics: SCORES, valuesOf: (row) => row.honest, intervalOf }),
    millimeters: measured.length
      ? summaryOf(measured, { metrics: DISTANCES, valuesOf: (row) => row.millimeters!, intervalOf })
      : null,
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
  { metrics, valuesOf, intervalOf }: {
    metrics: readonly Metric[];
    valuesOf: (row: ScoreRow) => Record<Metric, number | null>;
    intervalOf?: IntervalOf;
  },
): Record<string, Record<Metric, Spread>> {
  const classes = Object.groupBy(rows, (row) => row.class), cases = Object.groupBy(rows, (row) => row.case);
  const summary: Record<string, Record<Metric, Spread>> = {};
  const of = (values: (metric: Metric) => (number | null)[]) =>
    Object.fromEntries(metrics.map((metric) => [metric, spread(values(metric), intervalOf)])) as Record<Metric, Spread>;
  for (const [name, own] of Object.entries(classes)) {
    summary[name] = of((metric) => own!.map((row) => valuesOf(row)[metric]));
  }
  summary.mean = of((metric) =>
    Object.values(cases).map((own) => spread(own!.map((row) => valuesOf(row)[metric])).mean)
  );
  return summary;
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
