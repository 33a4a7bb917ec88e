/**
 * What a method is to the trainer: a network, state of its own, and one pure training step that `trace` turns into one
 * TensorFlow function. The trainer owns the optimizer, the schedule, checkpoints and logging.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { z } from "zod";
import type { DatasetProfile, OptionSchema } from "../datasets/dataset.ts";
import { Pass } from "../networks/layers.ts";
import type { Forward, NetworkOutputs } from "../networks/scope.ts";
import type { NetworkSpec, Weights } from "../networks/parameters.ts";
import type { Norm } from "../tensorflow/norms.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { elementwise } from "../tensorflow/ops.ts";
import { tensorsOf } from "../tensorflow/tree.ts";

/** What a training step reads. */
export interface StepInputs {
  /** Every parameter, in TensorFlow's layout. */
  weights: Weights;
  /** Running statistics. */
  buffers: Weights;
  /** The method's own state, by name (SS-Net: the feature bank). */
  methodState: Weights;
  /** Batch `[B, X, Y, Z, C]` or `[B, H, W, C]`: labeled rows, unlabeled ones, and the strong views of these where the method has them. */
  x: Tensor;
  /** int32 labels of the labeled rows `[L, X, Y, Z]` or `[L, H, W]`. */
  label: Tensor;
  /** int32 `[2]`: all noise of the step depends on it alone; another one per iteration. */
  seed: Tensor1D;
  /** Weight of the unsupervised terms at this iteration. */
  consistencyWeight: Scalar;
  /** What the method's `scheduled` gives for this iteration. */
  scheduled: Record<string, Scalar>;
  /** What the method's `targets` and `hostWork` give for this batch. */
  targets: Record<string, Tensor>;
}

/** What a training step gives. */
export interface StepOutputs {
  /**
   * Named losses. `total` is the one that was differentiated; `supervised` its part on the labeled rows, which every method
   * has and compares by.
   */
  losses: Record<"total" | "supervised", Scalar> & Record<string, Scalar>;
  /** `gradients[i]` belongs to the i-th parameter; null where none can arrive. */
  gradients: (Tensor | null)[];
  /** Whether a parameter took part, by the first part of its name: 1, or 0 if its gradient is absent (not zero) this time. */
  participation: Record<string, Scalar>;
  /** Running statistics after the step, all of them. */
  buffers: Weights;
  /** The method's own state after the step, all of it. */
  methodState: Weights;
}

/** An array that the host made for a batch. */
export interface HostArray {
  /** Its numbers, the last axis fastest. */
  data: Float32Array | Int32Array;
  /** Its shape, rows first. */
  shape: number[];
}

/** What a method is made with, beside the dataset. */
export interface MethodOptions<Settings = object> {
  /** All settings of the definition's schema. */
  settings: Settings;
  /** Patch of the training: SASSNet's 2-D discriminator is made for a size. */
  patch: readonly number[];
}

/** A method for any dataset: what one file of `pipeline/methods` exports. */
export interface MethodDefinition {
  /** The name that papers print. */
  title: string;
  /** What may be changed in it, with the published values on a dataset as defaults and a description of each for `--help`. */
  settings(dataset: DatasetProfile): OptionSchema;
  /** The method on a dataset. */
  create(dataset: DatasetProfile, options: MethodOptions): Method;
}

/** Defines a method whose `create` knows the types of its settings; a method that has none leaves the schema out. */
export function defineMethod<Settings extends object>(
  { title, settings, create }: {
    title: string;
    settings?(dataset: DatasetProfile): OptionSchema<Settings>;
    create(dataset: DatasetProfile, options: MethodOptions<Settings>): Method;
  },
): MethodDefinition {
  return { title, settings: (settings ?? (() => z.strictObject({}))) as MethodDefinition["settings"], create };
}

/**
 * Makes a method for a dataset, as published but for what is given.
 * @param options `settings`: those that differ; `patch` and `norm`: the training's, where they are not the dataset's.
 * @throws {z.ZodError} For a setting that the method does not have, or not with such a value.
 * @throws {RangeError} As `buildNetwork`, for a norm that its network cannot have.
 *
 * @example SS-Net with a smaller bank
 * ```ts
 * import assert from "node:assert/strict";
 * import { LA } from "@ssnet/pipeline/datasets/la/profile.ts";
 * import { createMethod } from "@ssnet/pipeline/methods/method.ts";
 * import { METHODS } from "@ssnet/pipeline/methods/methods.ts";
 *
 * const method = createMethod(METHODS.ssnet, LA, { settings: { bankRows: 8 } });
 * assert.ok(method.usesUnlabeled);
 * assert.throws(() => createMethod(METHODS.dtc, LA, { settings: { bankRows: 8 } }), /bankRows/);
 * ```
 */
export function createMethod(
  definition: MethodDefinition,
  dataset: DatasetProfile,
  { settings = {}, patch = dataset.patch, norm = dataset.norm }: {
    settings?: object;
    patch?: readonly number[];
    norm?: Norm;
  } = {},
): Method {
  return definition.create(norm === dataset.norm ? dataset : { ...dataset, norm }, {
    settings: definition.settings(dataset).parse(settings),
    patch,
  });
}

