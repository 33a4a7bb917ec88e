/**
 * `deno task preprocess:la`, `preprocess:acdc`: a dataset's raw files in, cases and `manifest.json` with their fingerprints
 * out. What raw files a dataset has stands in its folder of `pipeline/datasets`. All problems are listed in one table, and
 * then nothing is written.
 */
import { z } from "zod";
import { writeCase } from "../pipeline/records/case.ts";
import { duplicatesIn } from "../pipeline/data/duplicates.ts";
import { messageOf, Notes, type PreparedCase, type Problems } from "../pipeline/datasets/prepared_case.ts";
import { checkRawFolder, leftoversIn, lostLinks } from "../pipeline/datasets/raw_folder.ts";
import type { PreparationOptions } from "../pipeline/datasets/dataset.ts";
import { removeFolder } from "../pipeline/files/atomic.ts";
import { isFolder } from "../pipeline/files/exists.ts";
import { type Lock, whileHeld } from "../pipeline/files/locks.ts";
import { parseDataset, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { homePath } from "../pipeline/files/places.ts";
import { unlessStopped } from "../pipeline/files/signals.ts";
import { counted, listed } from "../pipeline/files/words.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { fingerprintProblems, type Manifest, writeManifest } from "../pipeline/records/manifest.ts";

const { dataset, args } = parseDataset("preprocess", Deno.args), { name: NAME, unit, preparation } = dataset;
const { raw, cases, ...parsed } = parseOptions(
  z.strictObject({
    raw: pathOption().default(homePath(`raw/${NAME}`)).describe(`folder with one folder a ${unit}`),
    cases: pathOption().default(homePath(`cases/${NAME}`)).describe("folder to write"),
    ...preparation.options.shape as z.ZodRawShape,
  }),
  { name: `preprocess:${NAME}`, description: "Check raw volumes and turn them into cases", args },
);
const options = parsed as unknown as PreparationOptions;

async function preprocess() {
  checkRawFolder(raw, preparation.caseFile);
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
    const manifest = await unlessStopped(() => prepareAll(temporary)), names = Object.keys(manifest.cases);
    await writeManifest(temporary, manifest);
    if (lock.lost()) {
      throw new DataError(`Cannot prepare cases in "${folder}": another process has taken the folder over`);
    }
    await Deno.remove(`${folder}/manifest.json`).catch(() => {}); // there may be none
    for (const name of names) await Deno.rename(`${temporary}/${name}.h5`, `${folder}/${name}.h5`);
    for (const made of preparation.exports ?? []) {
      await removeFolder(`${folder}/${made}`); // of other cases
      if (isFolder(`${temporary}/${made}`)) await Deno.rename(`${temporary}/${made}`, `${folder}/${made}`);
    }
    await Deno.rename(`${temporary}/manifest.json`, `${folder}/manifest.json`);
    console.log(`${counted(names.length, "case")} in ${folder}`);
  } finally {
    await removeFolder(temporary).catch(() => {}); // an error above matters, not this one
  }
}

/** A raw name's cases, or all that is wrong with them: what cannot be read is one of them. */
async function prepare(name: string): Promise<PreparedCase[] | Problems> {
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
async function prepareAll(folder: string): Promise<Manifest> {
  const cases: Manifest["cases"] = {}, names = preparation.names(raw), lost = lostLinks(raw);
  const problems = [...lost], notes = new Notes();
  for (const name of names) {
    const result = await prepare(name);
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
  if (problems.length) {
    const width = Math.max(...problems.map(({ name }) => name.length));
    const row = ({ name, problem }: typeof problems[0]) =>
      `  ${name.padEnd(width)}  ${problem.replaceAll(/\s*\n\s*/g, " ")}`;
    const table = problems.map(row).join("\n");
    const bad = new Set(problems.map(({ name }) => name)).size;
    throw new DataError(
      `Cannot prepare ${bad} of ${
        counted(names.length + lost.length, unit)
      } in "${raw}"; nothing was written:\n${table}\n` +
        `Repair these files, or move the ${unit}s out of the folder`,
    );
  }
  for (const { what, names } of duplicatesIn(cases)) {
    console.log(
      `warning: the same ${what}, voxel for voxel: ${listed(names)}; split wants --allow-duplicates for them`,
    );
  }
  return { dataset: NAME, options, cases };
}

await runTask(preprocess);
