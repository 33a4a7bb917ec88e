/** Every method on both datasets: its table, what its loss is made of, what its state does, a resumed run. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { type DatasetProfile, presetOf } from "../pipeline/datasets/dataset.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { boxMask } from "../pipeline/losses/copy_paste.ts";
import { startAdam, updateAdam } from "../pipeline/methods/adam.ts";
import { cleanPseudoLabels } from "../pipeline/methods/bcp.ts";
import { batchRows, createMethod, type Method } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, type MethodName, METHODS } from "../pipeline/methods/methods.ts";
import { warmupOf } from "../pipeline/methods/supervised.ts";
import { toWeights, type Weights } from "../pipeline/networks/parameters.ts";
import { readState, writeState } from "../pipeline/training/checkpoint.ts";
import { stream } from "../pipeline/arrays/random.ts";
import {
  type Batch,
  beginAnew,
  startState,
  toScalars,
  toTensors,
  trainingStep,
} from "../pipeline/training/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import type { Scalar, Tensor1D } from "../pipeline/tensorflow/tensors.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { withFolder } from "./with_folder.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { foldIn } from "../pipeline/tensorflow/ops.ts";

openTensorFlow({ device: "cpu" });
const SMALL: Record<string, DatasetProfile> = {
  la: { ...LA, patch: [16, 16, 16] },
  acdc: { ...ACDC, patch: [32, 32], labeledPerBatch: 4, unlabeledPerBatch: 2 },
};
const WEIGHT = 0.7;

/** Batches at the edge: what their labels are, and whether the network sees or says something else than usual. */
const EDGES: Record<string, { label: (i: number, classes: number) => number; constant?: "image" | "prediction" }> = {
  "no foreground": { label: () => 0 },
  "no background": { label: (_, classes) => classes - 1 },
  "one voxel of the last class": { label: (i, classes) => i === 77 ? classes - 1 : 0 },
  "a constant image": { label: (i, classes) => i % classes, constant: "image" },
  "a constant, saturated prediction of the background": { label: (i, classes) => i % classes, constant: "prediction" },
  "a constant, saturated prediction where there is no foreground": { label: () => 0, constant: "prediction" },
};

function methodOf(name: MethodName, dataset: string): Method {
  const { patch } = SMALL[dataset];
  return createMethod(METHODS[name], SMALL[dataset], { patch });
}

/** A batch of blobs in noise: the label is where a smooth field is high, or what `edge` says. */
function batchOf(method: Method, iteration: number, edge?: typeof EDGES[string]): Batch {
  const { profile: { patch, classes } } = method, { labeled, unlabeled } = batchRows(method);
  const rows = labeled + unlabeled, random = stream(5, "images", iteration);
  const size = patch.reduce((a, n) => a * n, 1), labels = new Int32Array(labeled * size);
  const image = Float32Array.from({ length: rows * size }, (_, i) => {
    const column = i % patch.at(-1)!, c = Math.floor(classes * column / patch.at(-1)!);
    if (i < labels.length) labels[i] = edge ? edge.label(i, classes) : c;
    return edge?.constant === "image" ? 1 : c + random() - 0.5;
  });
  const shape = [labeled, ...patch], scheduled = method.scheduled?.(iteration - 1, 0.5) ?? {};
  return {
    x: tf.tensor(image, [rows, ...patch, 1]),
    label: tf.tensor(labels, shape, "int32"),
    seed: tf.tensor1d([3, iteration], "int32"),
    consistencyWeight: tf.scalar(WEIGHT),
    learningRate: tf.scalar(0.01),
    scheduled: toScalars(scheduled),
    targets: toTensors(method.targets?.(labels, shape) ?? {}),
  };
}
const start = (method: Method) => startState(method, stream(1, "weights"));
const numbers = (tensors: Weights) =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, tensor.dataSync()]));
const apart = (a: Weights, b: Weights) =>
  Math.max(...Object.keys(a).map((key) => tf.tidy(() => tf.max(tf.abs(tf.sub(a[key], b[key]))).dataSync()[0])));

/** Makes every output say the background, by logits that are 400 apart. */
function saturate(weights: Weights): void {
  for (const [name, weight] of Object.entries(weights)) {
    if (!/out_conv\w*\.(weight|bias)$|dsv\d(\.dsv\.0)?\.(weight|bias)$/.test(name)) continue;
    const values = weight.dataSync().map((_, i) => name.endsWith("bias") && i === 0 ? 400 : 0);
    weights[name] = tf.tensor(values, weight.shape);
  }
}

