/** `losses`: the losses that the methods use, with their gradients. @module */
import * as tf from "@tensorflow/tfjs";
import type { Scalar, Tensor, Tensor1D } from "@tensorflow/tfjs";
import { sharpen } from "../../../pipeline/losses/consistency.ts";
import {
  crossEntropy,
  foregroundDice,
  foregroundSquaredDice,
  halvedDice,
  linearDice,
  squaredDice,
} from "../../../pipeline/losses/dice.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { softmax } from "../../../pipeline/tensorflow/ops.ts";
import { type Golden, numbers, sub } from "./golden.ts";

openTensorFlow();

export function losses(golden: Golden): void {
  const [a, b, a4, b4] = ["logits_a", "logits_b", "logits_a4", "logits_b4"].map((key) => golden.image(key));
  const oneHot = (key: string, like: Tensor) =>
    tf.cast(tf.oneHot(golden.labels(key) as Tensor1D, like.shape.at(-1)!), "float32");
  const label3d = oneHot("label_3d", a), label2d = oneHot("label_2d", a4), absent = oneHot("label_2d_absent", a4);
  const empty = tf.cast(tf.oneHot(tf.zerosLike(golden.labels("label_3d")) as Tensor1D, a.shape.at(-1)!), "float32");
  const p = softmax;
  const cases: Record<string, { loss: (x: Tensor, y: Tensor) => Scalar; of: Tensor[] }> = {
    binary_dice: { loss: (x) => foregroundDice(p(x), label3d), of: [a] },
    binary_dice_empty_target: { loss: (x) => foregroundDice(p(x), empty), of: [a] },
    binary_dice_soft: { loss: (x, y) => linearDice(p(x), p(y)), of: [a, b] },
    soft_dice_4: { loss: (x, y) => squaredDice(p(x), p(y)), of: [a4, b4] },
    dice_4: { loss: (x) => squaredDice(p(x), label2d), of: [a4] },
    dice_4_absent_class: { loss: (x) => squaredDice(p(x), absent), of: [a4] },
    cross_entropy_3d: { loss: (x) => crossEntropy(x, label3d), of: [a] },
    cross_entropy_2d: { loss: (x) => crossEntropy(x, label2d), of: [a4] },
    baseline_dice_2: { loss: (x) => squaredDice(p(x), label3d, 1e-5), of: [a] },
    baseline_dice_4: { loss: (x) => squaredDice(p(x), label2d, 1e-5), of: [a4] },
    baseline_dice_4_absent_class: { loss: (x) => squaredDice(p(x), absent, 1e-5), of: [a4] },
    baseline_dice_loss: { loss: (x) => foregroundSquaredDice(p(x), label3d), of: [a] },
    mc_dice_4_absent_class: { loss: (x) => halvedDice(p(x), absent), of: [a4] },
    mc_sharpening_sum_squares: { loss: (x) => tf.sum(tf.square(sharpen(p(x)))), of: [a4] },
  };
  for (const [name, { loss, of }] of Object.entries(cases)) {
    const [x, y] = of;
    golden.check(name, numbers(loss(x, y)), { limit: 2e-6, relative: name === "mc_sharpening_sum_squares" });
    tf.grads((...of) => loss(of[0], of[1]))(of).forEach((gradient, i) =>
      golden.checkGradient(`${name}__grad${i ? 2 : ""}`, sub(gradient, 1), { limit: 1e-5 })
    );
  }
  golden.check("mc_sharpened_a", sub(sharpen(p(a)), 1), { limit: 2e-6 });
  golden.check("mc_sharpened_a4", sub(sharpen(p(a4)), 1), { limit: 2e-6 });
  golden.leaveOut(/^(baseline_dice_loss1|softmax_|symmetric_mse|entropy_|compute_kl|mc_mse|mc_kl|mc_soft_ce)/);
}
