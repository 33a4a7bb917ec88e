/** The networks of the compared methods: their parameters, what they share with the base networks, noise, gradients. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import type { Tensor, Tensor1D, Tensor4D, Tensor5D } from "@tensorflow/tfjs";
import { gradientsOf } from "../pipeline/methods/method.ts";
import { networkWithHeads } from "../pipeline/methods/ssnet.ts";
import { discriminator, type DiscriminatorOptions } from "../pipeline/networks/discriminator.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { buildNetwork, type NetworkName } from "../pipeline/networks/network.ts";
import { initialize, type NetworkSpec, toWeights } from "../pipeline/networks/parameters.ts";
import { build, type NetworkOptions, type NetworkOutputs, type Scope } from "../pipeline/networks/scope.ts";
import { featureDropout, featureNoise } from "../pipeline/networks/urpc_unet.ts";
import { vnet } from "../pipeline/networks/vnet.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { upNearest, upTrilinear } from "../pipeline/tensorflow/ops.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { goldenState } from "../tasks/tools/parity/golden_numbers.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";

openTensorFlow({ threads: 2 });
const values = (x: Tensor) => x.dataSync() as Float32Array;
const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number) => {
  assert.ok(a.length === b.length && a.length > 0, `${a.length} and ${b.length} values`);
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i] - b[i]) <= tolerance, `entry ${i}: ${a[i]}, ${b[i]}`);
};
/** @param seed Not 0, which tfjs takes for none. */
const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);
const images = (shapes: number[][]) => shapes.map((shape, i) => normal(shape, i + 1));
const seedOf = (n: number) => tf.tensor1d([n, 5], "int32") as Tensor1D;
const volume = [2, 32, 32, 16, 1], slice = [2, 32, 48, 1];

/** Every network on the smallest inputs, how many parameters it has at the papers' sizes, and some of those. */
interface Case {
  spec: NetworkSpec;
  count: number;
  inputs: number[][];
  forward: (pass: Pass, inputs: Tensor[]) => Tensor[];
  /** Parameters along whose gradient finite differences are taken. */
  parameters: string[];
  /** By how much they move the objective: little against the next kink, much against rounding. */
  change: number;
}
const all = ({ all }: NetworkOutputs) => all!;
const bothHeads = ({ distance, logits }: NetworkOutputs) => [distance!, logits];
/** @param outputs What is looked at. */
function segmentation(
  name: NetworkName,
  classes: number,
  outputs: (given: NetworkOutputs) => Tensor[],
): Pick<Case, "spec" | "forward"> {
  const { spec, forward } = buildNetwork(name, { channels: 1, classes });
  return { spec, forward: (pass, [x]) => outputs(forward(pass, x)) };
}
function judge(options: DiscriminatorOptions): Pick<Case, "spec" | "forward"> {
  const { spec, forward } = build((at) => discriminator(at, options));
  return { spec, forward: (pass, [map, image]) => [forward(pass, { map, image })] };
}
const CASES: Record<string, Case> = {
  "MC-Net's V-Net": {
    ...segmentation("vnet_mutual", 2, all),
    count: 12347716,
    inputs: [volume],
    parameters: ["encoder.block_two.conv.0.weight", "decoder2.block_six_up.conv.1.weight", "decoder2.out_conv.bias"],
    change: 3e-5,
  },
  "MC-Net's U-Net": {
    ...segmentation("unet_mutual", 4, all),
    count: 2577624,
    inputs: [slice],
    parameters: ["encoder.in_conv.conv_conv.0.weight", "decoder2.up2.up.weight", "decoder2.up4.up.bias"],
    change: 3e-5,
  },
  "V-Net with two heads": {
    ...segmentation("vnet_distance", 2, bothHeads),
    count: 9448866,
    inputs: [volume],
    parameters: ["block_two.conv.0.weight", "out_conv.weight", "out_conv2.weight"],
    change: 3e-5,
  },
  "U-Net with two heads": {
    ...segmentation("unet_distance", 4, bothHeads),
    count: 1814199,
    inputs: [slice],
    parameters: ["encoder.in_conv.conv_conv.0.weight", "decoder.out_conv.weight", "decoder.out_conv2.weight"],
    change: 3e-5,
  },
  "URPC's U-Net": {
    ...segmentation("unet_pyramid", 4, all),
    count: 1831060,
    inputs: [slice],
    parameters: ["encoder.in_conv.conv_conv.0.weight", "decoder.up1.conv1x1.weight", "decoder.out_conv_dp3.weight"],
    change: 3e-5,
  },
  "URPC's 3-D U-Net": {
    ...segmentation("unet3d_pyramid", 2, all),
    count: 5884504,
    inputs: [volume],
    parameters: ["conv2.conv1.0.weight", "up_concat4.conv.conv1.0.weight", "dsv4.dsv.0.weight", "dsv1.bias"],
    change: 1e-5,
  },
  "the 3-D discriminator": {
    ...judge({ channels: 1, classes: 2, patch: [112, 112, 80] }),
    count: 11020290,
    inputs: [volume, volume],
    parameters: ["conv0.weight", "conv4.weight", "classifier.weight"],
    change: 1e-3,
  },
  "the 2-D discriminator": {
    ...judge({ channels: 1, classes: 4, patch: [256, 256] }),
    count: 2761730,
    inputs: [[1, 256, 256, 3], [1, 256, 256, 1]],
    parameters: ["conv0.weight", "conv4.weight", "classifier.weight"],
    change: 1e-3,
  },
};

