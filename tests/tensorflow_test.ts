// deno-lint-ignore-file no-explicit-any
import { deepEqual, ok, rejects } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { permutation, stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { chromeTrace, totalTimes } from "../pipeline/tensorflow/operation_times.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { batchNormTrain } from "../pipeline/tensorflow/norms.ts";
import * as ops from "../pipeline/tensorflow/ops.ts";

const { binding } = openTensorFlow({ threads: 2 });
const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number) => {
  ok(a.length === b.length && a.length > 0);
  for (let i = 0; i < a.length; i++) ok(Math.abs(a[i] - b[i]) <= tolerance, `entry ${i}: ${a[i]} against ${b[i]}`);
};

/** Central differences of sum(f(x) * w) against tfjs's gradient, for every argument. */
function checkGradient(f: (...xs: any[]) => any, xs: any[]) {
  const w = tf.randomNormal(f(...xs).shape, 0, 1, "float32", 7);
  const value = (...ys: any[]) => tf.sum(tf.mul(f(...ys), w)) as any;
  const gradients = tf.grads(value)(xs);
  xs.forEach((x, k) => {
    const data = x.dataSync(), g = gradients[k].dataSync(), h = 1e-2;
    for (let i = 0; i < data.length; i += Math.max(1, Math.floor(data.length / 12))) {
      const at = (delta: number) => {
        const moved = data.slice();
        moved[i] += delta;
        return value(...xs.map((y, j) => j === k ? tf.tensor(moved, x.shape) : y)).dataSync()[0];
      };
      const numeric = (at(h) - at(-h)) / (2 * h);
      ok(
        Math.abs(numeric - g[i]) < 2e-2 * Math.max(1, Math.abs(numeric)),
        `argument ${k}, entry ${i}: ${g[i]} against ${numeric}`,
      );
    }
  });
}
const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);
const seed = () => tf.tensor1d([3, 5], "int32");

const cases: [string, (...xs: any[]) => any, () => any[]][] = [
  ["addBias()", ops.addBias, () => [normal([2, 3, 3, 2, 5], 1), normal([5], 2)]],
  ["addBias() of few channels", ops.addBias, () => [normal([2, 4, 4, 2, 2], 1), normal([2], 2)]],
  ["softmax() of two classes", ops.softmax, () => [normal([2, 3, 2, 2, 2], 1)]],
  ["softmax() of three classes", ops.softmax, () => [normal([2, 3, 2, 3], 1)]],
  ["imageConvolution()", ops.imageConvolution, () => [normal([2, 3, 4, 8, 1], 1), normal([3, 3, 3, 1, 2], 2)]],
  ["convolutionOfSum()", ops.convolutionOfSum, () => [
    normal([1, 3, 4, 2, 2], 1),
    normal([1, 3, 4, 2, 2], 2),
    normal([3, 3, 3, 2, 3], 3),
  ]],
  // away from the kink
  ["relu()", ops.relu, () => [tf.add(normal([20], 1), tf.mul(0.5, tf.sign(normal([20], 1))))]],
  ["leakyRelu()", (x) => ops.leakyRelu(x, 0.2), () => [tf.add(normal([20], 1), tf.mul(0.5, tf.sign(normal([20], 1))))]],
  ...[false, true].map((rectified): [string, (...xs: any[]) => any, () => any[]] => [
    `batchNormTrain()${rectified ? " with ReLU" : ""}`,
    (x, gamma, beta) => batchNormTrain(x, { gamma, beta, bias: tf.zerosLike(beta) }, { rectified }).y,
    // rectified: away from the kink, some channels above it and one below
    () => [
      normal([2, 3, 4, 2, 3], 1),
      rectified ? tf.tensor1d([0.2, 0.3, 0.1]) : normal([3], 2),
      rectified ? tf.tensor1d([2, 3, -2]) : normal([3], 3),
    ],
  ]),
  ["upConvolution()", ops.upConvolution, () => [normal([1, 2, 3, 2, 3], 1), normal([2, 2, 2, 4, 3], 2)]],
  ["upConvolution() of slices", ops.upConvolution, () => [normal([2, 3, 2, 3], 1), normal([2, 2, 4, 3], 2)]],
  ...[[2, true], [2, false], [4, false]].map(([factor, alignedCorners]): [string, (x: any) => any, () => any[]] => [
    `upTrilinear() ${factor} times ${alignedCorners ? "with" : "without"} aligned corners`,
    (x) => ops.upTrilinear(x, { factor, alignedCorners } as ops.TrilinearOptions),
    () => [normal([2, 2, 3, 2, 2], 1)],
  ]),
  ["upNearest()", (x) => ops.upNearest(x, 4), () => [normal([2, 2, 3, 2], 1)]],
  // every entry at least 0.1 from the next, so that no step changes the order
  [
    "maxPool2()",
    ops.maxPool2,
    () => [tf.mul(tf.reshape(tf.tensor1d(permutation(96, stream(1, "pool"))), [2, 4, 6, 2]), 0.1)],
  ],
  [
    "maxPool2() of volumes",
    ops.maxPool2,
    () => [tf.mul(tf.reshape(tf.tensor1d(permutation(192, stream(1, "pool"))), [2, 4, 6, 2, 2]), 0.1)],
  ],
  ["upBilinear()", ops.upBilinear, () => [normal([2, 3, 4, 2], 1)]],
  ["dropout()", (x) => ops.dropout(x, 0.3, seed()), () => [normal([2, 5, 3, 3], 1)]],
  ["channelDropout()", (x) => ops.channelDropout(x, 0.5, seed()), () => [normal([2, 2, 2, 2, 6], 1)]],
];
for (const [name, f, xs] of cases) {
  Deno.test(`${name} has the gradient that finite differences give`, () => tf.tidy(() => checkGradient(f, xs())));
  Deno.test(`${name} is the same eager and traced`, async () => {
    const inputs = xs();
    const [traced] = await trace((...ys: any[]) => [f(...ys)])(...inputs);
    close(traced.dataSync(), f(...inputs).dataSync(), 1e-6);
  });
}

