/**
 * Statistics of a comparison of methods: the patient is the unit, seeds are averaged first. Mean and standard deviation
 * over seeds, a bootstrap interval over patients (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, section
 * 13.3), the paired signed-rank test (Wilcoxon, Biometrics Bulletin 1, 1945) as SciPy computes it, and Holm's
 * correction (Scandinavian Journal of Statistics 6, 1979).
 * @module
 */
import { quantile } from "../arrays/quantiles.ts";
import { stream } from "../arrays/random.ts";
import { patientRows, spread } from "./summary.ts";
import type { ResultRow, Scores } from "../records/evaluation.ts";

/**
 * The number of patients below which nothing is tested: of 7 pairs the smallest p is 1/64, which the correction over
 * four methods lifts above 0.05.
 */
export const FEWEST_PATIENTS = 8;

/** A value by the patient's name; null where it does not exist. */
export type ByPatient = Record<string, number | null>;

/**
 * Scores of every patient: ED and ES averaged class by class, then the mean over the classes that have a value. A case
 * that names no patient is a patient of its own.
 * @param convention For empty masks: {@linkcode ScoreRow}.
 */
export function patientScores(
  rows: readonly ResultRow[],
  convention: "published" | "honest",
): Record<string, Scores> {
  const patients = patientRows(rows.map((row) => ({ ...row, patient: row.patient ?? row.case })));
  const scores: Record<string, Scores> = {};
  for (const [patient, classes] of Object.entries(Object.groupBy(patients, (row) => row.case))) {
    const mean = (metric: keyof Scores) => spread(classes!.map((row) => row[convention][metric])).mean;
    scores[patient] = { dice: mean("dice"), jaccard: mean("jaccard"), hd95: mean("hd95"), asd: mean("asd") };
  }
  return scores;
}

/** One number of a method over its seeds. */
export interface SeedSummary {
  /** The mean over the seeds that have a value, by patient. */
  values: ByPatient;
  /** Mean of `values`; null where no patient has one. */
  mean: number | null;
  /** Sample standard deviation of the seeds' means over patients; null for fewer than two seeds. */
  standardDeviation: number | null;
  /** 95 % interval of `mean` over patients: {@linkcode bootstrapInterval}. */
  interval: [number, number] | null;
  /** How many patients have a value. */
  patients: number;
}

/**
 * A number over seeds: averaged per patient first, so that mean, interval and test are all of the same values.
 * @param seeds The values of every seed.
 * @throws {RangeError} When two seeds have different patients.
 *
 * @example Two seeds of two patients
 * ```ts
 * import assert from "node:assert/strict";
 * import { overSeeds } from "@ssnet/pipeline/evaluation/statistics.ts";
 *
 * const { values, mean, standardDeviation } = overSeeds([{ a: 0.5, b: 0.75 }, { a: 1, b: 0.75 }]);
 * assert.deepEqual(values, { a: 0.75, b: 0.75 });
 * assert.deepEqual([mean, standardDeviation], [0.75, Math.sqrt(2 * 0.125 ** 2)]);
 * ```
 */
export function overSeeds(seeds: readonly ByPatient[]): SeedSummary {
  const names = Object.keys(seeds[0] ?? {});
  for (const seed of seeds) {
    if (names.length === Object.keys(seed).length && names.every((name) => name in seed)) continue;
    throw new RangeError(`Cannot average seeds with different patients: ${names} and ${Object.keys(seed)}`);
  }
  const values = Object.fromEntries(names.map((name) => [name, spread(seeds.map((seed) => seed[name])).mean]));
  const { mean, cases: patients } = spread(Object.values(values));
  const { standardDeviation } = spread(seeds.map((seed) => spread(Object.values(seed)).mean));
  return { values, mean, standardDeviation, interval: bootstrapInterval(present(Object.values(values))), patients };
}

const present = (values: readonly (number | null)[]) => values.filter((value) => value !== null);

/**
 * Percentile bootstrap of a mean: the 2.5th and the 97.5th percentile, linearly interpolated, of the means of resamples
 * drawn with replacement. Of few values it is too narrow: it knows no other values than these.
 * @param values One a patient.
 * @param options Number of resamples and seed of their random stream; the same ones give the same interval.
 * @returns Null for fewer than two values.
 */
