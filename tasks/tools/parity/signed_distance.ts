/** `sdf_dtc_sassnet`: signed distance maps and DTC's losses. @module */
import * as tf from "@tensorflow/tfjs";
import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import { crossEntropy, squaredDice } from "../../../pipeline/losses/dice.ts";
import { distanceToMask, meanSquaredError, signedDistanceMaps } from "../../../pipeline/losses/signed_distance.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { type Golden, numbers, sub } from "./golden.ts";
import { consistencyWeight } from "../../../pipeline/losses/ramps.ts";

openTensorFlow();

export function signedDistances(golden: Golden): void {
  const mapsOf = (label: string) => {
    const { data, shape } = golden.array(label);
    return tf.tensor(signedDistanceMaps(Int32Array.from(data), { shape, classes: 2 }).maps, [...shape, 1]);
  };
  for (const axes of ["2d", "3d"]) golden.check(`sdf_${axes}`, numbers(mapsOf(`label_${axes}`)), { limit: 1e-6 });

  const { labeled, dtcIteration, dtcRampLength, dtcDistanceWeight } = golden.cases;
  const labeledRows = <T extends Tensor>(x: T): T =>
    tf.slice(x, x.shape.map(() => 0), [labeled, ...x.shape.slice(1)]) as T;
  const rows = golden.labels("dtc_label_rows") as Tensor1D;
  const label = labeledRows(tf.gather(golden.labels("label_3d"), rows)); // [L, X, Y, Z]
  const target = tf.cast(tf.expandDims(label, -1), "float32"), maps = labeledRows(tf.gather(mapsOf("label_3d"), rows));
  const weight = consistencyWeight(dtcIteration, { maximum: 1, length: dtcRampLength });
  const dice = (logits: Tensor) => squaredDice(tf.sigmoid(labeledRows(logits)), target, 1e-5);
  const distance = (preTanh: Tensor) => meanSquaredError(labeledRows(tf.tanh(preTanh)), maps);
  const consistency = (logits: Tensor, preTanh: Tensor) =>
    meanSquaredError(distanceToMask(tf.tanh(preTanh)), tf.sigmoid(logits));
  const total = (logits: Tensor, preTanh: Tensor) => {
    const supervised = tf.add(dice(logits), tf.mul(distance(preTanh), dtcDistanceWeight));
    return tf.add(supervised, tf.mul(consistency(logits, preTanh), weight));
  };

  const logits = golden.image("dtc_logits"), preTanh = golden.image("dtc_pre_tanh");
  golden.check("dtc_distance_to_mask", sub(distanceToMask(tf.tanh(preTanh)), 1), { limit: 1e-5 });
  golden.check("dtc_consistency_weight", [weight], { limit: 2e-6 });
  // The binary cross entropy of z is that of the two logits 0 and z.
  const twoLogits = tf.concat([tf.zerosLike(logits), logits], -1), twoClasses = tf.oneHot(label as Tensor1D, 2);
  const losses = {
    dtc_loss_sdf: distance(preTanh),
    dtc_loss_seg: crossEntropy(labeledRows(twoLogits), tf.cast(twoClasses, "float32")),
    dtc_loss_seg_dice: dice(logits),
    dtc_consistency_loss: consistency(logits, preTanh),
    dtc_loss: total(logits, preTanh),
  };
  for (const [name, loss] of Object.entries(losses)) golden.check(name, numbers(loss), { limit: 2e-6 });
  for (const [name, loss] of Object.entries({ consistency, loss: total })) {
    tf.grads(loss)([logits, preTanh]).forEach((gradient, i) =>
      golden.checkGradient(`dtc_grad_${name}_${["logits", "pre_tanh"][i]}`, sub(gradient, 1), { limit: 1e-5 })
    );
  }
}
