/**
 * Which way the axes of a volume run, and turning it: a permutation of its axes with some of them reversed, 48 in all. No
 * voxel is interpolated, so that a turn there and back gives every voxel back. Names as nibabel's `aff2axcodes`: of "LPS"
 * the first axis runs to the left, the second to the back, the third to the head.
 * @module
 */
import type { AxisOrder, Geometry, Vector3 } from "./geometry.ts";

/** Where the world's axes lead, forwards and backwards. */
const LETTERS = ["RL", "AP", "SI"];
const PERMUTATIONS: Vector3[] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
/** The ratio of slice thickness to pixel size from which slices count as thick. */
const THICKER = 1.5;
/** The component of a direction below which it has no part along an axis. */
const NO_PART = 1e-6;

/** Axis `axes[i]` of the source becomes axis i, backwards where `flips[i]`. */
export interface Turn {
  /** A permutation of 0, 1, 2. */
  axes: Vector3;
  /** Whether each axis of the turned volume runs backwards. */
  flips: [boolean, boolean, boolean];
}

/** Whether a text names an orientation: one letter each of RL, AP and SI. */
export function isOrientation(text: string): boolean {
  return text.length === 3 && LETTERS.every((pair) => [...pair].some((letter) => text.includes(letter)));
}

/** The axis of the world of each axis of an orientation, and 1 or -1. */
const worldOf = (orientation: string) =>
  [...orientation].map((letter) => {
    const axis = LETTERS.findIndex((pair) => pair.includes(letter));
    return { axis, sign: LETTERS[axis][0] === letter ? 1 : -1 };
  });

/**
 * The nearest orientation of a volume's axes.
 *
 * @example A volume as ITK keeps one that says no direction
 * ```ts
 * import assert from "node:assert/strict";
 * import { orientationOf } from "@ssnet/pipeline/arrays/orientation.ts";
 *
 * assert.equal(orientationOf([-1, 0, 0, 0, -1, 0, 0, 0, 1]), "LPS");
 * ```
 */
export function orientationOf(direction: readonly number[]): string {
  const { axes, flips } = turnTo(direction, "RAS"), letters = Array<string>(3);
  axes.forEach((axis, i) => letters[axis] = LETTERS[i][flips[i] ? 1 : 0]);
  return letters.join("");
}

/**
 * The turn of a volume to the orientation that is nearest to the wanted one.
 * @param direction Of a {@linkcode Geometry}.
 * @param fixed An axis of the volume and the one that it must become, as slices must stay slices.
 */
export function turnTo(
  direction: readonly number[],
  wanted: string,
  fixed: { from: number; to: number } | null = null,
): Turn {
  const world = worldOf(wanted), part = (i: number, axis: number) => direction[3 * world[i].axis + axis];
  const along = (axes: Vector3) => axes.reduce((sum, axis, i) => sum + Math.abs(part(i, axis)), 0);
  const axes = PERMUTATIONS.filter((axes) => !fixed || axes[fixed.to] === fixed.from)
    .reduce((best, axes) => along(axes) > along(best) ? axes : best);
  const flips = axes.map((axis, i) => {
    if (Math.abs(part(i, axis)) > NO_PART) return part(i, axis) * world[i].sign < 0;
    // It runs at a right angle to the wanted one: by its own longest part, so that turned copies agree.
    return [0, 3, 6].map((row) => direction[row + axis]).reduce((a, b) => Math.abs(b) > Math.abs(a) ? b : a) < 0;
  });
  return { axes, flips: flips as Turn["flips"] };
}

/** An image as far as its turn depends on it. */
export interface Oriented {
  /** The place of the voxels; null where its file does not say how large a voxel is. */
  geometry: Geometry | null;
  /** Whether the file says where its voxels lie. */
  isPlaced: boolean;
  /** Which axes of the file its axes are. */
  axes: AxisOrder;
  /** Millimeters along them; null: the geometry's. */
  spacing: Vector3 | null;
}

