/**
 * `deno task train:la`: cases and a split in, a run folder out (`config.json`, `metrics.jsonl`, `last.safetensors`,
 * `state.safetensors`, `DONE`). The labeled half of every batch comes first.
 * @module
 */
import type { Scalar, Tensor4D, Tensor5D } from "@tensorflow/tfjs";
import { z } from "zod";
import { drawPatch, extractPatch } from "../pipeline/data/augment.ts";
import { type Case, DataError, readCase } from "../pipeline/data/cases.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { batchCases } from "../pipeline/data/sampler.ts";
import { readSplit } from "../pipeline/data/splits.ts";
import type { Method } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, METHODS } from "../pipeline/methods/methods.ts";
import { readState, writeCheckpoint, writeState } from "../pipeline/runs/checkpoint.ts";
import { EXIT, parseOptions, runTask } from "../pipeline/runs/options.ts";
import { stream, streamKey } from "../pipeline/runs/random.ts";
import { consistencyWeight, flatRate, stepRate } from "../pipeline/runs/schedule.ts";
import { writeAtomically } from "../pipeline/runs/safetensors.ts";
import { startState, type TrainingState, trainingStep } from "../pipeline/runs/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";

/** Everything that a preset changes. `fast` fits half an hour on 2 cores. */
const PRESETS = {
  paper: { iterations: LA.iterations, precision: "fp32", warmup: 0, rateSchedule: "step" },
  fast: { iterations: 480, precision: "bf16", warmup: 400, rateSchedule: "flat" },
} as const;
const OPTIONS = z.strictObject({
  cases: z.string().default("data/cases/la").describe("folder of the cases"),
  split: z.string().default("data/cases/la/split.json").describe("split file"),
  run: z.string().default("data/runs/la-ssnet").describe("run folder to write"),
  method: z.enum(METHOD_NAMES).default("ssnet").describe("method to train"),
  preset: z.enum(["paper", "fast"]).default("paper").describe(
    "paper: as published; fast: 480 iterations, bf16, the first 400 on the labeled half alone, rate / 10 in the last sixth",
  ),
  iterations: z.int().positive().optional().describe("length of the training instead of the preset's"),
  warmup: z.int().nonnegative().optional().describe(
    "first iterations on the labeled half alone, instead of the preset's",
  ),
  precision: z.enum(["fp32", "bf16"]).optional().describe("arithmetic of convolutions instead of the preset's"),
  bankWeights: z.enum(["ones", "learned"]).default("ones").describe(
    "ones: as the authors' code; learned: as the paper",
  ),
  patch: z.string().default(LA.patch.join("x")).describe("patch, multiples of 16"),
  seed: z.int().nonnegative().default(1337).describe("seed of everything random"),
  threads: z.int().positive().default(navigator.hardwareConcurrency).describe("threads of TensorFlow"),
  device: z.enum(["cpu", "gpu"]).default("cpu").describe("where to compute"),
  saveEvery: z.int().positive().default(200).describe("iterations between two checkpoints"),
  resume: z.boolean().default(false).describe("go on with the run in --run"),
});

const options = parseOptions(OPTIONS, {
  name: "train:la",
  description: "Train on left atria with few labels",
  args: Deno.args,
});
const preset = PRESETS[options.preset];
const config = { ...preset, ...Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) } as
  & typeof options
  & { iterations: number; precision: "fp32" | "bf16"; warmup: number; rateSchedule: "step" | "flat" };

