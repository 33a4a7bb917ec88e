/** The grid of a reproduction: cells, budgets, costs, locks between real processes, the job array, and the task itself. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { TABLE_METHODS } from "../pipeline/methods/methods.ts";
import { type CellWork, fillCells, gridCells, STRONG } from "../pipeline/grid/cells.ts";
import { thirds } from "../pipeline/grid/learning_checks.ts";
import { benchCommand, type CostKey, COSTS as MEASURED, costsOf, hoursOf, lengthOf } from "../pipeline/grid/costs.ts";
import { shareOf, type StepShape } from "../pipeline/grid/memory.ts";
import { memoryProblems, type PlannedCell, planTable } from "../pipeline/grid/plan.ts";
import { type Costs, readCellIfThere, writeCell } from "../pipeline/records/cell.ts";
import { type MeasuredStep, readSteps, stepsText } from "../pipeline/records/measurement.ts";
import { DEAD_AFTER_SECONDS, takeLock } from "../pipeline/files/locks.ts";
import { isFile } from "../pipeline/files/exists.ts";
import { openLog, readLog } from "../pipeline/files/log.ts";
import { type Announced, memoryProblem, trainingHeader } from "../pipeline/grid/training_header.ts";
import type { Plan } from "../pipeline/records/plan.ts";
import { pathOf, testedCheckpoints, testOf, trainingOf } from "../pipeline/grid/protocol.ts";
import { slurmScript } from "../pipeline/grid/slurm.ts";
import { withFolder } from "./with_folder.ts";

const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const PATH_WITH_DENO = `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`;
const METHODS = ["ssnet", "supervised", "ua_mt"];
const grid = (options: Partial<Parameters<typeof gridCells>[0]>, firstCountOnly = false) =>
  gridCells({ dataset: "la,acdc", method: METHODS.join(","), seed: "1337", ...options }, {
    datasets: DATASETS,
    methods: METHODS,
    firstCountOnly,
  });

Deno.test("a grid has a cell for every dataset, count, method and seed, the table of a seed before the next", () => {
  const { cells, problems } = grid({ seed: "1,2" });
  assert.deepEqual(problems, []);
  assert.equal(cells.length, 2 * 4 * 3);
  assert.deepEqual(cells.map(({ index }) => index), [...cells.keys()]);
  const folders = cells.map(({ folder }) => folder);
  assert.deepEqual(folders.slice(0, 4), ["la-4/ssnet/1", "la-4/supervised/1", "la-4/ua_mt/1", "la-8/ssnet/1"]);
  assert.deepEqual([folders[11], folders[12]], ["acdc-7/ua_mt/1", "la-4/ssnet/2"]);
  assert.equal(new Set(folders).size, folders.length);
});

Deno.test("a count belongs to the dataset that publishes it; the whole list is for the labeled-only method", () => {
  const folders = grid({ labeled: "7,8,80" }).cells.map(({ folder }) => folder);
  assert.deepEqual(folders, [
    ...["la-8/ssnet/1337", "la-8/supervised/1337", "la-8/ua_mt/1337", "la-80/supervised/1337"],
    ...["acdc-7/ssnet/1337", "acdc-7/supervised/1337", "acdc-7/ua_mt/1337"],
  ]);
  const names = [...METHODS, STRONG], all = { dataset: "la", labeled: "80", method: names.join(","), seed: "1" };
  const { cells } = gridCells(all, { datasets: DATASETS, methods: names, firstCountOnly: false });
  assert.deepEqual(cells.map(({ folder }) => folder), ["la-80/supervised/1", "la-80/supervised-strong/1"]);
  assert.deepEqual([...new Set(grid({}, true).cells.map(({ labeled }) => labeled))], [4, 3]);
});

Deno.test("of a dataset of one's own any number may be labeled, and has to be given", () => {
  const own = { labeledCounts: [], plan: {} as Plan }, methods = ["ssnet"];
  const ownGrid = (labeled?: string) =>
    gridCells({ dataset: "own", method: "ssnet", seed: "1", labeled }, {
      datasets: { ...DATASETS, own },
      methods,
      firstCountOnly: false,
    });
  assert.deepEqual(ownGrid("3,12").cells.map(({ folder }) => folder), ["own-3/ssnet/1", "own-12/ssnet/1"]);
  assert.deepEqual(ownGrid().problems, ["how many cases of own are labeled is not given"]);
});

Deno.test("a cell with strong augmentation is the labeled-only method; at the published scale both checkpoints are tested", () =>
  withFolder(async (out) => {
    const grid = {
      datasets: DATASETS,
      scale: "paper",
      minutes: 1,
      ablation: false,
      out,
      raw: "",
      cases: "",
      threads: 2,
      device: "cpu",
    } as const;
    const cell = { index: 0, dataset: "acdc", labeled: 3, method: STRONG, seed: 1, folder: `acdc-3/${STRONG}/1` };
    const { method, augmentation, preset } = trainingOf(grid, cell, { iterations: 5, warmup: 0 });
    assert.deepEqual([method, augmentation, preset], ["supervised", "strong", "paper"]);
    assert.equal(
      trainingOf(grid, { ...cell, method: "ssnet" }, { iterations: 5, warmup: 0 }).augmentation,
      "published",
    );
    const statistics = (scale: "ci" | "fast" | "paper", dataset: "la" | "acdc") =>
      testOf({ ...grid, scale }, { ...cell, dataset }).batchNorm;
    assert.deepEqual([statistics("fast", "la"), statistics("fast", "acdc")], ["window", "recomputed"]);
    assert.deepEqual([statistics("ci", "acdc"), statistics("paper", "la")], ["window", "running"]);
    const folder = pathOf(grid, cell);
    assert.deepEqual(testedCheckpoints(grid, cell, folder), ["best"]);
    await Deno.mkdir(folder, { recursive: true });
    for (const name of ["last", "best"]) await Deno.writeTextFile(`${folder}/${name}.safetensors`, "");
    assert.deepEqual(testedCheckpoints(grid, cell, folder), ["best", "last"]);
    assert.deepEqual(testedCheckpoints({ ...grid, scale: "fast" }, cell, folder), ["last"]);
  }));

Deno.test("every unknown name and number of a grid is told at once, with the nearest", () => {
  const { cells, problems } = grid({ dataset: "la,acdd", method: "ssnt,ua-mt", labeled: "9", seed: "1,x,1" });
  assert.deepEqual(cells, []);
  assert.deepEqual(problems, [
    'unknown dataset "acdd"; nearest is "acdc", known are la, acdc',
    'unknown labeled count "9"; nearest is "8", known are 4, 8, 80',
    'unknown method "ssnt"; nearest is "ssnet", known are ssnet, supervised, ua_mt',
    'unknown method "ua-mt"; nearest is "ua_mt", known are ssnet, supervised, ua_mt',
    'the seed "x" is no whole number from 0 to 9007199254740991',
    'the seed "1" stands twice',
  ]);
  assert.deepEqual(grid({ labeled: "80", method: "ssnet" }).problems, ["the grid has no cell"]);
});

const COSTS: Costs = { stepSeconds: 10, warmupSeconds: 2, memoryGb: 6.9, machine: "one CPU, 2 threads, TensorFlow 2" };

Deno.test("minutes become iterations: half of them warm-up steps, half the method's own, none too many", () => {
  assert.deepEqual(lengthOf(30, COSTS), { warmup: 450, iterations: 450 + 90 });
  assert.equal(hoursOf(lengthOf(30, COSTS), COSTS), 0.5);
  assert.deepEqual(lengthOf(30, { ...COSTS, warmupSeconds: null }), { warmup: 0, iterations: 180 });
  assert.deepEqual(lengthOf(0.01, COSTS), { warmup: 1, iterations: 2 }, "each stage has a step");
  for (const minutes of [1, 7, 29.9]) assert.ok(hoursOf(lengthOf(minutes, COSTS), COSTS) <= minutes / 60);
});

const times = (median: number) => ({ minimum: median, median, all: [median] });
const STEP: MeasuredStep = {
  ...{ kind: "step", dataset: "la", method: "ssnet", precision: "bf16", device: "cpu", threads: 2 },
  ...{ stepSeconds: times(10), warmupSeconds: times(2), peakMemoryGb: 5.5 },
  ...{ versions: { deno: "2", tensorflow: "2.21" }, cpu: "one CPU" },
};

Deno.test("costs are those of dataset, method, precision and device; what is missing names its bench command", () =>
  withFolder(async (folder) => {
    const key = { dataset: "la", method: "ssnet", precision: "bf16", device: "cpu", lowResolution: null } as const;
    assert.deepEqual(await readSteps(`${folder}/none.json`), []);
    await Deno.writeTextFile(`${folder}/costs.json`, stepsText([STEP]));
    const rows = await readSteps(`${folder}/costs.json`);
    const machine = "one CPU, 2 threads, TensorFlow 2.21";
    assert.deepEqual(costsOf(rows, key), { stepSeconds: 10, warmupSeconds: 2, memoryGb: 5.5, machine });
    assert.equal(costsOf(rows, { ...key, precision: "fp32" }), null);
    const lowResolution = { patch: [128, 128], share: 0.75 };
    assert.equal(costsOf(rows, { ...key, lowResolution }), null, "smaller slices were not timed");
    const [timed] = rows.map((row) => ({ ...row, lowResolutionSeconds: times(0.4) }));
    assert.equal(costsOf([timed], { ...key, lowResolution })!.warmupSeconds, 0.75 * 0.4 + 0.25 * 2);
    const alone = costsOf([{ ...timed, warmupSeconds: undefined }], { ...key, lowResolution })!;
    assert.deepEqual([alone.stepSeconds, alone.warmupSeconds], [0.75 * 0.4 + 0.25 * 10, null]);
    assert.equal(
      benchCommand({ ...key, precision: "fp32" }),
      "deno task bench step --dataset la --method ssnet --precision fp32 --json",
    );
    await Deno.writeTextFile(`${folder}/costs.json`, '{"steps": [{}]}');
    await assert.rejects(readSteps(`${folder}/costs.json`), /Cannot read the measured figures .*costs\.json/);
  }));

/**
 * GB of whole processes, as `deno task bench step --dataset DATASET --method METHOD --precision PRECISION --patch PATCH
 * --iterations 1 --json` printed them.
 */
