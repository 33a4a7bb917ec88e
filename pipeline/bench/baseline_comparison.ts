/**
 * Is one version faster than another? The ratio of their seconds with an interval that assumes no distribution:
 *
 * - runs in turn (`--with`): the ratios of the rounds, each of two runs that followed one another, so that a machine
 *   that grows slower changes none of them; the interval of their median is that of the sign test (order statistics);
 * - a file against this tree: all quotients of a repetition now and one in the file; the interval of their median is
 *   that of the Mann-Whitney test (Hodges & Lehmann, Annals of Mathematical Statistics 34, 1963). A day lies between
 *   the two, and what it did to the machine is in the ratio.
 * @module
 */
import type { Measurement } from "../records/measurement.ts";
import { type Series, seriesOf } from "./measurements.ts";
import { median } from "../arrays/quantiles.ts";

/** How often an interval must hold the true ratio: of a hundred equal benchmarks one may be called otherwise. */
export const CONFIDENCE = 0.99;
/** The part of the seconds below which a difference is of no interest, however sure. */
export const TOLERANCE = 0.02;

/** Seconds now over seconds before. */
export interface Ratio {
  /** The middle of the interval. */
  ratio: number;
  /** Lower end of the interval; 0 where there are too few values for one. */
  low: number;
  /** Upper end of the interval; infinite (in JSON null) where there are too few values for one. */
  high: number;
}

/** The interval that leaves the first and the last `outside - 1` values out; without bounds for 0. */
function between(values: number[], outside: number): Ratio {
  const sorted = values.toSorted((a, b) => a - b), n = sorted.length;
  const [low, high] = outside ? [sorted[outside - 1], sorted[n - outside]] : [0, Infinity];
  return { ratio: n ? median(sorted) : NaN, low, high };
}

/**
 * How many of the first outcomes 0, 1, 2, … together have at most half of what the confidence leaves.
 * @param ways Of each outcome; symmetric, so both sides together have what it leaves.
 */
function rejected(ways: number[]): number {
  const total = ways.reduce((a, b) => a + b, 0);
  let sum = 0, count = 0;
  while (2 * (sum + ways[count]) <= (1 - CONFIDENCE) * total) sum += ways[count++];
  return count;
}

/**
 * The median of the rounds' ratios now / before, and between which of the sorted ones it lies: from the k-th to the
 * k-th from the end, `2 P(Binomial(n, 1/2) < k) ≤ 0.01`. Below 8 rounds there is no such k.
 * @param before Seconds by round. @param now Of the same rounds.
 * @throws {RangeError} When they are not as many.
 */
export function ratioInTurn(before: readonly number[], now: readonly number[]): Ratio {
  if (before.length !== now.length) throw new RangeError(`${before.length} rounds before, ${now.length} now`);
  const ways = [1];
  for (let i = 0; i < now.length; i++) ways.push(ways[i] * (now.length - i) / (i + 1)); // n over i
  return between(now.map((seconds, i) => seconds / before[i]), rejected(ways));
}

/**
 * The median of all quotients now / before, and between which of the sorted ones it lies: from the k-th to the k-th
 * from the end, `2 P(U < k) ≤ 0.01` for the U of Mann and Whitney. Of 5 and 5 repetitions there is one, of 4 and 4 none.
 * @param before Seconds of every repetition. @param now The same, as many as there are.
 */
export function ratioOfSamples(before: readonly number[], now: readonly number[]): Ratio {
  const m = before.length, n = now.length, ways = Array<number>(m * n + 1).fill(0);
  // Arrangements by U: the coefficients of Π (1 - q^(n + i)) / (1 - q^i), i = 1 … m.
  ways[0] = 1;
  for (let i = 1; i <= m; i++) {
    for (let u = m * n; u >= n + i; u--) ways[u] -= ways[u - n - i];
    for (let u = i; u <= m * n; u++) ways[u] += ways[u - i];
  }
  return between(now.flatMap((a) => before.map((b) => a / b)), rejected(ways));
}

/** What is said of a benchmark. */
export type Verdict = "faster" | "slower" | "noise";

/** "faster" or "slower" when the whole interval lies beyond 2 % to one side of 1; else "noise". */
export function verdictOf({ low, high }: Pick<Ratio, "low" | "high">): Verdict {
  return high < 1 / (1 + TOLERANCE) ? "faster" : low > 1 + TOLERANCE ? "slower" : "noise";
}

/**
 * Runs two sides in turn; every second round in the other order, so that neither is always the first.
 * @param rounds How often each.
 * @returns What each gave, by round.
 */
export async function inTurn<T>(
  rounds: number,
  { before, now }: { before: () => Promise<T>; now: () => Promise<T> },
): Promise<{ before: T[]; now: T[] }> {
  const results = { before: [] as T[], now: [] as T[] };
  for (let i = 0; i < rounds; i++) {
    const order = i % 2 ? ["now", "before"] as const : ["before", "now"] as const;
    for (const side of order) results[side].push(await (side === "now" ? now() : before()));
  }
  return results;
}

/** One series of times in both versions. */
export interface Compared extends Ratio {
  /** The name of the series. */
  name: string;
  /** Seconds of the baseline: in turn the minimum of every round, else every repetition of the file. */
  before: number[];
  /** Seconds of this tree, likewise. */
  now: number[];
  /** {@linkcode verdictOf} */
  verdict: Verdict;
}

/** All series of a benchmark in both versions. */
export interface Comparison {
  /** The series that both have. */
  series: Compared[];
  /** Names that only one of the two has. */
  unpaired: string[];
  /** Medians. */
  peakMemoryGb: { before: number; now: number };
}

/**
 * Compares two versions of one benchmark.
 * @param sides Measurements of either: of every round, or the one of a file and one of this tree.
 * @param isInTurn Whether they are rounds.
 */
export function compared(
  { before, now }: Record<"before" | "now", Measurement[]>,
  { isInTurn }: { isInTurn: boolean },
): Comparison {
  const valuesOf = (rounds: Measurement[]): Record<string, number[]> => {
    const all = rounds.map(seriesOf), names = all[0].map(({ name }) => name);
    const of = (name: string) => all.map((series) => series.find((one) => one.name === name) as Series);
    const values = (name: string) => isInTurn ? of(name).map(({ minimum }) => minimum) : of(name)[0].all;
    return Object.fromEntries(names.map((name) => [name, values(name)]));
  };
  const [old, own] = [before, now].map(valuesOf), names = [...new Set([...Object.keys(old), ...Object.keys(own)])];
  const isThere = (name: string) => name in old && name in own;
  const peak = (rounds: Measurement[]) => median(rounds.map(({ peakMemoryGb }) => peakMemoryGb));
  return {
    series: names.filter(isThere).map((name) => {
      const ratio = (isInTurn ? ratioInTurn : ratioOfSamples)(old[name], own[name]);
      return { name, before: old[name], now: own[name], ...ratio, verdict: verdictOf(ratio) };
    }),
    unpaired: names.filter((name) => !isThere(name)),
    peakMemoryGb: { before: peak(before), now: peak(now) },
  };
}
