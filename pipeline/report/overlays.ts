/**
 * A predicted mask against its reference, slice by slice: the gray values of all slices in one PNG, the regions of
 * agreement and error as outlines along the voxels' edges. Outlines are vectors, so they stay exact at any size.
 * @module
 */
import { encode } from "fast-png";
import { cropped } from "../arrays/part.ts";
import { type Case, partOf, readCase, spacingOf } from "../records/case.ts";
import { nearestQuantile } from "../arrays/quantiles.ts";
import { readNifti } from "../files/nifti.ts";
import type { Evaluation } from "./runs.ts";
import { DataError } from "../files/errors.ts";
import { readManifest } from "../records/manifest.ts";

/** What is wrong with a voxel: outside the reference, missed, of another class; the last needs several classes. */
export const ERRORS = ["extra", "missed", "confused"] as const;

/** What can be shown over a slice. */
export const VIEWS = ["differences", "prediction", "reference"] as const;

/**
 * One slice, Z fixed: SVG path data in voxels of the box, empty where a region has no voxel. `differences` are what is
 * right, a path a class, then {@linkcode ERRORS}; `prediction` and `reference` are a path a class.
 */
export interface OverlaySlice extends Record<typeof VIEWS[number], string[]> {
  /** Index in the volume. */
  z: number;
}

/** Both masks of a case over its image, within a box around them. */
export interface Overlay {
  /** Voxels of the box along X. */
  width: number;
  /** Voxels of the box along Y. */
  height: number;
  /** Height of a voxel, its width being 1; 1 where the spacing is not known. */
  aspect: number;
  /** All slices of the box along Z, empty ones too. */
  slices: OverlaySlice[];
  /** All slices of the box as tiles of one image, row by row; the size of a tile is in voxels. */
  montage: { png: Uint8Array; columns: number; rows: number; tile: { width: number; height: number } };
  /** Places in `slices` of the figure: a quarter, half and three quarters of the reference, and the most errors. */
  shown: { index: number; what: string }[];
}

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
  const { cases } = await readManifest(metrics.cases), expected = Object.hasOwn(cases, name) ? cases[name] : null;
  if (!expected) throw new DataError(`Cannot read "${source}": its manifest.json has no case of this name`);
  const found = await readCase(source, name, { expected }), part = partOf(found);
  let mask;
  try {
    mask = await readNifti(path, { axes: found.axes });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DataError(`Cannot read "${path}": it is not there`, { cause: error });
  }
  if (!found.label) throw new DataError(`Cannot compare with "${source}": it has no label`);
  // Earlier versions wrote masks of the case alone.
  const shapes = [found.shape, part.whole], isWhole = String(mask.shape) === String(part.whole);
  if (!isWhole && String(mask.shape) !== String(found.shape)) {
    const wanted = [...new Set(shapes.map((shape) => `[${shape}]`))].join(" or ");
    throw new DataError(`Cannot compare "${path}" with its case: a shape of ${wanted} wanted, found [${mask.shape}]`);
  }
  const prediction = Uint8Array.from(mask.data);
  return makeOverlay(
    { ...found, label: found.label },
    isWhole ? cropped(prediction, part) : prediction,
    metrics.classes.length,
  );
}

/**
 * The overlay of a case with both masks, in planes of X (to the right) and Y (downwards) whatever the order of its axes.
 * @param prediction Classes, in the order of the case's label.
 * @param classes Number of classes without the background.
 * @throws {DataError} When both masks are empty: there is nothing to show.
 */
export function makeOverlay(
  { name, shape, axes, image, label, ...place }:
    & Pick<Case, "name" | "shape" | "axes" | "geometry" | "correctedSpacing" | "image">
    & { label: Uint8Array },
  prediction: Uint8Array,
  classes: number,
): Overlay {
  const reversed = axes === "ZYX", [nx, ny, nz] = reversed ? shape.toReversed() : shape;
  const [dx, dy, dz] = reversed ? [1, nx, nx * ny] : [ny * nz, nz, 1];
  const spacing = reversed ? spacingOf(place)?.toReversed() : spacingOf(place);
  // A right voxel has the number of its class, a wrong one a number above all classes.
  const [extra, missed, confused] = ERRORS.map((_, i) => classes + 1 + i);
  const regions = Uint8Array.from(label, (reference, i) => {
    const predicted = prediction[i];
    if (!reference) return predicted ? extra : 0;
    return predicted === reference ? reference : predicted ? confused : missed;
  });
  const low = [Infinity, Infinity, Infinity], high = [-1, -1, -1], reference = new Float64Array(nz);
  const errors = new Float64Array(nz);
  for (let i = 0; i < regions.length; i++) {
    if (!regions[i]) continue;
    const place = [Math.floor(i / dx) % nx, Math.floor(i / dy) % ny, Math.floor(i / dz) % nz];
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis], place[axis]);
      high[axis] = Math.max(high[axis], place[axis]);
    }
    if (regions[i] !== extra) reference[place[2]]++;
    if (regions[i] > classes) errors[place[2]]++;
  }
  if (high[0] < 0) throw new DataError(`Cannot show "${name}": its masks are both empty`);
  const margins = [MARGIN.plane, MARGIN.plane, MARGIN.axis];
  const from = low.map((n, axis) => Math.max(n - margins[axis], 0));
  const to = high.map((n, axis) => Math.min(n + margins[axis] + 1, [nx, ny, nz][axis]));
  const [width, height, depth] = to.map((n, axis) => n - from[axis]);
  const at = (x: number, y: number, z: number) => (x + from[0]) * dx + (y + from[1]) * dy + (z + from[2]) * dz;
  const outlines = (values: Uint8Array, z: number, count: number) =>
    Array.from({ length: count }, (_, k) => outline((x, y) => values[at(x, y, z)] === k + 1, { width, height }));
  const slices = Array.from({ length: depth }, (_, z) => ({
    z: z + from[2],
    differences: outlines(regions, z, classes + (classes > 1 ? 3 : 2)),
    prediction: outlines(prediction, z, classes),
    reference: outlines(label, z, classes),
  }));
  // Where the reference is empty, the box of the prediction stands in for it.
  const filled = [...(reference.some(Boolean) ? reference : errors).entries()].filter(([, n]) => n).map(([z]) => z);
  const part = (fraction: number) => filled[Math.round(fraction * (filled.length - 1))] - from[2];
  return {
    width,
    height,
    aspect: spacing ? spacing[1] / spacing[0] : 1,
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
  const sorted = values.toSorted(), black = nearestQuantile(sorted, 0.01);
  const range = nearestQuantile(sorted, 0.99) - black || 1;
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
