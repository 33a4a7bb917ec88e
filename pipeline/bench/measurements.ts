/** Measurements as what they can be compared by, and baseline files of them. @module */
import { z } from "zod";
import { DataError, readEach } from "../files/errors.ts";
import { checkContent, type JsonFile, readJson } from "../files/json.ts";
import { MEASUREMENT, type Measurement } from "../records/measurement.ts";
import { KINDS } from "./kinds.ts";
import type { Part } from "./parts.ts";

/** What measures the same again. */
export function partOf(measurement: Measurement): Part {
  const { kind } = measurement, names = Object.keys(KINDS[kind].shape).filter((name) => name !== "json");
  const given = names.filter((name) => measurement[name] !== undefined && measurement[name] !== "");
  return { kind, options: Object.fromEntries(given.map((name) => [name, measurement[name] as string | number])) };
}

/** What tells a measurement from others: kind and options. */
export function titleOf(measurement: Measurement): string {
  const { iterations: _, dataset, method, network, precision, threads, ...others } = partOf(measurement).options;
  const shown = Object.entries(others).filter(([, value]) => value !== "cpu").map(([name, value]) =>
    `${name} ${value}`
  );
  return [
    [measurement.kind, dataset, method, network, precision].filter((word) => word !== undefined).join(" "),
    ...shown,
    ...threads ? [`${threads} threads`] : [],
  ].join(", ");
}

/** One series of times that can be compared. */
export interface Series {
  /** The name of the series, unique in its measurement. */
  name: string;
  /** The fastest repetition: other work can only add. */
  minimum: number;
  /** Seconds of its repetitions; none where they were not kept. */
  all: number[];
}

/** The series of a measurement. */
export function seriesOf(measurement: Measurement): Series[] {
  const { pieces = [], stepSeconds, warmupSeconds, lowResolutionSeconds, forwardSeconds, inputSeconds, readSeconds } =
    measurement;
  const named = {
    [measurement.kind]: stepSeconds,
    "warm-up": warmupSeconds,
    "low resolution": lowResolutionSeconds,
    "forward alone": forwardSeconds,
    "back to the input": inputSeconds,
    reading: readSeconds,
  };
  return [...pieces.map(({ name, seconds }) => [name, seconds] as const), ...Object.entries(named)].flatMap(
    ([name, times]) => times ? [{ name, minimum: times.minimum, all: times.all }] : [],
  );
}

/** What was measured, to be compared with. */
export interface Baseline {
  /** Its file. */
  path: string;
  /** A process each. */
  measurements: Measurement[];
}

const BASELINE = z.preprocess((content) => {
  const { steps, rows } = (content ?? {}) as { steps?: unknown; rows?: unknown };
  return steps ?? rows ?? [content];
}, z.array(MEASUREMENT).min(1));
const BASELINE_FILE: JsonFile = {
  what: "the baseline",
  remedy: "write a file with deno task bench KIND --json > FILE",
};

async function readBaseline(path: string): Promise<Baseline> {
  const measurements = await readJson(path, BASELINE, BASELINE_FILE);
  for (const one of measurements) {
    const what = `the options of ${one.kind} in the baseline`;
    checkContent(partOf(one).options, KINDS[one.kind], { ...BASELINE_FILE, what, path });
  }
  return { path, measurements };
}

/**
 * Reads baseline files. Needs `--allow-read`.
 * @throws {DataError} Naming every file that cannot be compared with, and why.
 */
export async function readBaselines(paths: string[]): Promise<Baseline[]> {
  const { results: baselines, problems } = await readEach(paths, readBaseline);
  if (problems.length) throw new DataError(problems.join("\n"));
  return baselines;
}
