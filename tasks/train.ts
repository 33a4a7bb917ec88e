/**
 * `deno task train:la`, `train:acdc`: cases and a split in, a run folder out (`config.json`, `metrics.jsonl`, `validation.jsonl`, `last.safetensors`,
 * `best.safetensors` where the split has validation cases, `state.safetensors`, `DONE`).
 * @module
 */
import { existsSync } from "node:fs";
import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import { z } from "zod";
import { assembleBatch, readTrainingItems } from "../pipeline/data/batches.ts";
import { type Case, type Manifest, readCase } from "../pipeline/data/cases.ts";
import { DataError, readEach } from "../pipeline/data/data_error.ts";
import { DATASET_NAMES, presetOf } from "../pipeline/data/profiles.ts";
import { checkCases, parseSplit, readSplit, type Split } from "../pipeline/data/splits.ts";
import { segmenter } from "../pipeline/evaluation/evaluate_case.ts";
import type { Method } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, METHODS } from "../pipeline/methods/methods.ts";
import { ssnetSettings } from "../pipeline/methods/ssnet.ts";
import { warmupOf } from "../pipeline/methods/supervised.ts";
import { averaged, averageOf } from "../pipeline/methods/weight_average.ts";
import { readBestDice, readState, writeCheckpoint, writeState } from "../pipeline/runs/checkpoint.ts";
import { COSTS, readCosts } from "../pipeline/runs/costs.ts";
import { writeAtomically, writeJson } from "../pipeline/runs/files.ts";
import { readJsonIfThere, RUN_CONFIG } from "../pipeline/runs/json.ts";
import { missingIterations, openLog } from "../pipeline/runs/log.ts";
import { machineMemory } from "../pipeline/runs/memory.ts";
import { EXIT, MACHINE, parseDataset, parseOptions, patchText, pathOption, runTask } from "../pipeline/runs/options.ts";
import { homePath } from "../pipeline/runs/places.ts";
import { startProgress } from "../pipeline/runs/progress.ts";
import { stream, streamKey } from "../pipeline/runs/random.ts";
import { scheduleAt } from "../pipeline/runs/schedule.ts";
import { onStop } from "../pipeline/runs/signals.ts";
import { memoryProblem, trainingHeader } from "../pipeline/runs/training_header.ts";
import {
  type Batch,
  beginAnew,
  startState,
  toScalars,
  toTensors,
  trainingStep,
} from "../pipeline/runs/training_step.ts";
import { openValidation } from "../pipeline/runs/validation.ts";
import { listed } from "../pipeline/runs/words.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";

