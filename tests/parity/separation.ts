/** `prototypes_c2`, `prototypes_c4`: heads, feature bank and separation loss, in the order that the README gives. @module */
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { type FeatureBank, separationLoss, updateBank } from "../../pipeline/losses/separation.ts";
import {
  headsSpec,
  prediction,
  PROJECTED,
  projectedMoments,
  projection,
  select,
  type Selection,
} from "../../pipeline/networks/heads.ts";
import { Pass } from "../../pipeline/networks/layers.ts";
import { SpecBuilder, toWeights, type Weights } from "../../pipeline/networks/parameters.ts";
import { openTensorFlow } from "../../pipeline/tensorflow/device.ts";
import * as rows from "../../pipeline/tensorflow/rows.ts";
import { gradientsOf } from "../../pipeline/methods/method.ts";
import { goldenState } from "../golden_numbers.ts";
import { plainHeads, toRows } from "../plain_heads.ts";
import { type Golden, l2, numbers } from "./golden.ts";

const { tf } = openTensorFlow();
const BANK_ROWS = 32;

interface Half {
  name: string;
  features: Tensor2D;
  labels: Tensor1D;
}

export function prototypes(golden: Golden): void {
  const classes = golden.shape("memory")[0];
  const spec = headsSpec(new SpecBuilder(), { classes });
  const [firstParameter] = golden.values("first_head_k");
  const { weights, buffers } = toWeights(spec, goldenState(spec, golden.cases.weightSet, { firstParameter }));
  const pass = new Pass(weights, buffers, { training: true, updateStatistics: true });
  const half = (name: string): Half => ({
    name,
    features: golden.tensor(`features_${name}`) as Tensor2D,
    labels: golden.labels(`labels_${name}`) as Tensor1D,
  });
  const [labeled, unlabeled, second] = ["labeled", "unlabeled", "second"].map(half);
  const correct = tf.cast(golden.labels("correct_mask"), "bool") as Tensor1D;
  const empty: FeatureBank = {
    rows: Array.from({ length: classes }, () => tf.zeros([BANK_ROWS, PROJECTED]) as Tensor2D),
    counts: Array.from({ length: classes }, () => tf.scalar(0)),
  };
  const start = { ...buffers };
  const bank = updateBank(pass, empty, { ...labeled, correct, keeps: "lowest" });
  checkBank(golden, "memory", bank);
  checkHeads(golden, { weights, buffers: start, bank, halves: [labeled, unlabeled], correct });

  const loss = (pass: Pass, { features, labels }: Half): Scalar =>
    separationLoss(pass, bank, { features, labels, bankWeights: "ones" }).loss;
  const before = { ...buffers };
  for (const half of [labeled, unlabeled]) {
    golden.check(`loss_${half.name}`, numbers(loss(pass, half)), { limit: 2e-6 });
    const still = new Pass(weights, before, { training: true });
    const gradient = tf.grad((features) => loss(still, { ...half, features: features as Tensor2D }))(half.features);
    golden.checkGradient(`grad_features_${half.name}`, numbers(gradient), { limit: 2e-4 });
  }
  const still = new Pass(weights, before, { training: true });
  const { gradients } = gradientsOf(() => tf.add(loss(still, labeled), loss(still, unlabeled)), weights);
  // A class that took no part has an exact zero here and no gradient there: the trainer tells them apart by its counts.
  const stored = golden.values("head_grad_l2");
  const found = gradients.map((gradient, i) => {
    const norm = gradient && l2(numbers(gradient));
    return norm === 0 && stored[i] === -1 ? null : norm;
  });
  golden.checkNorms("head_grad_l2", found, { limit: 2e-4, zero: "head_grad_is_zero" });

  const all = tf.cast(tf.onesLike(second.labels), "bool") as Tensor1D;
  checkBank(golden, "memory2", updateBank(pass, bank, { ...second, correct: all, keeps: "lowest" }));
  const exact = predictionStatistics(weights, [labeled, unlabeled]);
  for (const key of golden.keys(/^running_(mean|var)__/)) {
    const [kind, layer] = key.split("__"), found = numbers(buffers[`${layer}.${kind}`]);
    if (layer !== "prediction_head.1") golden.check(key, found, { limit: 3e-6 });
    else {
      const { limit } = exact, expected = kind === "running_mean" ? exact.mean : exact.variance;
      golden.check(key, found, { limit, expected });
      golden.check(`${key} as it is stored`, golden.values(key), { limit, expected });
    }
  }
}

