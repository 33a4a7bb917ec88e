/**
 * `deno task preprocess:la`, `preprocess:acdc`: raw volumes in, cases and `manifest.json` with their fingerprints out. LA:
 * `CASE/mri_norm2.h5` as published, or `CASE/lgemri.nrrd` with `laendo.nrrd` where there is one. ACDC: patients as the
 * challenge gives them, or `data/*.h5` as published; beside the cases `slices` in the field's format, of labeled ones. All
 * problems are listed in one table, and then nothing is written.
 */
import { z } from "zod";
import { cinePatients, prepareCine, writeSlices } from "../pipeline/data/cardiac_cine.ts";
import { DataError, fingerprintProblems, type Manifest, writeCase } from "../pipeline/data/cases.ts";
import { duplicatesIn } from "../pipeline/data/duplicates.ts";
import { type LeftAtriumOptions, prepareLeftAtrium } from "../pipeline/data/left_atria.ts";
import { messageOf, Notes, type PreparedCase, type Problems } from "../pipeline/data/prepared_case.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { checkRawFolder, foldersIn, leftoversIn, lostLinks } from "../pipeline/data/raw_folder.ts";
import { removeFolder, writeJson } from "../pipeline/runs/files.ts";
import { holderText, type Lock, takeLock } from "../pipeline/runs/locks.ts";
import { parseDataset, parseOptions, pathOption, runTask } from "../pipeline/runs/options.ts";
import { homePath } from "../pipeline/runs/places.ts";
import { unlessStopped } from "../pipeline/runs/signals.ts";
import { counted, listed } from "../pipeline/runs/words.ts";

const { dataset, args } = parseDataset(Deno.args);
const about = { name: `preprocess:${dataset}`, description: "Check raw volumes and turn them into cases", args };
const folders = {
  raw: pathOption().default(homePath(`raw/${dataset}`)).describe("folder with one folder a case, or a patient"),
  cases: pathOption().default(homePath(`cases/${dataset}`)).describe("folder to write"),
};

const nominalSpacing = z.boolean().default(false).describe(
  "the spacing is a usual one, not the scanner's: results mark mm and ml as nominal",
);

function readSpacing(text: string, { addIssue }: z.RefinementCtx): LeftAtriumOptions["spacing"] {
  if (text === "known" || text === "header") return text;
  if (!(Number(text) > 0 && Number(text) < Infinity)) addIssue(`known, header or millimeters wanted, found "${text}"`);
  return Number(text);
}

/** What differs between the datasets: options that change the result, and the way from a raw name to its cases. */
interface Preparation {
  raw: string;
  cases: string;
  options: Manifest["options"];
  /** Matches the names of files by which the folder of a case is known. */
  caseFile: RegExp;
  names(): string[];
  prepare(name: string): Promise<PreparedCase[] | Problems>;
}

function leftAtria(): Preparation {
  const { raw, cases, ...options } = parseOptions(
    z.strictObject({
      ...folders,
      crop: z.enum(["published", "foreground", "none"]).default("published").describe(
        "of NRRD volumes. published: by the label, as the field does, whole without one; foreground: to what is brighter " +
          "than the dark around it, for all alike; none: whole volumes. HDF5 is taken as it is",
      ),
      seed: z.int().nonnegative().default(1337).describe("seed of the crop's random widening"),
      spacing: z.string().default("known").transform(readSpacing).describe(
        `mm between voxels, for distances and volumes: a number; header: what the files say; known: ${LA.knownSpacing} ` +
          "where they say exactly 1",
      ),
      nominalSpacing,
    }),
    about,
  );
  const caseFile = /^(mri_norm2\.h5|lgemri\.nrrd)$/, names = () => foldersIn(raw);
  const prepare = async (name: string) => {
    const result = await prepareLeftAtrium(raw, name, options);
    return "problems" in result ? result : [result];
  };
  return { raw, cases, options, caseFile, names, prepare };
}

function cardiacCine(): Preparation {
  const { raw, cases, ...options } = parseOptions(
    z.strictObject({
      ...folders,
      nominalSpacing,
    }),
    about,
  );
  const caseFile = /^info\.cfg$|_frame\d+.*\.(nii|hdr|h5)(\.gz)?$/i;
  const names = () => cinePatients(raw), prepare = (name: string) => prepareCine(raw, name, options);
  return { raw, cases, options, caseFile, names, prepare };
}