/** Trains; returns the exit code. */
async function train(): Promise<number> {
  const folder = config.run, patch = config.patch.split("x").map(Number) as [number, number, number];
  if (patch.length !== 3 || patch.some((n) => !(n > 0 && n % 16 === 0))) {
    console.error(
      `Cannot train on the patch "${config.patch}": three multiples of 16 wanted, as in ${LA.patch.join("x")}`,
    );
    return EXIT.usage;
  }
  const exists = async (path: string) => await Deno.stat(path).then(() => true, () => false);
  if (!config.resume && await exists(`${folder}/config.json`)) {
    console.error(`Cannot start in "${folder}": it holds a run; go on with --resume, or name another folder by --run`);
    return EXIT.usage;
  }
  const split = await readSplit(config.split);
  const cases = await readCases(config.cases, split.labeled, split.unlabeled);
  const { tf, binding } = openTensorFlow({ threads: config.threads, device: config.device });
  const method = METHODS[config.method]({ profile: LA, bankWeights: config.bankWeights });
  // A warm-up is the labeled-only method on this method's network and state.
  const labeledOnly: Method = { ...METHODS.supervised({ profile: LA, bankWeights: "ones" }), spec: method.spec };
  let state: TrainingState, iteration = 0;
  if (config.resume) {
    ({ state, iteration } = await readState(`${folder}/state.safetensors`, method.spec));
  } else {
    await Deno.mkdir(folder, { recursive: true });
    const resolved = {
      ...config,
      dataset: LA.name,
      splitContent: split,
      versions: { deno: Deno.version.deno, tensorflow: binding.TF_Version },
      computedOn: binding.device,
    };
    await writeAtomically(`${folder}/config.json`, [
      new TextEncoder().encode(JSON.stringify(resolved, null, 2) + "\n"),
    ]);
    state = startState(method, stream(config.seed, "weights"));
  }
  const save = async () => {
    await writeState(`${folder}/state.safetensors`, method.spec, state, iteration);
    await writeCheckpoint(`${folder}/last.safetensors`, method.spec, state, iteration);
  };
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => interrupted = true);
  const steps = { warm: trainingStep(labeledOnly, config.precision), main: trainingStep(method, config.precision) };
  using log = await Deno.open(`${folder}/metrics.jsonl`, { append: true, create: true });
  const started = performance.now(), first = iteration;
  while (iteration < config.iterations && !interrupted) {
    iteration++;
    const warm = iteration <= config.warmup || !method.usesUnlabeled;
    const begun = performance.now();
    const batch = assemble(cases, { patch, iteration, unlabeled: !warm });
    // Lengths that the protocol gives in iterations shrink with a shorter training.
    const length = config.iterations - config.warmup, scale = LA.iterations / length;
    const weight = warm ? 0 : consistencyWeight((iteration - config.warmup) * scale, LA.consistency);
    const rate = config.rateSchedule === "step"
      ? stepRate(Math.floor((iteration - 1) * LA.iterations / config.iterations) + 1, {
        base: LA.rate,
        every: LA.rateEvery,
      })
      : flatRate(iteration, { base: LA.rate, total: config.iterations });
    const inputs = {
      x: tf.tensor(batch.image, [batch.rows, ...patch, 1]) as Tensor5D,
      label: tf.tensor(batch.label, [LA.labeledPerBatch, ...patch], "int32") as Tensor4D,
      seed: tf.tensor1d([streamKey(config.seed, "dropout") >> 8, iteration * 10000], "int32"),
      consistencyWeight: tf.scalar(weight),
      rate: tf.scalar(rate),
    };
    const losses = await (warm ? steps.warm : steps.main)(state, inputs);
    const values = Object.fromEntries(Object.entries(losses).map(([name, loss]) => [name, loss.dataSync()[0]]));
    for (const tensor of [...Object.values(inputs), ...Object.values(losses) as Scalar[]]) tensor.dispose();
    const row = { iteration, ...values, consistency_weight: weight, rate, seconds: (performance.now() - begun) / 1000 };
    await log.write(new TextEncoder().encode(JSON.stringify(row) + "\n"));
    if (!Number.isFinite(values.total)) {
      console.error(
        `The training diverged at iteration ${iteration}: total loss ${values.total}; last checkpoint kept`,
      );
      return EXIT.diverged;
    }
    progress(iteration, first, started, values.total);
    if (iteration % config.saveEvery === 0) await save();
  }
  await save();
  if (iteration < config.iterations) {
    console.error(`Stopped after iteration ${iteration}; go on with --resume`);
    return EXIT.interrupted;
  }
  await writeAtomically(`${folder}/DONE`, [new TextEncoder().encode(`${iteration}\n`)]);
  console.log(`run: ${folder}`);
  return EXIT.done;
}

function progress(iteration: number, first: number, started: number, total: number) {
  const terminal = Deno.stdout.isTerminal();
  if (!terminal && iteration % 10 && iteration !== config.iterations) return;
  const perSecond = (iteration - first) / ((performance.now() - started) / 1000);
  const minutes = (config.iterations - iteration) / perSecond / 60;
  const line = `iteration ${iteration}/${config.iterations}  loss ${total.toFixed(4)}  ` +
    `${perSecond.toFixed(3)} iterations/s  ${minutes.toFixed(1)} min left`;
  Deno.stdout.writeSync(new TextEncoder().encode(terminal ? `\r${line}\x1b[K` : `${line}\n`));
  if (terminal && iteration === config.iterations) console.log();
}

/** Training cases by their role. All bad ones are named at once. */
async function readCases(folder: string, labeled: string[], unlabeled: string[]) {
  const problems: string[] = [];
  const read = async (name: string, wantsLabel: boolean): Promise<Case | null> => {
    try {
      const found = await readCase(`${folder}/${name}.h5`, name);
      if (wantsLabel && !found.label?.some((v) => v)) {
        throw new DataError(`Cannot use "${name}" as a labeled case: its label is missing or empty`);
      }
      return found;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(error.message);
      return null;
    }
  };
  const all = { labeled: [] as Case[], unlabeled: [] as Case[] };
  for (const name of labeled) all.labeled.push((await read(name, true))!);
  if (METHODS[config.method]({ profile: LA, bankWeights: "ones" }).usesUnlabeled) {
    for (const name of unlabeled) all.unlabeled.push((await read(name, false))!);
  }
  if (problems.length) throw new DataError(problems.join("\n"));
  return all;
}

/** The batch of an iteration; without unlabeled rows where nothing reads them. */
function assemble(
  cases: { labeled: Case[]; unlabeled: Case[] },
  { patch, iteration, unlabeled }: { patch: [number, number, number]; iteration: number; unlabeled: boolean },
) {
  const drawn = batchCases(config.seed, iteration, {
    labeledCases: cases.labeled.length,
    unlabeledCases: unlabeled ? cases.unlabeled.length : 0,
    labeledPerBatch: LA.labeledPerBatch,
    unlabeledPerBatch: unlabeled ? LA.unlabeledPerBatch : 0,
  });
  const rows = [...drawn.labeled.map((i) => cases.labeled[i]), ...drawn.unlabeled.map((i) => cases.unlabeled[i])];
  const size = patch[0] * patch[1] * patch[2];
  const image = new Float32Array(rows.length * size), label = new Int32Array(LA.labeledPerBatch * size);
  const random = stream(config.seed, "augmentation", iteration);
  rows.forEach((one, row) => {
    const draw = drawPatch(random, one.shape, patch);
    extractPatch(one.image, one.shape, { patch, draw, target: image, offset: row * size });
    if (row < LA.labeledPerBatch) {
      extractPatch(one.label!, one.shape, { patch, draw, target: label, offset: row * size });
    }
  });
  return { image, label, rows: rows.length };
}

await runTask(train);
