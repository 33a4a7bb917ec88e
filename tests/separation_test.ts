/** Bank and separation at their edges: classes with 0, 1, 2, 31, 32 and 33 prototypes, halves that lack a class. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { emptyBank, updateBank } from "../pipeline/losses/feature_bank.ts";
import { type BankWeights, separationLoss } from "../pipeline/losses/separation.ts";
import { gradientsOf } from "../pipeline/methods/method.ts";
import { heads as buildHeads, PROJECTED } from "../pipeline/networks/heads.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { toWeights, type Weights } from "../pipeline/networks/parameters.ts";
import { build } from "../pipeline/networks/scope.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { bf16Fault } from "../pipeline/tensorflow/precision.ts";
import {
  BLOCK_ROWS,
  hiddenMoments,
  moments,
  twoLayers,
  unitRows,
  weightedSum,
  weightedUnitSum,
} from "../pipeline/tensorflow/rows.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../pipeline/tensorflow/tensors.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { goldenState, N } from "../tasks/tools/parity/golden_numbers.ts";
import { plainHeads, type Rows, toRows } from "../tasks/tools/parity/plain_heads.ts";

openTensorFlow({ device: "cpu" });
const CLASSES = 4, BANK_ROWS = 32, VOXELS = 90, FEATURES = 16;
const { spec: SPEC, forward: headsOf } = build((at) => buildHeads(at, { classes: CLASSES, features: FEATURES }));
const { weights: WEIGHTS, buffers: BUFFERS } = toWeights(SPEC, goldenState(SPEC, 22));
const NAMES = Object.keys(WEIGHTS);
const features = (stream: number) =>
  tf.tensor2d(Float32Array.from({ length: VOXELS * FEATURES }, (_, i) => N(stream, i)), [VOXELS, FEATURES]);
const HALVES = { labeled: features(1), unlabeled: features(2) };
type Half = keyof typeof HALVES;

/** Class 1 is the one at its edge, class 2 is as usual, class 3 has labels and nothing in the bank. */
interface Case {
  /** Voxels of class 1 that are predicted right. */
  correct: number;
  /** Voxels of class 1 in each half. */
  voxels: Record<Half, number>;
}
const CASES: Case[] = [
  { correct: 0, voxels: { labeled: 40, unlabeled: 40 } },
  { correct: 1, voxels: { labeled: 1, unlabeled: 40 } },
  { correct: 1, voxels: { labeled: 40, unlabeled: 1 } },
  { correct: 2, voxels: { labeled: 2, unlabeled: 0 } },
  { correct: 31, voxels: { labeled: 40, unlabeled: 2 } },
  { correct: 32, voxels: { labeled: 32, unlabeled: 1 } },
  { correct: 33, voxels: { labeled: 33, unlabeled: 40 } },
];
/** Class 1 in front, then 36 voxels of class 2, 5 of class 3 in the labeled half alone, background. */
const labelsOf = (half: Half, { voxels }: Case): Tensor1D =>
  tf.tensor1d(
    Int32Array.from({ length: VOXELS }, (_, i) => {
      const behind = i - voxels[half];
      return behind < 0 ? 1 : behind < 36 ? 2 : behind < 41 && half === "labeled" ? 3 : 0;
    }),
    "int32",
  );
const correctOf = ({ correct, voxels: { labeled } }: Case): Tensor1D =>
  tf.tensor1d(Array.from({ length: VOXELS }, (_, i) => i < correct || (i >= labeled && i < labeled + 36)), "bool");

interface Found {
  counts: number[];
  /** Rows of class 1 and 2. */
  bank: number[][][];
  losses: number[];
  took: number[][];
  gradients: Record<string, Float32Array>;
  features: Record<Half, Float32Array>;
  statistics: Record<string, Float32Array>;
}

