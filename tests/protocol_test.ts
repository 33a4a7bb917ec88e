/** Points of docs/protocol.md that no other test pins: where the authors' code surprises, and this one does the same. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { drawPatch } from "../pipeline/data/augment.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { linearDice, squaredDice } from "../pipeline/losses/dice.ts";
import { emptyBank, updateBank } from "../pipeline/losses/feature_bank.ts";
import { type BankWeights, separationLoss } from "../pipeline/losses/separation.ts";
import { createMethod, gradientsOf } from "../pipeline/methods/method.ts";
import { networkWithHeads, ssnet, type SSNetSettings, ssnetSettings, ssnetStep } from "../pipeline/methods/ssnet.ts";
import { heads as buildHeads, PROJECTED } from "../pipeline/networks/heads.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { initialize, toWeights } from "../pipeline/networks/parameters.ts";
import { build } from "../pipeline/networks/scope.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { scheduleAt } from "../pipeline/training/schedule.ts";
import { startState, updateParameters } from "../pipeline/training/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import * as rows from "../pipeline/tensorflow/rows.ts";
import type { Tensor, Tensor1D, Tensor2D } from "../pipeline/tensorflow/tensors.ts";
import { parseList } from "../pipeline/datasets/lists.ts";

openTensorFlow({ device: "cpu" });
const BANK_ROWS = 32;
const number = (tensor: Tensor) => tensor.dataSync()[0];
const uniform = (shape: number[], name: string): Tensor => {
  const random = stream(7, name), size = shape.reduce((a, n) => a * n, 1);
  return tf.tensor(Float32Array.from({ length: size }, () => random() - 0.5), shape);
};

const HEADS = build((at) => buildHeads(at, { classes: 2, features: 16 }));
function heads() {
  const { weights, buffers } = toWeights(HEADS.spec, initialize(HEADS.spec, stream(1, "weights")));
  return { weights, heads: HEADS.forward(new Pass(weights, buffers, { training: true, updateStatistics: true })) };
}
const noPrototypes = () => emptyBank({ classes: 2, size: BANK_ROWS });

/** One step on LA, small, without dropout, at weight 0.7. */
function step(changed: Partial<SSNetSettings> = {}) {
  const method = createMethod(ssnet, LA, { settings: changed });
  const { weights, buffers, methodState } = startState(method, stream(1, "weights"));
  const image = uniform([2, 16, 16, 16, 1], "image");
  const { losses, gradients, ...after } = ssnetStep(networkWithHeads(LA.network, LA).forward, {
    ...{ weights, buffers, methodState, profile: LA, settings: ssnetSettings(LA).parse(changed), dropout: false },
    x: image,
    label: tf.cast(tf.squeeze(tf.greater(tf.slice(image, 0, 1), 0.1), [-1]), "int32"),
    seed: tf.tensor1d([1, 0], "int32"),
    consistencyWeight: tf.scalar(0.7),
    direction: uniform([2, 16, 16, 16, 1], "direction"),
  });
  const values = Object.fromEntries(Object.entries(losses).map(([name, loss]) => [name, number(loss)]));
  return { weights, gradients, losses: values, methodState: after.methodState };
}

Deno.test("SS-Net's loss is Dice, smoothness and separation; cross entropy is reported and no part of it", () => {
  const { weights, gradients, losses, methodState } = step(), weight = 0.7;
  const { total, cross_entropy, supervised, smoothness, separation_labeled, separation_unlabeled } = losses;
  const sum = supervised + weight * (smoothness + 0.1 * (separation_labeled + separation_unlabeled));
  assert.ok(Math.abs(total - sum) < 1e-6, `${total} is not ${sum}`);
  assert.ok(cross_entropy > 0.1);
  // The background has selectors, and they are never run.
  const names = Object.keys(weights), ofBackground = /^contrastive_class_selector_(memory)?0\./;
  assert.equal(names.filter((name, i) => ofBackground.test(name) && gradients[i] === null).length, 12);
  assert.deepEqual(Object.keys(methodState), ["bank.1.rows", "bank.1.count"]);
});

