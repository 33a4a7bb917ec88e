// deno-lint-ignore-file no-explicit-any
/** Mixed precision: in which type every operation of the table runs, and that sums are float32. */
import { deepEqual, equal, ok } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { AUTOCAST, BFLOAT16, castOf, FLOAT32 } from "../pipeline/tensorflow/autocast.ts";
import { DTYPE, type TensorMetadata } from "../pipeline/tensorflow/binding.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { batchNormTrain, sampleNorm } from "../pipeline/tensorflow/norms.ts";
import * as ops from "../pipeline/tensorflow/ops.ts";
import { gatherRows, moments } from "../pipeline/tensorflow/rows.ts";
import type { Tensor, Tensor1D, Tensor4D, Tensor5D } from "../pipeline/tensorflow/tensors.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";

const { binding } = openTensorFlow({ threads: 2 });
const normal = (shape: number[], seed: number): any => tf.randomNormal(shape, 0, 1, "float32", seed);
const seed = () => tf.tensor1d([3, 5], "int32");

/** Recorded operations: the types of inputs and results as the graph has them. */
interface Recorded {
  name: string;
  inputs: number[];
  results: number[];
}

/** What a function records in mixed precision, forwards and backwards, and what it gives. */
async function recorded(fn: (...xs: any[]) => Tensor, xs: Tensor[]): Promise<{ all: Recorded[]; values: Tensor[] }> {
  const all: Recorded[] = [];
  const run = trace((...xs: any[]) => {
    binding.watch = (name: string, inputs: number[], results: TensorMetadata[]) =>
      all.push({
        name,
        inputs: inputs.map((id) => binding.typeOf(id)),
        results: results.map(({ id }) => binding.typeOf(id)),
      });
    try {
      const { value, grads } = tf.valueAndGrads((...xs) => tf.sum(tf.square(fn(...xs))) as any)(xs);
      return [value, ...grads];
    } finally {
      binding.watch = null;
    }
  }, "bf16");
  const values = await run(...xs);
  return { all, values };
}

/** A convolution to so many channels: what it gives is bfloat16. */
const volume = (x: any, w: any): Tensor5D => tf.conv3d(x, w, 1, "same");
const slice = (x: any, w: any): Tensor4D => tf.conv2d(x, w, 1, "same");
const ofVolumes = (fn: (x: Tensor5D) => Tensor) =>
  recorded((x, w) => fn(volume(x, w)), [normal([1, 4, 4, 8, 4], 1), normal([3, 3, 3, 4, 16], 2)]);
const ofSlices = (fn: (x: Tensor4D) => Tensor) =>
  recorded((x, w) => fn(slice(x, w)), [normal([2, 8, 8, 4], 1), normal([3, 3, 4, 16], 2)]);

const norm = (rectified: boolean) => (x: any) =>
  batchNormTrain(x, { gamma: tf.ones([16]), beta: tf.zeros([16]), bias: tf.zeros([16]) } as any, { rectified }).y;

/** By operation a function that records it behind a convolution. */
const RECORD: Record<string, () => ReturnType<typeof recorded>> = {
  Conv2D: () => ofSlices((x) => x),
  Conv2DBackpropInput: () => ofSlices((x) => ops.upConvolution(x, normal([2, 2, 3, 16], 3))),
  Conv2DBackpropFilter: () => ofSlices((x) => x),
  Conv3D: () => ofVolumes((x) => x),
  Conv3DBackpropInputV2: () => ofVolumes((x) => ops.upConvolution(x, normal([2, 2, 2, 3, 16], 3))),
  Conv3DBackpropFilterV2: () => ofVolumes((x) => x),
  FusedBatchNormV3: () => ofVolumes(norm(false)),
  FusedBatchNormGradV3: () => ofVolumes(norm(false)),
  BiasAdd: () => ofVolumes((x) => ops.addBias(x, tf.ones([16]))),
  Relu: () => ofVolumes(norm(true)),
  ReluGrad: () => ofVolumes(norm(true)),
  LeakyRelu: () => ofSlices((x) => ops.leakyRelu(x, 0.1)),
  LeakyReluGrad: () => ofSlices((x) => ops.leakyRelu(x, 0.1)),
  MaxPool: () => ofSlices(ops.maxPool2),
  MaxPoolGrad: () => ofSlices(ops.maxPool2),
  MaxPool3D: () => ofVolumes(ops.maxPool2),
  MaxPool3DGrad: () => ofVolumes(ops.maxPool2),
  ResizeBilinear: () => ofSlices(ops.upBilinear),
  ResizeBilinearGrad: () => ofSlices(ops.upBilinear),
  Add: () => ofVolumes((x) => tf.add(x, ops.relu(x))),
  AddN: () => ofVolumes((x) => tf.addN([x, ops.relu(x)])),
  ConcatV2: () => ofVolumes((x) => tf.concat([x, ops.relu(x)], 4)),
  Mul: () => ofVolumes((x) => ops.channelDropout(x, 0.5, seed() as Tensor1D)),
  PadV2: () => ofVolumes((x) => tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0], [0, 0]])),
  SplitV: () => ofSlices((x) => tf.split(x, 2)[1]),
  Slice: () => ofSlices((x) => tf.slice(x, [0, 1, 1, 0], [2, 4, 4, 16])),
  GatherV2: () => ofSlices((x) => gatherRows(tf.reshape(x, [128, 16]), tf.tensor1d([3, 7, 7], "int32"))),
  UnsortedSegmentSum: () => ofSlices((x) => gatherRows(tf.reshape(x, [128, 16]), tf.tensor1d([3, 7, 9], "int32"))),
  Transpose: () => ofSlices((x) => tf.transpose(x, [0, 2, 1, 3])),
  Reshape: () => ofSlices((x) => tf.reshape(x, [-1])),
};

