/** Consistency on two views of an unlabeled row: FixMatch's masks, pseudo labels, loss and views, mean teacher's targets. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import type { DatasetProfile } from "../pipeline/datasets/dataset.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { squaredDice } from "../pipeline/losses/dice.ts";
import { confidentDice, confidentLabels, cutMixMask, nextRows } from "../pipeline/losses/weak_to_strong.ts";
import { batchRows, createMethod, gradientsOf, type Method } from "../pipeline/methods/method.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { toWeights, type Weights } from "../pipeline/networks/parameters.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import type { Tensor, Tensor1D } from "../pipeline/tensorflow/tensors.ts";
import { syntheticBatches } from "../pipeline/training/synthetic_batch.ts";
import { beginAnew, startState } from "../pipeline/training/training_step.ts";
import { stream } from "../pipeline/arrays/random.ts";

openTensorFlow({ device: "cpu" });
const value = (tensor: Tensor) => tensor.dataSync()[0];
const seedOf = (a: number): Tensor1D => tf.tensor1d([a, 1], "int32");
const close = (found: number, wanted: number) => assert.ok(Math.abs(found - wanted) < 1e-5, `${found}, not ${wanted}`);
const SMALL: DatasetProfile[] = [{ ...LA, patch: [16, 16, 16] }, { ...ACDC, patch: [32, 32] }];

Deno.test("half of CutMix's rows have one box of 2 to 40 % of the patch in its proportions, anywhere in it", () => {
  for (const size of [[20, 40], [12, 16, 8]]) {
    const rows = 600, mask = cutMixMask(rows, size, seedOf(7)), voxels = sizeOf(size);
    assert.deepEqual(mask.shape, [rows, ...size, 1]);
    assert.deepEqual(mask.dataSync(), cutMixMask(rows, size, seedOf(7)).dataSync());
    const values = mask.dataSync(), shares: number[] = [], first = new Set<number>(), last = new Set<number>();
    for (let row = 0; row < rows; row++) {
      const own = values.subarray(row * voxels, (row + 1) * voxels), inside = [...own.keys()].filter((i) => !own[i]);
      if (!inside.length) continue;
      const corners = size.map((n, axis) => {
        const stride = sizeOf(size.slice(axis + 1)), places = inside.map((i) => Math.floor(i / stride) % n);
        return [Math.min(...places), Math.max(...places)];
      });
      const sides = corners.map(([from, to]) => to - from + 1);
      assert.equal(inside.length, sizeOf(sides), "it is a box, without a hole");
      // Rounding moves a side by half a voxel.
      const ofSide = sides.map((side, axis) => [(side - 0.5) / size[axis], (side + 0.5) / size[axis]]);
      assert.ok(Math.max(...ofSide.map(([low]) => low)) <= Math.min(...ofSide.map(([, high]) => high)), `${sides}`);
      shares.push(inside.length / voxels);
      first.add(corners[0][0]);
      last.add(size[0] - 1 - corners[0][1]);
    }
    assert.ok(Math.abs(shares.length / rows - 0.5) < 4 * Math.sqrt(0.25 / rows), `${shares.length} of ${rows}`);
    assert.ok(Math.min(...shares) < 0.06 && Math.max(...shares) > 0.34 && Math.max(...shares) < 0.48);
    assert.ok(first.has(0) && last.has(0), "a box may touch both ends");
  }
});

Deno.test("FixMatch's loss is the squared Dice of the voxels that have a label, as in double precision", () => {
  const random = stream(3, "rows"),
    logits = tf.tensor2d(Float32Array.from({ length: 60 }, () => 8 * random()), [20, 3]);
  const sure = tf.softmax(logits), labels = confidentLabels(sure, 0.9), found = labels.arraySync() as number[][];
  (sure.arraySync() as number[][]).forEach((p, i) => {
    const wanted = p.map((one) => one === Math.max(...p) && one >= 0.9 ? 1 : 0);
    assert.deepEqual(found[i], wanted);
  });
  const rows = found.flatMap((row, i) => row.some(Boolean) ? [i] : []);
  assert.ok(rows.length > 3 && rows.length < 17, `${rows.length} of 20 voxels have a label`);
  const p = tf.softmax(tf.reverse(logits, 1)), values = p.arraySync() as number[][];
  const dice = [0, 1, 2].map((c) => {
    const sum = (of: (p: number, q: number) => number) => rows.reduce((s, i) => s + of(values[i][c], found[i][c]), 0);
    return 1 - (2 * sum((p, q) => p * q) + 1e-5) / (sum((p, q) => p * p + q * q) + 1e-5);
  });
  close(value(confidentDice(p, labels)), dice.reduce((a, b) => a + b) / 3);
  const all = confidentLabels(sure, 0);
  assert.equal(value(confidentDice(p, all)), value(squaredDice(p, all, 1e-5)));
  const { value: none, gradients } = gradientsOf(() => confidentDice(p, tf.zerosLike(labels)), { p });
  close(value(none), 0);
  assert.ok(gradients[0]!.dataSync().every((g) => g === 0), "where nothing has a label nothing is learnt");
});

Deno.test("the rows of a mix take their boxes from the next row, the last one from the first", () => {
  assert.deepEqual([...nextRows(tf.tensor2d([[1], [2], [3]])).dataSync()], [2, 3, 1]);
});

/** Weights by which every voxel of every image has these logits. */
function constant({ spec }: Method, logits: number[]): Weights {
  const zeros = Object.fromEntries(
    [...spec.parameters, ...spec.buffers].map(({ name, shape }) => [name, new Float32Array(sizeOf(shape))]),
  );
  zeros["decoder.out_conv.bias"].set(logits);
  return toWeights(spec, zeros).weights;
}
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
/** Logits that give the last class the probability p and the others the rest in equal parts. */
const logitsOf = (p: number, classes: number) =>
  Array.from({ length: classes }, (_, c) => c < classes - 1 ? 0 : Math.log(p / (1 - p) * (classes - 1)));

