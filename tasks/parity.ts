// deno-lint-ignore-file no-explicit-any
/**
 * `deno task parity [DIR]`: checks every golden file in DIR against this implementation; numbers that the HDF5 files
 * do not hold come from the folder's `cases.json`. Prints name, largest error, limit and verdict; ends with `N passed, N failed`.
 */
import type { Tensor, Tensor1D, Tensor5D } from "@tensorflow/tfjs";
import { readArrays } from "../pipeline/data/hdf5.ts";
import { crossEntropy, linearDice, squaredDice } from "../pipeline/losses/dice.ts";
import { adversarialDirection, smoothnessLoss, unitPerSample } from "../pipeline/losses/smoothness.ts";
import { BANK_ROWS, type FeatureBank, separationLoss, updateBank } from "../pipeline/losses/separation.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { ssnet, ssnetStep } from "../pipeline/methods/ssnet.ts";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
import { largestComponent } from "../pipeline/evaluation/components.ts";
import { slidingWindow, windowNetwork } from "../pipeline/evaluation/sliding_window.ts";
import { headsSpec } from "../pipeline/networks/heads.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { SpecBuilder, toPyTorch, toWeights, type Weights } from "../pipeline/networks/parameters.ts";
import { vnet, vnetSpec } from "../pipeline/networks/vnet.ts";
import { consistencyWeight, polyRate, rampUp, stepRate } from "../pipeline/runs/schedule.ts";
import { updateParameters } from "../pipeline/runs/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { goldenState, R } from "../tests/golden_numbers.ts";

type Arrays = Awaited<ReturnType<typeof readArrays>>;
type Check = (
  name: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  limit: number,
  relative?: boolean,
) => void;

const folder = Deno.args[0] ?? new URL("golden", new URL("../tests/", import.meta.url)).pathname;
const { tf } = openTensorFlow();
const cases = JSON.parse(Deno.readTextFileSync(`${folder}/cases.json`));
const spec = headsSpec(vnetSpec(new SpecBuilder(), { classes: 2 }), { classes: 2 });

/** Volumes and slices between `[N, C, ...]` (files) and `[N, ..., C]` (here). */
const channelsLast = (x: Tensor) => tf.transpose(x, [0, ...x.shape.slice(2).map((_, i) => i + 2), 1]);
const channelsFirst = (x: Tensor) => tf.transpose(x, [0, x.rank - 1, ...x.shape.slice(2).map((_, i) => i + 1)]);
const load = (a: Arrays[string]) => channelsLast(tf.tensor(Float32Array.from(a.data as any), a.shape));
/** Every `step`-th entry along the spatial axes, channels first. */
const sub = (x: Tensor, step: number) => {
  const first = channelsFirst(x);
  return tf.stridedSlice(first, first.shape.map(() => 0), first.shape, first.shape.map((_, i) => i < 2 ? 1 : step))
    .dataSync();
};
const l2 = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((a, v) => a + v * v, 0));
const sumAndNorm = (kind: string, buffers: Weights) =>
  spec.buffers.filter((b) => b.kind === kind).flatMap(({ name }) => {
    const values = Array.from(buffers[name].dataSync());
    return [values.reduce((a, v) => a + v, 0), l2(values)];
  });

/** Gradients of a scalar with respect to every parameter, null where none arrives. */
function gradients(loss: () => Tensor, weights: Weights): (Float32Array | null)[] {
  const list = spec.parameters.map(({ name }) => weights[name]);
  const { grads } = (tf.engine() as any).gradients(loss, list, null, true);
  return grads.map((g: Tensor | null | undefined) => g ? toPyTorch(g) : null);
}
const checkNorms = (check: Check, name: string, found: (Float32Array | null)[], a: Arrays, key: string) => {
  const expected = Array.from(a[key].data as any as number[]), zero = a.grad_is_zero.data;
  const norms = found.map((g, i) => g === null ? -1 : zero[i] ? (l2(g) < 1e-6 ? expected[i] : l2(g)) : l2(g));
  check(name, norms, expected, 5e-3, true);
};

