/**
 * Augmentation; no intensity is changed, and a draw is a pure function of a random stream.
 * LA patches: a random quarter turn in the plane, then always a flip of one of the first two axes, then a random crop.
 * Volumes are `[X, Y, Z]`, Z fastest.
 * ACDC slices: half are turned and flipped, a quarter are rotated by up to 20 degrees, a quarter are left alone; then
 * all are zoomed to the size of the network's input. Slices are `[H, W]`, W fastest.
 * @module
 */
import { type Pixels, rotation, type SourceMap, turnAndFlip, zoomLines } from "../arrays/resample.ts";
import type { Shape2, Shape3 } from "../arrays/shape.ts";

/** Axes of a patch or slice that a draw may flip. */
export const MIRRORED_AXES = [0, 1] as const;

/** A drawn augmentation. */
export interface PatchDraw {
  /** Quarter turns 0–3 in the X–Y plane, counter-clockwise as `rot90`. */
  turns: number;
  /** Axis that is flipped after the turn. */
  flipAxis: 0 | 1;
  /** First voxel of the patch in the turned, flipped and padded volume. */
  start: [number, number, number];
}
/**
 * Voxels of zeros added on both sides of each axis before a crop: none where every axis is larger than the patch, else
 * `max(floor((patch - size) / 2) + 3, 0)` on every axis, also on those that are large enough.
 *
 * Source: tests/golden/README.md, "Behaviours", random crop.
 *
 * @example One axis as small as the patch pads another that is one voxel larger
 * ```ts
 * import assert from "node:assert/strict";
 * import { cropPadding } from "@ssnet/pipeline/data/augment.ts";
 *
 * assert.deepEqual(cropPadding([112, 113, 120], [112, 112, 80]), [3, 2, 0]);
 * assert.deepEqual(cropPadding([113, 113, 120], [112, 112, 80]), [0, 0, 0]);
 * ```
 */
export function cropPadding(size: Shape3, patch: Shape3): [number, number, number] {
  if (size.every((n, i) => n > patch[i])) return [0, 0, 0];
  return size.map((n, i) => Math.max(Math.floor((patch[i] - n) / 2) + 3, 0)) as [number, number, number];
}

/**
 * Draws turn, flip and start: turns from 0, 1, 2, 3 and the flipped axis from 0, 1 with equal chances, then the start along
 * X, Y, Z of the turned and padded volume, uniform in `[0, size - patch)`, so that the last position never comes.
 *
 * @param random Uniform in [0, 1); five numbers are taken whatever comes out.
 * @param size Of the volume as it is stored.
 *
 * @example Zeros from the stream choose no turn, a flip of X and the first voxel
 * ```ts
 * import assert from "node:assert/strict";
 * import { drawPatch } from "@ssnet/pipeline/data/augment.ts";
 *
 * assert.deepEqual(drawPatch(() => 0, [10, 12, 9], [8, 8, 8]), { turns: 0, flipAxis: 0, start: [0, 0, 0] });
 * ```
 */
export function drawPatch(random: () => number, size: Shape3, patch: Shape3): PatchDraw {
  const below = (n: number) => Math.floor(random() * n);
  const turns = below(4), flipAxis = below(2) as 0 | 1;
  const turned: Shape3 = turns % 2 ? [size[1], size[0], size[2]] : size;
  const padding = cropPadding(turned, patch);
  const start = turned.map((n, i) => below(n + 2 * padding[i] - patch[i])) as [number, number, number];
  return { turns, flipAxis, start };
}

/**
 * The patch of a draw: the volume turned, flipped, padded with 0, and cropped. Image and label take the same draw.
 *
 * @param volume `[X, Y, Z]`, Z fastest.
 * @param size Its shape.
 * @param options `target` takes `patch[0] * patch[1] * patch[2]` voxels from `offset` on, Z fastest.
 *
 * @example A flip of X and a crop of its first two voxels
 * ```ts
 * import assert from "node:assert/strict";
 * import { extractPatch } from "@ssnet/pipeline/data/augment.ts";
 *
 * const volume = Uint8Array.from({ length: 12 }, (_, i) => i), target = new Uint8Array(2);
 * extractPatch(volume, [3, 2, 2], { patch: [2, 1, 1], draw: { turns: 0, flipAxis: 0, start: [0, 1, 0] }, target });
 * assert.deepEqual([...target], [10, 6]);
 * ```
 */
