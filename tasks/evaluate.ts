/**
 * `deno task eval:la`, `eval:acdc`: a run folder with its cases in, `RUN/evaluation-…/` out ({@linkcode evaluationName}), or a
 * file of weights with `--weights` and `evaluations/DATASET-NAME-HASH/evaluation-…/`: the predicted mask of
 * every test case as NIfTI in the place of its source, and `metrics.json` with Dice, Jaccard, 95HD and ASD under both
 * conventions for empty masks, in voxels and, where the spacing is known, in millimeters; where cases are frames of
 * patients also means by patient, volumes and ejection fractions.
 */
import { basename } from "node:path";
import { z } from "zod";
import { type Case, onSource, readCase } from "../pipeline/records/case.ts";
import { DataError, readEach } from "../pipeline/files/errors.ts";
import { writeNiftiMask } from "../pipeline/files/nifti.ts";
import { checkCases, countCases, countPatients, readSplit, type Split } from "../pipeline/records/split.ts";
import {
  evaluateCase,
  rowText,
  scoreCase,
  type Segment,
  strideOf,
  SURFACE_TOLERANCE,
} from "../pipeline/evaluation/evaluate_case.ts";
import { COMPONENTS, keptComponents } from "../pipeline/arrays/components.ts";
import { classesOf } from "../pipeline/evaluation/sliding_window.ts";
import { clinicalAgreement, patientValues, volumeAgreement } from "../pipeline/evaluation/clinical.ts";
import { correctedSpacings, patientRows, summarize } from "../pipeline/evaluation/summary.ts";
import { METHOD_NAMES } from "../pipeline/methods/methods.ts";
import { loadRun, readRun, type Run, weightsAsRun } from "../pipeline/training/trained_run.ts";
import { chooseComponents } from "../pipeline/training/components_choice.ts";
import { isDone, STATISTICS } from "../pipeline/records/run.ts";
import { sha256 } from "../pipeline/files/hash.ts";
import { readLog, skippedSteps } from "../pipeline/files/log.ts";
import { replaceFolder } from "../pipeline/files/atomic.ts";
import { unlessStopped } from "../pipeline/files/signals.ts";
import {
  CHECKPOINT,
  EXIT,
  MACHINE,
  parseDataset,
  parseOptions,
  patchText,
  pathOption,
  runFolderOf,
  runTask,
  TEST,
} from "../pipeline/command/options.ts";
import { sidesOf } from "../pipeline/arrays/shape.ts";
import { homePath } from "../pipeline/files/places.ts";
import { counted, fixed, listed } from "../pipeline/files/words.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { NORMS } from "../pipeline/tensorflow/norms.ts";
import { PRECISIONS } from "../pipeline/tensorflow/precision.ts";
import type { Manifest } from "../pipeline/records/manifest.ts";
import {
  CLINICAL_NAMES,
  correctedSpacingText,
  evaluationName,
  type PatientValues,
  type ResultRow,
  writeMetrics,
} from "../pipeline/records/evaluation.ts";

const { dataset, args } = await parseDataset("eval", Deno.args);
const { overlap: _, ...withoutWindows } = TEST;
const options = parseOptions(
  z.strictObject({
    run: pathOption().optional().describe(`run folder (default: ${homePath(`runs/${dataset.name}-ssnet`)})`),
    weights: pathOption().optional().describe(
      "file of weights instead of a run folder: .safetensors, or a state dict in a .pth of torch's",
    ),
    method: z.enum(METHOD_NAMES).optional().describe(
      "with --weights: the method of the network (default: as the file says, else ssnet)",
    ),
    patch: patchText(dataset).optional().describe(
      `with --weights: the network's input (default: as the file says, else ${dataset.patch.join("x")})`,
    ),
    cases: pathOption().optional().describe("folder of the cases instead of the one that was trained on"),
    split: pathOption().optional().describe(
      "split file whose test cases are evaluated, instead of the training's split",
    ),
    checkpoint: CHECKPOINT,
    norm: z.enum(NORMS).optional().describe(
      "with --weights: behind the network's convolutions (default: as the file says, else batch)",
    ),
    batchNorm: z.enum(STATISTICS).optional().describe(
      "statistics of the batch norms; running: the training's, as published; window: each window's own; recomputed: of " +
        "labeled patches of the training (default: running, recomputed where the training kept these)",
    ),
    ...(dataset.patch.length === 3 ? TEST : withoutWindows),
    precision: z.enum(PRECISIONS).optional().describe("arithmetic; fp32 without it, on a GPU tf32"),
    ...MACHINE,
  }),
  { name: `eval ${dataset.name}`, description: "Evaluate a run on the test cases", args },
);
const place = options.weights ?? runFolderOf(dataset.name, args);

