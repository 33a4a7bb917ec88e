/** One case through the network and against its reference; training calls it for validation, `evaluate` for the test. @module */
import { type Case, spacingOf } from "../records/case.ts";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { caseMetrics, type CaseScores } from "./case_metrics.ts";
import { largestComponents } from "../arrays/components.ts";
import type { InferenceOptions, NetworkParameters } from "./inference.ts";
import { predictSlices, sliceNetwork } from "./slices.ts";
import { classesOf, slidingWindow, windowNetwork } from "./sliding_window.ts";
import type { Shape2, Shape3 } from "../arrays/shape.ts";
import { buildNetwork } from "../networks/network.ts";
import type { ResultRow, Scores } from "../records/evaluation.ts";

/** Class numbers of a case, in the order of its image. */
export type Segment = (one: Pick<Case, "image" | "shape">) => Promise<Uint8Array>;

/** How a dataset's cases are segmented. */
export interface SegmentOptions extends Omit<InferenceOptions, "forward"> {
  /** Of the training; it is the network's input. */
  patch: readonly number[];
}

/** Stride of the sliding window: the published one belongs to the published patch; other patches overlap by three quarters. */
export function strideOf({ patch: published, stride }: DatasetProfile, patch: readonly number[]): readonly number[] {
  return stride && String(patch) === String(published) ? stride : patch.map((n) => n / 4);
}

/** Two take 5 % less of the CPU than one after the other, four hardly less than two, for 0.1 GB a window (docs/performance.md). */
const WINDOWS_AT_ONCE = 2;

/**
 * A dataset's published way from an image to a mask. Volumes: sliding window, the probability above 0.5 or of more classes
 * the largest, the largest component of every class where the profile says so. Slices: the largest logit, slice by slice.
 * @param read Gives the network's parameters; called whenever it runs, as a training replaces them.
 */
export function segmenter(
  profile: DatasetProfile,
  read: () => NetworkParameters,
  { patch, ...options }: SegmentOptions,
): Segment {
  const how = { forward: buildNetwork(profile.network, profile).forward, ...options };
  if (patch.length === 2) {
    const network = sliceNetwork(read, how);
    return ({ image, shape }) => predictSlices(image, shape, { size: patch as Shape2, network });
  }
  const network = windowNetwork(read, how), stride = strideOf(profile, patch);
  const { classes } = profile, atOnce = options.statistics === "window" ? 1 : WINDOWS_AT_ONCE;
  return async ({ image, shape }) => {
    const windows = { patch: patch as Shape3, stride: stride as Shape3, atOnce, classes, network };
    const found = classesOf(await slidingWindow(image, shape, windows), classes);
    return profile.largestComponent ? largestComponents(found, shape) : found;
  };
}

/** What is read of a case that is scored. */
export type ScoredCase = Pick<
  Case,
  "name" | "patient" | "phase" | "label" | "shape" | "geometry" | "correctedSpacing"
>;

/** Millimeters within which surfaces are taken to agree; ours: a little more than a voxel of either dataset in its planes. */
export const SURFACE_TOLERANCE = 2;

/**
 * Results of a prediction, a row a class: voxels under both conventions for empty masks, millimeters and milliliters where
 * the spacing is known. Formulas: {@linkcode caseMetrics}.
 * @param prediction Class numbers, in the order of the case's label.
 * @param one Its label must be there.
 * @param options `classNames` of the classes from 1 on; `tolerance` of the normalized surface distance, millimeters.
 */
export function scoreCase(
  prediction: Uint8Array,
  one: ScoredCase,
  { classNames, seconds, tolerance = SURFACE_TOLERANCE }: {
    classNames: readonly string[];
    seconds: number;
    tolerance?: number;
  },
): ResultRow[] {
  const { name, patient, phase, label, shape } = one, spacing = spacingOf(one);
  if (!label) throw new RangeError(`case "${name}" has no label to compare with`);
  return classNames.map((className, k) => {
    const mask = prediction.map((value) => value === k + 1 ? 1 : 0);
    const reference = label.map((value) => value === k + 1 ? 1 : 0);
    const { published, honest } = caseMetrics(mask, reference, shape);
    const measured = spacing && caseMetrics(mask, reference, shape, spacing, tolerance);
    const count = (values: Uint8Array) => values.reduce((sum, value) => sum + value, 0);
    const voxels = count(mask), referenceVoxels = count(reference);
    const milliliters = (count: number, [a, b, c]: readonly number[]) => count * a * b * c / 1000;
    return {
      case: name,
      patient,
      phase,
      class: className,
      voxels,
      referenceVoxels,
      milliliters: spacing && {
        predicted: milliliters(voxels, spacing),
        reference: milliliters(referenceVoxels, spacing),
      },
      seconds,
      published: scores(published),
      honest: scores(honest),
      millimeters: measured &&
        { hd95: known(measured.honest.hd95), asd: known(measured.honest.asd), nsd: measured.nsd! },
    };
  });
}

/** NaN, a number that does not exist, becomes null. */
const known = (value: number) => Number.isNaN(value) ? null : value;

function scores({ dice, jaccard, hd95, asd }: CaseScores): Scores {
  return { dice: known(dice), jaccard: known(jaccard), hd95: known(hd95), asd: known(asd) };
}

/** Segments a case and scores it ({@linkcode scoreCase}). */
export async function evaluateCase(
  one: Case,
  { segment, classNames }: { segment: Segment; classNames: readonly string[] },
): Promise<{ prediction: Uint8Array; rows: ResultRow[] }> {
  const begun = performance.now();
  const prediction = await segment(one);
  const rows = scoreCase(prediction, one, { classNames, seconds: 0 });
  const seconds = (performance.now() - begun) / 1000;
  return { prediction, rows: rows.map((row) => ({ ...row, seconds })) };
}

/** A row in words, as `eval` and `score` print it. @param nominal Whether millimeters are of a usual spacing. */
export function rowText(
  { case: name, class: className, honest, millimeters, seconds }: ResultRow,
  { nominal, tolerance = SURFACE_TOLERANCE }: { nominal: boolean; tolerance?: number },
): string {
  const distance = (metric: "hd95" | "asd") => {
    const voxels = honest[metric], length = millimeters?.[metric] ?? null;
    if (voxels === null) return "none"; // of an empty mask
    const inMillimeters = length === null ? "" : ` (${length.toFixed(2)} ${nominal ? "nominal mm" : "mm"})`;
    return `${voxels.toFixed(2)} voxels${inMillimeters}`;
  };
  const nsd = millimeters?.nsd ?? null, within = nsd === null ? "" : `  NSD ${nsd.toFixed(4)} at ${tolerance} mm`;
  return `${name}  ${className}  Dice ${honest.dice!.toFixed(4)}  Jaccard ${honest.jaccard!.toFixed(4)}  ` +
    `95HD ${distance("hd95")}  ASD ${distance("asd")}${within}  ${seconds.toFixed(1)} s`;
}
