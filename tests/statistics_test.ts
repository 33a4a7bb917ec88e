/**
 * Statistics of a comparison. Values of Wilcoxon's test were printed by `scipy.stats.wilcoxon(differences)` of SciPy
 * 1.17.1; the others are in closed form.
 */
import assert from "node:assert/strict";
import {
  bootstrapInterval,
  holm,
  overSeeds,
  pairedDifference,
  pairedTests,
  patientScores,
  wilcoxonSignedRank,
} from "../pipeline/evaluation/statistics.ts";
import { stream } from "../pipeline/arrays/random.ts";
import type { ResultRow, Scores } from "../pipeline/records/evaluation.ts";

const near = (found: number, wanted: number, relative = 1e-12) =>
  assert.ok(Math.abs(found - wanted) <= relative * Math.abs(wanted), `${found}, wanted ${wanted}`);

/** 1 … n, each with the sign that `negative` gives its place. */
const signs = (n: number, negative: (i: number) => boolean) =>
  Array.from({ length: n }, (_, i) => (negative(i) ? -1 : 1) * (i + 1));
const TEN = [0.05, 0.012, -0.03, 0.04, 0.021, 0.033, -0.008, 0.06, 0.07, 0.015];

Deno.test("the signed-rank test gives SciPy's statistic and p, exact and normal, with ties and with zeros", () => {
  const printed: [name: string, differences: number[], statistic: number, p: number, exact: boolean][] = [
    ["no ties", TEN, 6, 0.02734375, true],
    ["one sign", signs(8, () => false), 0, 0.0078125, true],
    ["equal sums", [1, -2, -3, 4, 5, -6, -7, 8], 18, 1, true],
    ["20", signs(20, (i) => i % 3 === 1), 77, 0.3117942810058594, true],
    ["50, the last exact one", signs(50, (i) => i % 3 === 0), 425, 0.03996834652842374, true],
    ["51, the first normal one", signs(51, (i) => i % 3 === 0), 425, 0.02568873999366418, false],
    ["60, near the middle", signs(60, (i) => i % 2 === 1), 900, 0.9120730845618369, false],
    ["100 of one sign", signs(100, () => false), 0, 3.896559845095909e-18, false],
    ["10 with ties", [1, 1, 2, 2, -1, 3, 4, 5, 6, -3], 8.5, 0.060546875, true],
    ["14 with ties", [1, 1, 2, 2, -1, 3, 4, 5, 6, -3, 7, 8, 9, 10], 8.5, 0.005670394938372954, false],
    ["12 with zeros", [...TEN, 0, 0], 6, 0.02734375, true],
    ["14 with zeros", [0, 0, 1, 2, -3, 4, 5, 6, -7, 8, 9, 10, 11, 12], 10, 0.022909099354356588, false],
    ["50 and a zero", [0, ...signs(50, (i) => i % 3 === 0)], 425, 0.0402356268160887, false],
    ["zeros alone", [0, 0, 0], 0, 1, true],
  ];
  for (const [name, differences, statistic, p, exact] of printed) {
    const found = wilcoxonSignedRank(differences);
    assert.deepEqual([found.statistic, found.exact], [statistic, exact], name);
    near(found.p, p);
    assert.deepEqual(wilcoxonSignedRank(differences.map((d) => -d)), found, `${name}, signs turned`);
    assert.deepEqual(wilcoxonSignedRank(differences.toReversed()), found, `${name}, in another order`);
  }
  assert.equal(wilcoxonSignedRank([...TEN, 0, 0]).pairs, 10);
  assert.deepEqual(wilcoxonSignedRank(Array(20).fill(0)), { statistic: 0, p: 1, pairs: 0, exact: true });
  assert.throws(() => wilcoxonSignedRank([1, NaN, Infinity]), /differences NaN, Infinity: finite numbers wanted/);
});

Deno.test("the exact p is the part of all choices of signs that are at least as extreme, ties included", () => {
  for (const differences of [TEN, [1, 1, 2, 2, -1, 3, 4, 5, 6, -3], [0.1, -0.1, 0.1, 0.2], [-3]]) {
    const { statistic, p } = wilcoxonSignedRank(differences), n = differences.length;
    const sizes = differences.map(Math.abs);
    const rank = sizes.map((a) => sizes.filter((b) => b < a).length + (sizes.filter((b) => b === a).length + 1) / 2);
    let below = 0;
    for (let choice = 0; choice < 2 ** n; choice++) {
      if (rank.reduce((sum, r, i) => sum + (choice >> i & 1 ? r : 0), 0) <= statistic) below++;
    }
    assert.equal(p, Math.min(1, 2 * below / 2 ** n));
  }
});

Deno.test("Holm's correction multiplies the smallest p by all, the next by one fewer, and keeps the order", () => {
  assert.deepEqual(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(12))), [0.03, 0.06, 0.06, 0.02]);
  assert.deepEqual(holm([0.9, 0.8]), [1, 1]);
  assert.deepEqual(holm([0.2]), [0.2]);
  assert.deepEqual(holm([]), []);
});

