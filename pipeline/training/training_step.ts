/**
 * A method's step and the optimizer as one traced function: SGD with momentum and weight decay,
 * `v = 0.9 v + g + 1e-4 p; p = p - rate v`, on every parameter that has had a gradient at least once.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { HostArray, Method, StepInputs } from "../methods/method.ts";
import { initialize, type StateDict, toWeights, type Weights } from "../networks/parameters.ts";
import type { OperationTime } from "../tensorflow/operation_times.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { trace } from "../tensorflow/trace.ts";
import type { Precision } from "../tensorflow/precision.ts";

const MOMENTUM = 0.9, WEIGHT_DECAY = 1e-4;

/** Everything that a step changes; tensors in TensorFlow's layout. */
export interface TrainingState {
  /** Every parameter. */
  weights: Weights;
  /** SGD's velocity v, of the weights' names and shapes. */
  momentum: Weights;
  /** Running statistics. */
  buffers: Weights;
  /** The method's own state. */
  methodState: Weights;
  /** A 1 per parameter `[P]` once it has had a gradient. */
  hadGradient: Tensor1D;
}

/**
 * The state before the first step.
 * @param random Uniform in [0, 1), for the weights and then for the method's own state.
 * @param initial Arrays that do not begin at random: those of other weights.
 */
export function startState(method: Method, random: () => number, initial: StateDict = {}): TrainingState {
  const { spec } = method;
  const { weights, buffers } = toWeights(spec, { ...initialize(spec, random), ...initial });
  const zeros = (shapes: [string, number[]][]) =>
    Object.fromEntries(shapes.map(([name, shape]) => [name, tf.zeros(shape)]));
  return {
    weights,
    buffers,
    momentum: zeros(Object.entries(weights).map(([name, weight]) => [name, weight.shape])),
    methodState: method.methodState(random),
    hadGradient: tf.zeros([spec.parameters.length]) as Tensor1D,
  };
}

/** Replaces what a method wants to begin anew when its warm-up is over; nothing where it says nothing. */
export function beginAnew(method: Method, state: TrainingState): void {
  const { methodState, momentum } = method.begin?.(state) ?? {};
  for (const [name, tensor] of Object.entries(methodState ?? {})) {
    state.methodState[name].dispose();
    state.methodState[name] = tensor;
  }
  for (const [name, tensor] of momentum === "zeros" ? Object.entries(state.momentum) : []) {
    tensor.dispose();
    state.momentum[name] = tf.zeros(tensor.shape);
  }
}

/** What a training step reads beside its state: it changes from iteration to iteration. */
export interface Batch extends Omit<StepInputs, "weights" | "buffers" | "methodState"> {
  /** Learning rate. */
  learningRate: Scalar;
}

/** Numbers as scalars; the caller disposes them. */
export function toScalars(numbers: Record<string, number>): Record<string, Scalar> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, tf.scalar(value) as Scalar]));
}

/** A host's arrays as tensors; the caller disposes them. */
export function toTensors(arrays: Record<string, HostArray>): Record<string, Tensor> {
  const entries = Object.entries(arrays).map(([name, { data, shape }]) => [
    name,
    tf.tensor(data, shape, data instanceof Int32Array ? "int32" : "float32"),
  ]);
  return Object.fromEntries(entries);
}

/**
 * A batch of arrays as tensors; the caller disposes them.
 * @param batch Rows `[B, ...]` of one channel, labels of the first ones, and what the method makes of these on the host.
 * @param at Where the training stands: `seed` is the stream's and the iteration's number.
 */
export function toBatch(
  { image, label, shape, labelShape, targets }: {
    image: Float32Array;
    label: Int32Array;
    shape: number[];
    labelShape: number[];
    targets: Record<string, HostArray>;
  },
  { seed, weight, learningRate, scheduled }: {
    seed: [number, number];
    weight: number;
    learningRate: number;
    scheduled: Record<string, number>;
  },
): Batch {
  return {
    x: tf.tensor(image, shape),
    label: tf.tensor(label, labelShape, "int32"),
    seed: tf.tensor1d(seed, "int32"),
    consistencyWeight: tf.scalar(weight),
    learningRate: tf.scalar(learningRate),
    scheduled: toScalars(scheduled),
    targets: toTensors(targets),
  };
}

