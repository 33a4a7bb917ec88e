/** Everything that a report shows, read and ordered once for both of its forms. @module */
import { counted } from "../files/words.ts";
import { compareMethods, type Comparison } from "./compared_methods.ts";
import { type Overlay, readOverlay } from "./overlays.ts";
import { readPatchSheets, type ShownSheet } from "./patch_sheet.ts";
import {
  type CaseDice,
  type Group,
  groupResults,
  type Rank,
  readPublishedResults,
  type Result,
  shownCases,
} from "./groups.ts";
import { type Methods, readRuns, type Run } from "./runs.ts";
import { DataError } from "../files/errors.ts";
import type { Metrics } from "../records/evaluation.ts";

/** A case of the figures; without an overlay where its files are not there. */
export interface ShownCase extends CaseDice {
  /** The case's rank by Dice over all cases of the result. */
  rank: Rank;
  /** The case's own, a class each. */
  rows: Metrics["rows"];
  /** The slices that are shown; null where the image or the mask is gone. */
  overlay: Overlay | null;
}

/** The content of a report. */
export interface Contents {
  /** Datasets, numbers of runs and evaluations. */
  title: string;
  /** What a reader must know before the numbers: what is missing, unfinished or mixed. */
  notes: string[];
  /** The runs in the order in which they were named. */
  runs: Run[];
  /** A table each. */
  groups: Group[];
  /** Methods side by side, a table for each protocol; none for a group of one run. */
  comparisons: Map<Group, Comparison[]>;
  /** Cases of the figures of every result. */
  shown: Map<Result, ShownCase[]>;
  /** Augmented patches, a sheet for every dataset, augmentation and patch. */
  sheets: ShownSheet[];
  /** Whether the selection gap on test cases is told. */
  withTestGap: boolean;
  /** Texts of the published rows' sources. */
  sources: Record<string, string>;
}

/** How to read the tables, a sentence each. */
export const READING = [
  "Dice and Jaccard in %; 95HD, the 95th percentile of the distances between the two surfaces, and ASD, the mean distance from the predicted surface to the reference's, in voxels without regard to the spacing, and in mm where the spacing is known.",
  "± is the sample standard deviation over the cases, for our rows over one training; the published tables give none.",
  "Published convention: an empty prediction scores 0 in all four numbers, which flatters its distances. Honest convention: two empty masks score Dice 100 and have no distance, one empty mask scores Dice 0 and has no distance; distances are means over the cases that have one. Millimeters follow the honest convention.",
  "Published rows were computed by others under the protocol beside them. Where a row of ours differs from it, the numbers are not comparable as they stand.",
];

/** How to read the volumes by class. */
export const VOLUMES_READING = [
  "A volume is the voxels of a mask times the volume of a voxel; error is predicted − reference. Bias is the mean error, the limits of agreement are bias ± 1.96 sample standard deviations, over the cases whose spacing is known.",
];

/** How to read the clinical tables; `nominal`: whether a spacing is nominal. */
export function clinicalReading(nominal: boolean): string[] {
  return [
    "A volume is the voxels of a mask times the volume of a voxel, with nothing added between the slices: EDV at the end of diastole (ED), ESV at the end of systole (ES). Ejection fraction EF = (EDV − ESV) / EDV; mass of the left ventricle: 1.05 g/ml times the volume of the myocardium at ED.",
    "Error is predicted − reference, of EF in percentage points. Bias is the mean error, the limits of agreement are bias ± 1.96 sample standard deviations. Over n patients each limit has a standard error of about √(3/n) standard deviations: with few patients the limits say little.",
    ...(nominal
      ? [
        "The spacing is nominal, not the scanner's, and so are ml, g and mm. Ejection fractions do not depend on it: both frames of a patient share it and it cancels.",
      ]
      : []),
  ];
}

/**
 * Reads runs, their evaluations, the published tables and the slices to show. A case whose image or mask is gone is a
 * note, not an error. Needs `--allow-read`, `--allow-env`.
 * @param folders Of the runs.
 * @param methods Titles, order and published settings.
 * @param options `withTestGap`: whether the selection gap is told for the test cases too.
 * @throws {DataError} As {@linkcode readRuns}.
 */
export async function gatherContents(
  folders: string[],
  methods: Methods,
  { withTestGap = false }: { withTestGap?: boolean } = {},
): Promise<Contents> {
  const runs = await readRuns(folders, methods), tables = await readPublishedResults();
  const groups = groupResults(runs, tables, methods),
    notes = runs.flatMap((run) => run.notes.map((n) => `${run.name}: ${n}`));
  const names = [...new Set(runs.map(({ config }) => config.dataset))],
    titles = [...new Set(runs.map(({ dataset }) => dataset.title))];
  if (names.length > 1) notes.push(`these runs are of different datasets (${names.join(", ")}): a table for each`);
  const comparisons = new Map<Group, Comparison[]>();
  for (const group of groups) {
    const { tables, notes: leftOut } = compareMethods(group);
    comparisons.set(group, tables);
    notes.push(...leftOut);
  }
  const shown = new Map<Result, ShownCase[]>();
  for (const result of groups.flatMap(({ results }) => results)) {
    const { metrics } = result.evaluation, cases: ShownCase[] = [];
    const unknown = new Set(metrics.rows.filter((row) => !row.millimeters).map((row) => row.case)).size;
    if (metrics.summary.millimeters && unknown) {
      notes.push(`${result.label}: the mm leave out ${counted(unknown, "case")} whose spacing is not known`);
    }
    const preparations = [...new Set([...metrics.trainingPreparations, ...metrics.preparations])];
    if (preparations.length > 1) {
      notes.push(`${result.label}: its cases were not all prepared alike: ${preparations.join("; ")}`);
    }
    const { channelNames: [first, ...others] } = result.run.dataset;
    if (others.length) {
      notes.push(`${result.label}: its slices show ${first}, the first of ${counted(1 + others.length, "channel")}`);
    }
    for (const one of shownCases(metrics)) {
      let overlay: Overlay | null = null;
      try {
        overlay = await readOverlay(result.evaluation, one.name);
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        notes.push(`${result.label}: no slices of the ${one.rank} case ${one.name}: ${error.message}`);
      }
      cases.push({ ...one, overlay, rows: metrics.rows.filter((row) => row.case === one.name) });
    }
    shown.set(result, cases);
  }
  const evaluations = runs.reduce((n, run) => n + run.evaluations.length, 0);
  const title = `${titles.join(", ")}: ${counted(runs.length, "run")}, ${counted(evaluations, "evaluation")}`;
  const sources = Object.assign({}, ...Object.values(tables).map(({ sources }) => sources)) as Contents["sources"];
  return { title, notes, runs, groups, comparisons, shown, sheets: await readPatchSheets(runs), withTestGap, sources };
}
