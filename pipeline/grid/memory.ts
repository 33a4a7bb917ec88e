/** Memory: what a training step takes, what this machine has, the largest patch that fits it. @module */
import process from "node:process";
import { DATASETS } from "../datasets/datasets.ts";
import { sizeOf } from "../arrays/shape.ts";

/** GB that a training holds whatever its batches: Deno, TensorFlow with its graphs, weights, momentum, gradients. */
const FIXED_GB = 0.7;

/** Memory of a step as it was measured. */
export interface MeasuredMemory {
  /** Profile's name. */
  dataset: string;
  /** GB at the published patch: the largest resident set of a process. */
  peakMemoryGb: number;
  /** GB at another patch, where that was measured too. */
  other?: { patch: readonly number[]; peakMemoryGb: number };
}

/**
 * GB of memory of a process that trains, linear in the voxels of its batches: through both measured points, or, where
 * there is one, from what every training holds.
 *
 * @param measured Of the same dataset, method and precision, in batches as published.
 * @param size Of its batches. `rows`: as a multiple of the published number.
 */
export function stepMemory(
  { dataset, peakMemoryGb, other }: MeasuredMemory,
  { patch, rows = 1 }: { patch: readonly number[]; rows?: number },
): number {
  const shareOf = (patch: readonly number[]) => sizeOf(patch) / sizeOf(DATASETS[dataset].patch);
  const share = other && shareOf(other.patch);
  const fixed = share ? Math.max(0, (other.peakMemoryGb - share * peakMemoryGb) / (1 - share)) : FIXED_GB;
  return fixed + rows * shareOf(patch) * (peakMemoryGb - fixed);
}

/**
 * The largest patch that fits, about in the published one's proportions: no axis of it can be longer. Null when none does.
 *
 * @param patch Multiples of 16, as the networks want them; what is returned is nowhere longer.
 */
export function largestPatch(measured: MeasuredMemory, patch: readonly number[], memoryBytes: number): number[] | null {
  const publishedPatch = DATASETS[measured.dataset].patch;
  const fits = (patch: readonly number[]) => stepMemory(measured, { patch }) * 1e9 <= memoryBytes;
  let fitting = [...patch];
  while (!fits(fitting)) { // shorter where it is longest against the published one
    const ratios = fitting.map((n, axis) => n > 16 ? n / publishedPatch[axis] : 0), longest = Math.max(...ratios);
    if (!longest) return null;
    fitting[ratios.indexOf(longest)] -= 16;
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
