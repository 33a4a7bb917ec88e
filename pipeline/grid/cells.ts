/**
 * The grid of a reproduction, {dataset} × {labeled count} × {method} × {seed}: its cells, what each costs, minutes turned
 * into iterations, and the walk over the cells. Cells are run folders; what computes them is given from outside.
 * @module
 */
import { closest } from "fastest-levenshtein";
import { DATASET_NAMES, DATASETS } from "../datasets/datasets.ts";
import type { Costs } from "./costs.ts";
import { holderText, takeLock } from "../files/locks.ts";
import { counted, unknownName } from "../files/words.ts";

/** Part of a budget that is spent on the labeled half alone, before a method's own steps. */
export const WARMUP_SHARE = 0.5;

/** One training with its evaluation. */
export interface Cell {
  /** From 0, in the order of the grid. */
  index: number;
  /** Profile's name. */
  dataset: string;
  /** Labeled cases or patients. */
  labeled: number;
  /** As in `--method`. */
  method: string;
  /** Of everything random. */
  seed: number;
  /** Its run folder, below that of the grid. */
  folder: string;
}

/** Lists as they stand on a command line, with commas. */
export interface GridOptions {
  /** Profiles' names. */
  dataset: string;
  /** A count belongs to the dataset that publishes it; absent: all with few labels, or the first of each dataset. */
  labeled?: string;
  /** Names. */
  method: string;
  /** Whole numbers from 0 on. */
  seed: string;
}

const WITHOUT_UNLABELED = "supervised";

/**
 * The cells of a grid; the table of a seed comes before that of the next. Of the whole training list labeled, which leaves
 * nothing unlabeled, there is the labeled-only method's cell alone.
 *
 * @param methods All names there are.
 * @param firstCountOnly Whether the default of `labeled` is one count a dataset.
 * @returns `problems`: every unknown or repeated name or number, with the nearest one.
 */
export function gridCells(
  { dataset, labeled, method, seed }: GridOptions,
  { methods, firstCountOnly }: { methods: readonly string[]; firstCountOnly: boolean },
): { cells: Cell[]; problems: string[] } {
  const problems: string[] = [], names = DATASET_NAMES;
  const list = (kind: string, text: string, known: readonly string[] | null, nearest: (name: string) => string) => {
    const items = text.split(",").map((item) => item.trim());
    items.forEach((item, i) => {
      if (items.indexOf(item) < i) problems.push(`the ${kind} "${item}" stands twice`);
      else if (known && !known.includes(item)) {
        problems.push(unknownName(kind, item, known, nearest(item)));
      } else if (!known && !(/^\d+$/.test(item) && Number.isSafeInteger(Number(item)))) {
        problems.push(`the ${kind} "${item}" is no whole number from 0 to ${Number.MAX_SAFE_INTEGER}`);
      }
    });
    return items;
  };
  const byName = (known: readonly string[]) => (item: string) => closest(item, known);
  const datasets = list("dataset", dataset, names, byName(names));
  const chosen = datasets.filter((name) => names.includes(name));
  const counts = chosen.flatMap((name) => DATASETS[name].labeledCounts.map(String));
  const byNumber = (item: string) =>
    counts.reduce((best, count) => Math.abs(+count - +item) < Math.abs(+best - +item) ? count : best, counts[0]);
  const standard = chosen.flatMap((name) => DATASETS[name].labeledCounts.slice(0, firstCountOnly ? 1 : -1)).join(",");
  const labels = chosen.length ? list("labeled count", labeled ?? standard, counts, byNumber) : [];
  const chosenMethods = list("method", method, methods, byName(methods));
  const seeds = list("seed", seed, null, byName([]));
  const cells: Cell[] = [];
  if (problems.length) return { cells, problems };
  for (const seed of seeds.map(Number)) {
    for (const dataset of datasets) {
      const own = DATASETS[dataset].labeledCounts;
      for (const labeled of labels.map(Number).filter((count) => own.includes(count))) {
        for (const method of chosenMethods) {
          if (labeled === own.at(-1) && method !== WITHOUT_UNLABELED) continue;
          const folder = `${dataset}-${labeled}/${method}/${seed}`;
          cells.push({ index: cells.length, dataset, labeled, method, seed, folder });
        }
      }
    }
  }
  return cells.length ? { cells, problems } : { cells, problems: ["the grid has no cell"] };
}

/** Length of a training. */
export interface Length {
  /** The warm-up included. */
  iterations: number;
  /** First iterations on the labeled half alone. */
  warmup: number;
}

