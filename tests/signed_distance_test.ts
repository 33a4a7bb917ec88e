/**
 * The distance transform, signed distance maps and the losses on them; DTC's golden values are in
 * `parity/signed_distance.ts`.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs";
import type { Tensor } from "@tensorflow/tfjs";
import { distanceTransform } from "../pipeline/arrays/distance_transform.ts";
import { readArrays } from "../pipeline/files/hdf5.ts";
import {
  distanceToMask,
  meanSquaredError,
  signedDistanceMap,
  signedDistanceMaps,
} from "../pipeline/losses/signed_distance.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";

openTensorFlow();

const sizeOf = (shape: number[]) => shape.reduce((product, n) => product * n, 1);
/** Where voxel `i` lies, in voxels. */
function positionOf(i: number, shape: number[]): number[] {
  return shape.map((n, axis) => Math.floor(i / sizeOf(shape.slice(axis + 1))) % n);
}
function randomMask(shape: number[], { density, index }: { density: number; index: number }): Uint8Array {
  const random = stream(7, "mask", index);
  return Uint8Array.from({ length: sizeOf(shape) }, () => random() < density ? 1 : 0);
}
const close = (found: ArrayLike<number>, wanted: ArrayLike<number>, limit: number) => {
  assert.equal(found.length, wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const same = found[i] === wanted[i] || Math.abs(found[i] - wanted[i]) <= limit;
    assert.ok(same, `entry ${i}: ${found[i]}, wanted ${wanted[i]}`);
  }
};

/** Distance to the nearest non-zero voxel, by a search over all of them. */
function searchedDistances(mask: Uint8Array, shape: number[], spacing: number[]): number[] {
  const places = Array.from(mask, (_, i) => positionOf(i, shape).map((c, axis) => c * spacing[axis]));
  const objects = places.filter((_, i) => mask[i] !== 0);
  return places.map((p) => Math.min(Infinity, ...objects.map((q) => Math.hypot(...p.map((c, axis) => c - q[axis])))));
}

for (
  const [shape, spacing] of [
    [[23], [0.7]],
    [[13, 9], [1, 1]],
    [[13, 9], [2.5, 0.3]],
    [[7, 6, 5], [1, 1, 1]],
    [[7, 6, 5], [0.625, 1.9, 1.25]],
    [[6, 7, 8], [10, 1.4, 1.4]],
    [[1, 9, 1], [3, 2, 1]],
  ]
) {
  Deno.test(`the distance transform of [${shape}] with spacing [${spacing}] is that of a search over all voxels`, () => {
    for (const density of [0, 0.02, 0.1, 0.5, 0.97, 1]) {
      const mask = randomMask(shape, { density, index: Math.round(density * 100) });
      close(distanceTransform(mask, shape, spacing), searchedDistances(mask, shape, spacing), 1e-9);
    }
  });
}

Deno.test("the distance transform refuses a mask of another size and a spacing that is none", () => {
  const mask = new Uint8Array(6);
  assert.throws(() => distanceTransform(mask, [2, 2]), /mask has 6 voxels, shape \[2,2\] has 4/);
  for (const spacing of [[1], [1, 0], [1, -1], [1, Infinity], [NaN, 1]]) {
    assert.throws(() => distanceTransform(mask, [2, 3], spacing), /not one positive number per axis/);
  }
});

/** A rectangle of rows and columns, all included. */
function rectangle(shape: number[], [top, bottom]: number[], [left, right]: number[]): Uint8Array {
  return Uint8Array.from({ length: sizeOf(shape) }, (_, i) => {
    const [y, x] = positionOf(i, shape);
    return y >= top && y <= bottom && x >= left && x <= right ? 1 : 0;
  });
}

Deno.test("a 3 x 4 rectangle has -1 in its two inner voxels, 0 on its ring and 1 in the farthest corner", () => {
  const map = signedDistanceMap(rectangle([7, 7], [2, 4], [2, 5]), [7, 7]),
    at = (y: number, x: number) => map[7 * y + x];
  for (let y = 2; y <= 4; y++) {
    for (let x = 2; x <= 5; x++) assert.equal(at(y, x), y === 3 && (x === 3 || x === 4) ? -1 : 0);
  }
  const found = [at(0, 0), at(0, 1), at(0, 2), at(1, 1), at(1, 2)];
  close(found, [8, 5, 4, 2, 1].map((square) => Math.sqrt(square / 8)), 1e-7);
});