const checks: Record<string, (a: Arrays, check: Check) => void> = {
  vnet_forward(a, check) {
    const x = load(a.input) as Tensor5D;
    const { weights, buffers } = toWeights(spec, goldenState(spec, cases.vnet_forward.weightSet));
    const run = (b: Weights, training: boolean) =>
      vnet(new Pass(weights, b, { training, updateStatistics: training }), x);
    const train = run(buffers, true);
    check("train_logits", sub(train.logits, 1), a.train_logits.data as any, 1e-4);
    check("train_features_sub4", sub(train.features, 4), a.train_features_sub4.data as any, 1e-4);
    for (const kind of ["running_mean", "running_var"]) {
      check(`${kind}_sum_l2`, sumAndNorm(kind, buffers), a[`${kind}_sum_l2`].data as any, 3e-4);
      for (const key of Object.keys(a).filter((k) => k.startsWith(`${kind}__`))) {
        check(key, buffers[`${key.split("__")[1]}.${kind}`].dataSync(), a[key].data as any, 3e-6);
      }
    }
    check(
      "eval_after_train_logits_sub4",
      sub(run(buffers, false).logits, 4),
      a.eval_after_train_logits_sub4.data as any,
      3e-4,
    );
    const hashed = toWeights(spec, goldenState(spec, cases.vnet_forward.weightSet, { hashedStatistics: true })).buffers;
    const evaluated = run(hashed, false);
    check("eval_hash_logits_sub2", sub(evaluated.logits, 2), a.eval_hash_logits_sub2.data as any, 3e-4);
    check("eval_hash_features_sub4", sub(evaluated.features, 4), a.eval_hash_features_sub4.data as any, 3e-4);
  },
  vnet_grad(a, check) {
    const x = load(a.input) as Tensor5D;
    const label = tf.tensor(Int32Array.from(a.label.data as any), a.label.shape, "int32");
    const target = tf.cast(tf.oneHot(label as any, 2), "float32"), foreground = tf.cast(tf.equal(label, 1), "float32");
    const { weights, buffers } = toWeights(spec, goldenState(spec, cases.vnet_grad.weightSet));
    const forward = () => vnet(new Pass(weights, { ...buffers }, { training: true }), x).logits;
    const dice = () => {
      const p = tf.softmax(forward());
      return linearDice(tf.squeeze(tf.slice(p, [0, 0, 0, 0, 1], [-1, -1, -1, -1, 1]), [4]), foreground);
    };
    check("loss_dice", dice().dataSync(), a.loss_dice.data as any, 3e-6);
    check("loss_ce", crossEntropy(forward(), target).dataSync(), a.loss_ce.data as any, 3e-6);
    const g = gradients(dice, weights);
    checkNorms(check, "grad_l2_dice", g, a, "grad_l2_dice");
    checkNorms(
      check,
      "grad_l2_ce_dice",
      gradients(() => tf.add(dice(), crossEntropy(forward(), target)), weights),
      a,
      "grad_l2_ce_dice",
    );
    for (const key of Object.keys(a).filter((k) => k.startsWith("grad_dice__"))) {
      const expected = Array.from(a[key].data as any as number[]);
      const index = spec.parameters.findIndex(({ name }) => name === key.split("__")[1]);
      check(key, g[index] ?? [], expected, 5e-3 * Math.max(...expected.map(Math.abs)));
    }
  },
  vat3d(a, check) {
    const x = load(a.input) as Tensor5D, direction = load(a.d_init);
    const { weights, buffers } = toWeights(spec, goldenState(spec, cases.vat3d.weightSet));
    const probabilities = (x: Tensor, updateStatistics = false) =>
      tf.softmax(vnet(new Pass(weights, buffers, { training: true, updateStatistics }), x as Tensor5D).logits);
    const clean = probabilities(x, true);
    check("pred_sub2", sub(clean, 2), a.pred_sub2.data as any, 1e-4);
    check("d_unit", sub(unitPerSample(direction), 1), a.d_unit.data as any, 1e-7);
    const inputs = {
      x,
      direction,
      clean,
      probabilities: (x: Tensor) => probabilities(x),
      distance: linearDice,
      perturbationRadius: 10,
    };
    const adversarial = adversarialDirection(inputs);
    const found = sub(adversarial, 1), expected = a.d_adv.data as Float32Array;
    check("d_adv", [l2(found.map((v, i) => v - expected[i])) / l2(expected)], [0], 5e-3);
    check("lds", smoothnessLoss({ ...inputs, adversarial }).dataSync(), a.lds.data as any, 1e-5);
    checkNorms(
      check,
      "lds_grad_l2",
      gradients(() => smoothnessLoss({ ...inputs, adversarial }), weights),
      a,
      "lds_grad_l2",
    );
    for (const kind of ["running_mean", "running_var"]) {
      check(`${kind}_sum_l2`, sumAndNorm(kind, buffers), a[`${kind}_sum_l2`].data as any, 3e-4);
    }
  },
};

