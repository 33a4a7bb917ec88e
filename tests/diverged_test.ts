/** Numbers that are none in a training step: named, and nothing of the step is taken. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { createMethod, type Method, type StepInputs } from "../pipeline/methods/method.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { stream } from "../pipeline/arrays/random.ts";
import {
  type Batch,
  DivergedStep,
  startState,
  type TrainingState,
  trainingStep,
} from "../pipeline/training/training_step.ts";
import { withEma } from "../pipeline/training/weight_average.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import type { Scalar } from "../pipeline/tensorflow/tensors.ts";
import { tensorsOf } from "../pipeline/tensorflow/tree.ts";

openTensorFlow();

/** Slices of noise, or of one value, the first half labeled by stripes. */
function batch(iteration: number, value?: number): Batch {
  const random = stream(3, "batch", iteration);
  return {
    x: tf.tensor(Float32Array.from({ length: 4 * 1024 }, () => value ?? random() - 0.5), [4, 32, 32, 1]),
    label: tf.tensor(Int32Array.from({ length: 2 * 1024 }, (_, i) => i % 4), [2, 32, 32], "int32"),
    seed: tf.tensor1d([9, iteration], "int32"),
    consistencyWeight: tf.scalar(1),
    learningRate: tf.scalar(0.01),
    scheduled: {},
    targets: {},
  };
}
const bitsOf = (state: TrainingState) => tensorsOf({ ...state }).map((tensor) => tensor.dataSync().slice());
const isEqual = (a: ReturnType<typeof bitsOf>, b: typeof a) =>
  a.every((values, i) => values.every((v, j) => v === b[i][j]));

Deno.test("a step of what is not finite names it, changes nothing and leaks nothing; the next one draws as ever", async () => {
  const method = withEma(createMethod(METHODS.ssnet, ACDC)), step = trainingStep(method, "fp32");
  const [left, never] = [1, 2].map(() => startState(method, stream(1, "weights")));
  for (const state of [left, never]) await step(state, batch(1));
  const wrong: [number, RegExp][] = [
    [NaN, /^not finite: loss total, .* and \d+ more$/],
    [1e30, /running statistic encoder\.in_conv\.conv_conv\.1\.running_var/], // its square is no float32
  ];
  for (const [value, message] of wrong) {
    const before = bitsOf(left), inputs = batch(2, value), tensors = tf.memory().numTensors;
    await assert.rejects(step(left, inputs), (error) => error instanceof DivergedStep && message.test(error.message));
    assert.equal(tf.memory().numTensors, tensors);
    assert.ok(isEqual(bitsOf(left), before));
  }
  for (const state of [left, never]) await step(state, batch(3));
  assert.ok(isEqual(bitsOf(left), bitsOf(never)));
});

/** A method of one parameter and one running statistic, whose step gives what a test wants. */
function toy(outputs: (w: tf.Tensor) => { gradient: number; statistic: number; state: number }): Method {
  const { profile } = createMethod(METHODS.supervised, ACDC);
  return {
    profile,
    spec: {
      parameters: [{ name: "head.weight", shape: [1, 1], kind: "linear", fanIn: 1 }],
      buffers: [{ name: "norm.running_mean", shape: [1], kind: "running_mean" }],
    },
    usesUnlabeled: false,
    methodState: () => ({ memory: tf.zeros([1]) }),
    step({ weights }: StepInputs) {
      const { gradient, statistic, state } = outputs(weights["head.weight"]), total = tf.scalar(0.5) as Scalar;
      return {
        losses: { total, supervised: total },
        gradients: [tf.fill([1, 1], gradient)],
        participation: {},
        buffers: { "norm.running_mean": tf.fill([1], statistic) },
        methodState: { memory: tf.fill([1], state) },
      };
    },
  };
}

Deno.test("behind a finite loss a gradient, a running statistic or a state that is not finite is the culprit", async () => {
  const good = { gradient: 1, statistic: 1, state: 1 };
  const cases: [Partial<typeof good>, RegExp][] = [
    [{ gradient: Infinity }, /^not finite: gradient of head\.weight$/],
    [{ gradient: NaN }, /^not finite: gradient of head\.weight$/],
    [{ statistic: -Infinity }, /^not finite: running statistic norm\.running_mean$/],
    [{ state: NaN }, /^not finite: state of the method memory$/],
  ];
  for (const [wrong, message] of cases) {
    const method = toy(() => ({ ...good, ...wrong })), state = startState(method, stream(1, "weights"));
    await assert.rejects(trainingStep(method, "fp32")(state, batch(1)), { name: "DivergedStep", message });
  }
  const method = toy(() => good);
  await trainingStep(method, "fp32")(startState(method, stream(1, "weights")), batch(1));
});