const OF_PATCHES = [
  ["la", "ssnet", "fp32", "80x80x48", 2.53],
  ["la", "ssnet", "fp32", "96x96x64", 3.79],
  ["la", "supervised", "fp32", "80x80x48", 1.67],
  ["la", "supervised", "fp32", "96x96x64", 2.52],
  ["acdc", "ssnet", "fp32", "128x128", 1.88],
  ["acdc", "ssnet", "fp32", "192x192", 2.8],
  ["acdc", "supervised", "fp32", "128x128", 0.95],
  ["acdc", "supervised", "fp32", "192x192", 1.38],
  ["acdc", "mc_net", "bf16", "128x128", 1.79],
  ["acdc", "mc_net", "bf16", "192x192", 3.15],
] as const;

/** The same of SS-Net's step in fp32, with `--channels`, `--classes` and `--rows` too (docs/performance.md). */
const OF_SHAPES = [
  ["la", { patch: [48, 48, 48], channels: 4, measured: 1.36 }],
  ["acdc", { patch: [96, 96], classes: 9, measured: 1.29 }],
  ["acdc", { patch: [160, 96], channels: 2, classes: 3, rows: 16, measured: 1.23 }],
] as const;

Deno.test("the memory of a step is what it was measured with, and within 15 % for other patches, channels and classes", async () => {
  const rows = await readSteps(MEASURED), off: string[] = [];
  const compare = (
    key: Pick<CostKey, "dataset" | "method" | "precision"> & Partial<StepShape>,
    measured: number,
  ) => {
    const { memoryGb } = costsOf(rows, { device: "cpu", lowResolution: null, ...key })!;
    const told = `${Object.values(key).join(" ")}: ${memoryGb.toFixed(2)} GB, measured ${measured}`;
    if (Math.abs(memoryGb / measured - 1) > 0.15) off.push(told);
  };
  for (const dataset of ["la", "acdc"] as const) {
    for (const method of TABLE_METHODS) {
      for (const precision of ["fp32", "bf16"] as const) {
        const row = rows.find((row) =>
          row.dataset === dataset && row.method === method && row.precision === precision && !row.patch
        );
        compare({ dataset, method, precision, patch: DATASETS[dataset].patch }, row!.peakMemoryGb);
      }
    }
  }
  for (const [dataset, method, precision, patch, measured] of OF_PATCHES) {
    compare({ dataset, method, precision, patch: patch.split("x").map(Number) }, measured);
  }
  for (const [dataset, { measured, ...shape }] of OF_SHAPES) {
    compare({ dataset, method: "ssnet", precision: "fp32", ...shape }, measured);
  }
  assert.deepEqual(off, []);
});