/** Bank, losses of both halves, gradients of their sum, and the running statistics behind it. */
function compute(bankWeights: BankWeights) {
  const run = (correct: Tensor1D, labels: Record<Half, Tensor1D>) => {
    const pass = new Pass(WEIGHTS, { ...BUFFERS }, { training: true, updateStatistics: true }), heads = headsOf(pass);
    const bank = updateBank(heads, emptyBank({ classes: CLASSES, size: BANK_ROWS }), {
      ...{ features: HALVES.labeled, labels: labels.labeled, correct, keeps: "lowest" },
    });
    const losses: Scalar[] = [], took: Scalar[] = [];
    const by: Weights = { ...WEIGHTS, ...HALVES };
    const { gradients } = gradientsOf(() => {
      Object.entries(HALVES).forEach(([half, features]) => {
        const own = separationLoss(heads, bank, { features, labels: labels[half as Half], bankWeights });
        losses.push(tf.keep(own.loss));
        took.push(...own.took.map((t) => tf.keep(t)));
      });
      return tf.add(losses[0], losses[1]);
    }, by);
    const entries = Object.keys(by).map((name, i) => [name, gradients[i] ?? tf.fill(by[name].shape, NaN)]);
    const { labeled, unlabeled, ...ofWeights }: Weights = Object.fromEntries(entries);
    // Tensors of their own where nothing moved.
    const moved = Object.entries(pass.buffers).map(([name, statistic]) => [name, tf.add(statistic, 0)]);
    return {
      ...{ counts: tf.stack(bank.counts), bank: [bank.rows[1], bank.rows[2]], losses: tf.stack(losses) },
      took: tf.reshape(tf.stack(took), [2, CLASSES]),
      ...{ gradients: ofWeights, features: { labeled, unlabeled }, statistics: Object.fromEntries(moved) as Weights },
    };
  };
  const read = ({ counts, bank, losses, took, ...maps }: ReturnType<typeof run>): Found => {
    const all = <Name extends string>(tensors: Record<Name, Tensor>) =>
      Object.fromEntries(Object.entries<Tensor>(tensors).map(([name, t]) => [name, t.dataSync()])) as Record<
        Name,
        Float32Array
      >;
    return {
      ...{ counts: [...counts.dataSync()], losses: [...losses.dataSync()] },
      ...{ bank: bank.map((rows) => rows.arraySync()), took: took.arraySync() as number[][] },
      ...{ gradients: all(maps.gradients), features: all(maps.features), statistics: all(maps.statistics) },
    };
  };
  return { run, read };
}

