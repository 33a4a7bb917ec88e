/** The plan of a grid before any work: length and costs of every cell, and everything that speaks against it. @module */
import { dirname } from "node:path";
import { batchProblems } from "../data/batches.ts";
import { readEach } from "../files/errors.ts";
import { isFolder } from "../files/exists.ts";
import { counted } from "../files/words.ts";
import { type Costs, type Length, readCellIfThere } from "../records/cell.ts";
import { readSteps } from "../records/measurement.ts";
import { differencesOf, isRun, readRunConfigIfThere } from "../records/run.ts";
import { checkCases, readSplit } from "../records/split.ts";
import type { Cell } from "./cells.ts";
import { benchCommand, COSTS, costsOf, hoursOf } from "./costs.ts";
import {
  type Grid,
  isFinished,
  lengthOfCell,
  methodOf,
  pathOf,
  precisionOfCell,
  presetOfCell,
  recordOf,
  splitPath,
  trainingOf,
} from "./protocol.ts";

/** A cell with what it costs. */
export interface PlannedCell extends Cell, Length {
  /** The measured costs; null where the scale needs none. */
  costs: Costs | null;
  /** What is there of it. */
  state: "new" | "begun" | "finished";
}

/** The plan for readers: a line a cell, then the sums over those that are not finished. */
export function planTable(cells: PlannedCell[], memoryBytes: number): string {
  const head = ["cell", "folder", "iterations", "warm-up", "hours", "GB", "state"];
  const rows = cells.map(({ costs, ...cell }) => [
    ...[cell.index, cell.folder, cell.iterations, cell.warmup].map(String),
    ...costs ? [hoursOf(cell, costs).toFixed(2), costs.memoryGb.toFixed(1)] : ["-", "-"],
    cell.state,
  ]);
  const widths = head.map((_, k) => Math.max(...[head, ...rows].map((row) => row[k].length)));
  const isText = (k: number) => k === 1 || k === 6;
  const line = (row: string[]) =>
    row.map((text, k) => isText(k) ? text.padEnd(widths[k]) : text.padStart(widths[k])).join("  ").trimEnd();
  const left = cells.filter(({ state }) => state !== "finished");
  const told = [`${counted(cells.length, "cell")}, ${left.length} of them to do`];
  const measured = left.flatMap(({ costs, ...cell }) => costs ? [{ hours: hoursOf(cell, costs), ...costs }] : []);
  if (measured.length) {
    const hours = measured.reduce((sum, { hours }) => sum + hours, 0).toFixed(2);
    const peak = Math.max(...measured.map(({ memoryGb }) => memoryGb)).toFixed(1);
    told.push(`${hours} hours of training from their start to their end, at most ${peak} GB at a time`);
    for (const machine of new Set(measured.map(({ machine }) => machine))) told.push(`measured on ${machine}`);
  }
  told.push(`this machine has ${(memoryBytes / 1e9).toFixed(1)} GB of memory`);
  return [line(head), ...rows.map(line), ...told].join("\n");
}

/** Every cell that needs more memory than there is, with the figures. */
export function memoryProblems(cells: PlannedCell[], memoryBytes: number): string[] {
  return cells.filter(({ costs, state }) => state !== "finished" && costs && costs.memoryGb * 1e9 > memoryBytes).map((
    { folder, costs },
  ) => `${folder} needs ${costs!.memoryGb.toFixed(1)} GB, this machine has ${(memoryBytes / 1e9).toFixed(1)} GB`);
}

/**
 * Length and costs of every cell; of a begun one the length that it was begun with. Needs `--allow-read`.
 * @returns `problems`: folders that cannot be gone on with. `unmeasured`: commands that measure what is not in `planned`.
 */
