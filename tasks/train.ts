/**
 * `deno task train:la`, `train:acdc`: cases and a split in, a run folder out (`config.json`, `metrics.jsonl`, `validation.jsonl`, `last.safetensors`,
 * `best.safetensors` where the split has validation cases, `state.safetensors`, `DONE`).
 * @module
 */
import { z } from "zod";
import defer * as tf from "@tensorflow/tfjs";
import { openBatches } from "../pipeline/data/batch_maker.ts";
import { readTrainingItems } from "../pipeline/data/batches.ts";
import { type Case, readCase } from "../pipeline/records/case.ts";
import { DataError, readEach } from "../pipeline/files/errors.ts";
import { checkCases, readSplit } from "../pipeline/records/split.ts";
import { presetOf } from "../pipeline/datasets/dataset.ts";
import { segmenter } from "../pipeline/evaluation/evaluate_case.ts";
import { createMethod, type Method } from "../pipeline/methods/method.ts";
import { isMethod, METHOD_NAMES, METHODS } from "../pipeline/methods/methods.ts";
import { warmupOf } from "../pipeline/methods/supervised.ts";
import type { Weights } from "../pipeline/networks/parameters.ts";
import { normOf } from "../pipeline/training/trained_run.ts";
import { readAverage, withEma } from "../pipeline/training/weight_average.ts";
import { readBestDice, readInitial, readState, writeCheckpoint, writeState } from "../pipeline/training/checkpoint.ts";
import { lowResolutionStage, patchAt } from "../pipeline/training/low_resolution.ts";
import {
  AUGMENTATIONS,
  differencesOf,
  gridOf,
  readRunConfigIfThere,
  type RunConfig,
  STATISTICS,
  writeDone,
  writeRunConfig,
} from "../pipeline/records/run.ts";
import { COSTS, stepRows } from "../pipeline/grid/costs.ts";
import { isFile, isFolder } from "../pipeline/files/exists.ts";
import { sha256 } from "../pipeline/files/hash.ts";
import { readFileBytes } from "../pipeline/files/hdf5.ts";
import { missingIterations, openLog, skippedSteps } from "../pipeline/files/log.ts";
import { readSteps } from "../pipeline/records/measurement.ts";
import { machineMemory } from "../pipeline/grid/memory.ts";
import {
  EXIT,
  givenOption,
  MACHINE,
  parseDataset,
  parseOptions,
  patchText,
  pathOption,
  runFolderOf,
  runTask,
  withoutDefaults,
} from "../pipeline/command/options.ts";
import { homePath } from "../pipeline/files/places.ts";
import { startProgress } from "../pipeline/training/progress.ts";
import { sidesOf } from "../pipeline/arrays/shape.ts";
import { stream, streamKey } from "../pipeline/arrays/random.ts";
import { scheduleAt } from "../pipeline/training/schedule.ts";
import { onStop } from "../pipeline/files/signals.ts";
import { memoryProblem, trainingHeader } from "../pipeline/grid/training_header.ts";
import { recomputation, RECOMPUTED_PATCHES } from "../pipeline/training/recomputed_statistics.ts";
import { beginAnew, DivergedStep, startState, toBatch, trainingStep } from "../pipeline/training/training_step.ts";
import { openValidation } from "../pipeline/training/validation.ts";
import { counted, listed } from "../pipeline/files/words.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { NORMS } from "../pipeline/tensorflow/norms.ts";
import { precisionOn, PRECISIONS } from "../pipeline/tensorflow/precision.ts";
import type { Manifest } from "../pipeline/records/manifest.ts";
import { commitOfTree } from "../pipeline/files/commit.ts";

