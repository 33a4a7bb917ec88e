/** What the cells of a grid are at each scale: the training's method and options, the test's, and where all of it lies. @module */
import { type Dataset, type Preset, presetOf } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { type AblationName, ABLATIONS } from "../methods/ablations.ts";
import { createMethod } from "../methods/method.ts";
import { type MethodName, METHODS } from "../methods/methods.ts";
import type { CellRecord, Costs, Length, Scale } from "../records/cell.ts";
import { type Metrics, readMetricsIfThere } from "../records/evaluation.ts";
import { isFile } from "../files/exists.ts";
import { isDone, type Training } from "../records/run.ts";
import { type Precision, precisionOn } from "../tensorflow/precision.ts";
import { type Cell, STRONG } from "./cells.ts";
import { lengthOf, stepRows } from "./costs.ts";

/** How all cells of a grid are trained and tested, and where. */
export interface Grid {
  /** The datasets of its cells, by name. */
  datasets: Record<string, Dataset>;
  /** How long. */
  scale: Scale;
  /** fast: of every training. */
  minutes: number;
  /** Whether the cells are SS-Net's ablations. */
  ablation: boolean;
  /** Folder of the run folders. */
  out: string;
  /** Folder with the raw files of each dataset. */
  raw: string;
  /** Folder with the cases of each dataset. */
  cases: string;
  /** TensorFlow's threads. */
  threads: number;
  /** Where it is computed. */
  device: "cpu" | "gpu";
}

/** A cell's run folder. */
export const pathOf = ({ out }: Grid, { folder }: Cell): string => `${out}/${folder}`;

/** ci: its run folder of the untrained network, which the trained one is compared with. */
export const untrainedOf = (grid: Grid, cell: Cell): string => `${pathOf(grid, cell)}-untrained`;

/** The split of a cell, one with all others of its dataset and count. */
export const splitPath = ({ out }: Grid, { dataset, labeled }: Cell): string =>
  `${out}/${dataset}-${labeled}/split.json`;

/** What trains a cell, a method or SS-Net with an ablation's settings, and the dataset's profile with what it changes in it. */
export function methodOf({ ablation, datasets }: Grid, { dataset, method }: Cell) {
  const name = ablation ? "ssnet" : method === STRONG ? "supervised" : method as MethodName;
  const settings = ablation ? ABLATIONS[method as AblationName] : {};
  const made = createMethod(METHODS[name], datasets[dataset]), { profile, usesUnlabeled } = made;
  return { name, settings, profile, usesUnlabeled, rows: stepRows(made) };
}

const presetName = ({ scale }: Grid) => scale === "paper" ? "paper" : "fast";

/** What a cell's training takes its other options from. */
export function presetOfCell(grid: Grid, cell: Cell): Preset {
  return presetOf(methodOf(grid, cell).profile, presetName(grid));
}

/** Precision of a cell's training and evaluation; phantoms take any machine. */
export function precisionOfCell(grid: Grid, cell: Cell): Precision {
  return precisionOn(grid.device, grid.scale === "ci" ? "single" : presetOfCell(grid, cell).precision);
}

/** How long a cell is trained that is begun now. @param costs fast: measured. */
export function lengthOfCell(grid: Grid, cell: Cell, costs: Costs | null): Length {
  if (grid.scale === "fast") return lengthOf(grid.minutes, costs!);
  const { iterations, warmup } = presetOf(methodOf(grid, cell).profile, "paper");
  if (grid.scale === "paper") return { iterations, warmup };
  const short = DATASETS[cell.dataset].ci.iterations;
  return { iterations: short, warmup: Math.round(short * warmup / iterations) };
}

/** What stands in a cell's folder from its start. */
export function recordOf({ scale, minutes }: Grid, cell: Cell, length: Length & { costs: Costs | null }): CellRecord {
  const { dataset, labeled, method, seed } = cell, { iterations, warmup, costs } = length;
  const ofScale = { scale, minutes: scale === "fast" ? minutes : null };
  return { ...ofScale, dataset, labeled, method, seed, iterations, warmup, costs };
}

/** Method, settings and options of a cell's training, as a run's configuration has them too. */
export function trainingOf(grid: Grid, cell: Cell, length: Length): { method: MethodName } & Partial<Training> {
  const { name, settings } = methodOf(grid, cell), { iterations, warmup } = length;
  return {
    ...settings,
    method: name,
    ...{ preset: presetName(grid), iterations, warmup, seed: cell.seed, precision: precisionOfCell(grid, cell) },
    augmentation: cell.method === STRONG ? "strong" : "published",
    patch: grid.scale === "ci" ? [...DATASETS[cell.dataset].ci.patch] : undefined,
    // Only the published protocol chooses by the validation cases.
    validateEvery: grid.scale === "paper" ? undefined : Math.max(1, iterations),
  };
}

/** How each method is tested: as its own code does at the published scale, else all alike. */
export function testOf(grid: Grid, cell: Cell) {
  const { checkpoint, components } = methodOf(grid, cell).profile, precision = precisionOfCell(grid, cell);
  return grid.scale === "paper" ? { batchNorm: "running", checkpoint, components, precision } : {
    // Phantoms are trained for too few steps to have collected any.
    batchNorm: grid.scale === "ci" ? "window" as const : presetOfCell(grid, cell).statistics,
    checkpoint: "last" as const,
    components: grid.datasets[cell.dataset].components,
    precision,
  };
}

/**
 * The checkpoints of a run folder that are tested: {@linkcode testOf}'s; at the published scale, where the validation cases
 * choose one, the other one too.
 */
export function testedCheckpoints(grid: Grid, cell: Cell, folder: string): ("last" | "best")[] {
  const { checkpoint } = testOf(grid, cell), other = checkpoint === "best" ? "last" : "best";
  return grid.scale === "paper" && isFile(`${folder}/${other}.safetensors`) ? [checkpoint, other] : [checkpoint];
}

/** The evaluation of a cell's run as {@linkcode testOf} wants it; null where there is none yet. */
export async function readTest(
  grid: Grid,
  cell: Cell,
  { folder = pathOf(grid, cell), checkpoint = testOf(grid, cell).checkpoint }: {
    folder?: string;
    checkpoint?: "last" | "best";
  } = {},
): Promise<Metrics | null> {
  const wanted = Object.entries({ ...testOf(grid, cell), checkpoint }) as [keyof Metrics, unknown][];
  for (const { name } of isDone(folder) ? Deno.readDirSync(folder) : []) {
    if (!name.startsWith("evaluation-") || name.endsWith(".part")) continue;
    const found = await readMetricsIfThere(`${folder}/${name}`);
    if (found && wanted.every(([key, value]) => found[key] === value)) return found;
  }
  return null;
}

/** Whether nothing of a cell is left to do. */
export async function isFinished(grid: Grid, cell: Cell): Promise<boolean> {
  const folders = [pathOf(grid, cell), ...grid.scale === "ci" ? [untrainedOf(grid, cell)] : []];
  const tests = folders.flatMap((folder) =>
    testedCheckpoints(grid, cell, folder).map((checkpoint) => readTest(grid, cell, { folder, checkpoint }))
  );
  return !(await Promise.all(tests)).includes(null);
}
