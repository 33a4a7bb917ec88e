/**
 * A predicted mask against its reference, slice by slice: the gray values of all slices in one PNG, the regions of
 * agreement and error as outlines along the voxels' edges. Outlines are vectors, so they stay exact at any size.
 * @module
 */
import { encode } from "fast-png";
import { type Case, DataError, readCase } from "../data/cases.ts";
import { readNifti } from "../data/nifti.ts";
import type { Evaluation } from "./runs.ts";

/** What a voxel of the two masks is; with one class there is no `confused`. */
export const REGIONS = ["hit", "extra", "missed", "confused"] as const;

/** One slice, Z fixed. Paths are SVG data in voxels of the box; empty where a region has no voxel. */
export interface OverlaySlice {
  z: number;
  /** One for each of {@linkcode REGIONS}. */
  paths: string[];
}

/** Both masks of a case over its image, within a box around them. */
export interface Overlay {
  /** Size of the box in the plane, X and Y. */
  width: number;
  height: number;
  slices: OverlaySlice[];
  /** All slices of the box as tiles of one image, row by row; the size of a tile is in voxels. */
  montage: { png: Uint8Array; columns: number; rows: number; tile: { width: number; height: number } };
  /** Places in `slices` of the figure: a quarter, half and three quarters of the reference, and the most errors. */
  shown: { index: number; what: string }[];
}

const HIT = 1, EXTRA = 2, MISSED = 3, CONFUSED = 4;
/** Voxels around the masks that are shown. */
const MARGIN = { plane: 20, axis: 2 };
/** Longest side of a tile in pixels; a larger box is shown coarser, its outlines are not. */
const TILE = 256;

/**
 * Reads a case and its predicted mask. Needs `--allow-read`, `--allow-env`.
 * @throws {DataError} When one of them is missing or unreadable, or their shapes differ.
 */
export async function readOverlay({ folder, metrics }: Evaluation, name: string): Promise<Overlay> {
  const path = `${folder}/${name}.nii.gz`, source = `${metrics.cases}/${name}.h5`;
  const found = await readCase(source, name);
  let mask;
  try {
    mask = await readNifti(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DataError(`Cannot read "${path}": it is not there`, { cause: error });
  }
  if (!found.label) throw new DataError(`Cannot compare with "${source}": it has no label`);
  if (String(mask.shape) !== String(found.shape)) {
    throw new DataError(
      `Cannot compare "${path}" with its case: it must have the shape [${found.shape}], found [${mask.shape}]`,
    );
  }
  return makeOverlay({ ...found, label: found.label }, Uint8Array.from(mask.data));
}

/**
 * The overlay of a case with both masks.
 * @param prediction Classes, in the shape of the case, Z fastest.
 * @throws {DataError} When both masks are empty: there is nothing to show.
 */
export function makeOverlay(
  { name, shape, image, label }: Case & { label: Uint8Array },
  prediction: Uint8Array,
): Overlay {
  const [, ny, nz] = shape;
  const regions = Uint8Array.from(label, (reference, i) => {
    const predicted = prediction[i];
    if (!reference) return predicted ? EXTRA : 0;
    return predicted === reference ? HIT : predicted ? CONFUSED : MISSED;
  });
  const low = [Infinity, Infinity, Infinity], high = [-1, -1, -1], reference = new Float64Array(nz);
  const errors = new Float64Array(nz);
  for (let i = 0; i < regions.length; i++) {
    if (!regions[i]) continue;
    const place = [Math.floor(i / (ny * nz)), Math.floor(i / nz) % ny, i % nz];
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis], place[axis]);
      high[axis] = Math.max(high[axis], place[axis]);
    }
    if (regions[i] !== EXTRA) reference[place[2]]++;
    if (regions[i] !== HIT) errors[place[2]]++;
  }
  if (high[0] < 0) throw new DataError(`Cannot show "${name}": its masks are both empty`);
  const margins = [MARGIN.plane, MARGIN.plane, MARGIN.axis];
  const from = low.map((n, axis) => Math.max(n - margins[axis], 0));
  const to = high.map((n, axis) => Math.min(n + margins[axis] + 1, shape[axis]));
  const [width, height, depth] = to.map((n, axis) => n - from[axis]);
  const at = (x: number, y: number, z: number) => ((x + from[0]) * ny + y + from[1]) * nz + z + from[2];
  const slices = Array.from({ length: depth }, (_, z) => ({
    z: z + from[2],
    paths: REGIONS.map((_, region) => outline((x, y) => regions[at(x, y, z)] === region + 1, { width, height })),
  }));
  // Where the reference is empty, the box of the prediction stands in for it.
  const filled = [...(reference.some(Boolean) ? reference : errors).entries()].filter(([, n]) => n).map(([z]) => z);
  const part = (fraction: number) => filled[Math.round(fraction * (filled.length - 1))] - from[2];
  return {
    width,
    height,
    slices,
    montage: montage(image, at, { width, height, depth }),
    shown: [
      { index: part(0.25), what: "a quarter" },
      { index: part(0.5), what: "half" },
      { index: part(0.75), what: "three quarters" },
      { index: errors.indexOf(Math.max(...errors)) - from[2], what: "most errors" },
    ],
  };
}

