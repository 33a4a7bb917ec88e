/**
 * One golden file: its datasets, the numbers that `cases.json` holds for it, and the comparison of what is found with
 * what is stored. A dataset that no check has read, and a value that the file lacks, is named at the end, so that nothing
 * is left out silently.
 * @module
 */
import * as tf from "@tensorflow/tfjs";
import type { Tensor } from "@tensorflow/tfjs";
import type { HdfArray } from "../../../pipeline/files/hdf5.ts";
import { type NetworkSpec, toPyTorch, type Weights } from "../../../pipeline/networks/parameters.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";

openTensorFlow();

/** How a value may differ from the stored one. */
export interface Tolerance {
  limit: number;
  /** Divide the difference by the stored value, where that is not 0. */
  relative?: boolean;
  /** What is stored; the dataset of the check's name by default. */
  expected?: ArrayLike<number>;
}

/** Numbers of a file in `cases.json`. */
export interface Cases {
  weightSet: number;
  labeled: number;
  iterations: number[];
  directionStream: number;
  directionStreams: number[];
  dtcIteration: number;
  dtcRampLength: number;
  dtcDistanceWeight: number;
  uamtRampLength: number;
  urpcIteration: number;
  urpcRampLength2d: number;
  urpcRampLength3d: number;
  mcnetIteration: number;
  mcnetRampLength2d: number;
  mcnetRampLength3d: number;
  mcnetSupervisedWeight: number;
  discriminatorWeightSet: number;
  mapStream: number;
  imageStream: number;
}

/** A golden file while it is checked. */
export class Golden {
  passed = 0;
  failed = 0;
  readonly #read = new Set<string>();
  #unused: string[] = [];
  /** What was to be compared with a dataset that the file lacks. */
  readonly lacking: string[] = [];

  constructor(
    readonly name: string,
    readonly arrays: Record<string, HdfArray>,
    readonly cases: Cases,
  ) {}

  /** A dataset. @throws {RangeError} When the file lacks it. */
  array(key: string): HdfArray {
    this.#read.add(key);
    if (!this.arrays[key]) throw new RangeError(`${this.name} has no dataset "${key}"`);
    return this.arrays[key];
  }
  values(key: string): HdfArray["data"] {
    return this.array(key).data;
  }
  shape(key: string): number[] {
    return this.array(key).shape;
  }
  /** Row `i` along the first axis. */
  row(key: string, i: number): HdfArray["data"] {
    const { data, shape } = this.array(key), size = data.length / shape[0];
    return data.subarray(i * size, (i + 1) * size);
  }
  /** Names of the datasets that match. */
  keys(pattern: RegExp): string[] {
    return Object.keys(this.arrays).filter((key) => pattern.test(key));
  }

  /** Leaves out the values of published functions that no method calls; {@linkcode close} says so. */
  leaveOut(pattern: RegExp): void {
    this.#unused = this.keys(pattern).filter((key) => !key.endsWith("_f64"));
    this.#unused.forEach((key) => this.#read.add(key));
  }

  /** The array as it is stored, float32. */
  tensor(key: string): Tensor {
    const { data, shape } = this.array(key);
    return tf.tensor(Float32Array.from(data), shape);
  }
  /** A volume or slice `[N, C, ...]` as `[N, ..., C]`. */
  image(key: string): Tensor {
    return channelsLast(this.tensor(key));
  }
  /** int32, as it is stored. */
  labels(key: string): Tensor {
    const { data, shape } = this.array(key);
    return tf.tensor(Int32Array.from(data), shape, "int32");
  }

