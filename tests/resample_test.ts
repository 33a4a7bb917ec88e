/** Resampling, the augmentation of ACDC slices and its phantom, where the answer is known in closed form. */
import assert from "node:assert/strict";
import { drawSlice, extractSlice, type SliceDraw } from "../pipeline/data/augment.ts";
import { cinePhantom } from "../pipeline/datasets/acdc/phantom.ts";
import { rotation, turnAndFlip, zoom, zoomLines } from "../pipeline/arrays/resample.ts";
import { stream } from "../pipeline/arrays/random.ts";
import type { Shape2 } from "../pipeline/arrays/shape.ts";

const picture = ([h, w]: Shape2) => Int32Array.from({ length: h * w }, (_, i) => i + 1);

Deno.test("a zoom to the same size changes nothing, to twice the size repeats lines, and one line stays one line", () => {
  assert.deepEqual([...zoomLines(5, 5)], [0, 1, 2, 3, 4]);
  assert.deepEqual([...zoomLines(3, 6)], [0, 0, 1, 1, 2, 2]);
  assert.deepEqual([...zoomLines(1, 3)], [0, 0, 0]);
  assert.deepEqual([...zoomLines(7, 1)], [0]);
  assert.deepEqual([...zoom(Uint8Array.of(1, 2, 3, 4), [2, 2], [2, 4])], [1, 1, 2, 2, 3, 3, 4, 4]);
});

Deno.test("zooming back from 256 loses the last line for the sizes that the README lists, and for no other", () => {
  const readme = Deno.readTextFileSync(new URL("./golden/README.md", import.meta.url));
  const listed = readme.match(/becomes \*\*background\*\* for these sizes between 20 and 599: ([\d, ]+)/)![1].split(",")
    .map(Number);
  const sizes = Array.from({ length: 580 }, (_, i) => i + 20);
  assert.ok(listed.length > 50);
  assert.deepEqual(sizes.filter((n) => zoomLines(256, n).at(-1) === -1), listed);
  assert.ok(sizes.every((n) => zoomLines(n, 256).every((line) => line >= 0 && line < n)));
});

Deno.test("four quarter turns lead back, and a flip undoes itself", () => {
  const shape: Shape2 = [3, 4];
  let image = picture(shape), size: Shape2 = shape;
  for (let k = 0; k < 4; k++) {
    const { shape: turned, at } = turnAndFlip(size, 1, 0);
    // Turned and then flipped: flip again to leave the turn alone.
    const next = new Int32Array(12);
    for (let i = 0; i < turned[0]; i++) {
      for (let j = 0; j < turned[1]; j++) next[i * turned[1] + j] = image[at(turned[0] - 1 - i, j)];
    }
    [image, size] = [next, turned];
    if (k === 0) assert.deepEqual([...image].slice(0, 3), [4, 8, 12]); // counter-clockwise: the last column comes up
  }
  assert.deepEqual(image, picture(shape));
});

Deno.test("a rotation by 0 degrees changes nothing, and one by 10 leads back from one by -10 near the center", () => {
  const shape: Shape2 = [31, 31], zero = rotation(shape, 0);
  for (let i = 0; i < 31; i++) for (let j = 0; j < 31; j++) assert.equal(zero.at(i, j), i * 31 + j);
  const there = rotation(shape, 10), back = rotation(shape, -10);
  for (let i = 10; i < 21; i++) {
    for (let j = 10; j < 21; j++) {
      const via = there.at(i, j), end = back.at(Math.floor(via / 31), via % 31);
      assert.ok(Math.abs(Math.floor(end / 31) - i) <= 1 && Math.abs(end % 31 - j) <= 1);
    }
  }
  assert.equal(rotation(shape, 19).at(0, 0), -1);
});

Deno.test("half of the slices are turned, a quarter are rotated by -20 to 19 degrees, a quarter stay", () => {
  const counts = { turn: 0, rotate: 0, none: 0 }, degrees = new Set<number>(), turns = new Set<string>();
  for (let i = 0; i < 8000; i++) {
    const draw = drawSlice(stream(5, "augmentation", i));
    counts[draw.kind]++;
    if (draw.kind === "rotate") degrees.add(draw.degrees);
    if (draw.kind === "turn") turns.add(`${draw.turns} ${draw.flipAxis}`);
  }
  for (const [kind, share] of [["turn", 0.5], ["rotate", 0.25], ["none", 0.25]] as const) {
    assert.ok(Math.abs(counts[kind] / 8000 - share) < 0.02, `${kind}: ${counts[kind]}`);
  }
  assert.deepEqual([...degrees].sort((a, b) => a - b), Array.from({ length: 40 }, (_, i) => i - 20));
  assert.equal(turns.size, 8);
  assert.deepEqual(drawSlice(stream(5, "augmentation", 3)), drawSlice(stream(5, "augmentation", 3)));
});

Deno.test("an extracted slice is the augmented slice, then zoomed", () => {
  const shape: Shape2 = [21, 34], size: Shape2 = [16, 48], slice = picture(shape);
  const draws: SliceDraw[] = [
    { kind: "turn", turns: 1, flipAxis: 1 },
    { kind: "turn", turns: 2, flipAxis: 0 },
    { kind: "rotate", degrees: -13 },
    { kind: "none" },
  ];
  for (const draw of draws) {
    const { shape: turned, at } = draw.kind === "turn"
      ? turnAndFlip(shape, draw.turns, draw.flipAxis)
      : rotation(shape, draw.kind === "rotate" ? draw.degrees : 0);
    const augmented = Int32Array.from(slice, (_, i) => {
      const from = at(Math.floor(i / turned[1]), i % turned[1]);
      return from < 0 ? 0 : slice[from];
    });
    const target = new Int32Array(3 + size[0] * size[1]).fill(-7);
    extractSlice(slice, shape, { size, draw, target, offset: 3 });
    assert.deepEqual(target.slice(3), zoom(augmented, turned, size), JSON.stringify(draw));
    assert.deepEqual([...target.slice(0, 3)], [-7, -7, -7]);
  }
});

Deno.test("the cine phantom's myocardium encloses a left ventricle that shrinks, and the same seed gives the same bits", () => {
  const shape = [6, 96, 96] as const, { ED, ES } = cinePhantom(3, "patient001", shape);
  assert.deepEqual(cinePhantom(3, "patient001", shape), { ED, ES });
  assert.notDeepEqual(cinePhantom(3, "patient002", shape).ED.image, ED.image);
  const voxels = ({ label }: typeof ED, c: number) => label.reduce((sum, v) => sum + Number(v === c), 0);
  for (const frame of [ED, ES]) {
    const { image, label } = frame;
    assert.equal(Math.min(...image), 0);
    assert.equal(Math.max(...image), 1);
    for (let z = 0; z < 6; z++) {
      const slice = label.subarray(z * 96 * 96, (z + 1) * 96 * 96);
      assert.deepEqual([...new Set(slice)].sort(), [0, 1, 2, 3]);
      slice.forEach((v, i) => {
        if (v === 3) { for (const step of [1, -1, 96, -96]) assert.ok(slice[i + step] >= 2, "the cavity is open"); }
      });
    }
  }
  const ejected = 1 - voxels(ES, 3) / voxels(ED, 3);
  assert.ok(ejected > 0.3 && ejected < 0.75, `ejection fraction ${ejected}`);
  assert.ok(voxels(ES, 1) < voxels(ED, 1));
});
