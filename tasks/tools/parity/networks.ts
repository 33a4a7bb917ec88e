/** `vnet_forward`, `unet_forward`, `vnet_grad`, `unet_grad`: passes, running statistics, gradients, two SGD steps. @module */
import * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor, Tensor1D } from "@tensorflow/tfjs";
import { crossEntropy, foregroundDice, squaredDice } from "../../../pipeline/losses/dice.ts";
import { gradientsOf } from "../../../pipeline/methods/method.ts";
import { Pass } from "../../../pipeline/networks/layers.ts";
import type { Backbone } from "../../../pipeline/networks/backbones.ts";
import { toWeights, type Weights } from "../../../pipeline/networks/parameters.ts";
import { updateParameters } from "../../../pipeline/training/training_step.ts";
import { networkWithHeads } from "../../../pipeline/methods/ssnet.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { softmax } from "../../../pipeline/tensorflow/ops.ts";
import { goldenState } from "./golden_numbers.ts";
import { type Golden, inTheirLayout, l2, norms, numbers, sub } from "./golden.ts";

openTensorFlow();

/** One training pass, then evaluation with the statistics it left, then with hashed ones. */
export function forward(golden: Golden, network: Backbone): void {
  const { spec, forward: { forward } } = networkWithHeads(network, {
      channels: 1,
      classes: golden.shape("train_logits")[1],
    }),
    x = golden.image("input");
  const { weights, buffers } = toWeights(spec, goldenState(spec, golden.cases.weightSet));
  const run = (buffers: Weights, training: boolean) =>
    forward(new Pass(weights, buffers, { training, updateStatistics: training }), x);
  const train = run(buffers, true);
  golden.check("train_logits", sub(train.logits, 1), { limit: 1e-4 });
  golden.check("train_features_sub4", sub(train.features!, 4), { limit: 1e-4 });
  const channels = tf.unstack(tf.reshape(train.features!, [-1, train.features!.shape.at(-1)!]), 1).map(numbers);
  golden.check("train_features_mean", channels.map((v) => v.reduce((a, b) => a + b, 0) / v.length), { limit: 1e-4 });
  golden.check("train_features_l2", channels.map(l2), { limit: 5e-5, relative: true });
  golden.checkStatistics(spec, buffers);
  for (const key of golden.keys(/^running_(mean|var)__/)) {
    const [kind, layer] = key.split("__");
    golden.check(key, numbers(buffers[`${layer}.${kind}`]), { limit: 3e-6 });
  }
  golden.check("eval_after_train_logits_sub4", sub(run(buffers, false).logits, 4), { limit: 3e-4 });
  const hashed = goldenState(spec, golden.cases.weightSet, { hashedStatistics: true });
  const evaluated = run(toWeights(spec, hashed).buffers, false);
  golden.check("eval_hash_logits_sub2", sub(evaluated.logits, 2), { limit: 3e-4 });
  golden.check("eval_hash_features_sub4", sub(evaluated.features!, 4), { limit: 3e-4 });
}

const SUPERVISED = { vnet: foregroundDice, unet: squaredDice };

/** Gradients of Dice and of cross entropy + Dice, then two steps of SGD with Dice alone. */
export function gradients(golden: Golden, network: Backbone): void {
  const classes = golden.shape("grad_dice__decoder.out_conv.weight")[0];
  const { spec, forward: { forward } } = networkWithHeads(network, { channels: 1, classes });
  const x = golden.image("input");
  const target = tf.cast(tf.oneHot(golden.labels("label") as Tensor1D, classes), "float32");
  const start = toWeights(spec, goldenState(spec, golden.cases.weightSet));
  const dice = (logits: Tensor) => SUPERVISED[network](softmax(logits), target);
  const gradient = (objective: (logits: Tensor) => Tensor, weights = start.weights, pass?: Pass) => {
    pass ??= new Pass(weights, start.buffers, { training: true });
    return gradientsOf(() => objective(forward(pass, x).logits), weights);
  };
  const alone = gradient(dice), sum = gradient((logits) => tf.add(dice(logits), crossEntropy(logits, target)));
  golden.check("loss_dice", numbers(alone.value), { limit: 3e-6 });
  golden.check("loss_ce", numbers(tf.sub(sum.value, alone.value)), { limit: 3e-6 });
  for (const [name, { gradients }] of [["dice", alone], ["ce_dice", sum]] as const) {
    golden.checkNorms(`grad_l2_${name}`, norms(gradients), { limit: 5e-3, zero: "grad_is_zero" });
    for (const key of golden.keys(new RegExp(`^grad_${name}__`))) {
      const parameter = spec.parameters.findIndex(({ name }) => name === key.split("__")[1]);
      golden.checkGradient(key, inTheirLayout(gradients[parameter]), { limit: 5e-3 });
    }
  }

  const buffers = { ...start.buffers }, losses: Scalar[] = [];
  const zeros = Object.fromEntries(spec.parameters.map(({ name }) => [name, tf.zerosLike(start.weights[name])]));
  let state = {
    weights: start.weights,
    momentum: zeros as Weights,
    hadGradient: tf.zeros([spec.parameters.length]) as Tensor1D,
  };
  for (let step = 0; step < 2; step++) {
    const pass = new Pass(state.weights, buffers, { training: true, updateStatistics: true });
    const { value, gradients } = gradient(dice, state.weights, pass);
    losses.push(value);
    state = updateParameters({ ...state, buffers, methodState: {} }, {
      gradients,
      participation: {},
      learningRate: tf.scalar(0.01),
    });
  }
  losses.push(gradient(dice, state.weights).value);
  golden.check("sgd_loss_dice", losses.map((t) => numbers(t)[0]), { limit: 3e-6 });
  checkParameters(golden, { ...state, start: start.weights }, {
    prefix: "sgd_",
    limits: { param_sum: 1e-3, momentum_l2: 5e-3, delta_l2: 5e-2 },
  });
  golden.checkStatistics(spec, buffers, "sgd_");
}

/** Parameters, their change and their momentum after some steps. */
export function checkParameters(
  golden: Golden,
  { weights, momentum, hadGradient, start }: {
    weights: Weights;
    momentum: Weights;
    hadGradient: Tensor1D;
    start: Weights;
  },
  { prefix, limits }: { prefix: string; limits: { param_sum: number; momentum_l2: number; delta_l2: number } },
): void {
  const each = (value: (name: string, i: number) => number) => Object.keys(weights).map(value);
  const sum = (name: string) => numbers(weights[name]).reduce((a, v) => a + v, 0);
  golden.check(`${prefix}param_sum`, each(sum), { limit: limits.param_sum });
  golden.check(`${prefix}param_l2`, each((name) => l2(numbers(weights[name]))), { limit: 1e-6, relative: true });
  const has = numbers(hadGradient);
  const momenta = each((name, i) => has[i] ? l2(numbers(momentum[name])) : -1);
  golden.check(`${prefix}momentum_l2`, momenta, { limit: limits.momentum_l2, relative: true });
  const deltas = each((name) => l2(numbers(tf.sub(weights[name], start[name]))));
  golden.check(`${prefix}delta_l2`, deltas, { limit: limits.delta_l2, relative: true });
}
