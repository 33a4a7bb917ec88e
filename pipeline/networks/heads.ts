/**
 * SS-Net's heads on feature rows: projection, prediction, and per class a selector for features and one for the bank.
 * @module
 */
import type { Scalar, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { leakyRelu, relu } from "../tensorflow/ops.ts";
import type { Pass } from "./layers.ts";
import type { SpecBuilder } from "./parameters.ts";

/** Width of the projected features. */
export const PROJECTED = 32;
const FEATURES = 16, SELECTOR_SLOPE = 0.2;

/** Parameters of the heads, in the order of the authors' `state_dict`. */
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

function head(pass: Pass, x: Tensor2D, name: string, activation: (x: Tensor2D) => Tensor2D): Tensor2D {
  const hidden = activation(pass.batchNorm(pass.linear(x, `${name}.0`), `${name}.1`)); // [N, 32]
  return pass.linear(hidden, `${name}.3`);
}

/** `[N, 16]` to `[N, 32]`. */
export function project(pass: Pass, features: Tensor2D): Tensor2D {
  return head(pass, features, "projection_head", relu);
}
/** `[N, 32]` to `[N, 32]`. */
export function predict(pass: Pass, projected: Tensor2D): Tensor2D {
  return head(pass, projected, "prediction_head", relu);
}
/** Which rows a selector judges. */
export interface Selection {
  /** Whose selector: that of the features, or that of the bank. */
  of: "features" | "bank";
  classIndex: number;
  /** 1 for the rows that count `[N]`: batch statistics are theirs alone. */
  member: Tensor1D;
  /** 1 when the selector really runs: its running statistics then move. */
  active: Scalar;
}

/** Logits of a class's selector in training mode, `[N, 32]` to `[N]`; meaningful where `member` is 1. */
export function select(pass: Pass, rows: Tensor2D, { of, classIndex, member, active }: Selection): Tensor1D {
  const name = `contrastive_class_selector_${of === "bank" ? "memory" : ""}${classIndex}`;
  const normalized = pass.batchNormOver(pass.linear(rows, `${name}.0`), `${name}.1`, { member, active });
  return pass.linear(leakyRelu(normalized, SELECTOR_SLOPE), `${name}.3`).as1D();
}
