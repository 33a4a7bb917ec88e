/** `prototypes_c2`, `prototypes_c4`: heads, feature bank and separation loss, in the order that the README gives. @module */
import * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { emptyBank, type FeatureBank, updateBank } from "../../../pipeline/losses/feature_bank.ts";
import { separationLoss } from "../../../pipeline/losses/separation.ts";
import {
  type Heads,
  heads as buildHeads,
  PROJECTED,
  projectedMoments,
  type Selection,
} from "../../../pipeline/networks/heads.ts";
import { Pass } from "../../../pipeline/networks/layers.ts";
import { toWeights, type Weights } from "../../../pipeline/networks/parameters.ts";
import { build } from "../../../pipeline/networks/scope.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import * as rows from "../../../pipeline/tensorflow/rows.ts";
import { gradientsOf } from "../../../pipeline/methods/method.ts";
import { goldenState } from "./golden_numbers.ts";
import { plainHeads, toRows } from "./plain_heads.ts";
import { type Golden, l2, numbers } from "./golden.ts";

openTensorFlow();
const BANK_ROWS = 32, FEATURES = 16;

interface Half {
  name: string;
  features: Tensor2D;
  labels: Tensor1D;
}

export function prototypes(golden: Golden): void {
  const classes = golden.shape("memory")[0];
  const { spec, forward: headsOf } = build((at) => buildHeads(at, { classes, features: FEATURES }));
  const [firstParameter] = golden.values("first_head_k");
  const { weights, buffers } = toWeights(spec, goldenState(spec, golden.cases.weightSet, { firstParameter }));
  const heads = headsOf(new Pass(weights, buffers, { training: true, updateStatistics: true }));
  const half = (name: string): Half => ({
    name,
    features: golden.tensor(`features_${name}`) as Tensor2D,
    labels: golden.labels(`labels_${name}`) as Tensor1D,
  });
  const [labeled, unlabeled, second] = ["labeled", "unlabeled", "second"].map(half);
  const correct = tf.cast(golden.labels("correct_mask"), "bool") as Tensor1D;
  const start = { ...buffers };
  const bank = updateBank(heads, emptyBank({ classes, size: BANK_ROWS }), { ...labeled, correct, keeps: "lowest" });
  checkBank(golden, "memory", bank);
  const inPlace = headsOf(new Pass(weights, start, { training: true }));
  checkHeads(golden, { heads: inPlace, bank, halves: [labeled, unlabeled], correct });

  const loss = (heads: Heads, { features, labels }: Half): Scalar =>
    separationLoss(heads, bank, { features, labels, bankWeights: "ones" }).loss;
  const before = { ...buffers };
  for (const half of [labeled, unlabeled]) {
    golden.check(`loss_${half.name}`, numbers(loss(heads, half)), { limit: 2e-6 });
    const still = headsOf(new Pass(weights, before, { training: true }));
    const gradient = tf.grad((features) => loss(still, { ...half, features: features as Tensor2D }))(half.features);
    golden.checkGradient(`grad_features_${half.name}`, numbers(gradient), { limit: 2e-4 });
  }
  const still = headsOf(new Pass(weights, before, { training: true }));
  const { gradients } = gradientsOf(() => tf.add(loss(still, labeled), loss(still, unlabeled)), weights);
  // A class that took no part has an exact zero here and no gradient there: the trainer tells them apart by its counts.
  const stored = golden.values("head_grad_l2");
  const found = gradients.map((gradient, i) => {
    const norm = gradient && l2(numbers(gradient));
    return norm === 0 && stored[i] === -1 ? null : norm;
  });
  golden.checkNorms("head_grad_l2", found, { limit: 2e-4, zero: "head_grad_is_zero" });

  const all = tf.cast(tf.onesLike(second.labels), "bool") as Tensor1D;
  checkBank(golden, "memory2", updateBank(heads, bank, { ...second, correct: all, keeps: "lowest" }));
  const exact = predictionStatistics(weights, [labeled, unlabeled]);
  for (const key of golden.keys(/^running_(mean|var)__/)) {
    const [kind, layer] = key.split("__"), found = numbers(buffers[`${layer}.${kind}`]);
    // The limit is that of values up to 1: rounding grows with the value.
    const stored = golden.values(key), limit = 3e-6 * Math.max(1, ...stored);
    golden.check(key, found, { limit });
    if (layer === "prediction_head.1") {
      const of = kind === "running_mean" ? exact.mean : exact.variance;
      golden.check(`${key} in double precision`, found, of);
      golden.check(`${key} in double precision, as it is stored`, stored, of);
    }
  }
}

