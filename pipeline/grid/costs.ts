/**
 * Measured figures of trainings, `data/costs.json`, as `deno task bench step --method all --json` prints them. They turn
 * minutes into iterations, and iterations into hours and memory.
 * @module
 */
import { fileURLToPath } from "node:url";
import { sidesOf, sizeOf } from "../arrays/shape.ts";
import type { Preset } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { meanSeconds } from "../training/low_resolution.ts";
import { type MeasuredMemory, stepMemory } from "./memory.ts";
import type { Costs, Length } from "../records/cell.ts";
import type { MeasuredStep } from "../records/measurement.ts";
import type { Precision } from "../tensorflow/precision.ts";

/** Part of a budget that is spent on the labeled half alone, before a method's own steps. */
export const WARMUP_SHARE = 0.5;

/** The measured figures of this project. */
export const COSTS = fileURLToPath(new URL("../../data/costs.json", import.meta.url));

/** Which training costs are asked for. */
export interface CostKey {
  /** Profile's name. */
  dataset: string;
  /** The method's name as in `--method`. */
  method: string;
  /** Arithmetic of the convolutions. */
  precision: Precision;
  /** "cpu" or "gpu". */
  device: string;
  /** The preset's iterations on smaller slices, null where it has none. */
  lowResolution: Preset["lowResolution"];
  /** The patch, where it is not the published one. */
  patch?: readonly number[];
}

/** The measured step of a training, in batches as published, and its memory at another patch; null when it was not measured. */
export function measuredStep(
  rows: MeasuredStep[],
  { dataset, method, precision, device, lowResolution }: Omit<CostKey, "patch">,
): (MeasuredStep & MeasuredMemory) | null {
  const own = rows.filter((row) =>
    row.dataset === dataset && row.method === method && row.precision === precision && row.device === device &&
    row.rows === undefined
  );
  const row = own.find((row) => row.patch === undefined && (!lowResolution || row.lowResolutionSeconds));
  const sized = own.find((row) => row.patch !== undefined);
  if (!row) return null;
  const other = sized && { patch: sidesOf(sized.patch!), peakMemoryGb: sized.peakMemoryGb };
  return { ...row, other };
}

/** The costs of a training; null when it was not measured. Times of another patch are taken in proportion to its voxels. */
export function costsOf(rows: MeasuredStep[], key: CostKey): Costs | null {
  const row = measuredStep(rows, key), { lowResolution, dataset, patch = DATASETS[dataset].patch } = key;
  if (!row) return null;
  const share = sizeOf(patch) / sizeOf(DATASETS[dataset].patch);
  const labeledOnly = (full: number) =>
    meanSeconds(lowResolution, { full, lowResolution: row.lowResolutionSeconds?.median });
  const step = share * row.stepSeconds.median, warmup = row.warmupSeconds && share * row.warmupSeconds.median;
  return {
    stepSeconds: warmup === undefined ? labeledOnly(step) : step,
    warmupSeconds: warmup === undefined ? null : labeledOnly(warmup),
    memoryGb: stepMemory(row, { patch }),
    machine: `${row.cpu}, ${row.threads} threads, TensorFlow ${row.versions.tensorflow}`,
  };
}

/** The command that measures a training. */
export function benchCommand({ dataset, method, precision, device }: Omit<CostKey, "lowResolution" | "patch">): string {
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
