/**
 * The published preparations. LA: zero mean and unit deviation over the whole volume, then a crop of X and Y (Z stays
 * whole) to the label's box, widened to the patch and by 10–19 voxels a side. ACDC: min–max over the whole volume.
 * @module
 */
import type { Shape3 } from "./augment.ts";
import type { Vector3 } from "./geometry.ts";

/**
 * `(image - mean) / deviation` over all voxels (deviation with N in the denominator); 0 everywhere for a constant image.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { normalize } from "@ssnet/pipeline";
 *
 * assert.deepEqual(normalize(Float32Array.of(1, 3, 1, 3)), Float32Array.of(-1, 1, -1, 1));
 * ```
 */
export function normalize(image: Float32Array): Float32Array {
  let sum = 0, squares = 0;
  for (const v of image) sum += v;
  const mean = sum / image.length;
  for (const v of image) squares += (v - mean) ** 2;
  const deviation = Math.sqrt(squares / image.length);
  return image.map((v) => deviation > 0 ? (v - mean) / deviation : 0);
}

/** `(image - min) / (max - min)` over all voxels; an image of one value gives NaN. */
export function minMax(image: Float32Array): Float32Array {
  let low = Infinity, high = -Infinity;
  for (const v of image) [low, high] = [Math.min(low, v), Math.max(high, v)];
  return image.map((v) => (v - low) / (high - low));
}

/** First and last-plus-one voxel along X and Y of the published crop. @param random Draws the widening, side by side. */
export function publishedCrop(
  label: Uint8Array,
  [nx, ny, nz]: Shape3,
  { patch, random }: { patch: Shape3; random: () => number },
): { x: [number, number]; y: [number, number] } {
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

/** The box of a volume, Z whole. */
export function cropPlane<T extends Float32Array | Uint8Array>(
  volume: T,
  [, ny, nz]: Shape3,
  { x, y }: { x: [number, number]; y: [number, number] },
): { volume: T; shape: Vector3 } {
  const shape: Vector3 = [x[1] - x[0], y[1] - y[0], nz];
  const cropped = new (volume.constructor as new (n: number) => T)(shape[0] * shape[1] * nz);
  for (let i = x[0]; i < x[1]; i++) {
    const from = (i * ny + y[0]) * nz;
    cropped.set(volume.subarray(from, from + shape[1] * nz) as never, (i - x[0]) * shape[1] * nz);
  }
  return { volume: cropped, shape };
}