const { dataset, published, args } = parseDataset(Deno.args);
const { fast } = published, usual = ssnetSettings(published);
const only = (text: string, value: unknown) => `SS-Net only: ${text} (default: ${value})`;
const ablations = {
  smoothnessWeight: z.number().nonnegative().optional().describe(
    only("weight of the smoothness term, 0 leaves it out", usual.smoothnessWeight),
  ),
  separationWeight: z.number().nonnegative().optional().describe(
    only("weight of the separation term, 0 leaves it out", usual.separationWeight),
  ),
  perturbationRadius: z.number().positive().optional().describe(
    only("length of the adversarial perturbation", usual.perturbationRadius),
  ),
  bankRows: z.int().min(2).max(65536).optional().describe(only("rows that the bank keeps per class", usual.bankRows)),
  bankKeeps: z.enum(["lowest", "highest"]).optional().describe(
    only("which scores stay in the bank; lowest: as the authors' code; highest: as the paper's words", usual.bankKeeps),
  ),
  bankWeights: z.enum(["ones", "learned"]).optional().describe(
    only("ones: as the authors' code; learned: as the paper", usual.bankWeights),
  ),
};
const options = parseOptions(
  z.strictObject({
    cases: pathOption().default(homePath(`cases/${dataset}`)).describe("folder of the cases"),
    split: pathOption().optional().describe(
      "split file (default: split.json in the folder of the cases); --resume takes the run's own",
    ),
    run: pathOption().default(homePath(`runs/${dataset}-ssnet`)).describe("run folder to write"),
    method: z.enum(METHOD_NAMES).default("ssnet").describe("method to train"),
    preset: z.enum(["paper", "fast"]).default("paper").describe(
      `paper: as published; fast: ${fast.iterations} iterations, the first ${fast.warmup} on the labeled half alone, ` +
        `${fast.precision}, rate: ${fast.rateSchedule}, tested by the average of the weights`,
    ),
    iterations: z.int().nonnegative().optional().describe(
      "length of the training instead of the preset's; 0 writes the untrained network",
    ),
    warmup: z.int().nonnegative().optional().describe(
      "first iterations on the labeled half alone, instead of the preset's",
    ),
    precision: z.enum(["fp32", "bf16"]).optional().describe("arithmetic of convolutions instead of the preset's"),
    ...ablations,
    patch: patchText(published).optional().describe(
      `patch, multiples of 16 (default: ${published.patch.join("x")}${
        fast.coarse
          ? `; fast: ${fast.coarse.patch.join("x")} in the first ${fast.coarse.share} of what is labeled only`
          : ""
      })`,
    ),
    seed: z.int().nonnegative().default(1337).describe("seed of everything random"),
    ...MACHINE,
    validateEvery: z.int().positive().default(200).describe(
      "iterations between two validations behind the warm-up, where the split has any",
    ),
    saveEvery: z.int().positive().default(200).describe("iterations between two checkpoints"),
    resume: z.boolean().default(false).describe("go on with the run in --run; give the options it was started with"),
  }),
  { name: `train:${dataset}`, description: "Train a method with few labels", args },
);
const { resume, ...rest } = options, given = { ...rest, split: options.split ?? `${options.cases}/split.json` };
const patch = options.patch?.split("x").map(Number) ?? published.patch;
const chosen = METHODS[options.method]({ ...options, patch, profile: published });
const { profile } = chosen;
const settings = options.method === "ssnet" ? ssnetSettings(published, options) : {};
const { coarse, ...preset } = presetOf(profile, options.preset);
const asked = { ...preset, ...definedOnly(given), patch: patch.join("x") };
const withAverage = (method: Method) => asked.averaged ? averaged(method) : method;
const method = withAverage(chosen);
const warmup = method.usesUnlabeled ? asked.warmup : 0, labeledOnly = method.usesUnlabeled ? warmup : asked.iterations;
const config = { dataset, ...asked, ...settings, warmup, coarse: options.patch ? null : coarseOf(labeledOnly) };

/** The iterations on a smaller patch, as the configuration tells them; null where there are none. */
function coarseOf(labeledOnly: number): { patch: string; iterations: number } | null {
  const iterations = coarse ? Math.round(coarse.share * labeledOnly) : 0;
  return coarse && iterations ? { patch: coarse.patch.join("x"), iterations } : null;
}

function definedOnly<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as never;
}

/** Options that may change when a run goes on: they leave its result as it is, or nearly (threads, device). */
const FREE = ["run", "cases", "split", "threads", "device", "saveEvery", "versions", "computedOn"];

/** Why the run in the folder cannot be started or gone on with; null when it can. */
async function obstacle(folder: string, resolved: object): Promise<string | null> {
  const strange = options.method === "ssnet" ? [] : Object.keys(ablations).filter((name) => name in config);
  if (strange.length) {
    return `Cannot train ${options.method} with ${strange.join(", ")}: only SS-Net reads them; leave them out`;
  }
  if (config.iterations && config.warmup >= config.iterations) {
    return `Cannot train ${config.iterations} iterations of which ${config.warmup} are a warm-up: ${options.method} would ` +
      `never run; raise --iterations or lower --warmup`;
  }
  const schema = z.looseObject({ dataset: z.enum(DATASET_NAMES).optional() });
  const found = await readJsonIfThere(`${folder}/config.json`, schema, RUN_CONFIG);
  if (found?.dataset && found.dataset !== dataset) {
    return `Cannot train ${dataset} in "${folder}": it holds a run of ${found.dataset}; go on with it by deno task ` +
      `train:${found.dataset}, or name another folder by --run`;
  }
  const [hasState, hasLast] = ["state", "last"].map((name) => existsSync(`${folder}/${name}.safetensors`));
  if (hasLast && !hasState) {
    return `Cannot train in "${folder}": it holds a network, last.safetensors, without the state.safetensors to go on ` +
      `from; evaluate it, move it away to start anew, or name another folder by --run`;
  }
  if (!resume) { // what ended before its first checkpoint is begun anew
    return found && hasState
      ? `Cannot start in "${folder}": it holds a run; go on with --resume, or name another folder by --run`
      : null;
  }
  if (!found) return `Cannot resume "${folder}": it holds no run; start one without --resume`;
  if (!hasState) {
    return `Cannot resume "${folder}": its run has no checkpoint yet; start it anew, without --resume`;
  }
  const stored: Record<string, unknown> = { averaged: false, coarse: null, ...found }; // of runs older than these settings
  const hints: Record<string, string> = { coarse: "; --patch decides it: give it as at the start, or not" };
  const differences = Object.entries(resolved)
    .filter(([key, value]) => !FREE.includes(key) && JSON.stringify(value) !== JSON.stringify(stored[key]))
    .map(([key, value]) =>
      `${key}: started with ${JSON.stringify(stored[key])}, now ${JSON.stringify(value)}${hints[key] ?? ""}`
    );
  return differences.length ? `Cannot resume "${folder}" as another run:\n${differences.join("\n")}` : null;
}

