/**
 * What a dataset is: its profile (network, patch, batch, classes, published schedule), and what else one folder of
 * `pipeline/datasets` gives: the way from raw files to cases, published lists and tables, phantoms. No other file asks for a
 * dataset's name.
 * @module
 */
import type { Components } from "../arrays/components.ts";
import type { NetworkName } from "../networks/network.ts";
import type { AxisOrder } from "../arrays/geometry.ts";
import type { Plan } from "../records/plan.ts";
import type { PreparedCase, Problems } from "./prepared_case.ts";
import type { Norm } from "../tensorflow/norms.ts";
import type { PrecisionWish } from "../tensorflow/precision.ts";
import type { Augmentation, Statistics } from "../records/run.ts";

/** Everything that a preset of a training changes. */
export interface Preset {
  /** Iterations of the whole training, the warm-up included. */
  iterations: number;
  /** What it wants of any device. */
  precision: PrecisionWish;
  /** First iterations on the labeled half alone. */
  warmup: number;
  /** "published": the course of the method's own rate; "constant": its base; "cosine": {@linkcode cosineRate} over the whole training. */
  rateSchedule: "published" | "constant" | "cosine";
  /** Whether the moving average of the weights is tested instead of the last ones ({@linkcode withEma}). */
  ema: boolean;
  /** How its patches are augmented. */
  augmentation: Augmentation;
  /** Statistics of the batch norms that suit its length. */
  statistics: Statistics;
  /**
   * The first `share` of the labeled-only iterations, warm-up or labeled-only training, see slices resized to a
   * smaller `patch`, which costs less; null: none. Only where a patch is a whole slice: a volume's patch would show less of it.
   */
  lowResolution: { patch: readonly number[]; share: number } | null;
}

/**
 * The published course of a learning rate: a tenth of it after every so many iterations (Infinity: constant), or
 * `(1 - s/T)^power`.
 */
export type Rate = { base: number } & ({ every: number } | { power: number });

/** The datasets that the methods were published on. */
export type Protocol = "la" | "acdc";

/** A dataset and SS-Net's published protocol on it; another method spreads it and changes what its own paper has differently. */
export interface DatasetProfile {
  /** The name in tasks, split files and run folders. */
  name: string;
  /** The authors whose published code and tables a method follows: it looks up by it what they do differently there. */
  protocol: Protocol;
  /** Number of channels of an image. */
  channels: number;
  /** Their names, in order, as results print them. */
  channelNames: readonly string[];
  /** Number of classes, background included. */
  classes: number;
  /** Names of the classes from 1 on, as results print them. */
  classNames: readonly string[];
  /** What is tested: V-Net for volumes, U-Net for slices, or a method's own. */
  network: NetworkName;
  /** What stands behind the network's convolutions; published: batch norm, of URPC's network for volumes one of its own. */
  norm: Norm;
  /** Voxels of a network input along every axis. */
  patch: readonly number[];
  /** Labeled rows of a batch; they come first. */
  labeledPerBatch: number;
  /** Unlabeled rows behind them, for a method that takes any. */
  unlabeledPerBatch: number;
  /** Which way the axes of its published files run, in the order of its arrays: "LPS". */
  orientation: string;
  /** True millimeters along every axis, where the headers of the dataset's published files say 1; null: they are right. */
  knownSpacing: number | null;
  /** Published first iterations on the labeled half alone; the base rate holds in them. */
  warmup: number;
  /** Published iterations behind the warm-up; every length below belongs to them and shrinks with a shorter training. */
  iterations: number;
  /** Learning rate. */
  learningRate: Rate;
  /** Weight of the unsupervised terms: its maximum, the length of its ramp in steps, and the number of the first iteration. */
  consistency: { maximum: number; length: number; countsFrom: 0 | 1 };
  /** Published stride of the sliding window; null where there is none. */
  stride: readonly number[] | null;
  /** Which connected components of a prediction are kept, as published. */
  components: Components;
  /** Which one is tested: the best of the validation cases as published, or the last where the authors chose by the test cases. */
  checkpoint: "best" | "last";
  /** A short training, on the labeled half alone at first. */
  fast: Preset;
  /** What stands for its cases where times are taken without any. */
  bench: BenchShapes;
}

/** Sizes of a dataset's cases, for the benchmarks. */
export interface BenchShapes {
  /** Size of a case, about the mean: `[X, Y, Z]`, or `[Z, Y, X]` of slices. */
  volume: readonly [number, number, number];
  /** Gray levels for each unit of the prepared intensities, about as many as real cases have. */
  grayLevels: number;
  /** A box of every class from 1 on in a row of the published patch, in voxels. */
  boxes: readonly { from: readonly number[]; to: readonly number[] }[];
}