Deno.test("the bootstrap's interval is repeatable, moves with its values, and has the width of the mean's error", () => {
  const values = Array.from({ length: 400 }, (_, i) => i / 399), interval = bootstrapInterval(values)!;
  assert.deepEqual(bootstrapInterval(values), interval);
  assert.notDeepEqual(bootstrapInterval(values, { seed: 1 }), interval);
  // Uniform values: the mean's standard error is 1 / √(12 n), 95 % lie within 1.96 of it.
  const [low, high] = interval, error = 1.96 / Math.sqrt(12 * 400);
  near(low, 0.5 - error, 0.01);
  near(high, 0.5 + error, 0.01);
  assert.deepEqual(bootstrapInterval(values.map((v) => 2 * v))!.map((v) => v / 2), interval);
  assert.deepEqual(bootstrapInterval([3, 3, 3]), [3, 3]);
  assert.equal(bootstrapInterval([3]), null);
  // Of two values a resample's mean is one of 0, 1/2 and 1, with 1/4, 1/2 and 1/4.
  assert.deepEqual(bootstrapInterval([0, 1]), [0, 1]);
});

Deno.test("the bootstrap covers the true mean of normal samples nearly as often as it says", () => {
  let covered = 0;
  for (let trial = 0; trial < 200; trial++) {
    const random = stream(11, "sample", trial);
    // Sums of 12 uniform numbers are nearly normal.
    const values = Array.from({ length: 20 }, () => Array.from({ length: 12 }, random).reduce((a, b) => a + b) - 6);
    const [low, high] = bootstrapInterval(values, { resamples: 1000, seed: trial })!;
    if (low <= 0 && 0 <= high) covered++;
  }
  assert.ok(covered >= 170 && covered <= 200, `${covered} of 200`);
});

const scores = (dice: number, hd95: number | null): Scores => ({ dice, jaccard: dice / 2, hd95, asd: hd95 });
const row = (
  name: string,
  className: string,
  dice: number,
  hd95: number | null,
  patient: string | null,
): ResultRow => ({
  ...{ case: name, patient, phase: null, class: className, voxels: 1, referenceVoxels: 1, milliliters: null },
  ...{ seconds: 0, published: scores(dice, hd95 ?? 0), honest: scores(dice, hd95), millimeters: null },
});

Deno.test("a patient's scores are the mean over frames class by class, then over classes; a bare case is a patient", () => {
  const rows = [
    row("p1_01", "r", 0.5, 2, "p1"),
    row("p1_01", "l", 1, 4, "p1"),
    row("p1_10", "r", 0.75, null, "p1"),
    row("p1_10", "l", 1, 8, "p1"),
    row("bare", "r", 0.25, null, null),
  ];
  assert.deepEqual(patientScores(rows, "honest"), {
    p1: { dice: 0.8125, jaccard: 0.40625, hd95: 4, asd: 4 },
    bare: { dice: 0.25, jaccard: 0.125, hd95: null, asd: null },
  });
  assert.equal(patientScores(rows, "published").p1.hd95, 3.5);
});

Deno.test("seeds are averaged per patient first; the standard deviation is that of the seeds' means", () => {
  const summary = overSeeds([{ a: 1, b: 3 }, { a: 3, b: null }, { a: 5, b: 9 }]);
  assert.deepEqual(summary.values, { a: 3, b: 6 });
  assert.equal(summary.mean, 4.5);
  assert.equal(summary.standardDeviation, Math.sqrt((2 ** 2 + 1 ** 2 + 3 ** 2) / 2)); // the seeds' means: 2, 3, 7
  assert.equal(summary.patients, 2);
  assert.deepEqual(summary.interval, [3, 6]);
  const one = overSeeds([{ a: 1, b: null }]);
  assert.deepEqual(one, { values: { a: 1, b: null }, mean: 1, standardDeviation: null, interval: null, patients: 1 });
  assert.equal(overSeeds([{ a: null }]).mean, null);
  assert.throws(() => overSeeds([{ a: 1 }, { b: 1 }]), /different patients: a and b/);
});

Deno.test("a family of tests is corrected over the tests that were possible; too few patients give the reason", () => {
  const of = (value: (i: number) => number | null, n = 8) =>
    Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, value(i)]));
  const reference = of(() => 1),
    [won, mixed, missing] = pairedTests(reference, [
      of((i) => 1 - (i + 1) / 100),
      of((i) => 1 - signs(8, (k) => k % 2 === 1)[i] / 100),
      of((i) => i === 3 ? null : 0.5),
    ]);
  assert.ok("p" in won.test && "p" in mixed.test);
  near(won.difference!, 0.045);
  assert.deepEqual([won.patients, won.test.p, won.test.corrected], [8, 2 / 256, 4 / 256]);
  assert.equal(mixed.test.corrected, mixed.test.p);
  assert.deepEqual(missing, {
    patients: 7,
    difference: 0.5,
    test: { reason: "7 patients have a value in both, a test wants at least 8" },
  });
  const [few] = pairedTests(of(() => 1, 7), [of(() => 0, 7)]);
  assert.ok(!("p" in few.test));
  assert.match(
    (pairedTests({ a: 1 }, [{ a: 0 }])[0].test as { reason: string }).reason,
    /^1 patient has a value in both/,
  );
});

Deno.test("a paired difference looks at the patients that have a value in both: none, one, two", () => {
  assert.equal(pairedDifference({ a: 1, b: null }, { a: null, b: 1, c: 1 }), null);
  assert.deepEqual(pairedDifference({ a: 1, b: null }, { a: 0.5, b: 1 }), { patients: 1, mean: 0.5, interval: null });
  const { patients, mean, interval } = pairedDifference({ a: 1, b: 0.5 }, { b: 0.5, a: 0.5 })!;
  assert.deepEqual([patients, mean, interval], [2, 0.25, [0, 0.5]]);
});
