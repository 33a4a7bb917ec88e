/**
 * The evaluation on cases whose answer is known in closed form; its golden values are in `parity/metrics.ts`.
 * @module
 */
import assert from "node:assert/strict";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
import { largestComponent } from "../pipeline/arrays/components.ts";
import { dice } from "../pipeline/evaluation/overlap.ts";
import { surfaceMetrics } from "../pipeline/evaluation/surface_distance.ts";

Deno.test("an empty prediction scores 0 as published; in truth it has no distance, and two empty masks agree", () => {
  const none = new Uint8Array(8), some = Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0), shape = [2, 2, 2];
  const zeros = { dice: 0, jaccard: 0, hd95: 0, asd: 0 }, unknown = { hd95: NaN, asd: NaN };
  assert.deepEqual(caseMetrics(none, some, shape), { published: zeros, honest: { ...zeros, ...unknown } });
  const missed = { dice: 0, jaccard: 0, ...unknown };
  assert.deepEqual(caseMetrics(some, none, shape), { published: missed, honest: missed });
  const agreed = { dice: 1, jaccard: 1, ...unknown };
  assert.deepEqual(caseMetrics(none, none, shape), { published: zeros, honest: agreed });
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
