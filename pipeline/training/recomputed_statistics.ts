/**
 * Statistics of batch norms, recomputed: those that a training collects step by step lag behind its weights, and of their
 * moving average ({@linkcode withEma}) they are averages over networks that are no longer there. Here they are of training
 * patches that the tested weights themselves see.
 *
 * Paper: Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3 ("PreciseBN"): every pass normalizes by its own
 * batch; the statistics are means over all passes.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { streamKey } from "../arrays/random.ts";
import { assembleBatch, type TrainingItems } from "../data/batches.ts";
import type { DatasetProfile } from "../datasets/dataset.ts";
import type { NetworkParameters } from "../evaluation/inference.ts";
import { Pass } from "../networks/layers.ts";
import { buildNetwork } from "../networks/network.ts";
import type { Weights } from "../networks/parameters.ts";
import type { Precision } from "../tensorflow/precision.ts";
import type { Tensor } from "../tensorflow/tensors.ts";
import { trace } from "../tensorflow/trace.ts";

/** Labeled patches that the statistics are of; a last batch is filled up. */
export const RECOMPUTED_PATCHES = 96;

/** What the patches are drawn for. */
export interface RecomputationOptions {
  /** Says the network and how many labeled rows its batches have. */
  profile: DatasetProfile;
  /** The training's seed; the patches are of its streams below the name "recomputed statistics". */
  seed: number;
  /** Size of a patch. */
  patch: readonly number[];
  /** Arithmetic of the convolutions. */
  precision: Precision;
}

/**
 * Recomputes running statistics over {@linkcode RECOMPUTED_PATCHES} labeled patches, drawn as a training draws them (published
 * augmentation, which has no noise), in batches as it has them, without dropout:
 * `mean = Σ mean_b / n`, `variance = Σ variance_b / n + Σ (mean_b - mean)² / n` over the n batches b.
 * @returns The function of parameters; its tensors, of the network without a method's heads, are the caller's.
 */
export function recomputation(
  items: Pick<TrainingItems, "labeled">,
  { profile, seed, patch, precision }: RecomputationOptions,
): (parameters: NetworkParameters) => Promise<Weights> {
  const { spec, forward } = buildNetwork(profile.network, profile), { labeledPerBatch } = profile;
  const statisticsOf = trace(function batchStatistics(x: Tensor, { weights, buffers }: NetworkParameters) {
    const pass = new Pass(weights, { ...buffers }, { training: true, updateStatistics: "replace" });
    forward(pass, x);
    return pass.buffers;
  }, precision);
  const own = (all: Weights, list: { name: string }[]): Weights =>
    Object.fromEntries(list.map(({ name }) => [name, all[name]]));
  const options = {
    profile: { labeledPerBatch, unlabeledPerBatch: 0 },
    augmentation: "published",
    seed: streamKey(seed, "recomputed statistics"),
    patch,
    withUnlabeled: false,
  } as const;
  const batches = Math.ceil(RECOMPUTED_PATCHES / labeledPerBatch);
  return async ({ weights, buffers }) => {
    const parameters = { weights: own(weights, spec.parameters), buffers: own(buffers, spec.buffers) };
    const sums = new Map(spec.buffers.map(({ name, shape: [c] }) => [name, new Float64Array(c)]));
    const squares = new Map(spec.buffers.map(({ name, shape: [c] }) => [name, new Float64Array(c)]));
    for (let iteration = 1; iteration <= batches; iteration++) {
      const { rows, image } = assembleBatch({ ...items, unlabeled: [] }, { ...options, iteration });
      const x = tf.tensor(image, [rows, ...patch, profile.channels]), found = await statisticsOf(x, parameters);
      for (const [name, tensor] of Object.entries(found)) {
        tensor.dataSync().forEach((value, c) => {
          sums.get(name)![c] += value;
          squares.get(name)![c] += value ** 2;
        });
      }
      tf.dispose([x, found]);
    }
    const mean = (name: string) => sums.get(name)!.map((sum) => sum / batches);
    const spread = (name: string) => {
      const means = mean(name);
      return squares.get(name)!.map((sum, c) => Math.max(sum / batches - means[c] ** 2, 0));
    };
    return Object.fromEntries(spec.buffers.map(({ name, kind }) => {
      if (kind === "running_mean") return [name, tf.tensor1d(Float32Array.from(mean(name)))];
      const between = spread(name.replace(/running_var$/, "running_mean"));
      return [name, tf.tensor1d(Float32Array.from(mean(name), (within, c) => within + between[c]))];
    }));
  };
}