async function evaluate() {
  const misplaced = options.weights
    ? [...options.run ? ["--run"] : [], ...options.checkpoint ? ["--checkpoint"] : []]
    : (["method", "patch", "norm"] as const).filter((name) => options[name]).map((name) => `--${name}`);
  if (misplaced.length) {
    console.error(
      `Cannot start eval ${dataset.name}: ${misplaced.join(" and ")} ${
        options.weights ? "cannot stand beside --weights" : "wants --weights beside it: a run folder says it"
      }`,
    );
    return EXIT.usage;
  }
  const run = options.weights ? await readWeights(options.weights) : await readTestedRun();
  const { config, methodName, profile } = run, { training: { patch, ...training } } = config;
  const split = await readTestSplit(config.split), folder = options.cases ?? training.cases;
  const manifest = await checkCases(split, folder, options.split ?? `${place}/config.json`);
  const read = (name: string) => readTestCase(folder, name, manifest.cases);
  await checkTestCases(split.test, read);
  const { threads, device, precision: wanted = "single" } = options;
  const { binding, precision } = openTensorFlow({ threads, device, precision: wanted });
  const { components: way, ...how } = options, asked = way === "auto" ? undefined : way;
  const loaded = await unlessStopped(() => loadRun(run, { ...how, asPublished: true, components: asked, precision }));
  const { checkpoint, iteration, prefix, statistics: batchNorm, overlap, mirror } = loaded;
  if (prefix) console.log(`names in "${place}": behind "${prefix}"`);
  const { classNames } = profile;
  if (!run.weights && iteration && !isDone(place)) {
    console.error(
      `note: the training of "${place}" has not ended: this is its ${checkpoint} checkpoint, after iteration ` +
        `${iteration}${training.iterations ? ` of ${training.iterations}` : ""}`,
    );
  }
  const tested = way === "auto"
    ? await unlessStopped(() => chooseComponents(loaded, { cases: folder, say: console.log }))
    : loaded;
  const { components, componentsChoice, probabilities } = tested;
  const otherComponents = COMPONENTS.filter((way) => way !== components).map((components) => ({
    components,
    rows: [] as ResultRow[],
  }));
  const kind = evaluationName({
    batchNorm,
    checkpoint,
    components: components === profile.components ? null : components,
    overlap,
    mirror,
    precision,
    split: options.split === undefined ? null : split,
  });
  const target = `${run.weights ? await folderOf(run.weights) : place}/${kind}`;
  const rows: ResultRow[] = [], preparations = new Set<string>(), begun = performance.now();
  const measured: Parameters<typeof correctedSpacings>[0] = [];
  let nominalSpacing = false;
  await replaceFolder(target, async (temporary) => {
    for (const name of split.test) {
      const one = await read(name);
      preparations.add(one.preparation);
      nominalSpacing ||= one.nominalSpacing;
      measured.push({ name, geometry: one.geometry, correctedSpacing: one.correctedSpacing });
      let found!: Uint8Array; // what the network says; the ways to keep components differ in what they leave out of it
      const segment: Segment = async (one) => {
        found = classesOf(await probabilities(one), profile.classes);
        return keptComponents(found, one.shape, components);
      };
      const { prediction, rows: own } = await evaluateCase(one, { segment, classNames });
      for (const other of otherComponents) {
        const mask = keptComponents(found, one.shape, other.components);
        other.rows.push(...scoreCase(mask, one, { classNames, seconds: 0 }));
      }
      const { mask, place } = onSource(prediction, one);
      await writeNiftiMask(`${temporary}/${name}.nii.gz`, mask, place);
      rows.push(...own);
      own.forEach((row) => console.log(rowText(row, { nominal: one.nominalSpacing })));
    }
    const patients = patientValues(rows);
    await writeMetrics(temporary, {
      dataset: dataset.name,
      method: methodName,
      checkpoint: run.weights ?? checkpoint,
      iteration,
      skippedSteps: run.weights ? null : skippedSteps(await readLog(`${place}/metrics.jsonl`), iteration),
      batchNorm,
      precision,
      patch,
      stride: profile.stride && strideOf(profile, { patch, overlap: overlap ?? undefined }),
      overlap,
      mirror,
      components,
      componentsChoice,
      preparations: [...preparations],
      trainingPreparations: run.weights ? [] : trainingPreparations(config.split, manifest.cases),
      nominalSpacing,
      correctedSpacings: correctedSpacings(measured),
      tolerance: SURFACE_TOLERANCE,
      split: {
        source: split.source,
        ...countCases(split),
        patients: patients.length ? countPatients(split) : null,
      },
      cases: folder,
      seconds: (performance.now() - begun) / 1000,
      versions: { deno: Deno.version.deno, tensorflow: binding.TF_Version },
      classes: classNames,
      rows,
      otherComponents,
      summary: summarize(rows),
      patientSummary: patients.length ? summarize(patientRows(rows)) : null,
      patients,
      clinical: clinicalAgreement(patients),
      volumes: volumeAgreement(rows),
    });
  });
  const patients = patientValues(rows);
  printAgreement(patients, nominalSpacing);
  for (const one of correctedSpacings(measured)) console.log(`mm and ml: ${correctedSpacingText(one)}`);
  const { mean, standardDeviation } = summarize(rows).honest.mean.dice;
  const around = standardDeviation === null ? "" : ` ± ${standardDeviation.toFixed(4)}`;
  const over = counted(split.test.length, "case") +
    (patients.length ? ` of ${counted(patients.length, "patient")}` : "");
  console.log(`Dice ${mean!.toFixed(4)}${around} over ${over}, ${target}/metrics.json`);
}

