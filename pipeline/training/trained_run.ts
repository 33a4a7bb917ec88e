/**
 * A trained run: its configuration, its network's weights, and what the network makes of a volume; and weights from elsewhere
 * as a run.
 * @module
 */
import { type Dataset, type DatasetProfile, presetOf } from "../datasets/dataset.ts";
import { datasetOf } from "../datasets/datasets.ts";
import {
  maskOf,
  type Probabilities,
  probabilitiesWith,
  type Segment,
  type SegmentOptions,
} from "../evaluation/evaluate_case.ts";
import type { NetworkParameters } from "../evaluation/inference.ts";
import { DataError } from "../files/errors.ts";
import { isFile } from "../files/exists.ts";
import { unknownName } from "../files/words.ts";
import { createMethod } from "../methods/method.ts";
import { isMethod, METHOD_NAMES, type MethodName, METHODS } from "../methods/methods.ts";
import { buildNetwork } from "../networks/network.ts";
import { toWeights } from "../networks/parameters.ts";
import { gridOf, readRunConfig, type RunConfig, type TrainedGrid } from "../records/run.ts";
import type { Split } from "../records/split.ts";
import { tensorflow } from "../tensorflow/device.ts";
import type { Precision } from "../tensorflow/precision.ts";
import { readCheckpoint } from "./checkpoint.ts";

/** What a run folder says of its training. */
export interface Run {
  /** The run's folder; of weights from elsewhere their file. */
  folder: string;
  /** The file of weights that came without a run folder; null: the folder's checkpoints. */
  weights: string | null;
  /** What stands in `config.json`. */
  config: RunConfig;
  /** The dataset that it is trained on. */
  dataset: Dataset;
  /** The method's name. */
  methodName: MethodName;
  /** The dataset's profile with what the method changes in it. */
  profile: DatasetProfile;
  /** The grid of the volumes that it was trained on. */
  grid: TrainedGrid;
}

/** A run with its weights. */
export interface LoadedRun extends Omit<Run, "weights"> {
  /** The file of its weights. */
  file: string;
  /** Which checkpoint was read; "last" of weights from elsewhere. */
  checkpoint: "last" | "best";
  /** What stood in front of the network's names in the file; "" as a rule. */
  prefix: string;
  /** The iteration after which it was written; 0 where it does not say. */
  iteration: number;
  /** Whether only the largest component of each class is kept. */
  largestComponent: boolean;
  /** Parameters and running statistics. */
  weights: NetworkParameters;
  /** Statistics of the batch norms. */
  statistics: "running" | "window";
  /** Gives the probabilities of a prepared image on the grid of the training. */
  probabilities: Probabilities;
  /** Gives the class number of every voxel of a prepared image on the grid of the training. */
  segment: Segment;
}

/** How a run is tested, where it is not as its method does; `overlap` and `mirror` as of {@linkcode SegmentOptions}. */
export interface RunOptions extends Pick<SegmentOptions, "overlap" | "mirror"> {
  /** The last one, or the best on the validation cases; absent: the method's own choice. */
  checkpoint?: "last" | "best";
  /** Statistics of the batch norms: the training's, as published, or each window's own; absent: those that suit the run. */
  batchNorm?: "running" | "window";
  /** Which connected components are kept; absent: the method's own choice. */
  components?: "largest" | "all";
  /** Arithmetic; absent: what TensorFlow is open for, fp32 on a CPU. */
  precision?: Precision;
}

/**
 * Reads what a run folder says of its training. Needs `--allow-read`.
 * @throws {DataError} When it holds no run, or one of a dataset or method that there is not.
 */
export async function readRun(folder: string): Promise<Run> {
  return runOf(await readRunConfig(folder), folder, null);
}

function runOf(config: RunConfig, folder: string, weights: string | null): Run {
  const dataset = datasetOf(config, folder), { name, settings } = config.method;
  if (!isMethod(name)) {
    throw new DataError(`Cannot use the run "${folder}": ${unknownName("method", name, METHOD_NAMES)}`);
  }
  const { profile } = createMethod(METHODS[name], dataset, { settings, patch: config.training.patch });
  const grid = config.grid ?? gridOf(null, dataset);
  return { folder, weights, config, dataset, methodName: name, profile, grid };
}

/** What must be said of weights that come without a run folder. */
export interface WeightsOptions {
  /** The dataset that the network is for. */
  dataset: Dataset;
  /** The method that it was trained by: this says which network it is. */
  method: MethodName;
  /** The network's input; the dataset's where it is absent. */
  patch?: readonly number[];
  /** The split whose test cases are evaluated; none where it is absent. */
  split?: Split;
  /** Folder of the cases. */
  cases?: string;
}

