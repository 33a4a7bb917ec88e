/**
 * The plan that is proposed for a dataset of one's own, by nnU-Net's rules where it has one (Isensee et al., Nature Methods
 * 2021, "Inferred parameters"; `default_experiment_planner.py` of nnU-Net v2): target spacing, normalization, patch.
 * @module
 */
import type { Vector3 } from "../../arrays/geometry.ts";
import { quantile } from "../../arrays/quantiles.ts";
import { resizedShape } from "../../arrays/resize.ts";
import { shortened, sizeOf } from "../../arrays/shape.ts";
import { DataError } from "../../files/errors.ts";
import { counted, listed } from "../../files/words.ts";
import { parseFrameName } from "../../records/case.ts";
import type { Plan, PlannedChannel } from "../../records/plan.ts";
import { ACDC } from "../acdc/profile.ts";
import { LA } from "../la/profile.ts";
import { type CaseProblem, preparationError } from "../prepared_case.ts";
import {
  along,
  type CaseFingerprint,
  fingerprintOfCase,
  fingerprintOfDataset,
  foregroundOf,
  rangeOf,
  readable,
  usualOrientation,
} from "./fingerprint.ts";
import { type Layout, readLayout } from "./layout.ts";
import { readRawCase } from "./raw_case.ts";

/** What its user wants of a plan. */
export interface Wishes {
  /** Gigabytes that a training may take. */
  memory: number;
  /**
   * The network; absent: that of volumes where the median case has {@linkcode FEWEST} voxels along every axis, else
   * that of slices.
   */
  network?: Plan["network"];
  /** Gigabytes that SS-Net's step takes by a plan. */
  memoryOf(plan: Training): number;
}
/** The fields of a plan that decide what a step costs. */
export type Training = Pick<Plan, "protocol" | "patch" | "batch" | "channels" | "classes">;

/** More voxels than an array can be indexed by. */
const MOST_VOXELS = 2 ** 31;
/** Voxels along an axis below which a network of volumes has nothing to see there: its patches are multiples of 16. */
const FEWEST = 16;
/** The ratio from which on a spacing counts as anisotropic, and a size as short: nnU-Net's `ANISO_THRESHOLD`. */
const ANISOTROPIC = 3;
/** The ratio of slice thickness to pixel size above which the axis of the thick voxels is that of the slices. */
const THICKER = 1.5;
/** The least that a batch is cut down to for memory's sake. */
const FEWEST_ROWS = 2;

/**
 * The spacing that volumes are resampled to: the median of each axis; of the coarse one of anisotropic data (more than 3
 * times as wide as the others, less than a third of their voxels) the 10th percentile, no finer than the others.
 *
 * @example Thick slices: most of 5 mm, some of 3 mm
 * ```ts
 * import assert from "node:assert/strict";
 * import { targetSpacing } from "@ssnet/pipeline/datasets/own/plan.ts";
 *
 * const spacings = [[0.8, 0.8, 5], [0.8, 0.8, 5], [0.8, 0.8, 3]] as [number, number, number][];
 * const shapes = spacings.map((): [number, number, number] => [320, 320, 30]);
 * assert.deepEqual(targetSpacing(spacings, shapes).map((width) => width.toFixed(1)), ["0.8", "0.8", "3.4"]);
 * ```
 */
export function targetSpacing(spacings: readonly Vector3[], shapes: readonly Vector3[]): Vector3 {
  const target = rangeOf(spacings).median, sizes = rangeOf(shapes).median, coarsest = Math.max(...target);
  const axis = target.indexOf(coarsest), others = [0, 1, 2].filter((other) => other !== axis);
  const [widest, shortest] = [Math.max(...others.map((i) => target[i])), Math.min(...others.map((i) => sizes[i]))];
  if (coarsest <= ANISOTROPIC * widest || sizes[axis] * ANISOTROPIC >= shortest) return target;
  const widths = spacings.map((one) => one[axis]).sort((a, b) => a - b);
  return target.with(axis, Math.max(quantile(widths, 0.1), widest)) as Vector3;
}

/** Multiples of 16 that cover a size. */
const covering = (size: readonly number[]) => size.map((n) => 16 * Math.max(Math.ceil(n / 16), 1));

/**
 * The plan for a dataset.
 * @param name Of the dataset.
 * @param cases Those that are trained on, one at least with a label: nothing follows from those of the test.
 * @throws {DataError} When no patch fits the memory.
 */
