/**
 * Signed distance maps, the second target of SASSNet (Li et al., MICCAI 2020) and DTC (Luo et al., AAAI 2021): the maps
 * of masks, the way back from a map to a mask, and the distance between maps. Distances are in voxels, without spacing.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { checkSize, squaredDistanceTransform } from "../arrays/distance_transform.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";

/**
 * Signed distance map of a mask, each side divided by its own largest distance:
 * `s(p) = d_out(p) / max d_out` outside, `-d_in(p) / max d_in` inside, with d the Euclidean distance to the nearest voxel
 * of the other side; 0 on the inner boundary, the object voxels with a face neighbor outside the object. The array's edge
 * makes no boundary. An empty mask has the map 0 everywhere, not 1.
 *
 * Reference: `compute_sdf` of SASSNet and DTC. Deviation: a mask without any outside is 0 / 0 there, -1 everywhere here.
 *
 * @param mask Any non-zero value is object; raster order, last axis fastest.
 * @param shape Voxels per axis.
 * @returns In [-1, 1], same order as `mask`: positive outside, negative inside. Inside it jumps from 0 to at least
 * `sqrt(2) / max d_in` in size.
 * @throws {RangeError} When the mask does not have the shape's size.
 *
 * @example Three object voxels against the edge: two inside, the third on the boundary
 * ```ts
 * import assert from "node:assert/strict";
 * import { signedDistanceMap } from "@ssnet/pipeline/losses/signed_distance.ts";
 *
 * const map = signedDistanceMap(Uint8Array.of(1, 1, 1, 0, 0), [5]);
 * assert.deepEqual(map, Float32Array.of(-1, -2 / 3, 0, 0.5, 1));
 * ```
 */
export function signedDistanceMap(mask: Uint8Array, shape: readonly number[]): Float32Array {
  checkSize(mask, shape);
  const map = new Float32Array(mask.length);
  const outside = new Uint8Array(mask.length);
  for (let i = 0; i < mask.length; i++) outside[i] = mask[i] === 0 ? 1 : 0;
  if (!outside.includes(0)) return map;
  if (!outside.includes(1)) return map.fill(-1);
  // Squares of distances to the other side, 0 on the own side.
  const fromObject = squaredDistanceTransform(mask, shape), fromOutside = squaredDistanceTransform(outside, shape);
  let largestOut = 0, largestIn = 0;
  for (let i = 0; i < map.length; i++) {
    if (fromObject[i] > largestOut) largestOut = fromObject[i];
    if (fromOutside[i] > largestIn) largestIn = fromOutside[i];
  }
  for (let i = 0; i < map.length; i++) {
    if (outside[i] === 1) map[i] = Math.sqrt(fromObject[i] / largestOut);
    // 1 is the distance of face neighbors only: those voxels are the inner boundary.
    else if (fromOutside[i] > 1) map[i] = -Math.sqrt(fromOutside[i] / largestIn);
  }
  return map;
}

/** The maps of a batch of labels. */
export interface SignedDistanceMaps {
  /** `[rows, ...patch, classes - 1]`, channel c - 1 for class c; 0 where a class is absent. */
  maps: Float32Array;
  /** `[rows, classes - 1]`: 1 where the class has a voxel in that row, else 0. */
  present: Float32Array;
}

/**
 * {@linkcode signedDistanceMap} of every foreground class in every row of a batch.
 *
 * A class without a voxel in a row has the map 0, which {@linkcode distanceToMask} turns into 1/2 and not into "nowhere":
 * `present` lets {@linkcode meanSquaredError} leave such maps out.
 *
 * @param labels `[rows, ...patch]`, each in 0 to classes - 1; last axis fastest.
 * @param options `shape`: `[rows, ...patch]`. `classes`: with the background, class 0, which has no map.
 * @throws {RangeError} When the labels do not have the shape's size, or some are none of the classes.
 *
 * @example Two slices of one line, three classes; the second slice lacks class 2
 * ```ts
 * import assert from "node:assert/strict";
 * import { signedDistanceMaps } from "@ssnet/pipeline/losses/signed_distance.ts";
 *
 * const labels = Int32Array.of(1, 0, 2, 1, 0, 0);
 * const { maps, present } = signedDistanceMaps(labels, { shape: [2, 1, 3], classes: 3 });
 * assert.deepEqual(present, Float32Array.of(1, 1, 1, 0));
 * assert.deepEqual(maps, Float32Array.of(0, 1, 0.5, 0.5, 1, 0, 0, 0, 0.5, 0, 1, 0));
 * ```
 */
