/**
 * The published preparations. LA: zero mean and unit standard deviation over the whole volume, then a crop of X and Y
 * (Z stays whole) to the label's box, widened to the patch and by 10–19 voxels a side. ACDC: min–max over the whole
 * volume. And a crop of LA's that looks at the image alone.
 * @module
 */
import type { Vector3 } from "../arrays/geometry.ts";
import type { Part } from "../arrays/part.ts";
import type { Shape3 } from "../arrays/shape.ts";

/** First and last-plus-one voxel along X and Y. */
export interface PlaneBox {
  /** First voxel and the one behind the last along the first axis. */
  x: [number, number];
  /** The same along the second one. */
  y: [number, number];
}

/** The published crop. @param random Draws the widening, side by side. */
export function publishedCrop(
  label: Uint8Array,
  [nx, ny, nz]: Shape3,
  { patch, random }: { patch: Shape3; random: () => number },
): PlaneBox {
  let [x0, x1, y0, y1] = [nx, -1, ny, -1];
  for (let i = 0; i < label.length; i++) {
    if (!label[i]) continue;
    const y = Math.floor(i / nz) % ny, x = Math.floor(i / (nz * ny));
    [x0, x1, y0, y1] = [Math.min(x0, x), Math.max(x1, x), Math.min(y0, y), Math.max(y1, y)];
  }
  if (x1 < 0) throw new RangeError("Cannot crop by the label: it is empty");
  const widen = (low: number, high: number, size: number, wanted: number): [number, number] => {
    const missing = Math.max(wanted - (high - low), 0), half = Math.floor(missing / 2);
    const margin = () => 10 + Math.floor(random() * 10);
    return [Math.max(low - half - margin(), 0), Math.min(high + missing - half + margin(), size)];
  };
  return { x: widen(x0, x1 + 1, nx, patch[0]), y: widen(y0, y1 + 1, ny, patch[1]) };
}

/**
 * The share of a plane's voxels that must be brighter than the image's mean, so that a few bright ones in a dark margin
 * do not count.
 */
const FOREGROUND_SHARE = 0.01;

/**
 * A crop that needs no label: the box of the planes along X and along Y of whose voxels more than a hundredth are brighter
 * than the image's mean, widened to the patch where it is smaller and the volume is not. Scanners leave a dark margin.
 *
 * @example A bright column in the dark, and a patch of 3 x 3
 * ```ts
 * import assert from "node:assert/strict";
 * import { foregroundCrop } from "@ssnet/pipeline/datasets/crop.ts";
 *
 * const image = new Float32Array(36);
 * image[6 * 4 + 2] = 1;
 * assert.deepEqual(foregroundCrop(image, [6, 6, 1], { patch: [3, 3, 1] }), { x: [3, 6], y: [1, 4] });
 * ```
 */
export function foregroundCrop(image: Float32Array, [nx, ny, nz]: Shape3, { patch }: { patch: Shape3 }): PlaneBox {
  const mean = image.reduce((sum, value) => sum + value, 0) / image.length;
  const alongX = new Uint32Array(nx), alongY = new Uint32Array(ny);
  for (let i = 0; i < image.length; i++) {
    if (!(image[i] > mean)) continue;
    alongX[Math.floor(i / (nz * ny))]++;
    alongY[Math.floor(i / nz) % ny]++;
  }
  const side = (counts: Uint32Array, plane: number, wanted: number): [number, number] => {
    const isIn = (count: number) => count > FOREGROUND_SHARE * plane, first = counts.findIndex(isIn);
    if (first === -1) return [0, counts.length];
    const end = counts.findLastIndex(isIn) + 1, size = Math.min(Math.max(end - first, wanted), counts.length);
    const from = Math.min(Math.max(first - Math.floor((size - (end - first)) / 2), 0), counts.length - size);
    return [from, from + size];
  };
  return { x: side(alongX, ny * nz, patch[0]), y: side(alongY, nx * nz, patch[1]) };
}

/** The part of a volume that a box holds, Z whole. */
export const planePart = (whole: Vector3, { x, y }: PlaneBox): Part => ({
  whole,
  first: [x[0], y[0], 0],
  shape: [x[1] - x[0], y[1] - y[0], whole[2]],
});