Deno.test("foldIn() gives seeds of their own by name and by seed, the same eager and traced", async () => {
  const names = [
    "clean",
    "main",
    "probe",
    "perturbed",
    "direction",
    ...Array.from({ length: 40 }, (_, i) => `draw ${i}`),
  ];
  const all = (seed: tf.Tensor1D) => names.map((name) => ops.foldIn(seed, name));
  const text = (seeds: tf.Tensor[]) => seeds.map((seed) => `${seed.dataSync()}`);
  const seeds = Array.from({ length: 50 }, (_, iteration) => tf.tensor1d([7, iteration], "int32"));
  const found = seeds.flatMap((seed) => text(all(seed)));
  deepEqual(new Set(found).size, seeds.length * names.length);
  deepEqual(text(await trace(all)(seeds[3])), text(all(seeds[3])));
  const [nested, plain] = [ops.foldIn(ops.foldIn(seeds[0], "main"), "draw 1"), ops.foldIn(seeds[0], "draw 1")];
  ok(`${nested.dataSync()}` !== `${plain.dataSync()}`);
});

Deno.test("softmax() of two classes is tfjs' softmax, also where one class is certain", () => {
  const logits = tf.concat([
    normal([4, 5, 2], 1),
    tf.tensor3d([[[200, -200], [-90, 80], [0, 0], [1e4, 1e4], [-3, 9]]]),
  ]);
  const [ours, theirs] = [ops.softmax(logits), tf.softmax(logits)].map((p) => [...p.dataSync()]);
  ours.forEach((p, i) => ok(Math.abs(p - theirs[i]) < 1e-6, `${i}: ${p} and ${theirs[i]}`));
  deepEqual(ours.slice(-10, -4), [1, 0, 0, 1, 0.5, 0.5]);
});

Deno.test("imageConvolution() and its gradients are conv3d's", () => {
  const x = normal([2, 5, 4, 16, 1], 1) as any,
    weight = normal([3, 3, 3, 1, 4], 2) as any,
    dy = normal([2, 5, 4, 16, 4], 3);
  const all = (f: any) => {
    const { value, grads } = tf.valueAndGrads((x: any, weight: any) => tf.sum(tf.mul(f(x, weight), dy)))([x, weight]);
    return [value, ...grads].map((t: any) => [...t.dataSync()]);
  };
  const ours = all(ops.imageConvolution), theirs = all((x: any, weight: any) => tf.conv3d(x, weight, 1, "same"));
  ours.forEach((values, i) =>
    values.forEach((v, j) => ok(Math.abs(v - theirs[i][j]) < 1e-4 * (1 + Math.abs(theirs[i][j])), `${i}, ${j}: ${v}`))
  );
});

Deno.test("channelSums() adds every channel, few of them and an uneven count too", () => {
  for (const shape of [[1000, 64, 2], [5, 7, 2], [3, 4, 16], [9, 3]]) {
    const x = normal(shape, 1), wanted = [...tf.sum(x, shape.map((_, i) => i).slice(0, -1)).dataSync()];
    [...ops.channelSums(x).dataSync()].forEach((sum, c) => ok(Math.abs(sum - wanted[c]) < 1e-2, `${shape}: ${sum}`));
  }
});

Deno.test("trace() retraces on a new shape and gives the new result", async () => {
  const double = trace((x: any) => [tf.mul(x, 2)]);
  close((await double(tf.tensor1d([1, 2])))[0].dataSync(), [2, 4], 0);
  close((await double(tf.tensor1d([1, 2, 3])))[0].dataSync(), [2, 4, 6], 0);
});

