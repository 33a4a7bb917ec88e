/**
 * What a plan is made from: of every raw case its grid, voxels by label and a sample of the intensities under the label, as
 * nnU-Net's fingerprint (Isensee et al., Nature Methods 2021, "Dataset fingerprint").
 * @module
 */
import { channelCount, channelsIn } from "../../arrays/channels.ts";
import { meanAndStandardDeviation } from "../../arrays/intensity.ts";
import type { Vector3 } from "../../arrays/geometry.ts";
import { orientationOf, turnedShape, turnTo } from "../../arrays/orientation.ts";
import { median, quantile } from "../../arrays/quantiles.ts";
import type { DatasetFingerprint, Foreground, Range } from "../../records/plan.ts";
import type { RawCase } from "./raw_case.ts";

/** What is kept of a raw case. */
export interface CaseFingerprint {
  /** The name of the case. */
  name: string;
  /** Voxels along the file's X, Y, Z. */
  shape: Vector3;
  /** Millimeters along them; null where the file says none. */
  spacing: Vector3 | null;
  /** Direction cosines of them; null where the file says no place. */
  direction: number[] | null;
  /** Voxels by label, background first; null without a label. */
  voxels: number[] | null;
  /** Intensities under the label, evenly spaced ones, of every channel. */
  foreground: Float32Array[];
}

/** Intensities of a case that are kept at most, of each channel. */
const SAMPLE = 20_000;

/** The fingerprint of a case. */
export function fingerprintOfCase({ name, shape, image, label, geometry, isPlaced }: RawCase): CaseFingerprint {
  const voxels: number[] = [];
  for (const value of label ?? []) voxels[value] = (voxels[value] ?? 0) + 1;
  const inside = label ? label.reduce((sum, value) => sum + Number(value > 0), 0) : 0,
    step = Math.ceil(inside / SAMPLE);
  const places: number[] = [];
  for (let i = 0, seen = 0; step && i < label!.length; i++) if (label![i] && seen++ % step === 0) places.push(i);
  return {
    name,
    shape,
    spacing: geometry?.spacing ?? null,
    direction: geometry && isPlaced ? geometry.direction : null,
    voxels: label && Array.from(voxels, (count) => count ?? 0),
    foreground: channelsIn(image, channelCount(image, shape)).map((channel) =>
      Float32Array.from(places, (i) => channel[i])
    ),
  };
}

/** A number with as many digits as a plan has: enough for any header, few enough to read. */
export const readable = (value: number): number => Number(value.toPrecision(6));

/** The intensities under all labels in a channel. */
export function foregroundOf(cases: readonly CaseFingerprint[], channel: number): Foreground {
  const parts = cases.map(({ foreground }) => foreground[channel]);
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  all.sort();
  const { mean, standardDeviation } = meanAndStandardDeviation(all);
  return {
    low: readable(quantile(all, 0.005)),
    high: readable(quantile(all, 0.995)),
    mean: readable(mean),
    standardDeviation: readable(standardDeviation),
  };
}

/** A case along the axes of an orientation: voxels, and millimeters where they are known. */
export function along(
  { shape, spacing, direction }: CaseFingerprint,
  orientation: string,
): { shape: Vector3; spacing: Vector3 | null } {
  if (!direction) return { shape, spacing };
  const turn = turnTo(direction, orientation);
  return { shape: turnedShape(shape, turn), spacing: spacing && turnedShape(spacing, turn) };
}

/** The orientation of the files' axes that most cases have; LPS where none says any. */
export function usualOrientation(cases: readonly CaseFingerprint[]): string {
  const counts = Object.entries(orientationsOf(cases)).filter(([orientation]) => orientation !== "unknown");
  return counts.reduce((best, one) => one[1] > best[1] ? one : best, ["LPS", 0])[0];
}

function orientationsOf(cases: readonly CaseFingerprint[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { direction } of cases) {
    const orientation = direction ? orientationOf(direction) : "unknown";
    counts[orientation] = (counts[orientation] ?? 0) + 1;
  }
  return counts;
}

const byAxis = (values: readonly Vector3[], of: (values: number[]) => number) =>
  [0, 1, 2].map((axis) => readable(of(values.map((one) => one[axis])))) as Vector3;

/** Lowest, median and highest along every axis. */
export function rangeOf(values: readonly Vector3[]): Range {
  return {
    lowest: byAxis(values, (along) => Math.min(...along)),
    median: byAxis(values, median),
    highest: byAxis(values, (along) => Math.max(...along)),
  };
}

/**
 * The fingerprint of a dataset.
 * @param classes Names from 1 on.
 * @param orientation Along whose axes spacings and shapes are told.
 */
export function fingerprintOfDataset(
  cases: readonly CaseFingerprint[],
  { classes, orientation }: { classes: readonly string[]; orientation: string },
): DatasetFingerprint {
  const grids = cases.map((one) => along(one, orientation)),
    spacings = grids.flatMap(({ spacing }) => spacing ? [spacing] : []);
  const labeled = cases.filter(({ voxels }) => voxels);
  return {
    labeled: labeled.length,
    unlabeled: cases.length - labeled.length,
    orientations: orientationsOf(cases),
    spacing: spacings.length ? rangeOf(spacings) : null,
    shape: rangeOf(grids.map(({ shape }) => shape)),
    voxels: Object.fromEntries(
      classes.map((name, k) => [name, labeled.reduce((sum, { voxels }) => sum + (voxels![k + 1] ?? 0), 0)]),
    ),
  };
}
