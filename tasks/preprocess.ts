/**
 * `deno task preprocess:la`: raw LA volumes in (`CASE/mri_norm2.h5` as published, or `CASE/lgemri.nrrd` with
 * `laendo.nrrd` where there is one), cases and `manifest.json` with their fingerprints out. All problems are listed in one
 * table, and then nothing is written.
 */
import { z } from "zod";
import { DataError, type Manifest, writeCase } from "../pipeline/data/cases.ts";
import { prepareLeftAtrium } from "../pipeline/data/left_atria.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { removeFolder, writeJson } from "../pipeline/runs/files.ts";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";

const options = parseOptions(
  z.strictObject({
    raw: z.string().default("data/raw/la").describe("folder with one folder a case"),
    cases: z.string().default("data/cases/la").describe("folder to write"),
    crop: z.enum(["published", "none"]).default("published").describe(
      "of NRRD volumes. published: by the label, as the field does; none: whole volumes. HDF5 is taken as it is",
    ),
    seed: z.int().nonnegative().default(1337).describe("seed of the crop's random widening"),
  }),
  { name: "preprocess:la", description: "Check raw left atria and turn them into cases", args: Deno.args },
);

async function preprocess() {
  if (!exists(options.raw)) throw new DataError(`Cannot find cases: there is no folder "${options.raw}"`);
  const names = [...Deno.readDirSync(options.raw)].filter((f) => f.isDirectory).map((f) => f.name).sort();
  if (!names.length) throw new DataError(`Cannot find cases in "${options.raw}": it has no folders`);
  // Written here and moved when all cases are good: one pass, one case in memory, nothing half-written.
  const temporary = `${options.cases}/.part`, isNew = !exists(options.cases);
  await removeFolder(temporary); // left by a run that was killed
  await Deno.mkdir(temporary, { recursive: true });
  try {
    const manifest = await prepareAll(names, temporary);
    await writeJson(`${temporary}/manifest.json`, manifest);
    await Deno.remove(`${options.cases}/manifest.json`).catch(() => {}); // there may be none
    for (const name of names) await Deno.rename(`${temporary}/${name}.h5`, `${options.cases}/${name}.h5`);
    await Deno.rename(`${temporary}/manifest.json`, `${options.cases}/manifest.json`);
  } catch (error) {
    await removeFolder(isNew ? options.cases : temporary).catch(() => {}); // the error above matters, not this one
    throw error;
  }
  await removeFolder(temporary);
  console.log(`${names.length} cases in ${options.cases}`);
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
  const { crop, seed } = options;
  const cases: Manifest["cases"] = {}, problems: { name: string; problem: string }[] = [];
  for (const name of names) {
    const result = await prepareLeftAtrium(options.raw, name, { crop, seed });
    if ("problems" in result) {
      problems.push(...result.problems.map((problem) => ({ name, problem })));
      continue;
    }
    const { prepared, fingerprint } = result;
    cases[name] = fingerprint;
    if (problems.length) continue; // nothing will be kept
    await writeCase(`${folder}/${name}.h5`, prepared, fingerprint.sources[0]);
    console.log(
      `${name}  [${prepared.shape}]  ${prepared.label ? "labeled" : "without a label"}  ${prepared.preparation}`,
    );
  }
  if (problems.length) {
    const width = Math.max(...problems.map(({ name }) => name.length));
    const table = problems.map(({ name, problem }) => `  ${name.padEnd(width)}  ${problem}`).join("\n");
    const bad = new Set(problems.map(({ name }) => name)).size;
    throw new DataError(
      `Cannot prepare ${bad} of ${names.length} cases in "${options.raw}"; nothing was written:\n${table}\n` +
        `Repair these files, or move the cases out of the folder`,
    );
  }
  return { dataset: LA.name, options: { crop, seed }, cases };
}

await runTask(preprocess);
