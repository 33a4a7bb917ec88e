// deno-lint-ignore-file no-explicit-any
/** Instance and group norm: their definition in float64, gradients, networks with them. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { gradientsOf } from "../pipeline/methods/method.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, METHODS } from "../pipeline/methods/methods.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { buildNetwork, type NetworkName } from "../pipeline/networks/network.ts";
import { initialize, toWeights } from "../pipeline/networks/parameters.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { EPSILON, NORMS, sampleNorm } from "../pipeline/tensorflow/norms.ts";
import type { Tensor } from "../pipeline/tensorflow/tensors.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";

openTensorFlow({ threads: 2 });
const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);
const values = (x: Tensor) => Float64Array.from(x.dataSync());
/** The largest difference by the largest number. */
function error(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  equal(found.length, wanted.length);
  const largest = Array.from(wanted).reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  return Array.from(found).reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i])), 0) / largest;
}

type Inputs = [x: Float64Array, gamma: Float64Array, beta: Float64Array, bias: Float64Array];
/** The definition, voxel by voxel. @param shape `[B, ..., C]` */
function definition(
  [x, gamma, beta, bias]: Inputs,
  shape: number[],
  channels: number,
  rectified: boolean,
): Float64Array {
  const c = shape.at(-1)!, voxels = sizeOf(shape.slice(1, -1)), y = new Float64Array(x.length);
  for (let b = 0; b < shape[0]; b++) {
    for (let first = 0; first < c; first += channels) {
      const at: [number, number][] = [];
      for (let v = 0; v < voxels; v++) {
        for (let k = first; k < first + channels; k++) at.push([(b * voxels + v) * c + k, k]);
      }
      const moved = at.map(([i, k]) => x[i] + bias[k]), mean = moved.reduce((a, b) => a + b) / at.length;
      const variance = moved.reduce((sum, value) => sum + (value - mean) ** 2, 0) / at.length;
      at.forEach(([i, k], n) => {
        const value = (moved[n] - mean) / Math.sqrt(variance + EPSILON) * gamma[k] + beta[k];
        y[i] = rectified ? Math.max(value, 0) : value;
      });
    }
  }
  return y;
}

/** Shapes of volumes and slices, groups of all and of some channels, a norm of single voxels. */
const CASES: [shape: number[], channels: number, rectified: boolean][] = [
  [[2, 3, 4, 2, 6], 1, false],
  [[2, 3, 4, 2, 6], 3, false],
  [[2, 3, 4, 2, 6], 6, true],
  [[3, 4, 5, 8], 4, false],
  [[3, 4, 5, 8], 1, true],
  [[1, 1, 1, 1, 8], 4, false],
];
for (const [shape, channels, rectified] of CASES) {
  const c = shape.at(-1)!, how = { channels, rectified };
  const inputs = () =>
    [
      tf.add(tf.mul(normal(shape, 1), tf.range(1, c + 1)), tf.range(0, c)), // channels of other means and standard deviations
      normal([c], 2),
      rectified ? tf.fill([c], 5) : normal([c], 3), // away from the kink
      normal([c], 4),
    ] as Tensor[];
  const norm = (x: any, gamma: any, beta: any, bias: any) => sampleNorm(x as Tensor, { gamma, beta, bias }, how);
  const name = `${channels === 1 ? "instance" : `group (${channels})`} norm of [${shape}]`;

  Deno.test(`${name} and its gradients are those of the definition in float64`, () => {
    const given = inputs(), exact = given.map(values) as Inputs, dy = normal(shape, 5), weights = values(dy);
    const loss = (at: Inputs) =>
      definition(at, shape, channels, rectified).reduce((sum, y, i) => sum + y * weights[i], 0);
    ok(
      error(values(norm(...given as [Tensor, Tensor, Tensor, Tensor])), definition(exact, shape, channels, rectified)) <
        2e-6,
    );
    const gradients = tf.grads(norm)(given as any, dy as any);
    exact.forEach((input, k) => {
      const wanted = input.map((_, i) => {
        const at = (delta: number) =>
          loss(exact.map((one, j) => j === k ? one.with(i, one[i] + delta) : one) as Inputs);
        return (at(1e-5) - at(-1e-5)) / 2e-5;
      });
      const isZero = channels === 1 && k === 3; // the bias in front of an instance norm cancels
      if (isZero) deepEqual([...values(gradients[k])], Array(c).fill(0));
      else ok(error(values(gradients[k]), wanted) < 2e-5, `argument ${k}: ${error(values(gradients[k]), wanted)}`);
    });
  });

  Deno.test(`${name} is the same eager, traced and, nearly, in bf16`, async () => {
    const given = inputs(), dy = normal(shape, 5);
    const both = (dy: any, ...xs: any[]) => [(norm as any)(...xs), ...tf.grads(norm)(xs as any, dy)];
    const eager = both(dy, ...given).map(values), traced = (await trace(both)(dy, ...given)).map(values);
    traced.forEach((found, i) => ok(error(found, eager[i]) < 1e-6));
    // What comes out of a convolution is bfloat16: it moves every value by 2^-9 of itself.
    const identity = tf.reshape(tf.eye(c), [1, 1, c, c]) as any;
    const half = trace((dy: any, x: any, ...rest: any[]) => {
      const cast = (t: any) =>
        tf.reshape(tf.conv2d(tf.reshape(t, [shape[0], -1, 1, c]) as any, identity, 1, "same"), shape);
      return both(cast(dy), cast(x), ...rest).slice(0, 2);
    }, "bf16");
    if (sizeOf(shape.slice(1, -1)) > 1) {
      (await (half as any)(dy, ...given)).forEach((found: Tensor, i: number) =>
        ok(error(values(found), eager[i]) < 0.05)
      );
    }
  });
}

