/** The datasets by name: another one is its folder and a line here. @module */
import { CARDIAC_CINE } from "./acdc/acdc.ts";
import { DataError } from "../files/errors.ts";
import { unknownName } from "../files/words.ts";
import type { RunConfig } from "../records/run.ts";
import type { Dataset } from "./dataset.ts";
import { LEFT_ATRIUM } from "./la/la.ts";

const ALL: Dataset[] = [
  LEFT_ATRIUM,
  CARDIAC_CINE,
];

/** The datasets by name. */
export const DATASETS: Record<string, Dataset> = Object.fromEntries(ALL.map((dataset) => [dataset.name, dataset]));
/** The names of the datasets, for schemas, which want at least one. */
export const DATASET_NAMES = Object.keys(DATASETS) as [string, ...string[]];

/**
 * The dataset of a run.
 * @param path Its folder, for errors.
 * @throws {DataError} When there is no such dataset, or it has patches of another number of axes.
 */
export function datasetOf(
  { dataset: name, training: { patch } }: Pick<RunConfig, "dataset" | "training">,
  path: string,
): Dataset {
  const cannot = `Cannot use the run "${path}"`;
  if (!Object.hasOwn(DATASETS, name)) throw new DataError(`${cannot}: ${unknownName("dataset", name, DATASET_NAMES)}`);
  const dataset = DATASETS[name], wanted = dataset.patch;
  if (patch.length === wanted.length) return dataset;
  throw new DataError(
    `${cannot}: its patch is ${patch.join("x")}; ${wanted.length} multiples of 16 wanted, as in ${wanted.join("x")}`,
  );
}