Deno.test("a step's costs follow rows, voxels, channels and classes; each of them alone is told from the published shape", () => {
  const reference = { patch: [16, 16, 16], rows: 4, channels: 1, classes: 2 };
  assert.equal(shareOf("memory", reference, reference), 1);
  assert.equal(shareOf("time", { ...reference, rows: 2, patch: [16, 16, 48] }, reference), 1.5);
  for (const what of ["memory", "time"] as const) {
    assert.ok(shareOf(what, { ...reference, channels: 2 }, reference) >= 1);
    assert.ok(shareOf(what, { ...reference, classes: 3 }, reference) > 1);
  }
  const key = { dataset: "la", method: "bcp", precision: "bf16", device: "cpu", lowResolution: null } as const;
  const rows = [{ ...STEP, method: "bcp" }], published = costsOf(rows, key)!; // BCP's own 4 + 4 rows
  assert.deepEqual(costsOf(rows, { ...key, rows: 8, patch: LA.patch, channels: 1, classes: 2 }), published);
  assert.equal(costsOf(rows, { ...key, rows: 4 })!.stepSeconds, published.stepSeconds / 2);
});

const MEASURED_STEPS = (["fp32", "bf16"] as const).map((precision) => ({
  ...{ ...STEP, precision, peakMemoryGb: precision === "fp32" ? 6 : 4 },
  ...{ stepSeconds: times(15), warmupSeconds: times(3) },
}));
const TRAINING: Announced = {
  name: "la",
  dataset: "la",
  method: "ssnet",
  precision: "fp32",
  device: "cpu",
  lowResolution: null,
  patch: LA.patch,
  preset: "paper",
  iterations: 15000,
  warmup: 0,
  done: 0,
  threads: 2,
};