/** Weights without a run folder, with the split that was asked for or that stands beside the cases. */
async function readWeights(path: string): Promise<Run> {
  const { method, patch, norm, cases = homePath(`cases/${dataset.name}`) } = options;
  const split = await readSplit(options.split ?? `${cases}/split.json`, dataset.name);
  return weightsAsRun(path, { dataset, method, patch: patch ? sidesOf(patch) : undefined, norm, split, cases });
}

/** Where the evaluations of a file of weights stand: two files of one name have folders of their own. */
async function folderOf(path: string): Promise<string> {
  const name = basename(path).replace(/\.[^.]+$/, ""), hash = sha256(await Deno.readFile(path)).slice(0, 8);
  return homePath(`evaluations/${dataset.name}-${name}-${hash}`);
}

/** @throws {DataError} When the run is of another dataset. */
async function readTestedRun(): Promise<Run> {
  const run = await readRun(place);
  if (run.dataset.name === dataset.name) return run;
  throw new DataError(
    `Cannot evaluate "${place}" as a run of ${dataset.name}: it is one of ${run.dataset.name}; run deno task ` +
      `eval ${run.dataset.name}`,
  );
}

/** What was done to the cases that the run was trained on, as far as the folder has them. */
function trainingPreparations({ labeled, unlabeled }: Split, cases: Manifest["cases"]): string[] {
  return [...new Set([...labeled, ...unlabeled].flatMap((name) => cases[name]?.preparation ?? []))];
}

/** The split to evaluate. @throws {DataError} When it has no test case, or one that the run was trained on. */
async function readTestSplit(trained: Split): Promise<Split> {
  const isOwn = options.split === undefined || options.weights !== undefined;
  const split = isOwn ? trained : await readSplit(options.split!, dataset.name), { source } = split;
  if (!split.test.length) throw new DataError(`Cannot evaluate: the split (${source}) has no test case`);
  const used = [...trained.labeled, ...trained.unlabeled, ...trained.validation];
  const seen = split.test.filter((name) => used.includes(name));
  if (seen.length) {
    throw new DataError(
      `Cannot test on cases of the training or validation of "${place}": ${listed(seen)} in "${options.split}"`,
    );
  }
  return split;
}

/** Reads all test cases once before anything is computed. @throws {DataError} Naming all that cannot be evaluated. */
async function checkTestCases(names: string[], read: (name: string) => Promise<Case>) {
  // None is kept: all at once might not fit into memory.
  const { problems } = await readEach(names, async (name) => void await read(name));
  if (problems.length) {
    throw new DataError(
      `Cannot evaluate ${problems.length} of ${counted(names.length, "test case")}:\n${problems.join("\n")}`,
    );
  }
}

async function readTestCase(folder: string, name: string, cases: Manifest["cases"]): Promise<Case> {
  const one = await readCase(`${folder}/${name}.h5`, name, { expected: cases[name] });
  if (one.label) return one;
  throw new DataError(`Cannot evaluate "${name}": it has no label; leave it out of the split's test list`);
}

function printAgreement(values: PatientValues[], nominal: boolean) {
  const agreement = clinicalAgreement(values);
  for (const name of agreement ? CLINICAL_NAMES : []) {
    const { unit, bias, limits, meanAbsolute, patients } = agreement![name];
    if (bias === null) continue;
    const words = unit !== "%" && nominal ? `nominal ${unit}` : unit;
    const range = limits ? `, limits of agreement ${limits.map((value) => fixed(value, 1)).join(" to ")}` : "";
    console.log(
      `${name}  bias ${fixed(bias, 1)}${range}, mean absolute error ${fixed(meanAbsolute!, 1)} ${words}, ` +
        counted(patients, "patient"),
    );
  }
}

await runTask(evaluate);
