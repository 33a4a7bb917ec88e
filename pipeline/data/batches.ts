/**
 * Training batches: labeled rows first, then unlabeled ones, augmented; a pure function of seed and iteration, so that a
 * resumed run goes on with the batches it would have had.
 * @module
 */
import { stream } from "../arrays/random.ts";
import { drawPatch, drawSlice, extractPatch, extractSlice } from "./augment.ts";
import { BoundedWorker } from "../files/bounded_worker.ts";
import type { CodedVoxels } from "./coded_voxels.ts";
import { readFileBytes, readingSeconds, unreadable } from "../files/hdf5.ts";
import type { CasePlace, ReadingJob, ReadingResult } from "./item_reader.ts";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { batchCases } from "./sampler.ts";
import { augmentStrongly } from "./strong_augmentation.ts";
import type { Augmentation } from "../records/run.ts";
import type { Split } from "../records/split.ts";
import type { Shape2, Shape3 } from "../arrays/shape.ts";
import { DataError } from "../files/errors.ts";
import type { Manifest } from "../records/manifest.ts";

/** What a row of a batch is drawn from: a volume (LA) or a slice of one (ACDC). */
export interface TrainingItem {
  /** `[X, Y, Z]` or `[H, W]`, the last axis fastest. */
  shape: readonly number[];
  /** Intensities, prepared. */
  image: Float32Array | CodedVoxels;
  /** Class of every voxel; null where there is none, as an unlabeled row may have it. */
  label: Uint8Array | null;
}

/** All that a training draws from; it stays in memory. */
export interface TrainingItems {
  /** The labeled cases in the order of the split; of ACDC all slices of a volume behind one another. */
  labeled: TrainingItem[];
  /** Empty for a method that reads none. */
  unlabeled: TrainingItem[];
}

/**
 * Reads the training cases of a split, and where the first labeled one lies. Needs `--allow-read`.
 *
 * @param options `withUnlabeled`: whether the unlabeled cases are read at all. `cases`: what the manifest says of them, which
 * each is compared with; absent for files that have none.
 * @throws {DataError} Naming every case that is missing or broken, or is to be labeled and has no label.
 */
export async function readTrainingItems(
  folder: string,
  split: Split,
  { profile, withUnlabeled, cases }: {
    profile: DatasetProfile;
    withUnlabeled: boolean;
    cases?: Manifest["cases"];
  },
): Promise<TrainingItems & { place: CasePlace | null }> {
  const jobs = (names: string[], isLabeled: boolean) =>
    names.map((name) => ({ path: `${folder}/${name}.h5`, name, isLabeled, expected: cases?.[name] }));
  const results = await readInParallel([
    ...jobs(split.labeled, true),
    ...jobs(withUnlabeled ? split.unlabeled : [], false),
  ]);
  const problems = results.flatMap((result) => "problem" in result ? [result.problem] : []);
  const itemsOf = (results: ReadingResult[]) =>
    results.flatMap((result) => {
      if ("problem" in result) return [];
      return profile.patch.length === 2 ? slicesOf(result.item) : [result.item];
    });
  const items = {
    labeled: itemsOf(results.slice(0, split.labeled.length)),
    unlabeled: itemsOf(results.slice(split.labeled.length)),
  };
  const rows = { labeled: items.labeled.length, unlabeled: items.unlabeled.length };
  if (!problems.length) problems.push(...batchProblems(rows, { profile, withUnlabeled }));
  if (problems.length) throw new DataError(problems.join("\n"));
  const [first] = results; // the first labeled case: without problems there is one
  return { ...items, place: "place" in first ? first.place : null };
}

/**
 * Why so many rows do not fill a batch, a line a part.
 * @param rows What a batch is drawn from: cases, or slices of them.
 */
export function batchProblems(
  rows: Record<"labeled" | "unlabeled", number>,
  { profile, withUnlabeled }: { profile: DatasetProfile; withUnlabeled: boolean },
): string[] {
  const unit = profile.patch.length === 3 ? "cases" : "slices";
  const wanted = { labeled: profile.labeledPerBatch, unlabeled: withUnlabeled ? profile.unlabeledPerBatch : 0 };
  return (["labeled", "unlabeled"] as const).filter((part) => rows[part] < wanted[part]).map((part) =>
    `Cannot fill a batch from the split: ${wanted[part]} ${part} ${unit} wanted, ${rows[part]} found`
  );
}

/** Workers at most: each has a case and the library of HDF5 in memory. */
const MOST_READERS = 8;

/** Reads cases with every core. @returns In the order of the jobs. */
async function readInParallel(jobs: Omit<ReadingJob, "bytes">[]): Promise<ReadingResult[]> {
  const count = Math.min(jobs.length, navigator.hardwareConcurrency, MOST_READERS), results: ReadingResult[] = [];
  const module = new URL("./item_reader.ts", import.meta.url);
  const workers = Array.from({ length: count }, () => new BoundedWorker<ReadingJob, ReadingResult>(module));
  let next = 0;
  const serve = async (worker: typeof workers[number]) => {
    for (let i = next++; i < jobs.length; i = next++) {
      results[i] = await readWith(worker, jobs[i]);
      if ("problem" in results[i]) worker.end(); // its library may be broken
    }
  };
  try {
    await Promise.all(workers.map(serve));
  } finally {
    workers.forEach((worker) => worker.end());
  }
  return results;
}