await runTask(async () => {
  // ── Options: those of the method that is named, or that a run goes on with ─────────────────────────────────────────

  const { dataset, args } = await parseDataset("train", Deno.args), { fast, patch: publishedPatch } = dataset;
  const folder = runFolderOf(dataset.name, args), found = await readRunConfigIfThere(folder);
  const stored = args.includes("--resume") ? found : null;
  const asked = givenOption(args, "--method") ?? stored?.method.name ?? "ssnet";
  const definition = METHODS[isMethod(asked) ? asked : "ssnet"]; // another name is refused below
  const ofMethod = withoutDefaults(definition.settings(dataset));
  const smaller = fast.lowResolution
    ? `; fast: ${fast.lowResolution.patch.join("x")} in the first ${fast.lowResolution.share} of what is labeled only`
    : "";
  const schema = z.strictObject({
    cases: pathOption().optional().describe(`folder of the cases (default: ${homePath(`cases/${dataset.name}`)})`),
    split: pathOption().optional().describe(
      "split file (default: split.json in the folder of the cases); --resume takes the run's own",
    ),
    run: pathOption().optional().describe(
      `run folder to write (default: ${homePath(`runs/${dataset.name}-METHOD`)})`,
    ),
    method: z.enum(METHOD_NAMES).optional().describe("method to train; its settings stand below (default: ssnet)"),
    preset: z.enum(["paper", "fast"]).optional().describe(
      `paper: as published; fast: ${fast.iterations} iterations, the first ${fast.warmup} on the labeled half alone, ` +
        `${fast.precision} precision, learning rate: ${fast.rateSchedule}, ${fast.augmentation} augmentation, tested by the ` +
        "average of the weights (default: paper)",
    ),
    iterations: z.int().nonnegative().optional().describe(
      "length of the training instead of the preset's; 0 writes the untrained network",
    ),
    warmup: z.int().nonnegative().optional().describe(
      "first iterations on the labeled half alone, instead of the preset's",
    ),
    precision: z.enum(PRECISIONS).optional().describe("arithmetic instead of the preset's"),
    augmentation: z.enum(AUGMENTATIONS).optional().describe(
      "published: the authors' crops, turns and flips; strong: also rotation, scale, noise, blur, brightness, contrast, " +
        "low resolution and gamma, half of the draws in their own orientation (default: the preset's)",
    ),
    norm: z.enum(NORMS).optional().describe(
      "behind the network's convolutions; batch: over the batch, as published; instance: every channel of every sample; " +
        "group: 16 channels of every sample; the latter two are the same in training and test (default: that of " +
        "the network in --init where something says it, else batch)",
    ),
    batchNorm: z.enum(STATISTICS).optional().describe(
      "statistics of the batch norms that predict takes and export hands on; running: collected step by step, as " +
        `published; window: each window's own; recomputed: of ${RECOMPUTED_PATCHES} labeled patches or more at the end, ` +
        "which eval takes, too (default: the preset's)",
    ),
    patch: patchText(dataset).optional().describe(
      `patch, multiples of 16 (default: ${publishedPatch.join("x")}${smaller})`,
    ),
    seed: z.int().nonnegative().optional().describe("seed of everything random (default: 1337)"),
    init: pathOption().optional().describe(
      "run folder, whose last network it is, or file of weights, .safetensors or .pth, to begin with: what matches is taken, " +
        "the rest begins at random; without a warm-up, unless --warmup gives it one",
    ),
    ...MACHINE,
    validateEvery: z.int().positive().optional().describe(
      "iterations between two validations, behind the warm-up and smaller slices, where the split has any (default: 200)",
    ),
    saveEvery: z.int().positive().optional().describe("iterations between two checkpoints (default: 200)"),
    nan: z.enum(["stop", "skip"]).optional().describe(
      "a step whose loss, gradients or statistics are not finite: stop ends the training with code 5; skip leaves the " +
        "step out, counts it and goes on (default: stop)",
    ),
    resume: z.boolean().default(false).describe("go on with the run in --run: with its options and its split"),
  });
  const { resume, split: splitPath, method: _, run: __, patch: patchGiven, init: initGiven, batchNorm, ...given } =
    parseOptions(
      schema.extend(ofMethod) as unknown as typeof schema,
      { name: `train ${dataset.name}`, description: `Train ${definition.title} with few labels`, args },
    );
  const [settingsGiven, trainingGiven] = [true, false].map((ofSettings) =>
    Object.fromEntries(
      Object.entries(given).filter(([key, value]) => value !== undefined && (key in ofMethod) === ofSettings),
    )
  ) as [Record<string, unknown>, DefinedOnly<typeof given>];
  const refuse = (message: string) => {
    console.error(message);
    return EXIT.usage;
  };

  // ── The run: a new one, or the one that the folder holds ───────────────────────────────────────────────────────────

  const [hasState, hasLast] = ["state", "last"].map((name) => isFile(`${folder}/${name}.safetensors`));
  if (found && found.dataset !== dataset.name) {
    return refuse(
      `Cannot train ${dataset.name} in "${folder}": it holds a run of ${found.dataset}; go on with it by deno task ` +
        `train ${found.dataset}, or name another folder by --run`,
    );
  }
  if (hasLast && !hasState) {
    return refuse(
      `Cannot train in "${folder}": it holds a network, last.safetensors, without the state.safetensors to go on from; ` +
        "evaluate it, move it away to start anew, or name another folder by --run",
    );
  }
  if (!resume && found && hasState) { // what ended before its first checkpoint is begun anew
    return refuse(
      `Cannot start in "${folder}": it holds a run; go on with --resume, or name another folder by --run`,
    );
  }
  if (resume && !stored) return refuse(`Cannot resume "${folder}": it holds no run; start one without --resume`);
  if (resume && !hasState) {
    return refuse(`Cannot resume "${folder}": its run has no checkpoint yet; start it anew, without --resume`);
  }
  const patch = patchGiven ? sidesOf(patchGiven) : stored?.training.patch ?? [...publishedPatch];
  const settings = stored?.method.name === asked // another method is refused below
    ? stored.method.settings
    : definition.settings(dataset).parse(settingsGiven) as RunConfig["method"]["settings"];
  const init = initGiven && isFolder(initGiven) ? `${initGiven}/last.safetensors` : initGiven;
  const norm = given.norm ?? stored?.training.norm ?? (init ? await normOf(init) : null) ?? dataset.norm;
  let chosen: Method;
  try {
    chosen = createMethod(definition, dataset, { settings, patch, norm });
  } catch (error) {
    if (error instanceof RangeError) return refuse(error.message); // a norm that its network does not have
    throw error;
  }
  const { profile, usesUnlabeled } = chosen;
  if (norm !== "batch" && batchNorm && batchNorm !== "running") {
    return refuse(
      `Cannot train with --norm ${norm} and --batch-norm ${batchNorm}: there is no batch norm to have statistics; take ` +
        "--norm batch or leave --batch-norm out",
    );
  }
  /** What was given, as a configuration has it. */
  const wanted = {
    ...trainingGiven,
    ...(patchGiven ? { patch } : {}),
    ...(batchNorm ? { statistics: batchNorm } : {}),
    ...(init ? { init: { file: init, sha256: sha256(await readFileBytes(init)) } } : {}),
    ...(given.warmup === undefined ? {} : { warmup: usesUnlabeled ? given.warmup : 0 }),
  };
  const training = stored ? { ...stored.training, ...wanted } : newTraining();
  function newTraining(): RunConfig["training"] {
    const { lowResolution, precision, ...preset } = presetOf(profile, given.preset ?? "paper");
    const { device } = given;
    const usual = {
      preset: "paper",
      norm,
      seed: 1337,
      validateEvery: 200,
      saveEvery: 200,
      nan: "stop",
      cases: "",
    } as const;
    // A network that is given has had its labeled-only training.
    const isWarm = init && usesUnlabeled && given.warmup === undefined, { iterations } = preset;
    const length = isWarm ? { iterations: iterations - preset.warmup, warmup: 0 } : {};
    const all = { ...usual, precision: precisionOn(device, precision), ...preset, ...length, ...wanted };
    const { warmup: warm, ...own } = all, warmup = usesUnlabeled ? warm : 0;
    const labeledOnly = usesUnlabeled ? warmup : own.iterations;
    return {
      ...own,
      statistics: norm === "batch" ? own.statistics : "running",
      warmup,
      patch,
      lowResolution: patchGiven ? null : lowResolutionStage(lowResolution, labeledOnly),
      cases: given.cases ?? homePath(`cases/${dataset.name}`),
      computedOn: null,
    };
  }
  const { iterations, warmup, seed, lowResolution, cases: caseFolder } = training;

  const differences = stored
    ? [
      ...differencesOf({ method: stored.method.name }, { method: asked }),
      ...differencesOf(stored.method.settings, settingsGiven),
      ...differencesOf(stored.training, wanted),
    ]
    : [];
  if (differences.length) return refuse(`Cannot resume "${folder}" as another run:\n${differences.join("\n")}`);
  if (iterations && warmup >= iterations) {
    return refuse(
      `Cannot train ${iterations} iterations of which ${warmup} are a warm-up: ${asked} would never run; raise ` +
        "--iterations or lower --warmup",
    );
  }

  // ── Data: the cases of the split, read beside what follows ─────────────────────────────────────────────────────────

  const memory = machineMemory(); // before this process takes of it
  const source = stored ? `${folder}/config.json` : splitPath ?? `${caseFolder}/split.json`;
  const split = stored?.split ?? await readSplit(source, dataset.name);
  const { cases: manifest } = await checkCases(split, caseFolder, source);
  const reading = readTrainingItems(caseFolder, split, { profile, withUnlabeled: usesUnlabeled, cases: manifest });
  reading.catch(() => {}); // told where it is awaited, behind what else may be wrong
  const { threads, device } = training, preset = presetOf(profile, training.preset);
  const isChosen = stored !== null || given.precision !== undefined; // else the device decides
  const { binding, precision } = openTensorFlow({
    ...{ threads, device, precision: isChosen ? training.precision : preset.precision },
  });
  if (precision !== training.precision) console.error(`note: this device does not compute in ${training.precision}`);
  const measured = await readSteps(COSTS);
  const announced = {
    ...training,
    precision,
    ...{ name: dataset.name, dataset: dataset.protocol, method: asked, patch },
    ...{ rows: stepRows(chosen), channels: profile.channels, classes: profile.classes },
    lowResolution: lowResolution && preset.lowResolution,
  };
  const tooLarge = memoryProblem(measured, announced, memory);
  if (tooLarge) {
    console.error(tooLarge);
    return EXIT.environment;
  }

  // ── State: method and warm-up as traced steps; weights, momentum and what the method remembers ─────────────────────

  const withAverage = (method: Method) => training.ema ? withEma(method) : method;
  const method = withAverage(chosen);
  // Before anything is written: a precision that the device does not have is refused here.
  const stages = [withAverage(warmupOf(chosen)), method].map((method) => ({
    method,
    step: trainingStep(method, precision),
  }));
  const initial = init && !resume ? await readInitial(init, method.spec) : null;
  const { state, iteration: done } = resume
    ? await readState(`${folder}/state.safetensors`, method)
    : { state: startState(method, stream(seed, "weights"), initial?.state), iteration: 0 };
  if (done > iterations) {
    throw new DataError(
      `Cannot resume "${folder}": its state.safetensors is of iteration ${done}, the run has ${iterations}; it is ` +
        "damaged, begin the run anew",
    );
  }
  const validationCases = await readValidationCases(caseFolder, split.validation, manifest),
    { place, ...items } = await reading;
  let iteration = done;
  const recompute = training.statistics === "recomputed"
    ? recomputation(items, { profile, seed, patch, precision })
    : null;
  let recomputed: Weights | null = null; // of the weights as they are; null: not computed, or not wanted
  /** The parameters that are validated and kept. */
  const tested = () => {
    const { weights, buffers } = training.ema ? readAverage(method.spec, state) : state;
    return { weights, buffers: { ...buffers, ...recomputed } };
  };
  const recomputeIfWanted = async () => void (recomputed ??= recompute && await recompute(tested()));

  await Deno.mkdir(folder, { recursive: true });
  using log = await openLog(`${folder}/metrics.jsonl`, iteration); // who has its lock has the folder
  if (!stored) {
    await writeRunConfig(folder, {
      dataset: dataset.name,
      plan: dataset.plan,
      method: { name: asked, settings },
      training: { ...training, precision, computedOn: binding.device },
      grid: gridOf(place, dataset),
      split,
      versions: { deno: Deno.version.deno, tensorflow: binding.TF_Version },
      commit: commitOfTree(),
    });
  }
  console.log(trainingHeader(measured, { ...announced, done }, { split, memory }));
  for (const line of initial?.lines ?? []) console.log(`init: ${line}`);
  const missing = missingIterations(log.rows, iteration);
  if (missing) console.error(`note: ${folder}/metrics.jsonl lacks iterations ${missing}; so will the learning curves`);
  const bestPath = `${folder}/best.safetensors`;
  using validation = validationCases.length
    ? await openValidation({
      path: `${folder}/validation.jsonl`,
      iteration,
      cases: validationCases,
      segment: segmenter(profile, tested, { patch, statistics: "running", precision }),
      classes: profile.classes,
      best: resume ? await readBestDice(bestPath) : 0,
      keepBest: (dice) =>
        writeCheckpoint(bestPath, method.spec, tested(), iteration, { dice, recomputed: recomputed !== null }),
    })
    : null;

  // ── Loop: a batch, a step, a line of the log ───────────────────────────────────────────────────────────────────────

  const stageOf = (iteration: number) => stages[iteration <= warmup ? 0 : 1];
  using batches = openBatches(items, (iteration) => {
    if (iteration > iterations) return null;
    const { usesUnlabeled: withUnlabeled, hasStrongViews: withStrongViews } = stageOf(iteration).method;
    const patch = patchAt(iteration, training);
    const { labeledPerBatch, unlabeledPerBatch } = profile; // a thread takes no functions, which a dataset has
    const rows = { labeledPerBatch, unlabeledPerBatch };
    return {
      ...{ profile: rows, augmentation: training.augmentation, seed, iteration, patch, withUnlabeled },
      withStrongViews,
    };
  });
  const batchOf = async (iteration: number) => {
    const { targets } = stageOf(iteration).method, size = patchAt(iteration, training);
    const batch = await batches.take(iteration), labelShape = [profile.labeledPerBatch, ...size];
    return {
      ...batch,
      shape: [batch.rows, ...size, profile.channels],
      labelShape,
      targets: targets?.(batch.label, labelShape) ?? {},
    };
  };
  let saved = done, skipped = skippedSteps(log.rows, done);
  const save = async () => {
    await log.sync();
    await writeState(`${folder}/state.safetensors`, method.spec, state, iteration);
    const how = { recomputed: recomputed !== null };
    await writeCheckpoint(`${folder}/last.safetensors`, method.spec, tested(), iteration, how);
    saved = iteration;
  };
  const progress = startProgress(iteration, iterations);
  let interrupted = false;
  using _listening = onStop(() => {
    interrupted = true;
    progress.endLine();
    console.error("Finishing this step, then saving; a second signal ends at once");
  });
  let next = iteration < iterations ? batchOf(iteration + 1) : null;
  while (next && !interrupted) {
    const begun = performance.now(), batch = await next;
    iteration++;
    const { weight, learningRate, publishedIterations } = scheduleAt(iteration, { profile, ...training });
    const { method: active, step } = stageOf(iteration);
    if (active === method && iteration === warmup + 1) beginAnew(method, state);
    const scheduled = active.scheduled?.(iteration - warmup - 1, publishedIterations / profile.iterations) ?? {};
    const noise: [number, number] = [streamKey(seed, "noise") | 0, iteration];
    const inputs = toBatch(batch, { seed: noise, weight, learningRate, scheduled });
    const running = step(state, inputs);
    if (recomputed) tf.dispose(recomputed);
    recomputed = null;
    // TensorFlow computes on threads of its own: the next batch is made meanwhile.
    next = iteration < iterations ? batchOf(iteration + 1) : null;
    const { values, fault } = await outcomeOf(running), marked: Record<string, number> = fault ? { skipped: 1 } : {};
    tf.dispose({ ...inputs });
    const seconds = (performance.now() - begun) / 1000;
    log.write({
      iteration,
      ...values,
      ...scheduled,
      ...marked,
      consistency_weight: weight,
      learning_rate: learningRate,
      seconds,
    });
    if (fault && training.nan !== "skip") {
      progress.endLine();
      console.error(
        `Training diverged at iteration ${iteration}, ${fault.message}; ${
          saved
            ? `the checkpoint after iteration ${saved} is kept. See which cases the iteration took, or go on with ` +
              "--resume --nan skip, which leaves such steps out"
            : "no checkpoint has been written yet. See which cases the iteration took, or begin with --nan skip"
        }`,
      );
      return EXIT.diverged;
    }
    if (fault) {
      skipped++;
      progress.endLine();
      console.error(`note: the step of iteration ${iteration} is left out, ${fault.message}`);
    }
    progress.show(iteration, `loss ${values.total.toFixed(4)}`);
    // A network of a warm-up or of smaller slices is never the best.
    const isDue = iteration % training.validateEvery === 0 &&
      iteration > Math.max(warmup, lowResolution?.iterations ?? 0);
    if (validation && (isDue || iteration === iterations)) {
      await recomputeIfWanted();
      const { dice, kept } = await validation.run(iteration);
      progress.endLine();
      console.log(`validation at iteration ${iteration}: Dice ${dice.toFixed(4)}${kept ? ", the best so far" : ""}`);
    }
    if (iteration % training.saveEvery === 0) await save();
  }

  // ── End ────────────────────────────────────────────────────────────────────────────────────────────────────────────

  progress.endLine();
  if (iteration === iterations) await recomputeIfWanted();
  await save();
  if (iteration < iterations) {
    console.error(`Stopped after iteration ${iteration}; go on with --resume`);
    return EXIT.interrupted;
  }
  if (skipped) {
    console.error(`note: ${counted(skipped, "step")} of ${iteration} left out, as not all was finite in them`);
  }
  await writeDone(folder, iteration);
  console.log(`run: ${folder}`);
  return EXIT.done;
});

