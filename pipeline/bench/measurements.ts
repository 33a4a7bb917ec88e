/** What `deno task bench KIND --json` prints, which is also what a baseline file holds. @module */
import { z } from "zod";
import { DataError, readEach } from "../files/errors.ts";
import { checkContent, type JsonFile, readJson } from "../files/json.ts";
import { PASSES } from "./counts.ts";
import { KINDS, MEASURED } from "./kinds.ts";
import type { Part } from "./parts.ts";

const SECONDS = z.number().nonnegative();
/**
 * What earlier versions of this task did not print has a default or is optional: they can be run in turn with this
 * one.
 */
const TIMES = z.object({ minimum: SECONDS, median: SECONDS, all: z.array(SECONDS).default([]) });
const CONVOLUTIONS = z.record(z.string(), z.int().positive());
const FIGURES = z.object({
  /** Of one repetition: a step, a pass forward and back to all parameters, a case, a batch. */
  stepSeconds: TIMES.optional(),
  /** Of the first repetition, which traces and is not counted. */
  firstSeconds: SECONDS.optional(),
  /** Of a step of the method's warm-up, where it has another one. */
  warmupSeconds: TIMES.optional(),
  /** Of a labeled-only step on the smaller slices of the dataset's fast preset, where it has any. */
  coarseSeconds: TIMES.optional(),
  /** Of a pass forward alone. */
  forwardSeconds: TIMES.optional(),
  /** Of a pass forward and back to the input alone. */
  inputSeconds: TIMES.optional(),
  /** Of reading all cases. */
  readSeconds: TIMES.optional(),
  /** 60 over the median. */
  casesPerMinute: SECONDS.optional(),
  /** A step's: the network that is tested. */
  network: z.string().optional(),
  /** Rows that a step's convolutions take ({@linkcode Convolutions}). */
  convolutions: CONVOLUTIONS.optional(),
  /** The same of one row of every pass of a network. */
  passConvolutions: z.record(z.enum(PASSES), CONVOLUTIONS).optional(),
  /** What has pieces has no other times. */
  pieces: z.array(z.object({ name: z.string(), firstSeconds: SECONDS, seconds: TIMES })).min(1).optional(),
});
const MEASUREMENT = z.looseObject({
  kind: z.enum(MEASURED),
  ...FIGURES.shape,
  peakMemoryGb: z.number().positive(),
  versions: z.object({
    deno: z.string(),
    tensorflow: z.string().nullable(),
    project: z.string().optional(),
    commit: z.string().nullish(),
  }),
  cpu: z.string(),
  machine: z.object({
    target: z.string(),
    cores: z.int().positive(),
    memoryGb: z.number().positive(),
    instructionSets: z.array(z.string()).nullable(),
  }).optional(),
});

/** Times of one process. */
export type Figures = z.infer<typeof FIGURES>;
/** All that one process reports; its options stand beside the named fields. */
export type Measurement = z.infer<typeof MEASUREMENT>;

/** A result of a process. @throws {z.ZodError} When it is none. */
export const parseMeasurement = (text: string): Measurement => MEASUREMENT.parse(JSON.parse(text));

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
  /** Unique in its measurement. */
  name: string;
  /** The fastest repetition: other work can only add. */
  minimum: number;
  /** Seconds of its repetitions; none where they were not kept. */
  all: number[];
}

/** The series of a measurement. */
export function seriesOf(measurement: Measurement): Series[] {
  const { pieces = [], stepSeconds, warmupSeconds, coarseSeconds, forwardSeconds, inputSeconds, readSeconds } =
    measurement;
  const named = {
    [measurement.kind]: stepSeconds,
    "warm-up": warmupSeconds,
    "coarse": coarseSeconds,
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