/**
 * Running statistics of the prediction head's batch norm behind some halves, from 0 and 1, in double precision; and how far
 * single precision may be from them: eight units of rounding of the terms that the variance is a sum of.
 */
function predictionStatistics(weights: Weights, halves: Half[]): { mean: number[]; variance: number[]; limit: number } {
  const plain = Object.fromEntries(Object.entries(weights).map(([name, w]) => [name, Float64Array.from(w.dataSync())]));
  const heads = plainHeads(plain);
  let mean: number[] = Array(PROJECTED).fill(0), variance: number[] = Array(PROJECTED).fill(1), limit = 0;
  for (const { features } of halves) {
    const batch = heads.predictionStatistics(toRows(numbers(features), features.shape[1]));
    mean = mean.map((v, j) => 0.9 * v + 0.1 * batch.mean[j]);
    variance = variance.map((v, j) => 0.9 * v + 0.1 * batch.variance[j]);
    limit = 0.9 * limit + 0.1 * 8 * 2 ** -24 * Math.max(...batch.terms);
  }
  return { mean, variance, limit };
}

function checkBank(golden: Golden, name: string, bank: FeatureBank): void {
  golden.check(`${name}_count`, bank.counts.map((count) => numbers(count)[0]), { limit: 0 });
  golden.check(name, numbers(tf.stack(bank.rows)), { limit: 1e-4 });
}

/** The heads' own outputs; selectors are compared behind their sigmoid, whose slope is at most 1/4. */
function checkHeads(
  golden: Golden,
  { weights, buffers, bank, halves, correct }: {
    weights: Weights;
    buffers: Weights;
    bank: FeatureBank;
    halves: Half[];
    correct: Tensor1D;
  },
): void {
  const pass = new Pass(weights, buffers, { training: true });
  const sigmoid = (key: string) => Array.from(golden.values(key), (v) => 1 / (1 + Math.exp(-v)));
  const checkSelector = (key: string, x: Tensor2D, selector: Pick<Selection, "of" | "classIndex">) => {
    const batch = rows.moments(x, tf.scalar(x.shape[0]));
    const scores = select(pass, x, { ...selector, batch, active: tf.scalar(1) });
    golden.check(key, numbers(scores), { limit: 2.5e-5, expected: sigmoid(key) });
  };
  const where = (x: Tensor2D, condition: Tensor) => rows.gatherRows(x, rows.positions(condition as Tensor1D));
  const [labeled] = halves;
  const evaluated = projection(pass, null)(labeled.features);
  golden.check("proj_correct_eval", numbers(where(evaluated, correct)), { limit: 1e-4 });
  for (const key of golden.keys(/^rank_logit_class/)) {
    const classIndex = Number(key.match(/\d+$/)![0]);
    const member = tf.logicalAnd(tf.equal(labeled.labels, classIndex), correct);
    checkSelector(key, where(evaluated, member), { of: "features", classIndex });
  }
  for (const { name, features, labels } of halves) {
    const count = tf.scalar(features.shape[0]), project = projection(pass, rows.moments(features, count));
    const projected = project(features);
    for (const key of golden.keys(new RegExp(`^proj_${name}$`))) golden.check(key, numbers(projected), { limit: 1e-4 });
    const predicted = prediction(pass, projectedMoments(pass, { features, project, count }))(projected);
    golden.check(`pred_${name}`, numbers(predicted), { limit: 1e-4 });
    for (const key of golden.keys(new RegExp(`^selector_logit_${name}__`))) {
      const [, memory, digits] = key.match(/selector_(memory)?(\d+)$/)!, classIndex = Number(digits);
      const [count] = numbers(bank.counts[classIndex]);
      const x = memory
        ? rows.unitRows(tf.slice(bank.rows[classIndex], 0, count))
        : where(predicted, tf.equal(labels, classIndex));
      checkSelector(key, x, { of: memory ? "bank" : "features", classIndex });
    }
  }
}