Deno.test("a training that cannot fit is refused with the largest patch that does, in the published one's proportions", () => {
  const large = { ...TRAINING, patch: [208, 208, 96] }, memory = { total: 24e9, available: 20e9 };
  const problem = memoryProblem(MEASURED_STEPS, large, memory)!;
  assert.match(
    problem,
    /^Cannot train ssnet on la in fp32 on the patch 208x208x96: that takes about 22\.\d GB of memory, /,
  );
  assert.match(problem, /20\.0 GB of 24\.0 GB are available; the largest patch that fits is --patch (\d+x\d+x\d+); /);
  assert.match(problem, /--precision bf16 takes 14\.\d GB$/);
  const fitting = problem.match(/--patch (\S+);/)![1].split("x").map(Number);
  assert.ok(fitting.every((n, axis) => n % 16 === 0 && n <= large.patch[axis]));
  assert.equal(memoryProblem(MEASURED_STEPS, { ...large, patch: fitting }, memory), null);
  for (const axis of [0, 1, 2].filter((axis) => fitting[axis] < large.patch[axis])) {
    const next = fitting.with(axis, fitting[axis] + 16);
    assert.notEqual(memoryProblem(MEASURED_STEPS, { ...large, patch: next }, memory), null, `${next} fits as well`);
  }
  assert.match(
    memoryProblem(MEASURED_STEPS, TRAINING, { total: 1e9, available: 0.5e9 })!,
    /are available; no patch fits$/,
  );
  assert.equal(memoryProblem(MEASURED_STEPS, TRAINING, { total: 8e9, available: 7e9 }), null);
  assert.equal(memoryProblem(MEASURED_STEPS, { ...large, device: "gpu" }, memory), null, "a GPU's memory is not ours");
  assert.equal(memoryProblem([], large, memory), null, "nothing was measured");
});

