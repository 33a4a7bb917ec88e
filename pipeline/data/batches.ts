/**
 * Training batches: labeled rows first, then unlabeled ones, augmented; a pure function of seed and iteration, so that a
 * resumed run goes on with the batches it would have had.
 * @module
 */
import { channelsIn, channelsLast } from "../arrays/channels.ts";
import { stream } from "../arrays/random.ts";
import { drawPatch, drawSlice, extractPatch, extractSlice } from "./augment.ts";
import { BoundedWorker } from "../files/bounded_worker.ts";
import type { CodedVoxels } from "./coded_voxels.ts";
import { readFileBytes, readingSeconds, unreadable } from "../files/hdf5.ts";
import type { CasePlace, ReadingJob, ReadingResult } from "./item_reader.ts";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { batchCases } from "./sampler.ts";
import { augmentStrongly, changeIntensities } from "./strong_augmentation.ts";
import type { Augmentation } from "../records/run.ts";
import type { Split } from "../records/split.ts";
import type { Shape2, Shape3 } from "../arrays/shape.ts";
import { DataError } from "../files/errors.ts";
import { counted } from "../files/words.ts";
import type { Manifest } from "../records/manifest.ts";

/** What a row of a batch is drawn from: a volume (LA) or a slice of one (ACDC). */
export interface TrainingItem {
  /** `[X, Y, Z]` or `[H, W]`, the last axis fastest. */
  shape: readonly number[];
  /** Intensities of every channel, prepared. */
  image: readonly (Float32Array | CodedVoxels)[];
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
 * @throws {DataError} Naming every case that is missing or broken, is to be labeled and has no label, or has another number
 * of channels.
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
  const jobsOf = (names: string[], isLabeled: boolean) =>
    names.map((name) => ({ path: `${folder}/${name}.h5`, name, isLabeled, expected: cases?.[name] }));
  const jobs = [...jobsOf(split.labeled, true), ...jobsOf(withUnlabeled ? split.unlabeled : [], false)];
  const results = await readInParallel(jobs);
  const problems = results.flatMap((result, i) => {
    if ("problem" in result) return [result.problem];
    const { channels } = profile, found = result.item.image.length;
    return found === channels
      ? []
      : [`Cannot use "${jobs[i].path}": ${counted(channels, "channel")} wanted, ${found} found`];
  });
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
      image: image.map((channel) =>
        "codes" in channel ? { ...channel, codes: channel.codes.subarray(...own) } : channel.subarray(...own)
      ),
      label: label && label.subarray(...own),
    };
  });
}

/** One batch, rows behind one another, ready to be moved to TensorFlow. */
export interface BatchArrays {
  /** B: labeled rows, then unlabeled ones, then their strong views where there are any. */
  rows: number;
  /** `[B, X, Y, Z, C]` or `[B, H, W, C]`: `rows` patches. */
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
  /**
   * The training's seed; streams "sampler labeled", "sampler unlabeled", "augmentation" or "strong augmentation", and
   * "strong view" of it.
   */
  seed: number;
  /** The iteration, from 1 on. */
  iteration: number;
  /** Size of a row, three axes or two. */
  patch: readonly number[];
  /** Whether it has unlabeled rows. */
  withUnlabeled: boolean;
  /**
   * Whether each of these comes a second time, with intensities changed as by {@linkcode changeIntensities}; the first one then
   * keeps its own, also where the augmentation is strong.
   */
  withStrongViews?: boolean;
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
 *   image: [new Float32Array(8000).fill(value)],
 *   label: new Uint8Array(8000).fill(1),
 * });
 * const options = { profile: LA, augmentation: "published" as const, seed: 1, iteration: 1, patch: [16, 16, 16], withUnlabeled: false };
 * const { rows, image } = assembleBatch({ labeled: [of(3), of(5)], unlabeled: [] }, options);
 * assert.equal(rows, 2);
 * assert.deepEqual([image[0], image[4096]].sort(), [3, 5]);
 * ```
 */
export function assembleBatch(items: TrainingItems, options: BatchOptions): BatchArrays {
  const { profile, augmentation, seed, iteration, patch, withUnlabeled, withStrongViews = false } = options;
  const drawn = batchCases(seed, iteration, {
    labeledCases: items.labeled.length,
    unlabeledCases: withUnlabeled ? items.unlabeled.length : 0,
    labeledPerBatch: profile.labeledPerBatch,
    unlabeledPerBatch: withUnlabeled ? profile.unlabeledPerBatch : 0,
  });
  const rows = [...drawn.labeled.map((i) => items.labeled[i]), ...drawn.unlabeled.map((i) => items.unlabeled[i])];
  const size = patch.reduce((a, n) => a * n, 1), channels = rows[0].image.length, labeled = profile.labeledPerBatch;
  const count = rows.length + (withStrongViews ? rows.length - labeled : 0), row = channels * size;
  const image = new Float32Array(count * row), label = new Int32Array(labeled * size);
  const isStrong = augmentation === "strong",
    channelsOf = (i: number) => channelsIn(image.subarray(i * row, (i + 1) * row), channels);
  const random = stream(seed, isStrong ? "strong augmentation" : "augmentation", iteration);
  rows.forEach((item, i) => {
    const isLabeled = i < labeled;
    const to = { image: channelsOf(i), label: isLabeled ? label.subarray(i * size, (i + 1) * size) : null };
    if (isStrong) return augmentStrongly(random, item, { patch, ...to, isWeak: withStrongViews && !isLabeled });
    const extract = extraction(random, item, patch);
    item.image.forEach((channel, c) => {
      if (!("codes" in channel)) return extract(channel, to.image[c]);
      extract(channel.codes, to.image[c]);
      decode(to.image[c], channel.palette);
    });
    if (to.label) extract(item.label!, to.label);
  });
  if (withStrongViews) {
    image.copyWithin(rows.length * row, labeled * row, rows.length * row);
    const view = stream(seed, "strong view", iteration);
    for (let i = rows.length; i < count; i++) {
      for (const channel of channelsOf(i)) changeIntensities(view, channel, patch);
    }
  }
  return { rows: count, image: channelsLast(image, { channels, size }), label };
}

/** Draws the published augmentation of an item: the same for all channels and the label. */
function extraction(
  random: () => number,
  { shape }: TrainingItem,
  patch: readonly number[],
): (source: ArrayLike<number>, target: Float32Array | Int32Array) => void {
  if (patch.length === 2) {
    const cut = { size: patch as Shape2, draw: drawSlice(random) };
    return (source, target) => extractSlice(source, shape as Shape2, { ...cut, target });
  }
  const cut = { patch: patch as Shape3, draw: drawPatch(random, shape as Shape3, patch as Shape3) };
  return (source, target) => extractPatch(source, shape as Shape3, { ...cut, target });
}

/** Codes become the values that they stand for. */
function decode(codes: Float32Array, palette: Float32Array): void {
  for (let i = 0; i < codes.length; i++) codes[i] = palette[codes[i]];
}