Deno.test("every operation of the autocast's table has a test, and none more", () =>
  deepEqual(Object.keys(RECORD).sort(), Object.keys(AUTOCAST).sort()));

for (const [name, record] of Object.entries(RECORD)) {
  Deno.test(`${name} runs in the type that its row says, and all that comes out is float32 to a caller`, async () => {
    const { all, values } = await record(), { gives = BFLOAT16 } = AUTOCAST[name];
    const own = all.filter((one) => one.name === name);
    // Of several results the first is a map, the others statistics; weights and losses are handled by the same operations.
    ok(own.some(({ results }) => results[0] === gives), `${name}: ${JSON.stringify(own)}`);
    for (const value of values) ok(value.dataSync().every(Number.isFinite));
  });
}

Deno.test("the graph that TensorFlow runs has bfloat16 where the table says so, also in a filter's gradient", async () => {
  const x = normal([1, 8, 8, 8, 16], 1), w = normal([3, 3, 3, 16, 16], 2);
  const step = trace(
    (x: any, w: any) =>
      tf.valueAndGrads((w) => tf.sum(tf.square(volume(x, w))))([w]).grads.concat(tf.sum(volume(x, w))),
    "bf16",
  );
  const times = await step.profile(x, w);
  const typesOf = (operation: RegExp) =>
    times.filter((time) => operation.test(time.node)).map(({ outputs }) => outputs);
  for (const operation of [/^conv3d_/, /^conv3dbackpropfilterv2_/]) {
    const types = typesOf(operation);
    ok(types.length > 0 && types.every((outputs) => outputs.startsWith("bfloat16")), `${operation}: ${types}`);
  }
  deepEqual(typesOf(/^sum_/).map((outputs) => outputs.slice(0, 6)), ["float["]);
});

Deno.test("losses, sums, matrix products and running statistics are float32", async () => {
  const { all } = await recorded((x, w) => {
    const features = tf.reshape(ops.leakyRelu(volume(x, w), 0.1), [-1, 16]) as any;
    const { covariance, mean } = moments(features, tf.scalar(features.shape[0]));
    const { mean: running } = batchNormTrain(volume(x, w), {
      ...{ gamma: tf.ones([16]), beta: tf.zeros([16]), bias: tf.zeros([16]) } as any,
    }, { rectified: false });
    return tf.addN([tf.sum(covariance), tf.mean(mean), tf.sum(ops.softmax(features)), tf.sum(running)]);
  }, [normal([1, 4, 4, 8, 4], 1), normal([3, 3, 3, 4, 16], 2)]);
  const real = (types: number[]) => types.filter((type) => type === BFLOAT16);
  for (const name of ["MatMul", "BiasAddGrad", "Sum", "Mean", "Softmax", "RealDiv", "Square"]) {
    const own = all.filter((one) => one.name === name);
    ok(own.length > 0, name);
    for (const { results } of own) deepEqual(real(results), [], name);
  }
  for (const { results } of all.filter(({ name }) => name === "FusedBatchNormV3")) deepEqual(real(results), [BFLOAT16]);
});

for (const [norm, channels] of [["instance", 1], ["group", 8]] as const) {
  Deno.test(`${norm} norm and its gradient read and give bfloat16, with scales, offsets and statistics in float32`, async () => {
    const parameters = { gamma: tf.ones([16]), beta: tf.zeros([16]), bias: tf.ones([16]) } as any;
    const { all } = await ofVolumes((x) => sampleNorm(x, parameters, { channels, rectified: true }));
    const kernels = all.filter(({ name }) => /^FusedBatchNorm/.test(name));
    // Forwards one kernel of the sample's own statistics, of a group another by the group's; backwards one, and another.
    equal(kernels.length, norm === "instance" ? 2 : 4);
    for (const { inputs, results } of kernels) {
      deepEqual([inputs[0], results[0]], [BFLOAT16, BFLOAT16]);
      for (const type of results.slice(1)) equal(type, FLOAT32);
    }
    for (const name of ["Sqrt", "Mean", "Square"]) {
      for (const { results } of all.filter((one) => one.name === name)) ok(!results.includes(BFLOAT16), name);
    }
  });
}

