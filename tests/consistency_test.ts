/** Losses of the compared methods: fixtures worked out by hand, BCP beside plain arithmetic in double precision, tracing. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor, Tensor1D } from "@tensorflow/tfjs";
import {
  certainMask,
  maskedSquaredError,
  mutualConsistency,
  predictiveEntropy,
  pyramidConsistency,
  sharpen,
} from "../pipeline/losses/consistency.ts";
import {
  boxMask,
  copyPasteLoss,
  paste,
  regionCrossEntropy,
  regionLinearDice,
  regionSquaredDice,
} from "../pipeline/losses/copy_paste.ts";
import { foregroundDice, foregroundSquaredDice, halvedDice } from "../pipeline/losses/dice.ts";
import { EMA_DECAY, emaDecay, updateTeacher } from "../pipeline/methods/teacher.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { consistencyWeight, uncertaintyThreshold } from "../pipeline/losses/ramps.ts";

openTensorFlow();

function assertClose(found: Tensor | ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-6): void {
  const values = found instanceof tf.Tensor ? found.dataSync() : found;
  assert.equal(values.length, wanted.length);
  Array.from(wanted).forEach((w, i) =>
    assert.ok(Math.abs(values[i] - w) <= tolerance, `entry ${i}: ${values[i]} found, ${w} wanted`)
  );
}
const seedOf = (a: number, b = 0) => tf.tensor1d([a, b], "int32");

/** Logits of two classes at three voxels, and their probabilities. */
const A = tf.tensor2d([[2, 0], [0, 1], [1, -1]]), B = tf.tensor2d([[1, 0], [0.5, 1], [0, 0.5]]);
const p = tf.softmax(A), q = tf.softmax(B);

Deno.test("UA-MT counts the voxels whose entropy is below the threshold, and only these", () => {
  const uncertainty = predictiveEntropy(tf.div(tf.add(p, q), 2));
  assertClose(uncertainty, [0.492072, 0.629286, 0.659395]);
  const threshold = uncertaintyThreshold(0, 6000);
  assertClose([threshold], [0.521028]);
  const mask = certainMask(uncertainty, tf.scalar(threshold));
  assert.deepEqual([...mask.dataSync()], [1, 0, 0]);
  assertClose(maskedSquaredError(p, q, mask), [0.022422]);
  assert.equal(maskedSquaredError(p, q, tf.zerosLike(mask)).dataSync()[0], 0);
});

Deno.test("UA-MT's threshold and weight follow their ramps", () => {
  const thresholds = [0.25, 0.5, 0.75, 1].map((part) => uncertaintyThreshold(6000 * part, 6000));
  assertClose(thresholds, [0.5303, 0.5695, 0.6466, 0.6931], 5e-5);
  const weights = [0, 1500, 3000, 4500].map((i) => consistencyWeight(i, { maximum: 0.1, length: 40 }));
  assertClose(weights, [0.00067, 0.00601, 0.02865, 0.07316], 5e-6);
});

Deno.test("URPC's pyramid of four scales", () => {
  assertClose(pyramidConsistency([A, B, A, B]), [0.087017]);
});

Deno.test("URPC's consistency and its gradient stay finite where probabilities underflow", () => {
  const sure = tf.tensor2d([[200, -200]]), opposite = tf.tensor2d([[-200, 200]]);
  const loss = (x: Tensor, y: Tensor) => pyramidConsistency([x, y]);
  assert.equal(loss(sure, sure).dataSync()[0], 0);
  // m = (1/2, 1/2): k = (ln 1/2)/2 + (ln 1/2 + 400)/2, and exp(-k) vanishes.
  assertClose(loss(sure, opposite), [200 - Math.LN2], 1e-3);
  for (const pair of [[sure, sure], [sure, opposite]]) {
    for (const gradient of tf.grads(loss as (...scales: Tensor[]) => Tensor)(pair)) {
      assert.ok(gradient.dataSync().every(Number.isFinite));
    }
  }
});

