/**
 * `deno task eval:la`, `eval:acdc`: a run folder with its cases in, `RUN/evaluation-BATCHNORM/` out: the predicted mask of
 * every test case as NIfTI in the place of the case, and `metrics.json` with Dice, Jaccard, 95HD and ASD under both
 * conventions for empty masks, in voxels and, where the spacing is known, in millimeters; where cases are frames of
 * patients also means by patient, volumes and ejection fractions.
 */
import { z } from "zod";
import { type Case, readCase } from "../pipeline/data/cases.ts";
import { DataError, readEach } from "../pipeline/data/data_error.ts";
import { writeNiftiMask } from "../pipeline/data/nifti.ts";
import { PROFILES } from "../pipeline/data/profiles.ts";
import { checkCases, countCases, countPatients, parseSplit, readSplit, type Split } from "../pipeline/data/splits.ts";
import { evaluateCase, segmenter, strideOf } from "../pipeline/evaluation/evaluate_case.ts";
import {
  CLINICAL_NAMES,
  clinicalAgreement,
  type PatientValues,
  patientValues,
} from "../pipeline/evaluation/clinical.ts";
import { patientRows, type ResultRow, summarize } from "../pipeline/evaluation/summary.ts";
import { METHOD_NAMES, METHODS } from "../pipeline/methods/methods.ts";
import { NETWORKS } from "../pipeline/networks/network.ts";
import { SpecBuilder, toWeights } from "../pipeline/networks/parameters.ts";
import { readCheckpoint } from "../pipeline/runs/checkpoint.ts";
import { replaceFolder, writeJson } from "../pipeline/runs/files.ts";
import { readJson, RUN_CONFIG } from "../pipeline/runs/json.ts";
import { parseOptions, pathOption, runTask } from "../pipeline/runs/options.ts";
import { homePath } from "../pipeline/runs/places.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";

const [dataset, ...args] = Deno.args, published = PROFILES[dataset as keyof typeof PROFILES];
const options = parseOptions(
  z.strictObject({
    run: pathOption().default(homePath(`runs/${dataset}-ssnet`)).describe("run folder"),
    cases: pathOption().optional().describe("folder of the cases instead of the one that was trained on"),
    split: pathOption().optional().describe(
      "split file whose test cases are evaluated, instead of the training's split",
    ),
    checkpoint: z.enum(["last", "best"]).optional().describe(
      "best: by the validation cases of the training; the method's own choice where none is named",
    ),
    batchNorm: z.enum(["running", "window"]).default("running").describe(
      "running: the training's statistics, as published; window: each window's own",
    ),
    components: z.enum(published.patch.length === 3 ? ["largest", "all"] : ["all"]).optional().describe(
      "which connected components of a prediction are kept, instead of the method's own choice",
    ),
    precision: z.enum(["fp32", "bf16"]).default("fp32").describe("arithmetic of convolutions"),
    threads: z.int().positive().default(navigator.hardwareConcurrency).describe("threads of TensorFlow"),
    device: z.enum(["cpu", "gpu"]).default("cpu").describe("where to compute"),
  }),
  { name: `eval:${dataset}`, description: "Evaluate a run on the test cases", args },
);
const CONFIG = z.looseObject({
  dataset: z.literal(published.name),
  method: z.enum(METHOD_NAMES),
  patch: z.string(),
  averaged: z.boolean().default(false),
  cases: z.string(),
  splitContent: z.unknown(),
});