/** How the total is made of the other losses. */
const TOTALS: Record<MethodName, (l: Record<string, number>) => number> = {
  ssnet: (l) => l.supervised + WEIGHT * (l.smoothness + 0.1 * (l.separation_labeled + l.separation_unlabeled)),
  supervised: (l) => (l.cross_entropy + l.dice) / 2,
  mean_teacher: (l) => l.supervised + WEIGHT * l.consistency,
  ua_mt: (l) => l.supervised + WEIGHT * l.consistency,
  sassnet: (l) => l.supervised + WEIGHT * l.adversarial,
  fixmatch: (l) => l.supervised + WEIGHT * l.consistency,
  dtc: (l) => l.supervised + WEIGHT * l.consistency,
  urpc: (l) => l.supervised + WEIGHT * l.consistency,
  mc_net: (l) => l.supervised + WEIGHT * l.consistency,
  bcp: (l) => l.supervised + 0.5 * l.pseudo,
};

for (const name of METHOD_NAMES) {
  for (const dataset of ["la", "acdc"] as const) {
    Deno.test(`${name} on ${dataset}: the total is the sum that its file says, it falls, and batches at the edge keep all finite`, async () => {
      const method = methodOf(name, dataset), state = start(method), step = trainingStep(method, "fp32");
      const seen: Record<string, number>[] = [];
      let count = 0;
      for (let iteration = 1; iteration <= 6; iteration++) {
        const batch = batchOf(method, iteration), result = await step(state, batch);
        seen.push(Object.fromEntries(Object.entries(result).map(([key, loss]) => [key, loss.dataSync()[0]])));
        tf.dispose([{ ...batch }, result]);
        if (iteration === 2) count = tf.memory().numTensors;
      }
      assert.equal(tf.memory().numTensors, count, "tensors leak");
      for (const [edge, how] of Object.entries(EDGES)) { // each on the state that the one before has left
        if (how.constant === "prediction") saturate(state.weights);
        const result = await step(state, batchOf(method, 7, how)), { hadGradient: _, ...groups } = state;
        // Momentum is the gradient with the weight's decay.
        for (const [name, tensors] of Object.entries({ losses: result, ...groups })) {
          for (const [key, values] of Object.entries(numbers(tensors))) {
            assert.ok(values.every(Number.isFinite), `${edge}: ${name} ${key}`);
          }
        }
      }
      for (const values of seen) {
        assert.ok(Object.values(values).every(Number.isFinite), JSON.stringify(values));
        const sum = TOTALS[name](values);
        assert.ok(Math.abs(values.total - sum) < 1e-5, `total ${values.total} is not ${sum}`);
      }
      assert.ok(seen[5].supervised < seen[0].supervised, `${seen.map(({ supervised }) => supervised)}`);
      const untouched = Object.keys(state.weights).filter((_, i) => state.hadGradient.dataSync()[i] === 0);
      if (name !== "ssnet") assert.deepEqual(untouched.filter((key) => !/out_conv_dp4/.test(key)), []);
    });

    Deno.test(`${name} on ${dataset}: the same seed gives the same step, another seed another one`, async () => {
      const method = methodOf(name, dataset), step = trainingStep(method, "fp32");
      const [a, b, c] = [start(method), start(method), start(method)], batch = batchOf(method, 1);
      await step(a, batch);
      await step(b, batch);
      assert.equal(apart(a.weights, b.weights), 0);
      await step(c, { ...batch, seed: tf.tensor1d([4, 1], "int32") });
      assert.ok(apart(a.weights, c.weights) > 0);
      await withFolder(async (folder) => { // and a state that was written and read goes on with the same bits
        await writeState(`${folder}/state`, method.spec, a, 1);
        const { state: resumed } = await readState(`${folder}/state`, method), next = batchOf(method, 2);
        await step(a, next);
        await step(resumed, next);
        for (const group of ["weights", "momentum", "buffers", "methodState"] as const) {
          if (Object.keys(a[group]).length) assert.equal(apart(a[group], resumed[group]), 0, group);
        }
      });
    });
  }
}

