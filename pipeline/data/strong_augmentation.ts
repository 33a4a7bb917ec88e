/**
 * Strong augmentation: what nnU-Net draws for every patch (Isensee et al., Nature Methods 2021, supplementary note 4) with
 * narrower ranges where a short training needs them. One resampling for all that moves (turn, flip, rotation, scale, crop),
 * all channels and label from the same draw, then what changes intensities alone, of every channel by itself. Half of the
 * draws keep the orientation that the network meets at test.
 *
 * | what            | drawn                                          | probability |
 * | --------------- | ---------------------------------------------- | ----------- |
 * | turn and flip   | quarter turns in the plane, either axis        | 0.5         |
 * | rotation        | ±30°, of volumes about all axes                | 0.2         |
 * | scale           | 0.7–1 or 1–1.4                                 | 0.2         |
 * | noise           | Gaussian, variance 0–0.1 of the patch's own    | 0.1         |
 * | blur            | Gaussian, σ 0.5–1 pixels                       | 0.2         |
 * | brightness      | times 0.75–1.25                                | 0.15        |
 * | contrast        | 0.75–1.25 about the mean, within the old range | 0.15        |
 * | low resolution  | 0.5–1 of the pixels along every axis           | 0.25        |
 * | gamma, inverted | 0.7–1 or 1–1.5 of the negative                 | 0.1         |
 * | gamma           | 0.7–1 or 1–1.5                                 | 0.3         |
 * @module
 */
import { extremes, meanAndStandardDeviation } from "../arrays/intensity.ts";
import { sizeOf } from "../arrays/shape.ts";
import type { TrainingItem } from "./batches.ts";

/** Uniform in [0, 1). */
export type Random = () => number;

const between = (random: Random, low: number, high: number) => low + (high - low) * random();
/** Draws a factor below or above 1, either as likely as the other. */
const about1 = (random: Random, low: number, high: number) =>
  random() < 0.5 ? between(random, low, 1) : between(random, 1, high);

/** Degrees. */
const MOST_ROTATION = 30;
/** A labeled volume's patch has a voxel of the foreground near its center in so many draws, wherever else the others lie. */
export const FOREGROUND_SHARE = 1 / 3;

/** Where a patch comes from: the voxel at `p` along its axes lies at `center + matrix · (p - middle of the patch)` of the source. */
export interface Placement {
  /** Row-major, two by two or three by three. */
  matrix: readonly number[];
  /** The patch's center in voxels of the source, 0 the middle of the first one. */
  center: readonly number[];
}

/**
 * Draws where a patch comes from. A slice is zoomed to the patch; of a volume a patch is cut, its middle uniform over the
 * starts of the published crop, or near a voxel of the foreground ({@linkcode FOREGROUND_SHARE}).
 * @param label Null for an unlabeled row.
 */
export function drawPlacement(
  random: Random,
  { shape, label }: Pick<TrainingItem, "shape" | "label">,
  patch: readonly number[],
): Placement {
  const rank = patch.length, isSlice = rank === 2;
  const isMoved = random() < 0.5, turns = Math.floor(4 * random()), flips = [random() < 0.5, random() < 0.5];
  const isRotated = random() < 0.2;
  const angle = () => between(random, -MOST_ROTATION, MOST_ROTATION) * Math.PI / 180;
  const angles = isSlice ? [angle()] : [angle(), angle(), angle()];
  const isScaled = random() < 0.2, drawnScale = about1(random, 0.7, 1.4), scale = isScaled ? drawnScale : 1;
  let matrix = identity(rank);
  if (isMoved) matrix = product(quarterTurns(rank, turns), flip(rank, flips), rank);
  if (isRotated) matrix = product(matrix, rotation(rank, angles), rank);
  // A larger object is a smaller step through the source.
  const zoom = patch.map((n, i) => (isSlice ? shape[i] / n : 1) / scale);
  matrix = matrix.map((value, k) => value * zoom[isSlice ? Math.floor(k / rank) : 0]);
  return { matrix, center: isSlice ? middleOf(shape) : drawCenter(random, { shape, label }, patch) };
}

const middleOf = (shape: readonly number[]) => shape.map((n) => (n - 1) / 2);