checks.ramps = (a, check) => {
  const map = (key: string, f: (v: number) => number) => Array.from(a[key].data as any as number[], f);
  const la = { maximum: 1, length: 40 }, acdc = { maximum: 0.1, length: 200 };
  check("la_weight", map("la_iteration", (i) => consistencyWeight(i, la)), a.la_weight.data as any, 1e-12);
  check("acdc_weight", map("acdc_iteration", (i) => consistencyWeight(i, acdc)), a.acdc_weight.data as any, 1e-12);
  check("la_lr", map("la_lr_step", (s) => stepRate(s, { base: 0.01, every: 2500 })), a.la_lr.data as any, 1e-12);
  check(
    "poly_lr",
    map("poly_lr_step0", (j) => polyRate(j, { base: 0.01, total: 30000 })),
    a.poly_lr.data as any,
    1e-12,
  );
  for (const length of [0, 40]) {
    const key = `sigmoid_rampup_${length}`;
    check(key, map("rampup_current", (c) => rampUp(c, length)), a[key].data as any, 1e-12);
  }
};

/** The losses that SS-Net uses; those of the compared methods are not implemented yet. */
checks.losses = (a, check) => {
  const logits = (key: string) => load(a[key]);
  const oneHot = (key: string, classes: number) =>
    tf.cast(
      tf.oneHot(tf.tensor(Int32Array.from(a[key].data as any), a[key].shape, "int32") as any, classes),
      "float32",
    );
  const foreground = (x: Tensor) =>
    tf.slice(x, x.shape.map((_, i) => i === x.rank - 1 ? 1 : 0), [...x.shape.slice(0, -1), 1]);
  const { logits_a: la, logits_b: lb, logits_a4: la4, logits_b4: lb4 } = {
    logits_a: logits("logits_a"),
    logits_b: logits("logits_b"),
    logits_a4: logits("logits_a4"),
    logits_b4: logits("logits_b4"),
  };
  const y3 = oneHot("label_3d", 2), y2 = oneHot("label_2d", 4), absent = oneHot("label_2d_absent", 4);
  const cases: [string, (x: Tensor, y: Tensor) => any, Tensor, Tensor | null][] = [
    ["binary_dice", (x) => linearDice(foreground(tf.softmax(x)), foreground(y3)), la, null],
    ["binary_dice_empty_target", (x) => linearDice(foreground(tf.softmax(x)), tf.zerosLike(foreground(y3))), la, null],
    ["binary_dice_soft", (x, y) => linearDice(tf.softmax(x), tf.softmax(y)), la, lb],
    ["soft_dice_4", (x, y) => squaredDice(tf.softmax(x), tf.softmax(y)), la4, lb4],
    ["dice_4", (x) => squaredDice(tf.softmax(x), y2), la4, null],
    ["dice_4_absent_class", (x) => squaredDice(tf.softmax(x), absent), la4, null],
    ["cross_entropy_3d", (x) => crossEntropy(x, y3), la, null],
    ["cross_entropy_2d", (x) => crossEntropy(x, y2), la4, null],
  ];
  for (const [name, loss, x, y] of cases) {
    const arguments_ = y ? [x, y] : [x];
    check(name, loss(x, y!).dataSync(), a[name].data as any, 2e-6);
    tf.grads(loss as any)(arguments_).forEach((g, i) => {
      const key = `${name}__grad${i ? 2 : ""}`, expected = a[key].data as Float32Array;
      check(key, sub(g, 1), expected, 1e-5 * Math.max(...expected.map(Math.abs)));
    });
  }
};

