/** The U-Net, its operations in closed form, and inference slice by slice. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import type { Tensor, Tensor1D, Tensor4D } from "@tensorflow/tfjs";
import { classesOf } from "../pipeline/evaluation/sliding_window.ts";
import { sliceNetwork, sliceProbabilities } from "../pipeline/evaluation/slices.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { initialize, toWeights } from "../pipeline/networks/parameters.ts";
import { buildNetwork } from "../pipeline/networks/network.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { dropout, maxPool2, upBilinear } from "../pipeline/tensorflow/ops.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { networkWithHeads } from "../pipeline/methods/ssnet.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";

const { binding } = openTensorFlow();
const values = (x: Tensor) => x.dataSync() as Float32Array;
const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number) => {
  assert.ok(a.length === b.length && a.length > 0);
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i] - b[i]) <= tolerance, `entry ${i}: ${a[i]}, ${b[i]}`);
};
const { spec, forward: unet } = buildNetwork("unet", { channels: 1, classes: 4 });
const network = () => toWeights(spec, initialize(spec, stream(1, "weights")));
const seedOf = (n: number) => tf.tensor1d([n, 5], "int32");

Deno.test("parameters and statistics have names, shapes and order of the authors' state_dict", () => {
  assert.equal(spec.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0), 1813764);
  for (const [name, classes] of [["unet", 4], ["vnet", 2]] as const) {
    const table = JSON.parse(Deno.readTextFileSync(new URL(`./golden/params_${name}.json`, import.meta.url)));
    const { spec: { parameters, buffers } } = networkWithHeads(name, { channels: 1, classes });
    const plain = (p: { name: string; shape: number[]; kind: string }) => ({
      name: p.name,
      shape: p.shape,
      kind: p.kind,
    });
    assert.deepEqual(parameters.map(plain), table.parameters.map(plain));
    assert.deepEqual(buffers.map(plain), table.buffers.map(plain));
  }
});

Deno.test("maxPool2() takes the largest of every block, and its gradient goes there alone", () => {
  const x = tf.tensor4d([1, 5, 2, 0, 3, 4, 8, 1], [1, 2, 4, 1]);
  close(values(maxPool2(x)), [5, 8], 0);
  close(values(tf.grad((x) => maxPool2(x as Tensor4D))(x)), [0, 1, 0, 0, 0, 0, 1, 0], 0);
});

Deno.test("upBilinear() keeps the corners and every linear ramp, and doubles the size", () => {
  const ramp = tf.tidy(() => {
    const y = tf.reshape(tf.range(0, 5), [1, 5, 1, 1]), x = tf.reshape(tf.range(0, 4), [1, 1, 4, 1]);
    return tf.add(tf.mul(y, 3), tf.mul(x, -2)) as Tensor4D;
  });
  const expected = Array.from({ length: 80 }, (_, i) => 3 * Math.floor(i / 8) * 4 / 9 - 2 * (i % 8) * 3 / 7);
  const found = upBilinear(ramp);
  assert.deepEqual(found.shape, [1, 10, 8, 1]);
  close(values(found), expected, 1e-5);
});

Deno.test("upBilinear() is a separable product of matrices, forwards and backwards", () => {
  const matrix = (n: number) => {
    const m = tf.buffer([2 * n, n]);
    for (let i = 0; i < 2 * n; i++) {
      const c = i * (n - 1) / (2 * n - 1), low = Math.floor(c);
      m.set(m.get(i, low) + 1 - (c - low), i, low);
      if (c > low) m.set(m.get(i, low + 1) + c - low, i, low + 1);
    }
    return m.toTensor();
  };
  const x = tf.randomNormal([6, 7], 0, 1, "float32", 2), dy = tf.randomNormal([12, 14], 0, 1, "float32", 3);
  const rows = matrix(6),
    columns = matrix(7),
    as4d = (t: Tensor) => tf.reshape(t, [1, t.shape[0], t.shape[1]!, 1]) as Tensor4D;
  close(values(upBilinear(as4d(x))), values(tf.matMul(rows, tf.matMul(x, columns, false, true) as Tensor)), 1e-5);
  const gradient = tf.grad((x) => upBilinear(x as Tensor4D))(as4d(x), as4d(dy));
  close(values(gradient), values(tf.matMul(rows, tf.matMul(dy, columns) as Tensor, true)), 1e-5);
});

Deno.test("dropout() depends on its seed alone, scales what it keeps, and its gradient has the same holes", () => {
  const x = tf.fill([3, 7, 5, 3], 2) as Tensor4D; // a size that is no multiple of 4
  const found = values(dropout(x, 0.3, seedOf(1)));
  assert.deepEqual(values(dropout(x, 0.3, seedOf(1))), found);
  assert.notDeepEqual(values(dropout(x, 0.3, seedOf(2))), found);
  for (const v of found) assert.ok(v === 0 || Math.abs(v - 2 / 0.7) < 1e-6);
  const gradient = values(tf.grad((x) => dropout(x, 0.3, seedOf(1)))(x));
  close(gradient, found.map((v) => v / 2), 1e-6);
});

Deno.test("dropout() drops with its probability, also where 256 parts do not hold it, each entry by itself", () => {
  const size = 256 * 256, draws = 256, ones = tf.ones([size]);
  for (const probability of [0.05, 0.1, 0.2, 0.3, 0.5]) {
    let dropped = 0, both = 0;
    for (let draw = 0; draw < draws; draw++) {
      const y = tf.tidy(() => values(dropout(ones, probability, seedOf(draw))));
      for (let i = 0; i < y.length; i++) {
        if (y[i]) continue;
        dropped++;
        if (i && !y[i - 1]) both++;
      }
    }
    // Rounding 256 p would put the share off by 7.8e-4 or more.
    const share = dropped / (draws * size), pairs = both / (draws * size);
    assert.ok(Math.abs(share - probability) < 4e-4, `${probability}: ${share}`);
    assert.ok(Math.abs(pairs - probability ** 2) < 4e-4, `${probability}: pairs ${pairs}`);
  }
});

Deno.test("the U-Net gives logits and features of the input's size, the same traced and eager, with and without dropout", async () => {
  const { weights, buffers } = network(), x = tf.randomNormal([2, 32, 48, 1], 0, 1, "float32", 1) as Tensor4D;
  for (const dropoutSeed of [undefined, seedOf(9)]) {
    const run = (x: Tensor4D) => {
      const { logits, features } = unet(new Pass(weights, { ...buffers }, { training: true, dropoutSeed }), x);
      return [logits, features!];
    };
    const eager = run(x);
    assert.deepEqual(eager.map(({ shape }) => shape), [[2, 32, 48, 4], [2, 32, 48, 16]]);
    (await trace(run)(x)).forEach((traced, i) => close(values(traced), values(eager[i]), 1e-4));
  }
});

Deno.test("every dropout of a pass draws anew, and another seed gives another result", () => {
  const { weights, buffers } = network(), x = tf.randomNormal([1, 16, 16, 1], 0, 1, "float32", 1) as Tensor4D;
  const run = (dropoutSeed: Tensor1D) =>
    values(unet(new Pass(weights, buffers, { training: true, dropoutSeed }), x).logits);
  assert.deepEqual(run(seedOf(1)), run(seedOf(1)));
  assert.notDeepEqual(run(seedOf(1)), run(seedOf(2)));
  const pass = new Pass(weights, buffers, { training: true, dropoutSeed: seedOf(1) }), ones = tf.ones([64]);
  assert.notDeepEqual(values(pass.dropout(ones, 0.5)), values(pass.dropout(ones, 0.5)));
});

Deno.test("gradients of the U-Net, with dropout and moving statistics, leak no tensors", () => {
  const { weights, buffers } = network(), x = tf.randomNormal([1, 32, 32, 1], 0, 1, "float32", 1) as Tensor4D;
  const run = () => {
    const pass = new Pass(weights, { ...buffers }, { training: true, updateStatistics: true, dropoutSeed: seedOf(3) });
    tf.tidy(() => {
      const loss = (w: Tensor) => {
        pass.weights["decoder.up1.conv1x1.weight"] = w;
        return tf.mean(tf.square(unet(pass, x).logits));
      };
      tf.grad(loss)(weights["decoder.up1.conv1x1.weight"]);
    });
    for (const [name, moved] of Object.entries(pass.buffers)) if (moved !== buffers[name]) moved.dispose();
    pass.options.dropoutSeed!.dispose();
  };
  run();
  const [before, handles] = [tf.memory().numTensors, binding.getNumOfTensors()];
  for (let i = 0; i < 3; i++) run();
  assert.deepEqual([tf.memory().numTensors, binding.getNumOfTensors()], [before, handles]);
});

Deno.test("a volume is predicted slice by slice in its own order and size", async () => {
  // A network that answers with the value of each pixel.
  const echo = (slices: Tensor4D) => Promise.resolve(Float32Array.from(values(slices)));
  const shape = [3, 5, 7] as const, image = Float32Array.from({ length: 105 }, (_, i) => Math.floor(i / 35) + i % 2);
  const slices = { size: [32, 32], classes: 2, network: echo } as const;
  assert.deepEqual(await sliceProbabilities(image, shape, slices), image);
  assert.deepEqual(await sliceProbabilities(image, shape, { ...slices, atOnce: 2 }), image);
  await assert.rejects(sliceProbabilities(image, [3, 5, 8], slices), /105 voxels/);
});

Deno.test("running statistics treat each slice alone, the window's own look at the whole volume; no call leaks", async () => {
  const { weights, buffers } = network();
  const volume = (z: number) => Float32Array.from({ length: z * 400 }, (_, i) => Math.sin(i * i) + Math.floor(i / 400));
  const predict = async (statistics: "running" | "window") => {
    const options = { forward: unet, statistics, precision: "fp32" } as const;
    const slices = {
      size: [32, 32] as const,
      classes: 4,
      network: sliceNetwork(() => ({ weights, buffers }), options),
    };
    const whole = await sliceProbabilities(volume(3), [3, 20, 20], slices);
    const first = await sliceProbabilities(volume(1), [1, 20, 20], slices); // another number of slices: traced again
    const count = binding.getNumOfTensors();
    await sliceProbabilities(volume(3), [3, 20, 20], slices);
    assert.equal(binding.getNumOfTensors(), count);
    const classes = classesOf(whole, 4);
    return { of: classes.slice(0, 400), alone: classesOf(first, 4) };
  };
  const running = await predict("running"), own = await predict("window");
  assert.deepEqual(running.of, running.alone);
  assert.notDeepEqual(own.of, own.alone);
});