/**
 * The turn from an image's axes to those of a network. Without a place they are taken as the network's. For a network of
 * slices the axis of the thick voxels stays that of the slices, whichever way it runs: a short axis is oblique.
 * @param wanted The network's axes, its patch, which says whether it takes slices, and the orientation of its volumes.
 */
export function turnOf(
  { geometry, isPlaced, axes, spacing }: Oriented,
  wanted: { axes: AxisOrder; patch: readonly number[]; orientation: string },
): Turn {
  const { orientation } = wanted;
  if (!isOrientation(orientation)) throw new RangeError(`"${orientation}" is no orientation`);
  if (!geometry || !isPlaced) {
    return { axes: axes === wanted.axes ? [0, 1, 2] : [2, 1, 0], flips: [false, false, false] };
  }
  const widths = spacing ?? geometry.spacing, ordered = widths.toSorted((a, b) => b - a);
  const isThick = wanted.patch.length === 2 && ordered[0] > THICKER * ordered[1];
  return turnTo(geometry.direction, orientation, isThick ? { from: widths.indexOf(ordered[0]), to: 0 } : null);
}

/** The turn back. */
export function inverse({ axes, flips }: Turn): Turn {
  const back: Turn = { axes: [0, 0, 0], flips: [false, false, false] };
  axes.forEach((axis, i) => [back.axes[axis], back.flips[axis]] = [i, flips[i]]);
  return back;
}

/** The shape of a turned volume. */
export function turnedShape(shape: Vector3, { axes }: Turn): Vector3 {
  return axes.map((axis) => shape[axis]) as Vector3;
}

/** The geometry of a turned volume: every voxel stays where it is. @param shape Before the turn. */
export function turnedGeometry(
  { spacing, origin, direction }: Geometry,
  shape: Vector3,
  { axes, flips }: Turn,
): Geometry {
  const corner = origin.map((from, row) =>
    axes.reduce(
      (at, axis, i) => at + (flips[i] ? direction[3 * row + axis] * spacing[axis] * (shape[axis] - 1) : 0),
      from,
    )
  );
  return {
    spacing: axes.map((axis) => spacing[axis]) as Vector3,
    origin: corner as Vector3,
    direction: [0, 1, 2].flatMap((row) => axes.map((axis, i) => direction[3 * row + axis] * (flips[i] ? -1 : 1) + 0)),
  };
}

/**
 * A turned volume; the same array where nothing is turned.
 * @param values The last axis fastest. @param shape Before the turn.
 *
 * @example A row backwards
 * ```ts
 * import assert from "node:assert/strict";
 * import { turned } from "@ssnet/pipeline/arrays/orientation.ts";
 *
 * const row = Uint8Array.of(1, 2, 3), backwards = turned(row, [1, 1, 3], { axes: [0, 1, 2], flips: [false, false, true] });
 * assert.deepEqual(backwards, Uint8Array.of(3, 2, 1));
 * ```
 */
export function turned<T extends Float32Array | Uint8Array>(values: T, shape: Vector3, turn: Turn): T {
  const { axes, flips } = turn, [n0, n1, n2] = turnedShape(shape, turn);
  if (axes.every((axis, i) => axis === i && !flips[i])) return values;
  const strides = [shape[1] * shape[2], shape[2], 1];
  const steps = axes.map((axis, i) => flips[i] ? -strides[axis] : strides[axis]);
  const first = axes.reduce((at, axis, i) => at + (flips[i] ? strides[axis] * (shape[axis] - 1) : 0), 0);
  const result = new (values.constructor as new (length: number) => T)(values.length);
  for (let i = 0, to = 0; i < n0; i++) {
    for (let j = 0; j < n1; j++) {
      for (let k = 0, from = first + i * steps[0] + j * steps[1]; k < n2; k++, from += steps[2]) {
        result[to++] = values[from];
      }
    }
  }
  return result;
}