/**
 * Running statistics of the prediction head's batch norm behind some halves, from 0 and 1, in double precision; and how far
 * single precision may be from them. The mean stands behind four sums (the projection's two layers, the layer in front of
 * the norm, that over the rows): each may be off by a unit of rounding of its terms, the same way in all rows. What is the
 * same in all rows does not move the variance: one unit.
 */
function predictionStatistics(weights: Weights, halves: Half[]) {
  const plain = Object.fromEntries(Object.entries(weights).map(([name, w]) => [name, Float64Array.from(w.dataSync())]));
  const heads = plainHeads(plain);
  const batches = halves.map(({ features }) =>
    heads.predictionStatistics(toRows(numbers(features), features.shape[1]))
  );
  const of = (kind: "mean" | "variance", { start, units }: { start: number; units: number }) => ({
    expected: batches.reduce(
      (running, batch) => running.map((v, j) => 0.9 * v + 0.1 * batch[kind][j]),
      Array(PROJECTED).fill(start),
    ),
    limit: batches.reduce((limit, { slopes }) => 0.9 * limit + 0.1 * units * 2 ** -24 * Math.max(...slopes[kind]), 0),
  });
  return { mean: of("mean", { start: 0, units: 4 }), variance: of("variance", { start: 1, units: 1 }) };
}

function checkBank(golden: Golden, name: string, bank: FeatureBank): void {
  golden.check(`${name}_count`, bank.counts.map((count) => numbers(count)[0]), { limit: 0 });
  golden.check(name, numbers(tf.stack(bank.rows)), { limit: 1e-4 });
}

/** The heads' own outputs; selectors are compared behind their sigmoid, whose slope is at most 1/4. */
function checkHeads(
  golden: Golden,
  { heads, bank, halves, correct }: {
    heads: Heads;
    bank: FeatureBank;
    halves: Half[];
    correct: Tensor1D;
  },
): void {
  const sigmoid = (key: string) => Array.from(golden.values(key), (v) => 1 / (1 + Math.exp(-v)));
  const checkSelector = (key: string, x: Tensor2D, selector: Pick<Selection, "of" | "classIndex">) => {
    const batch = rows.moments(x, tf.scalar(x.shape[0]));
    const scores = heads.select(x, { ...selector, batch, active: tf.scalar(1) });
    golden.check(key, numbers(scores), { limit: 2.5e-5, expected: sigmoid(key) });
  };
  const where = (x: Tensor2D, condition: Tensor) => rows.gatherRows(x, rows.positions(condition as Tensor1D));
  const [labeled] = halves;
  const evaluated = heads.projection(null)(labeled.features);
  golden.check("proj_correct_eval", numbers(where(evaluated, correct)), { limit: 1e-4 });
  for (const key of golden.keys(/^rank_logit_class/)) {
    const classIndex = Number(key.match(/\d+$/)![0]);
    const member = tf.logicalAnd(tf.equal(labeled.labels, classIndex), correct);
    checkSelector(key, where(evaluated, member), { of: "features", classIndex });
  }
  for (const { name, features, labels } of halves) {
    const count = tf.scalar(features.shape[0]), project = heads.projection(rows.moments(features, count));
    const projected = project(features);
    for (const key of golden.keys(new RegExp(`^proj_${name}$`))) golden.check(key, numbers(projected), { limit: 1e-4 });
    const predicted = heads.prediction(projectedMoments({ features, project, count }))(projected);
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
