/**
 * Sliding-window inference of a volume: windows start at `min(stride j, size - patch)`, `j = 0 … ceil((size - patch) / stride)`;
 * the foreground probabilities of all windows over a voxel are averaged. Smaller volumes are padded with zeros.
 * @module
 */
import type { Shape3 } from "../data/augment.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import { softmax } from "../tensorflow/ops.ts";
import type { Tensor5D } from "../tensorflow/tensors.ts";
import { inference, type InferenceOptions, type NetworkParameters } from "./inference.ts";

/** Probabilities of class 1 of windows `[B, X, Y, Z, 1]`, as `[B, X, Y, Z]`. */
export type WindowNetwork = (windows: Tensor5D) => Promise<Float32Array>;

/** A network of two classes for windows. */
export function windowNetwork(parameters: NetworkParameters, options: InferenceOptions): WindowNetwork {
  const { tf } = openTensorFlow();
  return inference<Float32Array>(
    parameters,
    options,
    (logits) => tf.slice(softmax(logits), [0, 0, 0, 0, 1], [-1, -1, -1, -1, 1]),
  );
}

/**
 * First voxels of the windows along one axis: `min(stride j, size - patch)`, `j = 0 … ceil((size - patch) / stride)`.
 * @param size At least as large as the patch.
 *
 * @example The last window is moved back to the border
 * ```ts
 * import assert from "node:assert/strict";
 * import { windowStarts } from "@ssnet/pipeline";
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
 * Mean foreground probability of a volume over all windows that hold a voxel. A volume that is smaller than the patch along
 * an axis is padded with zeros there, `floor(missing / 2)` of them in front.
 * @param image `[X, Y, Z]`, Z fastest.
 * @param options `atOnce`: windows in one call of the network.
 * @returns `[X, Y, Z]`, in [0, 1].
 */
export async function slidingWindow(
  image: Float32Array,
  shape: Shape3,
  { patch, stride, atOnce, network }: { patch: Shape3; stride: Shape3; atOnce: number; network: WindowNetwork },
): Promise<Float32Array> {
  const { tf } = openTensorFlow();
  const size = shape.map((n, i) => Math.max(n, patch[i]));
  const front = shape.map((n, i) => Math.floor((size[i] - n) / 2));
  const padded = new Float32Array(size[0] * size[1] * size[2]);
  const sum = new Float64Array(padded.length);
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
    windows.forEach((start, i) =>
      rows(start, (from, to) => {
        for (let k = 0; k < patch[2]; k++) sum[to + k] += probabilities[i * voxels + from + k];
      })
    );
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
  const mean = new Float32Array(image.length);
  for (let x = 0; x < shape[0]; x++) {
    for (let y = 0; y < shape[1]; y++) {
      const from = rowOf(x + front[0], y + front[1], front[2]), to = (x * shape[1] + y) * shape[2];
      const inPlane = tx[x + front[0]] * ty[y + front[1]];
      for (let k = 0; k < shape[2]; k++) mean[to + k] = sum[from + k] / (inPlane * tz[k + front[2]]);
    }
  }
  return mean;
}
