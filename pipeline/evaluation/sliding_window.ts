/**
 * Sliding-window inference of a volume: windows start at `min(stride j, size - patch)`, `j = 0 … ceil((size - patch) / stride)`;
 * the probabilities of all windows over a voxel are averaged. Smaller volumes are padded with zeros.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { softmax } from "../tensorflow/ops.ts";
import type { Tensor5D } from "../tensorflow/tensors.ts";
import { inference, type InferenceOptions, type NetworkParameters } from "./inference.ts";
import type { Shape3 } from "../arrays/shape.ts";

/**
 * Probabilities of windows `[B, X, Y, Z, 1]`, as `[B, C, X, Y, Z]`: of two classes that of class 1 (C = 1), of more those of
 * all (C = K).
 */
export type WindowNetwork = (windows: Tensor5D) => Promise<Float32Array>;

/** How many probabilities tell a voxel's class: one of two classes, else all. */
const channelsOf = (classes: number) => classes === 2 ? 1 : classes;

/** A network for windows. @param read {@linkcode inference} */
export function windowNetwork(read: () => NetworkParameters, options: InferenceOptions): WindowNetwork {
  return inference<Float32Array>(read, options, (logits) => {
    const probabilities = softmax(logits);
    return logits.shape.at(-1) === 2
      ? tf.slice(probabilities, [0, 0, 0, 0, 1], [-1, -1, -1, -1, 1])
      : tf.transpose(probabilities, [0, 4, 1, 2, 3]);
  });
}

/**
 * First voxels of the windows along one axis: `min(stride j, size - patch)`, `j = 0 … ceil((size - patch) / stride)`.
 * @param size At least as large as the patch.
 *
 * @example The last window is moved back to the border
 * ```ts
 * import assert from "node:assert/strict";
 * import { windowStarts } from "@ssnet/pipeline/evaluation/sliding_window.ts";
 *
 * assert.deepEqual(windowStarts(150, 112, 18), [0, 18, 36, 38]);
 * assert.deepEqual(windowStarts(80, 80, 4), [0]);
 * ```
 */
export function windowStarts(size: number, patch: number, stride: number): number[] {
  const count = Math.ceil((size - patch) / stride) + 1;
  return Array.from({ length: count }, (_, j) => Math.min(stride * j, size - patch));
}

/**
 * Mean probabilities of a volume over all windows that hold a voxel. A volume that is smaller than the patch along an axis is
 * padded with zeros there, `floor(missing / 2)` of them in front.
 * @param image `[X, Y, Z]`, Z fastest.
 * @param options `atOnce`: windows in one call of the network; `classes`: background included.
 * @returns In [0, 1]: `[X, Y, Z]` of class 1 where there are two classes, else `[K, X, Y, Z]`.
 */
export async function slidingWindow(
  image: Float32Array,
  shape: Shape3,
  { patch, stride, atOnce, classes, network }: {
    patch: Readonly<Shape3>;
    stride: Readonly<Shape3>;
    atOnce: number;
    classes: number;
    network: WindowNetwork;
  },
): Promise<Float32Array> {
  const size = shape.map((n, i) => Math.max(n, patch[i]));
  const front = shape.map((n, i) => Math.floor((size[i] - n) / 2));
  const padded = new Float32Array(size[0] * size[1] * size[2]);
  const channels = channelsOf(classes), sum = new Float64Array(channels * padded.length);
  const rowOf = (x: number, y: number, z: number) => (x * size[1] + y) * size[2] + z;
  for (let x = 0; x < shape[0]; x++) {
    for (let y = 0; y < shape[1]; y++) {
      const from = (x * shape[1] + y) * shape[2];
      padded.set(image.subarray(from, from + shape[2]), rowOf(x + front[0], y + front[1], front[2]));
    }
  }
  const starts = size.map((n, i) => windowStarts(n, patch[i], stride[i])), [xs, ys, zs] = starts;
  const rows = ([x0, y0, z0]: Shape3, visit: (inWindow: number, inVolume: number) => void) => {
    for (let x = 0; x < patch[0]; x++) {
      for (let y = 0; y < patch[1]; y++) visit((x * patch[1] + y) * patch[2], rowOf(x0 + x, y0 + y, z0));
    }
  };
  const voxels = patch[0] * patch[1] * patch[2];
  const begin = async (windows: Shape3[]) => {
    const values = new Float32Array(windows.length * voxels);
    windows.forEach((start, i) =>
      rows(start, (to, from) => values.set(padded.subarray(from, from + patch[2]), i * voxels + to))
    );
    const input = tf.tensor(values, [windows.length, ...patch, 1]) as Tensor5D, probabilities = await network(input);
    input.dispose();
    return { windows, probabilities };
  };
  const add = ({ windows, probabilities }: Awaited<ReturnType<typeof begin>>) =>
    windows.forEach((start, i) => {
      for (let c = 0; c < channels; c++) {
        const window = (i * channels + c) * voxels, volume = c * padded.length;
        rows(start, (from, to) => {
          for (let k = 0; k < patch[2]; k++) sum[volume + to + k] += probabilities[window + from + k];
        });
      }
    });
  const windows = xs.flatMap((x) => ys.flatMap((y) => zs.map((z): Shape3 => [x, y, z])));
  let done = await begin(windows.slice(0, atOnce));
  for (let next = atOnce; next < windows.length; next += atOnce) {
    const running = begin(windows.slice(next, next + atOnce));
    add(done); // while TensorFlow computes the next ones
    done = await running;
  }
  add(done);
  // How many windows hold a voxel follows from the axes alone.
  const [tx, ty, tz] = starts.map((starts, i) =>
    Array.from({ length: size[i] }, (_, at) => starts.filter((start) => start <= at && at < start + patch[i]).length)
  );
  const mean = new Float32Array(channels * image.length);
  for (let x = 0; x < shape[0]; x++) {
    for (let y = 0; y < shape[1]; y++) {
      const from = rowOf(x + front[0], y + front[1], front[2]), to = (x * shape[1] + y) * shape[2];
      const inPlane = tx[x + front[0]] * ty[y + front[1]];
      for (let c = 0; c < channels; c++) {
        const [source, target] = [c * padded.length + from, c * image.length + to];
        for (let k = 0; k < shape[2]; k++) mean[target + k] = sum[source + k] / (inPlane * tz[k + front[2]]);
      }
    }
  }
  return mean;
}

/**
 * The class of every voxel from {@linkcode slidingWindow}'s probabilities: of two classes the foreground where it is above 0.5,
 * of more the largest, of equal ones the first.
 * @returns `[X, Y, Z]`.
 *
 * @example Two voxels of three classes
 * ```ts
 * import assert from "node:assert/strict";
 * import { classesOf } from "@ssnet/pipeline/evaluation/sliding_window.ts";
 *
 * assert.deepEqual(classesOf(Float32Array.of(0.2, 0.5, 0.7, 0.3, 0.1, 0.2), 3), Uint8Array.of(1, 0));
 * assert.deepEqual(classesOf(Float32Array.of(0.5, 0.6), 2), Uint8Array.of(0, 1));
 * ```
 */
export function classesOf(probabilities: Float32Array, classes: number): Uint8Array {
  if (classes === 2) return Uint8Array.from(probabilities, (probability) => probability > 0.5 ? 1 : 0);
  const voxels = probabilities.length / classes, found = new Uint8Array(voxels);
  for (let i = 0; i < voxels; i++) {
    for (let c = 1; c < classes; c++) {
      if (probabilities[c * voxels + i] > probabilities[found[i] * voxels + i]) found[i] = c;
    }
  }
  return found;
}
