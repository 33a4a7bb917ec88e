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
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { batchProblems } from "../pipeline/data/batches.ts";
import { type DatasetProfile, type Preset, presetOf } from "../pipeline/datasets/dataset.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { checkCases, readSplit, type Split } from "../pipeline/records/split.ts";
import { ABLATIONS } from "../pipeline/methods/ablations.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, type MethodName, METHODS } from "../pipeline/methods/methods.ts";
import { benchCommand, COSTS, type Costs, costsOf, readCosts } from "../pipeline/grid/costs.ts";
import { type Precision, precisionOn } from "../pipeline/tensorflow/precision.ts";
import { writeAtomically, writeJson } from "../pipeline/files/atomic.ts";
import {
  type Cell,
  fillCells,
  gridCells,
  hoursOf,
  type Length,
  lengthOf,
  memoryProblems,
  type PlannedCell,
  planTable,
  thirds,
} from "../pipeline/grid/cells.ts";
import { readRunConfigIfThere } from "../pipeline/records/run.ts";
import { readJsonIfThere } from "../pipeline/files/json.ts";
import { DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, holderText, takeLock } from "../pipeline/files/locks.ts";
import { readLog, writerOf } from "../pipeline/files/log.ts";
import { machineMemory } from "../pipeline/grid/memory.ts";
import { EXIT, MACHINE, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { homePath, namedHome, quoted } from "../pipeline/files/places.ts";
import { onStop } from "../pipeline/files/signals.ts";
import { slurmScript } from "../pipeline/grid/slurm.ts";
import { startTask } from "../pipeline/grid/task_process.ts";
import { counted } from "../pipeline/files/words.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { readManifest } from "../pipeline/records/manifest.ts";
import { type Metrics, readMetrics, readMetricsIfThere } from "../pipeline/records/evaluation.ts";

const options = parseOptions(
  z.strictObject({
    scale: z.enum(["ci", "fast", "paper"]).describe(
      "ci: phantoms; fast: --minutes for every method, evaluated alike; paper: each method's published training",
    ),
    dataset: z.string().default("la,acdc").describe("datasets, with commas"),
    labeled: z.string().optional().describe(
      "labeled cases of la (4, 8, 80) and patients of acdc (3, 7, 70), with commas; 80 and 70, the whole list, are for " +
        "the labeled-only method (default: 4,8,3,7; ci: 4,3)",
    ),
    method: z.string().optional().describe(`methods, with commas (default: ${METHOD_NAMES})`),
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
const ablations: Record<string, object> = options.ablation ? ABLATIONS : {};
/** What `--method` chooses from, and what it is without. */
const METHODS_OF_GRID = options.ablation ? Object.keys(ABLATIONS) : METHOD_NAMES;
const { scale, threads, device } = options, out = options.out ?? homePath(`runs/reproduce-${scale}`);
const root = scale === "ci" ? { raw: `${out}/raw`, cases: `${out}/cases` } : { raw: options.raw, cases: options.cases };

/** Cells are saved so often that an interruption costs little beside a checkpoint. */
const SAVE_EVERY = 50;

// ── What a cell is ──────────────────────────────────────────────────────────────────────────────────────────────────

/** What trains a cell: a method, or SS-Net with an ablation's settings. */
function trainedBy({ method }: Cell): { method: MethodName; settings: object } {
  const settings = ablations[method];
  return settings ? { method: "ssnet", settings } : { method: method as MethodName, settings: {} };
}

/** The dataset's profile with what the cell's method changes in it. */
function methodOf(cell: Cell): { profile: DatasetProfile; usesUnlabeled: boolean } {
  return createMethod(METHODS[trainedBy(cell).method], DATASETS[cell.dataset]);
}

/** How all methods, or each as its own code does, are tested. */
function evaluationOf(cell: Cell) {
  const { checkpoint, largestComponent } = methodOf(cell).profile;
  const precision = precisionOfCell(cell);
  return scale === "paper" ? { batchNorm: "running", checkpoint, largestComponent, precision } : {
    batchNorm: "window",
    checkpoint: "last",
    largestComponent: DATASETS[cell.dataset].largestComponent,
    precision,
  };
}

function presetOfCell(cell: Cell): Preset {
  return presetOf(methodOf(cell).profile, scale === "paper" ? "paper" : "fast");
}

/** Of training and evaluation; phantoms take any machine. */
function precisionOfCell(cell: Cell): Precision {
  return precisionOn(device, scale === "ci" ? "single" : presetOfCell(cell).precision);
}

/** What stands in a cell's folder from its start: its length, which later figures must not change. */
const STORED = z.strictObject({
  scale: z.string(),
  dataset: z.string(),
  labeled: z.int(),
  method: z.string(),
  seed: z.int(),
  minutes: z.number().nullable(),
  iterations: z.int().positive(),
  warmup: z.int().nonnegative(),
  costs: z.looseObject({}).nullable(),
});

const pathOf = (cell: Cell) => `${out}/${cell.folder}`;
const splitPath = ({ dataset, labeled }: Cell) => `${out}/${dataset}-${labeled}/split.json`;

async function exists(path: string): Promise<boolean> {
  try {
    return Boolean(await Deno.stat(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Folder of the evaluation that this scale wants; null where there is none yet. */
async function evaluationFolder(folder: string, wanted: object): Promise<string | null> {
  if (!await exists(`${folder}/DONE`)) return null;
  for (const { name } of Deno.readDirSync(folder)) {
    if (!name.startsWith("evaluation-") || name.endsWith(".part")) continue;
    const found = await readMetricsIfThere(`${folder}/${name}`);
    if (found && Object.entries(wanted).every(([key, value]) => found[key as keyof Metrics] === value)) {
      return `${folder}/${name}`;
    }
  }
  return null;
}

const untrainedOf = (cell: Cell) => `${pathOf(cell)}-untrained`;

async function isFinished(cell: Cell): Promise<boolean> {
  const wanted = evaluationOf(cell), folders = [pathOf(cell), ...scale === "ci" ? [untrainedOf(cell)] : []];
  const found = await Promise.all(folders.map((folder) => evaluationFolder(folder, wanted)));
  return !found.includes(null);
}

// ── Before any work: the plan, and everything that speaks against it ────────────────────────────────────────────────

/** Length and costs of every cell; of a begun one the length that it was begun with. */
async function plan(cells: Cell[]): Promise<{ planned: PlannedCell[]; problems: string[]; unmeasured: string[] }> {
  const rows = scale === "ci" ? [] : await readCosts(COSTS);
  const planned: PlannedCell[] = [], problems: string[] = [], unmeasured: string[] = [];
  for (const cell of cells) {
    const { coarse } = presetOfCell(cell),
      precision = precisionOfCell(cell),
      key = { ...cell, method: trainedBy(cell).method, precision, coarse, device },
      costs = costsOf(rows, key);
    if (!costs && scale !== "ci") {
      unmeasured.push(benchCommand(key));
      continue;
    }
    const length = await lengthOfSibling(cell) ?? lengthOfCell(cell, costs),
      { stored, problem } = await readStored(cell, length);
    if (problem) problems.push(problem);
    const state = await isFinished(cell) ? "finished" : stored ? "begun" : "new";
    planned.push({ ...cell, ...(stored ?? length), costs, state });
  }
  return { planned, problems, unmeasured };
}

function lengthOfCell(cell: Cell, costs: Costs | null): Length {
  if (scale === "fast") return lengthOf(options.minutes, costs!);
  const { iterations, warmup } = presetOf(methodOf(cell).profile, "paper");
  if (scale === "paper") return { iterations, warmup };
  const short = DATASETS[cell.dataset].ci.iterations;
  return { iterations: short, warmup: Math.round(short * warmup / iterations) };
}

/** fast: the length of the same cell with another seed and the same minutes: figures may have changed, a table's rows not. */
async function lengthOfSibling(cell: Cell): Promise<Length | null> {
  const parent = dirname(pathOf(cell));
  if (scale !== "fast" || !await exists(parent)) return null;
  for (const { name } of Deno.readDirSync(parent)) {
    const { record } = await readRecord(`${parent}/${name}`); // one that cannot be read is told at its own cell
    if (record?.minutes === options.minutes) return record;
  }
  return null;
}

/** What stands in `cell.json` of a folder, null where there is none; or why it cannot be read. */
async function readRecord(folder: string) {
  const remedy = "remove the folder, and the cell begins anew";
  try {
    const record = await readJsonIfThere(`${folder}/cell.json`, STORED, { what: "the record of a cell", remedy });
    return { record, problem: null };
  } catch (error) {
    if (error instanceof DataError) return { record: null, problem: error.message };
    throw error;
  }
}

/** The record of a begun cell, and why its folder cannot be gone on with. */
async function readStored(cell: Cell, length: Length): Promise<{ stored: Length | null; problem: string | null }> {
  const folder = pathOf(cell), { record, problem: unreadable } = await readRecord(folder);
  if (unreadable !== null) return { stored: null, problem: unreadable };
  if (!record) {
    const isRun = await exists(`${folder}/config.json`);
    return { stored: null, problem: isRun ? `"${folder}" holds a run that is no cell of a grid` : null };
  }
  const config = await readRunConfigIfThere(folder);
  const { iterations, warmup } = record, now = recordOf(cell, length);
  // Its length may differ where minutes were turned into iterations by figures that have changed since.
  const fixed = scale === "fast" ? {} : { iterations: length.iterations, warmup: length.warmup };
  const differences = [
    ...differing({ ...now, iterations, warmup, ...fixed, costs: undefined }, record),
    ...config
      ? differing({ ...trainOptions(cell, { iterations, warmup }), dataset: cell.dataset }, {
        ...config.method.settings,
        ...config.training,
        dataset: config.dataset,
        method: config.method.name,
        patch: config.training.patch.join("x"),
      })
      : [],
  ];
  const problem = differences.length ? `"${folder}" was begun otherwise: ${differences.join("; ")}` : null;
  return { stored: { iterations, warmup }, problem };
}

function differing(now: Record<string, unknown>, then: Record<string, unknown>): string[] {
  return Object.entries(now).filter(([key, value]) => value !== undefined && value !== then[key])
    .map(([key, value]) => `${key} ${JSON.stringify(then[key])} then, ${JSON.stringify(value)} now`);
}

function recordOf({ dataset, labeled, method, seed }: Cell, { iterations, warmup }: Length) {
  const minutes = scale === "fast" ? options.minutes : null;
  return { scale, dataset, labeled, method, seed, minutes, iterations, warmup };
}

/** Cases, and a split for every labeled count; made once, by whoever comes first. Returns why a count has none, or an exit code. */
async function prepare(cells: Cell[]): Promise<string[] | number> {
  for (const folder of [out, root.cases]) await Deno.mkdir(folder, { recursive: true });
  const taken = await takeLock(root.cases, {
    waitSeconds: Infinity,
    isStopped: stopped,
    onWait: (holder) => console.log(`the cases in "${root.cases}" wait for ${holderText(holder)}`),
  });
  if ("holder" in taken) return EXIT.interrupted;
  await using _lock = taken.lock;
  for (const dataset of new Set(cells.map(({ dataset }) => dataset))) {
    const cases = `${root.cases}/${dataset}`, raw = `${root.raw}/${dataset}`;
    if (await exists(`${cases}/manifest.json`)) continue;
    if (scale === "ci") await DATASETS[dataset].writePhantoms(raw, DATASETS[dataset].ci.phantoms);
    const code = await task("preprocess", [dataset, "--raw", raw, "--cases", cases], [root.cases]);
    if (code) return stopped() ? EXIT.interrupted : code;
  }
  const problems: string[] = [];
  for (const cell of new Map(cells.map((cell) => [splitPath(cell), cell])).values()) {
    const path = splitPath(cell), { dataset, labeled } = cell;
    if (await exists(path)) continue;
    await Deno.mkdir(`${out}/${dataset}-${labeled}`, { recursive: true });
    const { test, validation } = DATASETS[dataset].ci.split;
    const small = flags({ testCases: test, validationCases: validation || undefined });
    const args = ["--cases", `${root.cases}/${dataset}`, "--split", path, "--labeled", String(labeled)];
    const code = await task("split", [dataset, ...args, ...scale === "ci" ? small : []], [out]);
    if (code) problems.push(`no split with ${labeled} labeled for ${dataset}, as told above`);
  }
  return problems;
}

/** Why cells cannot be trained and tested on their splits. */
async function splitProblems(cells: Cell[]): Promise<string[]> {
  const problems = new Set<string>();
  for (const cell of cells) {
    const path = splitPath(cell), cases = `${root.cases}/${cell.dataset}`, { profile, usesUnlabeled } = methodOf(cell);
    let split: Split;
    try {
      split = await readSplit(path, cell.dataset);
      await checkCases(split, cases, path);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.add(error.message);
      continue;
    }
    const manifest = await readManifest(cases), areVolumes = profile.patch.length === 3;
    const rowsOf = (name: string) => areVolumes ? 1 : manifest.cases[name].shape[0];
    const rows = (names: string[]) => names.reduce((sum, name) => sum + rowsOf(name), 0);
    const found = { labeled: rows(split.labeled), unlabeled: rows(split.unlabeled) };
    for (const problem of batchProblems(found, { profile, withUnlabeled: usesUnlabeled })) {
      problems.add(`${cell.folder}, "${path}": ${problem}`);
    }
    const patients = split.patients?.labeled ?? split.labeled.length;
    if (patients !== cell.labeled) problems.add(`"${path}" has ${patients} labeled, ${cell.labeled} wanted`);
    if (!split.test.length) problems.add(`"${path}" has no test case`);
  }
  return [...problems];
}

// ── The tasks, as processes ─────────────────────────────────────────────────────────────────────────────────────────

let child: Deno.ChildProcess | null = null, signaled = false;
const stopped = () => signaled;

/** Ends what runs. At SIGTERM a training saves its state and leaves with code 75; at SIGKILL it writes no more. */
function stopChild(signal: "SIGTERM" | "SIGKILL") {
  try {
    child?.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended already
  }
}

async function task(name: string, args: string[], writes: string[]): Promise<number> {
  const started = startTask(name, args, writes);
  child = started;
  if (signaled) stopChild("SIGTERM"); // it came while the process was started
  const { code } = await started.status;
  child = null;
  return code;
}

function trainOptions(cell: Cell, { iterations, warmup }: Length) {
  return {
    ...trainedBy(cell).settings,
    method: trainedBy(cell).method,
    seed: cell.seed,
    preset: scale === "paper" ? "paper" : "fast",
    iterations,
    warmup,
    precision: precisionOfCell(cell),
    patch: scale === "ci" ? DATASETS[cell.dataset].ci.patch.join("x") : undefined,
    // Only the published protocol chooses by the validation cases.
    validateEvery: scale === "paper" ? undefined : Math.max(1, iterations),
  };
}

const flags = (values: Record<string, unknown>) =>
  Object.entries(values).filter(([, value]) => value !== undefined && value !== false).flatMap(([key, value]) => {
    const flag = "--" + key.replace(/[A-Z]/g, (c) => "-" + c.toLowerCase());
    return value === true ? [flag] : [flag, String(value)];
  });

/** A training goes on when this process's forerunner was killed alone, and what it leaves is gone on with. */
async function waitForOrphan(folder: string) {
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

/** Trains and evaluates into a folder, from where it stands. Returns what went wrong. */
async function trainAndEvaluate(
  cell: Cell,
  { folder, length, isLost }: { folder: string; length: Length; isLost: () => boolean },
): Promise<string | null> {
  await waitForOrphan(folder);
  if (stopped()) return "it was stopped";
  if (!await exists(`${folder}/DONE`)) {
    const resume = await exists(`${folder}/state.safetensors`);
    const code = await task("train", [
      ...[cell.dataset, "--cases", `${root.cases}/${cell.dataset}`, "--split", splitPath(cell), "--run", folder],
      ...flags({ ...trainOptions(cell, length), saveEvery: SAVE_EVERY, threads, device }),
      ...resume ? ["--resume"] : [],
    ], [out]);
    if (code) return `training ended with code ${code}`;
  }
  const wanted = evaluationOf(cell);
  if (await evaluationFolder(folder, wanted)) return null;
  if (isLost()) return "another process has taken it over";
  const alike = {
    batchNorm: wanted.batchNorm,
    checkpoint: wanted.checkpoint,
    components: wanted.largestComponent ? "largest" : "all",
    precision: wanted.precision,
  };
  const args = flags({ run: folder, ...scale === "paper" ? {} : alike, threads, device });
  const code = await task("evaluate", [cell.dataset, ...args], [out]);
  if (code) return `evaluation ended with code ${code}`;
  return await evaluationFolder(folder, wanted) ? null : "its evaluation is not the one that was asked for";
}

async function compute(cell: PlannedCell, isLost: () => boolean): Promise<string | null> {
  const folder = pathOf(cell), path = `${folder}/cell.json`;
  const { stored, problem } = await readStored(cell, cell); // another process may have begun it
  if (problem !== null) return problem;
  const length = stored ?? cell;
  if (!stored) await writeJson(path, { ...recordOf(cell, length), costs: cell.costs });
  const why = await trainAndEvaluate(cell, { folder, length, isLost });
  if (why !== null || scale !== "ci" || isLost()) return why;
  const untrained = { folder: untrainedOf(cell), length: { iterations: 0, warmup: 0 }, isLost };
  return await trainAndEvaluate(cell, untrained);
}

// ── The whole ───────────────────────────────────────────────────────────────────────────────────────────────────────

function refuse(problems: string[]): number {
  console.error(`Cannot start the grid:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  return EXIT.usage;
}

/** This task as a command that may write to the folders of the grid, wherever they lie. */
function ownCommand(args: string[]): string[] {
  const writes = [out, root.cases].map((path) => resolve(path));
  return [
    ...["deno", "run", "--no-prompt", "--allow-read", `--allow-write=${writes}`, "--allow-env"],
    ...["--allow-sys=hostname,systemMemoryInfo", "--allow-run=deno", import.meta.filename!, ...args],
  ];
}

/** The folders of the grid that it may not write to; at a terminal Deno asks for them. */
async function closedFolders(): Promise<string[]> {
  const closed: string[] = [];
  for (const path of [out, root.cases]) {
    const { state } = await Deno.permissions.request({ name: "write", path });
    if (state !== "granted") closed.push(path);
  }
  return closed;
}

async function reproduce(): Promise<number> {
  const { cells: all, problems: unknown } = gridCells({
    ...options,
    method: options.method ?? METHODS_OF_GRID.join(","),
  }, {
    methods: METHODS_OF_GRID,
    firstCountOnly: scale === "ci",
  });
  if (unknown.length) return refuse(unknown);
  if (options.cell !== undefined && options.cell >= all.length) {
    return refuse([`there is no cell ${options.cell}: the last of the grid is ${all.length - 1}`]);
  }
  const cells = options.cell === undefined ? all : [all[options.cell]];
  const { planned, problems: begun, unmeasured } = await plan(cells);
  if (unmeasured.length) {
    throw new DataError(
      `Cannot tell what ${counted(unmeasured.length, "cell")} cost${
        unmeasured.length === 1 ? "s" : ""
      }: data/costs.json lacks their figures; measure all with\n  ` +
        `deno task bench step --method all --json > data/costs.json\nor add to its "steps" what these print:\n  ` +
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
  using _listening = onStop(() => {
    signaled = true;
    console.error("Ending; a training that runs saves its state first; a second signal ends at once");
    stopChild("SIGTERM");
  });
  const refused = await prepare(cells);
  if (stopped()) return EXIT.interrupted;
  if (typeof refused === "number") return refused;
  if (!refused.length) refused.push(...await splitProblems(cells));
  if (refused.length) return refuse(refused);
  if (options.slurm) return await writeSlurm(planned);
  const outcome = await fillCells(planned, {
    folder: pathOf,
    isFinished,
    compute,
    isStopped: stopped,
    onLost: () => stopChild("SIGKILL"),
    // A task that Slurm starts again after a failed node finds the lock of the one before, until that counts as dead.
    waitSeconds: options.cell === undefined ? 0 : DEAD_AFTER_SECONDS + 2 * HEARTBEAT_SECONDS,
    tell: (cell, text) => console.log(`cell ${cell.index} ${cell.folder} ${text}`),
  });
  if (stopped()) {
    console.error(
      `Stopped after ${outcome.finished.length} of ${counted(cells.length, "cell")}; the same command goes on`,
    );
    return EXIT.interrupted;
  }
  const { broken } = outcome, finished: Cell[] = [];
  for (const cell of planned) if (await isFinished(cell)) finished.push(cell); // others may have ended theirs meanwhile
  const elsewhere = outcome.elsewhere.filter((cell) => !finished.includes(cell));
  if (options.cell === undefined && finished.length) {
    const report = `${out}/${options.ablation ? "report-ablation" : "report"}`;
    const code = await task("report", [...finished.map(pathOf), "--out", report], [out]);
    if (code) return code;
  }
  console.log(
    `\nfinished: ${finished.length} of ${counted(cells.length, "cell")}; held by other processes: ${elsewhere.length}`,
  );
  if (options.cell !== undefined && elsewhere.length) return EXIT.interrupted; // nothing was computed: come again
  for (const { cell, why } of broken) console.error(`broken: cell ${cell.index} ${cell.folder}: ${why}`);
  const checked = planned.filter((cell) => !elsewhere.includes(cell));
  const isGood = scale === "ci" && options.cell === undefined ? await check(checked) : true;
  return broken.length || !isGood ? 1 : EXIT.done;
}

async function writeSlurm(planned: PlannedCell[]): Promise<number> {
  const left = planned.filter(({ state }) => state !== "finished");
  if (!left.length) return refuse(["nothing is left to do"]);
  const costs = left.flatMap(({ costs, ...cell }) => costs ? [{ hours: hoursOf(cell, costs), ...costs }] : []);
  const given = {
    scale,
    dataset: options.dataset,
    labeled: options.labeled,
    method: options.method,
    ablation: options.ablation,
  };
  const deno = Deno.execPath();
  const text = slurmScript({
    name: `ss-net-${scale}`,
    cells: left.map(({ index }) => index),
    threads,
    memoryGb: costs.length ? 1 + 1.2 * Math.max(...costs.map(({ memoryGb }) => memoryGb)) : null,
    minutes: 60 + 72 * Math.max(0, ...costs.map(({ hours }) => hours)), // a fifth more, and an hour for the evaluation
    folder: resolve(out),
    directory: Deno.cwd(),
    deno: deno.slice(0, deno.lastIndexOf("/")),
    command: ownCommand([
      ...flags({ ...given, seed: options.seed, minutes: options.minutes, out }),
      ...flags({ raw: options.raw, cases: options.cases, threads, device }),
    ]),
  });
  await writeAtomically(`${out}/reproduce.sbatch`, [new TextEncoder().encode(text)]);
  console.log(
    `sbatch ${out}/reproduce.sbatch\nWhen its tasks have ended, the same command without --slurm reports them.`,
  );
  return EXIT.done;
}

/** Of every cell: whether training lowered the supervised loss, and whether it predicts better than an untrained network. */
async function check(cells: PlannedCell[]): Promise<boolean> {
  let passed = 0, failed = 0;
  const tell = (isGood: boolean, text: string) => {
    if (isGood) passed++;
    else failed++;
    console.log(`${isGood ? "ok" : "FAILED"}  ${text}`);
  };
  const diceOf = async (folder: string, cell: Cell) => {
    const evaluation = await evaluationFolder(folder, evaluationOf(cell));
    if (!evaluation) return NaN;
    const { summary } = await readMetrics(evaluation);
    return summary.honest.mean.dice.mean ?? NaN;
  };
  for (const cell of cells) {
    const rows = await readLog(`${pathOf(cell)}/metrics.jsonl`).catch((error: Error) => {
      console.error(error.message); // the check of this cell fails, the others are made
      return [];
    });
    const { first, last } = thirds(rows.map((row) => row.supervised ?? NaN));
    tell(
      last < first,
      `${cell.folder}: supervised loss ${first.toFixed(4)} in the first third, ${last.toFixed(4)} in the last`,
    );
    const [trained, untrained] = [await diceOf(pathOf(cell), cell), await diceOf(untrainedOf(cell), cell)];
    tell(trained > untrained, `${cell.folder}: Dice ${trained.toFixed(4)}, untrained ${untrained.toFixed(4)}`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}

await runTask(reproduce);
