/** Work that is repeated, and its seconds. @module */
import { median } from "../arrays/quantiles.ts";
import type { Times } from "../records/measurement.ts";

/** What was measured of one piece of work. */
export interface Timing {
  /** Seconds of the repetition that is not counted. */
  firstSeconds: number;
  /** Seconds of the others. */
  seconds: Times;
}

/** Rounds to a number of digits behind the point. */
export const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Seconds as they are reported. @param seconds At least one. */
export function timesOf(seconds: readonly number[]): Times {
  const all = seconds.map((value) => round(value, 6));
  return { minimum: Math.min(...all), median: round(median(all), 6), all };
}

/**
 * Runs the work once for nothing and then so many times.
 * @param work Gets the number of the repetition, the uncounted one is 0.
 */
export async function repeat(iterations: number, work: (i: number) => unknown): Promise<Timing> {
  const seconds: number[] = [];
  for (let i = 0; i <= iterations; i++) {
    const begun = performance.now();
    await work(i);
    seconds.push((performance.now() - begun) / 1000);
  }
  const [first, ...rest] = seconds;
  return { firstSeconds: round(first, 3), seconds: timesOf(rest) };
}
