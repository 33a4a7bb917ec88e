/**
 * `evaluation-…/metrics.json` of a run: how it was evaluated, a row a case and class, and what is made of them. One schema
 * for who writes and who reads it. A number that does not exist (a distance of an empty mask) is null, never NaN: JSON has
 * none.
 * @module
 */
import { z } from "zod";
import type { Components } from "../arrays/components.ts";
import { sha256 } from "../files/hash.ts";
import { type JsonFile, readJson, readJsonIfThere, writeRecord } from "../files/json.ts";
import { NAME } from "../files/names.ts";
import { withPresentNames } from "../files/present_names.ts";
import { counted } from "../files/words.ts";
import { isFull } from "../tensorflow/precision.ts";
import { CHOICE, COMPONENTS_SCHEMA, type ComponentsChoice, withPresentComponents } from "./components.ts";
import type { Statistics } from "./run.ts";

/** Overlaps between 0 and 1, distances in voxels; null: does not exist. */
export type Scores = Record<"dice" | "jaccard" | "hd95" | "asd", number | null>;

/**
 * What is measured in millimeters: distances, and `nsd`, the part of the surfaces (between 0 and 1) that lies within the
 * tolerance; null: does not exist, or was not measured by an earlier version.
 */
export type Distances = Record<"hd95" | "asd" | "nsd", number | null>;

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
  /** Distances in millimeters, conventions as in `honest`; null where the spacing is not known. */
  millimeters: Distances | null;
}

/** One case and class. */
export interface ResultRow extends ScoreRow {
  /** The person who was imaged; null where the case does not say. */
  patient: string | null;
  /** End of diastole or of systole; null where the case does not say. */
  phase: "ED" | "ES" | null;
  /** Predicted voxels of the class. */
  voxels: number;
  /** Voxels of the class in the reference. */
  referenceVoxels: number;
  /** Voxels times the volume of a voxel; null where the spacing is not known. */
  milliliters: { predicted: number; reference: number } | null;
  /** Seconds of inference and metrics of the whole case. */
  seconds: number;
}

/** A number over cases, or over patients. */
export interface Spread {
  /** Mean; null where no case has a value. */
  mean: number | null;
  /** Sample standard deviation (N - 1 in the denominator); null for fewer than two cases. */
  standardDeviation: number | null;
  /** How many cases (or patients) have a value. */
  cases: number;
  /** 95 % interval of the mean; null for fewer than two cases, absent where none was wanted. */
  interval?: [number, number] | null;
}

/** Means by class, and under "mean" over the classes of a case; then by metric. */
export type Summary<Metric extends string> = Record<string, Record<Metric, Spread>>;

