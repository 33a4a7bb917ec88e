/**
 * Augmentation of LA patches: a random quarter turn in the plane, then always a flip of one of the first two axes,
 * then a random crop. No intensity is changed. Volumes are `[X, Y, Z]`, Z fastest.
 * @module
 */

/** A drawn augmentation. */
export interface PatchDraw {
  /** Quarter turns 0–3 in the X–Y plane, counter-clockwise as `rot90`. */
  turns: number;
  /** Axis that is flipped after the turn. */
  flipAxis: 0 | 1;
  /** First voxel of the patch in the turned, flipped and padded volume. */
  start: [number, number, number];
}
export type Shape3 = readonly [number, number, number];

/** Voxels added on both sides: when any axis is not larger than the patch, every axis gets `max((patch - size) // 2 + 3, 0)`. */
export function cropPadding(size: Shape3, patch: Shape3): [number, number, number] {
  if (size.every((n, i) => n > patch[i])) return [0, 0, 0];
  return size.map((n, i) => Math.max(Math.floor((patch[i] - n) / 2) + 3, 0)) as [number, number, number];
}

/** Draws turn, flip and start; the start is uniform in `[0, size - patch)`, so the last position never comes. */
export function drawPatch(random: () => number, size: Shape3, patch: Shape3): PatchDraw {
  const below = (n: number) => Math.floor(random() * n);
  const turns = below(4), flipAxis = below(2) as 0 | 1;
  const turned: Shape3 = turns % 2 ? [size[1], size[0], size[2]] : size;
  const padding = cropPadding(turned, patch);
  const start = turned.map((n, i) => below(n + 2 * padding[i] - patch[i])) as [number, number, number];
  return { turns, flipAxis, start };
}

/** The patch of a draw, written to `target` at `offset`. Outside the volume it is 0. */
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
