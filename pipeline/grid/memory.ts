/** Memory: what a training step takes, what this machine has, the largest patch that fits it. @module */
import process from "node:process";
import { shortened, sizeOf } from "../arrays/shape.ts";

/** GB that a training holds whatever its batches: Deno, TensorFlow with its graphs, weights, momentum, gradients. */
const FIXED_GB = 0.7;

/** What decides beside method and precision what a step takes. */
export interface StepShape {
  /** Voxels of a row along every axis. */
  patch: readonly number[];
  /** Rows of a batch, the unlabeled ones included where the method reads any. */
  rows: number;
  /** Channels of an image. */
  channels: number;
  /** Background included. */
  classes: number;
}

/**
 * What each further channel and class adds, as a part of what a row takes on the published dataset: of SS-Net's step in fp32, by
 * `deno task bench step --dataset DATASET --patch PATCH --channels N --classes N` (docs/performance.md).
 */
const FURTHER = {
  3: { memory: { channel: 0.01, class: 0.03 }, time: { channel: 0, class: 0.02 } },
  2: { memory: { channel: 0.005, class: 0.02 }, time: { channel: 0, class: 0.02 } },
} as const;

/** A step's memory or time of rows of one shape, as a multiple of another's, what is the same for all shapes left out. */
export function shareOf(what: "memory" | "time", shape: StepShape, reference: StepShape): number {
  const { channel, class: ofClass } = FURTHER[reference.patch.length as 2 | 3][what];
  const { patch, rows, channels, classes } = shape;
  const further = 1 + channel * (channels - reference.channels) + ofClass * (classes - reference.classes);
  return further * rows * sizeOf(patch) / (reference.rows * sizeOf(reference.patch));
}

/** Memory of a step as it was measured. */
export interface MeasuredMemory {
  /** The shape of the published dataset. */
  reference: StepShape;
  /** GB at that shape: the largest resident set of a process. */
  peakMemoryGb: number;
}

/**
 * GB of memory of a process that trains: from what every training holds, linear in the voxels of its batches.
 *
 * @param measured Of the same dataset or, for another one, its protocol's, of the same method and precision.
 */
export function stepMemory({ reference, peakMemoryGb }: MeasuredMemory, shape: StepShape): number {
  return FIXED_GB + shareOf("memory", shape, reference) * (peakMemoryGb - FIXED_GB);
}

/**
 * The largest patch that fits, about in the published one's proportions: no axis of it can be longer. Null when none does.
 *
 * @param shape Its patch of multiples of 16, as the networks want them; what is returned is nowhere longer.
 */
export function largestPatch(measured: MeasuredMemory, shape: StepShape, memoryBytes: number): number[] | null {
  const publishedPatch = measured.reference.patch, { patch } = shape;
  const fits = (patch: readonly number[]) => stepMemory(measured, { ...shape, patch }) * 1e9 <= memoryBytes;
  let fitting = [...patch];
  while (!fits(fitting)) {
    const shorter = shortened(fitting, publishedPatch);
    if (!shorter) return null;
    fitting = shorter;
  }
  for (;;) {
    const longer = fitting.map((n, axis) => fitting.with(axis, n + 16))
      .find((longer, axis) => longer[axis] <= patch[axis] && fits(longer));
    if (!longer) return fitting;
    fitting = longer;
  }
}

/** Bytes of a machine's memory. */
export interface MachineMemory {
  /** All of it, or what its container may take. */
  total: number;
  /** The part of it that other processes leave. */
  available: number;
}

/** Memory of this machine, or of the container (cgroup) in which the process is. Needs `--allow-sys=systemMemoryInfo`. */
export function machineMemory(): MachineMemory {
  const { total, available } = Deno.systemMemoryInfo();
  const limit = process.constrainedMemory() || Infinity; // 0: none that Deno knows of
  return { total: Math.min(total, limit), available: Math.min(available, limit) };
}