const shapes = (spec: NetworkSpec) => spec.parameters.map(({ name, shape }) => [name, shape]);
const count = (spec: NetworkSpec) => spec.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
/** Parameters of the golden kind: activations keep away from the kinks. */
const load = (spec: NetworkSpec) => toWeights(spec, goldenState(spec, 3));
const run = ({ spec, inputs, forward }: Case, options: { training: boolean; dropoutSeed?: Tensor1D }) => {
  const { weights, buffers } = load(spec);
  return forward(new Pass(weights, buffers, options), images(inputs));
};

for (const [name, { spec, inputs, forward, count: expected, parameters, change }] of Object.entries(CASES)) {
  Deno.test(`${name} has ${expected} parameters, each under a name of its own`, () => {
    assert.equal(count(spec), expected);
    assert.equal(
      new Set([...spec.parameters, ...spec.buffers].map(({ name }) => name)).size,
      shapes(spec).length + spec.buffers.length,
    );
  });

  Deno.test(`${name} has the gradients that finite differences give`, () =>
    tf.tidy(() => {
      const { weights, buffers } = load(spec), xs = images(inputs);
      const targets: Tensor[] = [];
      const objective = (weights: Record<string, Tensor>) =>
        forward(new Pass(weights, buffers, { training: true, dropoutSeed: seedOf(1) }), xs).map((y, i) => {
          targets[i] ??= tf.keep(normal(y.shape, 20 + i));
          return tf.mean(tf.mul(y, targets[i]));
        }).reduce((a, b) => tf.add(a, b));
      const { gradients } = gradientsOf(() => objective(weights), weights);
      for (const parameter of parameters) {
        const gradient = gradients[spec.parameters.findIndex(({ name }) => name === parameter)]!;
        const weight = weights[parameter], slope = values(tf.norm(gradient))[0];
        assert.ok(slope > 1e-6, `${parameter}: no gradient`);
        const direction = tf.div(gradient, slope), h = change / slope;
        const at = (step: number) =>
          values(objective({ ...weights, [parameter]: tf.add(weight, tf.mul(direction, step)) }))[0];
        const numeric = (at(h) - at(-h)) / (2 * h);
        assert.ok(Math.abs(numeric - slope) < 2e-2 * slope, `${parameter}: ${slope} against ${numeric}`);
      }
      targets.forEach((target) => target.dispose());
    }));

  Deno.test(`${name} is the same eager and traced, draws its noise from the seed alone, and leaks nothing`, async () => {
    const { weights, buffers } = load(spec), xs = images(inputs), seeds = [seedOf(1), seedOf(2)];
    const pass = (dropoutSeed: Tensor1D) => new Pass(weights, buffers, { training: true, dropoutSeed });
    const traced = trace((seed: Tensor1D, ...xs: Tensor[]) => forward(pass(seed), xs));
    const [first, other] = [await traced(seeds[0], ...xs), await traced(seeds[1], ...xs)];
    const before = tf.memory().numTensors;
    tf.tidy(() =>
      forward(pass(seeds[0]), xs).forEach((y, i) => {
        close(values(y), values(first[i]), 2e-3);
        assert.notDeepEqual(values(y), values(other[i]));
      })
    );
    assert.equal(tf.memory().numTensors, before);
  });
}