function drawCenter(
  random: Random,
  { shape, label }: Pick<TrainingItem, "shape" | "label">,
  patch: readonly number[],
): number[] {
  const middle = middleOf(shape), isNear = random() < FOREGROUND_SHARE, start = random();
  const shares = patch.map(() => random() - 0.5);
  // Where nothing turns by less than a quarter, the patch's voxels are the source's, and not between them.
  const onVoxels = (at: number, i: number) => Math.round(at - (patch[i] - 1) / 2) + (patch[i] - 1) / 2;
  const near = label && isNear ? foregroundFrom(label, Math.floor(start * label.length)) : -1;
  if (near < 0) return middle.map((m, i) => onVoxels(m + shares[i] * Math.max(shape[i] - patch[i], 0), i));
  const [, ny, nz] = shape, voxel = [Math.floor(near / (ny * nz)), Math.floor(near / nz) % ny, near % nz];
  return voxel.map((v, i) => onVoxels(v + shares[i] * patch[i] / 2, i)); // it stays in the inner half of the patch
}

/** The first voxel of the foreground from a place on, round the end; -1 where there is none. */
function foregroundFrom(label: Uint8Array, start: number): number {
  for (let i = start; i < label.length; i++) if (label[i]) return i;
  for (let i = 0; i < start; i++) if (label[i]) return i;
  return -1;
}

const identity = (rank: number): number[] => Array.from({ length: rank * rank }, (_, k) => k % (rank + 1) ? 0 : 1);

function product(a: readonly number[], b: readonly number[], rank: number): number[] {
  return a.map((_, k) => {
    const i = Math.floor(k / rank), j = k % rank;
    let sum = 0;
    for (let t = 0; t < rank; t++) sum += a[i * rank + t] * b[t * rank + j];
    return sum;
  });
}

/** A rotation in the plane of two axes. */
function planeRotation(rank: number, [p, q]: readonly [number, number], cos: number, sin: number): number[] {
  const matrix = identity(rank);
  [matrix[p * rank + p], matrix[p * rank + q], matrix[q * rank + p], matrix[q * rank + q]] = [cos, -sin, sin, cos];
  return matrix;
}

const COSINES = [1, 0, -1, 0];
/** Exact: its entries are whole numbers. */
const quarterTurns = (rank: number, n: number) => planeRotation(rank, [0, 1], COSINES[n], COSINES[(n + 3) % 4]);

const flip = (rank: number, flips: readonly boolean[]) =>
  identity(rank).map((value, k) => flips[k % (rank + 1) ? 2 : k / (rank + 1)] ? -value : value);

const PLANES = [[0, 1], [0, 2], [1, 2]] as const;
const rotation = (rank: number, angles: readonly number[]) =>
  angles.reduce(
    (matrix, angle, i) => product(matrix, planeRotation(rank, PLANES[i], Math.cos(angle), Math.sin(angle)), rank),
    identity(rank),
  );

/**
 * The patch of a placement in one channel: intensities between voxels by linear interpolation, of a label the class with the largest part
 * in it. What lies outside is 0.
 * @param image Where the intensities go, in the order of the patch. @param label Where the classes go; null: nowhere.
 */
