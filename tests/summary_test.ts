/** Rows and summaries of an evaluation: what stands in `metrics.json`. */
import assert from "node:assert/strict";
import { BARE_CASE, type Case } from "../pipeline/records/case.ts";
import { scoreCase } from "../pipeline/evaluation/evaluate_case.ts";
import { spread, summarize } from "../pipeline/evaluation/summary.ts";
import type { ScoreRow } from "../pipeline/records/evaluation.ts";

const SHAPE: [number, number, number] = [4, 4, 4];
const at = (...places: [index: number, value: number][]) => {
  const mask = new Uint8Array(64);
  for (const [index, value] of places) mask[index] = value;
  return mask;
};
const made = (name: string, label: Uint8Array, spacing?: [number, number, number]): Case => ({
  ...BARE_CASE,
  name,
  shape: SHAPE,
  image: new Float32Array(64),
  label,
  geometry: spacing ? { spacing, origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] } : null,
  preparation: "as published",
});

Deno.test("a case is scored class by class, in voxels and, with a spacing, in millimeters along each axis", () => {
  // Class 1 is missed by two voxels along X (16 positions a voxel), class 2 by three along Z, class 3 by nothing.
  const label = at([0, 1], [20, 2], [63, 3]), prediction = at([32, 1], [23, 2], [63, 3]);
  const rows = scoreCase(prediction, made("a", label, [1.5, 1.5, 10]), { classNames: ["r", "m", "l"], seconds: 2 });
  assert.deepEqual(rows.map((row) => [row.class, row.voxels, row.referenceVoxels, row.honest.dice, row.honest.asd]), [
    ["r", 1, 1, 0, 2],
    ["m", 1, 1, 0, 3],
    ["l", 1, 1, 1, 0],
  ]);
  assert.deepEqual(rows.map((row) => row.millimeters), [
    { hd95: 3, asd: 3, nsd: 0 },
    { hd95: 30, asd: 30, nsd: 0 },
    { hd95: 0, asd: 0, nsd: 1 },
  ]);
  const of = { classNames: ["r", "m", "l"], seconds: 2, tolerance: 3 };
  const wider = scoreCase(prediction, made("a", label, [1.5, 1.5, 10]), of);
  assert.deepEqual(wider.map((row) => row.millimeters!.nsd), [1, 0, 1]);
  assert.ok(rows.every((row) => row.case === "a" && row.seconds === 2));
  const [bare] = scoreCase(prediction, made("a", label), { classNames: ["r"], seconds: 2 });
  assert.equal(bare.millimeters, null);
});

Deno.test("a distance that does not exist is null, in voxels and in millimeters", () => {
  const [row] = scoreCase(at(), made("a", at([0, 1]), [1, 1, 1]), { classNames: ["r"], seconds: 0 });
  assert.deepEqual(row.published, { dice: 0, jaccard: 0, hd95: 0, asd: 0 });
  assert.deepEqual(row.honest, { dice: 0, jaccard: 0, hd95: null, asd: null });
  assert.deepEqual(row.millimeters, { hd95: null, asd: null, nsd: 0 });
  const unlabeled = { ...made("u", at()), label: null };
  assert.throws(() => scoreCase(at(), unlabeled, { classNames: ["r"], seconds: 0 }), /case "u" has no label/);
});

Deno.test("mean and sample standard deviation are over the values that exist, with their number", () => {
  assert.deepEqual(spread([2, null, 4, 9]), { mean: 5, standardDeviation: Math.sqrt(13), cases: 3 });
  assert.deepEqual(spread([3, null]), { mean: 3, standardDeviation: null, cases: 1 });
  assert.deepEqual(spread([null]), { mean: null, standardDeviation: null, cases: 0 });
});

Deno.test("a summary takes the mean over the classes of a case first, and millimeters where they are known", () => {
  const row = (name: string, className: string, dice: number, hd95: number | null, mm = true): ScoreRow => {
    const scores = { dice, jaccard: dice, hd95, asd: hd95 };
    const millimeters = mm ? { hd95: hd95 && 2 * hd95, asd: null, nsd: 0.5 } : null;
    return {
      case: name,
      class: className,
      published: { ...scores, hd95: hd95 ?? 0 },
      honest: scores,
      millimeters,
    };
  };
  const rows = [row("a", "r", 1, 4), row("a", "l", 0, null), row("b", "r", 0.5, 8, false), row("b", "l", 1, 2, false)];
  const { published, honest, millimeters } = summarize(rows);
  assert.deepEqual(Object.keys(honest), ["r", "l", "mean"]);
  assert.equal(honest.r.dice.mean, 0.75);
  assert.deepEqual(honest.l.hd95, { mean: 2, standardDeviation: null, cases: 1 });
  // Case a: one class with a distance, 4; case b: (8 + 2) / 2 = 5.
  assert.deepEqual(honest.mean.hd95, { mean: 4.5, standardDeviation: Math.SQRT1_2, cases: 2 });
  // Published: case a (4 + 0) / 2 = 2.
  assert.equal(published.mean.hd95.mean, 3.5);
  assert.deepEqual(millimeters!.mean.hd95, { mean: 8, standardDeviation: null, cases: 1 });
  assert.equal(summarize(rows.slice(2)).millimeters, null);
  const bounds = (values: readonly number[]): [number, number] => [Math.min(...values), Math.max(...values)];
  assert.deepEqual(summarize(rows, bounds).honest.mean.dice.interval, [0.5, 0.75]);
});
