/**
 * `cell.json` in the run folder of a grid's cell: which training it is, and the length that it was begun with, which figures
 * that are measured later must not change.
 * @module
 */
import { z } from "zod";
import { readJsonIfThere, writeRecord } from "../files/json.ts";

/** Length of a training. */
export interface Length {
  /** The warm-up included. */
  iterations: number;
  /** First iterations on the labeled half alone. */
  warmup: number;
}

/** What a training costs. */
export interface Costs {
  /** Seconds of one step of the method. */
  stepSeconds: number;
  /**
   * Seconds of one step of its warm-up, low-resolution ones counted by their share; null for the labeled-only method,
   * which is its own.
   */
  warmupSeconds: number | null;
  /** Largest resident set. */
  memoryGb: number;
  /** Where it was measured: processor, threads, TensorFlow. */
  machine: string;
}

/** `ci`: phantoms; `fast`: the same minutes for every method; `paper`: the published trainings. */
export const SCALES = ["ci", "fast", "paper"] as const;
/** One of {@linkcode SCALES}. */
export type Scale = typeof SCALES[number];

/** A cell that was begun. */
export interface CellRecord extends Length {
  /** The scale of its grid. */
  scale: Scale;
  /** Profile's name. */
  dataset: string;
  /** Labeled cases or patients. */
  labeled: number;
  /** A method, or an ablation of SS-Net. */
  method: string;
  /** The seed of everything random. */
  seed: number;
  /** The minutes that its length was made from; null where the scale has none. */
  minutes: number | null;
  /** The costs that were measured then; null where the scale needs none. */
  costs: Costs | null;
}

const CELL: z.ZodType<CellRecord> = z.strictObject({
  scale: z.enum(SCALES),
  dataset: z.string(),
  labeled: z.int(),
  method: z.string(),
  seed: z.int(),
  minutes: z.number().nullable(),
  iterations: z.int().positive(),
  warmup: z.int().nonnegative(),
  costs: z.strictObject({
    stepSeconds: z.number(),
    warmupSeconds: z.number().nullable(),
    memoryGb: z.number(),
    machine: z.string(),
  }).nullable(),
});
const FILE = { what: "the record of a cell", remedy: "remove the folder, and the cell begins anew" };
const pathOf = (folder: string) => `${folder}/cell.json`;

/** What stands in a cell's folder, null where there is none. Needs `--allow-read`. @throws {DataError} When it is no such record. */
export function readCellIfThere(folder: string): Promise<CellRecord | null> {
  return readJsonIfThere(pathOf(folder), CELL, FILE);
}

/** Writes the record of a cell. Needs `--allow-read`, `--allow-write`. */
export function writeCell(folder: string, record: CellRecord): Promise<void> {
  return writeRecord(pathOf(folder), record);
}
