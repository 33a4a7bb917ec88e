/** Batches of the real shapes without data, on which steps are timed. @module */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { batchRows, type Method } from "../methods/method.ts";
import type { Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { stream } from "../arrays/random.ts";
import { type Batch, toScalars, toTensors } from "./training_step.ts";
import { sizeOf } from "../arrays/shape.ts";

/**
 * Classes of so many rows `[B, ...patch]`, the last axis fastest; another patch than the published one has boxes of
 * its size.
 */
export function syntheticLabels({ name, patch, bench }: DatasetProfile, rows: number): Int32Array {
  const size = sizeOf(patch), labels = new Int32Array(rows * size), publishedPatch = DATASETS[name].patch;
  const scaled = (corner: readonly number[]) =>
    corner.map((n, axis) => Math.round(n * patch[axis] / publishedPatch[axis]));
  bench.boxes.forEach((box, k) => {
    const from = scaled(box.from), to = scaled(box.to);
    const visit = (axis: number, offset: number) => {
      if (axis === patch.length) labels[offset] = k + 1;
      else for (let i = from[axis]; i < to[axis]; i++) visit(axis + 1, offset * patch[axis] + i);
    };
    visit(0, 0);
  });
  for (let row = 1; row < rows; row++) labels.copyWithin(row * size, 0, size);
  return labels;
}

/** Images of standard deviation 1 `[B, ..., C]` and labels of the first rows, as a tensor and as the host's array. */
export function syntheticRows(
  profile: DatasetProfile,
  { labeled, unlabeled }: { labeled: number; unlabeled: number },
): { x: Tensor; label: Tensor; labels: Int32Array } {
  const { channels, patch } = profile, random = stream(1, "bench"), rows = labeled + unlabeled;
  const labels = syntheticLabels(profile, labeled);
  const image = Float32Array.from({ length: rows * sizeOf(patch) * channels }, () => 3.46 * (random() - 0.5));
  const label = tf.tensor(labels, [labeled, ...patch], "int32");
  return { x: tf.tensor(image, [rows, ...patch, channels]), label, labels };
}

/**
 * A method's batches, of the same images and with other noise every time. What its host makes of the labels is made
 * once: in a training that happens while the step before is computed.
 */
export function syntheticBatches(method: Method): (i: number) => Batch {
  const { profile } = method, { labeledPerBatch: labeled } = profile;
  const { labels, ...rows } = syntheticRows(profile, batchRows(method));
  const scheduled = method.scheduled?.(1000, 0.5) ?? {};
  const targets = method.targets?.(labels, [labeled, ...profile.patch]) ?? {};
  return (i) => ({
    ...rows,
    seed: tf.tensor1d([7, i], "int32") as Tensor1D,
    consistencyWeight: tf.scalar(0.1),
    learningRate: tf.scalar(0.01),
    scheduled: toScalars(scheduled),
    targets: toTensors(targets),
  });
}
