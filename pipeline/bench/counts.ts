/**
 * The forward and backward passes of which a method's step consists, told by the convolutions that it records; and the
 * step's time against the sum of theirs.
 * @module
 */
import { DataError } from "../files/errors.ts";
import { type Measurement, PASSES, type PassName } from "../records/measurement.ts";
import { tensorflow } from "../tensorflow/device.ts";
import { round } from "./timing.ts";

/** Rows that every kind of convolution takes, by the operation and the shape of what it gives, rows left out. */
export type Convolutions = Record<string, number>;

/** Does some work and counts the convolutions that it executes or records; a traced function counts once, when it is traced. */
export async function convolutionsOf(work: () => Promise<unknown>): Promise<Convolutions> {
  const { binding } = tensorflow(), rows: Convolutions = {}, rowsOf = new Map<number, number>();
  binding.watch = (name, inputs, [{ id, shape }]) => {
    rowsOf.set(id, shape[0]);
    if (!/^Conv\dD/.test(name)) return;
    // What goes back to a filter gives the filter; its rows are those of the gradient that comes in.
    const [own, kind] = name.includes("Filter") ? [rowsOf.get(inputs[2])!, shape] : [shape[0], shape.slice(1)];
    const key = `${name} ${kind.join("x")}`;
    rows[key] = (rows[key] ?? 0) + own;
  };
  try {
    await work();
  } finally {
    binding.watch = null;
  }
  return rows;
}

/** Passes of one network. */
export interface CountedPass {
  /** The network that passes. */
  network: string;
  /** How far they go. */
  pass: PassName;
  /** Rows of all of them. */
  rows: number;
}

/** What one row of every pass of a network records. */
export interface PassConvolutions {
  /** The network that was counted. */
  network: string;
  /** Its convolutions by the pass. */
  convolutions: Record<PassName, Convolutions>;
}

/**
 * The passes whose convolutions together are those of a step: `Σ rows(pass) convolutions(pass) = convolutions(step)`, solved
 * by least squares.
 * @param step What it records. @param networks What passes of one row record.
 * @throws {DataError} When no whole rows of these networks are the step.
 *
 * @example Two rows forward, three to everything
 * ```ts
 * import assert from "node:assert/strict";
 * import { passesOf } from "@ssnet/pipeline/bench/counts.ts";
 *
 * const one = { Conv: 1 }, back = { Conv: 1, Input: 1 }, all = { Conv: 1, Filter: 1 };
 * const networks = [{ network: "net", convolutions: { forward: one, input: back, all } }];
 * assert.deepEqual(passesOf({ Conv: 5, Filter: 3 }, networks), [
 *   { network: "net", pass: "forward", rows: 2 },
 *   { network: "net", pass: "all", rows: 3 },
 * ]);
 * ```
 */
export function passesOf(step: Convolutions, networks: PassConvolutions[]): CountedPass[] {
  const columns = networks.flatMap(({ network, convolutions }) =>
    PASSES.map((pass) => ({ network, pass, convolutions: convolutions[pass] }))
  );
  const keys = [...new Set([step, ...columns.map(({ convolutions }) => convolutions)].flatMap(Object.keys))];
  const product = (a: Convolutions, b: Convolutions) => keys.reduce((sum, k) => sum + (a[k] ?? 0) * (b[k] ?? 0), 0);
  const rows = solve(
    columns.map((a) => columns.map((b) => product(a.convolutions, b.convolutions))),
    columns.map((a) => product(a.convolutions, step)),
  ).map(Math.round);
  const unlike = keys.filter((key) =>
    (step[key] ?? 0) !== columns.reduce((sum, { convolutions }, i) => sum + rows[i] * (convolutions[key] ?? 0), 0)
  );
  if (unlike.length || rows.some((n) => n < 0)) {
    throw new DataError(
      `Cannot count the step in passes of ${networks.map(({ network }) => network).join(", ")}: they do not make up ` +
        `${unlike.length} of its ${keys.length} kinds of convolutions, as ${unlike.slice(0, 3).join(", ")}`,
    );
  }
  return columns.map(({ network, pass }, i) => ({ network, pass, rows: rows[i] })).filter(({ rows }) => rows > 0);
}

/** x of `A x = b` by Gaussian elimination with pivots; 0 for what no equation decides. */
function solve(matrix: number[][], right: number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]]), n = rows.length, pivots: number[] = [];
  for (let column = 0, top = 0; column < n; column++) {
    let best = top;
    for (let i = top; i < n; i++) if (Math.abs(rows[i][column]) > Math.abs(rows[best][column])) best = i;
    if (top === n || Math.abs(rows[best][column]) < 1e-6) continue;
    [rows[top], rows[best]] = [rows[best], rows[top]];
    for (let i = 0; i < n; i++) {
      const share = i === top ? 0 : rows[i][column] / rows[top][column];
      if (share) rows[i] = rows[i].map((value, j) => value - share * rows[top][j]);
    }
    pivots[top++] = column;
  }
  const x = new Array(n).fill(0);
  pivots.forEach((column, i) => x[column] = rows[i][n] / rows[i][column]);
  return x;
}

/** A method's step against its passes. */
export interface Count {
  /** The dataset whose shapes were taken. */
  dataset: string;
  /** The method whose step it is. */
  method: string;
  /** Arithmetic of the convolutions. */
  precision: string;
  /** The fastest step. */
  stepSeconds: number;
  /** The passes, each with its seconds: of the fastest one over one row, times rows. */
  passes: (CountedPass & { seconds: number })[];
  /** Seconds of all passes. */
  passSeconds: number;
  /** Step over passes. */
  ratio: number;
}

const SECONDS_OF = { forward: "forwardSeconds", input: "inputSeconds", all: "stepSeconds" } as const;

/**
 * Every step among the measurements against its passes, which must be among them too.
 * @throws {DataError} When they are not.
 */
export function countsOf(measurements: Measurement[]): Count[] {
  return measurements.filter(({ kind }) => kind === "step").map((step) => {
    const { dataset, method, precision, stepSeconds, network, convolutions } = step;
    const networks = measurements.filter((one) =>
      one.kind === "forward-backward" && one.dataset === dataset && one.precision === precision &&
      (one.network === network || one.network === "discriminator")
    );
    const counted = passesOf(
      convolutions!,
      networks.map(({ network, passConvolutions }) => ({
        network: network!,
        convolutions: passConvolutions!,
      })),
    );
    const passes = counted.map((one) => {
      const measured = networks.find(({ network }) => network === one.network)!;
      return { ...one, seconds: round(one.rows * measured[SECONDS_OF[one.pass]]!.minimum, 4) };
    });
    const passSeconds = passes.reduce((sum, { seconds }) => sum + seconds, 0), { minimum } = stepSeconds!;
    return {
      ...{ dataset: String(dataset), method: String(method), precision: String(precision) },
      ...{ stepSeconds: minimum, passes, passSeconds: round(passSeconds, 4), ratio: round(minimum / passSeconds, 3) },
    };
  });
}
