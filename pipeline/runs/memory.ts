/** Memory: what a training step takes, what this machine has, the largest patch that fits it. @module */
import process from "node:process";
import { type DatasetName, PROFILES } from "../data/profiles.ts";
import { sizeOf } from "../networks/parameters.ts";

/**
 * What a training holds whatever the size of its batches: Deno, TensorFlow with its graphs, weights with momentum,
 * gradients and their copies of a step.
 */
const FIXED_GB = { la: 0.6, acdc: 0.5 } as const satisfies Record<DatasetName, number>;

/** A step whose memory was measured at the published size. */
export interface MeasuredStep {
  /** Profile's name. */
  dataset: DatasetName;
  /** Largest resident set of its process. */
  peakMemoryGb: number;
}

/**
 * GB of memory of a process that trains: what it holds anyway, and the measured rest in proportion to the voxels of a
 * batch.
 *
 * @param measured Of the same dataset, method and precision, in batches as published.
 * @param size Of its batches. `rows`: as a multiple of the published number.
 */
export function stepMemory(
  { dataset, peakMemoryGb }: MeasuredStep,
  { patch, rows = 1 }: { patch: readonly number[]; rows?: number },
): number {
  const share = rows * sizeOf(patch) / sizeOf(PROFILES[dataset].patch), fixed = FIXED_GB[dataset];
  return fixed + share * (peakMemoryGb - fixed);
}

/**
 * The largest patch that fits, made smaller where it is largest against the published one, so that it takes on its
 * shape; null when none does.
 *
 * @param patch Multiples of 16, as the networks want them.
 */
export function largestPatch(measured: MeasuredStep, patch: readonly number[], memoryBytes: number): number[] | null {
  const published = PROFILES[measured.dataset].patch, smaller = [...patch];
  while (stepMemory(measured, { patch: smaller }) * 1e9 > memoryBytes) {
    const ratios = smaller.map((n, axis) => n > 16 ? n / published[axis] : 0), largest = Math.max(...ratios);
    if (!largest) return null;
    smaller[ratios.indexOf(largest)] -= 16;
  }
  return smaller;
}

/** Bytes of a machine's memory. */
export interface MachineMemory {
  /** All of it, or what its container may take. */
  total: number;
  /** Of it, what other processes leave. */
  available: number;
}

/** Memory of this machine, or of the container (cgroup) in which the process is. Needs `--allow-sys=systemMemoryInfo`. */
export function machineMemory(): MachineMemory {
  const { total, available } = Deno.systemMemoryInfo();
  const limit = process.constrainedMemory() || Infinity; // 0: none that Deno knows of
  return { total: Math.min(total, limit), available: Math.min(available, limit) };
}
