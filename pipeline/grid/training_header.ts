/** What a training says before it begins: what it is, what it costs by the measured figures, or why it cannot fit. @module */
import { countCases, type Split } from "../records/split.ts";
import type { Length } from "../records/cell.ts";
import type { MeasuredStep } from "../records/measurement.ts";
import { benchCommand, type CostKey, costsOf, hoursOf, measuredStep, shapeOf } from "./costs.ts";
import { precisionOn } from "../tensorflow/precision.ts";
import { largestPatch, type MachineMemory, stepMemory } from "./memory.ts";

/** A training that is about to begin. */
export interface Announced extends CostKey, Length {
  /** The dataset's name. */
  name: string;
  /** Voxels of a network's input. */
  patch: readonly number[];
  /** "paper" or "fast". */
  preset: string;
  /** Iterations that are done already, of a run that goes on. */
  done: number;
  /** TensorFlow's threads. */
  threads: number;
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
const told = (hours: number) => hours < 1 ? `${(60 * hours).toFixed(0)} min` : `${hours.toFixed(1)} h`;

/**
 * Why a training does not fit into the memory that there is, with the largest patch that does; null where it fits or
 * was not measured, and on a GPU, of whose memory TensorFlow tells itself.
 */
export function memoryProblem(
  rows: MeasuredStep[],
  training: CostKey & Pick<Announced, "name" | "patch">,
  memory: MachineMemory,
): string | null {
  const { name, device, method, patch, precision } = training;
  const row = device === "cpu" ? measuredStep(rows, { ...training, lowResolution: null }) : null;
  const needs = row && stepMemory(row, shapeOf(row, training)) * 1e9;
  if (!row || !needs || needs <= memory.available) return null;
  const fitting = largestPatch(row, shapeOf(row, training), memory.available);
  const mixed = precisionOn("cpu", "mixed");
  const small = mixed !== precision && measuredStep(rows, { ...training, precision: mixed, lowResolution: null });
  const smaller = small && stepMemory(small, shapeOf(small, training)) * 1e9;
  const ways = [
    fitting ? `the largest patch that fits is --patch ${fitting.join("x")}` : "no patch fits",
    ...smaller && smaller <= memory.available ? [`--precision ${mixed} takes ${gigabytes(smaller)}`] : [],
  ];
  return `Cannot train ${method} on ${name} in ${precision} on the patch ${patch.join("x")}: that takes about ` +
    `${gigabytes(needs)} of memory, ${gigabytes(memory.available)} of ${gigabytes(memory.total)} are available; ` +
    ways.join("; ");
}

/** The header of a training. */
export function trainingHeader(rows: MeasuredStep[], training: Announced, { split, memory }: {
  split: Split;
  memory: MachineMemory;
}): string {
  const { name, device, done, iterations, method, patch, precision, preset, threads, warmup } = training;
  const { labeled, unlabeled, validation } = countCases(split), costs = costsOf(rows, training);
  const row = measuredStep(rows, { ...training, lowResolution: null });
  const left = { iterations: iterations - done, warmup: Math.max(0, warmup - done) };
  return [
    `${method} on ${name}, ${preset}: ${iterations} iterations${warmup ? `, ${warmup} of them a warm-up` : ""}` +
    `${done ? `, ${done} of them done` : ""}; patch ${patch.join("x")}, ${precision}`,
    `cases: ${labeled} labeled, ${unlabeled} unlabeled, ${validation} for validation`,
    `device: ${device}, ${threads} threads`,
    costs
      ? `time: about ${told(hoursOf(left, costs))} as measured on ${costs.machine}, without validations`
      : `time: unknown, data/costs.json lacks these steps; this measures them:\n  ${benchCommand(training)}`,
    device === "gpu"
      ? "memory: TensorFlow takes the GPU's as it needs it, and says when that is not enough"
      : `memory: ${row ? `about ${gigabytes(stepMemory(row, shapeOf(row, training)) * 1e9)}` : "unknown"}, ` +
        `${gigabytes(memory.available)} of ${gigabytes(memory.total)} are available`,
  ].join("\n");
}