/**
 * A file of weights as a run, of whose training nothing is known: what is told of it is the paper's. To {@linkcode loadRun}.
 * @param path Ours or PyTorch's: {@linkcode readWeightsFile}.
 *
 * @example The mask of a case by the authors' network
 * ```ts ignore
 * import { LEFT_ATRIUM } from "@ssnet/pipeline/datasets/la/la.ts";
 * import { readCase } from "@ssnet/pipeline/records/case.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { loadRun, weightsAsRun } from "@ssnet/pipeline/training/trained_run.ts";
 *
 * openTensorFlow({ threads: 2 });
 * const { segment } = await loadRun(weightsAsRun("model.pth", { dataset: LEFT_ATRIUM, method: "ssnet" }));
 * const mask = await segment(await readCase("data/cases/la/patient.h5", "patient"));
 * ```
 */
export function weightsAsRun(path: string, { dataset, method, patch, split, cases = "" }: WeightsOptions): Run {
  const none: Split = { profile: dataset.name, source: "none", labeled: [], unlabeled: [], validation: [], test: [] };
  const config: RunConfig = {
    dataset: dataset.name,
    method: { name: method, settings: {} },
    training: {
      ...{
        preset: "paper",
        augmentation: "published",
        seed: 0,
        validateEvery: 1,
        saveEvery: 1,
        threads: 1,
        device: "cpu",
      },
      ...presetOf(dataset, "paper"),
      precision: "fp32",
      ...{ iterations: 0, warmup: 0, lowResolution: null, patch: [...patch ?? dataset.patch], cases },
    },
    split: split ?? none,
    versions: {},
    commit: null,
  };
  return runOf(config, path, path);
}

/**
 * Loads a run with the weights of a checkpoint, ready to segment. TensorFlow must be open. Needs `--allow-read`.
 * @param source Its folder, or what was read of it.
 * @throws {DataError} As {@linkcode readRun}; when the checkpoint is not there, or one of another network.
 * @throws {DivergedError} When a weight or running statistic is not finite.
 *
 * @example The mask of a case
 * ```ts ignore
 * import { readCase } from "@ssnet/pipeline/records/case.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { loadRun } from "@ssnet/pipeline/training/trained_run.ts";
 *
 * openTensorFlow({ threads: 2 });
 * const { segment } = await loadRun("data/runs/la-ssnet");
 * const mask = await segment(await readCase("data/cases/la/patient.h5", "patient"));
 * ```
 */
export async function loadRun(source: string | Run, options: RunOptions = {}): Promise<LoadedRun> {
  const run = typeof source === "string" ? await readRun(source) : source, { profile, config: { training } } = run;
  const { checkpoint, path } = checkpointOf(run, options);
  const { spec } = buildNetwork(profile.network, profile);
  const { state, iteration, prefix } = await readCheckpoint(path, spec), weights = toWeights(spec, state);
  const { precision = tensorflow().binding.single, components, overlap, mirror } = options;
  const statistics = options.batchNorm ?? training.statistics ?? presetOf(profile, training.preset).statistics;
  const largestComponent = components ? components === "largest" : profile.largestComponent;
  const how = { patch: training.patch, statistics, precision, overlap, mirror };
  const probabilities = probabilitiesWith(profile, () => weights, how);
  const segment: Segment = async (one) => maskOf(await probabilities(one), one.shape, { ...profile, largestComponent });
  return {
    ...run,
    file: path,
    checkpoint,
    prefix,
    iteration,
    largestComponent,
    weights,
    statistics,
    probabilities,
    segment,
  };
}

/**
 * The file of a run's weights. Needs `--allow-read`.
 * @param options `checkpoint` as of {@linkcode RunOptions}.
 * @throws {DataError} When it is not there.
 */
export function checkpointOf(
  { folder, weights, profile, config: { training } }: Run,
  options: Pick<RunOptions, "checkpoint">,
): { checkpoint: "last" | "best"; path: string } {
  if (weights) return { checkpoint: "last", path: weights };
  const checkpoint = options.checkpoint ?? (training.ema ? "last" : profile.checkpoint);
  const path = `${folder}/${checkpoint}.safetensors`;
  if (isFile(path)) return { checkpoint, path };
  const why = checkpoint === "best"
    ? "it comes with a validation above Dice 0; --checkpoint last takes the last one"
    : "train first";
  throw new DataError(`Cannot use the run "${folder}": it has no ${checkpoint}.safetensors; ${why}`);
}