/** Summaries of the same rows. */
export interface Summaries {
  /** An empty prediction scores 0. */
  published: Summary<keyof Scores>;
  /** Means over the values that exist. */
  honest: Summary<keyof Scores>;
  /** Means over the rows whose spacing is known; null where there is none. */
  millimeters: Summary<keyof Distances> | null;
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

/** The quantities with their units, in the order in which they are reported. */
export const CLINICAL_UNITS = {
  "LV EDV": "ml",
  "LV ESV": "ml",
  "LV EF": "%",
  "RV EDV": "ml",
  "RV ESV": "ml",
  "RV EF": "%",
  "LV mass": "g",
} as const;

/** Left (LV) or right ventricle (RV): its volume at ED (EDV), at ES (ESV), its ejection fraction (EF); mass of the left one. */
export type ClinicalName = keyof typeof CLINICAL_UNITS;

/** All of them. */
export const CLINICAL_NAMES = Object.keys(CLINICAL_UNITS) as ClinicalName[];

/** One quantity of one patient; null: does not exist. */
export interface ClinicalValue {
  /** The value from the predicted masks. */
  predicted: number | null;
  /** The value from the reference's masks. */
  reference: number | null;
  /** `predicted - reference`; of an ejection fraction in percentage points. */
  error: number | null;
}

/** All quantities of one patient. */
export interface PatientValues {
  /** Name. */
  patient: string;
  /** Names of the cases they come from; null: that frame is not among the rows. */
  frames: Record<"ED" | "ES", string | null>;
  /** Values by quantity. */
  values: Record<ClinicalName, ClinicalValue>;
}

/** How far predictions lie off, over patients; of volumes over cases. */
export interface Agreement {
  /** Unit of all numbers here; "%" are percentage points. */
  unit: "ml" | "%" | "g";
  /** Mean error; null where no patient has one. */
  bias: number | null;
  /** Sample standard deviation of the errors (N - 1 in the denominator); null for fewer than two patients. */
  standardDeviation: number | null;
  /** Limits of agreement, `bias ± 1.96 standardDeviation`, the lower one first; null for fewer than two patients. */
  limits: [number, number] | null;
  /** Mean absolute error; null where no patient has one. */
  meanAbsolute: number | null;
  /** How many patients have an error. */
  patients: number;
}

/** Lengths of the lists of a split. */
export type Counts = Record<"labeled" | "unlabeled" | "validation" | "test", number>;

/** The content of `metrics.json`. */
export interface Metrics {
  /** Name of the dataset. */
  dataset: string;
  /** Name of the method. */
  method: string;
  /** Which one of the run's. */
  checkpoint: string;
  /** The iteration after which it was written; 0 where it does not say. */
  iteration: number;
  /** Steps up to it that were left out, as not all in them was finite; null: not known (other weights, an earlier version). */
  skippedSteps: number | null;
  /** Statistics of the batch norms, one of `STATISTICS`; where there are no batch norms "running". */
  batchNorm: string;
  /** Arithmetic of the convolutions. */
  precision: string;
  /** The network's input. */
  patch: readonly number[];
  /** Stride of the sliding window; null for slices. */
  stride: readonly number[] | null;
  /** Share of a window that the next one overlapped, voxels weighted by a Gaussian; null: the stride, all voxels alike. */
  overlap: number | null;
  /** Whether the mean over the mirrorings of the training was taken. */
  mirror: boolean;
  /** Which connected components were kept. */
  components: Components;
  /** What chose them; null: the method, or who evaluated. */
  componentsChoice: ComponentsChoice | null;
  /** What was done to the test cases. */
  preparations: string[];
  /** What was done to the cases of the training, as far as the folder has them. */
  trainingPreparations: string[];
  /** Whether the spacing is a usual one instead of the scanner's. */
  nominalSpacing: boolean;
  /** Spacings that distances took instead of a header's; none where the headers' count. */
  correctedSpacings: CorrectedSpacing[];
  /** Millimeters, of the normalized surface distance; null: not measured by an earlier version. */
  tolerance: number | null;
  /** Where the test cases come from. */
  split: Counts & { source: string; patients: Counts | null };
  /** Folder of the cases. */
  cases: string;
  /** Seconds of the whole evaluation. */
  seconds: number;
  /** Versions of the programs. */
  versions: Record<string, string>;
  /** Names of the classes from 1 on. */
  classes: readonly string[];
  /** A row a case and class. */
  rows: ResultRow[];
  /** The rows of the same masks in every other way to keep components; none of an earlier version. */
  otherComponents: { components: Components; rows: ResultRow[] }[];
  /** Means over the rows. */
  summary: Summaries;
  /** Means with the patient as the unit; null where cases are none of patients. */
  patientSummary: Summaries | null;
  /** Quantities of the patients; none where the cases are none of patients. */
  patients: PatientValues[];
  /** How far the patients' quantities lie off; null where none of them has any. */
  clinical: Record<ClinicalName, Agreement> | null;
  /** How far the volume of each class lies off, over the cases; null where no spacing is known. */
  volumes: Record<string, Agreement> | null;
}

/** Numbers are bounded, so that sums and percentages stay numbers: there are no such volumes, and no such times. */
const NUMBER = z.number().min(-1e15).max(1e15), KNOWN = NUMBER.nullable(), OVERLAP = z.number().min(0).max(1);

const SCORES = z.object({
  dice: OVERLAP.nullable(),
  jaccard: OVERLAP.nullable(),
  hd95: NUMBER.nullable(),
  asd: NUMBER.nullable(),
});
const DISTANCES = SCORES.pick({ hd95: true, asd: true }).extend({ nsd: OVERLAP.nullable().default(null) });

const SCORE_ROW = z.object({
  case: NAME,
  class: NAME,
  published: SCORES,
  honest: SCORES,
  millimeters: DISTANCES.nullable(),
});
/** The schema of a {@linkcode ResultRow}. */
export const RESULT_ROW: z.ZodType<ResultRow> = SCORE_ROW.extend({
  patient: NAME.nullable(),
  phase: z.enum(["ED", "ES"]).nullable(),
  voxels: NUMBER,
  referenceVoxels: NUMBER,
  milliliters: z.object({ predicted: NUMBER, reference: NUMBER }).nullable(),
  seconds: NUMBER,
});

/** Versions up to 0.2 wrote `deviation`. */
const WITH_DEVIATION = <S extends z.ZodType>(schema: S) =>
  z.preprocess((content) => withPresentNames(content, { deviation: "standardDeviation" }), schema);

const SPREAD = WITH_DEVIATION(z.object({
  mean: NUMBER.nullable(),
  standardDeviation: NUMBER.nullable(),
  cases: NUMBER,
  interval: z.tuple([NUMBER, NUMBER]).nullable().optional(),
}));
const NOT_MEASURED: Spread = { mean: null, standardDeviation: null, cases: 0 };
const SUMMARY = z.object({ dice: SPREAD, jaccard: SPREAD, hd95: SPREAD, asd: SPREAD });
/** The schema of {@linkcode Summaries}. */
export const SUMMARIES: z.ZodType<Summaries> = z.object({
  published: z.record(z.string(), SUMMARY),
  honest: z.record(z.string(), SUMMARY),
  millimeters: z.record(
    z.string(),
    SUMMARY.pick({ hd95: true, asd: true }).extend({ nsd: SPREAD.default(NOT_MEASURED) }),
  ).nullable(),
});
const SIDES = z.array(z.number());
const CORRECTED_SPACING = z.object({ header: SIDES.nullable(), used: SIDES, cases: z.array(z.string()) });
const BY_QUANTITY = <S extends z.ZodType>(schema: S) => z.record(z.enum(CLINICAL_NAMES), schema);
const PATIENT = z.object({
  patient: NAME,
  frames: z.object({ ED: z.string().nullable(), ES: z.string().nullable() }),
  values: BY_QUANTITY(z.object({ predicted: KNOWN, reference: KNOWN, error: KNOWN })),
});
const AGREEMENT = WITH_DEVIATION(z.object({
  unit: z.enum(["ml", "%", "g"]),
  bias: KNOWN,
  standardDeviation: KNOWN,
  limits: z.tuple([NUMBER, NUMBER]).nullable(),
  meanAbsolute: KNOWN,
  patients: NUMBER,
}));
const COUNTS = z.object({ labeled: NUMBER, unlabeled: NUMBER, validation: NUMBER, test: NUMBER });
/** Strict: a checksum whose name is damaged is not that of an older file. */
const METRICS: z.ZodType<Metrics> = z.preprocess(
  withPresentComponents,
  z.strictObject({
    dataset: NAME,
    method: z.string(),
    checkpoint: z.string(),
    iteration: NUMBER,
    skippedSteps: NUMBER.nullable().default(null),
    batchNorm: z.string(),
    precision: z.string(),
    patch: z.array(NUMBER),
    stride: z.array(NUMBER).readonly().nullable(),
    overlap: z.number().nullable().default(null), // earlier versions had the published strides alone, as the next
    mirror: z.boolean().default(false),
    components: COMPONENTS_SCHEMA,
    componentsChoice: CHOICE.nullable().default(null),
    preparations: z.array(z.string()),
    trainingPreparations: z.array(z.string()).default([]),
    nominalSpacing: z.boolean(),
    correctedSpacings: z.array(CORRECTED_SPACING).default([]),
    tolerance: NUMBER.nullable().default(null),
    split: COUNTS.extend({ source: z.string(), patients: COUNTS.nullable() }),
    cases: z.string(),
    seconds: NUMBER,
    versions: z.record(z.string(), z.string()),
    classes: z.array(NAME).min(1).readonly(),
    rows: z.array(RESULT_ROW).min(1),
    otherComponents: z.array(z.object({ components: COMPONENTS_SCHEMA, rows: z.array(RESULT_ROW).min(1) })).default([]),
    summary: SUMMARIES,
    patientSummary: SUMMARIES.nullable(),
    patients: z.array(PATIENT),
    clinical: BY_QUANTITY(AGREEMENT).nullable(),
    volumes: z.record(z.string(), AGREEMENT).nullable().default(null),
  }),
);

const FILE: JsonFile = { what: "the evaluation", remedy: "write it with deno task eval DATASET" };
const pathOf = (folder: string) => `${folder}/metrics.json`;

/**
 * Reads the results in an evaluation's folder. Needs `--allow-read`.
 * @throws {DataError} When they are none.
 */
export function readMetrics(folder: string): Promise<Metrics> {
  return readJson(pathOf(folder), METRICS, FILE);
}

/** Reads as {@linkcode readMetrics}; null where there are none. */
export function readMetricsIfThere(folder: string): Promise<Metrics | null> {
  return readJsonIfThere(pathOf(folder), METRICS, FILE);
}

/** Writes the results into an evaluation's folder. Needs `--allow-read`, `--allow-write`. */
export function writeMetrics(folder: string, metrics: Metrics): Promise<void> {
  return writeRecord(pathOf(folder), metrics);
}

/** A corrected spacing in words. */
export function correctedSpacingText({ header, used, cases }: CorrectedSpacing): string {
  const found = header ? `the header's ${header.join(" x ")} mm` : "an unknown spacing";
  return `spacing ${used.join(" x ")} mm instead of ${found} (${counted(cases.length, "case")})`;
}

/** How a run was evaluated, as far as one evaluation must not take another's place. */
export interface EvaluationKind {
  /** Statistics of the batch norms. */
  batchNorm: Statistics;
  /** Which one of the run's. */
  checkpoint: "last" | "best";
  /** Which components of a prediction were kept; null: the method's own choice. */
  components: Components | null;
  /** The overlap as {@linkcode Metrics} has it. */
  overlap: number | null;
  /** Whether mirrorings were averaged, as {@linkcode Metrics} has it. */
  mirror: boolean;
  /** Arithmetic of the convolutions. */
  precision: string;
  /** The split whose test cases are evaluated; null: the training's own. */
  split: { test: readonly string[] } | null;
}

/**
 * Name of an evaluation's folder: `evaluation-BATCHNORM`, then what is not the usual: `-best`, the components, `-overlap0.5`,
 * `-mirror`, the precision, and of another split's test cases eight digits of their hash.
 *
 * @example What is usual is not named
 * ```ts
 * import assert from "node:assert/strict";
 * import { evaluationName } from "@ssnet/pipeline/records/evaluation.ts";
 *
 * const published = { batchNorm: "running", checkpoint: "last", components: null, overlap: null, mirror: false } as const;
 * const usual = { ...published, precision: "fp32", split: null };
 * assert.equal(evaluationName(usual), "evaluation-running");
 * assert.equal(evaluationName({ ...usual, components: "all", mirror: true }), "evaluation-running-all-mirror");
 * ```
 */
export function evaluationName(
  { batchNorm, checkpoint, components, overlap, mirror, precision, split }: EvaluationKind,
): string {
  return [
    `evaluation-${batchNorm}`,
    ...checkpoint === "best" ? ["best"] : [],
    ...components ? [components] : [],
    ...overlap === null ? [] : [`overlap${overlap}`],
    ...mirror ? ["mirror"] : [],
    ...isFull(precision) ? [] : [precision],
    ...split ? [sha256(split.test.join("\n")).slice(0, 8)] : [],
  ].join("-");
}
