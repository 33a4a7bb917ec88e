/**
 * The grid of a reproduction, {dataset} × {labeled count} × {method} × {seed}: its cells, which are run folders, and the
 * walk over them; what computes them is given from outside.
 * @module
 */
import { closest } from "fastest-levenshtein";
import type { Dataset } from "../datasets/dataset.ts";
import { holderText, takeLock } from "../files/locks.ts";
import { unknownName } from "../files/words.ts";

/** One training with its evaluation. */
export interface Cell {
  /** The cell's number from 0 on, in the order of the grid. */
  index: number;
  /** Profile's name. */
  dataset: string;
  /** Labeled cases or patients. */
  labeled: number;
  /** The method's name as in `--method`. */
  method: string;
  /** The seed of everything random. */
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

/** The labeled-only method with strong augmentation as a cell: what unlabeled cases have to beat. */
export const STRONG = "supervised-strong";
const WITHOUT_UNLABELED = ["supervised", STRONG];

/**
 * The cells of a grid; the table of a seed comes before that of the next. Of the whole training list labeled, which leaves
 * nothing unlabeled, there are the labeled-only cells alone.
 *
 * @param datasets All there are: of one's own any number may be labeled, and has to be given.
 * @param methods All names there are.
 * @param firstCountOnly Whether the default of `labeled` is one count a dataset.
 * @returns `problems`: every unknown or repeated name or number, with the nearest one.
 */
export function gridCells(
  { dataset, labeled, method, seed }: GridOptions,
  { datasets, methods, firstCountOnly }: {
    datasets: Record<string, Pick<Dataset, "labeledCounts" | "plan">>;
    methods: readonly string[];
    firstCountOnly: boolean;
  },
): { cells: Cell[]; problems: string[] } {
  const problems: string[] = [], names = Object.keys(datasets);
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
  const asked = list("dataset", dataset, names, byName(names));
  const chosen = asked.filter((name) => names.includes(name)), own = chosen.filter((name) => datasets[name].plan);
  const counts = chosen.flatMap((name) => datasets[name].labeledCounts.map(String));
  const byNumber = (item: string) =>
    counts.reduce((best, count) => Math.abs(+count - +item) < Math.abs(+best - +item) ? count : best, counts[0]);
  const standard = chosen.flatMap((name) => datasets[name].labeledCounts.slice(0, firstCountOnly ? 1 : -1)).join(",");
  if (own.length && labeled === undefined) {
    problems.push(`how many cases of ${own.join(", ")} are labeled is not given`);
  }
  const known = own.length ? null : counts;
  const labels = chosen.length && (labeled ?? standard)
    ? list("labeled count", labeled ?? standard, known, byNumber)
    : [];
  const chosenMethods = list("method", method, methods, byName(methods));
  const seeds = list("seed", seed, null, byName([]));
  const cells: Cell[] = [];
  if (problems.length) return { cells, problems };
  for (const seed of seeds.map(Number)) {
    for (const dataset of asked) {
      const { labeledCounts: publishedCounts, plan } = datasets[dataset];
      for (const labeled of labels.map(Number).filter((count) => plan || publishedCounts.includes(count))) {
        for (const method of chosenMethods) {
          if (labeled === publishedCounts.at(-1) && !WITHOUT_UNLABELED.includes(method)) continue;
          const folder = `${dataset}-${labeled}/${method}/${seed}`;
          cells.push({ index: cells.length, dataset, labeled, method, seed, folder });
        }
      }
    }
  }
  return cells.length ? { cells, problems } : { cells, problems: ["the grid has no cell"] };
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
  /** Is called when another process takes over the cell that is being computed. */
  onLost(): void;
  /** How long to wait for a cell that another process holds. */
  waitSeconds: number;
  /** Tells what happened to a cell. */
  tell(cell: C, text: string): void;
}

/** What became of the cells. */
export interface Outcome<C> {
  /** The cells that are finished, now or before. */
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