Deno.test("UA-MT's teacher becomes the student after the first step and its mean with the next after the second", async () => {
  const method = methodOf("ua_mt", "acdc"), state = start(method), step = trainingStep(method, "fp32");
  const teacher = () =>
    Object.fromEntries(Object.keys(state.weights).map((name) => [name, state.methodState[`teacher.${name}`]]));
  assert.ok(apart(state.weights, teacher()) > 0);
  await step(state, batchOf(method, 1));
  assert.equal(apart(state.weights, teacher()), 0);
  const first = numbers(state.weights);
  await step(state, batchOf(method, 2));
  for (const [name, values] of Object.entries(numbers(teacher()))) {
    const student = state.weights[name].dataSync();
    values.forEach((value, i) => assert.ok(Math.abs(value - (first[name][i] + student[i]) / 2) < 1e-6));
  }
  const statistics = Object.keys(state.methodState).filter((name) => /running_mean/.test(name));
  assert.ok(statistics.every((name) => state.methodState[name].dataSync().some((value) => value !== 0)));
});

/**
 * A V-Net whose one unit of chance is a channel of its last dropout: class 1 has the logit 0 or `gain`, by the draw; all else
 * is 0.
 */
function coin({ spec }: Method, gain: number): Weights {
  const zeros = Object.fromEntries(
    [...spec.parameters, ...spec.buffers].map(({ name, shape }) => [name, new Float32Array(sizeOf(shape))]),
  );
  zeros["decoder.block_nine.conv.1.bias"][0] = 1; // dropout makes 0 or 2 of it
  zeros["decoder.out_conv.weight"][16] = gain / 2; // from there to class 1
  return toWeights(spec, zeros).weights;
}

Deno.test("UA-MT's uncertainty is the entropy of the mean of eight softmaxes, its target a pass of its own", async () => {
  const method = createMethod(METHODS.ua_mt, { ...LA, patch: [16, 16, 16] }), gain = 2, p = 1 / (1 + Math.exp(-gain));
  const state = { ...start(method), weights: coin(method, 0) }, batch = batchOf(method, 1);
  for (const [name, weight] of Object.entries(coin(method, gain))) state.methodState[`teacher.${name}`] = weight;
  const losses = trace((uncertainty_threshold: Scalar, seed: Tensor1D) => {
    const scheduled = { ...batch.scheduled, uncertainty_threshold };
    const { certain_share, consistency } = method.step({ ...state, ...batch, seed, scheduled }).losses;
    return [certain_share, consistency];
  });
  const at = async (threshold: number, seed: number) =>
    (await losses(tf.scalar(threshold), tf.tensor1d([seed, 1], "int32"))).map((loss) => loss.dataSync()[0]);
  // The entropy when j of eight passes say p and the others 1/2: from the surest to the least sure.
  const entropies = [8, 7, 6, 5, 4, 3, 2, 1, 0].map((j) => {
    const m = (j * p + (8 - j) / 2) / 8;
    return -m * Math.log(m + 1e-6) - (1 - m) * Math.log(1 - m + 1e-6);
  });
  const passes = new Set<number>(), targets = new Set<number>();
  for (const seed of [2, 8, 9]) {
    let before = 0; // share of the two images that are certain
    for (const [i, entropy] of entropies.entries()) {
      const [[below], [above]] = [await at(entropy - 1e-4, seed), await at(entropy + 1e-4, seed)];
      assert.equal(below, before, `an image has an uncertainty that eight passes cannot give, below ${entropy}`);
      if (above > below) passes.add(8 - i);
      before = above;
    }
    assert.equal(before, 1);
    // The student says 1/2: with every voxel certain an image costs (p - 1/2)² or nothing.
    const [, consistency] = await at(1, seed), costly = 2 * consistency / (p - 0.5) ** 2;
    assert.ok(Math.abs(costly - Math.round(costly)) < 1e-4, `${costly} of two targets are p`);
    targets.add(Math.round(costly));
  }
  assert.ok([...passes].some((j) => j % 2), `odd numbers of eight passes are among ${[...passes]}`);
  assert.ok(targets.size > 1, `${[...targets]}`);
});

Deno.test("BCP's second stage begins with the first one's network as its teacher, and on LA without momentum", async () => {
  for (const dataset of ["la", "acdc"] as const) {
    const method = methodOf("bcp", dataset), warm = warmupOf(method), state = start(method);
    const { supervised, total } = await trainingStep(warm, "fp32")(state, batchOf(warm, 1));
    assert.equal(supervised.dataSync()[0], total.dataSync()[0]);
    const momentum = numbers(state.momentum);
    beginAnew(method, state);
    for (const [name, weight] of Object.entries(state.weights)) {
      assert.deepEqual(state.methodState[`teacher.${name}`].dataSync(), weight.dataSync());
      const expected = dataset === "la" ? new Float32Array(weight.size) : momentum[name];
      assert.deepEqual(state.momentum[name].dataSync(), expected);
    }
    await trainingStep(method, "fp32")(state, batchOf(method, 2));
    assert.ok(apart(state.weights, start(method).weights) > 0);
  }
});