Deno.test("the 3-D discriminator has names, shapes and order of the authors' state_dict", () => {
  const table = JSON.parse(Deno.readTextFileSync(new URL("./golden/params_discriminator3d.json", import.meta.url)));
  assert.deepEqual(shapes(CASES["the 3-D discriminator"].spec), shapes(table));
});

Deno.test("a network of other widths is the same file, and SS-Net's heads follow its features", () => {
  const small = (at: Scope, options: NetworkOptions) => vnet(at, { ...options, filters: 4 });
  const { spec, forward } = build((at) => small(at, { channels: 1, classes: 3 }));
  assert.deepEqual(shapes(spec).at(-2), ["decoder.out_conv.weight", [3, 4, 1, 1, 1]]);
  const { weights, buffers } = load(spec);
  const { logits, features } = forward(new Pass(weights, buffers, { training: true }), normal(volume, 1));
  assert.deepEqual([logits.shape, features!.shape], [[2, 32, 32, 16, 3], [2, 32, 32, 16, 4]]);
  assert.equal(forward.featureWidth, 4);
  assert.throws(
    () => networkWithHeads("unet_pyramid", { channels: 1, classes: 4 }),
    /Cannot put SS-Net's heads on unet_pyramid/,
  );
});

Deno.test("MC-Net's parts have the base network's parameters; the second decoder differs in how it doubles the size", () => {
  for (const network of ["vnet", "unet"] as const) {
    const mc = shapes(buildNetwork(`${network}_mutual`, { channels: 1, classes: 4 }).spec);
    const base = shapes(buildNetwork(network, { channels: 1, classes: 4 }).spec);
    const renamed = (decoder: string) =>
      mc.filter(([name]) => `${name}`.startsWith("encoder.") || `${name}`.startsWith(decoder))
        .map(([name, shape]) => [`${name}`.replace(decoder, "decoder"), shape]);
    assert.deepEqual(renamed("decoder1"), base);
    const doubling = /up\d\.(conv1x1|up)\.|_up\.conv\./,
      rest = (list: unknown[][]) => list.filter(([name]) => !doubling.test(`${name}`));
    assert.deepEqual(rest(renamed("decoder2")), rest(base));
    const own = mc.filter(([name]) => `${name}`.startsWith("decoder2") && doubling.test(`${name}`));
    assert.deepEqual(
      own.slice(0, network === "vnet" ? 4 : 2),
      network === "vnet"
        ? [
          ["decoder2.block_five_up.conv.1.weight", [128, 256, 3, 3, 3]],
          ["decoder2.block_five_up.conv.1.bias", [128]],
          ["decoder2.block_five_up.conv.2.weight", [128]],
          ["decoder2.block_five_up.conv.2.bias", [128]],
        ]
        : [["decoder2.up1.up.weight", [256, 128, 2, 2]], ["decoder2.up1.up.bias", [128]]],
    );
  }
});

Deno.test("MC-Net's first decoder computes what the base network computes, its second something else of the same size", () => {
  for (const [network, shape] of [["vnet", volume], ["unet", slice]] as const) {
    const mutual = buildNetwork(`${network}_mutual`, { channels: 1, classes: 2 }),
      base = buildNetwork(network, { channels: 1, classes: 2 });
    const state = goldenState(mutual.spec, 5), x = normal([...shape], 1);
    const renamed = Object.fromEntries(Object.entries(state).map(([k, v]) => [k.replace("decoder1", "decoder"), v]));
    const pass = (spec: NetworkSpec, state: Record<string, Float32Array>) => {
      const { weights, buffers } = toWeights(spec, state);
      return new Pass(weights, buffers, { training: false });
    };
    const [first, second] = all(mutual.forward(pass(mutual.spec, state), x));
    assert.deepEqual(values(first), values(base.forward(pass(base.spec, renamed), x).logits));
    assert.deepEqual(second.shape, first.shape);
    assert.notDeepEqual(values(second), values(first));
  }
});

