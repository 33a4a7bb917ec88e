/**
 * Schedules of the published runs, and how a shorter training follows them.
 * @module
 */
import type { DatasetProfile, Preset } from "../datasets/dataset.ts";
import { consistencyWeight } from "../losses/ramps.ts";

/**
 * Rate of optimizer step s = 1, 2, ...: `base * 0.1^floor((s - 1) / every)`. LA: base 0.01, every 2500; ACDC: every
 * `Infinity`, that is constant.
 *
 * @example LA takes its last half at a thousandth of the rate, and less
 * ```ts
 * import assert from "node:assert/strict";
 * import { stepRate } from "@ssnet/pipeline/training/schedule.ts";
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
 * `2 base`. Where the first `lowResolution` steps see smaller slices, these have `2 base` throughout, and the arc begins behind them,
 * for T - lowResolution steps and with `base` as its peak: the network learns another scale then.
 *
 * Papers: Loshchilov & Hutter 2017 (cosine), Smith & Topin 2019 (one cycle of a higher rate for few steps).
 */
export function cosineRate(
  step: number,
  { base, total, lowResolution = 0 }: { base: number; total: number; lowResolution?: number },
): number {
  if (step <= lowResolution) return HIGH * base;
  const s = step - lowResolution,
    length = total - lowResolution,
    rise = length / 20,
    peak = lowResolution ? base : HIGH * base;
  return s < rise ? peak * s / rise : peak * (1 + Math.cos(Math.PI * (s - rise) / (length - rise))) / 2;
}

/** Length and course of a training. */
export interface Schedule extends Pick<Preset, "iterations" | "warmup" | "rateSchedule"> {
  /** The published length, rate and ramp. */
  profile: Pick<DatasetProfile, "iterations" | "learningRate" | "consistency">;
  /** The first iterations on smaller slices; null or absent: none. */
  lowResolution?: { iterations: number } | null;
}

/** Where a training stands. */
export interface ScheduledValues {
  /** Weight of the unsupervised terms, 0 in the warm-up. */
  weight: number;
  /** Learning rate. */
  learningRate: number;
  /** Iterations behind the warm-up that are done, in units of the published training: from 0 on; 0 in the warm-up. */
  publishedIterations: number;
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
 * import { LA } from "@ssnet/pipeline/datasets/la/profile.ts";
 * import { scheduleAt } from "@ssnet/pipeline/training/schedule.ts";
 *
 * const course = { profile: LA, warmup: 0, rateSchedule: "published" } as const;
 * const short = scheduleAt(1001, { ...course, iterations: 1500 });
 * assert.deepEqual(short, scheduleAt(10001, { ...course, iterations: 15000 }));
 * ```
 */
export function scheduleAt(
  iteration: number,
  { profile, iterations, warmup, rateSchedule, lowResolution }: Schedule,
): ScheduledValues {
  const { learningRate, consistency } = profile, scale = profile.iterations / (iterations - warmup);
  const done = iteration - warmup - 1, publishedIterations = done * scale;
  const publishedRate = (): number => {
    if (done < 0) return learningRate.base;
    return "every" in learningRate
      ? stepRate(Math.floor(publishedIterations) + 1, learningRate)
      : polyRate(Math.floor(publishedIterations), { ...learningRate, total: profile.iterations });
  };
  const rates = {
    published: publishedRate,
    constant: () => learningRate.base,
    cosine: () =>
      cosineRate(iteration, { base: learningRate.base, total: iterations, lowResolution: lowResolution?.iterations }),
  };
  return {
    weight: done < 0 ? 0 : consistencyWeight((done + consistency.countsFrom) * scale, consistency),
    learningRate: rates[rateSchedule](),
    publishedIterations: done < 0 ? 0 : publishedIterations,
  };
}