async function evaluate() {
  const config = await readJson(`${options.run}/config.json`, CONFIG, RUN_CONFIG);
  const split = await readTestSplit(config), folder = options.cases ?? config.cases;
  await checkCases(split, folder, options.split ?? `${options.run}/config.json`);
  await checkTestCases(split.test, folder);
  const { binding } = openTensorFlow({ threads: options.threads, device: options.device });
  const { profile } = METHODS[config.method]({ profile: published });
  const { classNames, classes } = profile, usual = config.averaged ? "last" : profile.checkpoint;
  const checkpoint = options.checkpoint ?? usual;
  const spec = NETWORKS[profile.network].spec(new SpecBuilder(), { classes });
  const { state, iteration } = await readCheckpoint(checkpointPath(checkpoint), spec);
  const patch = config.patch.split("x").map(Number); // the training's patch is the network's input
  const { batchNorm, precision } = options;
  const largestComponent = options.components ? options.components === "largest" : profile.largestComponent;
  const segment = segmenter({ ...profile, largestComponent }, toWeights(spec, state), {
    patch,
    statistics: batchNorm,
    precision,
  });
  const unusual = largestComponent === profile.largestComponent ? "" : `-${options.components}`;
  const target = `${options.run}/evaluation-${batchNorm}${checkpoint === "best" ? "-best" : ""}${unusual}`;
  const rows: ResultRow[] = [], preparations = new Set<string>(), begun = performance.now();
  let nominalSpacing = false;
  await replaceFolder(target, async (temporary) => {
    for (const name of split.test) {
      const one = await readTestCase(folder, name);
      preparations.add(one.preparation);
      nominalSpacing ||= one.nominalSpacing;
      const { prediction, rows: own } = await evaluateCase(one, { segment, classNames });
      await writeNiftiMask(`${temporary}/${name}.nii.gz`, prediction, one);
      rows.push(...own);
      own.forEach((row) => printRow(row, one.nominalSpacing));
    }
    const patients = patientValues(rows);
    await writeJson(`${temporary}/metrics.json`, {
      dataset,
      method: config.method,
      checkpoint,
      iteration,
      batchNorm,
      precision,
      patch,
      stride: profile.stride && strideOf(profile, patch),
      largestComponent,
      preparations: [...preparations],
      nominalSpacing,
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
      summary: summarize(rows),
      patientSummary: patients.length ? summarize(patientRows(rows)) : null,
      patients,
      clinical: clinicalAgreement(patients),
    });
  });
  const patients = patientValues(rows);
  printAgreement(patients, nominalSpacing);
  const { mean, deviation } = summarize(rows).honest.mean.dice;
  const around = deviation === null ? "" : ` ± ${deviation.toFixed(4)}`;
  const over = `${split.test.length} cases${patients.length ? ` of ${patients.length} patients` : ""}`;
  console.log(`Dice ${mean!.toFixed(4)}${around} over ${over}, ${target}/metrics.json`);
}

function checkpointPath(checkpoint: "last" | "best"): string {
  const path = `${options.run}/${checkpoint}.safetensors`;
  try {
    Deno.statSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const why = checkpoint === "best"
      ? "it comes with a validation above Dice 0; --checkpoint last takes the last one"
      : "train first";
    throw new DataError(`Cannot evaluate "${options.run}": it has no ${checkpoint}.safetensors; ${why}`);
  }
  return path;
}

/** The split to evaluate. @throws {DataError} When it has no test case, or one that the run was trained on. */
async function readTestSplit(config: z.infer<typeof CONFIG>): Promise<Split> {
  const trained = parseSplit(config.splitContent, `${options.run}/config.json`);
  const split = options.split === undefined ? trained : await readSplit(options.split), { source } = split;
  if (!split.test.length) throw new DataError(`Cannot evaluate: the split (${source}) has no test case`);
  const used = [...trained.labeled, ...trained.unlabeled, ...trained.validation];
  const seen = split.test.filter((name) => used.includes(name));
  if (seen.length) {
    throw new DataError(
      `Cannot test on cases of the training or validation of "${options.run}": ${
        seen.join(", ")
      } in "${options.split}"`,
    );
  }
  return split;
}

/** Reads all test cases once before anything is computed. @throws {DataError} Naming all that cannot be evaluated. */
async function checkTestCases(names: string[], folder: string) {
  // None is kept: all at once might not fit into memory.
  const { problems } = await readEach(names, async (name) => void await readTestCase(folder, name));
  if (problems.length) {
    throw new DataError(`Cannot evaluate ${problems.length} of ${names.length} test cases:\n${problems.join("\n")}`);
  }
}

async function readTestCase(folder: string, name: string): Promise<Case> {
  const one = await readCase(`${folder}/${name}.h5`, name);
  if (one.label) return one;
  throw new DataError(`Cannot evaluate "${name}": it has no label; leave it out of the split's test list`);
}

function printRow({ case: name, class: className, honest, millimeters, seconds }: ResultRow, nominal: boolean) {
  const told = (value: number | null, unit: string) => value === null ? "none" : `${value.toFixed(2)} ${unit}`;
  const distance = (metric: "hd95" | "asd") =>
    told(honest[metric], "voxels") +
    (millimeters ? ` (${told(millimeters[metric], nominal ? "nominal mm" : "mm")})` : "");
  console.log(
    `${name}  ${className}  Dice ${honest.dice!.toFixed(4)}  Jaccard ${honest.jaccard!.toFixed(4)}  ` +
      `95HD ${distance("hd95")}  ASD ${distance("asd")}  ${seconds.toFixed(1)} s`,
  );
}

function printAgreement(values: PatientValues[], nominal: boolean) {
  const agreement = clinicalAgreement(values);
  for (const name of agreement ? CLINICAL_NAMES : []) {
    const { unit, bias, limits, meanAbsolute, patients } = agreement![name];
    if (bias === null) continue;
    const words = unit !== "%" && nominal ? `nominal ${unit}` : unit;
    const range = limits ? `, limits of agreement ${limits.map((value) => value.toFixed(1)).join(" to ")}` : "";
    console.log(
      `${name}  bias ${bias.toFixed(1)}${range}, mean absolute error ${
        meanAbsolute!.toFixed(1)
      } ${words}, ${patients} patients`,
    );
  }
}

await runTask(evaluate);
