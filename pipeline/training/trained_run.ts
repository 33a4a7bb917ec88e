/**
 * A trained run: its configuration, its network's weights, and what the network makes of a volume; and weights from
 * elsewhere as a run.
 * @module
 */
import { basename, dirname } from "node:path";
import type { Components } from "../arrays/components.ts";
import defer * as tf from "@tensorflow/tfjs";
import { type Dataset, type DatasetProfile, presetOf } from "../datasets/dataset.ts";
import { DATASET_NAMES, datasetOf } from "../datasets/datasets.ts";
import {
  maskOf,
  type Probabilities,
  probabilitiesWith,
  type Segment,
  type SegmentOptions,
} from "../evaluation/evaluate_case.ts";
import type { NetworkParameters } from "../evaluation/inference.ts";
import { readTrainingItems } from "../data/batches.ts";
import { DataError } from "../files/errors.ts";
import { isFile } from "../files/exists.ts";
import { readWeightsFile } from "../files/weights_file.ts";
import { listed, unknownName } from "../files/words.ts";
import { createMethod } from "../methods/method.ts";
import { isMethod, METHOD_NAMES, type MethodName, METHODS } from "../methods/methods.ts";
import { buildNetwork } from "../networks/network.ts";
import { toWeights, type Weights } from "../networks/parameters.ts";
import type { ChosenComponents } from "../records/components.ts";
import {
  gridOf,
  readNetworkMetadata,
  readRunConfig,
  readRunConfigIfThere,
  type RunConfig,
  type Statistics,
  type TrainedGrid,
} from "../records/run.ts";
import { checkCases, type Split } from "../records/split.ts";
import { tensorflow } from "../tensorflow/device.ts";
import type { Norm } from "../tensorflow/norms.ts";
import type { Precision } from "../tensorflow/precision.ts";
import { readCheckpoint } from "./checkpoint.ts";
import { recomputation } from "./recomputed_statistics.ts";