export function signedDistanceMaps(
  labels: Int32Array,
  { shape, classes }: { shape: readonly number[]; classes: number },
): SignedDistanceMaps {
  const [rows, ...patch] = shape, voxels = patch.reduce((product, n) => product * n, 1), channels = classes - 1;
  if (rows * voxels !== labels.length) {
    throw new RangeError(`${labels.length} labels found, shape [${shape}] has ${rows * voxels}`);
  }
  const unknown = new Set<number>();
  for (let i = 0; i < labels.length; i++) if (labels[i] < 0 || labels[i] >= classes) unknown.add(labels[i]);
  if (unknown.size) {
    const found = [...unknown].sort((a, b) => a - b).join(", ");
    throw new RangeError(`labels ${found} found, each must be one of 0 to ${classes - 1}`);
  }
  const maps = new Float32Array(labels.length * channels), present = new Float32Array(rows * channels);
  const mask = new Uint8Array(voxels);
  for (let row = 0; row < rows; row++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let i = 0; i < voxels; i++) mask[i] = labels[row * voxels + i] === channel + 1 ? 1 : 0;
      if (!mask.includes(1)) continue;
      present[row * channels + channel] = 1;
      const map = signedDistanceMap(mask, patch);
      for (let i = 0; i < voxels; i++) maps[(row * voxels + i) * channels + channel] = map[i];
    }
  }
  return { maps, present };
}

/** Steepness of the way back from a map to a mask; DTC's `k`. */
const STEEPNESS = 1500;

/**
 * DTC's `T⁻¹(s) = sigmoid(-1500 s)`: about 1 inside, 0 outside, 1/2 on the boundary.
 *
 * The slope is -375 at s = 0 and next to 0 beyond |s| = 0.01: the map gets a gradient near its boundary only.
 * @param s Signed distances, any shape. @returns Probabilities of the object, same shape.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { distanceToMask } from "@ssnet/pipeline/losses/signed_distance.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * assert.deepEqual([...distanceToMask(tf.tensor1d([-0.5, 0, 0.5])).dataSync()], [1, 0.5, 0]);
 * ```
 */
export function distanceToMask(s: Tensor): Tensor {
  return tf.sigmoid(tf.mul(s, -STEEPNESS));
}

/**
 * `mean((a - b)²)` over the maps that count: `Σ w (a - b)² / Σ w`, w = `present` of the map's row and class; 0 if none
 * counts.
 *
 * The distance loss of SASSNet and DTC, and DTC's consistency of `distanceToMask(s)` with the probabilities.
 * @param a Maps `[rows, ..., channels]`. @param b The same shape.
 * @param present `[rows, channels]`: 1 for a map that counts, 0 for one that does not; without it all count.
 *
 * @example Of two maps the second does not count
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { meanSquaredError } from "@ssnet/pipeline/losses/signed_distance.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const a = tf.tensor3d([[[2, 7], [0, 7]]]), b = tf.zerosLike(a); // [1, 2, 2]
 * assert.equal(meanSquaredError(a, b, tf.tensor2d([[1, 0]])).dataSync()[0], 2);
 * assert.equal(meanSquaredError(a, b).dataSync()[0], (4 + 49 + 49) / 4);
 * ```
 */
export function meanSquaredError(a: Tensor, b: Tensor, present?: Tensor): Scalar {
  const squares = tf.square(tf.sub(a, b));
  if (!present) return tf.mean(squares) as Scalar;
  const between = a.shape.slice(1, -1).map((_, i) => i + 1);
  const perMap = between.length ? tf.mean(squares, between) : squares; // [rows, channels]
  return tf.div(tf.sum(tf.mul(perMap, present)), tf.maximum(tf.sum(present), 1)) as Scalar;
}