export function proposePlan(name: string, { layout, cases, wishes }: {
  layout: Layout;
  cases: readonly CaseFingerprint[];
  wishes: Wishes;
}): Plan {
  const base = usualOrientation(cases), grids = cases.map((one) => along(one, base));
  const spacings = grids.flatMap(({ spacing }) => spacing ? [spacing] : []), shapes = grids.map(({ shape }) => shape);
  const target = spacings.length === cases.length ? targetSpacing(spacings, shapes).map(readable) as Vector3 : null;
  const seen = rangeOf(grids.map(({ shape, spacing }) => resizedShape(shape, spacing, target))).median;
  const network = wishes.network ?? (Math.min(...seen) < FEWEST ? "unet" : "vnet"), areVolumes = network === "vnet";
  const first = slicesAxis(rangeOf(shapes).median, spacings.length ? rangeOf(spacings).median : null);
  const rest = [2, 1, 0].filter((axis) => axis !== first);
  const profile = areVolumes ? LA : ACDC;
  const training: Training = {
    protocol: profile.protocol,
    patch: [],
    batch: { labeled: profile.labeledPerBatch, unlabeled: profile.unlabeledPerBatch },
    channels: layout.channels.map((channel, c): PlannedChannel => ({ ...channel, foreground: foregroundOf(cases, c) })),
    classes: layout.classes ?? classesIn(cases),
  };
  const orientation = areVolumes ? base : [first, ...rest].map((axis) => base[axis]).join("");
  return {
    dataset: name,
    title: layout.title,
    unit: cases.some((one) => parseFrameName(one.name)) ? "patient" : "case",
    channels: training.channels,
    classes: training.classes,
    network,
    protocol: training.protocol,
    orientation,
    spacing: areVolumes ? target : null,
    ...fitting(training, areVolumes ? seen : rest.map((axis) => rangeOf(shapes).median[axis]), wishes),
    overlap: 0.5,
    test: [],
    memory: wishes.memory,
    fingerprint: fingerprintOfDataset(cases, { classes: training.classes, orientation }),
  };
}

/**
 * Reads all cases of a raw folder and checks them, and gives the plan: a new one, or the stored one with what is found now.
 * Needs `--allow-read`.
 * @param name Of the dataset.
 * @returns `notes`: what was left out, a line each.
 * @throws {DataError} Naming all that is wrong with any file, or with the stored plan.
 */
export async function planDataset(raw: string, name: string, { stored, wishes }: {
  stored: Plan | null;
  wishes: Wishes;
}): Promise<{ plan: Plan; notes: string[] }> {
  const layout = await readLayout(raw, name), all: CaseFingerprint[] = [], problems: CaseProblem[] = [];
  for (const files of layout.cases) {
    const read = await readRawCase(raw, files, layout.classes && layout.classes.length + 1);
    if ("problems" in read) problems.push(...read.problems.map((problem) => ({ name: files.name, problem })));
    else all.push(fingerprintOfCase(read));
  }
  const test = layout.cases.filter(({ isTest }) => isTest).map((one) => one.name);
  const cases = all.filter((one) => !test.includes(one.name));
  const unknown = all.filter(({ spacing }) => !spacing).map((one) => one.name), notes = [...layout.notes];
  if (unknown.length && unknown.length < all.length) {
    notes.push(`the spacing of ${listed(unknown)} is not known; no plan is proposed that resamples`);
  }
  const classes = layout.classes ?? classesIn(cases), cannot = { raw, count: layout.cases.length, unit: "case" };
  const of = (k: number) => cases.reduce((sum, { voxels }) => sum + (voxels?.[k] ?? 0), 0);
  const empty = classes.filter((_, k) => !of(k + 1));
  if (empty.length && !problems.length) { // else the voxels may be in what cannot be read
    problems.push({ name, problem: `no label has a voxel of ${listed(empty)}; leave the class out of dataset.json` });
  }
  if (problems.length) throw preparationError(problems, cannot);
  const plan = stored ?? proposePlan(name, { layout, cases, wishes }), { spacing } = plan;
  const tooLarge = all.filter((one) => {
    const grid = along(one, plan.orientation);
    return sizeOf(resizedShape(grid.shape, grid.spacing, spacing)) >= MOST_VOXELS;
  });
  const differences = [
    ...plan.dataset === name ? [] : [`dataset: "${name}" wanted, found "${plan.dataset}"`],
    ...plan.classes.length === classes.length
      ? []
      : [`classes: ${listed(classes)} wanted, found ${listed(plan.classes)}`],
    ...plan.channels.length === layout.channels.length
      ? []
      : [`channels: ${counted(layout.channels.length, "channel")} wanted, found ${plan.channels.length}`],
    ...tooLarge.length
      ? [
        `spacing: ${spacing!.join(" x ")} mm makes 2^31 voxels or more of ${
          listed(tooLarge.map((one) => one.name))
        }; a coarser one wanted`,
      ]
      : [],
  ];
  if (differences.length) {
    throw new DataError(
      `Cannot prepare "${raw}" by plan.json; nothing was written:\n  ${
        differences.join("\n  ")
      }\nChange what is named in plan.json`,
    );
  }
  const fingerprint = fingerprintOfDataset(cases, plan);
  return { plan: { ...plan, test, fingerprint }, notes };
}

