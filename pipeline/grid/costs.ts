/**
 * Measured figures of trainings, `data/costs.json`, as `deno task bench step --method all --json` prints them. They turn
 * minutes into iterations, and iterations into hours and memory.
 * @module
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Preset } from "../datasets/dataset.ts";
import { DATASET_NAMES, DATASETS } from "../datasets/datasets.ts";
import { meanSeconds } from "../training/low_resolution.ts";
import { readJsonIfThere } from "../files/json.ts";
import { type MeasuredMemory, stepMemory } from "./memory.ts";
import { sizeOf } from "../arrays/shape.ts";
import type { Precision } from "../tensorflow/precision.ts";

const MEDIAN = z.object({ median: z.number().positive() });
/** The measured figures of this project. */
export const COSTS = fileURLToPath(new URL("../../data/costs.json", import.meta.url));
const ROW = z.looseObject({
  dataset: z.enum(DATASET_NAMES),
  method: z.string(),
  precision: z.string(),
  device: z.string(),
  patch: z.string().optional(), // of a step at another size, which was timed for its memory alone
  rows: z.int().optional(),
  threads: z.int(),
  stepSeconds: MEDIAN,
  warmupSeconds: MEDIAN.optional(),
  coarseSeconds: MEDIAN.optional(),
  peakMemoryGb: z.number().positive(),
  versions: z.object({ tensorflow: z.string().nullable() }),
  cpu: z.string(),
});

/** One step that was measured. */
export type CostRow = z.infer<typeof ROW>;

/** Which training costs are asked for. */
export interface CostKey {
  /** Profile's name. */
  dataset: string;
  /** As in `--method`. */
  method: string;
  /** Of the convolutions. */
  precision: Precision;
  /** "cpu" or "gpu". */
  device: string;
  /** The preset's iterations on smaller slices, null where it has none. */
  lowResolution: Preset["lowResolution"];
  /** Where it is not the published one. */
  patch?: readonly number[];
}

/** What a training costs. */
export interface Costs {
  /** Of one step of the method. */
  stepSeconds: number;
  /** Of one step of its warm-up, coarse ones counted by their share; null for the labeled-only method, which is its own. */
  warmupSeconds: number | null;
  /** Largest resident set. */
  memoryGb: number;
  /** Where it was measured: processor, threads, TensorFlow. */
  machine: string;
}

/** The measured steps of a file, none where there is no file. Needs `--allow-read`. @throws {DataError} When it holds anything else. */
export async function readCosts(path: string): Promise<CostRow[]> {
  const costs = await readJsonIfThere(path, z.looseObject({ steps: z.array(ROW) }), {
    what: "the measured figures",
    remedy: "measure them with deno task bench step --method all --json",
  });
  return costs?.steps ?? [];
}

/** The measured step of a training, in batches as published, and its memory at another patch; null when it was not measured. */
export function measuredStep(
  rows: CostRow[],
  { dataset, method, precision, device, lowResolution }: Omit<CostKey, "patch">,
): (CostRow & MeasuredMemory) | null {
  const own = rows.filter((row) =>
    row.dataset === dataset && row.method === method && row.precision === precision && row.device === device &&
    row.rows === undefined
  );
  const row = own.find((row) => row.patch === undefined && (!lowResolution || row.coarseSeconds));
  const sized = own.find((row) => row.patch !== undefined);
  if (!row) return null;
  const other = sized && { patch: sized.patch!.split("x").map(Number), peakMemoryGb: sized.peakMemoryGb };
  return { ...row, other };
}

/** The costs of a training; null when it was not measured. Times of another patch are taken in proportion to its voxels. */
export function costsOf(rows: CostRow[], key: CostKey): Costs | null {
  const row = measuredStep(rows, key), { lowResolution, dataset, patch = DATASETS[dataset].patch } = key;
  if (!row) return null;
  const share = sizeOf(patch) / sizeOf(DATASETS[dataset].patch);
  const labeledOnly = (full: number) => meanSeconds(lowResolution, { full, lowResolution: row.coarseSeconds?.median });
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
