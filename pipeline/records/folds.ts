/** `splits_final.json`, nnU-Net's folds of a cross-validation: a list of `{ "train": [names], "val": [names] }`. @module */
import { z } from "zod";
import { writeJson } from "../files/atomic.ts";
import { type JsonFile, readJson } from "../files/json.ts";
import { NAME } from "../files/names.ts";

/** Cases with labels: who is trained on, and who is tested. */
export interface Fold {
  /** Names. */
  train: string[];
  /** Names. */
  val: string[];
}

const FOLDS: z.ZodType<Fold[]> = z.array(
  z.strictObject({ train: z.array(NAME).min(1), val: z.array(NAME).min(1) }).refine(
    ({ train, val }) => !val.some((name) => train.includes(name)),
    "no case in both train and val wanted",
  ),
).min(1);
const FOLDS_FILE: JsonFile = {
  what: "the folds",
  remedy: "a file as nnU-Net's splits_final.json wanted, or a number of folds",
};

/** Reads folds. Needs `--allow-read`. @throws {DataError} When the file is not there, or no such list. */
export function readFolds(path: string): Promise<Fold[]> {
  return readJson(path, FOLDS, FOLDS_FILE);
}

/** Writes the folds of a folder of cases. Needs `--allow-read`, `--allow-write`. @returns The file. */
export async function writeFolds(folder: string, folds: Fold[]): Promise<string> {
  const path = `${folder}/splits_final.json`;
  await writeJson(path, folds);
  return path;
}
