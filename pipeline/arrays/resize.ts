/**
 * Volumes on another grid over the same field of view, with antialiasing: equal to scikit-image's
 * `transform.resize(volume, shape, order, mode="reflect", anti_aliasing=True)`, that is a Gaussian of standard
 * deviation (from / to - 1) / 2 along every axis that shrinks, cut at 4 standard deviations, then a B-spline (Unser,
 * Aldroubi & Eden 1993) at `(i + 0.5) from / to - 0.5`, all with mirrored ends, then a cut to the source's range. It is
 * done axis by axis.
 * @module
 */
import type { Vector3 } from "./geometry.ts";
import { type Shape3, sizeOf } from "./shape.ts";

/** The pole of the cubic B-spline's filter. */
const POLE = Math.sqrt(3) - 2;

/**
 * A volume on another grid over the same field of view.
 * @param values `[X, Y, Z]`, Z fastest.
 * @param order Of the spline: 1, linear, or 3, cubic.
 * @returns The same array where the shape is.
 *
 * @example Halved: what lies between two voxels, behind a Gaussian of half a voxel
 * ```ts
 * import assert from "node:assert/strict";
 * import { resize } from "@ssnet/pipeline/arrays/resize.ts";
 *
 * const [a, b] = resize(Float32Array.of(0, 0, 6, 6), [1, 1, 4], [1, 1, 2], 1);
 * assert.ok(a > 0 && Math.abs(a + b - 6) < 1e-5);
 * ```
 */
export function resize(values: Float32Array, shape: Shape3, to: Shape3, order: 1 | 3): Float32Array {
  let result = values, sizes = [...shape];
  for (const axis of [0, 1, 2]) {
    if (sizes[axis] === to[axis]) continue;
    result = resizeAxis(result, sizes, { axis, to: to[axis], order });
    sizes = sizes.with(axis, to[axis]);
  }
  if (order === 1 || result === values) return result;
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  for (let i = 0; i < result.length; i++) result[i] = Math.min(Math.max(result[i], low), high);
  return result;
}

/**
 * The shape of a volume in another spacing over the same field of view.
 * @param spacing Of the volume. @param wanted Null, as where the first is: it keeps its own.
 */
export function resizedShape(shape: Vector3, spacing: Vector3 | null, wanted: Vector3 | null): Vector3 {
  if (!spacing || !wanted) return shape;
  return shape.map((n, axis) => Math.max(Math.round(n * spacing[axis] / wanted[axis]), 1)) as Vector3;
}

/**
 * Classes on another grid, as {@linkcode resize} has intensities: of every voxel the class with the largest part in it by
 * linear interpolation, of equal ones the lower.
 * @returns The same array where the shape is.
 *
 * @example Halved, the larger class of each pair
 * ```ts
 * import assert from "node:assert/strict";
 * import { resizeLabel } from "@ssnet/pipeline/arrays/resize.ts";
 *
 * const label = Uint8Array.of(0, 0, 0, 2, 2, 2), halved = resizeLabel(label, [1, 1, 6], [1, 1, 3]);
 * assert.deepEqual(halved, Uint8Array.of(0, 0, 2));
 * ```
 */
export function resizeLabel(label: Uint8Array, shape: Shape3, to: Shape3): Uint8Array {
  if (String(shape) === String(to)) return label;
  const largest = new Float32Array(sizeOf(to)), result = new Uint8Array(sizeOf(to));
  for (const k of [...new Set(label)].sort((a, b) => a - b)) {
    const part = resize(Float32Array.from(label, (value) => Number(value === k)), shape, to, 1);
    for (let i = 0; i < part.length; i++) {
      if (part[i] <= largest[i]) continue;
      largest[i] = part[i];
      result[i] = k;
    }
  }
  return result;
}

function resizeAxis(
  values: Float32Array,
  shape: readonly number[],
  { axis, to, order }: { axis: number; to: number; order: 1 | 3 },
): Float32Array {
  const from = shape[axis],
    inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1),
    outer = values.length / from / inner;
  const smoothing = gaussian(from / to), { places, weights } = taps(from, to, order), width = order + 1;
  const result = new Float32Array(outer * to * inner), line = new Float64Array(from), smooth = new Float64Array(from);
  const mirrors = mirrored(from, smoothing.length >> 1);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      for (let k = 0, at = o * from * inner + i; k < from; k++, at += inner) line[k] = values[at];
      let filtered = line;
      if (smoothing.length > 1) {
        for (let k = 0; k < from; k++) {
          let sum = 0;
          for (let j = 0; j < smoothing.length; j++) sum += smoothing[j] * line[mirrors[k + j]];
          smooth[k] = sum;
        }
        filtered = smooth;
      }
      if (order === 3 && from > 1) toCoefficients(filtered);
      for (let k = 0, at = o * to * inner + i; k < to; k++, at += inner) {
        let sum = 0;
        for (let j = width * k; j < width * (k + 1); j++) sum += weights[j] * filtered[places[j]];
        result[at] = sum;
      }
    }
  }
  return result;
}

/** Place `at` of a line of `length` with mirrored ends, its end voxels once. */
function mirror(at: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * length - 2, within = ((at % period) + period) % period;
  return within < length ? within : period - within;
}

/** The places of a line with `radius` more on both sides. */
const mirrored = (length: number, radius: number) =>
  Int32Array.from({ length: length + 2 * radius }, (_, i) => mirror(i - radius, length));

/** The weights of the smoothing for a factor; 1 alone where nothing shrinks. */
function gaussian(factor: number): Float64Array {
  const standardDeviation = Math.max(0, (factor - 1) / 2), radius = Math.floor(4 * standardDeviation + 0.5);
  if (standardDeviation < 1e-15) return Float64Array.of(1);
  const weights = Float64Array.from(
    { length: 2 * radius + 1 },
    (_, i) => Math.exp(-0.5 * ((i - radius) / standardDeviation) ** 2),
  );
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

/** Gives for each place of the new line `order + 1` places of the old one and their weights. */
function taps(from: number, to: number, order: 1 | 3) {
  const width = order + 1, places = new Int32Array(width * to), weights = new Float64Array(width * to);
  for (let i = 0; i < to; i++) {
    const c = (i + 0.5) * from / to - 0.5, first = Math.floor(c), t = c - first, s = 1 - t;
    const own = order === 1
      ? [s, t]
      : [s ** 3 / 6, 2 / 3 - t * t * (2 - t) / 2, 2 / 3 - s * s * (2 - s) / 2, t ** 3 / 6];
    own.forEach((weight, j) => {
      places[width * i + j] = mirror(first - (order >> 1) + j, from);
      weights[width * i + j] = weight;
    });
  }
  return { places, weights };
}

/** Values of a line of two or more to the coefficients of the cubic spline through them, in place. */
function toCoefficients(line: Float64Array): void {
  const n = line.length, period = 2 * n - 2;
  let sum = 0, power = 1;
  for (let k = 0; k < period && Math.abs(power) > 1e-30; k++, power *= POLE) sum += power * line[mirror(k, n)];
  const gain = (1 - POLE) * (1 - 1 / POLE), first = sum / (1 - POLE ** period);
  for (let k = n - 1; k >= 0; k--) line[k] *= gain;
  line[0] = gain * first;
  for (let k = 1; k < n; k++) line[k] += POLE * line[k - 1];
  line[n - 1] = POLE / (POLE * POLE - 1) * (line[n - 1] + POLE * line[n - 2]);
  for (let k = n - 2; k >= 0; k--) line[k] = POLE * (line[k + 1] - line[k]);
}