/** The axis that counts the slices: that of the thick voxels, else that of the fewest. */
function slicesAxis(shape: Vector3, spacing: Vector3 | null): number {
  const [widest, next] = spacing?.toSorted((a, b) => b - a) ?? [0, 0];
  return widest > THICKER * next ? spacing!.lastIndexOf(widest) : shape.lastIndexOf(Math.min(...shape));
}

/** Names of labels that nobody names. */
function classesIn(cases: readonly CaseFingerprint[]): string[] {
  const highest = Math.max(...cases.map(({ voxels }) => (voxels?.length ?? 1) - 1));
  return Array.from({ length: highest }, (_, i) => `label ${i + 1}`);
}

/**
 * Patch and batch that fit the memory: a patch that covers the median size; of slices first fewer rows, then a patch that is
 * shorter where it is longest against that size.
 */
function fitting(
  training: Training,
  size: readonly number[],
  { memory, memoryOf }: Wishes,
): Pick<Plan, "patch" | "batch"> {
  let patch = covering(size), { batch } = training;
  const fits = () => memoryOf({ ...training, patch, batch }) <= memory;
  while (patch.length === 2 && !fits() && batch.labeled > FEWEST_ROWS) {
    batch = { labeled: Math.ceil(batch.labeled / 2), unlabeled: Math.ceil(batch.unlabeled / 2) };
  }
  while (!fits()) {
    const shorter = shortened(patch, size);
    if (!shorter) {
      throw new DataError(
        `Cannot plan a training in ${memory} GB: the smallest patch takes ${
          memoryOf({ ...training, patch, batch }).toFixed(1)
        } ` +
          "GB; give more by --memory",
      );
    }
    patch = shorter;
  }
  return { patch, batch };
}

const sides = (values: readonly number[], digits = 0) => values.map((n) => Number(n.toFixed(digits))).join(" x ");

/** A plan in three lines: what was found, how it is prepared, how it is trained on. */
export function planLines(
  { fingerprint, channels, classes, ...plan }: Plan,
  { memoryGb, stepSeconds }: { memoryGb: number; stepSeconds: number },
): string[] {
  const { labeled, unlabeled, spacing, shape, orientations } = fingerprint;
  const normalized = channels.map(({ name, normalization, foreground: { low, high } }) =>
    `${name === normalization ? "" : `${name} by `}${normalization}${
      normalization === "CT" ? ` (${sides([low], 1)} to ${sides([high], 1)})` : ""
    }`
  );
  const turned = Object.entries(orientations).map(([orientation, count]) => `${count} ${orientation}`).join(", ");
  const steps = `about ${memoryGb.toFixed(1)} GB and ${stepSeconds.toFixed(1)} s a step of SS-Net in fp32`;
  return [
    `found: ${labeled} cases with a label of ${classes.join(", ")}, ${unlabeled} without${
      plan.test.length ? `, ${plan.test.length} for the test` : ""
    }; ${sides(shape.median)} voxels at the median, ${
      spacing ? `${sides(spacing.median, 3)} mm` : "spacing not known"
    }; axes: ${turned}`,
    `cases: turned to ${plan.orientation}, ${
      plan.spacing ? `resampled to ${sides(plan.spacing, 3)} mm` : "each in its own spacing"
    }; ${normalized.join(", ")}`,
    `training: ${plan.network} by the protocol of ${plan.protocol.toUpperCase()} on patches of ${
      plan.patch.join(" x ")
    }, ${plan.batch.labeled} + ${plan.batch.unlabeled} a batch; ${steps}`,
  ];
}
