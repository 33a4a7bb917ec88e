/** Several classes and several channels: what either protocol was written for holds for others. */
import assert from "node:assert/strict";
import { type Components, connectedComponents } from "../pipeline/arrays/components.ts";
import * as tf from "@tensorflow/tfjs";
import type { Vector3 } from "../pipeline/arrays/geometry.ts";
import type { DatasetProfile } from "../pipeline/datasets/dataset.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { segmenter } from "../pipeline/evaluation/evaluate_case.ts";
import { classesOf, slidingWindow, windowStarts } from "../pipeline/evaluation/sliding_window.ts";
import { foregroundDice, foregroundSquaredDice, linearDice, oneHot, squaredDice } from "../pipeline/losses/dice.ts";
import { batchRows, createMethod } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, METHODS } from "../pipeline/methods/methods.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { startState, toTensors } from "../pipeline/training/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import type { Tensor, Tensor5D } from "../pipeline/tensorflow/tensors.ts";

openTensorFlow({ device: "cpu" });
/** LA's protocol on four classes, in a patch as small as V-Net takes. */
const FOUR: DatasetProfile = { ...LA, name: "four", classes: 4, classNames: ["a", "b", "c"], patch: [16, 16, 16] };

Deno.test("the sliding window averages the probabilities of every class, and a voxel takes the largest", async () => {
  const size = 4096;
  const probability = (c: number, place: number) => ((c + 1) * (place + 3) * 7919 % 97) / 97;
  const image = Float32Array.from({ length: 21 * 256 }, (_, i) => i);
  const network = (windows: Tensor5D) => {
    const places = windows.dataSync(), rows = windows.shape[0], found = new Float32Array(4 * places.length);
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < 4; c++) {
        for (let i = 0; i < size; i++) {
          found[(4 * row + c) * size + i] = probability(c, places[row * size + i] + i % 5);
        }
      }
    }
    return Promise.resolve(found);
  };
  const windows = { patch: [16, 16, 16], stride: [4, 16, 16], atOnce: 2, classes: 4, network } as const;
  const mean = await slidingWindow(image, [21, 16, 16], windows);
  const starts = windowStarts(21, 16, 4);
  const wanted = Float64Array.from({ length: 4 * image.length }, (_, at) => {
    const c = Math.floor(at / image.length), i = at % image.length, x = Math.floor(i / 256);
    const holding = starts.filter((start) => start <= x && x < start + 16);
    const values = holding.map((start) => Math.fround(probability(c, i + (i - 256 * start) % 5)));
    return values.reduce((a, b) => a + b) / values.length;
  });
  assert.ok(mean.every((value, i) => Math.abs(value - wanted[i]) < 1e-6));
  const classes = classesOf(mean, 4);
  classes.forEach((c, i) => {
    for (let other = 0; other < 4; other++) {
      assert.ok(mean[c * image.length + i] >= mean[other * image.length + i], `voxel ${i}`);
    }
  });
  assert.equal(new Set(classes).size, 4);
});

Deno.test("a network of four classes gives a mask of them, of each the largest component where it is asked for", async () => {
  const method = createMethod(METHODS.supervised, FOUR), state = startState(method, stream(1, "weights"));
  const image = Float32Array.from({ length: 24 * 256 }, stream(2, "image")),
    shape: Vector3 = [24, 16, 16];
  const how = { patch: FOUR.patch, statistics: "window", precision: "fp32" } as const;
  const of = (components: Components) => segmenter({ ...FOUR, components }, () => state, how)({ image, shape });
  const [all, largest, foreground] = [await of("all"), await of("classes"), await of("foreground")];
  assert.ok(new Set(all).size > 2, `classes ${[...new Set(all)]}`);
  assert.deepEqual([...new Set(largest)].sort(), [...new Set([0, ...all])].sort());
  assert.ok(largest.every((c, i) => c === 0 || c === all[i]));
  assert.ok(largest.some((c, i) => c !== all[i]));
  const object = Uint8Array.from(foreground, Number);
  assert.equal(connectedComponents(object, shape).sizes.length, 1);
  assert.ok(foreground.every((c, i) => c === 0 || c === all[i]));
});

