/** Times of what an evaluation does: the metrics alone, and a whole case. @module */
import type { DatasetProfile } from "../datasets/dataset.ts";
import { caseMetrics } from "../evaluation/case_metrics.ts";
import { evaluateCase, type Segment, segmenter } from "../evaluation/evaluate_case.ts";
import { balls, phantomCase } from "./inputs.ts";
import { type How, untrained } from "./passes.ts";
import { repeat, type Timing } from "./timing.ts";

/** Dice, Jaccard, 95HD and ASD of an LA-sized case. */
export function timeMetrics(iterations: number): Promise<Timing> {
  const { prediction, reference, shape } = balls();
  return repeat(iterations, () => caseMetrics(prediction, reference, shape));
}

/**
 * A phantom of a case's size from image to scores: sliding window at the published stride and largest component (LA),
 * or slices with their zooms (ACDC), then the metrics. An untrained network's mask is nothing like an organ, so what is
 * scored is the label, moved by two voxels.
 */
export async function timeEvaluation(
  profile: DatasetProfile,
  { precision, iterations }: How,
): Promise<Timing> {
  const one = phantomCase(profile), { label, shape } = one, { patch, classNames } = profile;
  const state = untrained(profile);
  const segment = segmenter(profile, () => state, { patch, statistics: "running", precision });
  const moved = new Uint8Array(label!.length), step = 2 * shape[2];
  moved.set(label!.subarray(0, -step), step);
  const segmentMoved: Segment = async (given) => {
    await segment(given);
    return moved;
  };
  return await repeat(iterations, () => evaluateCase(one, { segment: segmentMoved, classNames }));
}