async function readWith(
  worker: BoundedWorker<ReadingJob, ReadingResult>,
  job: Omit<ReadingJob, "bytes">,
): Promise<ReadingResult> {
  try {
    const bytes = await readFileBytes(job.path), seconds = readingSeconds(bytes.length);
    const result = await worker.call({ ...job, bytes }, { transfer: [bytes.buffer], seconds });
    return result ?? { problem: unreadable(job.path, null).message };
  } catch (error) {
    if (error instanceof DataError || error instanceof Deno.errors.NotFound) return { problem: error.message };
    throw error;
  }
}

/** The planes of a volume along its first axis. */
function slicesOf({ shape: [count, h, w], image, label }: TrainingItem): TrainingItem[] {
  return Array.from({ length: count }, (_, i) => {
    const own = [i * h * w, (i + 1) * h * w] as const;
    return {
      shape: [h, w],
      image: "codes" in image ? { ...image, codes: image.codes.subarray(...own) } : image.subarray(...own),
      label: label && label.subarray(...own),
    };
  });
}

/** One batch, rows behind one another, ready to be moved to TensorFlow. */
export interface BatchArrays {
  /** B: labeled rows, then unlabeled ones. */
  rows: number;
  /** `[B, X, Y, Z]` or `[B, H, W]`: `rows` patches. */
  image: Float32Array;
  /** `[L, X, Y, Z]` or `[L, H, W]`: classes of the labeled rows. */
  label: Int32Array;
}

/** What a batch is made of. */
export interface BatchOptions {
  /** Says how many rows of either kind a batch has. */
  profile: Pick<DatasetProfile, "labeledPerBatch" | "unlabeledPerBatch">;
  /** {@linkcode drawPatch} and {@linkcode drawSlice}, or {@linkcode augmentStrongly}. */
  augmentation: Augmentation;
  /** The training's seed; streams "sampler labeled", "sampler unlabeled" and "augmentation" or "strong augmentation" of it. */
  seed: number;
  /** The iteration, from 1 on. */
  iteration: number;
  /** Size of a row, three axes or two. */
  patch: readonly number[];
  /** Whether it has unlabeled rows. */
  withUnlabeled: boolean;
}

/**
 * The batch of an iteration: {@linkcode batchCases} chooses its rows, which are augmented.
 * @throws {RangeError} When there are fewer cases than a batch wants.
 *
 * @example Two labeled rows of constant volumes keep their values
 * ```ts
 * import assert from "node:assert/strict";
 * import { assembleBatch } from "@ssnet/pipeline/data/batches.ts";
 * import { LA } from "@ssnet/pipeline/datasets/la/profile.ts";
 *
 * const of = (value: number) => ({
 *   shape: [20, 20, 20],
 *   image: new Float32Array(8000).fill(value),
 *   label: new Uint8Array(8000).fill(1),
 * });
 * const options = { profile: LA, augmentation: "published" as const, seed: 1, iteration: 1, patch: [16, 16, 16], withUnlabeled: false };
 * const { rows, image } = assembleBatch({ labeled: [of(3), of(5)], unlabeled: [] }, options);
 * assert.equal(rows, 2);
 * assert.deepEqual([image[0], image[4096]].sort(), [3, 5]);
 * ```
 */
export function assembleBatch(items: TrainingItems, options: BatchOptions): BatchArrays {
  const { profile, augmentation, seed, iteration, patch, withUnlabeled } = options;
  const drawn = batchCases(seed, iteration, {
    labeledCases: items.labeled.length,
    unlabeledCases: withUnlabeled ? items.unlabeled.length : 0,
    labeledPerBatch: profile.labeledPerBatch,
    unlabeledPerBatch: withUnlabeled ? profile.unlabeledPerBatch : 0,
  });
  const rows = [...drawn.labeled.map((i) => items.labeled[i]), ...drawn.unlabeled.map((i) => items.unlabeled[i])];
  const size = patch.reduce((a, n) => a * n, 1);
  const image = new Float32Array(rows.length * size), label = new Int32Array(profile.labeledPerBatch * size);
  const isStrong = augmentation === "strong";
  const random = stream(seed, isStrong ? "strong augmentation" : "augmentation", iteration);
  rows.forEach((item, row) => {
    if (isStrong) {
      const part = [row * size, (row + 1) * size] as const, isLabeled = row < profile.labeledPerBatch;
      const to = { patch, image: image.subarray(...part), label: isLabeled ? label.subarray(...part) : null };
      augmentStrongly(random, item, to);
      return;
    }
    const targets = row < profile.labeledPerBatch ? [image, label] : [image], offset = row * size;
    const sources = ["codes" in item.image ? item.image.codes : item.image, item.label!];
    if (patch.length === 2) {
      const draw = drawSlice(random), shape = item.shape as Shape2;
      const cut = { size: patch as Shape2, draw, offset };
      targets.forEach((target, i) => extractSlice(sources[i], shape, { ...cut, target }));
    } else {
      const shape = item.shape as Shape3, draw = drawPatch(random, shape, patch as Shape3);
      const cut = { patch: patch as Shape3, draw, offset };
      targets.forEach((target, i) => extractPatch(sources[i], shape, { ...cut, target }));
    }
    if ("codes" in item.image) decode(image.subarray(offset, offset + size), item.image.palette);
  });
  return { rows: rows.length, image, label };
}

/** Codes become the values that they stand for. */
function decode(codes: Float32Array, palette: Float32Array): void {
  for (let i = 0; i < codes.length; i++) codes[i] = palette[codes[i]];
}