/** Heads alone, in the order of section "prototypes" of tests/golden/README.md. */
function prototypes(a: Arrays, check: Check, { weightSet, classes }: { weightSet: number; classes: number }) {
  const heads = headsSpec(new SpecBuilder(), { classes });
  const [firstHead] = a.first_head_k.data;
  const { weights, buffers } = toWeights(heads, goldenState(heads, weightSet, { firstParameter: firstHead }));
  const pass = new Pass(weights, buffers, { training: true, updateStatistics: true });
  const rows = (key: string) => tf.tensor(Float32Array.from(a[key].data as any), a[key].shape) as any;
  const labels = (key: string) => tf.tensor(Int32Array.from(a[key].data as any), a[key].shape, "int32") as any;
  const compareBank = (key: string, bank: FeatureBank) => {
    check(`${key}_count`, bank.counts.map((c) => c.dataSync()[0]), a[`${key}_count`].data as any, 0);
    check(key, tf.stack(bank.rows).dataSync() as any, a[key].data as any, 1e-4);
  };
  const empty: FeatureBank = {
    rows: Array.from({ length: classes }, () => tf.zeros([BANK_ROWS, 32]) as any),
    counts: Array.from({ length: classes }, () => tf.scalar(0)),
  };
  const correct = tf.cast(tf.tensor(Int32Array.from(a.correct_mask.data as any)), "bool") as any;
  const bank = updateBank(pass, empty, {
    features: rows("features_labeled"),
    labels: labels("labels_labeled"),
    correct,
  });
  compareBank("memory", bank);
  const halves = ["labeled", "unlabeled"].map((half) => ({
    half,
    features: rows(`features_${half}`),
    labels: labels(`labels_${half}`),
  }));
  const before = { ...buffers };
  const loss = (i: number, p: Pass, features = halves[i].features) =>
    separationLoss(p, bank, { features, labels: halves[i].labels, bankWeights: "ones" }).loss;
  halves.forEach(({ half }, i) => check(`loss_${half}`, loss(i, pass).dataSync(), a[`loss_${half}`].data as any, 2e-6));
  for (const key of Object.keys(a).filter((k) => /^running_(mean|var)__/.test(k) && !k.includes("memory2"))) {
    const [kind, layer] = key.split("__");
    if (layer.startsWith("contrastive_class_selector_1")) continue; // moves once more with the second batch, below
    check(key, buffers[`${layer}.${kind}`].dataSync(), a[key].data as any, 3e-6);
  }
  const still = new Pass(weights, before, { training: true });
  halves.forEach(({ half, features }, i) => {
    const [g] = tf.grads(((x: any) => loss(i, still, x)) as any)([features]);
    const expected = a[`grad_features_${half}`].data as Float32Array;
    check(`grad_features_${half}`, g.dataSync() as any, expected, 2e-4 * Math.max(...expected.map(Math.abs)));
  });
  const { grads } = (tf.engine() as any).gradients(
    () => tf.add(loss(0, still), loss(1, still)),
    heads.parameters.map(({ name }) => weights[name]),
    null,
    true,
  );
  const zero = a.head_grad_is_zero.data, expected = a.head_grad_l2.data;
  // A class that took no part has an exact zero here and no gradient (-1) there: the trainer tells them apart by its counts.
  const norms = grads.map((g: Tensor | null, i: number) => {
    const norm = g ? l2(g.dataSync()) : -1;
    if (norm === 0 && expected[i] === -1) return -1;
    return zero[i] && norm < 1e-6 ? expected[i] : norm;
  });
  check("head_grad_l2", norms, expected as any, 2e-4, true);
  const all = tf.ones([a.labels_second.shape[0]], "bool") as any;
  const second = updateBank(pass, bank, {
    features: rows("features_second"),
    labels: labels("labels_second"),
    correct: all,
  });
  compareBank("memory2", second);
  for (const kind of ["running_mean", "running_var"]) {
    const key = `${kind}__contrastive_class_selector_1.1`;
    check(key, buffers[`contrastive_class_selector_1.1.${kind}`].dataSync(), a[key].data as any, 3e-6);
  }
}
checks.prototypes_c2 = (a, check) => prototypes(a, check, cases.prototypes_c2);
checks.prototypes_c4 = (a, check) => prototypes(a, check, cases.prototypes_c4);