/** Trains; returns the exit code. */
async function train(): Promise<number> {
  const folder = config.run, memory = machineMemory(); // before this process takes of it
  const { split, source } = await readOwnSplit(folder), { cases } = await checkCases(split, config.cases, source);
  const reading = readTrainingItems(config.cases, split, { profile, withUnlabeled: method.usesUnlabeled, cases });
  reading.catch(() => {}); // told where it is awaited, behind what else may be wrong
  const { tf, binding } = openTensorFlow({ threads: config.threads, device: config.device });
  const resolved = {
    ...config,
    splitContent: split,
    versions: { deno: Deno.version.deno, tensorflow: binding.TF_Version },
    computedOn: binding.device,
  };
  const problem = await obstacle(folder, resolved);
  if (problem) {
    console.error(problem);
    return EXIT.usage;
  }
  const measured = await readCosts(COSTS);
  const training = { ...config, dataset: published.name, patch, coarse: config.coarse && coarse };
  const tooLarge = memoryProblem(measured, training, memory);
  if (tooLarge) {
    console.error(tooLarge);
    return EXIT.environment;
  }
  // Before anything is written: a precision that the device does not have is refused here.
  const stages = [withAverage(warmupOf(chosen)), method].map((method) => ({
    method,
    step: trainingStep(method, config.precision),
  }));
  const { state, iteration: done } = resume
    ? await readState(`${folder}/state.safetensors`, method)
    : { state: startState(method, stream(config.seed, "weights")), iteration: 0 };
  if (done > config.iterations) {
    throw new DataError(
      `Cannot resume "${folder}": its state.safetensors is of iteration ${done}, the run has ${config.iterations}; it is ` +
        "damaged, begin the run anew",
    );
  }
  const tested = config.averaged ? averageOf(method.spec, state) : state;
  let iteration = done;
  const validationCases = await readValidationCases(config.cases, split.validation, cases);
  const items = await reading;
  await Deno.mkdir(folder, { recursive: true });
  using log = await openLog(`${folder}/metrics.jsonl`, iteration); // who has its lock has the folder
  if (!resume) await writeJson(`${folder}/config.json`, resolved);
  console.log(trainingHeader(measured, { ...training, done }, { split, memory }));
  const missing = missingIterations(log.rows, iteration);
  if (missing) console.error(`note: ${folder}/metrics.jsonl lacks iterations ${missing}; so will the learning curves`);
  /** Nothing is written of weights that are no numbers: a step's loss is that of the weights before it. */
  const save = async () => {
    await log.sync();
    await writeState(`${folder}/state.safetensors`, method.spec, state, iteration);
    await writeCheckpoint(`${folder}/last.safetensors`, method.spec, tested, iteration);
  };
  const progress = startProgress(iteration, config.iterations);
  let interrupted = false;
  using _listening = onStop(() => {
    interrupted = true;
    progress.endLine();
    console.error("Finishing this step, then saving; a second signal ends at once");
  });
  const stageOf = (iteration: number) => stages[iteration <= config.warmup ? 0 : 1];
  const patchOf = (iteration: number) => iteration <= (config.coarse?.iterations ?? 0) ? coarse!.patch : patch;
  const batchOf = (iteration: number) => {
    const { usesUnlabeled, targets } = stageOf(iteration).method, patch = patchOf(iteration);
    const labelShape = [profile.labeledPerBatch, ...patch];
    const batch = assembleBatch(items, { profile, seed: config.seed, iteration, patch, withUnlabeled: usesUnlabeled });
    return {
      ...batch,
      shape: [batch.rows, ...patch, 1],
      labelShape,
      targets: targets?.(batch.label, labelShape) ?? {},
    };
  };
  const bestPath = `${folder}/best.safetensors`;
  const segment = segmenter(profile, tested, { patch, statistics: "running", precision: config.precision });
  using validation = validationCases.length
    ? await openValidation({
      path: `${folder}/validation.jsonl`,
      iteration,
      cases: validationCases,
      segment,
      classes: profile.classes,
      best: resume ? await readBestDice(bestPath) : 0,
      keepBest: (dice) => writeCheckpoint(bestPath, method.spec, tested, iteration, { dice }),
    })
    : null;
  let next = iteration < config.iterations ? batchOf(iteration + 1) : null;
  while (next && !interrupted) {
    const begun = performance.now(), batch = next;
    iteration++;
    const { weight, rate, published } = scheduleAt(iteration, { profile, ...config });
    const { method: active, step } = stageOf(iteration);
    if (active === method && iteration === config.warmup + 1) beginAnew(method, state);
    const scheduled = active.scheduled?.(iteration - config.warmup - 1, published / profile.iterations) ?? {};
    const inputs: Batch = {
      x: tf.tensor(batch.image, batch.shape) as Tensor,
      label: tf.tensor(batch.label, batch.labelShape, "int32") as Tensor,
      seed: tf.tensor1d([streamKey(config.seed, "dropout") >> 8, iteration * 10000], "int32") as Tensor1D,
      consistencyWeight: tf.scalar(weight),
      rate: tf.scalar(rate),
      scheduled: toScalars(scheduled),
      targets: toTensors(batch.targets),
    };
    const running = step(state, inputs);
    // TensorFlow computes on threads of its own: the next batch is made meanwhile.
    next = iteration < config.iterations ? batchOf(iteration + 1) : null;
    const losses = await running;
    const values = Object.fromEntries(Object.entries(losses).map(([name, loss]) => [name, loss.dataSync()[0]]));
    tf.dispose([{ ...inputs }, losses]);
    const seconds = (performance.now() - begun) / 1000;
    log.write({ iteration, ...values, ...scheduled, consistency_weight: weight, rate, seconds });
    if (!Number.isFinite(values.total)) return diverged(iteration, `total loss ${values.total}`);
    progress.show(iteration, `loss ${values.total.toFixed(4)}`);
    const isDue = iteration % config.validateEvery === 0 || iteration === config.iterations;
    if (validation && isDue && iteration > config.warmup) { // a warm-up's network is never the best
      const { dice, kept } = await validation.run(iteration);
      progress.endLine();
      console.log(`validation at iteration ${iteration}: Dice ${dice.toFixed(4)}${kept ? ", the best so far" : ""}`);
    }
    if (iteration % config.saveEvery === 0) await save();
  }
  progress.endLine();
  await save();
  if (iteration < config.iterations) {
    console.error(`Stopped after iteration ${iteration}; go on with --resume`);
    return EXIT.interrupted;
  }
  await writeAtomically(`${folder}/DONE`, [new TextEncoder().encode(`${iteration}\n`)]);
  console.log(`run: ${folder}`);
  return EXIT.done;
}