Deno.test("the foreground's Dice is the mean of its classes' own, of one class that class's to the bit", () => {
  const random = stream(3, "rows"), rows = Float32Array.from({ length: 60 * 4 }, random);
  const p = tf.softmax(tf.tensor2d(rows, [60, 4])),
    q = oneHot(tf.range(0, 60, 1, "int32").mod(tf.scalar(4, "int32")), 4);
  const value = (tensor: Tensor) => tensor.dataSync()[0];
  for (const [loss, one] of [[foregroundDice, linearDice], [foregroundSquaredDice, squaredDice]] as const) {
    const smooth = loss === foregroundDice ? 1e-8 : 1e-5;
    const own = [1, 2, 3].map((c) => value(one(p.slice([0, c], [60, 1]), q.slice([0, c], [60, 1]), smooth)));
    assert.ok(Math.abs(value(loss(p, q)) - own.reduce((a, b) => a + b) / 3) < 1e-6);
    const [two, target] = [p.slice([0, 2]), q.slice([0, 2])];
    assert.equal(value(loss(two, target)), value(one(two.slice([0, 1]), target.slice([0, 1]), smooth)));
  }
});

/** Two channels and three classes by either protocol, in patches as small as its network takes. */
const SEVERAL = { channels: 2, channelNames: ["a", "b"], classes: 3, classNames: ["c", "d"] };
const PROFILES: Record<string, DatasetProfile> = {
  volumes: { ...LA, ...SEVERAL, patch: [16, 16, 16] },
  slices: { ...ACDC, ...SEVERAL, patch: [32, 32], labeledPerBatch: 2, unlabeledPerBatch: 2 },
};

for (const name of METHOD_NAMES) {
  for (const [what, several] of Object.entries(PROFILES)) {
    Deno.test(`${name}: a step on ${what} of two channels and three classes is finite and teaches both and all`, () => {
      const method = createMethod(METHODS[name], several),
        { profile, spec } = method,
        { patch, channels, classes } = profile;
      const { labeled, unlabeled } = batchRows(method), shape = [labeled, ...patch];
      const rows = labeled + unlabeled, size = sizeOf(patch);
      const labels = new Int32Array(labeled * size), random = stream(5, "images");
      const image = Float32Array.from({ length: channels * rows * size }, (_, i) => {
        const voxel = Math.floor(i / channels), c = Math.floor(classes * (voxel % 16) / 16); // slabs
        if (voxel < labels.length) labels[voxel] = c;
        return (i % channels ? 1 : c) + random() - 0.5;
      });
      const state = startState(method, stream(1, "weights"));
      const pseudo = method.hostWork && { pseudo_label: { data: labels, shape: [unlabeled, ...patch] } };
      tf.engine().startScope();
      const { losses, gradients } = method.step({
        ...state,
        x: tf.tensor(image, [rows, ...patch, channels]),
        label: tf.tensor(labels, shape, "int32"),
        seed: tf.tensor1d([3, 1], "int32"),
        consistencyWeight: tf.scalar(0.7),
        scheduled: Object.fromEntries(
          Object.entries(method.scheduled?.(0, 0.5) ?? {}).map(([key, value]) => [key, tf.scalar(value)]),
        ),
        targets: toTensors({ ...method.targets?.(labels, shape), ...pseudo }),
      });
      for (const [key, loss] of Object.entries(losses)) assert.ok(Number.isFinite(loss.dataSync()[0]), key);
      gradients.forEach((gradient, i) => {
        if (!gradient) return;
        const values = gradient.dataSync(), { name } = spec.parameters[i];
        assert.ok(values.every(Number.isFinite), name);
        // The first convolution's filters by channel, and a head's by class: each is pulled somewhere.
        const parts = i === 0 ? channels : name.endsWith("bias") && values.length === classes ? classes : 0;
        const inOrder = i === 0 ? tf.unstack(gradient, -2).map((part) => part.dataSync()) : [...values].map((v) => [v]);
        for (let part = 0; part < parts; part++) {
          assert.ok(Array.from(inOrder[part]).some((value) => value !== 0), `${name}, ${part}`);
        }
      });
      tf.engine().endScope();
    });
  }
}
