/**
 * Inference of a volume slice by slice, as ACDC is tested: each slice zoomed to the network's size (order 0), the class
 * of the largest logit, zoomed back (order 0), stacked. Volumes are `[Z, Y, X]`, the order of the field's ACDC files,
 * X fastest; a slice is `[Y, X]`.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { zoom } from "../arrays/resample.ts";
import type { Tensor4D } from "../tensorflow/tensors.ts";
import { inference, type InferenceOptions, type NetworkParameters } from "./inference.ts";
import type { Shape2 } from "../arrays/shape.ts";

/** Classes of slices `[B, H, W, 1]`, as `[B, H, W]`. */
export type SliceNetwork = (slices: Tensor4D) => Promise<Int32Array>;

/** A 2-D network for slices: the class of the largest logit. "window" statistics are those of one volume's slices. */
export function sliceNetwork(read: () => NetworkParameters, options: InferenceOptions): SliceNetwork {
  return inference<Int32Array>(read, options, (logits) => tf.cast(tf.argMax(logits, -1), "int32"));
}

/**
 * Classes of a volume; all its slices are one batch.
 * @param shape `[Z, Y, X]`
 * @param size The network's input `[H, W]`; the published one is 256 x 256.
 * @returns `[Z, Y, X]`. For some sizes the last row or column is background whatever the network says: zooming back
 * loses it (`zoomLines`), as in the authors' evaluation.
 * @throws {RangeError} When the image does not have the shape's size.
 */
export async function predictSlices(
  image: Float32Array,
  [nz, ny, nx]: readonly [number, number, number],
  { size, network }: { size: Shape2; network: SliceNetwork },
): Promise<Uint8Array> {
  const [h, w] = size, area = ny * nx;
  if (image.length !== nz * area) {
    throw new RangeError(
      `Cannot predict: the image has ${image.length} voxels, its shape [${nz},${ny},${nx}] ${nz * area}`,
    );
  }
  const input = new Float32Array(nz * h * w), prediction = new Uint8Array(image.length);
  for (let z = 0; z < nz; z++) input.set(zoom(image.subarray(z * area, (z + 1) * area), [ny, nx], size), z * h * w);
  const slices = tf.tensor4d(input, [nz, h, w, 1]);
  const classes = Uint8Array.from(await network(slices));
  slices.dispose();
  for (let z = 0; z < nz; z++) {
    prediction.set(zoom(classes.subarray(z * h * w, (z + 1) * h * w), size, [ny, nx]), z * area);
  }
  return prediction;
}
