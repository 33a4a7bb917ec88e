/**
 * The teacher of mean-teacher methods (Tarvainen & Valpola 2017): an exponential moving average of the student's weights.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { Pass } from "../networks/layers.ts";
import type { NetworkSpec, Weights } from "../networks/parameters.ts";
import type { Forward } from "../networks/scope.ts";
import { elementwise, foldIn, softmax, statelessNormal } from "../tensorflow/ops.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import type { StepInputs } from "./method.ts";

/** What the teacher keeps of itself in an iteration, once it is warm. */
export const EMA_DECAY = 0.99;

/**
 * UA-MT's decay, which warms up: `a(k) = min(1 - 1 / (k + 1), 0.99)`. At k = 0 it is 0: the teacher becomes the student.
 * @param step k: updates made so far.
 */
export function emaDecay(step: number): number {
  return Math.min(1 - 1 / (step + 1), EMA_DECAY);
}

/**
 * `teacher ← a teacher + (1 - a) student`, of every weight of the teacher by its name.
 * @param decay a. UA-MT: of {@linkcode emaDecay}; BCP: {@linkcode EMA_DECAY} throughout.
 *
 * @example The first update copies the student, the second gives the mean of two
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { emaDecay, updateTeacher } from "@ssnet/pipeline/methods/teacher.ts";
 * import { type Weights } from "@ssnet/pipeline/networks/parameters.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * let teacher: Weights = { w: tf.zeros([1]) };
 * [4, 6].forEach((w, k) => teacher = updateTeacher(teacher, { w: tf.tensor1d([w]) }, tf.scalar(emaDecay(k))));
 * assert.equal(teacher.w.dataSync()[0], 5);
 * ```
 */
export function updateTeacher(teacher: Weights, student: Weights, decay: Scalar): Weights {
  const rest = tf.sub(1, decay), names = Object.keys(teacher);
  const [moved] = elementwise(
    [names.map((name) => teacher[name]), names.map((name) => student[name])],
    (teacher, student) => [tf.add(tf.mul(teacher, decay), tf.mul(student, rest))],
  );
  return Object.fromEntries(names.map((name, i) => [name, moved[i]]));
}

const PREFIX = "teacher.";

/** Tensors under longer names. */
export function prefixed(prefix: string, tensors: Weights): Weights {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]));
}

/** A network's parameters and running statistics among tensors of {@linkcode prefixed} names. */
export function unprefixed(
  prefix: string,
  { parameters, buffers }: NetworkSpec,
  tensors: Weights,
): { weights: Weights; buffers: Weights } {
  const of = (list: { name: string }[]): Weights =>
    Object.fromEntries(list.map(({ name }) => [name, tensors[prefix + name]]));
  return { weights: of(parameters), buffers: of(buffers) };
}

/** A teacher in a method's state, parameters and, where it has any, running statistics behind "teacher.". */
export function rememberTeacher({ weights, buffers = {} }: { weights: Weights; buffers?: Weights }): Weights {
  return prefixed(PREFIX, { ...weights, ...buffers });
}

/** The teacher that {@linkcode rememberTeacher} put away. `buffers` is a copy that a training pass may move. */
export function recallTeacher(spec: NetworkSpec, methodState: Weights): { weights: Weights; buffers: Weights } {
  return unprefixed(PREFIX, spec, methodState);
}

/** A teacher that is the student as it is now, in a method's state. */
export function rememberStudent(student: { weights: Weights; buffers?: Weights }): Weights {
  return Object.fromEntries(Object.entries(rememberTeacher(student)).map(([name, tensor]) => [name, tensor.clone()]));
}

/**
 * The method's state when the teacher has followed the student by `teacher_decay`: parameters alone, its running statistics
 * are those of its own passes.
 */
export function followStudent(spec: NetworkSpec, { weights, methodState, scheduled }: StepInputs): Weights {
  const teacher = recallTeacher(spec, methodState);
  return rememberTeacher({ ...teacher, weights: updateTeacher(teacher.weights, weights, scheduled.teacher_decay) });
}

const NOISE = 0.1, NOISE_LIMIT = 0.2;

/**
 * What a teacher says of images `x + n`, n of `clip(N(0, 0.1²), -0.2, 0.2)`: its probabilities `[B, ..., K]`, by the batch's
 * statistics, with dropout. The running ones of the teacher, {@linkcode recallTeacher}'s copy, move.
 * @param x `[B, ..., 1]` @param seed int32 `[2]`
 */
export function teach(
  forward: Forward,
  { weights, buffers }: ReturnType<typeof recallTeacher>,
  { x, seed }: { x: Tensor; seed: Tensor1D },
): Tensor {
  const normal = statelessNormal(x.shape, foldIn(seed, "noise"));
  const noise = tf.clipByValue(tf.mul(normal, NOISE), -NOISE_LIMIT, NOISE_LIMIT);
  const training = { training: true, updateStatistics: true, dropoutSeed: foldIn(seed, "dropout") };
  return softmax(forward(new Pass(weights, buffers, training), tf.add(x, noise)).logits);
}