Deno.test("MC-Net sharpens each channel and compares both ways", () => {
  assertClose(tf.slice(sharpen(p), [0, 1], [3, 1]), [2.0612e-9, 0.9999546, 2.0612e-9]);
  assertClose(mutualConsistency([p, q]), [0.483106]);
  // Of one voxel with p = 1/2 the slope of the sharpening is 10, of p = 0 and 1 it is 0.
  const slope = tf.grad((x: Tensor) => tf.sum(sharpen(x)))(tf.tensor1d([0.5, 0, 1]));
  assertClose(slope, [10, 0, 0], 1e-5);
});

Deno.test("the compared methods' Dice losses of three voxels", () => {
  const target = tf.tensor2d([[1, 0], [0, 1], [1, 0]]);
  assertClose(foregroundSquaredDice(p, target), [0.064463]);
  assertClose(foregroundDice(p, target), [0.257607]);
  const foreground = (x: Tensor) => tf.slice(x, [0, 1], [3, 1]);
  assertClose(halvedDice(foreground(p), foreground(target)), [0.532232]);
});

Deno.test("the teacher copies the student at first, then keeps k / (k + 1) of itself, at most 99 %", () => {
  assertClose([0, 1, 2, 98, 99, 5999].map(emaDecay), [
    0,
    1 / 2,
    2 / 3,
    98 / 99,
    0.99,
    0.99,
  ], 1e-7);
  const teacher = { w: tf.tensor1d([1, 2]), running: tf.scalar(5) };
  const student = { w: tf.tensor1d([3, -2]), running: tf.scalar(7), head: tf.scalar(1) };
  const first = updateTeacher(teacher, student, tf.scalar(emaDecay(0)));
  assert.deepEqual(Object.keys(first), ["w", "running"]);
  assert.deepEqual([...first.w.dataSync()], [3, -2]);
  assertClose(updateTeacher(teacher, student, tf.scalar(EMA_DECAY)).w, [1.02, 1.96]);
});

Deno.test("the box has 2/3 of every side and starts at every place but the last, equally often", async () => {
  const size = [9, 7], box = [6, 4], places = [3, 3], draws = 900, counts = new Map<string, number>();
  const draw = trace((seed: Tensor1D) => [boxMask(size, seed)]);
  for (let i = 0; i < draws; i++) {
    const [mask] = await draw(seedOf(7, i)), values = mask.dataSync();
    const zeros = [...values.keys()].filter((at) => values[at] === 0);
    const [row, column] = [Math.floor(zeros[0] / size[1]), zeros[0] % size[1]];
    const wanted = Array.from(values, (_, at) => {
      const [y, x] = [Math.floor(at / size[1]) - row, at % size[1] - column];
      return y >= 0 && y < box[0] && x >= 0 && x < box[1] ? 0 : 1;
    });
    assert.deepEqual([...values], wanted);
    counts.set(`${row},${column}`, (counts.get(`${row},${column}`) ?? 0) + 1);
    mask.dispose();
  }
  assert.equal(counts.size, places[0] * places[1]);
  assert.ok([...counts.keys()].every((key) => key.split(",").every((start, axis) => Number(start) < places[axis])));
  // 100 expected at each of the 9 places; 5 standard deviations are 47.
  assert.ok([...counts.values()].every((n) => Math.abs(n - draws / 9) < 47), `${[...counts.values()]}`);
});

Deno.test("a mixed image has the one's values outside the box and the other's inside; labels stay one-hot", () => {
  const mask = boxMask([6, 6], seedOf(1)), a = tf.randomNormal([2, 6, 6, 1], 0, 1, "float32", 1);
  const b = tf.randomNormal([2, 6, 6, 1], 0, 1, "float32", 2);
  const mixed = paste(mask, { outside: a, inside: b }).dataSync();
  const [outside, inside, m] = [a, b, tf.tile(mask, [2, 1, 1, 1])].map((x) => x.dataSync());
  assert.deepEqual([...mixed], Array.from(m, (v, i) => v ? outside[i] : inside[i]));
  const label = (seed: number) => tf.cast(tf.oneHot(tf.randomUniform([2, 6, 6], 0, 3, "int32", seed), 3), "float32");
  const target = paste(mask, { outside: label(3), inside: label(4) });
  assert.deepEqual([...tf.sum(target, -1).dataSync()], Array(72).fill(1));
  assert.ok(target.dataSync().every((v) => v === 0 || v === 1));
});

