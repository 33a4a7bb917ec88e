/** One case through the network and against its reference; training calls it for validation, `evaluate` for the test. @module */
import { type Case, spacingOf } from "../records/case.ts";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { caseMetrics, type CaseScores } from "./case_metrics.ts";
import { channelCount, mapChannels } from "../arrays/channels.ts";
import { keptComponents } from "../arrays/components.ts";
import type { InferenceOptions, NetworkParameters } from "./inference.ts";
import { sliceNetwork, sliceProbabilities } from "./slices.ts";
import { classesOf, slidingWindow, windowNetwork } from "./sliding_window.ts";
import { type Turn, turned } from "../arrays/orientation.ts";
import type { Shape2, Shape3 } from "../arrays/shape.ts";
import { DataError } from "../files/errors.ts";
import { counted } from "../files/words.ts";
import { buildNetwork } from "../networks/network.ts";
import { MIRRORED_AXES } from "../data/augment.ts";
import type { ResultRow, Scores } from "../records/evaluation.ts";

/** Class numbers of a case, in the order of its image. */
export type Segment = (one: Pick<Case, "image" | "shape">) => Promise<Uint8Array>;

/** Probabilities of a case as its network gives them, `[C, …]`: of two classes that of class 1 (C = 1), of more those of all. */
export type Probabilities = (one: Pick<Case, "image" | "shape">) => Promise<Float32Array>;

/** How a dataset's cases are segmented. */
export interface SegmentOptions extends Omit<InferenceOptions, "forward"> {
  /** The patch of the training, which is the network's input. */
  patch: readonly number[];
  /**
   * Share of a window that the next one overlaps, voxels weighted by a Gaussian and windows of one value
   * left to the background; absent: the published stride, all voxels alike, all windows. Slices have no windows.
   */
  overlap?: number;
  /** Whether the mean over the axes' mirrorings is taken that the training draws too. */
  mirror?: boolean;
}

/**
 * Stride of the sliding window: the published one belongs to the published patch; other patches overlap by three quarters.
 * @param options `overlap` as of {@linkcode SegmentOptions}.
 */
export function strideOf(
  { patch: publishedPatch, stride }: DatasetProfile,
  { patch, overlap }: Pick<SegmentOptions, "patch" | "overlap">,
): readonly number[] {
  if (overlap !== undefined) return patch.map((n) => Math.max(Math.round(n * (1 - overlap)), 1));
  return stride && String(patch) === String(publishedPatch) ? stride : patch.map((n) => n / 4);
}

/** Two take 5 % less of the CPU than one after the other, four hardly less than two, for 0.1 GB a window (docs/performance.md). */
const WINDOWS_AT_ONCE = 2;
/**
 * The number of slices at once, more than the field's cardiac stacks have; what is longer goes in parts, for memory's
 * sake.
 */
const SLICES_AT_ONCE = 32;

/** Refuses an image that has not the channels of the training. @throws {DataError} With both numbers. */
export function checkChannels(
  { image, shape }: Pick<Case, "image" | "shape">,
  { channelNames: wanted }: Pick<DatasetProfile, "channelNames">,
): void {
  const found = channelCount(image, shape);
  if (found === wanted.length) return;
  throw new DataError(
    `${counted(wanted.length, "channel")} wanted (${
      wanted.join(", ")
    }), ${found} found; a file each, NAME_0000, NAME_0001 and ` +
      "so on",
  );
}

/**
 * Gives the way from an image to its probabilities, of volumes by {@linkcode slidingWindow}, else by
 * {@linkcode sliceProbabilities}.
 * @param read Gives the network's parameters; called whenever it runs, as a training replaces them.
 * @returns It refuses an image of other channels ({@linkcode checkChannels}).
 */
export function probabilitiesWith(
  profile: DatasetProfile,
  read: () => NetworkParameters,
  { patch, overlap, mirror = false, ...options }: SegmentOptions,
): Probabilities {
  const how = { forward: buildNetwork(profile.network, profile).forward, ...options },
    { classes } = profile,
    byWindow = options.statistics === "window";
  const checked = (probabilities: Probabilities): Probabilities => async (one) => {
    checkChannels(one, profile);
    return await probabilities(one);
  };
  if (patch.length === 2) {
    const slices = { size: patch as Shape2, classes, network: sliceNetwork(read, how) };
    const once: Probabilities = ({ image, shape }) =>
      sliceProbabilities(image, shape, { ...slices, ...(byWindow ? {} : { atOnce: SLICES_AT_ONCE }) });
    return checked(mirror ? mirrored(once, MIRRORED_AXES.map((axis) => axis + 1)) : once);
  }
  const windows = {
    patch: patch as Shape3,
    stride: strideOf(profile, { patch, overlap }) as Shape3,
    weights: overlap === undefined ? "uniform" : "gaussian",
    skipsFlat: overlap !== undefined,
    atOnce: byWindow ? 1 : WINDOWS_AT_ONCE,
    classes,
    network: windowNetwork(read, how),
  } as const;
  const once: Probabilities = ({ image, shape }) => slidingWindow(image, shape, windows);
  return checked(mirror ? mirrored(once, MIRRORED_AXES) : once);
}

/** The mean over all mirrorings of the axes, each mirrored back. */
function mirrored(once: Probabilities, axes: readonly number[]): Probabilities {
  const all = axes.reduce<number[][]>((sets, axis) => sets.flatMap((set) => [set, [...set, axis]]), [[]]);
  return async ({ image, shape }) => {
    let sum: Float32Array | null = null;
    for (const set of all) {
      const turn: Turn = { axes: [0, 1, 2], flips: [0, 1, 2].map((axis) => set.includes(axis)) as Turn["flips"] };
      const mirror = (values: Float32Array) =>
        mapChannels(values, channelCount(values, shape), (channel) => turned(channel, shape, turn));
      const found = mirror(await once({ image: mirror(image), shape }));
      if (sum) { for (let i = 0; i < found.length; i++) sum[i] += found[i]; }
      else sum = found;
    }
    for (let i = 0; i < sum!.length; i++) sum![i] /= all.length;
    return sum!;
  };
}

/** What is read of a case that is scored. */
export type ScoredCase = Pick<
  Case,
  "name" | "patient" | "phase" | "label" | "shape" | "geometry" | "correctedSpacing"
>;

/** Millimeters within which surfaces are taken to agree; ours: a little more than a voxel of either dataset in its planes. */
export const SURFACE_TOLERANCE = 2;

/** Class numbers from probabilities: of two classes the foreground above 0.5, of more the largest; and the components kept. */
export function maskOf(
  probabilities: Float32Array,
  shape: Shape3,
  { classes, components }: Pick<DatasetProfile, "classes" | "components">,
): Uint8Array {
  return keptComponents(classesOf(probabilities, classes), shape, components);
}

/**
 * Gives the way from an image to a mask, the published one where nothing else is asked for.
 * @param read As of {@linkcode probabilitiesWith}.
 */
export function segmenter(profile: DatasetProfile, read: () => NetworkParameters, options: SegmentOptions): Segment {
  const probabilities = probabilitiesWith(profile, read, options);
  return async (one) => maskOf(await probabilities(one), one.shape, profile);
}

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