Deno.test("trace() takes and gives records and lists, and traces a changed tree anew", async () => {
  let traces = 0;
  const scaled = trace((given: { scale: tf.Scalar; parts: Record<string, tf.Tensor | null>; list: tf.Tensor[] }) => {
    traces++;
    const parts = Object.fromEntries(
      Object.entries(given.parts).map(([name, x]) => [name, x && tf.mul(x, given.scale)]),
    );
    return { parts, sums: given.list.map((x) => tf.sum(x)) };
  });
  const scale = tf.scalar(3), [one, two, five] = [1, 2, 5].map((n) => tf.tensor1d([n]));
  const found = await scaled({ scale, parts: { b: two, a: one, none: null }, list: [five, two] });
  deepEqual(Object.keys(found.parts), ["b", "a", "none"]);
  deepEqual([found.parts.b, found.parts.a].map((x) => x!.dataSync()[0]), [6, 3]);
  deepEqual([found.parts.none, found.sums.map((x) => x.dataSync()[0])], [null, [5, 2]]);
  // In which order the names come makes no difference.
  const other = await scaled({ list: [five, two], parts: { none: null, a: five, b: one }, scale });
  deepEqual([traces, other.parts.a!.dataSync()[0], other.parts.b!.dataSync()[0]], [1, 15, 3]);
  const renamed = await scaled({ scale, parts: { b: two, c: one, none: null }, list: [five, two] });
  deepEqual([traces, renamed.parts.c!.dataSync()[0]], [2, 3]);
  await scaled({ scale, parts: { b: two, c: one, none: null }, list: [five] });
  await scaled({ scale, parts: { b: two, c: one, none: null }, list: [tf.tensor1d([1, 2])] });
  deepEqual(traces, 4);
  await rejects(
    trace((x: unknown) => x)({ x: [tf.scalar(1), 7] }),
    /Cannot take a tree of tensors: number 7 stands at \[0\]\.x\[1\]/,
  );
});

Deno.test("a tensor that two traces read without receiving it keeps its values", async () => {
  const outside = tf.tensor1d([1, 2]);
  for (const factor of [2, 3]) {
    const scale = trace((x: any) => [tf.mul(tf.mul(x, outside), factor)]);
    close((await scale(tf.tensor1d([1, 1])))[0].dataSync(), [factor, 2 * factor], 0);
    close((await scale(tf.tensor2d([[1, 1]])))[0].dataSync(), [factor, 2 * factor], 0);
  }
  close(outside.dataSync(), [1, 2], 0);
});

Deno.test("trace() refuses code that reads values and leaves no recording open", async () => {
  await rejects(
    trace((x: any) => [tf.mul(x, x.dataSync()[0])])(tf.tensor1d([1, 2])),
    /Cannot read the value of a traced tensor/,
  );
  ok(binding.recording === null);
});

Deno.test("a traced gradient step leaks no tensors over 50 calls", async () => {
  const step = trace((
    x: any,
    w: any,
  ) => [tf.sub(w, tf.mul(0.01, tf.grad((v: any) => tf.sum(tf.square(tf.mul(x, v))) as any)(w)))]);
  const x = normal([64], 1);
  let w = normal([64], 2), counts: number[] = [];
  for (let i = 0; i < 50; i++) {
    const [next] = await step(x, w);
    w.dispose();
    w = next as any;
    counts = [...counts, binding.getNumOfTensors()];
  }
  ok(counts.at(-1) === counts[1], `${counts[1]} tensors became ${counts.at(-1)}`);
});

Deno.test("profile() times every operation of a traced call and leaves its results alone", async () => {
  const x = normal([2, 8, 8, 4], 1), twice = trace((x: any) => [ops.relu(x), tf.mul(ops.relu(tf.neg(x)), 2)]);
  const times = await twice.profile(x);
  const relus = times.filter(({ operation }) => operation === "Relu");
  deepEqual(relus.map(({ outputs }) => outputs), ["float[2,8,8,4]", "float[2,8,8,4]"]);
  ok(times.every(({ begin, duration }) => begin >= 0 && duration >= 0));
  const totals = totalTimes(times, ({ operation }) => operation);
  ok(Math.abs(totals.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
  const { traceEvents } = JSON.parse(JSON.stringify(chromeTrace(times, "relus")));
  deepEqual(traceEvents.filter((e: any) => e.ph === "X" && e.name === "Relu").length, 2);
  // a session would refuse to give back an argument
  ok((await trace((x: any) => [x, ops.relu(x)]).profile(x)).some(({ operation }) => operation === "Relu"));
  close((await twice(x))[0].dataSync(), tf.relu(x).dataSync(), 0);
  ok(binding.recording === null);
});

Deno.test("strings, bools, complex numbers and int32 survive the way to TensorFlow and back", () => {
  close(tf.tensor1d([1, -2], "int32").add(tf.scalar(1, "int32")).dataSync(), [2, -1], 0);
  close(tf.logicalNot(tf.tensor1d([true, false], "bool")).dataSync(), [0, 1], 0);
  close(tf.real(tf.complex([1, 2], [3, 4])).dataSync(), [1, 2], 0);
  ok((tf.expandDims(tf.tensor1d(["left", "Vorhof ♥"])).dataSync() as any)[1] === "Vorhof ♥");
});
