/**
 * The evaluation against the golden values in `metrics.h5`, and cases whose answer is known in closed form.
 * @module
 */
import assert from "node:assert/strict";
import { Dataset, File, ready } from "h5wasm/node";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
import { largestComponent } from "../pipeline/evaluation/components.ts";
import { dice, jaccard } from "../pipeline/evaluation/overlap.ts";
import { distanceTransform, surfaceDistances, surfaceMetrics } from "../pipeline/evaluation/surface_distance.ts";

await ready;
const file = new File(new URL("./golden/metrics.h5", import.meta.url).pathname, "r");

function read<T extends Uint8Array | Float64Array>(name: string): { value: T; shape: number[] } {
  const dataset = file.get(name);
  assert.ok(dataset instanceof Dataset && dataset.shape, `metrics.h5 has no dataset ${name}`);
  return { value: dataset.value as T, shape: dataset.shape };
}

const numbers = (name: string) => read<Float64Array>(name).value;

const spacings = new Map([3, 2].map((axes) => {
  const { value, shape: [rows] } = read<Float64Array>(`spacing_${axes}d`);
  return [axes, Array.from({ length: rows }, (_, j) => Array.from(value.subarray(j * axes, (j + 1) * axes)))];
}));

const pairs = Array.from({ length: read("dc").shape[0] }, (_, index) => {
  const name = `pair${String(index).padStart(2, "0")}`;
  const { value: prediction, shape } = read<Uint8Array>(`${name}_prediction`);
  const { value: reference } = read<Uint8Array>(`${name}_reference`);
  return { index, name, prediction, reference, shape, spacings: spacings.get(shape.length)! };
});

/** NaN equals NaN only. */
function assertClose(actual: number, expected: number, what: string): void {
  const same = Number.isNaN(expected) ? Number.isNaN(actual) : Math.abs(actual - expected) <= 1e-9;
  assert.ok(same, `${what}: ${actual} instead of ${expected}`);
}

Deno.test("Dice and Jaccard are the golden ones, and NaN for two empty masks", () => {
  const dc = numbers("dc"), jc = numbers("jc");
  assert.equal(pairs.length, 17);
  for (const { index, name, prediction, reference } of pairs) {
    // Library versions disagree on two empty masks, pair 16; the golden Jaccard there is 1.
    assertClose(dice({ prediction, reference }), index === 16 ? NaN : dc[index], `${name} dice`);
    assertClose(jaccard({ prediction, reference }), index === 16 ? NaN : jc[index], `${name} jaccard`);
  }
});

Deno.test("surface metrics are the golden ones at every spacing, and an error where the reference raises", () => {
  const golden = {
    hd: numbers("hd"),
    hd95: numbers("hd95"),
    asd: numbers("asd"),
    asdReverse: numbers("asd_reverse"),
  };
  const raises = read<Uint8Array>("raises").value;
  for (const { index, name, prediction, reference, shape, spacings } of pairs) {
    assert.equal(spacings.length, 4);
    spacings.forEach((spacing, j) => {
      if (raises[index] === 1) {
        assert.throws(() => surfaceMetrics(prediction, reference, shape, spacing), RangeError);
        return;
      }
      const metrics = surfaceMetrics(prediction, reference, shape, spacing);
      for (const key of ["hd", "hd95", "asd", "asdReverse"] as const) {
        assertClose(metrics[key], golden[key][4 * index + j], `${name} ${key} at spacing [${spacing}]`);
      }
    });
  }
});

Deno.test("every single surface distance is the golden one, in both directions", () => {
  for (const index of [0, 1, 5, 11]) {
    const { name, prediction, reference, shape } = pairs[index];
    for (const direction of ["", "_reverse"]) {
      const expected = numbers(`${name}_surface_distances${direction}_sorted`);
      const [from, to] = direction === "" ? [prediction, reference] : [reference, prediction];
      const actual = surfaceDistances(from, to, shape).sort();
      assert.equal(actual.length, expected.length);
      expected.forEach((distance, i) => assertClose(actual[i], distance, `${name}${direction} distance ${i}`));
    }
  }
});

