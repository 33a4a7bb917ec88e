/**
 * Measured figures of trainings, `data/costs.json`, as `deno task bench step --method all --json` prints them. They turn
 * minutes into iterations, and iterations into hours and memory.
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Preset } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { batchRows, createMethod, type Method } from "../methods/method.ts";
import { type MethodName, METHODS } from "../methods/methods.ts";
import { meanSeconds } from "../training/low_resolution.ts";
import { type MeasuredMemory, shareOf, stepMemory, type StepShape } from "./memory.ts";
import type { Costs, Length } from "../records/cell.ts";
import type { Plan } from "../records/plan.ts";
import type { MeasuredStep } from "../records/measurement.ts";
import type { Precision } from "../tensorflow/precision.ts";

/** Part of a budget that is spent on the labeled half alone, before a method's own steps. */
export const WARMUP_SHARE = 0.5;

/** The measured figures of this project. */
export const COSTS = fileURLToPath(new URL("../../data/costs.json", import.meta.url));

/** Which training costs are asked for; of its shape what differs from the published one. */
export interface CostKey extends Partial<StepShape> {
  /** The dataset whose measured figures are taken: of one's own the one that it follows the protocol of. */
  dataset: string;
  /** The method's name as in `--method`. */
  method: string;
  /** Arithmetic of the convolutions. */
  precision: Precision;
  /** "cpu" or "gpu". */
  device: string;
  /** The preset's iterations on smaller slices, null where it has none. */
  lowResolution: Preset["lowResolution"];
}

/** Options of `bench step` that a row of the published shape has not. */
const AS_PUBLISHED = { patch: undefined, rows: undefined, channels: undefined, classes: undefined };

/** Rows of a method's batches, all together. */
export function stepRows(method: Omit<Method, "step">): number {
  const { labeled, unlabeled } = batchRows(method);
  return labeled + unlabeled;
}

/** The shape of a method's step on a dataset as published. */
function publishedShape({ dataset, method }: Pick<CostKey, "dataset" | "method">): StepShape {
  const made = createMethod(METHODS[method as MethodName], DATASETS[dataset]),
    { patch, channels, classes } = made.profile;
  return { patch, rows: stepRows(made), channels, classes };
}

/** The measured step of a training, as published; null when it was not measured. */
export function measuredStep(
  rows: MeasuredStep[],
  { dataset, method, precision, device, lowResolution }: Omit<CostKey, keyof StepShape>,
): (MeasuredStep & MeasuredMemory) | null {
  const wanted = { dataset, method, precision, device, ...AS_PUBLISHED };
  const row = rows.find((row) =>
    (Object.keys(wanted) as (keyof typeof wanted)[]).every((key) => row[key] === wanted[key]) &&
    (!lowResolution || row.lowResolutionSeconds)
  );
  return row ? { ...row, reference: publishedShape({ dataset, method }) } : null;
}

/** The whole shape of a training: as published where the key does not say otherwise. */
export function shapeOf({ reference }: MeasuredMemory, key: CostKey): StepShape {
  const { patch, rows, channels, classes } = { ...reference, ...key };
  return { patch, rows, channels, classes };
}

/** The costs of a training; null when it was not measured. Times of another shape are taken in proportion ({@linkcode shareOf}). */
export function costsOf(rows: MeasuredStep[], key: CostKey): Costs | null {
  const row = measuredStep(rows, key), { lowResolution } = key;
  if (!row) return null;
  const shape = shapeOf(row, key), share = shareOf("time", shape, row.reference);
  const labeledOnly = (full: number) =>
    meanSeconds(lowResolution, { full, lowResolution: row.lowResolutionSeconds?.median });
  const step = share * row.stepSeconds.median, warmup = row.warmupSeconds && share * row.warmupSeconds.median;
  return {
    stepSeconds: warmup === undefined ? labeledOnly(step) : step,
    warmupSeconds: warmup === undefined ? null : labeledOnly(warmup),
    memoryGb: stepMemory(row, shape),
    machine: `${row.cpu}, ${row.threads} threads, TensorFlow ${row.versions.tensorflow}`,
  };
}

/** Memory and time of a step of SS-Net in fp32 on a CPU by a plan. @param rows Measured figures. */
export function planCosts(
  rows: MeasuredStep[],
  { protocol, patch, batch, channels, classes }: Pick<Plan, "protocol" | "patch" | "batch" | "channels" | "classes">,
): Costs {
  const key = { dataset: protocol, method: "ssnet", precision: "fp32", device: "cpu", lowResolution: null } as const;
  const shape = { rows: batch.labeled + batch.unlabeled, channels: channels.length, classes: classes.length + 1 };
  return costsOf(rows, { ...key, patch, ...shape })!;
}

/** The command that measures a training. */
export function benchCommand(
  { dataset, method, precision, device }: Pick<CostKey, "dataset" | "method" | "precision" | "device">,
): string {
  const elsewhere = device === "cpu" ? "" : ` --device ${device}`;
  return `deno task bench step --dataset ${dataset} --method ${method} --precision ${precision}${elsewhere} --json`;
}

/**
 * The longest training that fits a number of minutes by measured figures, {@linkcode WARMUP_SHARE} of them a warm-up; for
 * the labeled-only method, which is its own warm-up, all of them its steps. Whatever the figures, each stage has a step.
 */
export function lengthOf(minutes: number, { stepSeconds, warmupSeconds }: Costs): Length {
  const seconds = 60 * minutes, steps = (seconds: number, each: number) => Math.max(1, Math.floor(seconds / each));
  if (warmupSeconds === null) return { iterations: steps(seconds, stepSeconds), warmup: 0 };
  const warmup = steps(WARMUP_SHARE * seconds, warmupSeconds);
  return { iterations: warmup + steps((1 - WARMUP_SHARE) * seconds, stepSeconds), warmup };
}

/** Hours of a training of that length by measured figures, evaluation and start left out. */
export function hoursOf({ iterations, warmup }: Length, { stepSeconds, warmupSeconds }: Costs): number {
  return (warmup * (warmupSeconds ?? 0) + (iterations - warmup) * stepSeconds) / 3600;
}