Deno.test("a training's header tells method, cases, device, hours and memory, or the command that measures them", () => {
  const split = { profile: "la", source: "test", labeled: ["a", "b"], unlabeled: ["c"], validation: [], test: ["d"] };
  const told = { split, memory: { total: 24e9, available: 20.04e9 } };
  assert.equal(
    trainingHeader(MEASURED_STEPS, TRAINING, told),
    `ssnet on la, paper: 15000 iterations; patch 112x112x80, fp32
cases: 2 labeled, 1 unlabeled, 0 for validation
device: cpu, 2 threads
time: about 62.5 h as measured on one CPU, 2 threads, TensorFlow 2.21, without validations
memory: about 6.0 GB, 20.0 GB of 24.0 GB are available`,
  );
  const resumed = { ...TRAINING, iterations: 150, warmup: 100, done: 60 };
  const lines = trainingHeader(MEASURED_STEPS, resumed, told).split("\n");
  assert.match(lines[0], /: 150 iterations, 100 of them a warm-up, 60 of them done; /);
  assert.match(lines[3], /^time: about 15 min /, "40 warm-up steps and 50 of the method");
  const unmeasured = trainingHeader([], { ...TRAINING, device: "gpu" }, told);
  assert.match(
    unmeasured,
    /\ntime: unknown, data\/costs.json lacks .*:\n {2}deno task bench step .* --device gpu --json\n/,
  );
  assert.match(unmeasured, /\nmemory: TensorFlow takes the GPU's as it needs it, and says when that is not enough$/);
  assert.match(trainingHeader([], TRAINING, told), /\nmemory: unknown, 20\.0 GB of 24\.0 GB are available$/);
});

const planned = (index: number, more: Partial<PlannedCell> = {}): PlannedCell => ({
  ...{ index, dataset: "la", labeled: 8, method: "ssnet", seed: 1337, folder: `la-8/ssnet/${index}` },
  ...{ iterations: 540, warmup: 450, costs: COSTS, state: "new" },
  ...more,
});

Deno.test("the plan shows every cell, and hours and memory of what is left to do", () => {
  const cells = [planned(0, { state: "finished" }), planned(1, { state: "begun" }), planned(2, { costs: null })];
  assert.equal(
    planTable(cells, 16e9),
    `cell  folder        iterations  warm-up  hours   GB  state
   0  la-8/ssnet/0         540      450   0.50  6.9  finished
   1  la-8/ssnet/1         540      450   0.50  6.9  begun
   2  la-8/ssnet/2         540      450      -    -  new
3 cells, 2 of them to do
0.50 hours of training from their start to their end, at most 6.9 GB at a time
measured on one CPU, 2 threads, TensorFlow 2
this machine has 16.0 GB of memory`,
  );
});

Deno.test("cells that need more memory than there is are named with both figures", () => {
  const cells = [planned(0), planned(1, { costs: { ...COSTS, memoryGb: 16.2 } }), planned(2, { costs: null })];
  assert.deepEqual(memoryProblems(cells, 16e9), ["la-8/ssnet/1 needs 16.2 GB, this machine has 16.0 GB"]);
});

Deno.test("thirds compares the first with the last third of a course and leaves the middle out", () => {
  assert.deepEqual(thirds([4, 2, 100, 7, 1, 0]), { first: 3, last: 0.5 });
});

/** Another process that takes the lock of a folder, says so, and holds it until its input ends. */
function rival(folder: string) {
  const code = `import { takeLock } from ${JSON.stringify(new URL("../pipeline/files/locks.ts", import.meta.url).href)};
    const taken = await takeLock(${JSON.stringify(folder)});
    console.log("lock" in taken ? "mine" : "held by " + taken.holder.pid);
    for await (const _ of Deno.stdin.readable);
    if ("lock" in taken) await taken.lock[Symbol.asyncDispose]();`;
  const child = new Deno.Command(Deno.execPath(), { args: ["eval", code], stdin: "piped", stdout: "piped" }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    pid: child.pid,
    said: async () => (await lines.read()).value!.trim(),
    async end(signal?: Deno.Signal) {
      if (signal) child.kill(signal);
      await child.stdin.close().catch(() => {}); // it may be gone
      await lines.cancel();
      await child.status;
    },
  };
}

Deno.test("of several processes one gets the lock, and after it was killed again one of several", () =>
  withFolder(async (folder) => {
    for (let round = 0; round < 2; round++) {
      const rivals = Array.from({ length: 4 }, () => rival(folder));
      const said = await Promise.all(rivals.map((one) => one.said()));
      const winner = rivals[said.indexOf("mine")];
      assert.equal(said.filter((text) => text === "mine").length, 1, said.join(", "));
      // Those that came while the winner wrote its name know only that somebody was first.
      assert.ok(said.every((text) => ["mine", `held by ${winner.pid}`, "held by 0"].includes(text)), said.join(", "));
      const own = await takeLock(folder);
      assert.equal("holder" in own && own.holder.pid, winner.pid);
      await winner.end("SIGKILL");
      await Promise.all(rivals.filter((one) => one !== winner).map((one) => one.end()));
    }
    const last = await takeLock(folder);
    assert.ok("lock" in last, "the second winner was killed, too");
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["lock-3"]);
    await last.lock[Symbol.asyncDispose]();
    const again = await takeLock(folder);
    assert.ok("lock" in again, "a released lock is free");
    await again.lock[Symbol.asyncDispose]();
  }));

Deno.test("a dead lock that another takes over and removes while it is looked at is no error", () =>
  withFolder(async (folder) => {
    const dead = { pid: 1, host: Deno.hostname(), taken: "2026-01-01T00:00:00.000Z", released: null };
    for (let round = 0; round < 50; round++) {
      const path = await Deno.makeTempDir({ dir: folder });
      await Deno.writeTextFile(`${path}/lock-1`, JSON.stringify(dead) + "\n");
      const taken = await Promise.all(Array.from({ length: 8 }, () => takeLock(path)));
      const locks = taken.flatMap((one) => "lock" in one ? [one.lock] : []);
      assert.equal(locks.length, 1);
      await locks[0][Symbol.asyncDispose]();
    }
  }));

Deno.test("a lock of another machine holds until its heartbeat is older than the stated time", () =>
  withFolder(async (folder) => {
    const holder = { pid: 1, host: "elsewhere", taken: "2026-01-01T00:00:00.000Z", released: null };
    await Deno.writeTextFile(`${folder}/lock-7`, JSON.stringify(holder) + "\n");
    const touched = (secondsAgo: number) => {
      const then = new Date(Date.now() - 1000 * secondsAgo);
      return Deno.utime(`${folder}/lock-7`, then, then);
    };
    await touched(DEAD_AFTER_SECONDS - 5);
    assert.deepEqual(await takeLock(folder), { holder });
    await touched(DEAD_AFTER_SECONDS + 5);
    const taken = await takeLock(folder);
    assert.ok("lock" in taken);
    assert.equal(taken.lock.lost(), false);
    await Deno.writeTextFile(`${folder}/lock-9`, JSON.stringify(holder) + "\n");
    assert.equal(taken.lock.lost(), true, "a higher number has taken it over");
    await taken.lock[Symbol.asyncDispose]();
    assert.deepEqual(await takeLock(folder), { holder });
  }));

