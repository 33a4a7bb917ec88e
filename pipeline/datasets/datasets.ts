/** The datasets by name: another one is its folder and a line here. @module */
import { CARDIAC_CINE } from "./acdc/acdc.ts";
import type { Dataset } from "./dataset.ts";
import { LEFT_ATRIUM } from "./la/la.ts";

const ALL: Dataset[] = [
  LEFT_ATRIUM,
  CARDIAC_CINE,
];

/** By name. */
export const DATASETS: Record<string, Dataset> = Object.fromEntries(ALL.map((dataset) => [dataset.name, dataset]));
/** For schemas, which want at least one. */
export const DATASET_NAMES = Object.keys(DATASETS) as [string, ...string[]];
