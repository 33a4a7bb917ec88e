/** Inference: windows that are computed once and averaged, batch norms that are folded once. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
import { inference } from "../pipeline/evaluation/inference.ts";
import { diceByClass } from "../pipeline/evaluation/overlap.ts";
import { slidingWindow, windowNetwork, windowStarts } from "../pipeline/evaluation/sliding_window.ts";
import { buildNetwork } from "../pipeline/networks/network.ts";
import { toWeights, type Weights } from "../pipeline/networks/parameters.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import type { Tensor, Tensor5D } from "../pipeline/tensorflow/tensors.ts";
import { goldenState } from "../tasks/tools/parity/golden_numbers.ts";
import type { Shape3 } from "../pipeline/arrays/shape.ts";

const { binding } = openTensorFlow({ device: "cpu" });
const uniform = (size: number, name: string) => Float32Array.from({ length: size }, stream(7, name));

Deno.test("every window is computed once, one call after the other, and a voxel takes the mean of its windows", async () => {
  const patch: Shape3 = [16, 16, 16], stride: Shape3 = [6, 5, 4], shape: Shape3 = [27, 16, 21], [, ny, nz] = shape;
  const image = Float32Array.from({ length: 27 * 16 * 21 }, (_, i) => i); // a voxel's value is its place
  const answer = (inVolume: number, inWindow: number) => Math.sin(inVolume) + inWindow % 7;
  const size = 4096, sum = new Float64Array(image.length), times = new Float64Array(image.length);
  const corners: number[] = [];
  for (const x of windowStarts(27, 16, 6)) {
    for (const z of windowStarts(21, 16, 4)) {
      corners.push(x * ny * nz + z);
      for (let i = 0; i < size; i++) {
        const at = ((x + (i >> 8)) * ny + (i >> 4 & 15)) * nz + z + (i & 15);
        sum[at] += Math.fround(answer(at, i));
        times[at]++;
      }
    }
  }
  const wanted = Float32Array.from(sum, (value, i) => value / times[i]);
  for (const atOnce of [1, 2, 4, 100]) {
    const seen: number[] = [];
    let running = 0;
    const network = async (windows: Tensor5D) => {
      assert.equal(running++, 0);
      const values = windows.dataSync();
      assert.ok(windows.shape[0] <= atOnce);
      for (let i = 0; i < values.length; i += size) seen.push(values[i]);
      await new Promise((done) => setTimeout(done, 1));
      running--;
      return Float32Array.from(values, (value, i) => answer(value, i % size));
    };
    assert.deepEqual(await slidingWindow(image, shape, { patch, stride, atOnce, classes: 2, network }), wanted);
    assert.deepEqual(seen, corners);
  }
});

Deno.test("a volume smaller than the patch lies in the middle of zeros", async () => {
  const patch: Shape3 = [16, 16, 16], shape: Shape3 = [16, 13, 16], image = uniform(16 * 13 * 16, "image");
  const echo = (windows: Tensor5D) => Promise.resolve(windows.dataSync() as Float32Array);
  assert.deepEqual(
    await slidingWindow(image, shape, { patch, stride: patch, atOnce: 2, classes: 2, network: echo }),
    image,
  );
  const inside = (windows: Tensor5D) => {
    const values = windows.dataSync() as Float32Array;
    for (const y of [0, 14, 15]) assert.deepEqual(values.subarray(16 * y, 16 * y + 16), new Float32Array(16));
    return echo(windows);
  };
  await slidingWindow(image, shape, { patch, stride: patch, atOnce: 1, classes: 2, network: inside });
});

const { spec: SPEC, forward: VNET } = buildNetwork("vnet", { channels: 1, classes: 2 });
const settled = (weightSet: number) => toWeights(SPEC, goldenState(SPEC, weightSet, { hashedStatistics: true }));
const softened = (logits: Tensor) => tf.sigmoid(logits);

Deno.test("a network is traced and its batch norms are folded once; both follow the parameters", async () => {
  const first = settled(1), second = settled(2);
  const parameters: { weights: Weights; buffers: Weights } = { ...first };
  const how = { forward: VNET, statistics: "running", precision: "fp32" } as const;
  const run = inference<Float32Array>(() => parameters, how, softened);
  const image = tf.tensor(uniform(4096, "window"), [1, 16, 16, 16, 1]);
  const unfolded = trace((x: Tensor, { weights, buffers }: typeof parameters) =>
    softened(VNET(new Pass(weights, buffers, { training: false }), x).logits)
  );
  const wanted = async (given: typeof parameters) => {
    const result = await unfolded(image, given);
    const data = result.dataSync();
    result.dispose();
    return data;
  };
  const calls = async () => {
    const before = binding.operations, result = await run(image);
    return { result, count: binding.operations - before };
  };
  assert.deepEqual((await calls()).result, await wanted(first));
  const handles = binding.getNumOfTensors(), again = await calls();
  assert.equal(again.count, 1);
  Object.assign(parameters, second);
  const moved = await calls();
  assert.equal(moved.count, 2); // the folding, then the network
  assert.deepEqual(moved.result, await wanted(second));
  assert.notDeepEqual(moved.result, again.result);
  assert.equal((await calls()).count, 1);
  assert.equal(binding.getNumOfTensors(), handles);
});

Deno.test("TensorFlow has a window before the caller goes on", async () => {
  const parameters = settled(1);
  const network = windowNetwork(() => parameters, { forward: VNET, statistics: "running", precision: "fp32" });
  const image = tf.zeros([2, 16, 16, 16, 1]) as Tensor5D;
  await network(image);
  const before = binding.operations, running = network(image);
  assert.equal(binding.operations, before + 1);
  assert.equal((await running).length, 8192);
});

Deno.test("the Dice of classes counted in one pass is the published one of their masks", () => {
  const prediction = Uint8Array.from(uniform(600, "p"), (v) => Math.floor(v * 3)); // class 3 is never predicted
  const reference = Uint8Array.from(uniform(600, "r"), (v) => Math.floor(v * 4));
  const of = (values: Uint8Array, k: number) => values.map((value) => Number(value === k));
  const wanted = [1, 2, 3].map((k) => caseMetrics(of(prediction, k), of(reference, k), [600, 1, 1]).published.dice);
  assert.deepEqual(diceByClass({ prediction, reference }, 4), wanted);
  assert.deepEqual(diceByClass({ prediction, reference: new Uint8Array(600) }, 4), [0, 0, 0]);
  assert.throws(() => diceByClass({ prediction, reference: new Uint8Array(3) }, 4), /600 voxels.*3/);
});