/** Two whole training iterations with momentum SGD (rate 0.01, momentum 0.9, weight decay 1e-4). */
checks.ssnet_step3d = (a, check) => {
  const { weightSet, labeled, iterations, directionStreams } = cases.ssnet_step3d;
  const x = load(a.input) as Tensor5D, classes = 2;
  const label = tf.slice(tf.tensor(Int32Array.from(a.label.data as any), a.label.shape, "int32") as any, [0, 0, 0, 0], [
    labeled,
    -1,
    -1,
    -1,
  ]);
  let { weights, buffers } = toWeights(spec, goldenState(spec, weightSet));
  let memory: Weights = Object.fromEntries(
    Object.entries(ssnet({ profile: LA, bankWeights: "ones" }).memory).map(([name, shape]) => [name, tf.zeros(shape)]),
  );
  const zeros = () => Object.fromEntries(spec.parameters.map(({ name }) => [name, tf.zerosLike(weights[name])]));
  let momentum: Weights = zeros(), touched = tf.zeros([spec.parameters.length]) as Tensor1D;
  const start = weights;
  const zero = a.grad_is_zero.data, count = spec.parameters.length;
  for (let step = 0; step < 2; step++) {
    const noise = Float32Array.from({ length: x.size }, (_, i) => R(directionStreams[step], i) - 0.5);
    const direction = channelsLast(tf.tensor(noise, a.input.shape));
    const consistency = consistencyWeight(iterations[step], { maximum: 1, length: 40 });
    const result = ssnetStep({
      weights,
      buffers,
      memory,
      x,
      label: label as any,
      seed: tf.tensor1d([0, 0], "int32"),
      direction,
      consistencyWeight: tf.scalar(consistency),
      bankWeights: "ones",
      profile: LA,
      dropout: false,
    });
    const losses = Object.values(result.losses).map((t) => t.dataSync()[0]);
    check(
      `losses step ${step + 1}`,
      [...losses, consistency],
      Array.from(a.losses.data as any).slice(7 * step, 7 * step + 7) as any,
      1e-4,
    );
    const expected = Array.from(a.grad_l2.data as any).slice(count * step, count * (step + 1)) as number[];
    const norms = result.gradients.map((g, i) => {
      const norm = g ? l2(g.dataSync()) : -1;
      return zero[i] && norm < 1e-6 && norm >= 0 ? expected[i] : norm;
    });
    check(`grad_l2 step ${step + 1}`, norms, expected, 2e-2, true);
    ({ weights, momentum, touched } = updateParameters({ weights, momentum, buffers, memory, touched }, {
      gradients: result.gradients,
      participation: result.participation,
      rate: tf.scalar(0.01),
    }));
    ({ buffers, memory } = result);
    const counts = Array.from({ length: classes }, (_, c) => memory[`bank.${c}.count`]?.dataSync()[0] ?? 0);
    check(
      `memory_count step ${step + 1}`,
      counts,
      Array.from(a.memory_count.data as any).slice(classes * step, classes * (step + 1)) as any,
      0,
    );
  }
  const each = (f: (name: string, i: number) => number) => spec.parameters.map(({ name }, i) => f(name, i));
  check("param_l2", each((name) => l2(weights[name].dataSync())), a.param_l2.data as any, 1e-6, true);
  check(
    "momentum_l2",
    each((name, i) => touched.dataSync()[i] ? l2(momentum[name].dataSync()) : -1),
    a.momentum_l2.data as any,
    2e-2,
    true,
  );
  check(
    "delta_l2",
    each((name) => l2(tf.sub(weights[name], start[name]).dataSync())),
    a.delta_l2.data as any,
    1e-1,
    true,
  );
  for (const kind of ["running_mean", "running_var"]) {
    check(`${kind}_sum_l2`, sumAndNorm(kind, buffers), a[`${kind}_sum_l2`].data as any, 3e-4);
  }
};