Deno.test("BCP's teacher is 0.99 of itself and 0.01 of the student after the update, from the first step on", async () => {
  const method = methodOf("bcp", "acdc"), state = start(method), step = trainingStep(method, "fp32");
  assert.deepEqual(Object.keys(state.methodState), method.spec.parameters.map(({ name }) => `teacher.${name}`));
  for (let iteration = 1; iteration <= 2; iteration++) {
    const [teacher, before] = [numbers(state.methodState), numbers(state.weights)];
    await step(state, { ...batchOf(method, iteration), learningRate: tf.scalar(1) }); // a long step tells before from after
    let moved = 0;
    for (const [name, weight] of Object.entries(state.weights)) {
      const student = weight.dataSync(), found = state.methodState[`teacher.${name}`].dataSync();
      found.forEach((value, i) => {
        const expected = 0.99 * teacher[`teacher.${name}`][i] + 0.01 * student[i];
        assert.ok(Math.abs(value - expected) <= 1e-6 * (1 + Math.abs(expected)), `${name}: ${value}, not ${expected}`);
        moved = Math.max(moved, 0.01 * Math.abs(student[i] - before[name][i]));
      });
    }
    assert.ok(moved > 1e-3, `the update moves the teacher by ${moved}`);
  }
});

Deno.test("BCP pastes an unlabeled box first on LA and a labeled one on ACDC, and reads each label in its region alone", () => {
  for (const dataset of ["la", "acdc"] as const) {
    const method = methodOf("bcp", dataset), state = start(method), batch = batchOf(method, 1);
    const { label, seed } = batch, half = label.shape[0] / 2, { classes } = method.profile;
    const pseudo_label = tf.zeros([method.profile.unlabeledPerBatch, ...label.shape.slice(1)], "int32");
    const mask = tf.cast(
      tf.squeeze(boxMask(label.shape.slice(1), foldIn(seed, "box")), [-1]),
      "int32",
    );
    /** The loss on true labels when those of one half are changed outside the box (1) or inside it (0). */
    const supervisedWith = (first: 0 | 1 | null, second: 0 | 1 | null) => {
      const halves = tf.split(label, 2).map((own, i) => {
        const where = [first, second][i];
        if (where === null) return own;
        const region = where === 1 ? mask : tf.sub(1, mask), other = tf.cast(tf.mod(tf.add(own, 1), classes), "int32");
        return tf.cast(
          tf.where(tf.cast(tf.tile(region, [half, ...own.shape.slice(1).map(() => 1)]), "bool"), other, own),
          "int32",
        );
      });
      const inputs = { ...state, ...batch, label: tf.concat(halves), targets: { pseudo_label } };
      return method.step(inputs).losses.supervised.dataSync()[0];
    };
    const [read, unread] = dataset === "la" ? [1, 0] as const : [0, 1] as const, plain = supervisedWith(null, null);
    assert.equal(supervisedWith(unread, null), plain, `${dataset}: first half`);
    assert.equal(supervisedWith(null, read), plain, `${dataset}: second half`);
    assert.notEqual(supervisedWith(read, null), plain);
    assert.notEqual(supervisedWith(null, unread), plain);
  }
});

Deno.test("three updates of Adam are what its formula says in double precision", () => {
  const options = { learningRate: 0.05, beta1: 0.9, beta2: 0.99 }, gradients = [[0.3, -2], [0.1, 0], [-0.4, 5]];
  const wanted = [1, -1], m = [0, 0], v = [0, 0];
  let state = startAdam({ w: tf.tensor1d(wanted) });
  gradients.forEach((g, t) => {
    state = updateAdam(state, [tf.tensor1d(g)], options);
    g.forEach((value, i) => {
      m[i] = 0.9 * m[i] + 0.1 * value;
      v[i] = 0.99 * v[i] + 0.01 * value ** 2;
      wanted[i] -= 0.05 * (m[i] / (1 - 0.9 ** (t + 1))) / (Math.sqrt(v[i] / (1 - 0.99 ** (t + 1))) + 1e-8);
    });
  });
  state.weights.w.dataSync().forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 1e-6));
});

