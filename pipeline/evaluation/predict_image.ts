/**
 * One image of one's own through one or several networks: turned to the orientation of the training and, for a network that
 * knows one spacing, resampled to it; probabilities, their mean and what is uncertain in them; back on the image's own grid,
 * voxel for voxel.
 *
 * Uncertainty after Gal & Ghahramani (2016) and Lakshminarayanan et al. (2017): entropy of the mean probabilities,
 * `H[p̄] = -Σ_k p̄_k ln p̄_k`, and of several networks the mutual information `H[p̄] - mean H[p]`, both in nats.
 * @module
 */
import { channelCount, channelsIn, mapChannels } from "../arrays/channels.ts";
import { type Components, connectedComponents, keptComponents } from "../arrays/components.ts";
import type { Vector3 } from "../arrays/geometry.ts";
import { inverse, type Turn, turned, turnedGeometry, turnedShape, turnOf } from "../arrays/orientation.ts";
import { cropped, type Part, uncropped } from "../arrays/part.ts";
import { resize, resizedShape } from "../arrays/resize.ts";
import { sizeOf } from "../arrays/shape.ts";
import type { Image } from "../data/images.ts";
import type { Dataset } from "../datasets/dataset.ts";
import { DataError } from "../files/errors.ts";
import type { TrainedGrid } from "../records/run.ts";
import { checkChannels, type Probabilities } from "./evaluate_case.ts";
import { channelsOf, classesOf } from "./sliding_window.ts";

/** A part of the world: its lowest and highest corner, RAS+ millimeters. */
export interface Box {
  /** Lowest x, y, z. */
  low: Vector3;
  /** Highest x, y, z. */
  high: Vector3;
}

/** What segments. */
export interface Predictor {
  /** The dataset of the networks. */
  dataset: Pick<Dataset, "axes" | "channelNames" | "classes" | "patch" | "preparation">;
  /** The grid of their training. */
  grid: TrainedGrid;
  /** The probabilities of one or more networks. */
  networks: readonly Probabilities[];
  /** Which connected components are kept. */
  components: Components;
}

/** How an image is prepared, and what is wanted beside its mask. */
export interface PredictOptions {
  /** The box outside of which nothing is looked at, and all is background; null: the whole image. */
  crop?: Box | null;
  /** Whether the image's intensities are prepared by those of the whole image or of the box alone. */
  normalize?: "whole" | "box";
  /** Whether the probabilities of the classes are wanted. */
  probabilities?: boolean;
  /** Whether entropy and, of several networks, mutual information are wanted. */
  uncertainty?: boolean;
  /** Is told what the networks are going to see, before they begin. */
  begins?: (seen: Vector3) => void;
}

/** What was found; all arrays are on the image's grid, in its order. */
export interface Prediction {
  /** Class numbers. */
  mask: Uint8Array;
  /** The connected components of every class from 1 on, as many as the mask has. */
  found: number[];
  /** The probabilities of every class from 1 on, where they are wanted. */
  probabilities: Float32Array[];
  /** The entropy of the mean, where it is wanted. */
  entropy: Float32Array | null;
  /** The mutual information, where it is wanted and there are several networks. */
  mutualInformation: Float32Array | null;
  /** What the networks saw: voxels along the axes of the training. */
  seen: Vector3;
}

/** The number of voxels that an array cannot be indexed by. */
const MOST_VOXELS = 2 ** 31;

/**
 * Segments an image. TensorFlow must be open.
 * @throws {DataError} When it has not the channels of the training; when the crop leaves nothing of it, or what it leaves has one intensity; when the spacing makes more
 * voxels than can be.
 *
 * @example A run's mask of a file, on the file's grid
 * ```ts ignore
 * import { readImage } from "@ssnet/pipeline/data/images.ts";
 * import { predictImage } from "@ssnet/pipeline/evaluation/predict_image.ts";
 * import { writeNiftiMask } from "@ssnet/pipeline/files/nifti.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { loadRun } from "@ssnet/pipeline/training/trained_run.ts";
 *
 * openTensorFlow({ threads: 2 });
 * const run = await loadRun("data/runs/la-ssnet", { overlap: 0.5 });
 * const image = await readImage({ name: "scan", path: "scan.nii.gz" });
 * const { mask } = await predictImage(image, { ...run, networks: [run.probabilities] });
 * await writeNiftiMask("mask.nii.gz", mask, image);
 * ```
 */