/** A batch of mixed images with logits, labels of both regions and a mask, as arrays `[B][N][K]` and as tensors. */
function mixedBatch(size: number[], samples: number, classes: number) {
  const random = stream(11, "mixed", size.length), voxels = size.reduce((a, n) => a * n, 1);
  const logits = Float32Array.from({ length: samples * voxels * classes }, () => 4 * random() - 2);
  const labels = () => Array.from({ length: samples * voxels }, () => Math.floor(random() * classes));
  const outside = labels(), inside = labels(), mask = boxMask(size, seedOf(5));
  const oneHot = (label: number[]) =>
    tf.reshape(tf.cast(tf.oneHot(tf.tensor1d(label, "int32"), classes), "float32"), [samples, ...size, classes]);
  return {
    logits: tf.tensor(logits, [samples, ...size, classes]),
    mask,
    targets: { outside: oneHot(outside), inside: oneHot(inside) },
    plain: { logits: Float64Array.from(logits), mask: [...mask.dataSync()], outside, inside, samples, voxels, classes },
  };
}
type Plain = ReturnType<typeof mixedBatch>["plain"];

/** One region's Dice and cross entropy, voxel by voxel as the formulas say. `kind`: LA linear, ACDC squared. */
function plainRegion(
  { logits, mask, samples, voxels, classes }: Plain,
  { labels, inRegion, kind }: { labels: number[]; inRegion: number; kind: "linear" | "squared" },
): { dice: number; crossEntropy: number } {
  const s = kind === "linear" ? 1e-5 : 1e-10;
  const pools = kind === "linear" ? samples : 1; // LA: every sample by itself
  const overlap = Array(pools * classes).fill(0), sizes = Array(pools * classes).fill(0);
  let entropy = 0, count = 0;
  for (let b = 0; b < samples; b++) {
    for (let v = 0; v < voxels; v++) {
      if (mask[v] !== inRegion) continue;
      const z = logits.subarray((b * voxels + v) * classes, (b * voxels + v + 1) * classes);
      const sum = z.reduce((a, x) => a + Math.exp(x), 0), label = labels[b * voxels + v];
      entropy += Math.log(sum) - z[label];
      count++;
      for (let c = 0; c < classes; c++) {
        const at = (b % pools) * classes + c, p = Math.exp(z[c]) / sum, t = Number(c === label);
        overlap[at] += p * t;
        sizes[at] += kind === "linear" ? p + t : p * p + t;
      }
    }
  }
  const each = overlap.map((o, i) => 1 - (2 * o + s) / (sizes[i] + s));
  return { dice: each.reduce((a, d) => a + d, 0) / each.length, crossEntropy: entropy / count };
}

const CASES = [
  { dataset: "LA", kind: "linear", dice: regionLinearDice, batch: mixedBatch([4, 5, 3], 2, 2) },
  { dataset: "ACDC", kind: "squared", dice: regionSquaredDice, batch: mixedBatch([5, 6], 3, 4) },
] as const;
const WEIGHTS = { outside: 1, inside: 0.5 };

