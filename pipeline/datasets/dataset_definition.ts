/**
 * What one folder of `pipeline/datasets` gives: a profile, the way from raw files to cases, the published lists and table,
 * phantoms. Everything else asks a dataset for these and for nothing by its name.
 * @module
 */
import type { z } from "zod";
import type { PreparedCase, Problems } from "../data/prepared_case.ts";
import type { DatasetProfile } from "../data/profiles.ts";
import type { AxisOrder } from "../data/geometry.ts";

/** What a split counts and draws: single cases, or patients with all their frames. */
export type Unit = "case" | "patient";

/** Options of a preparation, as they stand in the manifest. */
export type PreparationOptions = Record<string, string | number | boolean>;

/** The way from raw files to cases. */
export interface Preparation {
  /** Options of `preprocess` beside --raw and --cases, each with a description for `--help`; they stand in the manifest. */
  options: z.ZodObject;
  /**
   * What a raw folder holds, in order, a name each: cases, or patients of several.
   * @throws {DataError} When the folder is not one of this dataset.
   */
  names(raw: string): string[];
  /** Reads, checks and prepares all cases of a name. @returns Them in order, or all that is wrong with any. */
  prepare(raw: string, name: string, options: PreparationOptions): Promise<PreparedCase[] | Problems>;
  /** Files in the field's own format beside the cases, where an option asks for them. @param folder Of the cases. */
  export?(folder: string, one: PreparedCase["prepared"], options: PreparationOptions): Promise<void>;
}

/** How many phantoms of which size. */
export interface PhantomSet {
  /** Of everything random. */
  seed: number;
  /** Cases or patients. */
  count: number;
  /** Of a volume, in the order of its axes. */
  shape: readonly [number, number, number];
}

/** A training that is a matter of seconds, on phantoms. */
export interface SmallTraining {
  /** What it is trained and tested on. */
  phantoms: PhantomSet;
  /** Of its network. */
  patch: readonly number[];
  /** The warm-up included. */
  iterations: number;
  /** Units of the split. */
  split: { labeled: number; validation: number; test: number };
}

/** A dataset. */
export interface Dataset extends DatasetProfile {
  /** As readers know it. */
  title: string;
  /** What a split counts. */
  unit: Unit;
  /** Of its volumes. */
  axes: AxisOrder;
  /** Labeled units of the published tables, ascending; the last one is the whole training list. */
  labeledCounts: readonly number[];
  /** Of them the one that a split takes where none is given. */
  usualLabeledCount: number;
  /** Files of the published lists, a name a line; null where there are none, and a split is drawn. */
  lists: { train: URL; validation?: URL; test: URL } | null;
  /** The published table with its protocol; null where there is none. */
  published: URL | null;
  /** From raw files to cases. */
  preparation: Preparation;
  /** Writes raw phantoms as the dataset is handed out. */
  writePhantoms(raw: string, set: PhantomSet): Promise<void>;
  /** Of `reproduce --scale ci`. */
  ci: SmallTraining;
}