for (const profile of SMALL) {
  const { name, classes, patch } = profile;

  Deno.test(`FixMatch on ${name} learns from the strong view where the weak one is sure, and from nothing where it is not`, () => {
    const method = createMethod(METHODS.fixmatch, profile), batch = syntheticBatches(method)(1);
    for (const p of [0.94, 0.96, 0.999]) {
      const state = { ...startState(method, stream(1, "weights")), weights: constant(method, logitsOf(p, classes)) };
      const { consistency, certain_share } = method.step({ ...state, ...batch }).losses;
      const voxels = profile.unlabeledPerBatch * sizeOf(patch), isSure = p >= 0.95, rest = (1 - p) / (classes - 1);
      const wanted = Array.from({ length: classes }, (_, c) => {
        const own = c < classes - 1 ? { p: rest, q: 0 } : { p, q: 1 };
        return 1 - (2 * voxels * own.p * own.q + 1e-5) / (voxels * (own.p ** 2 + own.q ** 2) + 1e-5);
      });
      assert.equal(value(certain_share), isSure ? 1 : 0);
      close(value(consistency), isSure ? wanted.reduce((a, b) => a + b) / classes : 0);
    }
  });

  Deno.test(`FixMatch on ${name} takes labels from the weak rows alone and shows the network the strong ones alone`, () => {
    const method = createMethod(METHODS.fixmatch, profile), batch = syntheticBatches(method)(1);
    const state = startState(method, stream(1, "weights")), { labeled, unlabeled } = batchRows(method);
    const sharp = Object.fromEntries(
      Object.entries(state.weights).map(([key, weight]) => [key, /out_conv/.test(key) ? tf.mul(weight, 40) : weight]),
    );
    const [images, weak, strong] = tf.split(batch.x, [labeled, unlabeled / 2, unlabeled / 2]);
    const lossesOf = (x: Tensor[]) => {
      const { losses } = method.step({ ...state, ...batch, weights: sharp, x: tf.concat(x) });
      return Object.fromEntries(Object.entries(losses).map(([key, loss]) => [key, value(loss)]));
    };
    const other = tf.reverse(strong, 1);
    const [plain, otherWeak, otherStrong] = [[images, weak, strong], [images, other, strong], [images, weak, other]]
      .map(lossesOf);
    assert.ok(plain.certain_share > 0.05 && plain.certain_share < 1, `${plain.certain_share} are certain`);
    assert.equal(otherWeak.supervised, plain.supervised);
    assert.notEqual(otherWeak.certain_share, plain.certain_share);
    assert.equal(otherStrong.certain_share, plain.certain_share);
    assert.notEqual(otherStrong.supervised, plain.supervised, "its batch norms see the strong view");
  });

  Deno.test(`mean teacher on ${name} costs the mean squared difference of two constant networks, and begins as its student`, () => {
    const method = createMethod(METHODS.mean_teacher, profile), batch = syntheticBatches(method)(1), p = sigmoid(1);
    const state = { ...startState(method, stream(1, "weights")), weights: constant(method, logitsOf(0.5, classes)) };
    for (const [key, weight] of Object.entries(constant(method, logitsOf(p, classes)))) {
      state.methodState[`teacher.${key}`] = weight;
    }
    const difference = p - 0.5, wanted = (difference ** 2 + difference ** 2 / (classes - 1)) / classes;
    close(value(method.step({ ...state, ...batch }).losses.consistency), wanted);
    beginAnew(method, state);
    for (const [key, tensor] of Object.entries({ ...state.weights, ...state.buffers })) {
      assert.deepEqual(state.methodState[`teacher.${key}`].dataSync(), tensor.dataSync(), key);
    }
  });
}