/** A method on a dataset, as the trainer takes it. */
export interface Method {
  /** The dataset's profile with what this method changes in it: network, batch, schedule, inference. */
  profile: DatasetProfile;
  /** Parameters and running statistics, heads included: what a checkpoint holds. */
  spec: NetworkSpec;
  /** Whether unlabeled rows are read at all. */
  usesUnlabeled: boolean;
  /** Whether the unlabeled rows come a second time behind them, with other intensities; else the field is absent. */
  hasStrongViews?: true;
  /**
   * The method's own state before the first step, by name.
   * @param random Uniform in [0, 1).
   */
  methodState(random: () => number): Weights;
  /** Losses, gradients and new state of one iteration; pure, runs once per shape on symbols ({@linkcode trace}). */
  step(inputs: StepInputs): StepOutputs;
  /**
   * What follows the optimizer's update, in the same traced function: a teacher, a discriminator. Its losses are logged beside
   * the step's.
   * @param inputs The step's, with weights, buffers and state as they are now.
   */
  afterUpdate?(inputs: StepInputs): { losses: Record<string, Scalar>; methodState: Weights };
  /** The step of the published or short warm-up, on labeled rows alone, with `targets`; without it the labeled-only one. */
  warmup?: Method["step"];
  /** Parts of the state that begin anew when the warm-up is over; the others go on. */
  begin?(state: { weights: Weights; buffers: Weights }): { methodState?: Weights; momentum?: "zeros" };
  /**
   * Numbers that change from iteration to iteration beside weight and rate.
   * @param iteration Behind the warm-up, from 0.
   * @param share Of the training behind the warm-up that is done, in [0, 1).
   */
  scheduled?(iteration: number, share: number): Record<string, number>;
  /**
   * Targets that the host makes from the labels while the step before is computed.
   * @param shape `[L, ...patch]`
   */
  targets?(label: Int32Array, shape: number[]): Record<string, HostArray>;
  /** Work of the host on what a first traced function gives, in front of the step. */
  hostWork?: {
    /** Pure and traced, as the step is. */
    read(inputs: StepInputs): Tensor;
    /** Makes more targets of its int32 values. */
    work(values: Int32Array, shape: number[]): Record<string, HostArray>;
  };
}

/** Rows of a method's batch by what they are. */
export function batchRows(
  { profile: { labeledPerBatch, unlabeledPerBatch }, usesUnlabeled, hasStrongViews }: Omit<Method, "step">,
): Record<"labeled" | "unlabeled", number> {
  const unlabeled = usesUnlabeled ? unlabeledPerBatch : 0;
  return { labeled: labeledPerBatch, unlabeled: hasStrongViews ? 2 * unlabeled : unlabeled };
}

/** Value of a loss and its gradients by every weight, null where none can arrive. */
export function gradientsOf(loss: () => Tensor, weights: Weights): { value: Scalar; gradients: (Tensor | null)[] } {
  // tf.variableGrads wants tf.Variable, which a trace cannot hold.
  // deno-lint-ignore no-explicit-any
  const { value, grads } = (tf.engine() as any).gradients(loss, Object.values(weights), null, true);
  return { value, gradients: Object.values(weights).map((_, i) => grads[i] ?? null) };
}

/**
 * Gradients of `total` by every weight, and all that stands beside it: the tensors of the tree outlive the function.
 * @param terms Gives the loss and what else it comes by, in lists and records.
 */
export function differentiate<Terms extends { total: Scalar }>(
  terms: () => Terms,
  weights: Weights,
): Terms & { gradients: (Tensor | null)[] } {
  let found!: Terms;
  const { gradients } = gradientsOf(() => {
    found = terms();
    tensorsOf(found).forEach((tensor) => tf.keep(tensor));
    return found.total;
  }, weights);
  return { ...found, gradients };
}

/**
 * A step of one training pass over all rows of x, dropout from the step's seed: what most methods are.
 * @param lossesOf From the network's outputs: `total` is differentiated, all are reported.
 */
export function onePassStep(
  { weights, buffers, methodState, x, seed }: StepInputs,
  forward: Forward,
  lossesOf: (outputs: NetworkOutputs) => StepOutputs["losses"],
): StepOutputs {
  const pass = new Pass(weights, { ...buffers }, { training: true, updateStatistics: true, dropoutSeed: seed });
  const { gradients, ...losses } = differentiate(() => lossesOf(forward(pass, x)), weights);
  return { losses, gradients, participation: {}, buffers: pass.buffers, methodState };
}

/** Sums of two lists of gradients, null where neither has one. */
export function addGradients(a: (Tensor | null)[], b: (Tensor | null)[]): (Tensor | null)[] {
  const both = a.flatMap((g, i) => g && b[i] ? [i] : []);
  const [sums] = both.length
    ? elementwise([both.map((i) => a[i]!), both.map((i) => b[i]!)], (a, b) => [tf.add(a, b)])
    : [[]];
  return a.map((g, i) => both.includes(i) ? sums[both.indexOf(i)] : g ?? b[i]);
}
