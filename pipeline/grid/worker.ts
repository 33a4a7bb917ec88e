/**
 * The work of a grid: cases, splits, and the training and the test of each cell, all by the tasks themselves, one process
 * at a time, which a signal ends.
 * @module
 */
import type { SmallTraining } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { isFile } from "../files/exists.ts";
import { flagsOf } from "../files/flags.ts";
import { holderText, takeLock } from "../files/locks.ts";
import { writerOf } from "../files/log.ts";
import { INTERRUPTED, onStop } from "../files/signals.ts";
import { type Length, writeCell } from "../records/cell.ts";
import { isDone } from "../records/run.ts";
import type { Cell } from "./cells.ts";
import { type PlannedCell, readBegun } from "./plan.ts";
import {
  type Grid,
  pathOf,
  readTest,
  recordOf,
  splitPath,
  testedCheckpoints,
  testOf,
  trainingOf,
  untrainedOf,
} from "./protocol.ts";
import { startTask } from "./task_process.ts";

/** Cells are saved so often that an interruption costs little beside a checkpoint. */
const SAVE_EVERY = 50;

/** Runs the tasks of a grid until a signal comes; it listens until it is disposed. */
export interface Worker extends Disposable {
  /** The grid of the cells. */
  grid: Grid;
  /** Whether a signal has come. */
  stopped(): boolean;
  /** Runs a task. @param folder That it may write to: the grid's, where none is named. @returns Its exit code. */
  run(task: string, args: string[], folder?: string): Promise<number>;
  /** Ends at once what runs: it writes no more. */
  kill(): void;
}

/** A worker. Needs `--allow-run=deno`. */
export function startWorker(grid: Grid): Worker {
  let child: Deno.ChildProcess | null = null, signaled = false;
  /** Ends what runs: at SIGTERM a training saves its state and leaves with code 75. */
  function end(signal: "SIGTERM" | "SIGKILL") {
    try {
      child?.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended already
    }
  }
  const listening = onStop(() => {
    signaled = true;
    console.error("Ending; a training that runs saves its state first; a second signal ends at once");
    end("SIGTERM");
  });
  return {
    grid,
    stopped: () => signaled,
    async run(task, args, folder = grid.out) {
      child = startTask(task, args, [folder]);
      if (signaled) end("SIGTERM"); // it came while the process was started
      const { code } = await child.status;
      child = null;
      return code;
    },
    kill: () => end("SIGKILL"),
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  };
}

/** Cases, and a split for every labeled count; made once, by whoever comes first. @returns Why a count has none, or an exit code. */
export async function prepare({ grid, run, stopped }: Worker, cells: Cell[]): Promise<string[] | number> {
  const { out, cases, scale } = grid;
  for (const folder of [out, cases]) await Deno.mkdir(folder, { recursive: true });
  const taken = await takeLock(cases, {
    waitSeconds: Infinity,
    isStopped: stopped,
    onWait: (holder) => console.log(`the cases in "${cases}" wait for ${holderText(holder)}`),
  });
  if ("holder" in taken) return INTERRUPTED;
  await using _lock = taken.lock;
  for (const dataset of new Set(cells.map(({ dataset }) => dataset))) {
    const raw = `${grid.raw}/${dataset}`;
    if (isFile(`${cases}/${dataset}/manifest.json`)) continue;
    if (scale === "ci") await DATASETS[dataset].writePhantoms(raw, DATASETS[dataset].ci.phantoms);
    const code = await run("preprocess", [dataset, ...flagsOf({ raw, cases: `${cases}/${dataset}` })], cases);
    if (code) return stopped() ? INTERRUPTED : code;
  }
  const problems: string[] = [];
  for (const [split, cell] of new Map(cells.map((cell) => [splitPath(grid, cell), cell]))) {
    const { dataset, labeled } = cell;
    if (isFile(split)) continue;
    await Deno.mkdir(`${out}/${dataset}-${labeled}`, { recursive: true });
    const small = scale === "ci" ? smallSplit(DATASETS[dataset].ci.split) : {};
    const code = await run("split", [dataset, ...flagsOf({ cases: `${cases}/${dataset}`, split, labeled, ...small })]);
    if (code) problems.push(`no split with ${labeled} labeled for ${dataset}, as told above`);
  }
  return problems;
}

const smallSplit = ({ test, validation }: SmallTraining["split"]) => ({
  testCases: test,
  validationCases: validation || undefined,
});

/** A training goes on when this process's forerunner was killed alone, and what it leaves is gone on with. */
async function waitForOrphan(folder: string, stopped: () => boolean) {
  for (let told: string | null = null; !stopped();) {
    const writer = await writerOf(`${folder}/metrics.jsonl`);
    if (writer === null) return;
    if (writer !== told) {
      console.log(`${folder} waits for ${writer}, which still trains in it: the reproduce that started it has gone`);
    }
    told = writer;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Trains and tests into a folder, from where it stands. @returns Null, or what went wrong. */
async function trainAndTest(
  { grid, run, stopped }: Worker,
  cell: Cell,
  { folder, length, isLost }: { folder: string; length: Length; isLost: () => boolean },
): Promise<string | null> {
  const { threads, device } = grid, { dataset } = cell;
  await waitForOrphan(folder, stopped);
  if (stopped()) return "it was stopped";
  if (!isDone(folder)) {
    const where = { cases: `${grid.cases}/${dataset}`, split: splitPath(grid, cell), run: folder };
    const how = { ...trainingOf(grid, cell, length), saveEvery: SAVE_EVERY, threads, device };
    const resume = isFile(`${folder}/state.safetensors`);
    const code = await run("train", [dataset, ...flagsOf({ ...where, ...how, resume })]);
    if (code) return `training ended with code ${code}`;
  }
  for (const checkpoint of testedCheckpoints(grid, cell, folder)) {
    const test = () => readTest(grid, cell, { folder, checkpoint });
    if (await test()) continue;
    if (isLost()) return "another process has taken it over";
    const how = grid.scale === "paper" ? { checkpoint } : testOf(grid, cell);
    const code = await run("evaluate", [dataset, ...flagsOf({ run: folder, ...how, threads, device })]);
    if (code) return `evaluation ended with code ${code}`;
    if (!await test()) return "its evaluation is not the one that was asked for";
  }
  return null;
}

/** Computes a cell, at the scale ci with an untrained network beside it. @returns Null, or what went wrong. */
export async function compute(worker: Worker, cell: PlannedCell, isLost: () => boolean): Promise<string | null> {
  const { grid } = worker, folder = pathOf(grid, cell);
  const { begun, problem } = await readBegun(grid, cell); // another process may have begun it
  if (problem !== null) return problem;
  if (!begun) await writeCell(folder, recordOf(grid, cell, cell));
  const why = await trainAndTest(worker, cell, { folder, length: begun ?? cell, isLost });
  if (why !== null || grid.scale !== "ci" || isLost()) return why;
  const length = { iterations: 0, warmup: 0 };
  return await trainAndTest(worker, cell, { folder: untrainedOf(grid, cell), length, isLost });
}