/**
 * `state` after one update: `v = 0.9 v + g + 1e-4 p; p = p - rate v` for every parameter that has had a gradient at least
 * once, a gradient that is absent this time counting as 0; nothing for the others. Pure.
 *
 * @param options `gradients` in the order of the weights, null where a method never gives one; `participation` as a
 * method's step gives it.
 */
export function updateParameters(
  { weights, momentum, hadGradient }: TrainingState,
  { gradients, participation, learningRate }: {
    gradients: (Tensor | null)[];
    participation: Record<string, Scalar>;
    learningRate: Scalar;
  },
): Pick<TrainingState, "weights" | "momentum" | "hadGradient"> {
  const names = Object.keys(weights);
  const took = names.map((name, i) =>
    gradients[i] ? participation[name.slice(0, name.indexOf("."))] ?? tf.scalar(1) : tf.scalar(0)
  );
  const next = { weights: {} as Weights, momentum: {} as Weights };
  const everHadGradient = tf.maximum(hadGradient, tf.stack(took)) as Tensor1D;
  names.forEach((name, i) => {
    next.weights[name] = weights[name];
    next.momentum[name] = momentum[name];
    if (!gradients[i]) return; // such a parameter can never have one: its method gives none
    const decayed = tf.add(gradients[i]!, tf.mul(weights[name], WEIGHT_DECAY));
    const moved = tf.add(tf.mul(momentum[name], MOMENTUM), decayed);
    const conditional = participation[name.slice(0, name.indexOf("."))] !== undefined;
    next.momentum[name] = conditional ? tf.mul(moved, tf.reshape(tf.slice(everHadGradient, i, 1), [])) : moved;
    next.weights[name] = tf.sub(weights[name], tf.mul(next.momentum[name], learningRate));
  });
  return { ...next, hadGradient: everHadGradient };
}

/** A traced training step. */
export interface TrainingStep {
  /** The losses of one step; the state's tensors are replaced and the old ones disposed. */
  (state: TrainingState, batch: Batch): Promise<Record<string, Scalar>>;
  /** Times of the operations of one step, which leaves the state as it is. */
  profile(state: TrainingState, batch: Batch): Promise<OperationTime[]>;
}

/**
 * Traces `method` with its update: one TensorFlow call per iteration, two where the host works in between. The first call
 * takes the trace with it.
 * @param precision Of the convolutions.
 */
export function trainingStep(method: Method, precision: Precision): TrainingStep {
  const traced = trace(function trainingStep(state: TrainingState, batch: Batch) {
    const inputs = { ...state, ...batch };
    const { losses, gradients, participation, buffers, methodState } = method.step(inputs);
    const updated = {
      ...updateParameters(state, { gradients, participation, learningRate: batch.learningRate }),
      buffers,
      methodState,
    };
    const later = method.afterUpdate?.({ ...inputs, ...updated });
    const next: TrainingState = { ...updated, methodState: later?.methodState ?? methodState };
    return { losses: { ...losses, ...later?.losses } as Record<string, Scalar>, next };
  }, precision);
  const read = method.hostWork && trace(function hostWork(state: TrainingState, batch: Batch) {
    return method.hostWork!.read({ ...state, ...batch });
  }, precision);
  /** What the host makes of the first function's values. */
  const hostTargets = async (run: NonNullable<typeof read>, state: TrainingState, batch: Batch) => {
    const result = await run(state, batch);
    const made = toTensors(method.hostWork!.work(result.dataSync() as Int32Array, result.shape));
    result.dispose();
    return made;
  };
  const withTargets = (batch: Batch, made: Record<string, Tensor>): Batch => ({
    ...batch,
    targets: { ...batch.targets, ...made },
  });
  const profile = async (state: TrainingState, batch: Batch) => {
    const made = read ? await hostTargets(read, state, batch) : {};
    const times = await traced.profile(state, withTargets(batch, made));
    tf.dispose(made);
    return times;
  };
  const step = async (state: TrainingState, batch: Batch) => {
    // Without host work nothing is awaited before TensorFlow has the call: the caller works beside it.
    const made = read ? await hostTargets(read, state, batch) : {};
    const old = [{ ...state }, made], { losses, next } = await traced(state, withTargets(batch, made));
    Object.assign(state, next);
    tf.dispose(old as tf.TensorContainer);
    return losses;
  };
  return Object.assign(step, { profile });
}
