/**
 * Sliding-window inference of a volume: windows start at `min(stride j, size - patch)`, `j = 0 … ceil((size - patch) / stride)`;
 * the probabilities of all windows over a voxel are averaged. Smaller volumes are padded with zeros.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { softmax } from "../tensorflow/ops.ts";
import type { Tensor, Tensor5D } from "../tensorflow/tensors.ts";
import { inference, type InferenceOptions, type NetworkParameters } from "./inference.ts";
import { channelCount, channelsIn, channelsLast } from "../arrays/channels.ts";
import { type Shape3, sizeOf } from "../arrays/shape.ts";

/**
 * Probabilities of windows `[B, X, Y, Z, channels]`, as `[B, C, X, Y, Z]`: of two classes that of class 1 (C = 1), of more
 * those of all (C = K).
 */
export type WindowNetwork = (windows: Tensor5D) => Promise<Float32Array>;

/** How many probabilities tell a voxel's class: one of two classes, else all. */
export const channelsOf = (classes: number): number => classes === 2 ? 1 : classes;

/** A network for windows. @param read {@linkcode inference} */
export function windowNetwork(read: () => NetworkParameters, options: InferenceOptions): WindowNetwork {
  return inference<Float32Array>(read, options, probabilitiesOf);
}

/** Logits `[B, ..., K]` to probabilities `[B, C, ...]`, C as in {@linkcode WindowNetwork}. */
export function probabilitiesOf(logits: Tensor): Tensor {
  const probabilities = softmax(logits), sides = logits.rank - 1;
  return logits.shape.at(-1) === 2
    ? tf.slice(probabilities, [...Array(sides).fill(0), 1], [...Array(sides).fill(-1), 1])
    : tf.transpose(probabilities, [0, sides, ...Array.from({ length: sides - 1 }, (_, i) => i + 1)]);
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

/** How much a voxel of a window counts, along one axis: all alike, or by a Gaussian of an eighth of the patch, as nnU-Net's. */
function windowWeights(patch: number, kind: "uniform" | "gaussian"): Float64Array {
  const center = (patch - 1) / 2, standardDeviation = patch / 8;
  return Float64Array.from(
    { length: patch },
    (_, i) => kind === "uniform" ? 1 : Math.exp(-0.5 * ((i - center) / standardDeviation) ** 2),
  );
}

/** Whether a window of a channel has one value everywhere, as in the dark around a scan: there is nothing to find in it. */
function isFlat(image: Float32Array, shape: Shape3, first: readonly number[], patch: Shape3): boolean {
  const [from, end] = [0, 1].map((side) =>
    first.map((n, i) => Math.min(Math.max(side ? n + patch[i] : n, 0), shape[i]))
  );
  const value = image[(from[0] * shape[1] + from[1]) * shape[2] + from[2]];
  for (let x = from[0]; x < end[0]; x++) {
    for (let y = from[1]; y < end[1]; y++) {
      const row = (x * shape[1] + y) * shape[2];
      for (let z = from[2]; z < end[2]; z++) if (image[row + z] !== value) return false;
    }
  }
  return true;
}

/**
 * Mean probabilities of a volume over all windows that hold a voxel. A volume that is smaller than the patch along an axis is
 * padded with zeros there, `floor(missing / 2)` of them in front. Beside the volume and its means, memory holds the sums of
 * as many planes as a patch has.
 * @param image `[channels, X, Y, Z]`, Z fastest.
 * @param options `atOnce`: windows in one call of the network; `classes`: background included; `weights`: of the voxels of a
 * window in the mean, "uniform" as published (the default), or "gaussian", the product of the axes'; `skipsFlat`: whether windows of
 * one value are background without the network, whose statistics, where they are the window's own, say nothing there.
 * @returns In [0, 1]: `[X, Y, Z]` of class 1 where there are two classes, else `[K, X, Y, Z]`.
 */
export async function slidingWindow(
  image: Float32Array,
  shape: Shape3,
  { patch, stride, atOnce, classes, network, weights = "uniform", skipsFlat = false }: {
    patch: Readonly<Shape3>;
    stride: Readonly<Shape3>;
    atOnce: number;
    classes: number;
    network: WindowNetwork;
    weights?: "uniform" | "gaussian";
    skipsFlat?: boolean;
  },
): Promise<Float32Array> {
  const size = shape.map((n, i) => Math.max(n, patch[i]));
  const front = shape.map((n, i) => Math.floor((size[i] - n) / 2));
  const inputs = channelsIn(image, channelCount(image, shape)), volume = sizeOf(shape);
  const channels = channelsOf(classes), starts = size.map((n, i) => windowStarts(n, patch[i], stride[i]));
  const [wx, wy, wz] = patch.map((n) => windowWeights(n, weights)), along = [wx, wy, wz];
  const voxels = patch[0] * patch[1] * patch[2], area = size[1] * size[2];
  const valuesOf = (input: Float32Array, values: Float32Array, [x0, y0, z0]: Shape3) => {
    // What of the window's rows lies in the volume.
    const first = Math.max(front[2] - z0, 0), last = Math.min(front[2] + shape[2] - z0, patch[2]);
    for (let x = 0; x < patch[0]; x++) {
      const vx = x0 + x - front[0];
      for (let y = 0; vx >= 0 && vx < shape[0] && y < patch[1]; y++) {
        const vy = y0 + y - front[1], row = (vx * shape[1] + vy) * shape[2] + z0 - front[2];
        if (vy < 0 || vy >= shape[1]) continue;
        values.set(input.subarray(row + first, row + last), (x * patch[1] + y) * patch[2] + first);
      }
    }
  };
  const begin = async (windows: Shape3[]) => {
    const values = new Float32Array(windows.length * inputs.length * voxels);
    channelsIn(values, windows.length * inputs.length).forEach((one, i) =>
      valuesOf(inputs[i % inputs.length], one, windows[Math.floor(i / inputs.length)])
    );
    const last = channelsLast(values, { channels: inputs.length, size: voxels });
    const input = tf.tensor(last, [windows.length, ...patch, inputs.length]) as Tensor5D;
    const probabilities = await network(input);
    input.dispose();
    return { windows, probabilities };
  };
  // The weights of all windows over a voxel follow from the axes alone.
  const [tx, ty, tz] = starts.map((starts, axis) => {
    const total = new Float64Array(size[axis]);
    for (const start of starts) along[axis].forEach((weight, i) => total[start + i] += weight);
    return total;
  });
  // Plane x has the place x mod patch[0] until no further window holds it.
  const sum = new Float64Array(channels * patch[0] * area), mean = new Float32Array(channels * volume);
  const placeOf = (c: number, x: number) => (c * patch[0] + x % patch[0]) * area;
  let done = 0;
  const finish = (end: number) => {
    for (; done < end; done++) {
      const x = done - front[0];
      for (let c = 0; c < channels; c++) {
        const place = placeOf(c, done);
        for (let y = 0; x >= 0 && x < shape[0] && y < shape[1]; y++) {
          const from = place + (y + front[1]) * size[2] + front[2],
            to = c * volume + (x * shape[1] + y) * shape[2];
          const inPlane = tx[done] * ty[y + front[1]];
          for (let k = 0; k < shape[2]; k++) mean[to + k] = sum[from + k] / (inPlane * tz[k + front[2]]);
        }
        sum.fill(0, place, place + area);
      }
    }
  };
  const add = ({ windows, probabilities }: Awaited<ReturnType<typeof begin>>) =>
    windows.forEach(([x0, y0, z0], i) => {
      finish(x0);
      for (let c = 0; c < channels; c++) {
        for (let x = 0; x < patch[0]; x++) {
          for (let y = 0; y < patch[1]; y++) {
            const from = (((i * channels + c) * patch[0] + x) * patch[1] + y) * patch[2], weight = wx[x] * wy[y];
            const to = placeOf(c, x0 + x) + (y0 + y) * size[2] + z0;
            for (let k = 0; k < patch[2]; k++) sum[to + k] += weight * wz[k] * probabilities[from + k];
          }
        }
      }
    });
  const [xs, ys, zs] = starts, all = xs.flatMap((x) => ys.flatMap((y) => zs.map((z): Shape3 => [x, y, z])));
  const windows = skipsFlat
    ? all.filter((start) => !inputs.every((input) => isFlat(input, shape, start.map((n, i) => n - front[i]), patch)))
    : all;
  let ready: Awaited<ReturnType<typeof begin>> | null = null;
  for (let next = 0; next < windows.length; next += atOnce) {
    const running = begin(windows.slice(next, next + atOnce));
    if (ready) add(ready); // while TensorFlow computes the next ones
    ready = await running;
  }
  if (ready) add(ready);
  finish(size[0]);
  return mean;
}

/**
 * The class of every voxel from {@linkcode slidingWindow}'s or `sliceProbabilities`' results: of two classes the foreground where it is above 0.5,
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
  const voxels = probabilities.length / channelsOf(classes), found = new Uint8Array(voxels);
  if (classes === 2) {
    for (let i = 0; i < voxels; i++) found[i] = probabilities[i] > 0.5 ? 1 : 0;
    return found;
  }
  for (let i = 0; i < voxels; i++) {
    for (let c = 1; c < classes; c++) {
      if (probabilities[c * voxels + i] > probabilities[found[i] * voxels + i]) found[i] = c;
    }
  }
  return found;
}