for (const { dataset, kind, dice, batch: { logits, mask, targets, plain } } of CASES) {
  const region = (name: "outside" | "inside") =>
    plainRegion(plain, { labels: plain[name], inRegion: name === "outside" ? 1 : 0, kind });
  const total = (z: Tensor, t = targets) => {
    const [outside, inside] = (["outside", "inside"] as const).map((name) => ({
      target: t[name],
      weight: WEIGHTS[name],
    }));
    return copyPasteLoss(z, { mask, outside, inside, dice });
  };
  const plainTotal = () => {
    const [outside, inside] = [region("outside"), region("inside")];
    return (outside.dice + outside.crossEntropy) / 2 + (inside.dice + inside.crossEntropy) / 4;
  };

  Deno.test(`${dataset}'s region losses and their weighted sum are what the formulas say`, () => {
    const p = tf.softmax(logits);
    for (const [name, R] of [["outside", mask], ["inside", tf.sub(1, mask)]] as const) {
      assertClose(dice(p, targets[name], R), [region(name).dice]);
      assertClose(regionCrossEntropy(logits, targets[name], R), [region(name).crossEntropy]);
    }
    const found = total(logits), [outside, inside] = [region("outside"), region("inside")];
    assertClose(found.outside, [(outside.dice + outside.crossEntropy) / 2], 2e-6);
    assertClose(found.inside, [(inside.dice + inside.crossEntropy) / 2], 2e-6);
    assertClose(found.total, [plainTotal()], 2e-6);
  });

  Deno.test(`the gradient of ${dataset}'s copy-paste loss is that of finite differences`, () => {
    const gradient = tf.grad((z: Tensor) => total(z).total)(logits).dataSync(), h = 1e-5;
    const numeric = Array.from(plain.logits, (value, i) => {
      const at = (x: number) => {
        plain.logits[i] = x;
        return plainTotal();
      };
      const slope = (at(value + h) - at(value - h)) / (2 * h);
      plain.logits[i] = value;
      return slope;
    });
    assertClose(gradient, numeric, 1e-5 * Math.max(...numeric.map(Math.abs)));
  });

  Deno.test(`${dataset}'s copy-paste loss reads a label in its own region only`, () => {
    const other = { outside: paste(mask, targets), inside: paste(mask, targets) };
    assert.deepEqual([...total(logits, other).total.dataSync()], [...total(logits).total.dataSync()]);
  });
}

Deno.test("nothing masked, LA's region losses are those of the whole image", () => {
  const { logits, targets, plain } = CASES[0].batch, everything = tf.onesLike(CASES[0].batch.mask);
  const whole = plainRegion({ ...plain, mask: plain.mask.map(() => 1) }, {
    labels: plain.outside,
    inRegion: 1,
    kind: "linear",
  });
  assertClose(regionLinearDice(tf.softmax(logits), targets.outside, everything), [whole.dice]);
  assertClose(regionCrossEntropy(logits, targets.outside, everything), [whole.crossEntropy]);
});

Deno.test("traced, the losses and their gradients are what they are untraced, for every threshold, seed and decay", async () => {
  const { logits, targets } = CASES[0].batch, size = logits.shape.slice(1, -1);
  const all = (z: Tensor, seed: Tensor1D, threshold: Scalar, decay: Scalar): Tensor[] => {
    const mask = boxMask(size, seed), teacher = tf.softmax(tf.mul(z, 3));
    const certain = certainMask(predictiveEntropy(teacher), threshold);
    const losses: ((z: Tensor) => Scalar)[] = [
      (z) => maskedSquaredError(tf.softmax(z), teacher, certain),
      (z) => pyramidConsistency([z, tf.mul(z, 0.5)]),
      (z) => mutualConsistency([tf.softmax(z), tf.softmax(tf.mul(z, 0.5))]),
      (z) => {
        const [outside, inside] = [targets.outside, targets.inside].map((target) => ({ target, weight: 1 }));
        return copyPasteLoss(z, { mask, outside, inside, dice: regionLinearDice }).total;
      },
    ];
    const { w } = updateTeacher({ w: teacher }, { w: z }, decay);
    return [mask, w, ...losses.flatMap((loss) => Object.values(tf.valueAndGrad(loss)(z)))];
  };
  const traced = trace(all);
  for (const [seed, threshold, updates] of [[1, 0.3, 0], [2, 0.6, 5]]) {
    const inputs = [logits, seedOf(seed), tf.scalar(threshold), tf.scalar(emaDecay(updates))] as const;
    const found = await traced(...inputs), wanted = all(...inputs);
    found.forEach((tensor, i) => assertClose(tensor, wanted[i].dataSync()));
  }
});