Deno.test("a broken cell does not stop the others, a held one is left alone, a stop leaves the rest", () =>
  withFolder(async (folder) => {
    const computed: string[] = [], told: string[] = [];
    let stopped = false;
    const work: CellWork<string> = {
      folder: (cell) => `${folder}/${cell}`,
      isFinished: (cell) => Promise.resolve(cell === "old"),
      compute(cell) {
        computed.push(cell);
        if (cell === "throws") throw new Error("no luck");
        stopped = cell === "last";
        return Promise.resolve(cell === "fails" ? "training ended with code 5" : null);
      },
      isStopped: () => stopped,
      onLost: () => assert.fail("nobody takes anything over"),
      waitSeconds: 0,
      tell: (cell, text) => told.push(`${cell} ${text.replace(/process.*/, "somebody")}`),
    };
    await Deno.mkdir(`${folder}/held`);
    const other = await takeLock(`${folder}/held`);
    assert.ok("lock" in other);
    const outcome = await fillCells(["old", "throws", "held", "fails", "good", "last", "never"], work);
    await other.lock[Symbol.asyncDispose]();
    assert.deepEqual(computed, ["throws", "fails", "good", "last"]);
    assert.deepEqual(outcome, {
      finished: ["old", "good", "last"],
      broken: [{ cell: "throws", why: "no luck" }, { cell: "fails", why: "training ended with code 5" }],
      elsewhere: ["held"],
    });
    assert.deepEqual(told, [
      ...["old is finished", "throws is broken: no luck", "held is held by somebody"],
      "fails is broken: training ended with code 5",
    ]);
    const free = await takeLock(`${folder}/throws`);
    assert.ok("lock" in free, "a broken cell is given back");
    await free.lock[Symbol.asyncDispose]();
  }));

Deno.test("a task of the job array passes the signal on and requeues itself when its cell was interrupted", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/bin`);
    const program = async (name: string, lines: string) => {
      await Deno.writeTextFile(`${folder}/bin/${name}`, `#!/bin/sh\n${lines}\n`);
      await Deno.chmod(`${folder}/bin/${name}`, 0o755);
    };
    const log = `${folder}/cell.log`, requeued = `${folder}/requeue.log`;
    // In the place of the cell: signals the batch shell as Slurm does, and leaves when the signal comes back.
    await program("cell", `trap "exit 75" TERM\necho "$@" >${log}\nkill -USR1 $PPID\nwhile :; do sleep 0.05; done`);
    await program("scontrol", `echo "$@" >${requeued}`);
    const costs = { ...COSTS, memoryGb: 6 }, cells = [planned(0), planned(2, { costs })];
    const given = { scale: "fast", out: folder, threads: 2 } as const;
    const script = slurmScript(given, { cells, command: [`${folder}/bin/cell`, "it's one", "--a"] });
    for (
      const line of [
        ...["job-name=ss-net-fast", "array=0,2", "cpus-per-task=2", "mem=10G", "time=96", "requeue"],
        ...["signal=B:USR1@300", "open-mode=append", `output="${folder}/slurm-%a.log"`],
      ]
    ) assert.ok(script.includes(`#SBATCH --${line}\n`), line);
    const unmeasured = slurmScript(given, { cells: [planned(0, { costs: null })], command: ["cell"] });
    assert.ok(!unmeasured.includes("--mem") && unmeasured.includes("--time=60\n"));
    await Deno.writeTextFile(`${folder}/array.sh`, script);
    const run = () =>
      new Deno.Command(Deno.execPath(), {
        args: ["task", "--eval", `sh ${folder}/array.sh`],
        env: { SLURM_ARRAY_TASK_ID: "2", SLURM_JOB_ID: "41", PATH: `${folder}/bin:${Deno.env.get("PATH")}` },
        cwd: folder,
      }).output();
    assert.equal((await run()).code, 75);
    assert.equal(await Deno.readTextFile(log), "it's one --a --cell 2\n");
    assert.equal(await Deno.readTextFile(requeued), "requeue 41\n");
    await Deno.remove(requeued);
    await program("cell", "exit 5");
    assert.equal((await run()).code, 5);
    assert.equal(isFile(requeued), false);
  }));

