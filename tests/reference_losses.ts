/**
 * What the first steps of every method give on both datasets: makes `tests/golden/reference_losses.json`, in which a change
 * of any draw, term, schedule or of the optimizer shows.
 *
 *     deno run --allow-read --allow-ffi --allow-env tests/reference_losses.ts > tests/golden/reference_losses.json
 *
 * Phantoms go through sampler, augmentation, schedule and step as in `tasks/train.ts`. Every step starts from the initial
 * weights, statistics and state of the method: a step multiplies the rounding of the one before, and processors round
 * differently. The momentum alone is carried on; it only adds.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs";
import { stream, streamKey } from "../pipeline/arrays/random.ts";
import type { Shape3 } from "../pipeline/arrays/shape.ts";
import { assembleBatch, type TrainingItem, type TrainingItems } from "../pipeline/data/batches.ts";
import { cinePhantom } from "../pipeline/datasets/acdc/phantom.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { createMethod, type Method } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, type MethodName, METHODS } from "../pipeline/methods/methods.ts";
import { warmupOf } from "../pipeline/methods/supervised.ts";
import type { Weights } from "../pipeline/networks/parameters.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { tensorsOf, withTensors } from "../pipeline/tensorflow/tree.ts";
import { scheduleAt } from "../pipeline/training/schedule.ts";
import {
  beginAnew,
  startState,
  toBatch,
  type TrainingState,
  trainingStep,
} from "../pipeline/training/training_step.ts";

/** Numbers by their names. */
type Numbers = Record<string, number>;
/** What the steps of a method give. */
export interface Reference {
  /** The losses of every step. */
  losses: Numbers[];
  /**
   * How far the last step moves weights, running statistics and the method's state: L2 norms of the change. And `decay`, the
   * product of momentum and weights: as weights in front of a batch norm are at right angles to their gradient, the weight
   * decay has a large part in it.
   */
  update: Numbers;
}

/**
 * The datasets with small patches: four voxels a row are left where a network is narrowest, as a batch norm over one or two
 * voxels multiplies rounding.
 */
export const SMALL = { la: { ...LA, patch: [32, 32, 16] as Shape3 }, acdc: { ...ACDC, patch: [32, 32] } };
/** A dataset's name. */
export type DatasetName = keyof typeof SMALL;

const SEED = 1, CASES = 6, VOLUME: Shape3 = [40, 44, 22], FRAME: Shape3 = [6, 40, 36];
/** Behind the warm-up, from 1, of the published length: its first step, and one in the ramp of the consistency weight. */
const ITERATIONS = [1, 2251];
/**
 * An untrained network is sure of nothing. Where only what is sure counts, the last layer begins times this, so that some of
 * the predictions pass the threshold.
 */
const SURENESS: Partial<Record<MethodName, number>> = { ua_mt: 8, fixmatch: 8 };

/** Labeled and unlabeled volumes, or slices, so many that every method's batch is filled. */
function phantomsOf(dataset: DatasetName): TrainingItems {
  const named = (name: string): TrainingItem[] => {
    if (dataset === "la") {
      const { image, label } = phantom(SEED, name, VOLUME);
      return [{ shape: VOLUME, image: [image], label }];
    }
    const { image, label } = cinePhantom(SEED, name, FRAME).ED, [slices, ...shape] = FRAME;
    const size = image.length / slices;
    return Array.from({ length: slices }, (_, i) => {
      const own = [i * size, (i + 1) * size];
      return { shape, image: [image.slice(...own)], label: label.slice(...own) };
    });
  };
  const all = (part: string) => Array.from({ length: CASES }, (_, i) => named(`${part} ${i}`)).flat();
  return { labeled: all("labeled"), unlabeled: all("unlabeled") };
}

/** The initial state. */
function startOf(name: MethodName, method: Method): TrainingState {
  const state = startState(method, stream(SEED, "weights"));
  for (const tensors of [state.weights, state.methodState]) {
    for (const key of Object.keys(tensors).filter((key) => key.endsWith("decoder.out_conv.weight"))) {
      const old = tensors[key];
      tensors[key] = tf.mul(old, SURENESS[name] ?? 1);
      old.dispose();
    }
  }
  return state;
}