Deno.test("an ablation leaves its term out, and the others stay as they were", () => {
  const whole = step().losses, smooth = step({ separationWeight: 0 }), separated = step({ smoothnessWeight: 0 });
  const close = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-5, `${a} is not ${b}`);
  close(smooth.losses.total, whole.supervised + 0.7 * whole.smoothness);
  assert.equal(smooth.losses.separation_labeled, undefined);
  const heads = Object.keys(smooth.weights).map((name, i) => /head|selector/.test(name) ? smooth.gradients[i] : null);
  assert.ok(heads.every((gradient) => gradient === null));
  assert.equal(number(smooth.methodState["bank.1.count"]), 0);
  close(separated.losses.total, whole.supervised + 0.07 * (whole.separation_labeled + whole.separation_unlabeled));
  assert.equal(separated.losses.smoothness, undefined);
  const alone = step({ smoothnessWeight: 0, separationWeight: 0 }).losses;
  close(alone.total, whole.supervised);
  const other = step({ bankRows: 8, perturbationRadius: 2 });
  assert.deepEqual(other.methodState["bank.1.rows"].shape, [8, PROJECTED]);
  assert.notEqual(other.losses.smoothness, whole.smoothness);
});

Deno.test("of more than 32 candidates the bank keeps those with the lowest scores, or the highest when asked", () => {
  const count = 40, features = uniform([count, 16], "features") as Tensor2D;
  const projected = heads().heads.projection(null)(features), batch = rows.moments(projected, tf.scalar(count));
  const selection = { of: "features", classIndex: 1, batch, active: tf.scalar(1) } as const;
  const scores = heads().heads.select(projected, selection).dataSync();
  const lowest = Array.from(scores, (_, i) => i).sort((a, b) => scores[a] - scores[b]).slice(0, BANK_ROWS);
  const voxels = {
    features,
    labels: tf.ones([count], "int32") as Tensor1D,
    correct: tf.fill([count], 1, "bool") as Tensor1D,
  };
  const bank = updateBank(heads().heads, noPrototypes(), { ...voxels, keeps: "lowest" });
  const other = updateBank(heads().heads, noPrototypes(), { ...voxels, keeps: "highest" });
  const highest = Array.from(scores, (_, i) => i).sort((a, b) => scores[b] - scores[a]).slice(0, BANK_ROWS);
  assert.ok(number(tf.max(tf.abs(tf.sub(other.rows[1], tf.gather(projected, highest))))) < 1e-6);
  const difference = tf.max(tf.abs(tf.sub(bank.rows[1], tf.gather(projected, lowest))));
  assert.ok(number(difference) < 1e-6);
  assert.equal(number(bank.counts[1]), BANK_ROWS);
});

Deno.test("the bank's selector learns nothing where its weights are ones, and something where they are learned", () => {
  const labels = tf.ones([6], "int32") as Tensor1D, features = uniform([6, 16], "features") as Tensor2D;
  const bank = noPrototypes();
  bank.rows[1] = uniform([BANK_ROWS, PROJECTED], "bank") as Tensor2D;
  bank.counts[1] = tf.scalar(BANK_ROWS);
  const largest = (bankWeights: BankWeights) => {
    const { weights, heads: inPass } = heads();
    const loss = () => separationLoss(inPass, bank, { features, labels, bankWeights }).loss;
    const at = Object.keys(weights).indexOf("contrastive_class_selector_memory1.3.weight");
    return number(tf.max(tf.abs(gradientsOf(loss, weights).gradients[at]!)));
  };
  assert.ok(largest("ones") < 1e-7);
  assert.ok(largest("learned") > 1e-5);
});