export async function predictImage(
  image: Image,
  { dataset, grid, networks, components }: Predictor,
  { crop = null, normalize = "whole", probabilities: wantsProbabilities = false, uncertainty = false, begins }:
    PredictOptions = {},
): Promise<Prediction> {
  const turn = turnOf(image, { ...dataset, ...grid }), back = inverse(turn), whole = turnedShape(image.shape, turn);
  const [first, shape] = boxOf(image, turn, crop), { classes } = dataset, channels = channelsOf(classes);
  const box = { whole, first, shape }, seen = seenShape(image, { turn, shape, trained: grid.spacing });
  // What a part needs alone is its own, so that memory does not hold it any longer.
  const inputs = channelCount(image.data, image.shape);
  checkChannels({ image: image.data, shape: image.shape }, dataset);
  begins?.(seen);
  const { probabilities, entropy, information } = await meanOf(networks, {
    image: mapChannels(image.data, inputs, (channel, c) => {
      const prepared = preparedPart(channel, { image, channel: c, turn, dataset, normalize, box });
      return resize(prepared, shape, seen, 3);
    }),
    shape: seen,
  }, { channels, uncertainty });

  const own = seen.every((n, i) => n === shape[i])
    ? probabilities
    : mapChannels(probabilities, channels, (channel) => resize(channel, seen, shape, 1));
  const placed = <T extends Float32Array | Uint8Array>(values: T) => turned(uncropped(values, box), whole, back);
  const mask = keptComponents(classesOf(own, classes), shape, components), found: number[] = [];
  for (let c = 1; c < classes; c++) {
    found.push(connectedComponents(mask.map((value) => Number(value === c)), shape).sizes.length);
  }
  const map = (values: Float32Array | null) => values && placed(resize(values, seen, shape, 1));
  const mapped = { entropy: map(entropy), mutualInformation: map(information) };
  return {
    mask: placed(mask),
    found,
    probabilities: wantsProbabilities ? channelsIn(own, channels).slice(1 - classes).map(placed) : [],
    ...mapped,
    seen,
  };
}

/** The mean of the networks' probabilities, and what is uncertain in it. */
async function meanOf(
  networks: readonly Probabilities[],
  one: Parameters<Probabilities>[0],
  { channels, uncertainty }: { channels: number; uncertainty: boolean },
) {
  const { length } = networks;
  let mean: Float32Array | null = null, meanEntropy: Float32Array | null = null;
  for (const network of networks) {
    const found = await network(one);
    if (uncertainty && length > 1) meanEntropy = sum(meanEntropy, entropyOf(found, channels));
    mean = sum(mean, found);
  }
  const probabilities = mean!;
  if (length > 1) { for (let i = 0; i < probabilities.length; i++) probabilities[i] /= length; }
  const entropy = uncertainty ? entropyOf(probabilities, channels) : null;
  const information = entropy && meanEntropy &&
    entropy.map((value, i) => Math.max(value - meanEntropy![i] / length, 0));
  return { probabilities, entropy, information };
}

/** Adds to the first, which takes it. */
function sum(to: Float32Array | null, values: Float32Array): Float32Array {
  if (!to) return values;
  for (let i = 0; i < to.length; i++) to[i] += values[i];
  return to;
}

/**
 * Entropy of every voxel's probabilities, in nats.
 * @param channels As networks give them: 1 of two classes, else all.
 *
 * @example Two classes alike, and a certain one
 * ```ts
 * import assert from "node:assert/strict";
 * import { entropyOf } from "@ssnet/pipeline/evaluation/predict_image.ts";
 *
 * assert.deepEqual(entropyOf(Float32Array.of(0.5, 1), 1), Float32Array.of(Math.LN2, 0));
 * ```
 */
