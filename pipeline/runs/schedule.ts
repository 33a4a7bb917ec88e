/**
 * Schedules of the published runs, and how a shorter training follows them.
 * @module
 */
import type { DatasetProfile, Preset } from "../datasets/dataset.ts";

/**
 * Ramp-up factor `exp(-5 (1 - clip(step, 0, length) / length)²)`.
 *
 * Paper: Laine & Aila, arXiv 1610.02242.
 *
 * @param step Position in the ramp, same unit as `length`; clamped to `[0, length]`.
 * @param length Length of the ramp; 0 switches the ramp off (factor 1).
 * @returns Factor in `[exp(-5), 1]`.
 * @throws {RangeError} If `length` is negative.
 *
 * @example The weight is full at the end of the ramp
 * ```ts
 * import assert from "node:assert/strict";
 * import { rampUp } from "@ssnet/pipeline";
 *
 * assert.equal(rampUp(0, 40), Math.exp(-5));
 * assert.equal(rampUp(40, 40), 1);
 * ```
 */
export function rampUp(step: number, length: number): number {
  if (length < 0) throw new RangeError(`Cannot ramp up over a negative length: current length is ${length}`);
  if (length === 0) return 1;
  const phase = 1 - Math.min(Math.max(step, 0), length) / length;
  return Math.exp(-5 * phase * phase);
}

/** Iterations per step of the ramp. */
const RAMP_INTERVAL = 150;

/**
 * Weight of the unsupervised terms: `maximum * rampUp(floor(iteration / 150), length)`.
 *
 * @param iteration SS-Net counts from 1 on LA (read after counting up), from 0 on ACDC; the others by `countsFrom`.
 * @param ramp LA: maximum 1, length 40. ACDC: maximum 0.1, length 200.
 * @returns Between `maximum * exp(-5)` and `maximum`; a staircase, constant over 150 iterations.
 *
 * @example LA's weight is full after 40 steps of 150 iterations
 * ```ts
 * import assert from "node:assert/strict";
 * import { consistencyWeight, LA } from "@ssnet/pipeline";
 *
 * assert.equal(consistencyWeight(6000, LA.consistency), 1);
 * assert.equal(consistencyWeight(149, LA.consistency), consistencyWeight(0, LA.consistency));
 * ```
 */
export function consistencyWeight(iteration: number, ramp: { maximum: number; length: number }): number {
  return ramp.maximum * rampUp(Math.floor(iteration / RAMP_INTERVAL), ramp.length);
}

/**
 * UA-MT's threshold: the consistency counts where the entropy is below `(0.75 + 0.25 rampUp(iteration, length)) ln 2`.
 *
 * Reference: UA-MT, `train_LA_meanteacher_certainty_unlabel.py`; ln 2 also where there are more than two classes.
 * @param iteration From 0. @param length Iterations of the whole training.
 * @returns In nats, up to ln 2.
 *
 * @example At the end all voxels of two classes count, but for those of probability 1/2
 * ```ts
 * import assert from "node:assert/strict";
 * import { uncertaintyThreshold } from "@ssnet/pipeline";
 *
 * assert.ok(Math.abs(uncertaintyThreshold(0, 6000) - 0.521028) < 1e-6);
 * assert.equal(uncertaintyThreshold(6000, 6000), Math.LN2);
 * ```
 */
export function uncertaintyThreshold(iteration: number, length: number): number {
  return (0.75 + 0.25 * rampUp(iteration, length)) * Math.LN2;
}

/**
 * Rate of optimizer step s = 1, 2, ...: `base * 0.1^floor((s - 1) / every)`. LA: base 0.01, every 2500; ACDC: every
 * `Infinity`, that is constant.
 *
 * @example LA takes its last half at a thousandth of the rate, and less
 * ```ts
 * import assert from "node:assert/strict";
 * import { stepRate } from "@ssnet/pipeline";
 *
 * assert.equal(stepRate(2500, { base: 0.01, every: 2500 }), 0.01);
 * assert.ok(Math.abs(stepRate(7501, { base: 0.01, every: 2500 }) - 1e-5) < 1e-18);
 * ```
 */
