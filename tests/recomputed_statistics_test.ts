/** Norms and statistics of batch norms in trainings and tests: recomputed statistics, what the tasks make of either. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { stream, streamKey } from "../pipeline/arrays/random.ts";
import { assembleBatch, type TrainingItem } from "../pipeline/data/batches.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { CARDIAC_CINE } from "../pipeline/datasets/acdc/acdc.ts";
import { writeRawHearts } from "../pipeline/datasets/acdc/phantom.ts";
import { buildNetwork } from "../pipeline/networks/network.ts";
import { initialize, toWeights } from "../pipeline/networks/parameters.ts";
import { readMetrics } from "../pipeline/records/evaluation.ts";
import { readRunConfig } from "../pipeline/records/run.ts";
import { sha256 } from "../pipeline/files/hash.ts";
import { readSafetensors } from "../pipeline/files/safetensors.ts";
import { recomputation, RECOMPUTED_PATCHES } from "../pipeline/training/recomputed_statistics.ts";
import { loadRun, weightsAsRun } from "../pipeline/training/trained_run.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import type { Tensor4D } from "../pipeline/tensorflow/tensors.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";

openTensorFlow({ threads: 2 });

Deno.test("recomputed statistics of the first norm are those of all patches together, whatever was collected before", async () => {
  const patch = [32, 32], random = stream(3, "slices"), seed = 7;
  const labeled = Array.from({ length: 20 }, (): TrainingItem => ({
    shape: [40, 36],
    image: [Float32Array.from({ length: 40 * 36 }, random)],
    label: new Uint8Array(40 * 36),
  }));
  const { spec } = buildNetwork("unet", ACDC), state = initialize(spec, stream(1, "weights"));
  const { weights, buffers } = toWeights(spec, state);
  const recompute = recomputation({ labeled }, { profile: ACDC, seed, patch, precision: "fp32" });
  const found = await recompute({ weights, buffers }), tensors = tf.memory().numTensors;
  assert.deepEqual(Object.keys(found), spec.buffers.map(({ name }) => name));

  const layer = "encoder.in_conv.conv_conv", values: number[][] = Array.from({ length: 16 }, () => []);
  const batches = RECOMPUTED_PATCHES / ACDC.labeledPerBatch;
  for (let iteration = 1; iteration <= batches; iteration++) {
    const { rows, image } = assembleBatch({ labeled, unlabeled: [] }, {
      ...{ profile: ACDC, augmentation: "published", patch, iteration, withUnlabeled: false },
      seed: streamKey(seed, "recomputed statistics"),
    });
    const y = tf.tidy(() => {
      const x = tf.tensor4d(image, [rows, 32, 32, 1]), weight = weights[`${layer}.0.weight`] as Tensor4D;
      return tf.add(tf.conv2d(x, weight, 1, "same"), weights[`${layer}.0.bias`]);
    });
    y.dataSync().forEach((value, i) => values[i % 16].push(value));
    y.dispose();
  }
  const mean = values.map((all) => all.reduce((a, b) => a + b) / all.length);
  const variance = values.map((all, c) => all.reduce((sum, value) => sum + (value - mean[c]) ** 2, 0) / all.length);
  const close = (name: string, wanted: number[]) =>
    found[`${layer}.1.${name}`].dataSync().forEach((value, c) =>
      assert.ok(
        Math.abs(value - wanted[c]) < 2e-4 * Math.max(...wanted.map(Math.abs)),
        `${name}: ${value}, ${wanted[c]}`,
      )
    );
  close("running_mean", mean);
  close("running_var", variance);

  const others = Object.fromEntries(spec.buffers.map(({ name, shape }) => [name, tf.fill(shape, 5)]));
  const again = await recompute({ weights, buffers: others });
  for (const { name } of spec.buffers) assert.deepEqual(again[name].dataSync(), found[name].dataSync());
  tf.dispose([again, others]);
  assert.equal(tf.memory().numTensors, tensors);
});

/** Runs a task, at home in the folder. */
const task = (folder: string, name: string, args: string[]) =>
  runTaskFile(name, args, {
    rights: ["--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${folder}`],
    env: { SSNET_HOME: folder },
  });

Deno.test("a run is trained, tested, exported with recomputed statistics or without batch norm, and refuses what it has not", () =>
  withFolder(async (folder) => {
    const done = async (name: string, ...args: string[]) => {
      const { code, out, error } = await task(folder, name, args);
      assert.equal(code, 0, error);
      return out;
    };
    await writeRawHearts(`${folder}/raw/acdc`, { seed: 5, count: 4, shape: [6, 48, 40] });
    await done("preprocess", "acdc");
    await done("split", "acdc", "--labeled", "2", "--test-cases", "1");
    const runs = ["plain", "recomputed", "group"] as const, [plain, own, group] = runs.map((run) => `${folder}/${run}`);
    const train = (run: string, ...more: string[]) => {
      const how = ["--method", "supervised", "--preset", "fast", "--precision", "fp32", "--patch", "32x32"];
      return done("train", "acdc", "--run", run, "--iterations", "3", ...how, ...more);
    };
    await train(plain, "--batch-norm", "running");
    await train(own); // the preset's
    await train(group, "--norm", "group");

    // Weights and their average are the same; the statistics of one are recomputed at its end, of the other for the test.
    const evaluate = async (run: string, ...more: string[]) => {
      const out = await done("evaluate", "acdc", "--run", run, ...more);
      return await readMetrics(out.match(/(\/.*)\/metrics\.json/)![1]);
    };
    const [kept, forTest] = [await evaluate(own), await evaluate(plain, "--batch-norm", "recomputed")];
    assert.deepEqual([kept.batchNorm, forTest.batchNorm], ["recomputed", "recomputed"]);
    const scores = ({ rows }: typeof kept) => rows.map((row) => ({ ...row, seconds: 0 }));
    assert.deepEqual(scores(kept), scores(forTest));
    const files = [plain, own, group].map((run) => readSafetensors(`${run}/last.safetensors`));
    const [ofPlain, ofOwn, ofGroup] = await Promise.all(files);
    assert.deepEqual([ofPlain.metadata.statistics, ofOwn.metadata.statistics], [undefined, "recomputed"]);
    for (const [name, tensor] of Object.entries(ofPlain.tensors)) {
      if (name.endsWith(".num_batches_tracked")) continue;
      const [before, now] = [tensor, ofOwn.tensors[name]].map((one) => one.values());
      const isStatistic = /\.running_(mean|var)$/.test(name);
      assert.equal(now.every((value, i) => value === before[i]), !isStatistic, name);
    }
    // What resuming needs is that of the training.
    const states = [plain, own].map((run) => sha256(Deno.readFileSync(`${run}/state.safetensors`)));
    assert.equal(states[0], states[1]);

    const model = (await done("export", own)).match(/model: (.*) \(/)![1];
    const byFile = ["--weights", model, "--method", "supervised", "--patch", "32x32"];
    const exported = await readMetrics(
      (await done("evaluate", "acdc", ...byFile)).match(/(\/.*)\/metrics\.json/)![1],
    );
    assert.deepEqual([exported.batchNorm, scores(exported)], ["recomputed", scores(kept)]);

    const { training } = await readRunConfig(group);
    assert.deepEqual([training.norm, training.statistics], ["group", "running"]);
    assert.ok(!Object.keys(ofGroup.tensors).some((name) => /running|tracked/.test(name)));
    await evaluate(group);

    const refused = (run: Parameters<typeof loadRun>[0], batchNorm: "running" | "window" | "recomputed", why: RegExp) =>
      assert.rejects(loadRun(run, { batchNorm }), why);
    const weights = (run: string, norm: "batch" | "group" | "instance") =>
      weightsAsRun(`${run}/last.safetensors`, { dataset: CARDIAC_CINE, method: "supervised", norm });
    await refused(own, "running", /kept recomputed ones instead; use --batch-norm recomputed or window/);
    await refused(group, "window", /it has group norms, which have none/);
    await refused(await weights(plain, "batch"), "recomputed", /of these nothing is known; name a run folder/);
    await refused(
      await weights(group, "batch"),
      "running",
      /checkpoint of another network\n.*running_mean: \[16\] wanted/,
    );
    await refused(
      await weights(plain, "group"),
      "running",
      /running_mean: nothing wanted, statistics of a batch norm found/,
    );
    assert.equal((await loadRun(await weights(group, "group"))).statistics, "running");
    for (const [norm, statistics] of [["group", "window"], ["instance", "recomputed"]]) {
      const how = ["--norm", norm, "--batch-norm", statistics];
      const { code, error } = await task(folder, "train", ["acdc", "--run", `${folder}/x`, ...how]);
      assert.equal(code, 2, error);
      assert.match(error, /no batch norm to have statistics; take --norm batch or leave --batch-norm out/);
      assert.ok(error.includes(`--norm ${norm} and --batch-norm ${statistics}: `), error);
    }
    const urpc = await task(folder, "train", ["la", "--run", `${folder}/x`, "--method", "urpc", "--norm", "group"]);
    assert.deepEqual([urpc.code, /instance norm of its own/.test(urpc.error)], [2, true], urpc.error);
  }));