export async function plan(
  grid: Grid,
  cells: Cell[],
): Promise<{ planned: PlannedCell[]; problems: string[]; unmeasured: string[] }> {
  const { scale, device } = grid, rows = scale === "ci" ? [] : await readSteps(COSTS);
  const planned: PlannedCell[] = [], problems: string[] = [], unmeasured: string[] = [];
  for (const cell of cells) {
    const { lowResolution } = presetOfCell(grid, cell), { name: method, profile, rows: batch } = methodOf(grid, cell);
    const precision = precisionOfCell(grid, cell);
    const { protocol, patch, channels, classes } = profile;
    const shape = { patch, rows: batch, channels, classes };
    const key = { dataset: protocol, method, precision, lowResolution, device, ...shape }, costs = costsOf(rows, key);
    if (!costs && scale !== "ci") {
      unmeasured.push(benchCommand(key));
      continue;
    }
    const length = await lengthOfSibling(grid, cell) ?? lengthOfCell(grid, cell, costs);
    const { begun, problem } = await readBegun(grid, { ...cell, ...length });
    if (problem !== null) problems.push(problem);
    const state = await isFinished(grid, cell) ? "finished" : begun ? "begun" : "new";
    planned.push({ ...cell, ...begun ?? length, costs, state });
  }
  return { planned, problems, unmeasured };
}

/** fast: the length of the same cell with another seed and the same minutes: figures may have changed, a table's rows not. */
async function lengthOfSibling(grid: Grid, cell: Cell): Promise<Length | null> {
  const parent = dirname(pathOf(grid, cell));
  if (grid.scale !== "fast" || !isFolder(parent)) return null;
  const folders = [...Deno.readDirSync(parent)].map(({ name }) => `${parent}/${name}`);
  const { results } = await readEach(folders, readCellIfThere); // what cannot be read is told at its own cell
  return results.find((record) => record?.minutes === grid.minutes) ?? null;
}

/**
 * The length of a begun cell, null of one that is not begun, and why its folder cannot be gone on with. Needs `--allow-read`.
 * @param cell With the length that it would be begun with.
 */
export async function readBegun(
  grid: Grid,
  cell: Cell & Length,
): Promise<{ begun: Length | null; problem: string | null }> {
  const folder = pathOf(grid, cell), { results: [record], problems } = await readEach([folder], readCellIfThere);
  if (problems.length) return { begun: null, problem: problems[0] };
  if (!record) {
    return { begun: null, problem: isRun(folder) ? `"${folder}" holds a run that is no cell of a grid` : null };
  }
  const config = await readRunConfigIfThere(folder);
  const { iterations, warmup } = record, begun = { iterations, warmup };
  // Its length may differ where minutes were turned into iterations by figures that have changed since.
  const { costs: _, ...now } = recordOf(grid, cell, { ...grid.scale === "fast" ? begun : cell, costs: null });
  const run = config &&
    { ...config.method.settings, ...config.training, method: config.method.name, dataset: config.dataset };
  const differences = [
    ...differencesOf(record, now),
    ...run ? differencesOf(run, { ...trainingOf(grid, cell, begun), dataset: cell.dataset }) : [],
  ];
  return { begun, problem: differences.length ? `"${folder}" was begun otherwise: ${differences.join("; ")}` : null };
}

/** Why cells cannot be trained and tested on their splits. Needs `--allow-read`. */
export async function splitProblems(grid: Grid, cells: Cell[]): Promise<string[]> {
  const { results, problems } = await readEach(cells, async (cell) => {
    const path = splitPath(grid, cell), { profile, usesUnlabeled } = methodOf(grid, cell);
    const split = await readSplit(path, cell.dataset);
    const { cases } = await checkCases(split, `${grid.cases}/${cell.dataset}`, path);
    const rowsOf = (name: string) => profile.patch.length === 3 ? 1 : cases[name].shape[0];
    const rows = (names: string[]) => names.reduce((sum, name) => sum + rowsOf(name), 0);
    const found = { labeled: rows(split.labeled), unlabeled: rows(split.unlabeled) };
    const patients = split.patients?.labeled ?? split.labeled.length;
    return [
      ...batchProblems(found, { profile, withUnlabeled: usesUnlabeled }).map((why) =>
        `${cell.folder}, "${path}": ${why}`
      ),
      ...patients === cell.labeled ? [] : [`"${path}" has ${patients} labeled, ${cell.labeled} wanted`],
      ...split.test.length ? [] : [`"${path}" has no test case`],
    ];
  });
  return [...new Set([...problems, ...results.flat()])];
}
