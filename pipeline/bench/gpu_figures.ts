/** What SS-Net's step is to reach on a GPU beside the authors' code, both measured in one call. @module */
import { z } from "zod";
import { round } from "./timing.ts";

/** The datasets that the authors' code knows, by their names there and here. */
export const LA = "la", ACDC = "acdc";

/** A line of a program that times the authors' code: `{"data": …, "cl": true, "mode": "tf32", "what": "step", "min": 0.192}`. */
export const THEIR_ROW = z.looseObject({
  /** The dataset whose shapes were taken. */
  data: z.string(),
  /** Whether its tensors are channels-last; else they are as published. */
  cl: z.boolean(),
  /** Precision. */
  mode: z.string(),
  /** What was timed. */
  what: z.string(),
  /** Seconds of the fastest repetition; nothing where it failed. */
  min: z.number().positive().optional(),
  /** Why it failed. */
  error: z.string().optional(),
});
/** One of those lines. */
export type TheirRow = z.infer<typeof THEIR_ROW>;

/** What was measured. */
export interface Measured {
  /** Seconds of our step, by "la tf32". */
  ours: Record<string, number | undefined>;
  /** Rows of the authors' code. */
  theirs: TheirRow[];
  /** Whether the step of LA in bf16 ran in {@linkcode POOL_GB}; undefined where it was not tried. */
  fitsPool?: boolean;
}

/** A figure and what was found. */
export interface Figure {
  /** What it is. */
  name: string;
  /** The largest figure that passes. */
  wanted: number;
  /** The figure; null where one side was not measured. */
  found: number | null;
  /** Whether the wanted one is reached; null likewise. */
  reached: boolean | null;
}

/** The pool of the GPU's memory that LA's step in bf16 is to run in, 10⁹ bytes each. */
export const POOL_GB = 4;

/** Ratios of steps: the whole of SS-Net's step, ours over the fastest of theirs at the same precision. */
const RATIOS = [
  { dataset: LA, precision: "bf16", wanted: 0.8, layouts: [true] },
  { dataset: LA, precision: "tf32", wanted: 0.8, layouts: [true] },
  { dataset: LA, precision: "fp32", wanted: 1, layouts: [true] },
  { dataset: ACDC, precision: "tf32", wanted: 0.8, layouts: [true, false] },
  { dataset: ACDC, precision: "bf16", wanted: 0.8, layouts: [true, false] },
];

/**
 * The figures to reach, of what was measured.
 *
 * @example A ratio is ours over the fastest of theirs; LA's is over channels-last
 * ```ts
 * import assert from "node:assert/strict";
 * import { figuresToReach } from "@ssnet/pipeline/bench/gpu_figures.ts";
 *
 * const theirs = [true, false].map((cl) => ({ data: "la", cl, mode: "tf32", what: "step", min: cl ? 0.2 : 0.1 }));
 * const figures = figuresToReach({ ours: { "la tf32": 0.15 }, theirs });
 * assert.deepEqual(figures[1], {
 *   name: "la step tf32 / theirs channels-last tf32",
 *   wanted: 0.8,
 *   found: 0.75,
 *   reached: true,
 * });
 * ```
 */
export function figuresToReach({ ours, theirs, fitsPool }: Measured): Figure[] {
  const ratios = RATIOS.map(({ dataset, precision, wanted, layouts }): Figure => {
    const side = layouts.length > 1 ? "the best of theirs" : "theirs channels-last";
    const seconds = theirs.filter(({ data, cl, mode, what }) =>
      data === dataset && mode === precision && what === "step" && layouts.includes(cl)
    ).flatMap(({ min }) => min ?? []);
    const own = ours[`${dataset} ${precision}`];
    // One layout of two alone might not be the best.
    const found = own && seconds.length === layouts.length ? round(own / Math.min(...seconds), 3) : null;
    const reached = found === null ? null : found <= wanted;
    return { name: `${dataset} step ${precision} / ${side} ${precision}`, wanted, found, reached };
  });
  const pool = { name: "la step bf16 within a pool, GB", wanted: POOL_GB, found: fitsPool ? POOL_GB : null };
  return [...ratios, { ...pool, reached: fitsPool ?? null }];
}