/** The LA test procedure: windows, mean of probabilities, mask, largest component, metrics. */
checks.sliding_window = async (a, check) => {
  const { weights, buffers } = toWeights(
    spec,
    goldenState(spec, cases.sliding_window.weightSet, { hashedStatistics: true }),
  );
  const network = windowNetwork({ weights, buffers }, { statistics: "running", precision: "fp32" });
  const [px, py, pz, plane, last] = a.patch_stride.data;
  for (const kind of ["pad", "vol"]) {
    const { data, shape } = a[`${kind}_image`] as { data: any; shape: any };
    const reference = a[`${kind}_label`].data as any;
    const scores = await slidingWindow(Float32Array.from(data), shape, {
      patch: [px, py, pz],
      stride: [plane, plane, last],
      network,
    });
    const every2 = [...scores].filter((_, i) => {
      const z = i % shape[2], y = Math.floor(i / shape[2]) % shape[1], x = Math.floor(i / shape[2] / shape[1]);
      return x % 2 === 0 && y % 2 === 0 && z % 2 === 0;
    });
    check(`${kind}_score_sub2`, every2, a[`${kind}_score_sub2`].data as any, 5e-5);
    check(
      `${kind}_score_mean`,
      [scores.reduce((s, v) => s + v, 0) / scores.length],
      a[`${kind}_score_mean`].data as any,
      5e-5,
    );
    // A voxel within 1e-4 of 0.5 may fall on either side: there the stored mask is taken.
    const undecided = a[`${kind}_undecided`].data, stored = a[`${kind}_mask`].data;
    const mask = Uint8Array.from(scores, (v, i) => undecided[i] ? stored[i] : Number(v > 0.5));
    check(`${kind}_mask`, mask as any, stored as any, 0);
    const largest = largestComponent(mask, shape);
    check(`${kind}_mask_largest_cc`, largest as any, a[`${kind}_mask_largest_cc`].data as any, 0);
    for (const [name, found] of [["raw", mask], ["largest_cc", largest]] as const) {
      const { dice, jaccard, hd95, asd } = caseMetrics(found, Uint8Array.from(reference), shape).published;
      check(`${kind}_metrics_${name}`, [dice, jaccard, hd95, asd], a[`${kind}_metrics_${name}`].data as any, 1e-9);
    }
  }
};

let passed = 0, failed = 0;
const files = [...Deno.readDirSync(folder)].map((f) => f.name).filter((name) => name.endsWith(".h5")).sort();
for (const file of files) {
  const name = file.slice(0, -3);
  if (!checks[name]) {
    console.log(`${name}: skipped, not implemented yet`);
    continue;
  }
  const check: Check = (dataset, actual, expected, limit, relative = false) => {
    let worst = actual.length === expected.length ? 0 : Infinity;
    for (let i = 0; i < expected.length; i++) {
      const difference = Math.abs(actual[i] - expected[i]) /
        (relative && expected[i] !== 0 ? Math.abs(expected[i]) : 1);
      if (!(difference <= worst)) worst = difference; // a NaN must not pass
    }
    const good = worst <= limit;
    good ? passed++ : failed++;
    console.log(
      `${name} ${dataset}: error ${worst.toExponential(1)}, limit ${limit.toExponential(1)}: ${
        good ? "passed" : "FAILED"
      }`,
    );
  };
  const arrays = await readArrays(`${folder}/${file}`);
  await checks[name](arrays, check);
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed || passed === 0 ? 1 : 0);
