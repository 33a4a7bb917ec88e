/** Batches of the real shapes without data, on which steps are timed. @module */
import type { DatasetProfile } from "../data/profiles.ts";
import type { Method } from "../methods/method.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { stream } from "./random.ts";
import { type Batch, toScalars, toTensors } from "./training_step.ts";

/** A block of every class, where the authors' code is timed with one; the last axis fastest. */
function blocks({ name, patch }: DatasetProfile): Int32Array {
  const label = new Int32Array(patch.reduce((a, n) => a * n, 1));
  const fill = (from: number[], to: number[], value: number) => {
    const visit = (axis: number, offset: number) => {
      if (axis === patch.length) label[offset] = value;
      else for (let i = from[axis]; i < to[axis]; i++) visit(axis + 1, offset * patch[axis] + i);
    };
    visit(0, 0);
  };
  if (name === "la") fill([30, 30, 20], [80, 80, 60], 1);
  else [60, 100, 140].forEach((row, k) => fill([row, 60], [row + 40, 100], k + 1));
  return label;
}

/** Images of deviation 1 `[B, ..., 1]` and labels of the first rows, as a tensor and as the host's array. */
export function syntheticRows(
  profile: DatasetProfile,
  { labeled, unlabeled }: { labeled: number; unlabeled: number },
): { x: Tensor; label: Tensor; labels: Int32Array } {
  const { tf } = openTensorFlow(), { patch } = profile, random = stream(1, "bench"), one = blocks(profile);
  const labels = new Int32Array(labeled * one.length), rows = labeled + unlabeled;
  for (let row = 0; row < labeled; row++) labels.set(one, row * one.length);
  const image = Float32Array.from({ length: rows * one.length }, () => 3.46 * (random() - 0.5));
  const label = tf.tensor(labels, [labeled, ...patch], "int32");
  return { x: tf.tensor(image, [rows, ...patch, 1]), label, labels };
}

/**
 * A method's batches, of the same images and with other noise every time. What its host makes of the labels is made once:
 * in a training that happens while the step before is computed.
 */
export function syntheticBatches(method: Method): (i: number) => Batch {
  const { tf } = openTensorFlow(), { profile } = method;
  const { labeledPerBatch: labeled, unlabeledPerBatch } = profile;
  const { labels, ...rows } = syntheticRows(profile, {
    labeled,
    unlabeled: method.usesUnlabeled ? unlabeledPerBatch : 0,
  });
  const scheduled = method.scheduled?.(1000, 0.5) ?? {};
  const targets = method.targets?.(labels, [labeled, ...profile.patch]) ?? {};
  return (i) => ({
    ...rows,
    seed: tf.tensor1d([7, 10000 * i], "int32") as Tensor1D,
    consistencyWeight: tf.scalar(0.1),
    rate: tf.scalar(0.01),
    scheduled: toScalars(scheduled),
    targets: toTensors(targets),
  });
}
