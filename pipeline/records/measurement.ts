/**
 * What `deno task bench KIND --json` prints: what one process measured, its options beside it. `data/costs.json` is that of
 * `step --method all`, from which a grid plans; a baseline file is any of them.
 * @module
 */
import { z } from "zod";
import { readJsonIfThere } from "../files/json.ts";
import { withPresentNames } from "../files/present_names.ts";

/** What one process measures. */
export const MEASURED = ["step", "forward-backward", "inference", "metrics", "micro", "end-to-end", "cases"] as const;
/** One of {@linkcode MEASURED}. */
export type Measured = typeof MEASURED[number];

/** A pass: forward alone, forward and back to the input alone, forward and back to every parameter. */
export const PASSES = ["forward", "input", "all"] as const;
/** One of {@linkcode PASSES}. */
export type PassName = typeof PASSES[number];

const SECONDS = z.number().nonnegative();
/**
 * What earlier versions of this task did not print has a default or is optional: they can be run in turn with this
 * one.
 */
const TIMES = z.object({
  /** Other work on the machine can only add: the least disturbed one. */
  minimum: SECONDS,
  /** The time in the middle. */
  median: SECONDS,
  /** All of them in the order in which they ran. */
  all: z.array(SECONDS).default([]),
});
const CONVOLUTIONS = z.record(z.string(), z.int().positive());
const FIGURES = z.object({
  /** The seconds of one repetition: a step, a pass forward and back to all parameters, a case, a batch. */
  stepSeconds: TIMES.optional(),
  /** The seconds of the first repetition, which traces and is not counted. */
  firstSeconds: SECONDS.optional(),
  /** The seconds of a step of the method's warm-up, where it has another one. */
  warmupSeconds: TIMES.optional(),
  /** The seconds of a labeled-only step on the smaller slices of the dataset's fast preset, where it has any. */
  lowResolutionSeconds: TIMES.optional(),
  /** The seconds of a pass forward alone. */
  forwardSeconds: TIMES.optional(),
  /** The seconds of a pass forward and back to the input alone. */
  inputSeconds: TIMES.optional(),
  /** The seconds of reading all cases. */
  readSeconds: TIMES.optional(),
  /** 60 over the median. */
  casesPerMinute: SECONDS.optional(),
  /** A step's: the network that is tested. */
  network: z.string().optional(),
  /** Rows that a step's convolutions take ({@linkcode Convolutions}). */
  convolutions: CONVOLUTIONS.optional(),
  /** The convolutions of one row of every pass of a network. */
  passConvolutions: z.record(z.enum(PASSES), CONVOLUTIONS).optional(),
  /** What has pieces has no other times. */
  pieces: z.array(z.object({ name: z.string(), firstSeconds: SECONDS, seconds: TIMES })).min(1).optional(),
});
const PROCESS = z.looseObject({
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
/** Versions up to 0.2 wrote `coarseSeconds`. */
const WITH_PRESENT_NAMES = <S extends z.ZodType>(schema: S) =>
  z.preprocess((content) => withPresentNames(content, { coarseSeconds: "lowResolutionSeconds" }), schema);
/** Schema of what one process reports. */
export const MEASUREMENT = WITH_PRESENT_NAMES(PROCESS);

/** Seconds of repeated work. */
export type Times = z.infer<typeof TIMES>;
/** Times of one process. */
export type Figures = z.infer<typeof FIGURES>;
/** All that one process reports; its options stand beside the named fields. */
export type Measurement = z.infer<typeof MEASUREMENT>;

/** A result of a process. @throws {z.ZodError} When it is none. */
export const parseMeasurement = (text: string): Measurement => MEASUREMENT.parse(JSON.parse(text));

/** A step of a training. */
const STEP = WITH_PRESENT_NAMES(PROCESS.extend({
  kind: z.literal("step"),
  dataset: z.string(),
  method: z.string(),
  precision: z.string(),
  device: z.string(),
  threads: z.int(),
  /** What is not as published of its shape; the costs of a training leave such a step out. */
  patch: z.string().optional(),
  rows: z.int().optional(),
  channels: z.int().optional(),
  classes: z.int().optional(),
  stepSeconds: TIMES.extend({ median: z.number().positive() }),
}));
const STEPS = z.strictObject({ kind: z.literal("steps"), steps: z.array(STEP) });

/** A measured step. */
export type MeasuredStep = z.infer<typeof STEP>;

/** The text of a file of measured steps. @throws {z.ZodError} When one is no step. */
export const stepsText = (steps: Measurement[]): string => JSON.stringify(STEPS.parse({ kind: "steps", steps }));

/** The measured steps of a file, none where there is no file. Needs `--allow-read`. @throws {DataError} When it holds anything else. */
export async function readSteps(path: string): Promise<MeasuredStep[]> {
  const file = await readJsonIfThere(path, STEPS, {
    what: "the measured figures",
    remedy: "measure them with deno task bench step --method all --json",
  });
  return file?.steps ?? [];
}