  /** What a check compares with; null, noted, where the file lacks it. */
  #stored(name: string): HdfArray["data"] | null {
    if (this.arrays[name]) return this.values(name);
    this.lacking.push(name);
    return null;
  }

  /** Compares, prints and counts. NaN equals NaN only. */
  check(name: string, found: ArrayLike<number>, { limit, relative = false, expected }: Tolerance): void {
    const stored = expected ?? this.#stored(name);
    if (!stored) return;
    let worst = found.length === stored.length ? 0 : Infinity;
    for (let i = 0; i < stored.length && worst !== Infinity; i++) {
      const scale = relative && stored[i] !== 0 ? Math.abs(stored[i]) : 1;
      const error = Object.is(found[i], stored[i]) ? 0 : Math.abs(found[i] - stored[i]) / scale;
      if (!(error <= worst)) worst = Number.isNaN(error) ? Infinity : error;
    }
    const verdict = worst <= limit ? "passed" : "FAILED";
    worst <= limit ? this.passed++ : this.failed++;
    console.log(`${this.name} ${name}: error ${worst.toExponential(1)}, limit ${limit.toExponential(1)}: ${verdict}`);
  }
  /** Counts the values that differ. */
  checkSame(name: string, found: ArrayLike<number>, { limit, expected }: Tolerance): void {
    const stored = expected ?? this.#stored(name);
    if (!stored) return;
    const differing = found.length === stored.length
      ? Array.from(found).filter((v, i) => v !== stored[i]).length
      : Infinity;
    this.check(name, [differing], { limit, expected: [0] });
  }
  /** L2 norm of the difference over that of what is stored. */
  checkDirection(name: string, found: ArrayLike<number>, { limit }: Tolerance): void {
    const stored = this.#stored(name);
    if (!stored) return;
    const difference = l2(Array.from(found, (v, i) => v - stored[i])) / l2(stored);
    this.check(name, [found.length === stored.length ? difference : Infinity], { limit, expected: [0] });
  }
  /** Differences measured by the largest stored entry. */
  checkGradient(name: string, found: ArrayLike<number>, { limit }: Tolerance): void {
    const stored = this.#stored(name);
    if (!stored) return;
    const largest = Math.max(...Array.from(stored, Math.abs));
    this.check(name, found, { limit: limit * largest });
  }
  /**
   * Norms of gradients, relative; -1 where there is none. Where the gradient vanishes identically both are rounding
   * noise: ours must be below 1e-6.
   */
  checkNorms(name: string, found: (number | null)[], { limit, zero, expected }: Tolerance & { zero: string }): void {
    const stored = expected ?? this.#stored(name);
    if (!stored) return;
    const vanishes = this.values(zero);
    const norms = found.map((norm, i) => {
      if (norm === null) return -1;
      return vanishes[i] && norm < 1e-6 ? stored[i] : norm;
    });
    this.check(name, norms, { limit, relative: true, expected: stored });
  }
  /** Sums and norms of all running statistics. */
  checkStatistics(spec: NetworkSpec, buffers: Weights, prefix = ""): void {
    for (const kind of ["running_mean", "running_var"]) {
      const found = spec.buffers.filter((b) => b.kind === kind).flatMap(({ name }) => {
        const values = numbers(buffers[name]);
        return [values.reduce((a, v) => a + v, 0), l2(values)];
      });
      this.check(`${prefix}${kind}_sum_l2`, found, { limit: 3e-4 });
    }
  }

  /** Names what no check has read and what was lacking; values in double precision stand for the same quantity as their single-precision ones. */
  close(): void {
    if (this.#unused.length) console.log(`${this.name}: skipped, no method uses it: ${this.#unused.join(", ")}`);
    const unread = Object.keys(this.arrays).filter((key) => !this.#read.has(key) && !key.endsWith("_f64"));
    if (this.lacking.length) console.log(`${this.name}: skipped, the file lacks them: ${this.lacking.join(", ")}`);
    if (unread.length) console.log(`${this.name}: skipped, nothing here computes them: ${unread.join(", ")}`);
  }
}

/** `[N, C, ...]` as `[N, ..., C]`. */
export function channelsLast(x: Tensor): Tensor {
  return tf.transpose(x, [0, ...x.shape.slice(2).map((_, i) => i + 2), 1]);
}
/** Every `step`-th entry along the spatial axes of `[N, ..., C]`, in the order of the files. */
export function sub(x: Tensor, step: number): Float32Array {
  const first = tf.transpose(x, [0, x.rank - 1, ...x.shape.slice(2).map((_, i) => i + 1)]);
  const steps = first.shape.map((_, i) => i < 2 ? 1 : step);
  return tf.stridedSlice(first, first.shape.map(() => 0), first.shape, steps).dataSync() as Float32Array;
}
/** L2 norm. */
export function l2(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((a, v) => a + v * v, 0));
}
/** Norm of every tensor, null where there is none. */
export function norms(tensors: (Tensor | null)[]): (number | null)[] {
  return tensors.map((tensor) => tensor && l2(tensor.dataSync()));
}
/** A gradient in PyTorch's layout. */
export function inTheirLayout(gradient: Tensor | null): ArrayLike<number> {
  return gradient ? toPyTorch(gradient) : [];
}
/** The values of a float32 tensor. */
export function numbers(x: Tensor): Float32Array {
  return x.dataSync() as Float32Array;
}