Deno.test("a square in the corner has its largest depth there: the array's edge is no boundary", () => {
  const map = signedDistanceMap(rectangle([5, 5], [0, 2], [0, 2]), [5, 5]),
    at = (y: number, x: number) => map[5 * y + x];
  const found = [at(0, 0), at(0, 1), at(1, 1), at(0, 2), at(0, 3), at(4, 4)];
  close(found, [-1, -2 / 3, -2 / 3, 0, Math.sqrt(1 / 8), 1], 1e-7);
});

Deno.test("an empty mask has the map 0, a mask without an outside -1, a single voxel no inside", () => {
  assert.ok(signedDistanceMap(new Uint8Array(60), [3, 4, 5]).every((s) => Object.is(s, 0)));
  assert.ok(signedDistanceMap(new Uint8Array(60).fill(1), [3, 4, 5]).every((s) => s === -1));
  const single = new Uint8Array(60);
  single[22] = 1; // [1, 0, 2]
  const map = signedDistanceMap(single, [3, 4, 5]);
  assert.equal(map.filter((s) => s > 0).length, 59);
  assert.equal(map[22], 0);
  assert.throws(() => signedDistanceMap(single, [3, 4, 4]), RangeError);
});

Deno.test("a map is 0 exactly on object voxels with a face neighbor outside, and jumps behind them", () => {
  for (const shape of [[40], [17, 14], [9, 8, 11]]) {
    for (const density of [0.3, 0.7, 0.95]) {
      const mask = randomMask(shape, { density, index: shape.length });
      const map = signedDistanceMap(mask, shape);
      const depths = distanceTransform(mask.map((v) => 1 - v), shape), largest = Math.max(...depths);
      mask.forEach((object, i) => {
        const place = positionOf(i, shape);
        const boundary = place.some((c, axis) => {
          const step = sizeOf(shape.slice(axis + 1));
          return c > 0 && mask[i - step] === 0 || c < shape[axis] - 1 && mask[i + step] === 0;
        });
        if (object === 0) assert.ok(map[i] > 0 && map[i] <= 1);
        else if (boundary) assert.ok(Object.is(map[i], 0));
        else assert.ok(map[i] <= -Math.SQRT2 / largest + 1e-6 && map[i] >= -1);
      });
      assert.equal(map.reduce((a, b) => Math.max(a, b)), 1);
    }
  }
});

Deno.test("a map turns and flips with its mask", () => {
  const shape = [9, 8, 11], mask = randomMask(shape, { density: 0.8, index: 1 }), map = signedDistanceMap(mask, shape);
  // Reversed raster order flips all axes; [X, Y, Z] as [Z, Y, X] turns them.
  assert.deepEqual(signedDistanceMap(mask.slice().reverse(), shape), map.slice().reverse());
  const turned = Array.from(mask, (_, i) => {
    const [z, y, x] = positionOf(i, [11, 8, 9]);
    return (x * 8 + y) * 11 + z;
  });
  const found = signedDistanceMap(Uint8Array.from(turned, (i) => mask[i]), [11, 8, 9]);
  assert.deepEqual(found, Float32Array.from(turned, (i) => map[i]));
});

const golden = await readArrays(fileURLToPath(new URL("golden/sdf_dtc_sassnet.h5", import.meta.url)));
for (const axes of ["2d", "3d"]) {
  Deno.test(`every class has the authors' map in its own channel, ${axes}`, () => {
    const { data: masks, shape } = golden[`label_${axes}`], stored = golden[`sdf_${axes}`].data;
    const voxels = masks.length / shape[0], classes = 4;
    // Row r holds its mask as class 1 + r mod 3; the other two classes are absent.
    const classOf = (row: number) => 1 + row % 3;
    const labels = Int32Array.from(masks, (v, i) => Number(v) * classOf(Math.floor(i / voxels)));
    const { maps, present } = signedDistanceMaps(labels, { shape, classes });
    for (let row = 0; row < shape[0]; row++) {
      for (let c = 1; c < classes; c++) {
        const at = (i: number) => maps[(row * voxels + i) * 3 + c - 1], own = c === classOf(row);
        const wanted = Array.from({ length: voxels }, (_, i) => own ? stored[row * voxels + i] : 0);
        close(Float32Array.from({ length: voxels }, (_, i) => at(i)), wanted, 1e-6);
        const voxelsOfClass = own && masks.subarray(row * voxels, (row + 1) * voxels).some((v) => v !== 0);
        assert.equal(present[row * 3 + c - 1], voxelsOfClass ? 1 : 0);
      }
    }
  });
}

