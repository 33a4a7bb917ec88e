/**
 * SS-Net's heads on feature rows: projection, prediction, and per class a selector for features and one for the bank.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { hiddenMoments, type Moments, twoLayers } from "../tensorflow/rows.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { Linear, Scope } from "./scope.ts";

/** Width of the projected features. */
export const PROJECTED = 32;
/** Slopes of the rectifiers below 0: none of the projection and the prediction, this one of the selectors. */
const SELECTOR_SLOPE = 0.2;

/** A head whose batch norm is settled: a function of single rows, `[N, F]` to `[N, outputs]`. */
export interface Head {
  (x: Tensor2D): Tensor2D;
  /** Its first layer with the batch norm. */
  first: Linear;
  /** Its last layer. */
  last: Linear;
}

/** Which rows a selector judges. */
export interface Selection {
  /** The owner of the selector: the features or the bank. */
  of: "features" | "bank";
  /** The class, from 1 on: the background has no selector that runs. */
  classIndex: number;
  /** Moments of the rows that the batch norm takes as its batch. */
  batch: Moments;
  /** 1 when the selector really runs: its running statistics then move. */
  active: Scalar;
}

/** The heads in one pass. */
export interface Heads {
  /**
   * The projection head, `[N, F]` to `[N, 32]`.
   * @param batch Moments of the features; null takes the running statistics.
   */
  projection(batch: Moments | null): Head;
  /**
   * The prediction head, `[N, 32]` to `[N, 32]`.
   * @param batch Moments of the projected features.
   */
  prediction(batch: Moments): Head;
  /** Scores in (0, 1) of a class's selector in training mode, `[N, 32]` to `[N, 1]`. */
  select(x: Tensor2D, selection: Selection): Tensor2D;
  /**
   * Ones for the scores of `select`, `[N, 1]`: the selector runs, so its running statistics move, and nothing reads it. Its
   * gradient is zero, which is more than none: its parameters decay.
   */
  runUnread(x: Tensor2D, selection: Selection): Tensor2D;
}

/**
 * The heads, in the order of the authors' `state_dict`: `projection_head` (F to 32 to 32), `prediction_head` (32 to 32 to
 * 32), then a selector (32 to 32 to 1) of each class for features and for the bank.
 * @param options `features`: F, the width of the network's features.
 */
export function heads(
  at: Scope,
  { classes, features }: { classes: number; features: number },
): (pass: Pass) => Heads {
  const head = (name: string, inputs: number, outputs: number, slope: number) => {
    const own = at.in(name);
    const first = own.linearNorm(["0", "1"], { in: inputs, out: PROJECTED });
    const last = own.linear("3", { in: PROJECTED, out: outputs });
    const run = (pass: Pass, batch: Moments | null, active?: Scalar): Head => {
      const layers = { first: first(pass, batch, active), last: last(pass) };
      const apply = (x: Tensor2D) => twoLayers(x, { first: layers.first, second: layers.last, slope });
      return Object.assign(apply, layers);
    };
    return { run, prefix: own.prefix };
  };
  const selectors = (memory: string) =>
    Array.from(
      { length: classes },
      (_, c) => head(`contrastive_class_selector_${memory}${c}`, PROJECTED, 1, SELECTOR_SLOPE),
    );
  const project = head("projection_head", features, PROJECTED, 0);
  const predict = head("prediction_head", PROJECTED, PROJECTED, 0);
  const selectorsOf = { features: selectors(""), bank: selectors("memory") };
  return (pass) => {
    const selector = ({ of, classIndex, batch, active }: Selection) =>
      selectorsOf[of][classIndex].run(pass, batch, active);
    return {
      projection: (batch) => project.run(pass, batch),
      prediction: (batch) => predict.run(pass, batch),
      select: (x, selection) => tf.sigmoid(selector(selection)(x)),
      runUnread(x, selection) {
        selector(selection);
        const { prefix } = selectorsOf[selection.of][selection.classIndex];
        const names = Object.keys(pass.weights).filter((name) => name.startsWith(prefix));
        // deno-lint-ignore no-explicit-any
        const op = tf.customGrad((...inputs: any[]) => {
          const [x, ...parameters] = inputs.slice(0, -1), save = inputs.at(-1);
          save([x, ...parameters]);
          return {
            value: tf.onesLike(tf.sum(x, 1, true)),
            gradFunc: (_: Tensor, saved: Tensor[]) => saved.map((tensor) => tf.zerosLike(tensor)),
          };
        });
        return op(x, ...names.map((name) => pass.weights[name])) as Tensor2D;
      },
    };
  };
}

/** Moments of the projected features of a whole batch; the projection's last layer is linear. */
export function projectedMoments(
  { features, project, count }: { features: Tensor2D; project: Head; count: Scalar },
): Moments {
  const { mean, covariance } = hiddenMoments(features, { ...project.first, count }), { weight, bias } = project.last;
  return {
    mean: tf.add(tf.reshape(tf.matMul(tf.expandDims(mean, 0), weight), [-1]), bias) as Tensor1D,
    covariance: tf.matMul(weight, tf.matMul(covariance, weight), true),
    count,
  };
}