Deno.test("the two heads read the base network's features: distances of the foreground classes in -1..1, and a segmentation", () => {
  for (const [network, shape, classes] of [["vnet", volume, 2], ["unet", slice, 4]] as const) {
    const { spec, forward } = buildNetwork(`${network}_distance`, { channels: 1, classes });
    const { weights, buffers } = load(spec), x = normal([...shape], 1);
    const [distance, both] = bothHeads(forward(new Pass(weights, buffers, { training: false }), x));
    assert.deepEqual(distance.shape, [...shape.slice(0, -1), classes - 1]);
    assert.deepEqual(both.shape, [...shape.slice(0, -1), classes]);
    // The V-Net's is a sigmoid's single logit beside a 0.
    const [zeros, logits] = network === "vnet" ? tf.split(both, 2, -1) : [null, both];
    if (zeros) assert.ok(values(zeros).every((v) => v === 0));
    assert.ok(values(distance).every((v) => Math.abs(v) <= 1) && values(distance).some((v) => v < 0));
    // The public V-Net of these methods has the base network's names without their first part.
    const own = ({ name }: { name: string }) => network === "vnet" ? name.slice(name.indexOf(".") + 1) : name;
    const heads = network === "vnet" ? "out_conv2" : "decoder.out_conv2";
    const base = buildNetwork(network, { channels: 1, classes: network === "vnet" ? 1 : classes });
    const rename = (list: { name: string }[], from: Record<string, Tensor>) =>
      Object.fromEntries(list.map((p) => [p.name, from[own(p).replace(/^.*out_conv(?=\.)/, heads)]]));
    const pass = new Pass(rename(base.spec.parameters, weights), rename(base.spec.buffers, buffers), {
      training: false,
    });
    close(values(base.forward(pass, x).logits), values(logits), 0);
  }
});

Deno.test("URPC's heads give the input's size, the coarser ones of the 2-D network in blocks of equal values", () => {
  for (const name of ["URPC's U-Net", "URPC's 3-D U-Net"]) {
    const found = run(CASES[name], { training: false }), [shape] = CASES[name].inputs;
    assert.equal(found.length, 4);
    for (const logits of found) assert.deepEqual(logits.shape.slice(0, -1), shape.slice(0, -1));
    if (shape.length === 5) continue;
    found.forEach((logits, level) => {
      const factor = 2 ** level;
      const corners = tf.stridedSlice(logits, [0, 0, 0, 0], logits.shape, [1, factor, factor, 1]) as Tensor4D;
      assert.deepEqual(values(upNearest(corners, factor)), values(logits));
    });
  }
});

Deno.test("featureNoise() scales every entry by 0.7 to 1.3, all samples alike", () => {
  const pass = (n: number) => new Pass({}, {}, { training: true, dropoutSeed: seedOf(n) }),
    ones = tf.ones([2, 20, 30, 4]) as Tensor4D;
  const found = values(featureNoise(pass(1), ones)), half = found.length / 2;
  assert.deepEqual(found.slice(0, half), found.slice(half));
  assert.ok(found.every((v) => v >= 0.7 && v <= 1.3) && Math.min(...found) < 0.71 && Math.max(...found) > 1.29);
  close([found.reduce((a, b) => a + b) / found.length], [1], 0.02);
  assert.notDeepEqual(values(featureNoise(pass(2), ones)), found);
  assert.equal(featureNoise(new Pass({}, {}, { training: true }), ones), ones);
});

Deno.test("featureDropout() removes the strongest places of each sample, between 0.7 and 0.9 of its largest mean", () => {
  const ramp = Array.from({ length: 1000 }, (_, i) => (i + 1) / 1000);
  // two samples of one scale each, two channels of which only the mean counts
  const x = tf.tensor4d([1, 10].flatMap((scale) => ramp.flatMap((v) => [0.5 * v * scale, 1.5 * v * scale])), [
    2,
    10,
    100,
    2,
  ]);
  const thresholds = Array.from({ length: 40 }, (_, seed) => {
    const pass = new Pass({}, {}, { training: true, dropoutSeed: seedOf(seed) });
    const [small, large] = tf.unstack(featureDropout(pass, x)).map((sample) => [...values(sample)]);
    const kept = small.filter((v) => v > 0).length / 2;
    close(small, ramp.flatMap((v, i) => i < kept ? [0.5 * v, 1.5 * v] : [0, 0]), 1e-6);
    close(large, small.map((v) => 10 * v), 1e-5);
    return kept / 1000;
  });
  assert.ok(Math.min(...thresholds) >= 0.7 - 1e-3 && Math.max(...thresholds) <= 0.9, `${thresholds}`);
  assert.ok(Math.max(...thresholds) - Math.min(...thresholds) > 0.1);
  assert.equal(featureDropout(new Pass({}, {}, { training: true }), x), x);
});