export function bootstrapInterval(
  values: readonly number[],
  { resamples = 10000, seed = 0 }: { resamples?: number; seed?: number } = {},
): [number, number] | null {
  const n = values.length, random = stream(seed, "bootstrap");
  if (n < 2) return null;
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor(random() * n)];
    return sum / n;
  }).sort();
  return [quantile(means, 0.025), quantile(means, 0.975)];
}

/** Result of {@linkcode wilcoxonSignedRank}. */
export interface SignedRank {
  /** The smaller of the two sums of ranks. */
  statistic: number;
  /** Two-sided. */
  p: number;
  /** Differences that are not zero. */
  pairs: number;
  /** Whether `p` is from the distribution of the sum itself, not from a normal one. */
  exact: boolean;
}

/**
 * Wilcoxon's signed-rank test of paired differences, two-sided: zeros are dropped, equal sizes share their mean rank. As
 * `scipy.stats.wilcoxon` with its defaults: the exact distribution of the sum for up to 50 differences without ties and
 * zeros, and for up to 13 with; else the normal one, with the variance n(n+1)(2n+1)/24 - Σ(t³-t)/48 over groups of t ties
 * and without continuity correction. `tests/statistics_test.ts` holds values that SciPy printed.
 *
 * **Deviation:** where every difference is zero p is 1; SciPy gives NaN there for more than 13.
 *
 * @param differences One a patient.
 * @throws {RangeError} For a difference that is not finite.
 *
 * @example Eight differences of one sign: p = 2 / 2⁸
 * ```ts
 * import assert from "node:assert/strict";
 * import { wilcoxonSignedRank } from "@ssnet/pipeline/evaluation/statistics.ts";
 *
 * assert.equal(wilcoxonSignedRank([1, 2, 3, 4, 5, 6, 7, 8]).p, 2 / 256);
 * ```
 */
export function wilcoxonSignedRank(differences: readonly number[]): SignedRank {
  const wrong = differences.filter((difference) => !Number.isFinite(difference));
  if (wrong.length) throw new RangeError(`Cannot rank the differences ${wrong.join(", ")}: finite numbers wanted`);
  const signed = differences.filter((difference) => difference !== 0), n = signed.length;
  const sizes = signed.map(Math.abs).sort((a, b) => a - b), ties: number[] = [], ranks = new Map<number, number>();
  for (let i = 0, end = 0; i < n; i = end) {
    while (end < n && sizes[end] === sizes[i]) end++;
    ranks.set(sizes[i], (i + 1 + end) / 2);
    ties.push(end - i);
  }
  const positive = signed.reduce((sum, d) => sum + (d > 0 ? ranks.get(d)! : 0), 0), total = n * (n + 1) / 2;
  const statistic = Math.min(positive, total - positive), isPlain = ties.length === differences.length;
  const exact = n === 0 || differences.length <= (isPlain ? 50 : 13);
  if (exact) return { statistic, p: exactP(statistic, sizes.map((size) => ranks.get(size)!)), pairs: n, exact };
  const variance = total * (2 * n + 1) / 12 - ties.reduce((sum, t) => sum + t ** 3 - t, 0) / 48;
  const p = complementaryError((total / 2 - statistic) / Math.sqrt(2 * variance));
  return { statistic, p, pairs: n, exact };
}

/** Twice the part of all 2^n choices of signs whose positive ranks add up to the statistic or less. */
function exactP(statistic: number, ranks: number[]): number {
  const halves = ranks.map((rank) => 2 * rank), most = halves.reduce((sum, half) => sum + half, 0);
  const counts = new Float64Array(most + 1); // by twice the sum; whole numbers up to 2^50 are exact
  counts[0] = 1;
  for (const half of halves) for (let sum = most; sum >= half; sum--) counts[sum] += counts[sum - half];
  const below = counts.subarray(0, 2 * statistic + 1).reduce((sum, count) => sum + count, 0);
  return Math.min(1, 2 * below / 2 ** ranks.length);
}

