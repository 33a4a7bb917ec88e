/**
 * A method's step and the optimiser as one traced function: SGD with momentum and weight decay,
 * `v = 0.9 v + g + 1e-4 p; p = p - rate v`, on every parameter that has had a gradient at least once.
 * @module
 */
import type { Method } from "../methods/method.ts";
import { initialize, toWeights, type Weights } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { type Precision, trace } from "../tensorflow/trace.ts";

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
  memory: Weights;
  /** Per parameter 1 once it has had a gradient `[P]`. */
  touched: Tensor1D;
}

/** The state before the first step. @param random Uniform in [0, 1), for the weights. */
export function startState(method: Method, random: () => number): TrainingState {
  const { tf } = openTensorFlow(), { spec } = method;
  const { weights, buffers } = toWeights(spec, initialize(spec, random));
  const zeros = (shapes: [string, number[]][]) =>
    Object.fromEntries(shapes.map(([name, shape]) => [name, tf.zeros(shape)]));
  return {
    weights,
    buffers,
    momentum: zeros(Object.entries(weights).map(([name, weight]) => [name, weight.shape])),
    memory: zeros(Object.entries(method.memory)),
    touched: tf.zeros([spec.parameters.length]) as Tensor1D,
  };
}

/** What changes from iteration to iteration. */
export interface Batch {
  /** Labeled rows first `[B, ..., 1]`. */
  x: Tensor;
  /** int32 `[L, ...]`. */
  label: Tensor;
  /** int32 `[2]` */
  seed: Tensor1D;
  /** Weight w of the unsupervised terms. */
  consistencyWeight: Scalar;
  /** Learning rate. */
  rate: Scalar;
}

/**
 * `state` after one update: `v = 0.9 v + g + 1e-4 p; p = p - rate v` for every parameter that has had a gradient at least
 * once, a gradient that is absent this time counting as 0; nothing for the others. Pure.
 *
 * @param options `gradients` in the order of the weights, null where a method never gives one; `participation` as a
 * method's step gives it.
 */
export function updateParameters(
  { weights, momentum, touched }: TrainingState,
  { gradients, participation, rate }: {
    gradients: (Tensor | null)[];
    participation: Record<string, Scalar>;
    rate: Scalar;
  },
): Pick<TrainingState, "weights" | "momentum" | "touched"> {
  const { tf } = openTensorFlow();
  const names = Object.keys(weights);
  const took = names.map((name, i) =>
    gradients[i] ? participation[name.slice(0, name.indexOf("."))] ?? tf.scalar(1) : tf.scalar(0)
  );
  const next = { weights: {} as Weights, momentum: {} as Weights };
  const nowTouched = tf.maximum(touched, tf.stack(took)) as Tensor1D;
  names.forEach((name, i) => {
    next.weights[name] = weights[name];
    next.momentum[name] = momentum[name];
    if (!gradients[i]) return; // such a parameter can never have one: its method gives none
    const decayed = tf.add(gradients[i]!, tf.mul(weights[name], WEIGHT_DECAY));
    const moved = tf.add(tf.mul(momentum[name], MOMENTUM), decayed);
    const conditional = participation[name.slice(0, name.indexOf("."))] !== undefined;
    next.momentum[name] = conditional ? tf.mul(moved, tf.reshape(tf.slice(nowTouched, i, 1), [])) : moved;
    next.weights[name] = tf.sub(weights[name], tf.mul(next.momentum[name], rate));
  });
  return { ...next, touched: nowTouched };
}

/** The losses of one step; the state's tensors are replaced and the old ones disposed. */
export type TrainingStep = (state: TrainingState, batch: Batch) => Promise<Record<string, Scalar>>;

const GROUPS = ["weights", "momentum", "buffers", "memory"] as const;

/**
 * Traces `method` with its update: one TensorFlow call per iteration. The first call takes the trace with it.
 * @param precision Of the convolutions.
 */
export function trainingStep(method: Method, precision: Precision): TrainingStep {
  let lossNames: string[] = [];
  const pack = (state: TrainingState) => [...GROUPS.flatMap((group) => Object.values(state[group])), state.touched];
  const unpack = (like: TrainingState, tensors: Tensor[]): TrainingState => {
    const rest = [...tensors];
    const groups = GROUPS.map((group) => [
      group,
      Object.fromEntries(Object.keys(like[group]).map((name) => [name, rest.shift()!])),
    ]);
    return { ...Object.fromEntries(groups), touched: rest.shift() as Tensor1D };
  };
  let current!: TrainingState; // gives the names while the function is traced
  const traced = trace(function trainingStep(...tensors: Tensor[]) {
    const [x, label, seed, consistencyWeight, rate] = tensors.slice(0, 5);
    const state = unpack(current, tensors.slice(5));
    // deno-lint-ignore no-explicit-any
    const inputs = { ...state, x, label, seed, consistencyWeight } as any;
    const { losses, gradients, participation, buffers, memory } = method.step(inputs);
    const updated = updateParameters(state, { gradients, participation, rate: rate as Scalar });
    lossNames = Object.keys(losses);
    return [...Object.values(losses), ...pack({ ...updated, buffers, memory })];
  }, precision);
  return async (state, { x, label, seed, consistencyWeight, rate }) => {
    current = state;
    const old = pack(state);
    const results = await traced(x, label, seed, consistencyWeight, rate, ...old);
    const count = results.length - old.length;
    Object.assign(state, unpack(state, results.slice(count)));
    old.forEach((tensor) => tensor.dispose());
    return Object.fromEntries(lossNames.map((name, i) => [name, results[i] as Scalar]));
  };
}
