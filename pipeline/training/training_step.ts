/**
 * A method's step and the optimizer as one traced function: SGD with momentum and weight decay,
 * `v = 0.9 v + g + 1e-4 p; p = p - rate v`, on every parameter that has had a gradient at least once. What it gives is
 * checked: a step whose numbers are not all finite changes nothing.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { DivergedError } from "../files/errors.ts";
import { listed } from "../files/words.ts";
import type { HostArray, Method, StepInputs } from "../methods/method.ts";
import { initialize, type StateDict, toWeights, type Weights } from "../networks/parameters.ts";
import type { OperationTime } from "../tensorflow/operation_times.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { trace } from "../tensorflow/trace.ts";
import { elementwise, flat } from "../tensorflow/ops.ts";
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
 * @param batch Rows `[B, ..., C]`, labels of the first ones, and what the method makes of these on the host.
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
  const next = { weights: { ...weights }, momentum: { ...momentum } };
  const everHadGradient = tf.maximum(hadGradient, tf.stack(took)) as Tensor1D;
  // A parameter without a gradient can never have one: its method gives none.
  const part = (name: string) => name.slice(0, name.indexOf("."));
  const groups = Object.groupBy(
    names.keys().filter((i) => gradients[i]),
    (i) => participation[part(names[i])] ? part(names[i]) : "always",
  );
  for (const [key, at = []] of Object.entries(groups)) {
    const of = (tensors: Weights) => at.map((i) => tensors[names[i]]);
    const [moved, updated] = elementwise([of(weights), of(momentum), at.map((i) => gradients[i]!)], (w, v, g) => {
      const sum = tf.add(tf.mul(v, MOMENTUM), tf.add(g, tf.mul(w, WEIGHT_DECAY)));
      const next = key === "always" ? sum : tf.mul(sum, tf.reshape(tf.slice(everHadGradient, at[0], 1), []));
      return [next, tf.sub(w, tf.mul(next, learningRate))];
    });
    at.forEach((i, k) => {
      next.momentum[names[i]] = moved[k];
      next.weights[names[i]] = updated[k];
    });
  }
  return { ...next, hadGradient: everHadGradient };
}

/** A step that was computed and not taken: of what it gives something is NaN or infinite. */
export class DivergedStep extends DivergedError {
  /** What stands in front of the message where it is printed with its stack. */
  override name = "DivergedStep";
  /** The losses of the step, as the log takes them. */
  readonly losses: Record<string, number>;

  /** Names the culprits. @param culprits What is not finite, in words: losses, then gradients, statistics, the method's state. */
  constructor(culprits: string[], losses: Record<string, number>) {
    super(`not finite: ${listed(culprits)}`);
    this.losses = losses;
  }
}

/**
 * What a step must give as finite numbers, by its name in words. Momentum stands for gradients and weights: it takes each
 * gradient, was finite before, and the weights take it. Gradients come from the loss backwards, as what is not finite spreads.
 */
function checkedNumbers(losses: Weights, { momentum, buffers, methodState }: TrainingState) {
  const groups = {
    loss: losses,
    "gradient of": Object.fromEntries(Object.entries(momentum).reverse()),
    "running statistic": buffers,
    "state of the method": methodState,
  };
  return Object.entries(groups).flatMap(([words, tensors]) =>
    Object.entries(tensors).map(([name, tensor]): [string, Tensor] => [`${words} ${name}`, tensor])
  );
}

/** A traced training step. */
export interface TrainingStep {
  /**
   * The losses of one step; the state's tensors are replaced and the old ones disposed. Rejects with {@linkcode DivergedStep}
   * where something in it is not finite: the state is then as it was.
   */
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
    const all = { ...losses, ...later?.losses } as Record<string, Scalar>;
    const isFinite = tf.all(tf.isFinite(flat(checkedNumbers(all, next).map(([, tensor]) => tensor))));
    return { losses: all, next, isFinite };
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
    const { losses, next, isFinite } = await traced(state, withTargets(batch, made));
    const [goesOn] = isFinite.dataSync();
    tf.dispose([made, isFinite]);
    if (!goesOn) {
      const numbers = checkedNumbers(losses, next);
      const culprits = numbers.filter(([, tensor]) => !tensor.dataSync().every(Number.isFinite)).map(([name]) => name);
      const values = Object.entries(losses).map(([name, loss]) => [name, loss.dataSync()[0]]);
      tf.dispose([losses, next] as unknown as tf.TensorContainer);
      throw new DivergedStep(culprits, Object.fromEntries(values));
    }
    const old = { ...state };
    Object.assign(state, next);
    tf.dispose(old as unknown as tf.TensorContainer);
    return losses;
  };
  return Object.assign(step, { profile });
}
