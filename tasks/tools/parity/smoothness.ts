/** `vat3d`, `vat2d`: the three passes of the smoothness term and its gradients. @module */
import * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor } from "@tensorflow/tfjs";
import { linearDice, squaredDice } from "../../../pipeline/losses/dice.ts";
import {
  adversarialDirection,
  PROBE_RADIUS,
  smoothnessLoss,
  unitPerSample,
} from "../../../pipeline/losses/smoothness.ts";
import { gradientsOf } from "../../../pipeline/methods/method.ts";
import { Pass } from "../../../pipeline/networks/layers.ts";
import type { Backbone } from "../../../pipeline/networks/backbones.ts";
import { toWeights } from "../../../pipeline/networks/parameters.ts";
import { networkWithHeads } from "../../../pipeline/methods/ssnet.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { softmax } from "../../../pipeline/tensorflow/ops.ts";
import { goldenState, R } from "./golden_numbers.ts";
import { channelsLast, type Golden, l2, norms, numbers, sub } from "./golden.ts";

const { binding } = openTensorFlow();

/** The published settings. */
const PROTOCOL = {
  vnet: { distance: linearDice as (p: Tensor, q: Tensor) => Scalar, perturbationRadius: 10 },
  unet: { distance: squaredDice as (p: Tensor, q: Tensor) => Scalar, perturbationRadius: 6 },
};

/**
 * Relative, of the norm of each parameter's gradient. The U-Net's case stands at a kink, a LeakyReLU or a pooled maximum
 * that float32 cannot tell from its neighbor: random errors of 1e-7 of their RMS in what its convolutions give, 24 draws
 * on a CPU, move the norm of `encoder.in_conv.conv_conv.1.bias` by 2.4e-2 of its float64 value in 7 draws and no norm by
 * more than 1.4e-3 in the others, that over all parameters by 3e-5 at most. float64 and oneDNN stand on one side of it
 * (1.2e-4), cuDNN on the other: 2.4e-2 on an H100.
 */
const GRADIENT_LIMIT = { vnet: 1e-2, unet: binding.isUsingGpuDevice() ? 3e-2 : 1e-2 };

export function adversarial(golden: Golden, network: Backbone): void {
  const { spec, forward: { forward } } = networkWithHeads(network, {
      channels: 1,
      classes: golden.shape("pred_sub2")[1],
    }),
    x = golden.image("input");
  const { weights, buffers } = toWeights(spec, goldenState(spec, golden.cases.weightSet));
  const { distance, perturbationRadius } = PROTOCOL[network];
  const probabilities = (x: Tensor, updateStatistics = false) =>
    softmax(forward(new Pass(weights, buffers, { training: true, updateStatistics }), x).logits);
  const clean = probabilities(x, true);
  golden.check("pred_sub2", sub(clean, 2), { limit: 1e-4 });
  const noise = noiseOf(golden.cases.directionStream, golden.shape("d_init")), direction = channelsLast(noise);
  golden.check("d_init", numbers(noise), { limit: 1e-7 });
  const unit = unitPerSample(direction);
  golden.check("d_unit", sub(unit, 1), { limit: 1e-7 });
  const probe = (d: Tensor) => distance(probabilities(tf.add(x, tf.mul(d, PROBE_RADIUS))), clean);
  const { value, grad } = tf.valueAndGrad(probe)(unit);
  golden.check("adv_distance", numbers(value), { limit: 1e-5 });
  const perSample = tf.unstack(grad).map((g) => l2(numbers(g)));
  golden.check("grad_d_l2", perSample, { limit: 5e-3, relative: true });
  const inputs = { x, direction, clean, probabilities, distance, perturbationRadius };
  const found = adversarialDirection(inputs);
  golden.checkDirection("d_adv", sub(found, 1), { limit: 5e-3 });
  golden.checkDirection("r_adv_sub2", sub(tf.mul(found, perturbationRadius), 2), { limit: 5e-3 });
  const lds = gradientsOf(() => smoothnessLoss({ ...inputs, adversarial: found }), weights);
  golden.check("lds", numbers(lds.value), { limit: 1e-5 });
  golden.checkNorms("lds_grad_l2", norms(lds.gradients), { limit: GRADIENT_LIMIT[network], zero: "grad_is_zero" });
  golden.checkStatistics(spec, buffers);
}

/** `R - 0.5` of a stream, in the files' layout. */
export function noiseOf(stream: number, shape: number[]): Tensor {
  const size = shape.reduce((a, n) => a * n, 1);
  return tf.tensor(Float32Array.from({ length: size }, (_, i) => R(stream, i) - 0.5), shape);
}