/** What a run folder says of its training. */
export interface Run {
  /** The run's folder; of weights from elsewhere their file. */
  folder: string;
  /** The file of weights that came without a run folder; null: the folder's checkpoints. */
  weights: string | null;
  /**
   * Which components are kept of its masks by what its file of weights says; null: it does not say, or a run folder.
   */
  told: ChosenComponents | null;
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
export interface LoadedRun extends Omit<Run, "weights">, ChosenComponents {
  /** The file of its weights. */
  file: string;
  /** Which checkpoint was read; "last" of weights from elsewhere. */
  checkpoint: "last" | "best";
  /** What stood in front of the network's names in the file; "" as a rule. */
  prefix: string;
  /** The iteration after which it was written; 0 where it does not say. */
  iteration: number;
  /** Parameters and running statistics. */
  weights: NetworkParameters;
  /** Statistics of the batch norms. */
  statistics: Statistics;
  /** Share of a window that the next one overlaps; null: the published stride. */
  overlap: number | null;
  /** Whether the mean over the mirrorings of the training is taken. */
  mirror: boolean;
  /** Gives the probabilities of a prepared image on the grid of the training. */
  probabilities: Probabilities;
  /** Gives the class number of every voxel of a prepared image on the grid of the training. */
  segment: Segment;
}

/** How a run is tested, where it is not as its method does; `overlap` and `mirror` as of {@linkcode SegmentOptions}. */
export interface RunOptions extends Pick<SegmentOptions, "overlap" | "mirror"> {
  /** The last one, or the best on the validation cases; absent: the method's own choice. */
  checkpoint?: "last" | "best";
  /** Statistics of the batch norms; absent: those that suit the run. */
  batchNorm?: Statistics;
  /** Whether running statistics are taken where each window's own would suit the run and none are named: as published. */
  asPublished?: boolean;
  /**
   * Folder of the training's cases, where recomputed statistics are wanted of a run without; absent: as the run says.
   */
  cases?: string;
  /** Which connected components are kept; absent: the method's own choice. */
  components?: Components;
  /** Arithmetic; absent: what TensorFlow is open for, fp32 on a CPU. */
  precision?: Precision;
}

/**
 * Reads what a run folder says of its training. Needs `--allow-read`.
 * @throws {DataError} When it holds no run, or one of a dataset or method that there is not.
 */
export async function readRun(folder: string): Promise<Run> {
  return { ...runOf(await readRunConfig(folder), folder), weights: null, told: null };
}

function runOf(config: RunConfig, folder: string): Omit<Run, "weights" | "told"> {
  const dataset = datasetOf(config, folder), { name, settings } = config.method;
  if (!isMethod(name)) {
    throw new DataError(`Cannot use the run "${folder}": ${unknownName("method", name, METHOD_NAMES)}`);
  }
  const { patch, norm } = config.training,
    { profile } = createMethod(METHODS[name], dataset, { settings, patch, norm });
  const grid = config.grid ?? gridOf(null, dataset);
  return { folder, config, dataset, methodName: name, profile, grid };
}

/**
 * What is said of weights that come without a run folder, beside what their file says
 * ({@linkcode readNetworkMetadata}).
 */
export interface WeightsOptions {
  /** The dataset that the network is for; it may be absent only where the file says it. */
  dataset?: Dataset;
  /** The method that it was trained by: this says which network it is; absent: as the file says, else SS-Net. */
  method?: MethodName;
  /** The network's input; absent: as the file says, else the dataset's. */
  patch?: readonly number[];
  /** The norm behind its convolutions; the dataset's where it is absent. */
  norm?: Norm;
  /** The split whose test cases are evaluated; none where it is absent. */
  split?: Split;
  /** Folder of the cases. */
  cases?: string;
}

/**
 * A file of weights as a run. Where the file does not say of which, nothing is known of its training, and what is told
 * of it is the paper's. To {@linkcode loadRun}. Needs `--allow-read`.
 * @param path Ours or PyTorch's: {@linkcode readWeightsFile}.
 * @throws {DataError} When it is no such file; when dataset, method or patch are others than it says, or no dataset is
 * known.
 *
 * @example The mask of a case by the authors' network
 * ```ts ignore
 * import { LEFT_ATRIUM } from "@ssnet/pipeline/datasets/la/la.ts";
 * import { readCase } from "@ssnet/pipeline/records/case.ts";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { loadRun, weightsAsRun } from "@ssnet/pipeline/training/trained_run.ts";
 *
 * openTensorFlow({ threads: 2 });
 * const { segment } = await loadRun(await weightsAsRun("model.pth", { dataset: LEFT_ATRIUM, method: "ssnet" }));
 * const mask = await segment(await readCase("data/cases/la/patient.h5", "patient"));
 * ```
 */
export async function weightsAsRun(
  path: string,
  { dataset, method, patch, norm, split, cases = "" }: WeightsOptions = {},
): Promise<Run> {
  const { metadata } = await readWeightsFile(path), said = readNetworkMetadata(metadata, path);
  if (said) {
    const { config, ...told } = said, { training } = config;
    const others = differencesFrom(config, { dataset, method, patch, norm });
    if (others.length) throw new DataError(`Cannot use "${path}" so: it is a network of ${listed(others)}`);
    const known = { ...config, split: split ?? config.split, training: { ...training, cases } };
    return { ...runOf(known, path), weights: path, told };
  }
  if (!dataset) {
    throw new DataError(
      `Cannot use "${path}": it does not say of which dataset its network is; --dataset ${
        DATASET_NAMES.join(" or ")
      } wanted`,
    );
  }
  const none: Split = { profile: dataset.name, source: "none", labeled: [], unlabeled: [], validation: [], test: [] };
  const config: RunConfig = {
    dataset: dataset.name,
    plan: dataset.plan,
    method: { name: method ?? "ssnet", settings: {} },
    training: {
      ...{
        preset: "paper",
        augmentation: "published",
        norm: norm ?? dataset.norm,
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
  return { ...runOf(config, path), weights: path, told: null };
}

/**
 * The norm of the network in a file: what the run that it lies in says, or its metadata. Needs `--allow-read`.
 * @returns Null where nothing says it.
 * @throws {DataError} When it is no file of weights, or lies beside a `config.json` that is none.
 */
export async function normOf(path: string): Promise<Norm | null> {
  const config = /^(last|best)\.safetensors$/.test(basename(path)) && await readRunConfigIfThere(dirname(path));
  if (config) return config.training.norm;
  const { metadata } = await readWeightsFile(path);
  return readNetworkMetadata(metadata, path)?.config.training.norm ?? null;
}

/** Says in what a file of weights differs from what is said of it. */
function differencesFrom(
  { dataset, method, training }: RunConfig,
  said: Pick<WeightsOptions, "dataset" | "method" | "patch" | "norm">,
): string[] {
  const pairs = [
    ["dataset", dataset, said.dataset?.name],
    ["method", method.name, said.method],
    ["patch", training.patch.join("x"), said.patch?.join("x")],
    ["norm", training.norm, said.norm],
  ];
  return pairs.filter(([, is, told]) => told !== undefined && told !== is).map(([name, is, told]) =>
    `${name} ${is}, not ${told}`
  );
}

/**
 * The statistics of the batch norms that suit a run, by its configuration and by whether its checkpoint holds
 * recomputed ones.
 */
export function statisticsOf(
  { profile, config: { training } }: Pick<Run, "profile" | "config">,
  { recomputed = false } = {},
): Statistics {
  return recomputed ? "recomputed" : training.statistics ?? presetOf(profile, training.preset).statistics;
}

/**
 * Loads a run with the weights of a checkpoint, ready to segment. TensorFlow must be open. Needs `--allow-read`.
 * @param source Its folder, or what was read of it.
 * @throws {DataError} As {@linkcode readRun}; when the checkpoint is not there, or one of another network; when it
 * cannot be had with the statistics that are wanted.
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
  const read = await readCheckpoint(path, spec), weights = toWeights(spec, read.state);
  const { precision = tensorflow().binding.single, overlap, mirror = false } = options;
  const suiting = statisticsOf(run, read);
  const statistics = options.batchNorm ?? (options.asPublished && suiting === "window" ? "running" : suiting);
  const cannot = `Cannot test "${path}" with ${statistics} statistics of its batch norms`;
  if (options.batchNorm && statistics !== "running" && training.norm !== "batch") {
    throw new DataError(`${cannot}: it has ${training.norm} norms, which have none; leave --batch-norm out`);
  }
  if (statistics === "running" && read.recomputed) {
    throw new DataError(`${cannot}: its training kept recomputed ones instead; use --batch-norm recomputed or window`);
  }
  if (statistics === "recomputed" && !read.recomputed) {
    const own = await recomputedOf(run, weights, { cannot, cases: options.cases ?? training.cases, precision });
    tf.dispose(weights.buffers);
    weights.buffers = own;
  }
  const ofInference = statistics === "window" ? statistics : "running";
  const inference = { patch: training.patch, statistics: ofInference, precision, overlap, mirror } as const;
  const probabilities = probabilitiesWith(profile, () => weights, inference);
  const { iteration, prefix } = read;
  const loaded = { ...run, file: path, checkpoint, prefix, iteration, weights, statistics, mirror, probabilities };
  const how = { ...loaded, overlap: profile.stride ? overlap ?? null : null };
  return withComponents(how, { components: options.components ?? profile.components, componentsChoice: null });
}

/** A run of whose masks other components are kept. */
export function withComponents(
  run: Omit<LoadedRun, "segment" | keyof ChosenComponents>,
  chosen: ChosenComponents,
): LoadedRun {
  const { probabilities, profile } = run, { components } = chosen;
  const segment: Segment = async (one) => maskOf(await probabilities(one), one.shape, { ...profile, components });
  return { ...run, ...chosen, segment };
}

/** Statistics of a run's own training patches. @throws {DataError} Where these are not known or not there. */
async function recomputedOf(
  { config: { split, training }, profile, folder }: Run,
  weights: NetworkParameters,
  { cannot, cases, precision }: { cannot: string; cases: string; precision: Precision },
): Promise<Weights> {
  const { patch, seed } = training, labeled: Split = { ...split, unlabeled: [], validation: [], test: [] };
  if (!labeled.labeled.length) {
    throw new DataError(`${cannot}: they are of its training cases, and of these nothing is known; name a run folder`);
  }
  const { cases: manifest } = await checkCases(labeled, cases, folder);
  const items = await readTrainingItems(cases, labeled, { profile, withUnlabeled: false, cases: manifest });
  return await recomputation(items, { profile, seed, patch, precision })(weights);
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