export function placePatch(
  item: Pick<TrainingItem, "shape" | "label"> & { channel: TrainingItem["image"][number] },
  { matrix, center }: Placement,
  { patch, image, label }: { patch: readonly number[]; image: Float32Array; label: Int32Array | null },
): void {
  const coded = "codes" in item.channel ? item.channel : null;
  const source = coded ? coded.codes : item.channel as Float32Array, palette = coded?.palette;
  // A slice is a volume of one plane, which no step leaves.
  const isSlice = patch.length === 2, rank = patch.length;
  const [n0, n1, n2] = isSlice ? [1, ...item.shape] : item.shape;
  const [p0, p1, p2] = isSlice ? [1, ...patch] : patch;
  const entry = (i: number, j: number) =>
    isSlice ? (i && j ? matrix[(i - 1) * rank + j - 1] : 0) : matrix[i * rank + j];
  const [c0, c1, c2] = isSlice ? [0, ...center] : center;
  const d0 = entry(0, 2), d1 = entry(1, 2), d2 = entry(2, 2), classes = item.label, part = new Float64Array(256);
  for (let i = 0, to = 0; i < p0; i++) {
    for (let j = 0; j < p1; j++) {
      const u = i - (p0 - 1) / 2, v = j - (p1 - 1) / 2, w = -(p2 - 1) / 2;
      let x = entry(0, 0) * u + entry(0, 1) * v + d0 * w + c0;
      let y = entry(1, 0) * u + entry(1, 1) * v + d1 * w + c1;
      let z = entry(2, 0) * u + entry(2, 1) * v + d2 * w + c2;
      for (let k = 0; k < p2; k++, to++, x += d0, y += d1, z += d2) {
        // So near to a voxel that only rounding lies between: it is that voxel.
        const x0 = Math.floor(x + 1e-6), y0 = Math.floor(y + 1e-6), z0 = Math.floor(z + 1e-6);
        if (x0 < -1 || y0 < -1 || z0 < -1 || x0 >= n0 || y0 >= n1 || z0 >= n2) {
          image[to] = 0;
          if (label) label[to] = 0;
          continue;
        }
        const fx = Math.max(x - x0, 0), fy = Math.max(y - y0, 0), fz = Math.max(z - z0, 0);
        let value = 0, first = -1, isMixed = false;
        for (let a = 0; a < 2; a++) {
          const wx = a ? fx : 1 - fx, X = x0 + a;
          if (wx < 2e-6 || X < 0 || X >= n0) continue;
          for (let b = 0; b < 2; b++) {
            const wy = wx * (b ? fy : 1 - fy), Y = y0 + b;
            if (wy < 2e-6 || Y < 0 || Y >= n1) continue;
            for (let c = 0; c < 2; c++) {
              const weight = wy * (c ? fz : 1 - fz), Z = z0 + c;
              if (weight < 2e-6 || Z < 0 || Z >= n2) continue;
              const at = (X * n1 + Y) * n2 + Z;
              value += weight * (palette ? palette[source[at]] : source[at]);
              if (!label) continue;
              const one = classes![at];
              if (first < 0) first = one;
              else if (one !== first) isMixed = true;
              part[one] += weight;
            }
          }
        }
        image[to] = value;
        if (label) label[to] = largestPart(part, first, isMixed);
      }
    }
  }
}

/** The class with the largest part, the background's where it is half or more of the whole; clears the parts. */
function largestPart(part: Float64Array, first: number, isMixed: boolean): number {
  if (!isMixed) {
    // What lies outside is background.
    const isMost = first > 0 && part[first] > 0.5;
    if (first >= 0) part[first] = 0;
    return isMost ? first : 0;
  }
  let best = 0, most = 0, sum = 0;
  for (let c = 0; c < part.length; c++) {
    const own = part[c];
    if (!own) continue;
    sum += own;
    if (c && own > most) [best, most] = [c, own];
    part[c] = c ? 0 : own;
  }
  const background = part[0] + Math.max(1 - sum, 0);
  part[0] = 0;
  return most > background ? best : 0;
}

/** Adds Gaussian noise, in place. @param standardDeviation Of the noise. */
export function addNoise(values: Float32Array, standardDeviation: number, random: Random): void {
  for (let i = 0; i < values.length; i += 2) { // Box and Muller give two numbers at once
    const radius = standardDeviation * Math.sqrt(-2 * Math.log(1 - random())), angle = 2 * Math.PI * random();
    values[i] += radius * Math.cos(angle);
    if (i + 1 < values.length) values[i + 1] += radius * Math.sin(angle);
  }
}

/** Changes every line along every axis of more than one pixel, in place. */
function alongLines(values: Float32Array, shape: readonly number[], change: (line: Float32Array) => void): void {
  shape.forEach((n, axis) => {
    if (n < 2) return;
    const stride = sizeOf(shape.slice(axis + 1)), line = new Float32Array(n);
    for (let block = 0; block < values.length; block += n * stride) {
      for (let from = block; from < block + stride; from++) {
        for (let i = 0, at = from; i < n; i++, at += stride) line[i] = values[at];
        change(line);
        for (let i = 0, at = from; i < n; i++, at += stride) values[at] = line[i];
      }
    }
  });
}

/** Farther than three pixels a Gaussian of σ 1 is nothing. */
const BLUR_RADIUS = 3;

/** Blurs with a Gaussian along every axis, in place; beyond the edge its pixels go on. @param sigma Pixels, at most 1. */
export function blur(values: Float32Array, shape: readonly number[], sigma: number): void {
  const r = BLUR_RADIUS,
    weights = Float64Array.from({ length: 2 * r + 1 }, (_, i) => Math.exp(-0.5 * ((i - r) / sigma) ** 2));
  const sum = weights.reduce((a, b) => a + b), kernel = weights.map((weight) => weight / sum);
  const wide = new Float32Array(Math.max(...shape) + 2 * r);
  alongLines(values, shape, (line) => {
    const n = line.length;
    wide.fill(line[0], 0, r).fill(line[n - 1], n + r, n + 2 * r).set(line, r);
    for (let i = 0; i < n; i++) {
      let value = 0;
      for (let k = 0; k <= 2 * r; k++) value += kernel[k] * wide[i + k];
      line[i] = value;
    }
  });
}