Deno.test("published case metrics are the golden ones, and honest ones have no distance for an empty mask", () => {
  const perCase = numbers("per_case"), raises = read<Uint8Array>("raises").value;
  for (const { index, name, prediction, reference, shape } of pairs) {
    const { published, honest } = caseMetrics(prediction, reference, shape);
    const row = perCase.subarray(4 * index, 4 * index + 4);
    // Pair 15 has an empty reference: the authors' evaluation raises, here only the distances are missing.
    const expected = index === 15 ? [0, 0, NaN, NaN] : row;
    if (index === 15) assert.ok(row.every(Number.isNaN));
    [published.dice, published.jaccard, published.hd95, published.asd].forEach((value, i) =>
      assertClose(value, expected[i], `${name} published ${i}`)
    );
    if (raises[index] === 0) assert.deepEqual(honest, published);
    else {
      const overlap = index === 16 ? NaN : 0;
      assert.deepEqual(honest, { dice: overlap, jaccard: overlap, hd95: NaN, asd: NaN });
    }
  }
});

Deno.test("the largest component is the golden one in 3-D and in 2-D", () => {
  for (let i = 0; i < 6; i++) {
    const { value, shape } = read<Uint8Array>(`cc${i}_input`);
    assert.deepEqual(largestComponent(value, shape), read<Uint8Array>(`cc${i}_largest`).value, `cc${i}`);
  }
});

Deno.test("a mask without an object has no largest component", () => {
  assert.throws(() => largestComponent(new Uint8Array(8), [2, 2, 2]), RangeError);
});

/** A box from `low` (included) to `high` (excluded) in a cube of 16 voxels a side. */
function box(low: number[], high: number[]): Uint8Array {
  return Uint8Array.from({ length: 16 ** 3 }, (_, i) => {
    const at = [i >> 8, (i >> 4) & 15, i & 15];
    return at.every((c, axis) => c >= low[axis] && c < high[axis]) ? 1 : 0;
  });
}

Deno.test("a cube of side 6 shifted by 3 has Hausdorff distance 3 and Dice 1/2", () => {
  const prediction = box([2, 4, 4], [8, 10, 10]), reference = box([5, 4, 4], [11, 10, 10]);
  const shape = [16, 16, 16];
  const { hd, asd, asdReverse } = surfaceMetrics(prediction, reference, shape);
  assert.equal(hd, 3);
  assert.equal(asd, asdReverse);
  assert.equal(dice({ prediction, reference }), 0.5);
  assert.equal(surfaceMetrics(prediction, reference, shape, [2, 1, 1]).hd, 6);
});

Deno.test("plates 3 apart are 3 apart everywhere, times the spacing across them", () => {
  const prediction = box([4, 0, 0], [5, 16, 16]), reference = box([7, 0, 0], [8, 16, 16]);
  for (const width of [1, 0.5, 2.5]) {
    assert.deepEqual(surfaceMetrics(prediction, reference, [16, 16, 16], [width, 1, 0.7]), {
      hd: 3 * width,
      hd95: 3 * width,
      asd: 3 * width,
      asdReverse: 3 * width,
    });
  }
});

Deno.test("the distance transform agrees with a search over all object voxels", () => {
  const shape = [7, 6, 5], spacing = [0.625, 1.9, 1.25];
  const mask = Uint8Array.from({ length: 210 }, (_, i) => (i * 7919 + 13) % 23 === 0 ? 1 : 0);
  const at = (i: number) => [Math.floor(i / 30), Math.floor(i / 5) % 6, i % 5].map((c, axis) => c * spacing[axis]);
  distanceTransform(mask, shape, spacing).forEach((distance, i) => {
    let nearest = Infinity;
    mask.forEach((value, j) => {
      if (value !== 0) nearest = Math.min(nearest, Math.hypot(...at(i).map((c, axis) => c - at(j)[axis])));
    });
    assertClose(distance, nearest, `voxel ${i}`);
  });
  assert.ok(distanceTransform(new Uint8Array(4), [2, 2]).every((distance) => distance === Infinity));
});