export function entropyOf(probabilities: Float32Array, channels: number): Float32Array {
  const term = (p: number) => p > 0 ? -p * Math.log(p) : 0, voxels = probabilities.length / channels;
  const entropy = new Float32Array(voxels);
  for (let i = 0; i < voxels; i++) {
    let sum = channels === 1 ? term(1 - probabilities[i]) : 0;
    for (let c = 0; c < channels; c++) sum += term(probabilities[c * voxels + i]);
    entropy[i] = sum;
  }
  return entropy;
}

/** First voxel and shape of what is in a box, along the turned axes. */
function boxOf(image: Image, turn: Turn, crop: Box | null): [first: Vector3, shape: Vector3] {
  const whole = turnedShape(image.shape, turn);
  if (!crop) return [[0, 0, 0], whole];
  if (!image.geometry) {
    throw new DataError("a box in millimeters was given, and its header says no spacing; --crop none wanted");
  }
  const { origin, spacing, direction } = turnedGeometry(image.geometry, image.shape, turn);
  const ends = [crop.low, crop.high], lows = [Infinity, Infinity, Infinity], highs = lows.map((n) => -n);
  for (let corner = 0; corner < 8; corner++) {
    const from = [0, 1, 2].map((row) => ends[corner >> row & 1][row] - origin[row]);
    for (const axis of [0, 1, 2]) {
      const at = from.reduce((sum, value, row) => sum + value * direction[3 * row + axis], 0) / spacing[axis];
      lows[axis] = Math.min(lows[axis], at);
      highs[axis] = Math.max(highs[axis], at);
    }
  }
  const first = lows.map((n) => Math.max(Math.ceil(n - 1e-3), 0)) as Vector3;
  const shape = highs.map((n, i) => Math.min(Math.floor(n + 1e-3) + 1, whole[i]) - first[i]) as Vector3;
  if (shape.every((n) => n > 0)) return [first, shape];
  const { low, high } = crop,
    far = origin.map((from, row) =>
      from + whole.reduce((sum, n, axis) => sum + direction[3 * row + axis] * spacing[axis] * (n - 1), 0)
    );
  const words = (corner: readonly number[]) => `(${corner.map((n) => Number(n.toFixed(2)))})`;
  throw new DataError(
    `the box from ${words(low)} to ${words(high)} lies outside; the image goes from ${words(origin)} to ${
      words(far)
    }, RAS+ mm`,
  );
}

/** Voxels of a box in the spacing of the training. @throws {DataError} When they are more than can be. */
function seenShape(
  { spacing }: Image,
  { turn, shape, trained }: { turn: Turn; shape: Vector3; trained: Vector3 | null },
): Vector3 {
  const seen = resizedShape(shape, spacing && turnedShape(spacing, turn), trained);
  if (sizeOf(seen) < MOST_VOXELS) return seen;
  throw new DataError(
    `its spacing of ${spacing!.join(" x ")} mm makes ${seen.join(" x ")} voxels of ${
      trained!.join(" x ")
    } mm; fewer wanted`,
  );
}

/** A channel's intensities as the networks want them, turned, of the box alone. */
function preparedPart(
  data: Float32Array,
  { image, channel, turn, dataset, normalize, box }: Pick<Predictor, "dataset"> & {
    image: Image;
    channel: number;
    turn: Turn;
    normalize: "whole" | "box";
    box: Part;
  },
): Float32Array {
  const values = turned(data, image.shape, turn), inside = cropped(values, box);
  if (image.isPrepared) return inside;
  if (inside.every((value) => value === inside[0])) throw new DataError(`all voxels in the box are ${inside[0]}`);
  const { intensities } = dataset.preparation;
  return intensities(inside, normalize === "box" ? inside : values, channel);
}