/** A state whose tensors a step may dispose. */
function copyOf(state: TrainingState): TrainingState {
  return withTensors(state, tensorsOf(state).map((tensor) => tensor.clone()));
}

/** What a step has changed, as {@linkcode Reference} has it. */
function updateOf(before: TrainingState, after: TrainingState): Numbers {
  const sum = (tensors: Weights, of: (name: string) => tf.Tensor) =>
    tf.tidy(() => Object.keys(tensors).reduce((sum, name) => sum + tf.sum(of(name)).dataSync()[0], 0));
  const parts = (["weights", "buffers", "methodState"] as const).filter((part) => Object.keys(after[part]).length);
  const moved = parts.map((part) => {
    const square = (name: string) => tf.square(tf.sub(after[part][name], before[part][name]));
    return [part, Math.sqrt(sum(after[part], square))];
  });
  const decay = sum(after.momentum, (name) => tf.mul(after.momentum[name], before.weights[name]));
  return { ...Object.fromEntries(moved), decay };
}

/**
 * The reference of a method: a step of its own warm-up, where it has one, and those of {@linkcode ITERATIONS}, the last of them
 * with the strong augmentation. TensorFlow must be open.
 */
export async function referenceOf(dataset: DatasetName, name: MethodName): Promise<Reference> {
  const method = createMethod(METHODS[name], SMALL[dataset]), { profile, profile: { patch } } = method;
  const items = phantomsOf(dataset), warmup = method.warmup ? 1 : 0;
  const course = { profile, iterations: warmup + profile.iterations, warmup, rateSchedule: "published" } as const;
  const stages = [warmupOf(method), method].map((method) => ({ method, step: trainingStep(method, "fp32") }));
  const start = startOf(name, method), last = warmup + ITERATIONS.at(-1)!, losses: Numbers[] = [];
  let update: Numbers = {};
  for (const iteration of [...(warmup ? [1] : []), ...ITERATIONS.map((i) => warmup + i)]) {
    const { method: active, step } = stages[iteration <= warmup ? 0 : 1];
    if (iteration === warmup + 1) beginAnew(method, start);
    const { weight, learningRate, publishedIterations } = scheduleAt(iteration, course);
    const batch = assembleBatch(items, {
      augmentation: iteration === last ? "strong" : "published",
      withUnlabeled: active.usesUnlabeled,
      withStrongViews: active.hasStrongViews,
      ...{ profile, seed: SEED, iteration, patch },
    });
    const labelShape = [profile.labeledPerBatch, ...patch], shape = [batch.rows, ...patch, profile.channels];
    const targets = active.targets?.(batch.label, labelShape) ?? {};
    const inputs = toBatch({ ...batch, shape, labelShape, targets }, {
      seed: [streamKey(SEED, "noise") | 0, iteration],
      ...{ weight, learningRate },
      scheduled: active.scheduled?.(iteration - warmup - 1, publishedIterations / profile.iterations) ?? {},
    });
    const state = copyOf(start), found = await step(state, inputs);
    losses.push(Object.fromEntries(Object.entries(found).map(([name, loss]) => [name, loss.dataSync()[0]])));
    update = updateOf(start, state);
    const { weights, buffers, methodState, ...carried } = state, { momentum, hadGradient } = start;
    tf.dispose([{ ...inputs }, found, weights, buffers, methodState, momentum, hadGradient] as tf.TensorContainer);
    Object.assign(start, carried);
  }
  tf.dispose({ ...start });
  return { losses, update };
}

if (import.meta.main) {
  openTensorFlow({ device: "cpu" });
  const all: Record<string, Record<string, Reference>> = {};
  for (const dataset of Object.keys(SMALL) as DatasetName[]) {
    all[dataset] = {};
    for (const name of METHOD_NAMES) all[dataset][name] = await referenceOf(dataset, name);
  }
  const rounded = (_: string, value: unknown) => typeof value === "number" ? Number(value.toPrecision(7)) : value;
  console.log(JSON.stringify(all, rounded, 1));
}