Deno.test("SASSNet's network leaves the discriminator alone, and the discriminator's step leaves the network alone", () => {
  const method = methodOf("sassnet", "acdc"), state = start(method), batch = batchOf(method, 1);
  const { methodState } = method.step({ ...state, ...batch });
  assert.deepEqual(methodState, state.methodState);
  const later = method.afterUpdate!({ ...state, ...batch });
  assert.deepEqual(Object.keys(later.methodState), Object.keys(state.methodState));
  assert.equal(later.methodState["discriminator.step"].dataSync()[0], 1);
  const moved = apart({ w: later.methodState["discriminator.conv0.weight"] }, {
    w: state.methodState["discriminator.conv0.weight"],
  });
  assert.ok(moved > 0 && moved < 1.01e-4, `Adam's first update is as long as its rate, ${moved} found`);
});

Deno.test("every method changes in the profiles what its own code has differently, and nothing else", () => {
  const S = { base: 0.01, every: 2500 }, P = { base: 0.01, power: 0.9 }, C = { base: 0.01, every: Infinity };
  // Network, rows of a batch, warm-up, iterations, learning rate, [maximum, length, first] of the ramp, component filter on LA.
  type Row = [string, string, string, number, number, object, number[], string];
  const rows: Row[] = [
    ["supervised", "vnet", "2+2", 0, 15000, S, [1, 40, 1], "classes"],
    ["supervised", "unet", "12+12", 0, 30000, C, [0.1, 200, 0], "all"],
    ["ssnet", "vnet", "2+2", 0, 15000, S, [1, 40, 1], "classes"],
    ["ssnet", "unet", "12+12", 0, 30000, C, [0.1, 200, 0], "all"],
    ["mean_teacher", "vnet", "2+2", 0, 15000, S, [0.1, 40, 0], "all"],
    ["mean_teacher", "unet", "12+12", 0, 30000, P, [0.1, 200, 0], "all"],
    ["ua_mt", "vnet", "2+2", 0, 15000, S, [0.1, 40, 0], "all"],
    ["ua_mt", "unet", "12+12", 0, 30000, P, [0.1, 200, 0], "all"],
    ["sassnet", "vnet_distance", "2+2", 0, 15000, S, [0.015, 40, 0], "all"],
    ["sassnet", "unet_distance", "12+12", 0, 30000, P, [0.01, 200, 0], "all"],
    ["fixmatch", "vnet", "2+2", 0, 15000, S, [1, 0, 0], "classes"],
    ["fixmatch", "unet", "12+12", 0, 30000, P, [1, 0, 0], "all"],
    ["dtc", "vnet_distance", "2+2", 0, 15000, S, [1, 40, 0], "classes"],
    ["dtc", "unet_distance", "12+12", 0, 30000, P, [0.1, 200, 0], "all"],
    ["urpc", "unet3d_pyramid", "2+2", 0, 15000, S, [0.1, 40, 0], "all"],
    ["urpc", "unet_pyramid", "12+12", 0, 30000, P, [0.1, 200, 0], "all"],
    ["mc_net", "vnet_mutual", "2+2", 0, 15000, C, [1, 40, 1], "all"],
    ["mc_net", "unet_mutual", "12+12", 0, 30000, C, [0.1, 200, 1], "all"],
    ["bcp", "vnet", "4+4", 2000, 15000, S, [1, 40, 1], "classes"],
    ["bcp", "unet", "12+12", 10000, 30000, C, [0.1, 200, 0], "all"],
  ];
  for (
    const [name, network, batch, warmup, iterations, learningRate, [maximum, length, countsFrom], components] of rows
  ) {
    const base = network.startsWith("vnet") || network.startsWith("unet3d") ? LA : ACDC;
    const { profile } = createMethod(METHODS[name as MethodName], base);
    const wanted = {
      network,
      warmup,
      iterations,
      learningRate,
      consistency: { maximum, length, countsFrom },
      components,
    };
    const [labeledPerBatch, unlabeledPerBatch] = batch.split("+").map(Number);
    assert.deepEqual(profile, { ...base, ...wanted, labeledPerBatch, unlabeledPerBatch }, `${name} on ${base.name}`);
    assert.equal(presetOf(profile, "paper").iterations, warmup + iterations);
  }
  assert.equal(rows.length, 2 * METHOD_NAMES.length);
});

Deno.test("a pseudo label keeps the largest component of every class in every row", () => {
  const rows = [[1, 1, 0, 1, 2, 0], [0, 2, 0, 2, 2, 3]];
  const cleaned = cleanPseudoLabels(Int32Array.from(rows.flat()), [2, 1, 6]);
  assert.deepEqual([...cleaned], [1, 1, 0, 0, 2, 0, 0, 0, 0, 2, 2, 3]);
  assert.deepEqual([...cleanPseudoLabels(new Int32Array(8), [1, 2, 2, 2])], Array(8).fill(0));
});