Deno.test("a task starts another one where the loader's variables are set", () =>
  withFolder(async (folder) => {
    const module = new URL("../pipeline/files/loader_variables.ts", import.meta.url);
    await Deno.writeTextFile(
      `${folder}/start.ts`,
      `import { emptyLoaderVariables } from "${module}";
      const start = async (env: Record<string, string>) =>
        await new Deno.Command("deno", { args: ["eval", "console.log(6 * 7)"], env }).output();
      console.log(await start({}).then(() => "started", ({ name }) => name));
      console.log(new TextDecoder().decode((await start(emptyLoaderVariables())).stdout).trim());`,
    );
    // Its shell sets them: the tests may start nothing with them themselves.
    const command = "LD_LIBRARY_PATH=/nowhere LD_PRELOAD=/nowhere.so LD_BIND_NOW=1 DYLD_LIBRARY_PATH=/nowhere " +
      `deno run --no-prompt --allow-run=deno --allow-env ${folder}/start.ts`;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--eval", command],
      cwd: folder,
    })
      .output();
    const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.equal(out, "NotCapable\n42\n", error);
  }));

Deno.test("a task starts from a checkout whose path has a space and a letter beyond ASCII", () =>
  withFolder(async (folder) => {
    const checkout = `${folder}/ein Prüfstand`, own = "pipeline/grid/task_process.ts";
    const parts = ["tasks", "pipeline/grid", "pipeline/files"];
    const files = ["errors", "loader_variables", "places"].map((name) => `pipeline/files/${name}.ts`);
    for (const part of parts) await Deno.mkdir(`${checkout}/${part}`, { recursive: true });
    for (const file of [own, ...files, "deno.json"]) {
      await Deno.copyFile(new URL(`../${file}`, import.meta.url), `${checkout}/${file}`);
    }
    await Deno.writeTextFile(`${checkout}/tasks/hello.ts`, `console.log("hello", Deno.args[0]);`);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `const { startTask } = await import("${pathToFileURL(`${checkout}/${own}`)}");
        Deno.exit((await startTask("hello", ["there"], ["${folder}"]).status).code);`,
      ],
      env: { PATH: PATH_WITH_DENO },
    }).output();
    assert.equal(code, 0, decoded(stderr));
    assert.match(decoded(stdout), /\nhello there\n$/);
  }));

function reproduce(folder: string, args: string[]) {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env", "--allow-run=deno"],
      ...["--allow-sys=hostname,systemMemoryInfo", fileURLToPath(new URL("../tasks/reproduce.ts", import.meta.url))],
      ...["--scale", "ci", "--out", folder, ...args],
    ],
    env: { PATH: PATH_WITH_DENO, NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}
const ended = async (child: Deno.ChildProcess) => {
  const { code, stdout, stderr } = await child.output();
  return { code, out: decoded(stdout), error: decoded(stderr) };
};

Deno.test("reproduce refuses unknown names and foreign run folders before any work, with code 2", () =>
  withFolder(async (folder) => {
    const unknown = await ended(reproduce(folder, ["--method", "ssnett", "--dataset", "ls"]));
    assert.equal(unknown.code, 2);
    assert.match(unknown.error, /unknown dataset "ls"; nearest is "la"/);
    assert.match(unknown.error, /unknown method "ssnett"; nearest is "ssnet"/);
    const far = await ended(reproduce(folder, ["--method", "ssnet", "--cell", "2"]));
    assert.equal(far.code, 2);
    assert.match(far.error, /there is no cell 2: the last of the grid is 1/);
    await Deno.mkdir(`${folder}/la-4/ssnet/1337`, { recursive: true });
    await Deno.writeTextFile(`${folder}/la-4/ssnet/1337/config.json`, "{}");
    const foreign = await ended(reproduce(folder, ["--method", "ssnet"]));
    assert.equal(foreign.code, 2);
    assert.match(foreign.error, /la-4\/ssnet\/1337" holds a run that is no cell of a grid/);
    await Deno.writeTextFile(`${folder}/la-4/ssnet/1337/cell.json`, '{"scale": "ci"}');
    const broken = await ended(reproduce(folder, ["--method", "ssnet"]));
    assert.equal(broken.code, 2);
    assert.match(broken.error, /Cannot read the record of a cell ".*cell\.json": it is not as wanted:[^]*→ at seed/);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["la-4"]);
  }));

