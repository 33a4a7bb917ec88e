/** What a training's augmentation makes of its labeled cases: sixteen patches in one picture, labels as outlines; of several channels the first. @module */
import { assembleBatch, readTrainingItems } from "../data/batches.ts";
import { DataError } from "../files/errors.ts";
import { checkCases } from "../records/split.ts";
import { montage, outline, type Overlay } from "./overlays.ts";
import type { Run } from "./runs.ts";

/** Patches of a sheet. */
export const SHEET_PATCHES = 16;
/** Longest side of one in pixels. */
const TILE = 128;

/** The picture of one run. */
export interface PatchSheet {
  /** Voxels of a patch along X. */
  width: number;
  /** Voxels of a patch along Y. */
  height: number;
  /** All patches, row by row, on one scale of grays: a change of brightness is seen. */
  montage: Overlay["montage"];
  /** SVG path data in voxels, by patch and class. */
  outlines: string[][];
}

/**
 * The first labeled patches that a run's seed and augmentation draw from its cases; of a volume the plane of X (to the right)
 * and Y (downwards) with most of the foreground, the middle one where there is none. Needs `--allow-read`, `--allow-env`.
 * @throws {DataError} When the cases of the training are not there, or are others.
 */
export async function readPatchSheet(
  { folder, dataset: profile, config: { split, training } }: Run,
): Promise<PatchSheet> {
  const { patch, seed, augmentation, cases } = training, { classes, channels } = profile;
  const labeled = { ...split, unlabeled: [], validation: [], test: [] };
  const manifest = await checkCases(labeled, cases, `${folder}/config.json`);
  const items = await readTrainingItems(cases, labeled, { profile, withUnlabeled: false, cases: manifest.cases });
  const isVolume = patch.length === 3, [nx, ny, nz] = isVolume ? patch : [patch[1], patch[0], 1];
  const size = nx * ny * nz, area = nx * ny, { labeledPerBatch } = profile;
  const images = new Float32Array(SHEET_PATCHES * area), labels = new Uint8Array(SHEET_PATCHES * area);
  const batches = Array.from({ length: Math.ceil(SHEET_PATCHES / labeledPerBatch) }, (_, i) => {
    const rows = { labeledPerBatch, unlabeledPerBatch: 0 }, drawn = { seed, iteration: i + 1, patch };
    return assembleBatch(items, { profile: rows, augmentation, ...drawn, withUnlabeled: false });
  });
  for (let k = 0; k < SHEET_PATCHES; k++) {
    const drawn = batches[Math.floor(k / labeledPerBatch)], row = k % labeledPerBatch;
    const image = drawn.image.subarray(row * size * channels),
      label = drawn.label.subarray(row * size, (row + 1) * size);
    const at = (x: number, y: number, z: number) => isVolume ? (x * ny + y) * nz + z : y * nx + x;
    const foreground = Array(nz).fill(0);
    if (isVolume) label.forEach((value, i) => foreground[i % nz] += value ? 1 : 0);
    const most = Math.max(...foreground), z = most ? foreground.indexOf(most) : Math.floor(nz / 2);
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) {
        images[k * area + y * nx + x] = image[channels * at(x, y, z)];
        labels[k * area + y * nx + x] = label[at(x, y, z)];
      }
    }
  }
  const of = (x: number, y: number, k: number) => k * area + y * nx + x;
  return {
    width: nx,
    height: ny,
    montage: montage(images, of, { width: nx, height: ny, depth: SHEET_PATCHES, longest: TILE }),
    outlines: Array.from({ length: SHEET_PATCHES }, (_, k) =>
      Array.from(
        { length: classes - 1 },
        (_, c) => outline((x, y) => labels[of(x, y, k)] === c + 1, { width: nx, height: ny }),
      )),
  };
}

/** The sheet of a run, or why there is none. */
export interface ShownSheet {
  /** The first of the runs whose patches are drawn alike but for the seed. */
  run: Run;
  /** The patches; null where its cases are not there. */
  sheet: PatchSheet | null;
  /** Why; null where it is shown. */
  problem: string | null;
}

/** A sheet for every dataset, augmentation and patch among the runs. Needs `--allow-read`, `--allow-env`. */
export async function readPatchSheets(runs: Run[]): Promise<ShownSheet[]> {
  const first = new Map<string, Run>();
  for (const run of runs) {
    const { dataset, training: { augmentation, patch } } = run.config,
      key = JSON.stringify([dataset, augmentation, patch]);
    if (!first.has(key)) first.set(key, run);
  }
  const sheets: ShownSheet[] = [];
  for (const run of first.values()) {
    try {
      sheets.push({ run, sheet: await readPatchSheet(run), problem: null });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      sheets.push({ run, sheet: null, problem: error.message });
    }
  }
  return sheets;
}