function dot(a: number[], b: number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
const unit = (row: number[]) => row.map((v) => v / Math.sqrt(dot(row, row)));

/** One half's loss as its definition says, pair by pair. @param judged The rows that the feature selectors see. */
function plainLoss(
  weights: Record<string, Float64Array>,
  { features, labels, bank, bankWeights, judged }: {
    features: Rows;
    labels: ArrayLike<number>;
    bank: Rows[];
    bankWeights: BankWeights;
    judged?: Rows;
  },
): number {
  const { predict, select } = plainHeads(weights), predicted = predict(features);
  let sum = 0;
  for (let c = 1; c < CLASSES; c++) {
    const of = (rows: Rows) => rows.filter((_, i) => labels[i] === c),
      own = of(predicted),
      prototypes = bank[c].map(unit);
    if (own.length < 2 || prototypes.length < 2) continue;
    const scaled = (scores: number[]) => scores.map((s) => s * scores.length / scores.reduce((a, v) => a + v, 0));
    const a = scaled(select(of(judged ?? predicted), `${c}`));
    const b = bankWeights === "ones" ? prototypes.map(() => 1) : scaled(select(prototypes, `memory${c}`));
    let distances = 0;
    own.map(unit).forEach((z, i) => prototypes.forEach((m, j) => distances += (1 - dot(z, m)) * a[i] * b[j]));
    sum += distances / (own.length * prototypes.length);
  }
  return sum / CLASSES;
}

const finite = (values: ArrayLike<number>) => Array.from(values).every(Number.isFinite);
/** Where finite differences are taken: an entry of every parameter, none of those of the classes that never take part. */
const PROBES = NAMES.filter((name) => !/selector_(memory)?[03]/.test(name)).map((name) => ({
  name,
  i: 7 % WEIGHTS[name].size,
}));

/** Every third probe, by turns: differences in double precision take most of the time. */
const probesOf = (turn: number) => PROBES.filter((_, k) => k % 3 === turn % 3);

/** Both losses and the slopes at the probes, in double precision, on a bank that was found. */
function definition(
  { counts, bank }: Found,
  which: Case,
  { bankWeights, probes }: { bankWeights: BankWeights; probes: typeof PROBES },
) {
  const plain = Object.fromEntries(NAMES.map((name) => [name, Float64Array.from(WEIGHTS[name].dataSync())]));
  const filled = [[], bank[0].slice(0, counts[1]), bank[1].slice(0, counts[2]), []];
  const halves = (Object.keys(HALVES) as Half[]).map((half) => {
    const rows = toRows(HALVES[half].dataSync(), FEATURES);
    const constants = { labels: labelsOf(half, which).dataSync(), bank: filled, bankWeights };
    // Selectors judge detached rows: these stay as they are while a weight in front of them moves.
    return { features: rows, ...constants, judged: plainHeads(plain).predict(rows) };
  });
  const losses = halves.map((half) => plainLoss(plain, half));
  const slopes = probes.map(({ name, i }) => {
    const h = 1e-5, value = plain[name][i];
    const at = (v: number) => {
      plain[name][i] = v;
      return halves.reduce((sum, half) => sum + plainLoss(plain, half), 0);
    };
    const slope = (at(value + h) - at(value - h)) / (2 * h);
    plain[name][i] = value;
    return slope;
  });
  return { losses, slopes };
}

for (const bankWeights of ["ones", "learned"] as const) {
  const { run, read } = compute(bankWeights), traced = trace(run);
  const rounded = bankWeights === "ones" ? trace(run, "bf16") : null; // as training has it
  CASES.forEach((which, nth) => {
    const { correct, voxels } = which;
    const told = `${correct} prototypes, ${voxels.labeled} and ${voxels.unlabeled} voxels`;
    Deno.test(`a class of ${told}, weights ${bankWeights}: loss and gradients are those of the definition`, async () => {
      const labels = { labeled: labelsOf("labeled", which), unlabeled: labelsOf("unlabeled", which) };
      const inputs = [correctOf(which), labels] as const, eager = read(run(...inputs));
      const probes = probesOf(bankWeights === "ones" ? nth : nth + 1);
      const { losses, slopes } = definition(eager, which, { bankWeights, probes });
      const runs: Record<string, Found> = { eager, traced: read(await traced(...inputs)) };
      if (rounded) runs.bf16 = read(await rounded(...inputs));
      for (const [how, found] of Object.entries(runs)) {
        const took = [voxels.labeled, voxels.unlabeled].map((n) => Number(n > 1 && correct > 1));
        assert.deepEqual(found.counts, [0, Math.min(correct, BANK_ROWS), BANK_ROWS, 0], how);
        assert.deepEqual(found.took, took.map((t) => [0, t, 1, 0]), how);
        for (const values of [...Object.values(found.features), ...Object.values(found.statistics), found.losses]) {
          assert.ok(finite(values), how);
        }
        for (const [name, values] of Object.entries(found.gradients)) {
          const [, memory, c] = name.match(/selector_(memory)?(\d)/) ?? [];
          if (c === "0") continue; // the background's are never run
          assert.ok(finite(values), `${how}: ${name}`);
          const learns = !c || (c === "2" || c === "1" && took.includes(1)) && (!memory || bankWeights === "learned");
          if (!learns) assert.ok(values.every((v) => v === 0), `${how}: ${name} has a gradient`);
          else if (/3\.weight$/.test(name)) assert.ok(values.some((v) => v !== 0), `${how}: ${name} has none`);
        }
        // Of two rows the batch norm's standard deviation is a difference of nearly equal numbers.
        losses.forEach((wanted, i) =>
          assert.ok(Math.abs(found.losses[i] - wanted) < 1e-5, `${how}: ${found.losses[i]}`)
        );
        probes.forEach(({ name, i }, k) => {
          const gradient = found.gradients[name], largest = Math.max(...Array.from(gradient, Math.abs));
          const error = Math.abs(gradient[i] - slopes[k]);
          assert.ok(error <= 1e-6 + 1e-3 * largest, `${how}: ${name}[${i}]: ${gradient[i]}, ${slopes[k]} wanted`);
        });
        // Statistics move where a selector runs, and nowhere else.
        const still = (name: string) => {
          const values = found.statistics[`contrastive_class_selector_${name}.1.running_mean`];
          return values.every((v) => v === 0);
        };
        const expected = { "1": !took.includes(1) && correct <= BANK_ROWS, memory1: !took.includes(1) };
        const others = { "2": false, memory2: false, "3": true, memory3: true, "0": true };
        for (const [name, wanted] of Object.entries({ ...expected, ...others })) {
          assert.equal(still(name), wanted, name);
        }
      }
    });
  });
}

/** Rows with their mean and variance in double precision. */
function shifted(n: number, shift: number) {
  const flat = Float32Array.from({ length: n * PROJECTED }, (_, i) => shift + N(3, i));
  const statistics = Array.from({ length: PROJECTED }, (_, j) => {
    const column = Array.from({ length: n }, (_, i) => flat[i * PROJECTED + j]);
    const mean = column.reduce((sum, v) => sum + v / n, 0);
    return { mean, variance: column.reduce((sum, v) => sum + (v - mean) ** 2 / n, 0) };
  });
  return { x: tf.tensor2d(flat, [n, PROJECTED]), statistics };
}
const mixes = bf16Fault(openTensorFlow()) === null;

for (const precision of mixes ? ["fp32", "bf16"] as const : ["fp32"] as const) {
  Deno.test(`in ${precision} the variance of rows that lie 100 or 1000 standard deviations from 0 is within 1e-3 of its value in double precision`, async () => {
    for (const [n, shift] of [[2, 1000], [90, 1000], [90, 100], [BLOCK_ROWS + 1000, 100]]) {
      const { x, statistics } = shifted(n, shift), count = tf.scalar(n);
      const identity = { weight: tf.eye(PROJECTED), bias: tf.zeros([PROJECTED]) as Tensor1D, count };
      const run = trace(
        (x: Tensor2D) => [moments(x, count).covariance, hiddenMoments(x, identity).covariance],
        precision,
      );
      for (const covariance of await run(x)) {
        (covariance.arraySync() as number[][]).forEach((row, j) => {
          const { variance } = statistics[j], told = `${n} rows at ${shift}: ${row[j]}, ${variance} wanted`;
          assert.ok(Math.abs(row[j] - variance) <= 1e-3 * variance + 1e-7, told);
        });
      }
    }
  });
}

Deno.test("moments and hidden moments of several blocks, and their gradients, are those of all rows at once", () => {
  const n = BLOCK_ROWS + 1000, { x } = shifted(n, 0), count = tf.scalar(n);
  const first = {
    weight: tf.randomNormal([PROJECTED, 8], 0, 0.2, "float32", 1) as Tensor2D,
    bias: tf.zeros([8]) as Tensor1D,
  };
  const dense = (y: Tensor) => {
    const mean = tf.mean(y, 0), centered = tf.sub(y, mean) as Tensor2D;
    return { mean, covariance: tf.div(tf.matMul(centered, centered, true), n) };
  };
  const value = ({ mean, covariance }: { mean: Tensor; covariance: Tensor }): Tensor =>
    tf.add(tf.sum(tf.square(covariance)), tf.sum(tf.square(tf.add(mean, 1))));
  const hidden = (x: Tensor, weight: Tensor) => tf.relu(tf.matMul(x as Tensor2D, weight as Tensor2D));
  for (
    const [ours, wanted] of [
      [(x: Tensor) => value(moments(x as Tensor2D, count)), (x: Tensor) => value(dense(x))],
      [
        (x: Tensor, weight: Tensor) =>
          value(hiddenMoments(x as Tensor2D, { ...first, weight: weight as Tensor2D, count })),
        (x: Tensor, weight: Tensor) => value(dense(hidden(x, weight))),
      ],
    ]
  ) {
    const [found, right] = [ours, wanted].map((fn) => {
      // deno-lint-ignore no-explicit-any
      const { value, grads } = tf.valueAndGrads(fn as any)(fn.length === 1 ? [x] : [x, first.weight]);
      return [value, ...grads];
    });
    found.forEach((tensor, i) => {
      const [a, b] = [tensor, right[i]].map((t: Tensor) => [...t.dataSync()]),
        largest = b.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      assert.ok(a.every((v, j) => Math.abs(v - b[j]) <= 1e-3 * largest), `value or gradient ${i}`);
    });
  }
});

Deno.test("two layers and the sum of unit rows have the values and gradients of their parts", () => {
  const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);
  const inputs = [
    normal([50, 6], 1),
    normal([6, 8], 2),
    normal([8], 3),
    normal([8, 4], 4),
    normal([4], 5),
    normal([50, 1], 6),
  ];
  for (const slope of [0, 0.2]) {
    const layers = ([x, w, b, v, c]: Tensor[]) =>
      twoLayers(x as Tensor2D, {
        first: { weight: w as Tensor2D, bias: b as Tensor1D },
        second: { weight: v as Tensor2D, bias: c as Tensor1D },
        slope,
      });
    const parts = ([x, w, b, v, c]: Tensor[]) => {
      const h = tf.add(tf.matMul(x as Tensor2D, w as Tensor2D), b), act = slope ? tf.leakyRelu(h, slope) : tf.relu(h);
      return tf.add(tf.matMul(act as Tensor2D, v as Tensor2D), c) as Tensor2D;
    };
    const [ours, wanted] = [
      (...t: Tensor[]) => tf.sum(tf.square(weightedUnitSum(t[5] as Tensor2D, layers(t)))),
      (...t: Tensor[]) => tf.sum(tf.square(weightedSum(t[5] as Tensor2D, unitRows(parts(t))))),
    ].map((fn) => {
      // deno-lint-ignore no-explicit-any
      const { value, grads } = tf.valueAndGrads(fn as any)(inputs);
      return [value, ...grads].map((t) => [...t.dataSync()]);
    });
    ours.forEach((values, i) =>
      values.forEach((v, j) =>
        assert.ok(Math.abs(v - wanted[i][j]) < 1e-3 * (1 + Math.abs(wanted[i][j])), `${slope}: ${i}, ${j}`)
      )
    );
  }
});
