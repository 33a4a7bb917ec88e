/**
 * `summary.json` beside the masks of `predict`: what made them, and a row an image. One schema for who writes and who reads
 * it. Nothing of an image's header stands in it but its place.
 * @module
 */
import { z } from "zod";
import { type JsonFile, readJsonIfThere, recordText } from "../files/json.ts";
import { PRECISIONS } from "../tensorflow/precision.ts";
import { CHOICE, COMPONENTS_SCHEMA, withPresentComponents } from "./components.ts";
import { STATISTICS } from "./run.ts";

const NUMBERS = z.tuple([z.number(), z.number(), z.number()]);
const RUN = z.strictObject({
  /** Its folder. */
  run: z.string(),
  dataset: z.string(),
  method: z.string(),
  checkpoint: z.enum(["last", "best"]),
  iteration: z.int().nonnegative(),
  /** SHA-256 of the checkpoint's file. */
  sha256: z.string(),
  /** Statistics of the batch norms. */
  statistics: z.enum(STATISTICS),
});
const OPTIONS = z.preprocess(
  withPresentComponents,
  z.strictObject({
    /** The box that was cut out; null: the whole image. */
    crop: z.strictObject({ low: NUMBERS, high: NUMBERS }).nullable(),
    normalize: z.enum(["whole", "box"]),
    overlap: z.number(),
    mirror: z.boolean(),
    /** Which connected components were kept. */
    components: COMPONENTS_SCHEMA,
    /** What chose them; null: the method, or who segmented. */
    componentsChoice: CHOICE.nullable().default(null),
    /** The spacing that was given; null: as the images say. */
    spacing: NUMBERS.nullable(),
    probabilities: z.boolean(),
    uncertainty: z.boolean(),
    precision: z.enum(PRECISIONS),
  }),
);
const ROW = z.strictObject({
  name: z.string(),
  /** Path of the image; of several channels the first one's. */
  image: z.string(),
  /** Name of the mask's file. */
  mask: z.string(),
  shape: NUMBERS,
  /** Millimeters along the array's axes; null where they are not known. */
  spacing: NUMBERS.nullable(),
  /** The orientation of the file's axes; null where it says none. */
  orientation: z.string().nullable(),
  /** What was done before the network. */
  preparation: z.string(),
  /** What the network saw, along the axes of its training. */
  seen: NUMBERS,
  classes: z.array(z.strictObject({
    class: z.string(),
    voxels: z.int().nonnegative(),
    /** The volume; null where the spacing is not known. */
    milliliters: z.number().nullable(),
    /** The connected components of the class in the mask; of versions up to 0.2 before any was left out. */
    components: z.int().nonnegative(),
  })),
  seconds: z.number(),
  notes: z.array(z.string()),
});
const SUMMARY = z.strictObject({
  runs: z.array(RUN).min(1),
  options: OPTIONS,
  device: z.string(),
  versions: z.record(z.string(), z.string()),
  images: z.array(ROW),
});

/** What made masks, and a row an image. */
export type PredictionSummary = z.infer<typeof SUMMARY>;
/** One image. */
export type PredictionRow = z.infer<typeof ROW>;

const FILE: JsonFile = { what: "the summary of predict", remedy: "name another place by -o" };

/** Reads a summary; null where there is none. Needs `--allow-read`. @throws {DataError} When it is none. */
export function readPredictionIfThere(path: string): Promise<PredictionSummary | null> {
  return readJsonIfThere(path, SUMMARY, FILE);
}

/** A summary as the file's text. */
export function predictionText(summary: PredictionSummary): string {
  return recordText(summary);
}
