/** The 3-D discriminator of `sdf_dtc_sassnet`: logits, both losses, gradients for the maps and for the parameters. @module */
import * as tf from "@tensorflow/tfjs";
import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { crossEntropy } from "../../../pipeline/losses/dice.ts";
import { gradientsOf } from "../../../pipeline/methods/method.ts";
import { discriminator } from "../../../pipeline/networks/discriminator.ts";
import { Pass } from "../../../pipeline/networks/layers.ts";
import { toWeights } from "../../../pipeline/networks/parameters.ts";
import { build } from "../../../pipeline/networks/scope.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { goldenState, N, U } from "./golden_numbers.ts";
import { type Golden, l2, norms, numbers } from "./golden.ts";
import { sizeOf } from "../../../pipeline/arrays/shape.ts";

const PATCH = [112, 112, 80], ROWS = 4, LABELED = 2;

/** Its part of the file; the maps and images are made by formula. */
export function checkDiscriminator(golden: Golden): void {
  openTensorFlow();
  const { discriminatorWeightSet, mapStream, imageStream } = golden.cases;
  const { spec, forward } = build((at) => discriminator(at, { channels: 1, classes: 2, patch: PATCH }));
  const { weights } = toWeights(spec, goldenState(spec, discriminatorWeightSet));
  const filled = (value: (i: number) => number) =>
    tf.tensor(Float32Array.from({ length: ROWS * sizeOf(PATCH) }, (_, i) => value(i)), [ROWS, ...PATCH, 1]);
  const map = filled((i) => U(mapStream, i)), image = filled((i) => N(imageStream, i));
  const unlabeled = (t: Tensor) =>
    tf.slice(t, [LABELED, ...t.shape.slice(1).map(() => 0)], [ROWS - LABELED, ...t.shape.slice(1)]);
  const logits = (map: Tensor, image: Tensor) => forward(new Pass(weights, {}, { training: true }), { map, image });
  const loss = (logits: Tensor2D, classes: number[]) => crossEntropy(logits, tf.oneHot(classes, 2).toFloat());

  const maps = unlabeled(map), images = unlabeled(image);
  let found!: Tensor2D;
  const { value, grad } = tf.valueAndGrad((maps: Tensor) => {
    found = tf.keep(logits(maps, images));
    return loss(found, [1, 1]);
  })(maps);
  golden.check("sassnet_logits_unlabeled", numbers(found), { limit: 1e-4 });
  golden.check("sassnet_loss_adv", numbers(value), { limit: 1e-4 });
  const samples = tf.unstack(grad);
  golden.check("sassnet_grad_map_l2", norms(samples) as number[], { limit: 1e-3, relative: true });
  const corners = tf.slice(grad, [0, 0, 0, 0, 0], golden.shape("sassnet_grad_map_corner").concat(1));
  golden.checkGradient("sassnet_grad_map_corner", numbers(corners), { limit: 1e-3 });

  const all = gradientsOf(() => {
    found = tf.keep(logits(map, image));
    return loss(found, [1, 1, 0, 0]);
  }, weights);
  golden.check("sassnet_logits_all", numbers(found), { limit: 1e-4 });
  golden.check("sassnet_loss_d", numbers(all.value), { limit: 1e-4 });
  const lengths = all.gradients.map((gradient) => l2(numbers(gradient!)));
  golden.check("sassnet_grad_d_l2", lengths, { limit: 1e-3, relative: true });
}
