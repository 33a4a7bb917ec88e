/**
 * SS-Net's heads on feature rows: projection, prediction, and per class a selector for features and one for the bank.
 * @module
 */
import { openTensorFlow } from "../tensorflow/device.ts";
import { hiddenMoments, type Linear, type Moments, twoLayers } from "../tensorflow/rows.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "../tensorflow/tensors.ts";
import type { Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

/** Width of the projected features. */
export const PROJECTED = 32;
const FEATURES = 16, SELECTOR_SLOPE = 0.2;

/**
 * Adds the parameters of the heads, in the order of the authors' `state_dict`: `projection_head` (16 to 32 to 32),
 * `prediction_head` (32 to 32 to 32), then a selector (32 to 32 to 1) of each class for features and for the bank.
 */
export function headsSpec(builder: SpecBuilder, { classes }: { classes: number }): SpecBuilder {
  const head = (name: string, inputs: number, outputs: number) =>
    builder.layer("linear", `${name}.0`, [PROJECTED, inputs]).batchNorm(`${name}.1`, PROJECTED)
      .layer("linear", `${name}.3`, [outputs, PROJECTED]);
  head("projection_head", FEATURES, PROJECTED);
  head("prediction_head", PROJECTED, PROJECTED);
  for (const memory of ["", "memory"]) {
    for (let c = 0; c < classes; c++) head(`contrastive_class_selector_${memory}${c}`, PROJECTED, 1);
  }
  return builder;
}

/** A head whose batch norm is settled: a function of single rows, `[N, F]` to `[N, outputs]`. */
export interface Head {
  (x: Tensor2D): Tensor2D;
  /** Its first layer with the batch norm. */
  first: Linear;
}

/** Which head, on which batch. */
export interface HeadInputs {
  /** As its parameters begin. */
  name: string;
  /** Moments of its input rows; null takes the running statistics. */
  batch: Moments | null;
  /** Of the rectifier between its two layers, below 0. */
  slope: number;
  /** 0 leaves the running statistics alone; without it they move. */
  active?: Scalar;
}

function head(pass: Pass, { name, batch, slope, active }: HeadInputs): Head {
  const first = pass.linearNorm({ layer: `${name}.0`, norm: `${name}.1` }, batch, active);
  const second = pass.layer(`${name}.3`), run = (x: Tensor2D) => twoLayers(x, { first, second, slope });
  return Object.assign(run, { first });
}

/** The projection head, `[N, 16]` to `[N, 32]`. @param batch Moments of the features; null takes the running statistics. */
export function projection(pass: Pass, batch: Moments | null): Head {
  return head(pass, { name: "projection_head", batch, slope: 0 });
}

/** Moments of the projected features of a whole batch; the projection's last layer is linear. */
export function projectedMoments(
  pass: Pass,
  { features, project, count }: { features: Tensor2D; project: Head; count: Scalar },
): Moments {
  const { tf } = openTensorFlow();
  const { mean, covariance } = hiddenMoments(features, { ...project.first, count });
  const weight = pass.weights["projection_head.3.weight"] as Tensor2D, bias = pass.weights["projection_head.3.bias"];
  return {
    mean: tf.add(tf.reshape(tf.matMul(tf.expandDims(mean, 0), weight), [-1]), bias) as Tensor1D,
    covariance: tf.matMul(weight, tf.matMul(covariance, weight), true),
    count,
  };
}

/** The prediction head, `[N, 32]` to `[N, 32]`. @param batch Moments of the projected features. */
export function prediction(pass: Pass, batch: Moments): Head {
  return head(pass, { name: "prediction_head", batch, slope: 0 });
}

/** Which rows a selector judges. */
export interface Selection {
  /** Whose selector: that of the features, or that of the bank. */
  of: "features" | "bank";
  /** From 1 on: the background has no selector that runs. */
  classIndex: number;
  /** Moments of the rows that the batch norm takes as its batch. */
  batch: Moments;
  /** 1 when the selector really runs: its running statistics then move. */
  active: Scalar;
}

function selector(pass: Pass, { of, classIndex, batch, active }: Selection): Head & { parameters: Tensor[] } {
  const name = `contrastive_class_selector_${of === "bank" ? "memory" : ""}${classIndex}`;
  const parameters = Object.keys(pass.weights).filter((key) => key.startsWith(`${name}.`)).map((key) =>
    pass.weights[key]
  );
  return Object.assign(head(pass, { name, batch, slope: SELECTOR_SLOPE, active }), { parameters });
}

/** Scores in (0, 1) of a class's selector in training mode, `[N, 32]` to `[N, 1]`. */
export function select(pass: Pass, x: Tensor2D, selection: Selection): Tensor2D {
  return openTensorFlow().tf.sigmoid(selector(pass, selection)(x));
}

/**
 * Ones for the scores of {@linkcode select}: the selector runs, so its running statistics move, and nothing reads it. Its
 * gradient is zero, which is more than none: its parameters decay.
 * @returns `[N, 1]`
 */
export function runUnread(pass: Pass, x: Tensor2D, selection: Selection): Tensor2D {
  const { tf } = openTensorFlow(), { parameters } = selector(pass, selection);
  // deno-lint-ignore no-explicit-any
  const op = tf.customGrad((...inputs: any[]) => {
    const [x, ...parameters] = inputs.slice(0, -1), save = inputs.at(-1);
    save([x, ...parameters]);
    return {
      value: tf.onesLike(tf.sum(x, 1, true)),
      gradFunc: (_: Tensor, saved: Tensor[]) => saved.map((tensor) => tf.zerosLike(tensor)),
    };
  });
  return op(x, ...parameters) as Tensor2D;
}