/** The losses of a step as numbers, and what was not finite in one that was not taken. */
async function outcomeOf(
  running: Promise<Record<string, tf.Scalar>>,
): Promise<{ values: Record<string, number>; fault: DivergedStep | null }> {
  try {
    const losses = await running;
    const values = Object.fromEntries(Object.entries(losses).map(([name, loss]) => [name, loss.dataSync()[0]]));
    tf.dispose(losses);
    return { values, fault: null };
  } catch (error) {
    if (!(error instanceof DivergedStep)) throw error;
    return { values: error.losses, fault: error };
  }
}

/** What is there of optional fields is no longer undefined. */
type DefinedOnly<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** @throws {DataError} Naming all that have no label. */
async function readValidationCases(folder: string, names: string[], manifest: Manifest["cases"]): Promise<Case[]> {
  const read = (name: string) => readCase(`${folder}/${name}.h5`, name, { expected: manifest[name] });
  const { results: cases, problems } = await readEach(names, read);
  if (problems.length) throw new DataError(problems.join("\n"));
  const bare = cases.filter(({ label }) => !label).map(({ name }) => name);
  if (bare.length) {
    throw new DataError(`Cannot validate on ${counted(bare.length, "case")} without a label: ${listed(bare)}`);
  }
  return cases;
}