function diverged(iteration: number, why: string): number {
  console.error(`Training diverged at iteration ${iteration}: ${why}; the last checkpoint, if any, is kept`);
  return EXIT.diverged;
}

/** The split to train on, and its file: a run goes on with its own, whatever has become of the one it was started with. */
async function readOwnSplit(folder: string): Promise<{ split: Split; source: string }> {
  const source = `${folder}/config.json`;
  const stored = resume
    ? await readJsonIfThere(source, z.looseObject({ splitContent: z.unknown().optional() }), RUN_CONFIG)
    : null;
  if (stored?.splitContent !== undefined) return { split: parseSplit(stored.splitContent, source), source };
  return { split: await readSplit(config.split, dataset), source: config.split };
}

/** @throws {DataError} Naming all that have no label. */
async function readValidationCases(folder: string, names: string[], manifest: Manifest["cases"]): Promise<Case[]> {
  const read = (name: string) => readCase(`${folder}/${name}.h5`, name, { expected: manifest[name] });
  const { results: cases, problems } = await readEach(names, read);
  if (problems.length) throw new DataError(problems.join("\n"));
  const bare = cases.filter(({ label }) => !label).map(({ name }) => name);
  if (bare.length) throw new DataError(`Cannot validate on cases without a label: ${listed(bare)}`);
  return cases;
}

await runTask(train);
