/**
 * Inference of a volume slice by slice, as ACDC is tested: each slice zoomed to the network's size (order 0), its
 * probabilities zoomed back (order 0), stacked; the class is that of the largest. Volumes are `[Z, Y, X]`, the order of the
 * field's ACDC files, X fastest; a slice is `[Y, X]`.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { channelsIn, channelsLast } from "../arrays/channels.ts";
import { zoom } from "../arrays/resample.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import { inference, type InferenceOptions, type NetworkParameters } from "./inference.ts";
import { channelsOf, probabilitiesOf } from "./sliding_window.ts";
import type { Shape2 } from "../arrays/shape.ts";

/** Probabilities of slices `[B, H, W, channels]`, as `[B, C, H, W]`: of two classes that of class 1 (C = 1), of more those of all. */
export type SliceNetwork = (slices: Tensor4D) => Promise<Float32Array>;

/** A 2-D network for slices. "window" statistics are those of one volume's slices. */
export function sliceNetwork(read: () => NetworkParameters, options: InferenceOptions): SliceNetwork {
  return inference<Float32Array>(read, options, probabilitiesOf);
}

/**
 * Probabilities of a volume.
 * @param image `[channels, Z, Y, X]` @param shape `[Z, Y, X]`
 * @param options `size`: the network's input `[H, W]`, the published one is 256 x 256; `classes`: background included;
 * `atOnce`: slices in one batch, all where it is absent.
 * @returns In [0, 1]: `[Z, Y, X]` of class 1 where there are two classes, else `[K, Z, Y, X]`. For some sizes the last row
 * or column is 0 whatever the network says: zooming back loses it (`zoomLines`), as in the authors' evaluation, where it
 * is background.
 * @throws {RangeError} When the image does not have the shape's size, or a multiple of it.
 */
export async function sliceProbabilities(
  image: Float32Array,
  [nz, ny, nx]: readonly [number, number, number],
  { size, classes, network, atOnce = nz }: { size: Shape2; classes: number; network: SliceNetwork; atOnce?: number },
): Promise<Float32Array> {
  const [h, w] = size, area = ny * nx, channels = channelsOf(classes), inputs = image.length / (nz * area);
  if (!Number.isInteger(inputs) || !inputs) {
    throw new RangeError(
      `Cannot predict: the image has ${image.length} voxels, its shape [${nz},${ny},${nx}] ${nz * area}`,
    );
  }
  const volume = new Float32Array(channels * nz * area);
  for (let first = 0; first < nz; first += atOnce) {
    const count = Math.min(atOnce, nz - first), input = new Float32Array(count * inputs * h * w);
    for (let z = 0; z < count; z++) {
      channelsIn(image, inputs).forEach((channel, c) => {
        const slice = channel.subarray((first + z) * area, (first + z + 1) * area);
        input.set(zoom(slice, [ny, nx], size), (z * inputs + c) * h * w);
      });
    }
    const last = channelsLast(input, { channels: inputs, size: h * w });
    const slices = tf.tensor4d(last, [count, h, w, inputs]), found = await network(slices);
    slices.dispose();
    for (let z = 0; z < count; z++) {
      for (let c = 0; c < channels; c++) {
        const from = (z * channels + c) * h * w;
        volume.set(zoom(found.subarray(from, from + h * w), size, [ny, nx]), (c * nz + first + z) * area);
      }
    }
  }
  return volume;
}
