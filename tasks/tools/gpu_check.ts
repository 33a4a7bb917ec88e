/**
 * `deno task gpu-check [THEIRS REF]`: whether all of this works on an NVIDIA GPU, and how fast, as one JSON on the standard
 * output, in less than six minutes: what `doctor` says, the golden values, tfjs-core's op tests, SS-Net's step of both
 * datasets in every precision and within a bounded pool of memory, a short training on phantoms with its Dice, and, with
 * its arguments, the authors' code in the same call; from all this the figures to reach (`pipeline/bench/gpu_figures.ts`).
 * Every part is a task as a user starts it, with a limit of its own; one that fails or takes too long stops no other.
 * Ends with 0 when all passed, 1 when a part failed, 4 without a GPU, 75 when stopped; the JSON is printed all the same.
 */
import { z } from "zod";
import { ACDC, figuresToReach, LA, POOL_GB, THEIR_ROW, type TheirRow } from "../../pipeline/bench/gpu_figures.ts";
import { parseMeasurement } from "../../pipeline/records/measurement.ts";
import { EXIT, parseOptions, pathOption, runTask } from "../../pipeline/command/options.ts";
import { DATASETS } from "../../pipeline/datasets/datasets.ts";
import { temporaryFolder } from "../../pipeline/files/places.ts";
import { onStop } from "../../pipeline/files/signals.ts";
import { readMetrics } from "../../pipeline/records/evaluation.ts";
import { findLibrary } from "../../pipeline/tensorflow/library.ts";
import { precisionsOf } from "../../pipeline/tensorflow/precision.ts";

const options = parseOptions(
  z.strictObject({
    theirs: z.array(pathOption()).max(2).default([]).describe(
      "Python program that times the authors' code (REF OUT WORDS…: one JSON line a measurement), and a copy of that code",
    ),
    iterations: z.int().positive().default(6).describe("repetitions of a step after a first one that is not counted"),
    seconds: z.int().positive().default(350).describe("for everything; parts that are left then are not begun"),
    device: z.enum(["cpu", "gpu"]).default("gpu").describe("cpu: to try this script where there is no GPU"),
  }),
  { name: "gpu-check", description: "Check and time everything on an NVIDIA GPU; one JSON", args: Deno.args },
);
const { device } = options, [theirProgram, reference] = options.theirs;

/** Seconds that a part may take; on an H100 each needs half of that or less. */
const LIMITS = { doctor: 60, checks: 90, step: 60, theirs: 90, training: 75 };
/** Dice on unseen phantoms below which a training has not worked; on a CPU it is above 0.98. */
const LEAST_DICE = 0.9;

/** How a part ended, and its figures. */
interface Part {
  passed: boolean;
  /** Why it did not pass, in its own words. */
  problem?: string;
  [figure: string]: unknown;
}

const begun = performance.now(), stop = new AbortController();
const secondsSince = (start: number) => Number(((performance.now() - start) / 1000).toFixed(1));
const report = {
  ...{ kind: "gpu-check", passed: false, seconds: 0 },
  parts: {} as Record<string, Part>,
  figures: [] as ReturnType<typeof figuresToReach>,
};

/** A part's own processes, within its seconds. */
type Start = (program: string, args: string[]) => Promise<string>;
/** A part that did not pass, with what it printed until then. */
class Failure extends Error {
  constructor(message: string, readonly output: string) {
    super(message);
  }
}