/**
 * The longest training that fits a number of minutes by measured figures, {@linkcode WARMUP_SHARE} of them a warm-up; for
 * the labeled-only method, which is its own warm-up, all of them its steps. Whatever the figures, each stage has a step.
 */
export function lengthOf(minutes: number, { stepSeconds, warmupSeconds }: Costs): Length {
  const seconds = 60 * minutes, steps = (seconds: number, each: number) => Math.max(1, Math.floor(seconds / each));
  if (warmupSeconds === null) return { iterations: steps(seconds, stepSeconds), warmup: 0 };
  const warmup = steps(WARMUP_SHARE * seconds, warmupSeconds);
  return { iterations: warmup + steps((1 - WARMUP_SHARE) * seconds, stepSeconds), warmup };
}

/** Hours of a training of that length by measured figures, evaluation and start left out. */
export function hoursOf({ iterations, warmup }: Length, { stepSeconds, warmupSeconds }: Costs): number {
  return (warmup * (warmupSeconds ?? 0) + (iterations - warmup) * stepSeconds) / 3600;
}

/** A cell with what it costs. */
export interface PlannedCell extends Cell, Length {
  /** Measured; null where the scale needs none. */
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

/** How cells are computed; all of it works on folders, so that any number of processes may share a grid. */
export interface CellWork<C> {
  /** The cell's folder; made where it is missing. */
  folder(cell: C): string;
  /** Whether nothing is left to do. */
  isFinished(cell: C): Promise<boolean>;
  /**
   * Computes it. @param isLost Whether another process has taken it over: nothing may be begun in its folder any more.
   * @returns Null when it is done, else what went wrong, or why it stopped.
   */
  compute(cell: C, isLost: () => boolean): Promise<string | null>;
  /** Whether the walk must end; `compute` has returned early then. */
  isStopped(): boolean;
  /** Called when another process takes over the cell that is being computed. */
  onLost(): void;
  /** How long to wait for a cell that another process holds. */
  waitSeconds: number;
  /** Told what happened to a cell. */
  tell(cell: C, text: string): void;
}

/** What became of the cells. */
export interface Outcome<C> {
  /** Finished now or before. */
  finished: C[];
  /** Went wrong, and why. */
  broken: { cell: C; why: string }[];
  /** Held by other processes. */
  elsewhere: C[];
}

/** Computes all cells that are neither finished nor held by others; a broken one does not stop the next. */
export async function fillCells<C>(cells: C[], work: CellWork<C>): Promise<Outcome<C>> {
  const outcome: Outcome<C> = { finished: [], broken: [], elsewhere: [] };
  const skip = (cell: C) => {
    work.tell(cell, "is finished");
    outcome.finished.push(cell);
  };
  for (const cell of cells) {
    if (work.isStopped()) break;
    try {
      if (await work.isFinished(cell)) {
        skip(cell);
        continue;
      }
      const folder = work.folder(cell);
      await Deno.mkdir(folder, { recursive: true });
      const taken = await takeLock(folder, {
        waitSeconds: work.waitSeconds,
        isStopped: work.isStopped,
        onLost: work.onLost,
        onWait: (holder) => work.tell(cell, `waits for ${holderText(holder)}`),
      });
      if ("holder" in taken) {
        work.tell(cell, `is held by ${holderText(taken.holder)}`);
        outcome.elsewhere.push(cell);
        continue;
      }
      await using lock = taken.lock;
      if (await work.isFinished(cell)) { // between the first look and the lock
        skip(cell);
        continue;
      }
      const why = await work.compute(cell, lock.lost);
      if (lock.lost()) {
        work.tell(cell, "was taken over by another process");
        outcome.elsewhere.push(cell);
      } else if (why === null) outcome.finished.push(cell);
      else if (!work.isStopped()) fail(cell, why);
    } catch (error) {
      fail(cell, (error as Error).message);
    }
  }
  return outcome;

  function fail(cell: C, why: string) {
    work.tell(cell, `is broken: ${why}`);
    outcome.broken.push({ cell, why });
  }
}

/** Means of the first and the last third of a course. */
export function thirds(values: number[]): { first: number; last: number } {
  const n = Math.floor(values.length / 3), mean = (part: number[]) => part.reduce((sum, v) => sum + v, 0) / part.length;
  return { first: mean(values.slice(0, n)), last: mean(values.slice(values.length - n)) };
}