/** erfc(x) = 2/√π ∫ exp(-t²) dt from x on, x ≥ 0: erf's series of positive terms below 2, the continued fraction above. */
function complementaryError(x: number): number {
  const density = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x >= 2) {
    let tail = x;
    for (let k = 100; k > 0; k--) tail = x + k / 2 / tail;
    return density / tail;
  }
  let term = x, sum = 0;
  for (let k = 1; sum + term !== sum; k++) {
    sum += term;
    term *= 2 * x * x / (2 * k + 1);
  }
  return 1 - 2 * density * sum;
}

/**
 * Holm's step-down correction: the k-th smallest of m values of p times m - k + 1, at least the one before it, at most 1.
 * Rejecting what stays below a level keeps the chance of any false rejection in the family below it.
 * @returns In the order of `p`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { holm } from "@ssnet/pipeline/evaluation/statistics.ts";
 *
 * assert.deepEqual(holm([0.5, 0.125, 0.25]), [0.5, 0.375, 0.5]);
 * ```
 */
export function holm(p: readonly number[]): number[] {
  const order = p.map((_, i) => i).sort((a, b) => p[a] - p[b]), adjusted: number[] = Array(p.length);
  let least = 0;
  order.forEach((at, k) => adjusted[at] = least = Math.max(least, Math.min(1, (p.length - k) * p[at])));
  return adjusted;
}

/** a - b of the patients that have a value in both. */
function differencesByPatient(a: ByPatient, b: ByPatient): number[] {
  return Object.entries(a).flatMap(([patient, value]) => {
    const other = b[patient] ?? null;
    return value === null || other === null ? [] : [value - other];
  });
}

/** How far one method is above another, patient by patient. */
export interface PairedDifference {
  /** Patients that have a value in both. */
  patients: number;
  /** Mean difference over them. */
  mean: number;
  /** 95 % interval of `mean` over patients: {@linkcode bootstrapInterval}; null for one patient. */
  interval: [number, number] | null;
}

/**
 * The mean of a - b over patients with its interval: resampled are the patients' differences, so that what a patient has in
 * common in both does not widen it.
 * @param a Values by patient, seeds averaged.
 * @param b The same of what it is compared with.
 * @returns Null where no patient has a value in both.
 *
 * @example Two patients that differ much and gain alike
 * ```ts
 * import assert from "node:assert/strict";
 * import { pairedDifference } from "@ssnet/pipeline/evaluation/statistics.ts";
 *
 * const paired = pairedDifference({ first: 0.5, second: 0.875 }, { first: 0.25, second: 0.625 });
 * assert.deepEqual(paired, { patients: 2, mean: 0.25, interval: [0.25, 0.25] });
 * ```
 */
export function pairedDifference(a: ByPatient, b: ByPatient): PairedDifference | null {
  const differences = differencesByPatient(a, b), { mean, cases: patients } = spread(differences);
  return mean === null ? null : { patients, mean, interval: bootstrapInterval(differences) };
}

/** One method against the reference. */
export interface PairedTest {
  /** Patients that have a value in both. */
  patients: number;
  /** Mean of reference - method over them; null where there are none. */
  difference: number | null;
  /** The test with Holm's correction over the family; or why there is none. */
  test: SignedRank & { corrected: number } | { reason: string };
}

/**
 * The reference against every other method, patient by patient: a family of {@linkcode wilcoxonSignedRank} tests with
 * {@linkcode holm}'s correction over those that were possible.
 * @param reference Values by patient, seeds averaged.
 * @param others The same of the other methods.
 * @returns In the order of `others`; with fewer than {@linkcode FEWEST_PATIENTS} patients the reason instead of a test.
 */
export function pairedTests(reference: ByPatient, others: readonly ByPatient[]): PairedTest[] {
  const pairs = others.map((other) => differencesByPatient(reference, other));
  const tests = pairs.map((one) => one.length < FEWEST_PATIENTS ? null : wilcoxonSignedRank(one));
  const corrected = holm(tests.flatMap((test) => test ? [test.p] : []));
  return pairs.map((one, i) => {
    const test = tests[i], { mean: difference, cases: patients } = spread(one);
    if (test) return { patients, difference, test: { ...test, corrected: corrected.shift()! } };
    const reason = `${patients} patient${
      patients === 1 ? " has" : "s have"
    } a value in both, a test wants at least ${FEWEST_PATIENTS}`;
    return { patients, difference, test: { reason } };
  });
}