/** Runs a program in a process group of its own, which ends whole. @throws {Failure} Unless it ends with 0 in time. */
async function start(program: string, args: string[], end: number): Promise<string> {
  console.error([program, ...args].join(" "));
  const child = new Deno.Command(program, {
    ...{ args, env: { NO_COLOR: "1" }, detached: true, stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  let ended: string | undefined;
  const kill = (why: string) => {
    ended ??= why;
    try {
      Deno.kill(-child.pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // it has just ended
    }
  };
  const left = Math.max(0, end - performance.now());
  const timer = setTimeout(kill, left, `took more than ${Math.round(left / 1000)} s`),
    stopped = () => kill("was stopped");
  stop.signal.addEventListener("abort", stopped);
  const { success, stdout, stderr } = await child.output();
  clearTimeout(timer);
  stop.signal.removeEventListener("abort", stopped);
  const [output, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trimEnd());
  // Deno names the tasks that it starts.
  if (ended || !success) throw new Failure(ended ?? (error.replace(/^Task .*\n/gm, "") || "failed"), output);
  return output;
}

/**
 * A part of the report: its figures, and whether it passed.
 * @param work Its figures; `passed` and `problem` among them where its processes ended well and it still did not pass.
 * @param rest Figures of what was printed before a failure.
 */
async function part(
  name: string,
  limit: number,
  work: (start: Start) => Promise<Partial<Part>>,
  rest: (output: string) => Partial<Part> = () => ({}),
): Promise<Part> {
  const own = performance.now(), end = Math.min(own + 1000 * limit, begun + 1000 * options.seconds);
  let result: Part;
  try {
    if (stop.signal.aborted || end <= own) {
      throw new Failure(`not begun: ${stop.signal.aborted ? "stopped" : `the ${options.seconds} s are over`}`, "");
    }
    result = { passed: true, ...await work((program, args) => start(program, args, end)) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const before = error instanceof Failure && error.output ? rest(error.output) : {};
    result = { ...before, passed: false, problem: error.message };
  }
  if (result.problem) console.error(`${name}: ${result.problem}`);
  return report.parts[name] = { ...result, seconds: secondsSince(own) };
}

const task = (name: string, ...args: string[]): [string, string[]] => ["deno", ["task", "--quiet", name, ...args]];

/** `doctor`'s lines: a name of up to 14 characters, then its value. What is computed must also stay on the GPU. */
function readTable(output: string) {
  const rows = output.split("\n").map((line) => [line.slice(0, 14).trim(), line.slice(14)]);
  const machine: Record<string, string> = Object.fromEntries(rows), { results } = machine;
  return { machine, ...results && !results.includes("GPU") ? { passed: false, problem: `results ${results}` } : {} };
}

/** The last line of a task that counts its checks, and those that failed. */
function readCounts(output: string) {
  const lines = output.split("\n"), [, passed, failed] = lines.at(-1)!.match(/^(\d+) passed, (\d+) failed$/) ?? [];
  return {
    ...passed && { checks: { passed: +passed, failed: +failed } },
    failures: lines.filter((line) => /^failed: |FAILED/.test(line)),
  };
}

function readTheirs(output: string): { rows: TheirRow[] } & Partial<Part> {
  const rows = output.split("\n").filter((line) => line.startsWith("{")).map((line) =>
    THEIR_ROW.parse(JSON.parse(line))
  );
  const problems = rows.flatMap(({ error }) => error ?? []);
  return { rows, ...problems.length && { passed: false, problem: problems.join("; ") } };
}

/** The step of SS-Net, beside it that of the labeled half alone. */
function stepOf(dataset: string, precision: string, ...more: string[]) {
  const what = ["--dataset", dataset, "--precision", precision, "--iterations", String(options.iterations)];
  return task("bench", "step", ...what, "--device", device, "--json", ...more);
}

/** Whether LA's step in bf16 runs in the bounded pool; that it does not is a figure, and no fault. */
async function inPool(start: Start): Promise<Partial<Part>> {
  try {
    return { fits: true, ...parseMeasurement(await start(...stepOf(LA, "bf16", "--pool", `${POOL_GB}`))) };
  } catch (error) {
    // TensorFlow's words where its pool is used up.
    if (!/OOM|out of memory|Dst tensor is not initialized/i.test((error as Error).message)) throw error;
    return { fits: false, refusal: (error as Error).message };
  }
}

async function theirs(dataset: string, words: string[]) {
  if (!theirProgram) return;
  const run = (folder: string) => [theirProgram, reference, `${folder}/theirs.jsonl`, dataset, ...words, "step"];
  const folder = await temporaryFolder("ss-net-gpu-check-");
  await part(
    `theirs ${dataset}`,
    LIMITS.theirs,
    async (start) => readTheirs(await start("python3", run(folder))),
    readTheirs,
  );
  await Deno.remove(folder, { recursive: true });
}

/** SS-Net by the fast preset, much shortened, on phantoms of left atria; the mean Dice of unseen ones. */
async function training(start: Start) {
  const folder = await temporaryFolder("ss-net-gpu-check-"), { la } = DATASETS;
  const [raw, cases, run] = ["raw", "cases", "run"].map((name) => `${folder}/${name}`);
  try {
    await la.writePhantoms(raw, { seed: 1337, count: 10, shape: [72, 72, 48] });
    await start(...task("preprocess", LA, "--raw", raw, "--cases", cases));
    await start(...task("split", LA, "--cases", cases, "--labeled", "4", "--test-cases", "3"));
    const own = performance.now(), length = ["--iterations", "200", "--warmup", "170", "--patch", "48x48x32"];
    await start(
      ...task("train", LA, "--cases", cases, "--run", run, "--preset", "fast", ...length, "--device", device),
    );
    const trainingSeconds = secondsSince(own), how = ["--batch-norm", "window", "--checkpoint", "last"];
    await start(...task("eval", LA, "--run", run, ...how, "--device", device));
    const { summary } = await readMetrics(`${run}/evaluation-window`), dice = summary.honest.mean.dice.mean ?? NaN;
    const isLow = !(dice >= LEAST_DICE);
    return { dice, trainingSeconds, ...isLow && { passed: false, problem: `Dice ${dice}, ${LEAST_DICE} wanted` } };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** All parts in the order of their weight: the last ones may find no time left. */
async function everything(): Promise<void> {
  const doctor = await part("doctor", LIMITS.doctor, async (start) => {
    findLibrary(device); // the task would set up the one for the CPU
    return readTable(await start(...task("doctor", "--device", device)));
  }, readTable);
  if (!doctor.passed) return;
  const checks = { parity: [], conformance: ["--device", device] }; // parity takes a GPU that is there
  await Promise.all(
    Object.entries(checks).map(([name, args]) =>
      part(name, LIMITS.checks, async (start) => readCounts(await start(...task(name, ...args))), readCounts)
    ),
  );
  const ours: Record<string, number | undefined> = {};
  const steps = async (dataset: string) => {
    for (const precision of precisionsOf(device)) {
      const { stepSeconds } = await part(
        `step ${dataset} ${precision}`,
        LIMITS.step,
        async (start) => parseMeasurement(await start(...stepOf(dataset, precision))),
      );
      ours[`${dataset} ${precision}`] = (stepSeconds as { minimum: number } | undefined)?.minimum;
    }
  };
  await steps(LA);
  await theirs(LA, ["cl", "fp32", "tf32", "bf16"]);
  // A CPU's memory has no such bound.
  const bounded = device === "gpu" ? await part(`step la bf16, ${POOL_GB} GB`, LIMITS.step, inPool) : undefined;
  await steps(ACDC);
  await theirs(ACDC, ["published", "cl", "tf32", "bf16"]);
  await part("training", LIMITS.training, training);
  const rows = Object.values(report.parts).flatMap(({ rows }) => rows as TheirRow[] | undefined ?? []);
  report.figures = figuresToReach({ ours, theirs: rows, fitsPool: bounded?.fits as boolean | undefined });
}

await runTask(async () => {
  if (options.theirs.length === 1) {
    console.error("Cannot start gpu-check: a copy of the authors' code is wanted behind the program that times it");
    return EXIT.usage;
  }
  using _listening = onStop(() => stop.abort());
  await everything();
  for (const { name, wanted, found, reached } of report.figures) {
    console.error(`${name}: ${found ?? "not measured"}, wanted ${wanted}${reached === false ? ": not reached" : ""}`);
  }
  report.passed = Object.values(report.parts).every(({ passed }) => passed);
  report.seconds = secondsSince(begun);
  console.log(JSON.stringify(report));
  if (stop.signal.aborted) return EXIT.interrupted;
  return report.parts.doctor.passed ? report.passed ? EXIT.done : 1 : EXIT.environment;
});