export function stepRate(step: number, { base, every }: { base: number; every: number }): number {
  return base * 0.1 ** Math.floor((step - 1) / every);
}

/** Rate of step j = 0, 1, ... of the compared methods: `base * (1 - max(j - 1, 0) / total)^power`, set one step late as there. */
export function polyRate(step: number, { base, total, power }: { base: number; total: number; power: number }): number {
  return base * (1 - Math.max(step - 1, 0) / total) ** power;
}

/** The highest rate of a short training, in units of the published one. */
const HIGH = 2;

/**
 * Rate of optimizer step s = 1, 2, ... of a short training of T steps: along one arc, to its peak in the first twentieth,
 * `peak s / (T / 20)`, then down along half a cosine to 0, `peak (1 + cos(π (s - T / 20) / (T - T / 20))) / 2`. The peak is
 * `2 base`. Where the first `coarse` steps see smaller slices, these have `2 base` throughout, and the arc begins behind them,
 * for T - coarse steps and with `base` as its peak: the network learns another scale then.
 *
 * Papers: Loshchilov & Hutter 2017 (cosine), Smith & Topin 2019 (one cycle of a higher rate for few steps).
 */
export function cosineRate(
  step: number,
  { base, total, coarse = 0 }: { base: number; total: number; coarse?: number },
): number {
  if (step <= coarse) return HIGH * base;
  const s = step - coarse, length = total - coarse, rise = length / 20, peak = coarse ? base : HIGH * base;
  return s < rise ? peak * s / rise : peak * (1 + Math.cos(Math.PI * (s - rise) / (length - rise))) / 2;
}

/** Length and course of a training. */
export interface Schedule extends Pick<Preset, "iterations" | "warmup" | "rateSchedule"> {
  /** The published length, rate and ramp. */
  profile: Pick<DatasetProfile, "iterations" | "rate" | "consistency">;
  /** The first iterations on smaller slices; null or absent: none. */
  coarse?: { iterations: number } | null;
}

/** Where a training stands. */
export interface ScheduledValues {
  /** Weight of the unsupervised terms, 0 in the warm-up. */
  weight: number;
  /** Learning rate. */
  rate: number;
  /** Iterations behind the warm-up that are done, in units of the published training: from 0 on; 0 in the warm-up. */
  published: number;
}

/**
 * Consistency weight and learning rate of an iteration. Lengths that the protocol gives in iterations shrink with a
 * shorter training: else it would never see its unsupervised terms.
 *
 * @param iteration From 1, the warm-up included.
 *
 * @example A tenth of the published length is at the same place of ramp and rate after a tenth of the iterations
 * ```ts
 * import assert from "node:assert/strict";
 * import { LA, scheduleAt } from "@ssnet/pipeline";
 *
 * const course = { profile: LA, warmup: 0, rateSchedule: "published" } as const;
 * const short = scheduleAt(1001, { ...course, iterations: 1500 });
 * assert.deepEqual(short, scheduleAt(10001, { ...course, iterations: 15000 }));
 * ```
 */
export function scheduleAt(
  iteration: number,
  { profile, iterations, warmup, rateSchedule, coarse }: Schedule,
): ScheduledValues {
  const { rate, consistency } = profile, scale = profile.iterations / (iterations - warmup);
  const done = iteration - warmup - 1, published = done * scale;
  const publishedRate = (): number => {
    if (done < 0) return rate.base;
    return "every" in rate
      ? stepRate(Math.floor(published) + 1, rate)
      : polyRate(Math.floor(published), { ...rate, total: profile.iterations });
  };
  const rates = {
    published: publishedRate,
    constant: () => rate.base,
    cosine: () => cosineRate(iteration, { base: rate.base, total: iterations, coarse: coarse?.iterations }),
  };
  return {
    weight: done < 0 ? 0 : consistencyWeight((done + consistency.countsFrom) * scale, consistency),
    rate: rates[rateSchedule](),
    published: done < 0 ? 0 : published,
  };
}