Deno.test("a parameter begins to decay with its first gradient, and goes on without one", () => {
  let state = {
    ...{ weights: { "head.w": tf.scalar(2) }, momentum: { "head.w": tf.scalar(0) }, buffers: {}, methodState: {} },
    hadGradient: tf.tensor1d([0]),
  };
  const step = (gradient: number, took: number) => {
    const update = {
      gradients: [tf.scalar(gradient)],
      participation: { head: tf.scalar(took) },
      learningRate: tf.scalar(0.1),
    };
    state = { ...state, ...updateParameters(state, update) } as typeof state;
    return number(state.weights["head.w"]);
  };
  const near = (found: number, wanted: number) => assert.ok(Math.abs(found - wanted) < 1e-6, `${found}, ${wanted}`);
  near(step(0, 0), 2);
  const first = 1 + 1e-4 * 2, afterFirst = 2 - 0.1 * first;
  near(step(1, 1), afterFirst);
  near(step(0, 0), afterFirst - 0.1 * (0.9 * first + 1e-4 * afterFirst));
});

Deno.test("LA's distance is above 0 for equal soft maps, ACDC's is 0", () => {
  const soft = tf.tensor2d([[0.3, 0.7], [0.6, 0.4]]);
  assert.ok(number(linearDice(soft, soft)) > 0.4);
  assert.ok(Math.abs(number(squaredDice(soft, soft))) < 1e-6);
});

Deno.test("a patch is always flipped, and its last start never comes", () => {
  const almostOne = 1 - 2 ** -32, size = [120, 120, 90] as const;
  const { flipAxis, start } = drawPatch(() => almostOne, size, LA.patch);
  assert.deepEqual(start, [7, 7, 9]); // 8, 8, 10 would fit
  assert.equal(flipAxis, 1);
  assert.equal(drawPatch(() => 0, size, LA.patch).flipAxis, 0);
});

Deno.test("LA reads the consistency weight after counting the iteration, ACDC before", () => {
  const weight = (profile: typeof LA | typeof ACDC, iteration: number) =>
    scheduleAt(iteration, { profile, iterations: profile.iterations, warmup: 0, rateSchedule: "published" }).weight;
  assert.ok(weight(LA, 150) > weight(LA, 149));
  assert.equal(weight(ACDC, 150), weight(ACDC, 149));
  assert.ok(weight(ACDC, 151) > weight(ACDC, 150));
});

Deno.test("the rates of LA's second half add up to a thousandth of its first half's, ACDC's to as much", () => {
  const ratio = (profile: typeof LA | typeof ACDC) => {
    const { iterations } = profile, course = { profile, iterations, warmup: 0, rateSchedule: "published" } as const;
    const rates = Array.from({ length: iterations }, (_, i) => scheduleAt(i + 1, course).learningRate);
    const sum = (values: number[]) => values.reduce((a, b) => a + b);
    return sum(rates.slice(iterations / 2)) / sum(rates.slice(0, iterations / 2));
  };
  assert.ok(Math.abs(ratio(LA) - 0.001) < 1e-12);
  assert.ok(Math.abs(ratio(ACDC) - 1) < 1e-12);
});

Deno.test("LA is tested with the last checkpoint, ACDC with the best of its validation; 5 % of ACDC are 3 patients", () => {
  assert.deepEqual([LA.checkpoint, ACDC.checkpoint], ["last", "best"]);
  const { lists, publishedResults } = DATASETS.acdc, patients = parseList(Deno.readTextFileSync(lists!.train));
  assert.equal(patients.length, 70);
  assert.deepEqual(patients.slice(0, 3), ["patient099", "patient038", "patient050"]);
  const { rows } = JSON.parse(Deno.readTextFileSync(publishedResults!));
  const labeled = new Set<number>(rows.map((row: { labeled: number }) => row.labeled));
  assert.deepEqual([...labeled].sort((a, b) => a - b), [3, 7, 70]);
});
