/** A trained run: its configuration, its network's weights, and what the network makes of a volume. @module */
import { existsSync } from "node:fs";
import type { Dataset, DatasetProfile } from "../datasets/dataset.ts";
import { datasetOf } from "../datasets/datasets.ts";
import { type Segment, segmenter } from "../evaluation/evaluate_case.ts";
import type { NetworkParameters } from "../evaluation/inference.ts";
import { DataError } from "../files/errors.ts";
import { unknownName } from "../files/words.ts";
import { createMethod } from "../methods/method.ts";
import { isMethod, METHOD_NAMES, type MethodName, METHODS } from "../methods/methods.ts";
import { NETWORKS } from "../networks/network.ts";
import { SpecBuilder, toWeights } from "../networks/parameters.ts";
import { readRunConfig, type RunConfig } from "../records/run.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Precision } from "../tensorflow/precision.ts";
import { readCheckpoint } from "./checkpoint.ts";

/** What a run folder says of its training. */
export interface Run {
  /** Its folder. */
  folder: string;
  /** What stands in `config.json`. */
  config: RunConfig;
  /** Its dataset. */
  dataset: Dataset;
  /** Its method's name. */
  methodName: MethodName;
  /** The dataset's profile with what the method changes in it. */
  profile: DatasetProfile;
}

/** A run with its weights. */
export interface LoadedRun extends Run {
  /** Which checkpoint was read. */
  checkpoint: "last" | "best";
  /** After which it was written; 0 where it does not say. */
  iteration: number;
  /** Whether only the largest component of each class is kept. */
  largestComponent: boolean;
  /** Parameters and running statistics. */
  weights: NetworkParameters;
  /** Class numbers of a prepared image. */
  segment: Segment;
}

/** How a run is tested, where it is not as its method does. */
export interface RunOptions {
  /** The last one, or the best on the validation cases; absent: the method's own choice. */
  checkpoint?: "last" | "best";
  /** Statistics of the batch norms: the training's, as published, or each window's own. */
  batchNorm?: "running" | "window";
  /** Which connected components are kept; absent: the method's own choice. */
  components?: "largest" | "all";
  /** Absent: what TensorFlow is open for, fp32 on a CPU. */
  precision?: Precision;
}

/**
 * What a run folder says of its training. Needs `--allow-read`.
 * @throws {DataError} When it holds no run, or one of a dataset or method that there is not.
 */
export async function readRun(folder: string): Promise<Run> {
  const config = await readRunConfig(folder), dataset = datasetOf(config, folder), { name, settings } = config.method;
  if (!isMethod(name)) {
    throw new DataError(`Cannot use the run "${folder}": ${unknownName("method", name, METHOD_NAMES)}`);
  }
  const { profile } = createMethod(METHODS[name], dataset, { settings, patch: config.training.patch });
  return { folder, config, dataset, methodName: name, profile };
}

/**
 * A run with the weights of a checkpoint, ready to segment. TensorFlow must be open. Needs `--allow-read`.
 * @throws {DataError} As {@linkcode readRun}; when the checkpoint is not there, or one of another network.
 * @throws {DivergedError} When a weight or running statistic is not finite.
 *
 * @example The mask of a case
 * ```ts ignore
 * import { readCase } from "@ssnet/pipeline/records/case.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { loadRun } from "@ssnet/pipeline/training/run.ts";
 *
 * openTensorFlow({ threads: 2 });
 * const { segment } = await loadRun("data/runs/la-ssnet");
 * const mask = await segment(await readCase("data/cases/la/patient.h5", "patient"));
 * ```
 */
export async function loadRun(folder: string, options: RunOptions = {}): Promise<LoadedRun> {
  const run = await readRun(folder), { profile, config: { training } } = run;
  const checkpoint = options.checkpoint ?? (training.averaged ? "last" : profile.checkpoint);
  const path = `${folder}/${checkpoint}.safetensors`;
  if (!existsSync(path)) {
    const why = checkpoint === "best"
      ? "it comes with a validation above Dice 0; --checkpoint last takes the last one"
      : "train first";
    throw new DataError(`Cannot use the run "${folder}": it has no ${checkpoint}.safetensors; ${why}`);
  }
  const spec = NETWORKS[profile.network].spec(new SpecBuilder(), { classes: profile.classes });
  const { state, iteration } = await readCheckpoint(path, spec), weights = toWeights(spec, state);
  const { batchNorm: statistics = "running", precision = openTensorFlow().binding.single, components } = options;
  const largestComponent = components ? components === "largest" : profile.largestComponent;
  const segment = segmenter({ ...profile, largestComponent }, weights, {
    patch: training.patch,
    statistics,
    precision,
  });
  return { ...run, checkpoint, iteration, largestComponent, weights, segment };
}