Deno.test("the map of a class takes all other classes as outside", () => {
  const random = stream(7, "labels"), shape = [2, 9, 8], classes = 4;
  const labels = Int32Array.from({ length: sizeOf(shape) }, () => Math.floor(random() * classes));
  const { maps } = signedDistanceMaps(labels, { shape, classes });
  for (let row = 0; row < 2; row++) {
    for (let c = 1; c < classes; c++) {
      const wanted = signedDistanceMap(Uint8Array.from(labels.slice(72 * row, 72 * row + 72), (v) => +(v === c)), [
        9,
        8,
      ]);
      assert.deepEqual(maps.filter((_, i) => Math.floor(i / 216) === row && i % 3 === c - 1), wanted);
    }
  }
});

Deno.test("labels of another size, and all labels that are no class, are refused", () => {
  const labels = Int32Array.of(0, 4, 1, -1, 4, 7);
  assert.throws(() => signedDistanceMaps(labels, { shape: [2, 2], classes: 4 }), /6 labels found, shape \[2,2\] has 4/);
  assert.throws(
    () => signedDistanceMaps(labels, { shape: [2, 3], classes: 4 }),
    /labels -1, 4, 7 found, each must be one of 0 to 3/,
  );
});

Deno.test("distanceToMask() is 1/2 with slope -375 at 0, a hard mask without gradient beyond 0.02", () => {
  const s = tf.tensor1d([-1, -0.02, 0, 0.001, 0.02, 1]), mask = distanceToMask(s).dataSync();
  close(mask, [1, 1, 0.5, 1 / (1 + Math.exp(1.5)), 0, 0], 1e-6);
  const gradient = tf.grad((s: Tensor) => tf.sum(distanceToMask(s)))(s).dataSync();
  const y = mask[3];
  close(gradient, [0, 0, -375, -1500 * y * (1 - y), 0, 0], 1e-3);
});

Deno.test("meanSquaredError() averages over the maps that count, and the others get no gradient", () => {
  const [rows, voxels, channels] = [3, 10, 2];
  const a = tf.randomNormal([rows, 5, 2, channels], 0, 1, "float32", 1),
    b = tf.randomNormal(a.shape, 0, 1, "float32", 2);
  const present = [1, 0, 0, 0, 1, 1], counting = 3;
  const [x, y] = [a, b].map((t) => Array.from(t.dataSync()));
  const weightOf = (i: number) => present[Math.floor(i / (voxels * channels)) * channels + i % channels];
  const wanted = x.map((v, i) => weightOf(i) * (v - y[i]) ** 2).reduce((sum, v) => sum + v, 0) / (counting * voxels);
  const mask = tf.tensor2d(present, [rows, channels]);
  close(meanSquaredError(a, b, mask).dataSync(), [wanted], 1e-6);
  const gradient = tf.grad((a: Tensor) => meanSquaredError(a, b, mask))(a).dataSync();
  close(gradient, x.map((v, i) => weightOf(i) * 2 * (v - y[i]) / (counting * voxels)), 1e-6);
  close(meanSquaredError(a, b, tf.onesLike(mask)).dataSync(), meanSquaredError(a, b).dataSync(), 1e-6);
  const none = tf.zerosLike(mask);
  assert.equal(meanSquaredError(a, b, none).dataSync()[0], 0);
  assert.ok(tf.grad((a: Tensor) => meanSquaredError(a, b, none))(a).dataSync().every((g) => Math.abs(g) === 0));
});

Deno.test("DTC's consistency and the distance loss, with their gradients, are the same eager and traced", async () => {
  const z = tf.randomNormal([2, 4, 4, 3], 0, 1, "float32", 3), s = tf.randomNormal(z.shape, 0, 1e-3, "float32", 4);
  const present = tf.tensor2d([[1, 0, 1], [0, 1, 1]]);
  const loss = (z: Tensor, s: Tensor) =>
    tf.add(meanSquaredError(distanceToMask(s), tf.sigmoid(z)), meanSquaredError(s, z, present));
  // deno-lint-ignore no-explicit-any
  const both = (...xs: any[]) => [loss(xs[0], xs[1]), ...tf.grads((...of) => loss(of[0], of[1]))(xs)];
  const traced = await trace(both)(z, s);
  both(z, s).forEach((wanted, i) => close(traced[i].dataSync(), wanted.dataSync(), 1e-5));
});
