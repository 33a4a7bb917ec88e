/**
 * `deno task preprocess:la`, `preprocess:acdc`: raw volumes in, cases and `manifest.json` with their fingerprints out. LA:
 * `CASE/mri_norm2.h5` as published, or `CASE/lgemri.nrrd` with `laendo.nrrd` where there is one. ACDC: patients as the
 * challenge gives them, or `data/*.h5` as published; beside the cases `slices` in the field's format, of labeled ones. All
 * problems are listed in one table, and then nothing is written.
 */
import { z } from "zod";
import { cinePatients, prepareCine, writeSlices } from "../pipeline/data/cardiac_cine.ts";
import { DataError, type Manifest, writeCase } from "../pipeline/data/cases.ts";
import { prepareLeftAtrium } from "../pipeline/data/left_atria.ts";
import type { PreparedCase, Problems } from "../pipeline/data/prepared_case.ts";
import { removeFolder, writeJson } from "../pipeline/runs/files.ts";
import { parseDataset, parseOptions, runTask } from "../pipeline/runs/options.ts";
import { unlessStopped } from "../pipeline/runs/signals.ts";
import { counted } from "../pipeline/runs/words.ts";

const { dataset, args } = parseDataset(Deno.args);
const about = { name: `preprocess:${dataset}`, description: "Check raw volumes and turn them into cases", args };
const folders = {
  raw: z.string().default(`data/raw/${dataset}`).describe("folder with one folder a case, or a patient"),
  cases: z.string().default(`data/cases/${dataset}`).describe("folder to write"),
};

/** What differs between the datasets: options that change the result, and the way from a raw name to its cases. */
interface Preparation {
  raw: string;
  cases: string;
  options: Manifest["options"];
  names(): string[];
  prepare(name: string): Promise<PreparedCase[] | Problems>;
}

function leftAtria(): Preparation {
  const { raw, cases, ...options } = parseOptions(
    z.strictObject({
      ...folders,
      crop: z.enum(["published", "none"]).default("published").describe(
        "of NRRD volumes. published: by the label, as the field does; none: whole volumes. HDF5 is taken as it is",
      ),
      seed: z.int().nonnegative().default(1337).describe("seed of the crop's random widening"),
    }),
    about,
  );
  const names = () => [...Deno.readDirSync(raw)].filter((f) => f.isDirectory).map((f) => f.name).sort();
  const prepare = async (name: string) => {
    const result = await prepareLeftAtrium(raw, name, options);
    return "problems" in result ? result : [result];
  };
  return { raw, cases, options, names, prepare };
}

function cardiacCine(): Preparation {
  const { raw, cases, ...options } = parseOptions(
    z.strictObject({
      ...folders,
      nominalSpacing: z.boolean().default(false).describe(
        "the spacing in the NIfTI files is a usual one, not the scanner's: results mark mm and ml as nominal",
      ),
    }),
    about,
  );
  const names = () => cinePatients(raw), prepare = (name: string) => prepareCine(raw, name, options);
  return { raw, cases, options, names, prepare };
}

const task = { la: leftAtria, acdc: cardiacCine }[dataset]();

async function preprocess() {
  const { raw, cases } = task;
  if (!exists(raw)) throw new DataError(`Cannot find cases: there is no folder "${raw}"`);
  const names = task.names();
  if (!names.length) throw new DataError(`Cannot find cases in "${raw}": it has no folders`);
  // Written here and moved when all cases are good: one pass, one case in memory, nothing half-written.
  const temporary = `${cases}/.part`, isNew = !exists(cases);
  await removeFolder(temporary); // left by a run that was killed
  await Deno.mkdir(temporary, { recursive: true });
  try {
    const manifest = await unlessStopped(() => prepareAll(names, temporary));
    await writeJson(`${temporary}/manifest.json`, manifest);
    await Deno.remove(`${cases}/manifest.json`).catch(() => {}); // there may be none
    for (const name of Object.keys(manifest.cases)) await Deno.rename(`${temporary}/${name}.h5`, `${cases}/${name}.h5`);
    if (exists(`${temporary}/slices`)) {
      await removeFolder(`${cases}/slices`);
      await Deno.rename(`${temporary}/slices`, `${cases}/slices`);
    }
    await Deno.rename(`${temporary}/manifest.json`, `${cases}/manifest.json`);
    console.log(`${counted(Object.keys(manifest.cases).length, "case")} in ${cases}`);
  } catch (error) {
    await removeFolder(isNew ? cases : temporary).catch(() => {}); // the error above matters, not this one
    throw error;
  }
  await removeFolder(temporary);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes all cases to a folder. @throws {DataError} With a table of all problems of all cases. */
async function prepareAll(names: string[], folder: string): Promise<Manifest> {
  const cases: Manifest["cases"] = {}, problems: { name: string; problem: string }[] = [];
  if (dataset === "acdc") await Deno.mkdir(`${folder}/slices`);
  for (const name of names) {
    const result = await task.prepare(name);
    if ("problems" in result) {
      problems.push(...result.problems.map((problem) => ({ name, problem })));
      continue;
    }
    for (const { prepared, fingerprint } of result) {
      cases[prepared.name] = fingerprint;
      if (problems.length) continue; // nothing will be kept
      const { name, shape, label, preparation } = prepared;
      await writeCase(`${folder}/${name}.h5`, prepared, fingerprint.sources[0]);
      if (dataset === "acdc" && label) await writeSlices(`${folder}/slices`, { ...prepared, label });
      console.log(`${name}  [${shape}]  ${label ? "labeled" : "without a label"}  ${preparation}`);
    }
  }
  if (problems.length) {
    const width = Math.max(...problems.map(({ name }) => name.length));
    const table = problems.map(({ name, problem }) => `  ${name.padEnd(width)}  ${problem}`).join("\n");
    const bad = new Set(problems.map(({ name }) => name)).size, unit = dataset === "acdc" ? "patients" : "cases";
    throw new DataError(
      `Cannot prepare ${bad} of ${names.length} ${unit} in "${task.raw}"; nothing was written:\n${table}\n` +
        `Repair these files, or move the ${unit} out of the folder`,
    );
  }
  return { dataset, options: task.options, cases };
}

await runTask(preprocess);