/** Multiplies what differs from the mean, in place, and keeps the range. */
export function scaleContrast(values: Float32Array, factor: number): void {
  const { mean } = meanAndStandardDeviation(values), { minimum: low, maximum: high } = extremes(values);
  for (let i = 0; i < values.length; i++) {
    values[i] = Math.min(Math.max((values[i] - mean) * factor + mean, low), high);
  }
}

/** Keeps so much of the pixels along every axis, the nearest ones, and fills in between by lines, in place. */
export function lowerResolution(values: Float32Array, shape: readonly number[], share: number): void {
  const few = new Float32Array(Math.max(...shape));
  alongLines(values, shape, (line) => {
    const n = line.length, count = Math.max(1, Math.round(n * share));
    for (let i = 0; i < count; i++) few[i] = line[Math.min(n - 1, Math.floor((i + 0.5) * n / count))];
    for (let i = 0; i < n; i++) {
      const at = Math.min(Math.max((i + 0.5) * count / n - 0.5, 0), count - 1), from = Math.floor(at), part = at - from;
      line[i] = part ? (1 - part) * few[from] + part * few[from + 1] : few[from];
    }
  });
}

/** Raises the intensities, scaled to [0, 1], to a power, in place; mean and standard deviation stay. */
export function applyGamma(values: Float32Array, gamma: number, { isInverted }: { isInverted: boolean }): void {
  const sign = isInverted ? -1 : 1;
  if (isInverted) { for (let i = 0; i < values.length; i++) values[i] = -values[i]; }
  const before = { ...meanAndStandardDeviation(values), ...extremes(values) }, range = before.maximum - before.minimum;
  if (range > 0) {
    for (let i = 0; i < values.length; i++) values[i] = Math.pow((values[i] - before.minimum) / range, gamma);
    const after = meanAndStandardDeviation(values),
      factor = after.standardDeviation > 0 ? before.standardDeviation / after.standardDeviation : 0;
    for (let i = 0; i < values.length; i++) values[i] = sign * ((values[i] - after.mean) * factor + before.mean);
  } else if (isInverted) { for (let i = 0; i < values.length; i++) values[i] = -values[i]; }
}

/** Draws and applies what changes intensities alone, in place, in the order of the table above. */
export function changeIntensities(random: Random, values: Float32Array, shape: readonly number[]): void {
  if (random() < 0.1) {
    addNoise(values, Math.sqrt(between(random, 0, 0.1)) * meanAndStandardDeviation(values).standardDeviation, random);
  }
  if (random() < 0.2) blur(values, shape, between(random, 0.5, 1));
  if (random() < 0.15) {
    const factor = between(random, 0.75, 1.25);
    for (let i = 0; i < values.length; i++) values[i] *= factor;
  }
  if (random() < 0.15) scaleContrast(values, between(random, 0.75, 1.25));
  if (random() < 0.25) lowerResolution(values, shape, between(random, 0.5, 1));
  if (random() < 0.1) applyGamma(values, about1(random, 0.7, 1.5), { isInverted: true });
  if (random() < 0.3) applyGamma(values, about1(random, 0.7, 1.5), { isInverted: false });
}

/**
 * A row of a batch, strongly augmented: {@linkcode drawPlacement}, {@linkcode placePatch}, {@linkcode changeIntensities}.
 * @param to As of {@linkcode placePatch}, with the intensities of every channel; `isWeak`: the intensities stay.
 */
export function augmentStrongly(
  random: Random,
  item: TrainingItem,
  { patch, isWeak, ...to }: {
    patch: readonly number[];
    image: readonly Float32Array[];
    label: Int32Array | null;
    isWeak?: boolean;
  },
): void {
  const { shape } = item, label = to.label && item.label; // an unlabeled row is drawn as one, whatever its case has
  const placement = drawPlacement(random, { shape, label }, patch);
  to.image.forEach((image, c) => {
    placePatch({ shape, channel: item.image[c], label }, placement, { patch, image, label: c ? null : to.label });
    if (!isWeak) changeIntensities(random, image, patch);
  });
}
