/**
 * The datasets by name: those that come with the project, of which another one is its folder and a line here, and those of
 * one's own, which are their plans.
 * @module
 */
import { CARDIAC_CINE } from "./acdc/acdc.ts";
import { DataError } from "../files/errors.ts";
import { isFile, isFolder } from "../files/exists.ts";
import { homePath } from "../files/places.ts";
import { unknownName } from "../files/words.ts";
import { readManifestIfThere } from "../records/manifest.ts";
import { readPlanIfThere } from "../records/plan.ts";
import type { RunConfig } from "../records/run.ts";
import type { BuiltInDataset, Dataset } from "./dataset.ts";
import { LEFT_ATRIUM } from "./la/la.ts";
import { manifestOptions, ownDataset } from "./own/own.ts";
import { foldersIn } from "./raw_folder.ts";

const ALL: BuiltInDataset[] = [
  LEFT_ATRIUM,
  CARDIAC_CINE,
];

/** The datasets that come with the project, by name. */
export const DATASETS: Record<string, BuiltInDataset> = Object.fromEntries(
  ALL.map((dataset) => [dataset.name, dataset]),
);
/** The names of the datasets, for schemas, which want at least one. */
export const DATASET_NAMES = Object.keys(DATASETS) as [string, ...string[]];

/** Names of the datasets of one's own that have been prepared here. Needs `--allow-read`, `--allow-env`. */
export function ownNames(): string[] {
  return foldersIn(homePath("cases")).filter((name) => isFile(homePath(`cases/${name}/plan.json`)));
}

/** Names of all datasets, for schemas. Needs `--allow-read`, `--allow-env`. */
export const allNames = (): [string, ...string[]] => [...DATASET_NAMES, ...ownNames()];

/** What is said of a dataset that there is not. @param raw Where its raw files would be. Needs `--allow-read`, `--allow-env`. */
export function unknownDataset(name: string, raw: string = homePath(`raw/${name}`)): string {
  const unknown = unknownName("dataset", name, allNames());
  const first = isFolder(raw)
    ? `deno task preprocess ${name} first: "${raw}" is there`
    : `one of your own is a folder "${raw}"`;
  return `${unknown}; ${first}`;
}

/**
 * The dataset of a name: one that comes with the project, or one's own by the plan beside its cases. Needs `--allow-read`,
 * `--allow-env`.
 * @param cases Folder of the cases.
 * @returns Null where there is none.
 * @throws {DataError} When its plan is not as wanted, or was edited since the cases were made.
 */
export async function findDatasetIfThere(
  name: string,
  cases: string = homePath(`cases/${name}`),
): Promise<Dataset | null> {
  if (Object.hasOwn(DATASETS, name)) return DATASETS[name];
  const plan = await readPlanIfThere(cases, name), manifest = plan && await readManifestIfThere(cases);
  const then = JSON.stringify(manifest?.options), now = plan && JSON.stringify(manifestOptions(plan));
  if (!plan || !manifest || then === now) return plan && ownDataset(plan);
  throw new DataError(
    `Cannot use "${cases}/plan.json": the cases beside it were made by another one, ${then}, now ${now}; make them anew with ` +
      `deno task preprocess ${name}`,
  );
}

/** Finds as {@linkcode findDatasetIfThere} does. @throws {DataError} Where there is none, too. */
export async function findDataset(name: string, cases?: string): Promise<Dataset> {
  const found = await findDatasetIfThere(name, cases);
  if (found) return found;
  throw new DataError(`Cannot start: ${unknownDataset(name)}`);
}

/**
 * The dataset of a run.
 * @param path Its folder, for errors.
 * @throws {DataError} When there is no such dataset, or it has patches of another number of axes.
 */
export function datasetOf(
  { dataset: name, plan, training: { patch } }: Pick<RunConfig, "dataset" | "plan" | "training">,
  path: string,
): Dataset {
  const cannot = `Cannot use the run "${path}"`;
  if (!plan && !Object.hasOwn(DATASETS, name)) {
    throw new DataError(`${cannot}: ${unknownName("dataset", name, DATASET_NAMES)}`);
  }
  const dataset = plan ? ownDataset(plan) : DATASETS[name], wanted = dataset.patch;
  if (patch.length === wanted.length) return dataset;
  throw new DataError(
    `${cannot}: its patch is ${patch.join("x")}; ${wanted.length} multiples of 16 wanted, as in ${wanted.join("x")}`,
  );
}
