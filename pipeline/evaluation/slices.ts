/**
 * Inference of a volume slice by slice, as ACDC is tested: each slice zoomed to the network's size (order 0), its
 * probabilities zoomed back (order 0), stacked; the class is that of the largest. Volumes are `[Z, Y, X]`, the order of the
 * field's ACDC files, X fastest; a slice is `[Y, X]`.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { zoom } from "../arrays/resample.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import { inference, type InferenceOptions, type NetworkParameters } from "./inference.ts";
import { channelsOf, probabilitiesOf } from "./sliding_window.ts";
import type { Shape2 } from "../arrays/shape.ts";

/** Probabilities of slices `[B, H, W, 1]`, as `[B, C, H, W]`: of two classes that of class 1 (C = 1), of more those of all. */
export type SliceNetwork = (slices: Tensor4D) => Promise<Float32Array>;

/** A 2-D network for slices. "window" statistics are those of one volume's slices. */
export function sliceNetwork(read: () => NetworkParameters, options: InferenceOptions): SliceNetwork {
  return inference<Float32Array>(read, options, probabilitiesOf);
}

/**
 * Probabilities of a volume.
 * @param shape `[Z, Y, X]`
 * @param options `size`: the network's input `[H, W]`, the published one is 256 x 256; `classes`: background included;
 * `atOnce`: slices in one batch, all where it is absent.
 * @returns In [0, 1]: `[Z, Y, X]` of class 1 where there are two classes, else `[K, Z, Y, X]`. For some sizes the last row
 * or column is 0 whatever the network says: zooming back loses it (`zoomLines`), as in the authors' evaluation, where it
 * is background.
 * @throws {RangeError} When the image does not have the shape's size.
 */
export async function sliceProbabilities(
  image: Float32Array,
  [nz, ny, nx]: readonly [number, number, number],
  { size, classes, network, atOnce = nz }: { size: Shape2; classes: number; network: SliceNetwork; atOnce?: number },
): Promise<Float32Array> {
  const [h, w] = size, area = ny * nx, channels = channelsOf(classes);
  if (image.length !== nz * area) {
    throw new RangeError(
      `Cannot predict: the image has ${image.length} voxels, its shape [${nz},${ny},${nx}] ${nz * area}`,
    );
  }
  const volume = new Float32Array(channels * image.length);
  for (let first = 0; first < nz; first += atOnce) {
    const count = Math.min(atOnce, nz - first), input = new Float32Array(count * h * w);
    for (let z = 0; z < count; z++) {
      input.set(zoom(image.subarray((first + z) * area, (first + z + 1) * area), [ny, nx], size), z * h * w);
    }
    const slices = tf.tensor4d(input, [count, h, w, 1]), found = await network(slices);
    slices.dispose();
    for (let z = 0; z < count; z++) {
      for (let c = 0; c < channels; c++) {
        const from = (z * channels + c) * h * w;
        volume.set(zoom(found.subarray(from, from + h * w), size, [ny, nx]), c * image.length + (first + z) * area);
      }
    }
  }
  return volume;
}