/** "paper": the published training; "fast": the profile's short one. */
export function presetOf(profile: DatasetProfile, name: "paper" | "fast"): Preset {
  if (name === "fast") return profile.fast;
  const { warmup, iterations } = profile;
  return {
    iterations: warmup + iterations,
    precision: "single",
    warmup,
    rateSchedule: "published",
    ema: false,
    augmentation: "published",
    statistics: "running",
    lowResolution: null,
  };
}

/** Options by name, a zod object: each with its default and a description for `--help`. */
export interface OptionSchema<Options = Record<string, unknown>> {
  /**
   * Gives all of them, defaults included.
   * @throws For an option that there is not, or a value that it cannot have.
   */
  parse(given: unknown): Options;
  /** The schema of each. */
  readonly shape: Readonly<Record<string, unknown>>;
}

/** What a split counts and draws: single cases, or patients with all their frames. */
export type Unit = "case" | "patient";

/** Options of a preparation, as they stand in the manifest. */
export type PreparationOptions = Record<string, string | number | boolean>;

/** The way from raw files to cases. */
export interface Preparation {
  /** Options of `preprocess` beside --raw and --cases, each with a description for `--help`; they stand in the manifest. */
  options: OptionSchema;
  /**
   * What a raw folder holds, in order, a name each: cases, or patients of several.
   * @throws {DataError} When the folder is not one of this dataset.
   */
  names(raw: string): Promise<string[]>;
  /**
   * Reads, checks and prepares all cases of a name.
   * @returns Them in order, or all that is wrong with any.
   */
  prepare(raw: string, name: string, options: PreparationOptions): Promise<PreparedCase[] | Problems>;
  /**
   * The intensities of a source's image as the network reads them, by those of the image or of a sample of it.
   * @param image One channel of it. @param channel Which one, from 0.
   */
  intensities(image: Float32Array, sample?: Float32Array, channel?: number): Float32Array;
  /**
   * Writes files of the field's own format beside the cases, where an option asks for them.
   * @param folder Of the cases.
   */
  exportCase?(folder: string, one: PreparedCase["prepared"], options: PreparationOptions): Promise<void>;
  /** Folders that `exportCase` may make. */
  exports?: string[];
}

/** How many phantoms of which size. */
export interface PhantomSet {
  /** Seed of everything random. */
  seed: number;
  /** Cases or patients. */
  count: number;
  /** Size of a volume, in the order of its axes. */
  shape: readonly [number, number, number];
}

/** A training that is a matter of seconds, on phantoms. */
export interface SmallTraining {
  /** What it is trained and tested on. */
  phantoms: PhantomSet;
  /** Input of its network. */
  patch: readonly number[];
  /** Iterations, the warm-up included. */
  iterations: number;
  /** Units that are drawn for them. */
  split: { validation: number; test: number };
}

/** A dataset: profile, way from raw files to cases, published lists and table. */
export interface Dataset extends DatasetProfile {
  /** How one of its user's own is prepared and trained on; absent of those that come with the project. */
  plan?: Plan;
  /** The name that readers know. */
  title: string;
  /** What a split counts. */
  unit: Unit;
  /** Axes of its volumes. */
  axes: AxisOrder;
  /** Labeled units of the published tables, ascending; the last one is the whole training list. */
  labeledCounts: readonly number[];
  /** The one of them that a split takes where none is given; null: all that are left. */
  usualLabeledCount: number | null;
  /** Files of the published lists, a name a line; null where there are none, and a split is drawn. */
  lists: { train: URL; validation?: URL; test: URL } | null;
  /** The published table with its protocol; null where there is none. */
  publishedResults: URL | null;
  /**
   * What holds for its data, and so for a network that was trained on it: whom to cite, the licence; null: who has the
   * data knows.
   */
  terms: string | null;
  /** The way from raw files to cases. */
  preparation: Preparation;
}

/** A dataset that comes with the project: it has phantoms, too. */
export interface BuiltInDataset extends Dataset {
  /** Writes raw phantoms as the dataset is handed out. */
  writePhantoms(raw: string, set: PhantomSet): Promise<void>;
  /** The training of `reproduce --scale ci`. */
  ci: SmallTraining;
}

/** Names of so many phantoms: `NAME001`, `NAME002`, …. */
export const numbered = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${name}${String(i + 1).padStart(3, "0")}`);
