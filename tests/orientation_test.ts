/** Turning volumes: all 48 orientations there and back, every voxel where it was; resizing against scikit-image's values. */
import assert from "node:assert/strict";
import { fromAffine, type Geometry, geometryDifferences, toAffine, type Vector3 } from "../pipeline/arrays/geometry.ts";
import {
  inverse,
  isOrientation,
  orientationOf,
  type Turn,
  turned,
  turnedGeometry,
  turnedShape,
  turnTo,
} from "../pipeline/arrays/orientation.ts";
import { resize } from "../pipeline/arrays/resize.ts";
import type { Shape3 } from "../pipeline/arrays/shape.ts";
import values from "./predict_values.json" with { type: "json" };

const LETTERS = ["RL", "AP", "SI"];
const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
/** All of them. */
const ORIENTATIONS = ORDERS.flatMap((order) =>
  Array.from({ length: 8 }, (_, bits) => order.map((axis, i) => LETTERS[axis][bits >> i & 1]).join(""))
);
const SHAPE: Vector3 = [3, 4, 5];
const VALUES = Float32Array.from({ length: 60 }, (_, i) => i);
/** Rotated by a third of a radian about z, then by a fifth about x; left-handed. */
const OBLIQUE: Geometry = (() => {
  const [c, s, d, t] = [Math.cos(1 / 3), Math.sin(1 / 3), Math.cos(0.2), Math.sin(0.2)];
  return { spacing: [0.5, 1.25, 3], origin: [10, -20, 30], direction: [-c, s, 0, -s * d, -c * d, t, s * t, c * t, d] };
})();

/** Where a voxel lies. */
const worldOf = (geometry: Geometry, voxel: readonly number[]) =>
  toAffine(geometry).map(([a, b, c, from]) => a * voxel[0] + b * voxel[1] + c * voxel[2] + from);

Deno.test("the 48 orientations are told apart, and a volume goes to each and back voxel for voxel", () => {
  assert.equal(new Set(ORIENTATIONS).size, 48);
  for (const geometry of [fromAffine([[-1, 0, 0, 5], [0, -2, 0, 6], [0, 0, 3, 7]]), OBLIQUE]) {
    assert.equal(orientationOf(geometry.direction), "LPS");
    for (const orientation of ORIENTATIONS) {
      assert.ok(isOrientation(orientation));
      const turn = turnTo(geometry.direction, orientation), back = inverse(turn), shape = turnedShape(SHAPE, turn);
      const there = turned(VALUES, SHAPE, turn), place = turnedGeometry(geometry, SHAPE, turn);
      assert.equal(orientationOf(place.direction), orientation);
      assert.deepEqual(turned(there, shape, back), VALUES);
      assert.deepEqual(turnedShape(shape, back), SHAPE);
      assert.deepEqual(geometryDifferences(turnedGeometry(place, shape, back), geometry), []);
      assert.deepEqual(inverse(back), turn);
      // A voxel of the turned volume lies where the one with its value lay.
      for (const [i, j, k] of [[0, 0, 0], [1, 0, 0], [0, 2, 1], shape.map((n) => n - 1)]) {
        const value = there[(i * shape[1] + j) * shape[2] + k];
        const from = [Math.floor(value / 20), Math.floor(value / 5) % 4, value % 5];
        const [found, wanted] = [worldOf(place, [i, j, k]), worldOf(geometry, from)];
        found.forEach((x, axis) => assert.ok(Math.abs(x - wanted[axis]) < 1e-9, `${orientation}: ${found}, ${wanted}`));
      }
    }
  }
  for (const text of ["", "LP", "LLS", "LPSS", "lps", "LRS"]) assert.ok(!isOrientation(text), text);
});

Deno.test("a volume that was turned before comes to the same voxels, also an oblique one and with its slices fixed", () => {
  const wanted = turned(VALUES, SHAPE, turnTo(OBLIQUE.direction, "SPL"));
  const slices = (axis: number) => ({ from: axis, to: 0 });
  // Slices that lie nearly sagittal stay slices.
  const fixed = turnTo(OBLIQUE.direction, "SPL", slices(0));
  assert.deepEqual(fixed.axes[0], 0);
  for (const orientation of ORIENTATIONS) {
    const before = turnTo(OBLIQUE.direction, orientation), shape = turnedShape(SHAPE, before);
    const copy = turned(VALUES, SHAPE, before), { direction } = turnedGeometry(OBLIQUE, SHAPE, before);
    assert.deepEqual(turned(copy, shape, turnTo(direction, "SPL")), wanted);
    const again = turnTo(direction, "SPL", slices(before.axes.indexOf(0)));
    assert.deepEqual(turned(copy, shape, again), turned(VALUES, SHAPE, fixed));
  }
  // An axis at a right angle to the wanted one: its copies agree, too.
  const straight = [1, 0, 0, 0, 1, 0, 0, 0, 1], flip: Turn = { axes: [0, 1, 2], flips: [true, true, true] };
  const [one, other] = [straight, straight.map((value) => -value)].map((direction) =>
    turnTo(direction, "SPL", slices(0))
  );
  assert.deepEqual(turned(turned(VALUES, SHAPE, flip), SHAPE, other), turned(VALUES, SHAPE, one));
});

Deno.test("resizing equals scikit-image's with antialiasing, linear and cubic, up and down", () => {
  for (const { shape, to, order, values: wanted } of values.resize) {
    const [nx, ny, nz] = shape, image = Float32Array.from({ length: nx * ny * nz }, (_, i) => (i * 7919 % 101) / 101);
    const found = resize(image, shape as unknown as Shape3, to as unknown as Shape3, order as 1 | 3);
    assert.equal(found.length, wanted.length);
    found.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 2e-7, `${shape} to ${to}, order ${order}`));
  }
  const image = Float32Array.of(1, 2, 3);
  assert.equal(resize(image, [1, 1, 3], [1, 1, 3], 3), image, "the same grid leaves the same array");
});