Deno.test("samples do not see one another, whatever the scale of the others", () => {
  const x = tf.concat([0.01, 300].map((scale, i) => tf.mul(normal([1, 4, 5, 3, 4], 7 + i), scale)));
  const parameters = { gamma: tf.ones([4]), beta: tf.zeros([4]), bias: tf.zeros([4]) } as any;
  for (const channels of [1, 2]) {
    const how = { channels, rectified: false }, [first] = tf.split(sampleNorm(x, parameters, how), 2);
    deepEqual(values(first), values(sampleNorm(tf.slice(x, 0, 1), parameters, how)));
  }
  throws(() => sampleNorm(x, parameters, { channels: 3, rectified: false }), /4 channels in groups of 3/);
});

const NETWORKS: [NetworkName, number[]][] = [["vnet", [2, 16, 16, 16, 1]], ["unet", [2, 32, 16, 1]]];
for (const [name, shape] of NETWORKS) {
  const built = (norm: typeof NORMS[number]) => buildNetwork(name, { channels: 1, classes: 2, norm });
  const weightsOf = (norm: typeof NORMS[number]) => {
    const { spec, forward } = built(norm);
    return { ...toWeights(spec, initialize(spec, stream(1337, "weights"))), forward };
  };

  Deno.test(`${name}: every norm has the same parameters under the same names, batch norm alone has buffers`, () => {
    const [batch, ...others] = NORMS.map((norm) => built(norm).spec);
    ok(batch.buffers.length > 0);
    for (const { parameters, buffers } of others) {
      deepEqual(parameters, batch.parameters);
      deepEqual(buffers, []);
    }
  });

  for (const norm of ["instance", "group"] as const) {
    Deno.test(`${name} with ${norm} norm is the same in training and evaluation, and a sample alone as in a batch`, () => {
      const { weights, buffers, forward } = weightsOf(norm), x = normal(shape, 1);
      const logits = (x: Tensor, training: boolean) => forward(new Pass(weights, buffers, { training }), x).logits;
      const trained = values(logits(x, true));
      deepEqual(values(logits(x, false)), trained);
      ok(error(values(logits(tf.slice(x, 1, 1), false)), trained.slice(trained.length / 2)) < 1e-5);
    });

    Deno.test(`${name} with ${norm} norm: gradients are those of finite differences`, () => {
      const { weights, buffers, forward } = weightsOf(norm), x = normal(shape, 1);
      const objective = (given: typeof weights) =>
        tf.mean(tf.square(forward(new Pass(given, buffers, { training: true }), x).logits));
      const { gradients } = gradientsOf(() => objective(weights), weights), names = Object.keys(weights);
      for (const wanted of [/(block_two|down1).*0\.weight$/, /(block_nine\.conv\.1|up4.*\.5)\.bias$/]) {
        const i = names.findIndex((name) => wanted.test(name)), gradient = gradients[i]!, change = 3e-5;
        const along = tf.div(gradient, tf.norm(gradient)),
          at = (by: number) =>
            values(objective({ ...weights, [names[i]]: tf.add(weights[names[i]], tf.mul(along, by)) }))[0];
        const numeric = (at(change) - at(-change)) / (2 * change), exact = values(tf.norm(gradient))[0];
        ok(Math.abs(numeric - exact) < 0.05 * exact, `${names[i]}: ${numeric} and ${exact}`);
      }
    });
  }
}

Deno.test("every method's network takes the norm that is asked for, its heads keep theirs", () => {
  for (const dataset of [LA, ACDC]) {
    for (const name of METHOD_NAMES) {
      const of = (norm: typeof NORMS[number]) => createMethod(METHODS[name], dataset, { norm }).spec;
      if (name === "urpc" && dataset === LA) {
        throws(() => of("group"), /instance norm of its own/);
        continue;
      }
      const batch = of("batch"), group = of("group");
      deepEqual(group.parameters, batch.parameters);
      deepEqual(group.buffers, batch.buffers.filter(({ name }) => /_head\.|class_selector/.test(name)));
    }
  }
});
