/**
 * `deno task preprocess DATASET`: a dataset's raw files in, cases and `manifest.json` with their fingerprints out. What raw
 * files a dataset has stands in its folder of `pipeline/datasets`; of one's own the folder says it, and `plan.json` beside
 * the cases how they are made: proposed where there is none, else as it stands. All problems are listed in one table, and
 * then nothing is written.
 */
import { z } from "zod";
import { writeCase } from "../pipeline/records/case.ts";
import { duplicatesIn } from "../pipeline/data/duplicates.ts";
import {
  messageOf,
  Notes,
  preparationError,
  type PreparedCase,
  type Problems,
} from "../pipeline/datasets/prepared_case.ts";
import { leftoversIn, lostLinks } from "../pipeline/datasets/raw_folder.ts";
import type { Dataset, PreparationOptions } from "../pipeline/datasets/dataset.ts";
import { DATASETS, unknownDataset } from "../pipeline/datasets/datasets.ts";
import { checkClassesLeft, manifestOptions, ownDataset } from "../pipeline/datasets/own/own.ts";
import { planDataset, planLines, type Training } from "../pipeline/datasets/own/plan.ts";
import { removeFolder } from "../pipeline/files/atomic.ts";
import { isFolder } from "../pipeline/files/exists.ts";
import { type Lock, whileHeld } from "../pipeline/files/locks.ts";
import { parseName, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { homePath } from "../pipeline/files/places.ts";
import { unlessStopped } from "../pipeline/files/signals.ts";
import { counted, listed } from "../pipeline/files/words.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { COSTS, planCosts } from "../pipeline/grid/costs.ts";
import { readSteps } from "../pipeline/records/measurement.ts";
import { readPlanIfThere, writePlan } from "../pipeline/records/plan.ts";
import { fingerprintProblems, type Manifest, writeManifest } from "../pipeline/records/manifest.ts";

const { name: NAME, args } = parseName("preprocess", Deno.args);
const builtIn = Object.hasOwn(DATASETS, NAME) ? DATASETS[NAME] : null;
/** The options of a plan that is proposed. */
const WISHES = {
  network: z.enum(["vnet", "unet"]).optional().describe(
    "vnet: volumes; unet: slices (default: volumes where the median case has 16 voxels or more along every axis)",
  ),
  memory: z.number().positive().optional().describe("GB that a training may take (default: 8)"),
};
const { raw, cases, ...given } = parseOptions(
  z.strictObject({
    raw: pathOption().default(homePath(`raw/${NAME}`)).describe(
      builtIn ? `folder with one folder a ${builtIn.unit}` : "folder with imagesTr, labelsTr and dataset.json",
    ),
    cases: pathOption().default(homePath(`cases/${NAME}`)).describe("folder to write"),
    ...builtIn ? builtIn.preparation.options.shape as z.ZodRawShape : WISHES,
  }),
  { name: `preprocess ${NAME}`, description: "Check raw volumes and turn them into cases", args },
);

/** The dataset with the options of its preparation; of one's own the plan is read, or proposed, and told. */
async function datasetToPrepare(): Promise<Found> {
  if (builtIn) return { dataset: builtIn, options: given as unknown as PreparationOptions };
  const stored = await readPlanIfThere(cases, NAME), { network, memory = 8 } = given as Wished;
  if (stored && Object.values(given).some((value) => value !== undefined)) {
    throw new DataError(
      `Cannot propose a plan by --network or --memory: "${cases}/plan.json" is there and counts; edit it, or remove it`,
    );
  }
  const steps = await readSteps(COSTS), costs = (training: Training) => planCosts(steps, training);
  const wishes = { network, memory, memoryOf: (training: Training) => costs(training).memoryGb };
  const { plan, notes } = await planDataset(raw, NAME, { stored, wishes });
  for (const note of notes) console.log(`note: ${note}`);
  for (const line of planLines(plan, costs(plan))) console.log(line);
  return { dataset: ownDataset(plan), options: manifestOptions(plan) };
}
type Wished = z.infer<z.ZodObject<typeof WISHES>>;
interface Found {
  dataset: Dataset;
  options: PreparationOptions;
}

async function preprocess() {
  if (!builtIn && !isFolder(raw)) throw new DataError(`Cannot start: ${unknownDataset(NAME, raw)}`);
  const isNew = !isFolder(cases);
  await Deno.mkdir(cases, { recursive: true });
  try {
    const told = { cannot: "prepare cases in", instead: "name another folder with --cases" };
    await whileHeld(cases, told, (lock) => fill(cases, lock));
  } finally {
    if (isNew) await Deno.remove(cases).catch(() => {}); // where nothing came of it: it is empty
  }
}

/** Prepares all cases beside those that the folder has, and moves them when all are good: nothing is half-written. */
async function fill(folder: string, lock: Lock) {
  for (const { name } of Deno.readDirSync(folder)) {
    if (/^\.(\d+\.)?part$/.test(name)) await removeFolder(`${folder}/${name}`); // left by a process that was killed
  }
  const temporary = `${folder}/.${Deno.pid}.part`;
  await Deno.mkdir(temporary);
  try {
    const { dataset, manifest } = await unlessStopped(async () => {
      const found = await datasetToPrepare();
      return { ...found, manifest: await prepareAll(temporary, found) };
    });
    const names = Object.keys(manifest.cases), { plan, preparation } = dataset;
    await writeManifest(temporary, manifest);
    if (plan) await writePlan(temporary, plan);
    if (lock.lost()) {
      throw new DataError(`Cannot prepare cases in "${folder}": another process has taken the folder over`);
    }
    await Deno.remove(`${folder}/manifest.json`).catch(() => {}); // there may be none
    for (const name of names) await Deno.rename(`${temporary}/${name}.h5`, `${folder}/${name}.h5`);
    for (const made of preparation.exports ?? []) {
      await removeFolder(`${folder}/${made}`); // of other cases
      if (isFolder(`${temporary}/${made}`)) await Deno.rename(`${temporary}/${made}`, `${folder}/${made}`);
    }
    if (plan) await Deno.rename(`${temporary}/plan.json`, `${folder}/plan.json`);
    await Deno.rename(`${temporary}/manifest.json`, `${folder}/manifest.json`);
    console.log(`${counted(names.length, "case")} in ${folder}`);
  } finally {
    await removeFolder(temporary).catch(() => {}); // an error above matters, not this one
  }
}

/** A raw name's cases, or all that is wrong with them: what cannot be read is one of them. */
async function prepare(
  name: string,
  { dataset: { preparation }, options }: Found,
): Promise<PreparedCase[] | Problems> {
  try {
    const result = await preparation.prepare(raw, name, options);
    if ("problems" in result) return result;
    const problems = result.flatMap(({ prepared, fingerprint }) =>
      fingerprintProblems(fingerprint).map((problem) => `${prepared.name}: ${problem}`)
    );
    return problems.length ? { problems, notes: result.flatMap(({ notes = [] }) => notes) } : result;
  } catch (error) {
    return { problems: [messageOf(error)] };
  }
}

/** Writes all cases to a folder. @throws {DataError} With a table of all problems of all cases. */
async function prepareAll(folder: string, found: Found): Promise<Manifest> {
  const { dataset: { preparation, plan, ...dataset }, options } = found, unit = plan ? "case" : dataset.unit;
  const cases: Manifest["cases"] = {}, names = await preparation.names(raw), lost = lostLinks(raw);
  const problems = [...lost], notes = new Notes();
  for (const name of names) {
    const result = await prepare(name, found);
    notes.add(name, leftoversIn(`${raw}/${name}`).map((left) => `left out: ${left}`));
    if ("problems" in result) {
      problems.push(...result.problems.map((problem) => ({ name, problem })));
      notes.add(name, result.notes);
      continue;
    }
    for (const { prepared, fingerprint, ...rest } of result) {
      cases[prepared.name] = fingerprint;
      notes.add(prepared.name, rest.notes);
      if (problems.length) continue; // nothing will be kept
      const { name, shape, label } = prepared;
      await writeCase(`${folder}/${name}.h5`, prepared, fingerprint.sources[0]);
      await preparation.exportCase?.(folder, prepared, options);
      console.log(`${name}  [${shape}]  ${label ? "labeled" : "without a label"}  ${prepared.preparation}`);
    }
  }
  const leftovers = leftoversIn(raw);
  if (leftovers.length) console.log(`note: left out of "${raw}": ${listed(leftovers)}`);
  for (const line of notes.lines()) console.log(line);
  if (problems.length) throw preparationError(problems, { raw, count: names.length + lost.length, unit });
  if (plan) checkClassesLeft(plan, cases);
  for (const { what, names } of duplicatesIn(cases)) {
    console.log(
      `warning: the same ${what}, voxel for voxel: ${listed(names)}; split refuses to train on one and test another`,
    );
  }
  return { dataset: NAME, options, cases };
}

await runTask(preprocess);