Deno.test("reproduce says which command may write to another folder, before any work, with code 2", () =>
  withFolder(async (folder) => {
    const elsewhere = `${folder}/else where`, args = ["--dataset", "acdc", "--out", elsewhere];
    const { code, out, error } = await ended(reproduce(`${folder}/here`, args));
    assert.equal(code, 2, out);
    assert.match(error, /Cannot write to ".*else where", ".*else where\/cases": .*; run\n/);
    const command = error.slice(error.indexOf("  deno run"));
    assert.ok(command.includes(`'--allow-write=${elsewhere},${elsewhere}/cases'`), command);
    assert.match(command, /tasks\/reproduce\.ts'? .*--dataset acdc --out '.*else where'\n$/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    const plan = await ended(reproduce(`${folder}/here`, [...args, "--dry-run"]));
    assert.equal(plan.code, 0, "a dry run writes nothing");
  }));

Deno.test("reproduce goes past a broken cell with code 1, stops with 75, goes on, checks and reports", () =>
  withFolder(async (folder) => {
    const args = ["--dataset", "acdc", "--method", "supervised", "--seed", "1,2"];
    const plan = await ended(reproduce(folder, [...args, "--dry-run"]));
    assert.equal(plan.code, 0, plan.error);
    assert.match(plan.out, /0 {2}acdc-3\/supervised\/1 +24 +0 +- +- {2}new\n.*acdc-3\/supervised\/2 .*new\n2 cells/);
    assert.deepEqual([...Deno.readDirSync(folder)], [], "a dry run writes nothing");

    const cell = (seed: number) => `${folder}/acdc-3/supervised/${seed}`;
    await Deno.mkdir(`${cell(1)}/metrics.jsonl`, { recursive: true }); // its training cannot open its log
    const first = await ended(reproduce(folder, args));
    assert.equal(first.code, 1, first.error);
    assert.match(first.error, /broken: cell 0 acdc-3\/supervised\/1: training ended with code \d/);
    assert.match(first.out, /finished: 1 of 2 cells/);
    assert.match(first.out, /\n2 passed, 2 failed\n$/);
    assert.equal((await readLog(`${cell(2)}/metrics.jsonl`)).length, 24);

    await Deno.remove(`${cell(1)}/metrics.jsonl`);
    const child = reproduce(folder, args), rest = ended(child);
    while (!(await Deno.stat(`${cell(1)}/metrics.jsonl`).then(({ size }) => size > 0, () => false))) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill("SIGTERM");
    const stopped = await rest;
    assert.equal(stopped.code, 75, stopped.error);
    assert.match(
      stopped.error,
      /Ending; a training that runs[^]*Stopped after iteration \d+; go on with --resume[^]*the same command goes on/,
    );

    // As a training that still runs when the reproduce that started it was killed alone.
    const log = await openLog(`${cell(1)}/metrics.jsonl`, Infinity), resumed = reproduce(folder, args);
    const told = new Response(resumed.stderr).text(), last = { out: "" };
    let isOpen = true;
    for await (const chunk of resumed.stdout.pipeThrough(new TextDecoderStream())) {
      last.out += chunk;
      if (!isOpen || !last.out.includes(`waits for process ${Deno.pid}, which still trains in it`)) continue;
      isOpen = false;
      log[Symbol.dispose]();
    }
    assert.equal((await resumed.status).code, 0, await told);
    assert.equal(isOpen, false);
    assert.match(last.out, /which still trains in it[^]*train acdc .* --resume\n/);
    assert.match(last.out, /cell 1 acdc-3\/supervised\/2 is finished/);
    assert.match(last.out, /\n4 passed, 0 failed\n$/);
    assert.match(await Deno.readTextFile(`${folder}/report/report.html`), /<html/);
    const iterations = (await readLog(`${cell(1)}/metrics.jsonl`)).map(({ iteration }) => iteration);
    assert.deepEqual(iterations, Array.from({ length: 24 }, (_, i) => i + 1));

    const record = (await readCellIfThere(cell(2)))!;
    await writeCell(cell(2), { ...record, iterations: 25 });
    const other = await ended(reproduce(folder, args));
    assert.equal(other.code, 2);
    assert.match(other.error, /acdc-3\/supervised\/2" was begun otherwise: iterations: started with 25, now 24/);
    await writeCell(cell(2), record);

    const path = `${folder}/acdc-3/split.json`, split = JSON.parse(await Deno.readTextFile(path));
    const less = { ...split, labeled: split.labeled.slice(0, 2), counts: undefined, patients: undefined };
    await Deno.writeTextFile(path, JSON.stringify(less));
    const few = await ended(reproduce(folder, args));
    assert.equal(few.code, 2);
    assert.match(
      few.error,
      /acdc-3\/supervised\/1, ".*split\.json": Cannot fill a batch .*: 12 labeled slices wanted, 8 found/,
    );
  }));

Deno.test("the ablations are a grid of SS-Net with other settings", () =>
  withFolder(async (folder) => {
    const names = ["ssnet-supervised-alone", "ssnet-smoothness", "ssnet-separation", "ssnet", "ssnet-bank-learned"];
    const args = ["--scale", "ci", "--dataset", "acdc", "--ablation", "--dry-run"];
    const plan = await ended(reproduce(folder, args));
    assert.equal(plan.code, 0, plan.error);
    for (const name of names) assert.match(plan.out, new RegExp(`acdc-3/${name}/1337 +24 +0`));
    const wrong = await ended(reproduce(folder, [...args, "--method", "ssnet-smoothnes"]));
    assert.equal(wrong.code, 2);
    assert.match(wrong.error, /unknown method "ssnet-smoothnes"; nearest is "ssnet-smoothness"/);
  }));