/** Slices as gray tiles; the darkest and brightest voxels in a hundred are clipped. */
function montage(
  image: Float32Array,
  at: (x: number, y: number, z: number) => number,
  { width, height, depth }: { width: number; height: number; depth: number },
): Overlay["montage"] {
  const step = Math.ceil(Math.max(width, height) / TILE);
  const [tileWidth, tileHeight] = [Math.ceil(width / step), Math.ceil(height / step)];
  const columns = Math.ceil(Math.sqrt(depth)), rows = Math.ceil(depth / columns);
  const values = new Float32Array(tileWidth * tileHeight * depth);
  for (let z = 0, i = 0; z < depth; z++) {
    for (let y = 0; y < height; y += step) for (let x = 0; x < width; x += step) values[i++] = image[at(x, y, z)];
  }
  const sorted = values.toSorted(), quantile = (q: number) => sorted[Math.round(q * (sorted.length - 1))];
  const black = quantile(0.01), range = quantile(0.99) - black || 1;
  const data = new Uint8Array(columns * tileWidth * rows * tileHeight);
  values.forEach((value, i) => {
    const z = Math.floor(i / (tileWidth * tileHeight)), y = Math.floor(i / tileWidth) % tileHeight, x = i % tileWidth;
    const row = Math.floor(z / columns) * tileHeight + y, column = (z % columns) * tileWidth + x;
    data[row * columns * tileWidth + column] = Math.max(0, Math.min(255, Math.round(255 * (value - black) / range)));
  });
  const png = encode({ width: columns * tileWidth, height: rows * tileHeight, data, channels: 1, depth: 8 });
  return { png, columns, rows, tile: { width: tileWidth * step, height: tileHeight * step } };
}

/**
 * The outline of a region along the edges of its pixels, as relative SVG path data: closed loops, holes included, to be
 * filled by either rule.
 */
export function outline(
  inside: (x: number, y: number) => boolean,
  { width, height }: { width: number; height: number },
): string {
  // Edges from corner to corner with the region on their right; a corner has two where pixels meet diagonally.
  const columns = width + 1, edges = new Map<number, number[]>();
  const is = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height && inside(x, y);
  const add = (x0: number, y0: number, x1: number, y1: number) => {
    const key = y0 * columns + x0, end = y1 * columns + x1, ends = edges.get(key);
    if (ends) ends.push(end);
    else edges.set(key, [end]);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!is(x, y)) continue;
      if (!is(x, y - 1)) add(x, y, x + 1, y);
      if (!is(x + 1, y)) add(x + 1, y, x + 1, y + 1);
      if (!is(x, y + 1)) add(x + 1, y + 1, x, y + 1);
      if (!is(x - 1, y)) add(x, y + 1, x, y);
    }
  }
  let path = "";
  for (const [start, ends] of edges) {
    while (ends.length) {
      path += `M${start % columns} ${Math.floor(start / columns)}`;
      let corner = start, direction = "", length = 0;
      do {
        const next = edges.get(corner)!.pop()!, step = next - corner;
        const axis = Math.abs(step) === 1 ? "h" : "v", signed = axis === "h" ? step : step / columns;
        if (direction === axis && Math.sign(length) === Math.sign(signed)) length += signed;
        else {
          if (length) path += direction + length;
          [direction, length] = [axis, signed];
        }
        corner = next;
      } while (corner !== start);
      path += "z"; // draws the last edge
    }
  }
  return path;
}