/** Where line i of an axis of n lies among its lines, and the interpolation matrix `[factor n, n]`. */
function matrix(n: number, factor: number, alignedCorners: boolean): number[][] {
  return Array.from({ length: factor * n }, (_, i) => {
    const free = alignedCorners ? i * (n - 1) / (factor * n - 1) : (i + 0.5) / factor - 0.5;
    const at = Math.min(Math.max(free, 0), n - 1), row = new Array(n).fill(0), low = Math.min(Math.floor(at), n - 1);
    row[low] += 1 - (at - low);
    if (at > low) row[low + 1] += at - low;
    return row;
  });
}

Deno.test("upTrilinear() is the direct interpolation of the eight neighbors, and its gradient the transposed one", () => {
  for (const factor of [2, 4, 8]) {
    for (const alignedCorners of [true, false]) {
      const [X, Y, Z, C] = [3, 2, 4, 2], x = normal([1, X, Y, Z, C], 4) as Tensor5D;
      const [mx, my, mz] = [X, Y, Z].map((n) => matrix(n, factor, alignedCorners));
      const dy = normal([1, factor * X, factor * Y, factor * Z, C], 5), a = values(x), g = values(dy);
      const expected = new Float64Array(g.length), gradient = new Float64Array(a.length);
      let at = 0;
      for (const rx of mx) {
        for (const ry of my) {
          for (const rz of mz) {
            for (let c = 0; c < C; c++, at++) {
              for (let i = 0; i < a.length / C; i++) {
                const w = rx[Math.floor(i / (Y * Z))] * ry[Math.floor(i / Z) % Y] * rz[i % Z];
                expected[at] += w * a[i * C + c];
                gradient[i * C + c] += w * g[at];
              }
            }
          }
        }
      }
      const up = (x: Tensor) => upTrilinear(x as Tensor5D, { factor, alignedCorners });
      close(values(up(x)), expected, 1e-5);
      close(values(tf.grad(up)(x, dy)), gradient, 1e-4);
    }
  }
});

Deno.test("upNearest() repeats every entry, and its gradient sums what became of it", () => {
  const x = tf.tensor4d([1, 2], [1, 1, 2, 1]), dy = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 4, 1]);
  close(values(upNearest(x, 2)), [1, 1, 2, 2, 1, 1, 2, 2], 0);
  close(values(tf.grad((x) => upNearest(x as Tensor4D, 2))(x, dy)), [1 + 2 + 5 + 6, 3 + 4 + 7 + 8], 0);
});

Deno.test("a discriminator works on small patches, and of slices it averages blocks of 7 where there is room", () => {
  const inputs = (patch: number[]) => [[1, ...patch, patch.length === 3 ? 1 : 3], [1, ...patch, 1]];
  for (
    const [patch, features] of [
      [[16, 16, 16], 512],
      [[48, 32, 16], 512],
      [[16, 16], 512],
      [[96, 48], 512],
      [[128, 240], 2 * 512],
      [[256, 256], 4 * 512],
    ] as const
  ) {
    const { spec, forward } = build((at) =>
      discriminator(at, { channels: 1, classes: patch.length === 3 ? 2 : 4, patch })
    );
    assert.deepEqual(spec.parameters.at(-2)!.shape, [2, features]);
    const { weights } = load(spec), [map, image] = images(inputs([...patch]));
    const pass = new Pass(weights, {}, { training: true });
    const judged = (map: Tensor) => tf.sum(tf.slice(forward(pass, { map, image }), [0, 1], [1, 1]));
    assert.deepEqual(forward(pass, { map, image }).shape, [1, 2]);
    assert.ok(values(tf.norm(tf.grad(judged)(map)))[0] > 0, "the map has a gradient");
  }
});

Deno.test("URPC's 3-D U-Net begins with normal weights of variance 2 / fan-in and PyTorch's uniform biases", () => {
  const { spec } = buildNetwork("unet3d_pyramid", { channels: 1, classes: 2 }),
    state = initialize(spec, stream(1337, "weights"));
  const weight = state["center.conv2.0.weight"],
    fanIn = 256 * 27,
    mean = (v: Float32Array | number[]) => {
      let sum = 0;
      for (const x of v) sum += x;
      return sum / v.length;
    };
  const unit = Float32Array.from(weight, (v) => v / Math.sqrt(2 / fanIn));
  close([mean(unit), mean(unit.map((v) => v ** 2)), mean(unit.map((v) => v ** 4))], [0, 1, 3], 0.02);
  const bias = state["center.conv2.0.bias"], bound = 1 / Math.sqrt(fanIn);
  assert.ok(bias.every((v) => Math.abs(v) <= bound) && Math.max(...bias) > 0.9 * bound);
});