const task = { la: leftAtria, acdc: cardiacCine }[dataset]();

async function preprocess() {
  const { raw, cases, caseFile } = task;
  checkRawFolder(raw, caseFile);
  const isNew = !exists(cases);
  await Deno.mkdir(cases, { recursive: true });
  const taken = await takeLock(cases);
  if ("holder" in taken) {
    const holder = holderText(taken.holder);
    throw new DataError(
      `Cannot prepare cases in "${cases}": it is taken by ${holder}; wait for its end, or name another folder with --cases`,
    );
  }
  try {
    await using lock = taken.lock;
    await fill(cases, lock);
  } finally {
    await Deno.remove(taken.lock.path).catch(() => {}); // who takes the next lock may have removed it
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
    const manifest = await unlessStopped(prepareAll(temporary)), names = Object.keys(manifest.cases);
    await writeJson(`${temporary}/manifest.json`, manifest);
    if (lock.lost()) {
      throw new DataError(`Cannot prepare cases in "${folder}": another process has taken the folder over`);
    }
    await Deno.remove(`${folder}/manifest.json`).catch(() => {}); // there may be none
    for (const name of names) await Deno.rename(`${temporary}/${name}.h5`, `${folder}/${name}.h5`);
    if (exists(`${temporary}/slices`)) {
      await removeFolder(`${folder}/slices`);
      await Deno.rename(`${temporary}/slices`, `${folder}/slices`);
    }
    await Deno.rename(`${temporary}/manifest.json`, `${folder}/manifest.json`);
    console.log(`${counted(names.length, "case")} in ${folder}`);
  } finally {
    await removeFolder(temporary).catch(() => {}); // an error above matters, not this one
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A raw name's cases, or all that is wrong with them: what cannot be read is one of them. */
async function prepare(name: string): Promise<PreparedCase[] | Problems> {
  try {
    const result = await task.prepare(name);
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
async function prepareAll(folder: string): Promise<Manifest> {
  const cases: Manifest["cases"] = {}, names = task.names(), lost = lostLinks(task.raw);
  const problems = [...lost], notes = new Notes();
  if (dataset === "acdc") await Deno.mkdir(`${folder}/slices`);
  for (const name of names) {
    const result = await prepare(name);
    notes.add(name, leftoversIn(`${task.raw}/${name}`).map((left) => `left out: ${left}`));
    if ("problems" in result) {
      problems.push(...result.problems.map((problem) => ({ name, problem })));
      notes.add(name, result.notes);
      continue;
    }
    for (const { prepared, fingerprint, ...rest } of result) {
      cases[prepared.name] = fingerprint;
      notes.add(prepared.name, rest.notes);
      if (problems.length) continue; // nothing will be kept
      const { name, shape, label, preparation } = prepared;
      await writeCase(`${folder}/${name}.h5`, prepared, fingerprint.sources[0]);
      if (dataset === "acdc" && label) await writeSlices(`${folder}/slices`, { ...prepared, label });
      console.log(`${name}  [${shape}]  ${label ? "labeled" : "without a label"}  ${preparation}`);
    }
  }
  const leftovers = leftoversIn(task.raw);
  if (leftovers.length) console.log(`note: left out of "${task.raw}": ${listed(leftovers)}`);
  for (const line of notes.lines()) console.log(line);
  if (problems.length) {
    const width = Math.max(...problems.map(({ name }) => name.length));
    const table = problems.map(({ name, problem }) => `  ${name.padEnd(width)}  ${problem}`).join("\n");
    const bad = new Set(problems.map(({ name }) => name)).size, unit = dataset === "acdc" ? "patients" : "cases";
    throw new DataError(
      `Cannot prepare ${bad} of ${
        names.length + lost.length
      } ${unit} in "${task.raw}"; nothing was written:\n${table}\n` +
        `Repair these files, or move the ${unit} out of the folder`,
    );
  }
  for (const { what, names } of duplicatesIn(cases)) {
    console.log(
      `warning: the same ${what}, voxel for voxel: ${listed(names)}; split wants --allow-duplicates for them`,
    );
  }
  return { dataset, options: task.options, cases };
}

await runTask(preprocess);
