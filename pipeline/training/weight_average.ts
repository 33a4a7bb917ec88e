/**
 * The moving average of a training's weights, which a short training tests instead of its last ones: what the last steps
 * add by chance averages out.
 *
 * Paper: Polyak & Juditsky 1992 (averages of SGD's iterates).
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { NetworkParameters } from "../evaluation/inference.ts";
import { type StateDict, toWeights, type Weights } from "../networks/parameters.ts";
import type { Scalar } from "../tensorflow/tensors.ts";
import type { Method } from "../methods/method.ts";
import { EMA_DECAY, prefixed, unprefixed, updateTeacher } from "../methods/teacher.ts";
import { sizeOf } from "../arrays/shape.ts";

const PREFIX = "average.", UPDATES = "average_updates";

/** What stands in front of the first update, which does not look at it. */
function nothingYet({ parameters, buffers }: Method["spec"]): Weights {
  const zeros: StateDict = {};
  for (const { name, shape } of [...parameters, ...buffers]) {
    zeros[name] = new Float32Array(sizeOf(shape));
  }
  const { weights, buffers: statistics } = toWeights({ parameters, buffers }, zeros);
  return { ...prefixed(PREFIX, { ...weights, ...statistics }), [UPDATES]: tf.scalar(0) };
}

/** A method's average, and what the method itself remembers. */
function apart(methodState: Weights): { average: Weights; own: Weights } {
  const entries = Object.entries(methodState), isAverage = ([name]: [string, unknown]) => name.startsWith(PREFIX);
  return {
    average: Object.fromEntries(entries.filter(isAverage).map(([name, tensor]) => [name.slice(PREFIX.length), tensor])),
    own: Object.fromEntries(entries.filter((entry) => !isAverage(entry) && entry[0] !== UPDATES)),
  };
}

/**
 * A method that also remembers the average of its weights and running statistics: after update k = 0, 1, ...
 * `average ← a average + (1 - a) weights`, `a = min(k / (k + 9), 0.99)`: over the last tenth of the updates at first, over the
 * last hundred in the end. The training itself stays as it is.
 */
export function withEma(method: Method): Method {
  return {
    ...method,
    methodState: (random) => ({ ...method.methodState(random), ...nothingYet(method.spec) }),
    step(inputs) {
      const outputs = method.step({ ...inputs, methodState: apart(inputs.methodState).own });
      return { ...outputs, methodState: { ...inputs.methodState, ...outputs.methodState } };
    },
    afterUpdate(inputs) {
      const { weights, buffers, methodState } = inputs, { average, own } = apart(methodState);
      const later = method.afterUpdate?.({ ...inputs, methodState: own }), updates = methodState[UPDATES] as Scalar;
      const decay = tf.minimum(tf.div(updates, tf.add(updates, 9)), EMA_DECAY) as Scalar;
      const moved = prefixed(PREFIX, updateTeacher(average, { ...weights, ...buffers }, decay));
      const all = { ...later?.methodState ?? own, ...moved, [UPDATES]: tf.add(updates, 1) };
      return { losses: later?.losses ?? {}, methodState: all };
    },
  };
}

/** The average in the state of a {@linkcode withEma} method, as it is now; before the first update the state's own weights. */
export function readAverage(
  spec: Method["spec"],
  state: NetworkParameters & { methodState: Weights },
): NetworkParameters {
  return state.methodState[UPDATES].dataSync()[0] ? unprefixed(PREFIX, spec, state.methodState) : state;
}