Deno.test("a million ones of bfloat16 add up to a million", async () => {
  const sums = trace((x: any, w: any) => {
    const ones = volume(x, w);
    equal(binding.typeOf((openTensorFlow().backend as any).getInputTensorIds([ones])[0]), BFLOAT16);
    return [
      ops.channelSums(ones),
      tf.sum(ones, [0, 1, 2, 3]),
      tf.mul(tf.mean(ones), 1e6),
      ops.channelSums(tf.reshape(ones, [-1, 2])),
    ];
  }, "bf16");
  const [bias, sum, mean, few] = await sums(tf.ones([1, 100, 100, 100, 1]), tf.ones([1, 1, 1, 1, 2]));
  deepEqual([bias, sum, mean, few].map((t) => [...t.dataSync()]), [[1e6, 1e6], [1e6, 1e6], [1e6], [1e6, 1e6]]);
});

Deno.test("an operation takes the type of the input that decides; whole numbers keep their own", () => {
  const int32 = DTYPE.int32;
  deepEqual(castOf("Mul", [BFLOAT16, FLOAT32]), { type: BFLOAT16, inputs: [BFLOAT16, BFLOAT16] });
  deepEqual(castOf("Mul", [FLOAT32, BFLOAT16]), { type: FLOAT32, inputs: [FLOAT32, FLOAT32] });
  deepEqual(castOf("ReluGrad", [FLOAT32, BFLOAT16]), { type: BFLOAT16, inputs: [BFLOAT16, BFLOAT16] });
  deepEqual(castOf("ConcatV2", [BFLOAT16, FLOAT32, int32]), { type: FLOAT32, inputs: [FLOAT32, FLOAT32, int32] });
  deepEqual(castOf("Add", [int32, int32]), { type: FLOAT32, inputs: [int32, int32] });
  deepEqual(castOf("MatMul", [BFLOAT16, BFLOAT16]), { type: FLOAT32, inputs: [FLOAT32, FLOAT32] });
  deepEqual(castOf("Conv3DBackpropFilterV2", [FLOAT32, int32, FLOAT32]), {
    ...{ type: BFLOAT16, inputs: [BFLOAT16, int32, BFLOAT16], gives: FLOAT32 },
  });
});

Deno.test("a value that many operations read in another type is cast once", async () => {
  const x = normal([1, 4, 4, 8, 4], 1), w = normal([3, 3, 3, 4, 4], 2);
  const run = trace((x: any, w: any) => {
    const y = volume(x, w);
    return [
      tf.sum(y),
      tf.sum(y, 0),
      tf.max(y),
      volume(x, y.slice([0, 0, 0, 0, 0], [1, 3, 3, 4, 2]).reshape([3, 3, 2, 4, 1]) as any),
    ];
  }, "bf16");
  const times = await run.profile(x, w), casts = times.filter(({ node }) => node.startsWith("cast_"));
  // x and w to bfloat16, y and the second convolution to float32.
  equal(casts.length, 4, JSON.stringify(casts));
});

Deno.test("gradients of filters are near float32's whatever the memory held before, of two planes too", async () => {
  const shapes = [[2, 2, 2], [2, 2, 1], [1, 4, 4], [3, 2, 2], [4, 4, 2]];
  for (const [size, kernel, stride] of shapes.flatMap((size) => [[size, 3, 1], [size, 2, 2]] as const)) {
    const channels = 64, x = normal([1, ...size, channels], 1);
    const w = normal([kernel, kernel, kernel, channels, channels], 2);
    const of = (precision: "fp32" | "bf16") =>
      trace((x: any, w: any) => {
        const loss = (w: any) => tf.sum(tf.square(tf.conv3d(x, w, stride, "same"))) as any;
        return tf.grad(loss)(w);
      }, precision);
    const [full, half] = [of("fp32"), of("bf16")], wanted = (await full(x, w)).dataSync();
    for (let i = 0; i < 3; i++) {
      for (const times of [1, 2]) { // what was freed last is what a kernel gets next
        const junk = tf.fill([times * w.size], 1e30);
        junk.dataSync();
        junk.dispose();
      }
      const found = (await half(x, w)).dataSync();
      let difference = 0, norm = 0;
      wanted.forEach((value, k) => {
        difference += (found[k] - value) ** 2;
        norm += value ** 2;
      });
      const error = Math.sqrt(difference / norm);
      ok(error < 0.02, `${size}, kernel ${kernel}: ${error}`);
    }
  }
});