export function extractPatch(
  volume: ArrayLike<number>,
  size: Shape3,
  { patch, draw: { turns, flipAxis, start }, target, offset = 0 }: {
    patch: Shape3;
    draw: PatchDraw;
    target: Float32Array | Int32Array | Uint8Array;
    offset?: number;
  },
): void {
  const [nx, ny, nz] = size;
  const turned: Shape3 = turns % 2 ? [ny, nx, nz] : size;
  const padding = cropPadding(turned, patch);
  for (let x = 0; x < patch[0]; x++) {
    for (let y = 0; y < patch[1]; y++) {
      let i = start[0] + x - padding[0], j = start[1] + y - padding[1];
      const row = offset + (x * patch[1] + y) * patch[2];
      if (i < 0 || j < 0 || i >= turned[0] || j >= turned[1]) {
        target.fill(0, row, row + patch[2]);
        continue;
      }
      if (flipAxis === 0) i = turned[0] - 1 - i;
      else j = turned[1] - 1 - j;
      const [sx, sy] = [[i, j], [j, ny - 1 - i], [nx - 1 - i, ny - 1 - j], [nx - 1 - j, i]][turns];
      const from = (sx * ny + sy) * nz, first = start[2] - padding[2];
      for (let z = 0; z < patch[2]; z++) {
        const k = first + z;
        target[row + z] = k >= 0 && k < nz ? volume[from + k] : 0;
      }
    }
  }
}

/** A drawn augmentation of a slice. */
export type SliceDraw =
  | { kind: "turn"; turns: number; flipAxis: 0 | 1 }
  /** Whole degrees in [-20, 19]. */
  | { kind: "rotate"; degrees: number }
  | { kind: "none" };

/**
 * Draws what happens to a slice: turned and flipped with probability 1/2, else rotated with 1/2, else nothing.
 * @param random Uniform in [0, 1); four numbers are taken whatever comes out.
 */
export function drawSlice(random: () => number): SliceDraw {
  const [first, second, third, fourth] = [random(), random(), random(), random()];
  if (first < 0.5) return { kind: "turn", turns: Math.floor(third * 4), flipAxis: fourth < 0.5 ? 0 : 1 };
  if (second < 0.5) return { kind: "rotate", degrees: Math.floor(third * 40) - 20 };
  return { kind: "none" };
}

/**
 * The slice of a draw, zoomed to `size` (order 0) and written to `target` from `offset` on. Image and label take the same
 * draw; what falls outside is 0.
 * @param slice `[H, W]`, W fastest.
 */
export function extractSlice(
  slice: ArrayLike<number>,
  shape: Shape2,
  { size, draw, target, offset = 0 }: { size: Shape2; draw: SliceDraw; target: Pixels; offset?: number },
): void {
  const { shape: turned, at } = sourceOf(shape, draw);
  const rows = zoomLines(turned[0], size[0]), columns = zoomLines(turned[1], size[1]);
  for (let i = 0, to = offset; i < size[0]; i++) {
    for (let j = 0; j < size[1]; j++, to++) {
      const from = rows[i] < 0 || columns[j] < 0 ? -1 : at(rows[i], columns[j]);
      target[to] = from < 0 ? 0 : slice[from];
    }
  }
}

function sourceOf(shape: Shape2, draw: SliceDraw): SourceMap {
  if (draw.kind === "turn") return turnAndFlip(shape, draw.turns, draw.flipAxis);
  if (draw.kind === "rotate") return rotation(shape, draw.degrees);
  return { shape, at: (i, j) => i * shape[1] + j };
}
