/** The trainer's parts: streams, sampler, augmentation, checkpoints, and the traced step beside the eager one. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import type { Tensor } from "@tensorflow/tfjs";
import { cropPadding, drawPatch, extractPatch } from "../pipeline/data/augment.ts";
import { batchCases } from "../pipeline/data/sampler.ts";
import { checkSplit } from "../pipeline/records/split.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { ssnet } from "../pipeline/methods/ssnet.ts";
import { warmupOf } from "../pipeline/methods/supervised.ts";
import { readAverage, withEma } from "../pipeline/training/weight_average.ts";
import { toWeights } from "../pipeline/networks/parameters.ts";
import { readCheckpoint, readState, writeCheckpoint, writeState } from "../pipeline/training/checkpoint.ts";
import { permutation, stream } from "../pipeline/arrays/random.ts";
import { cosineRate } from "../pipeline/training/schedule.ts";
import { type Batch, startState, trainingStep, updateParameters } from "../pipeline/training/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { readSafetensors, writeSafetensors } from "../pipeline/files/safetensors.ts";
import { withFolder } from "./with_folder.ts";

const { binding } = openTensorFlow();

Deno.test("a stream repeats itself, differs by name, seed and index, and is uniform", () => {
  const draw = (seed: number, name: string, index: number) => {
    const random = stream(seed, name, index);
    return Array.from({ length: 20000 }, random);
  };
  const base = draw(1, "a", 0);
  assert.deepEqual(draw(1, "a", 0), base);
  for (const other of [draw(2, "a", 0), draw(1, "b", 0), draw(1, "a", 1)]) {
    assert.notEqual(other[0], base[0]);
    const mean = other.reduce((a, b) => a + b) / other.length;
    assert.ok(Math.abs(mean - 0.5) < 0.01, `mean ${mean}`);
    const correlation = other.reduce((sum, v, i) => sum + (v - 0.5) * (base[i] - 0.5), 0) * 12 / other.length;
    assert.ok(Math.abs(correlation) < 0.03, `correlation ${correlation}`);
  }
  assert.deepEqual(permutation(50, stream(3, "p")).sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("an epoch shows every labeled case once and an iteration does not depend on the ones before", () => {
  const streams = { labeledCases: 8, unlabeledCases: 22, labeledPerBatch: 2, unlabeledPerBatch: 2 };
  const epoch = [5, 6, 7, 8].map((iteration) => batchCases(1337, iteration, streams));
  assert.deepEqual(epoch.flatMap((b) => b.labeled).sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(new Set(epoch.flatMap((b) => b.unlabeled)).size, 8);
  assert.deepEqual(batchCases(1337, 7, streams), epoch[2]);
  assert.throws(() => batchCases(1, 1, { ...streams, labeledCases: 1 }), /2 labeled cases wanted, 1 found/);
});

Deno.test("turns are counter-clockwise in the first two axes, and a flip follows", () => {
  const volume = [1, 2, 3, 4, 5, 6]; // [2, 3, 1]
  const taken = (turns: number, flipAxis: 0 | 1, patch: [number, number, number]) => {
    const target = new Float32Array(patch[0] * patch[1]);
    // A patch as large as the volume is padded by 3: the start leads to its first voxel.
    extractPatch(volume, [2, 3, 1], { patch, draw: { turns, flipAxis, start: [3, 3, 3] }, target });
    return [...target];
  };
  assert.deepEqual(taken(0, 0, [2, 3, 1]), [4, 5, 6, 1, 2, 3]);
  assert.deepEqual(taken(0, 1, [2, 3, 1]), [3, 2, 1, 6, 5, 4]);
  // One turn of [[1, 2, 3], [4, 5, 6]] is [[3, 6], [2, 5], [1, 4]].
  assert.deepEqual(taken(1, 1, [3, 2, 1]), [6, 3, 5, 2, 4, 1]);
  assert.deepEqual(taken(2, 0, [2, 3, 1]), [3, 2, 1, 6, 5, 4]);
  // Three turns are [[4, 1], [5, 2], [6, 3]].
  assert.deepEqual(taken(3, 0, [3, 2, 1]), [6, 3, 5, 2, 4, 1]);
});

Deno.test("a volume smaller than the patch is padded on every axis", () => {
  assert.deepEqual(cropPadding([20, 9, 30], [16, 16, 16]), [1, 6, 0]);
  assert.deepEqual(cropPadding([20, 17, 30], [16, 16, 16]), [0, 0, 0]);
  assert.deepEqual(cropPadding([16, 40, 40], [16, 16, 16]), [3, 0, 0]);
  const random = stream(5, "draw");
  for (let i = 0; i < 200; i++) {
    const draw = drawPatch(random, [20, 9, 30], [16, 16, 16]);
    const target = new Float32Array(4096);
    extractPatch(new Float32Array(5400).fill(1), [20, 9, 30], { patch: [16, 16, 16], draw, target });
    assert.ok(target.some((v) => v === 1));
  }
});

Deno.test("a split that names a case twice is refused with its name", () => {
  const split = { profile: "la", source: "x", labeled: ["a"], unlabeled: ["b"], validation: [], test: ["a"] };
  assert.throws(() => checkSplit(split, "s.json"), (e) => e instanceof DataError && /twice: a/.test(e.message));
});

Deno.test("the short schedule's rate rises to twice the base in a twentieth, then falls along half a cosine to 0; behind smaller slices to the base", () => {
  const rates = [1, 15, 30, 315, 600].map((s) => cosineRate(s, { base: 0.01, total: 600 }));
  const lowResolution = [1, 1000, 1015, 1030, 1315, 1600].map((s) =>
    cosineRate(s, { base: 0.01, total: 1600, lowResolution: 1000 })
  );
  [0.02, 0.02, 0.005, 0.01, 0.005, 0].forEach((wanted, i) => assert.ok(Math.abs(lowResolution[i] - wanted) < 1e-15));
  [0.02 / 30, 0.01, 0.02, 0.01, 0].forEach((wanted, i) =>
    assert.ok(Math.abs(rates[i] - wanted) < 1e-15, `${rates[i]}`)
  );
});

const METHOD = createMethod(ssnet, LA);
const start = () => startState(METHOD, stream(1, "weights"));
function batch(iteration: number): Batch {
  const random = stream(2, "batch", iteration), values = Float32Array.from({ length: 4 * 4096 }, () => random() - 0.5);
  const label = Int32Array.from({ length: 2 * 4096 }, (_, i) => Number(values[i] > 0.1));
  return {
    x: tf.tensor(values, [4, 16, 16, 16, 1]) as Batch["x"],
    label: tf.tensor(label, [2, 16, 16, 16], "int32") as Batch["label"],
    seed: tf.tensor1d([9, iteration], "int32"),
    consistencyWeight: tf.scalar(1),
    learningRate: tf.scalar(0.01),
    scheduled: {},
    targets: {},
  };
}
const apart = (a: Record<string, Tensor>, b: Record<string, Tensor>) =>
  Math.max(...Object.keys(a).map((key) => tf.tidy(() => tf.max(tf.abs(tf.sub(a[key], b[key]))).dataSync()[0])));

Deno.test("SS-Net's step with dropout, traced, equals the eager one, begins at once and leaks nothing", async () => {
  const state = start(), eager = start(), inputs = batch(1);
  const step = trainingStep(METHOD, "fp32");
  const losses = await step(state, inputs);
  const result = METHOD.step({ ...eager, ...inputs });
  for (const [name, loss] of Object.entries(result.losses)) {
    const difference = Math.abs(loss.dataSync()[0] - losses[name].dataSync()[0]);
    assert.ok(difference < 1e-4, `${name} differs by ${difference}`);
  }
  const updated = updateParameters(eager, { ...result, learningRate: inputs.learningRate });
  assert.ok(apart(updated.weights, state.weights) < 1e-4);
  assert.ok(apart(result.buffers, state.buffers) < 3e-4);
  Object.values(losses).forEach((loss) => loss.dispose());
  const count = tf.memory().numTensors;
  for (let i = 0; i < 3; i++) {
    const before = binding.operations, running = step(state, inputs);
    assert.equal(binding.operations, before + 1); // TensorFlow has the call: the next batch is made beside it
    Object.values(await running).forEach((loss) => loss.dispose());
  }
  assert.equal(tf.memory().numTensors, count);
  // The background's selectors never learn: no gradient, so no weight decay either.
  const untouched = "contrastive_class_selector_0.0.weight";
  assert.equal(apart({ w: start().weights[untouched] }, { w: state.weights[untouched] }), 0);
});

Deno.test("the average of the weights follows its formula through warm-up and method, and leaves the training as it is", async () => {
  const method = withEma(METHOD), plain = start(), state = startState(method, stream(1, "weights"));
  const stages = { plain: [warmupOf(METHOD), METHOD], followed: [withEma(warmupOf(METHOD)), method] };
  const average: Record<string, Float32Array> = {};
  assert.equal(
    readAverage(METHOD.spec, state).weights,
    state.weights,
    "before the first update the average is what there is",
  );
  for (let k = 0; k < 4; k++) {
    const stage = Number(k > 1);
    await trainingStep(stages.plain[stage], "fp32")(plain, batch(k));
    await trainingStep(stages.followed[stage], "fp32")(state, batch(k));
    for (const [name, tensor] of Object.entries({ ...plain.weights, ...plain.buffers })) {
      const decay = Math.min(k / (k + 9), 0.99), before = average[name];
      average[name] = (tensor.dataSync() as Float32Array).map((v, i) => decay * (before?.[i] ?? 0) + (1 - decay) * v);
    }
  }
  assert.ok(apart(plain.weights, state.weights) < 1e-5);
  assert.ok(apart(plain.buffers, state.buffers) < 1e-4);
  assert.ok(apart(plain.methodState, state.methodState) < 1e-4, "the bank");
  const followed = readAverage(METHOD.spec, state);
  for (const [name, tensor] of Object.entries({ ...followed.weights, ...followed.buffers })) {
    const values = tensor.dataSync();
    assert.ok(average[name].every((v, i) => Math.abs(v - values[i]) < 1e-4), name);
  }
});

Deno.test("a labeled-only warm-up leaves SS-Net's heads as they were", async () => {
  const state = start(), before = start();
  await trainingStep(warmupOf(METHOD), "fp32")(state, batch(1));
  assert.equal(
    apart({ w: before.weights["projection_head.0.weight"] }, { w: state.weights["projection_head.0.weight"] }),
    0,
  );
  assert.ok(
    apart({ w: before.weights["decoder.out_conv.weight"] }, { w: state.weights["decoder.out_conv.weight"] }) > 0,
  );
});

Deno.test("a state of other draws is refused with the reason, one under the first names is read", () =>
  withFolder(async (folder) => {
    const path = `${folder}/state.safetensors`, state = start();
    await writeState(path, METHOD.spec, state, 1);
    const { tensors, metadata } = await readSafetensors(path);
    const stored = (rename: (name: string) => string) =>
      Object.fromEntries(
        Object.entries(tensors).filter(([, { dtype }]) => dtype === "F32").map(([name, { shape, values }]) => [
          rename(name),
          { shape, dtype: "F32" as const, values },
        ]),
      );
    const first = (name: string) => name === "hadGradient" ? "touched" : name.replace(/^methodState\./, "memory.");
    await writeSafetensors(path, stored(first), metadata);
    assert.equal(apart((await readState(path, METHOD)).state.methodState, state.methodState), 0);
    await writeSafetensors(path, stored((name) => name), { iteration: "1" });
    await assert.rejects(
      readState(path, METHOD),
      /Cannot resume .* drew the noise of version 1, this program draws version 2/,
    );
  }));

Deno.test("a resumed run goes on with the same bits", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const step = trainingStep(METHOD, "fp32"), state = start();
    await step(state, batch(1));
    await writeState(`${folder}/state.safetensors`, METHOD.spec, state, 1);
    const { state: resumed, iteration } = await readState(`${folder}/state.safetensors`, METHOD);
    assert.equal(iteration, 1);
    await step(state, batch(2));
    await step(resumed, batch(2));
    for (const group of ["weights", "momentum", "buffers", "methodState"] as const) {
      assert.equal(apart(state[group], resumed[group]), 0, group);
    }
    await writeCheckpoint(`${folder}/last.safetensors`, METHOD.spec, state, 2);
    const read = await readCheckpoint(`${folder}/last.safetensors`, METHOD.spec);
    assert.equal(apart(toWeights(METHOD.spec, read.state).weights, state.weights), 0);
    await assert.rejects(
      readCheckpoint(`${folder}/last.safetensors`, {
        parameters: [{ ...METHOD.spec.parameters[0], shape: [1] }],
        buffers: [],
      }),
      /checkpoint of another network[\s\S]*\[1\] wanted/,
    );
    await Deno.truncate(`${folder}/last.safetensors`, 1000);
    await assert.rejects(readCheckpoint(`${folder}/last.safetensors`, METHOD.spec), /Cannot read .* as safetensors/);
    assert.deepEqual([...Deno.readDirSync(folder)].filter((f) => f.name.endsWith(".part")), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
