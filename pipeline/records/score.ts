/**
 * `scores.json` and `scores.csv` of `deno task score`: masks against references, a row a case and class, and what is made of
 * the rows.
 * @module
 */
import { z } from "zod";
import { writeTogether } from "../files/atomic.ts";
import { type JsonFile, readJson, recordText } from "../files/json.ts";
import { RESULT_ROW, type ResultRow, SUMMARIES, type Summaries } from "./evaluation.ts";

/** The content of `scores.json`. */
export interface Scores {
  /** Where the masks were. */
  masks: string;
  /** Where the references were. */
  references: string;
  /** Millimeters, of the normalized surface distance. */
  tolerance: number;
  /** Millimeters along X, Y, Z of the files that were taken instead of the headers'; null: the headers'. */
  spacing: number[] | null;
  /** Whether places were compared, or shapes alone. */
  placesCompared: boolean;
  /** Names of the classes, as in the rows. */
  classes: string[];
  /** What a reader must know: what was not scored, what was taken to be so. */
  notes: string[];
  /** A row a case and class. */
  rows: ResultRow[];
  /** Means over the rows, with intervals where the cases are none of patients. */
  summary: Summaries;
  /** Means with the patient as the unit, with intervals; null where cases are none of patients. */
  patientSummary: Summaries | null;
  /** Versions of the programs. */
  versions: Record<string, string>;
}

const SCORES: z.ZodType<Scores> = z.strictObject({
  masks: z.string(),
  references: z.string(),
  tolerance: z.number().positive(),
  spacing: z.array(z.number().positive()).nullable(),
  placesCompared: z.boolean(),
  classes: z.array(z.string()).min(1),
  notes: z.array(z.string()),
  rows: z.array(RESULT_ROW).min(1),
  summary: SUMMARIES,
  patientSummary: SUMMARIES.nullable(),
  versions: z.record(z.string(), z.string()),
});
const FILE: JsonFile = { what: "the scores", remedy: "write them with deno task score" };

/** Reads the scores in a folder. Needs `--allow-read`. @throws {DataError} When they are none. */
export function readScores(folder: string): Promise<Scores> {
  return readJson(`${folder}/scores.json`, SCORES, FILE);
}

/** Writes `scores.json` and `scores.csv` into a folder. Needs `--allow-read`, `--allow-write`. */
export function writeScores(folder: string, scores: Scores): Promise<void> {
  return writeTogether([
    { path: `${folder}/scores.csv`, content: scoresAsCsv(scores.rows) },
    { path: `${folder}/scores.json`, content: recordText(scores) },
  ]);
}

const COLUMNS: Record<string, (row: ResultRow) => string | number | null | undefined> = {
  case: (row) => row.case,
  patient: (row) => row.patient,
  phase: (row) => row.phase,
  class: (row) => row.class,
  dice: (row) => row.honest.dice,
  jaccard: (row) => row.honest.jaccard,
  hd95_voxels: (row) => row.honest.hd95,
  asd_voxels: (row) => row.honest.asd,
  hd95_mm: (row) => row.millimeters?.hd95,
  asd_mm: (row) => row.millimeters?.asd,
  nsd: (row) => row.millimeters?.nsd,
  published_dice: (row) => row.published.dice,
  published_jaccard: (row) => row.published.jaccard,
  published_hd95_voxels: (row) => row.published.hd95,
  published_asd_voxels: (row) => row.published.asd,
  voxels: (row) => row.voxels,
  reference_voxels: (row) => row.referenceVoxels,
  ml: (row) => row.milliliters?.predicted,
  reference_ml: (row) => row.milliliters?.reference,
};

/**
 * Rows as a table (RFC 4180): a line a case and class, an empty field for a number that does not exist. What a spreadsheet
 * would take for a formula stands behind an apostrophe.
 */
export function scoresAsCsv(rows: readonly ResultRow[]): string {
  const field = (value: string | number | null | undefined) => {
    if (typeof value !== "string") return String(value ?? "");
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows.map((row) => Object.values(COLUMNS).map((of) => field(of(row))));
  return [Object.keys(COLUMNS), ...lines].map((line) => line.join(",") + "\r\n").join("");
}
