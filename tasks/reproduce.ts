/**
 * `deno task reproduce`: the grid {dataset} × {labeled count} × {method} × {seed}. A cell is a run folder
 * `OUT/DATASET-LABELED/METHOD/SEED`, made by the tasks themselves: preprocess, split, train, evaluate; a report ends it.
 * Finished cells are skipped, interrupted ones go on, broken ones are told and do not stop the others; any number of
 * processes and machines may work on one grid.
 *
 * ci     phantoms and small patches; ends with checks of every cell and `N passed, N failed`
 * fast   the same minutes for every method, evaluated alike
 * paper  the published schedules, each method evaluated as its own code does
 * @module
 */
import { resolve } from "node:path";
import { z } from "zod";
import { EXIT, MACHINE, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { writeAtomically } from "../pipeline/files/atomic.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { flagsOf } from "../pipeline/files/flags.ts";
import { DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS } from "../pipeline/files/locks.ts";
import { homePath, namedHome, quoted } from "../pipeline/files/places.ts";
import { counted } from "../pipeline/files/words.ts";
import { fillCells, gridCells, STRONG } from "../pipeline/grid/cells.ts";
import { checkCells } from "../pipeline/grid/learning_checks.ts";
import { machineMemory } from "../pipeline/grid/memory.ts";
import { memoryProblems, plan, type PlannedCell, planTable, splitProblems } from "../pipeline/grid/plan.ts";
import { type Grid, isFinished, pathOf } from "../pipeline/grid/protocol.ts";
import { slurmScript } from "../pipeline/grid/slurm.ts";
import { compute, prepare, startWorker, type Worker } from "../pipeline/grid/worker.ts";
import { ABLATIONS } from "../pipeline/methods/ablations.ts";
import { METHOD_NAMES, TABLE_METHODS } from "../pipeline/methods/methods.ts";
import type { Dataset } from "../pipeline/datasets/dataset.ts";
import { DATASETS, findDataset, ownNames } from "../pipeline/datasets/datasets.ts";
import { SCALES } from "../pipeline/records/cell.ts";

const options = parseOptions(
  z.strictObject({
    scale: z.enum(SCALES).describe(
      "ci: phantoms; fast: --minutes for every method, evaluated alike; paper: each method's published training",
    ),
    dataset: z.string().default("la,acdc").describe("datasets, with commas, also of your own"),
    labeled: z.string().optional().describe(
      "labeled cases of la (4, 8, 80) and patients of acdc (3, 7, 70), with commas; 80 and 70, the whole list, are for " +
        "the labeled-only method; of your own any number (default: 4,8,3,7; ci: 4,3)",
    ),
    method: z.string().optional().describe(
      `methods, with commas, of ${METHOD_NAMES},${STRONG} (default: ${TABLE_METHODS},${STRONG})`,
    ),
    selectionGap: z.boolean().default(false).describe(
      "the report also tells on the test cases what the best checkpoint has over the last one, as the field reports it",
    ),
    ablation: z.boolean().default(false).describe("SS-Net's ablations instead of the methods, all as long as SS-Net"),
    seed: z.string().default("1337").describe("seeds, with commas"),
    minutes: z.number().positive().max(1e6).default(30).describe(
      "fast: of every training, by the figures in data/costs.json",
    ),
    out: pathOption().optional().describe(`folder of the grid (default: ${homePath("runs/reproduce-SCALE")})`),
    raw: pathOption().default(homePath("raw")).describe(
      "fast, paper: folder with raw la and acdc, where no cases are yet",
    ),
    cases: pathOption().default(homePath("cases")).describe("fast, paper: folder with the cases of la and acdc"),
    cell: z.int().nonnegative().optional().describe("only the cell of this index, without checks and report"),
    slurm: z.boolean().default(false).describe("write a job array whose tasks are the cells, and stop"),
    dryRun: z.boolean().default(false).describe("print cells, iterations, hours and memory, and stop"),
    ...MACHINE,
  }),
  { name: "reproduce", description: "Train, evaluate and compare every method", args: Deno.args },
);
const { scale, ablation, cell: index } = options, out = options.out ?? homePath(`runs/reproduce-${scale}`);
const own = scale === "ci" ? { raw: `${out}/raw`, cases: `${out}/cases` } : {};
/** The datasets that come with the project, and of one's own those that are asked for. */
const datasets: Record<string, Dataset> = { ...DATASETS };
const grid: Grid = { ...options, datasets, out, ...own };

await runTask(async () => {
  // ── The plan, and everything that speaks against it ────────────────────────────────────────────────────────────────

  for (
    const name of options.dataset.split(",").map((name) => name.trim()).filter((name) => ownNames().includes(name))
  ) {
    if (scale === "ci") return refuse([`${name} has no phantoms: --scale fast or paper wanted`]);
    datasets[name] = await findDataset(name, `${grid.cases}/${name}`);
  }
  const methods = ablation ? Object.keys(ABLATIONS) : [...METHOD_NAMES, STRONG];
  const usual = ablation ? methods : [...TABLE_METHODS, STRONG];
  const lists = { ...options, method: options.method ?? usual.join(",") };
  const { cells: all, problems: unknown } = gridCells(lists, { datasets, methods, firstCountOnly: scale === "ci" });
  if (unknown.length) return refuse(unknown);
  if (index !== undefined && index >= all.length) {
    return refuse([`there is no cell ${index}: the last of the grid is ${all.length - 1}`]);
  }
  const cells = index === undefined ? all : [all[index]];
  const { planned, problems: begun, unmeasured } = await plan(grid, cells);
  if (unmeasured.length) {
    throw new DataError(
      `Cannot plan ${
        counted(unmeasured.length, "cell")
      }: data/costs.json lacks the figures; measure all with\n  deno task ` +
        'bench step --method all --json > data/costs.json\nor add to its "steps" what these print:\n  ' +
        [...new Set(unmeasured)].join("\n  "),
    );
  }
  const { total } = machineMemory();
  console.log(planTable(planned, total));
  if (begun.length) return refuse(begun);
  const large = options.slurm ? [] : memoryProblems(planned, total); // the nodes of a cluster may have more
  if (large.length) {
    console.error(
      `Cannot compute ${large.length} of ${counted(planned.length, "cell")} here:\n  ${large.join("\n  ")}`,
    );
    return EXIT.environment;
  }
  if (options.dryRun) return EXIT.done;
  const closed = await closedFolders();
  if (closed.length) {
    console.error(
      `Cannot write to "${closed.join('", "')}": Deno lets this task write to its home (SSNET_HOME, else data) and ` +
        "temporary files only; run\n  " + [...namedHome(), ...ownCommand(Deno.args).map(quoted)].join(" "),
    );
    return EXIT.usage;
  }

  // ── Cases and splits, then cell after cell ─────────────────────────────────────────────────────────────────────────

  using worker = startWorker(grid);
  const refused = await prepare(worker, cells);
  if (worker.stopped()) return EXIT.interrupted;
  if (typeof refused === "number") return refused;
  if (!refused.length) refused.push(...await splitProblems(grid, cells));
  if (refused.length) return refuse(refused);
  if (!options.slurm) return await fill(worker, planned);
  const left = planned.filter(({ state }) => state !== "finished");
  if (!left.length) return refuse(["nothing is left to do"]);
  const { dataset, labeled, method, seed, minutes, raw, cases, threads, device } = options;
  const given = { scale, dataset, labeled, method, ablation, seed, minutes, out, raw, cases, threads, device };
  await writeAtomically(
    `${out}/reproduce.sbatch`,
    slurmScript(grid, { cells: left, command: ownCommand(flagsOf(given)) }),
  );
  console.log(
    `sbatch ${out}/reproduce.sbatch\nWhen its tasks have ended, the same command without --slurm reports them.`,
  );
  return EXIT.done;
});

/** Computes all cells that are left, then the report; at the scale ci the checks. */
async function fill(worker: Worker, planned: PlannedCell[]): Promise<number> {
  const { broken, ...outcome } = await fillCells(planned, {
    folder: (cell) => pathOf(grid, cell),
    isFinished: (cell) => isFinished(grid, cell),
    compute: (cell, isLost) => compute(worker, cell, isLost),
    isStopped: worker.stopped,
    onLost: worker.kill,
    // A task that Slurm starts again after a failed node finds the lock of the one before, until that counts as dead.
    waitSeconds: index === undefined ? 0 : DEAD_AFTER_SECONDS + 2 * HEARTBEAT_SECONDS,
    tell: (cell, text) => console.log(`cell ${cell.index} ${cell.folder} ${text}`),
  });
  const of = counted(planned.length, "cell");
  if (worker.stopped()) {
    console.error(`Stopped after ${outcome.finished.length} of ${of}; the same command goes on`);
    return EXIT.interrupted;
  }
  const finished: PlannedCell[] = [];
  for (const cell of planned) if (await isFinished(grid, cell)) finished.push(cell); // others may have ended theirs
  const elsewhere = outcome.elsewhere.filter((cell) => !finished.includes(cell));
  if (index === undefined && finished.length) {
    const report = `${out}/${ablation ? "report-ablation" : "report"}`;
    const how = flagsOf({ out: report, selectionGap: options.selectionGap });
    const code = await worker.run("report", [...finished.map((cell) => pathOf(grid, cell)), ...how]);
    if (code) return code;
  }
  console.log(`\nfinished: ${finished.length} of ${of}; held by other processes: ${elsewhere.length}`);
  if (index !== undefined && elsewhere.length) return EXIT.interrupted; // nothing was computed: come again
  for (const { cell, why } of broken) console.error(`broken: cell ${cell.index} ${cell.folder}: ${why}`);
  const checked = planned.filter((cell) => !elsewhere.includes(cell));
  const isGood = scale !== "ci" || index !== undefined || await checkCells(grid, checked);
  return broken.length || !isGood ? 1 : EXIT.done;
}

function refuse(problems: string[]): number {
  console.error(`Cannot start the grid:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  return EXIT.usage;
}

/** This task as a command that may write to the folders of the grid, wherever they lie. */
function ownCommand(args: string[]): string[] {
  const writes = [grid.out, grid.cases].map((path) => resolve(path));
  return [
    ...["deno", "run", "--no-prompt", "--allow-read", `--allow-write=${writes}`, "--allow-env"],
    ...["--allow-sys=hostname,systemMemoryInfo", "--allow-run=deno", import.meta.filename!, ...args],
  ];
}

/** The folders of the grid that it may not write to; at a terminal Deno asks for them. */
async function closedFolders(): Promise<string[]> {
  const closed: string[] = [];
  for (const path of [grid.out, grid.cases]) {
    const { state } = await Deno.permissions.request({ name: "write", path });
    if (state !== "granted") closed.push(path);
  }
  return closed;
}
