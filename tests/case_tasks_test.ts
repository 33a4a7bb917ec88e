/** The tasks preprocess:la, split:la and eval:la as a user runs them, on small phantoms and an untrained network. */
import assert from "node:assert/strict";
import { readCase, writeCase } from "../pipeline/records/case.ts";
import { type HdfAttribute, writeArrays } from "../pipeline/files/hdf5.ts";
import { readNifti } from "../pipeline/files/nifti.ts";
import { Notes } from "../pipeline/datasets/prepared_case.ts";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { writeCheckpoint } from "../pipeline/training/checkpoint.ts";
import { sidesOf } from "../pipeline/arrays/shape.ts";
import { writeJson } from "../pipeline/files/atomic.ts";
import { takeLock } from "../pipeline/files/locks.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { startState } from "../pipeline/training/training_step.ts";
import { linkTo } from "./symbolic_links.ts";
import { loseNetwork } from "./lost_network.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";
import { writeRunConfig } from "../pipeline/records/run.ts";
import { writeSplit } from "../pipeline/records/split.ts";
import { runConfig } from "./run_config.ts";
import { type Fingerprint, readManifest, writeManifest } from "../pipeline/records/manifest.ts";
import { readMetrics, type ResultRow } from "../pipeline/records/evaluation.ts";
import { readChosenComponents } from "../pipeline/records/components.ts";
import { readPredictionIfThere } from "../pipeline/records/prediction.ts";
import { readScores } from "../pipeline/records/score.ts";

const SHAPE = [20, 36, 34] as const; // along X smaller than the patch
const PATCH = "32x32x32";

async function rawCase(
  raw: string,
  name: string,
  { label: hasLabel = true, attributes = {} }: { label?: boolean; attributes?: Record<string, HdfAttribute> } = {},
) {
  const { image, label } = phantom(5, name, SHAPE), shape = [...SHAPE];
  await Deno.mkdir(`${raw}/${name}`, { recursive: true });
  const arrays = { image: { data: image, shape }, ...(hasLabel && { label: { data: label, shape } }) };
  await writeArrays(`${raw}/${name}/mri_norm2.h5`, arrays, attributes);
}

/** Runs a task that may write to the folder. */
const task = (folder: string, name: string, args: string[]) =>
  runTaskFile(name, args, { rights: ["--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${folder}`] });
const filesOf = (folder: string) => [...Deno.readDirSync(folder)].map((f) => f.name).sort();

Deno.test("a note of several cases is said once, with their number and three names", () => {
  const notes = new Notes();
  for (const name of ["a", "b", "b", "c", "d"]) notes.add(name, ["no unit: taken as mm"]);
  notes.add("b", ["no placement"]);
  notes.add("e");
  assert.deepEqual(notes.lines(), [
    "note: no unit: taken as mm (4 cases: a, b, c, …)",
    "note: no placement (1 case: b)",
  ]);
});

Deno.test("preprocess:la lists all bad cases in one table, with code 3, and leaves the folder as it was", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, cases = `${folder}/cases`;
    await rawCase(raw, "a");
    await rawCase(raw, "b", { label: false });
    const run = () => task(folder, "preprocess", ["la", "--raw", raw, "--cases", cases]);
    assert.equal((await run()).code, 0);
    assert.deepEqual(filesOf(cases), ["a.h5", "b.h5", "manifest.json"]);
    const before = await readManifest(cases);
    assert.deepEqual(Object.keys(before.cases), ["a", "b"]);
    await Deno.mkdir(`${raw}/empty`);
    await Deno.mkdir(`${raw}/text`);
    await Deno.writeTextFile(`${raw}/text/mri_norm2.h5`, "no HDF5");
    await rawCase(raw, "z");
    const { code, error } = await run();
    assert.equal(code, 3);
    assert.match(error, /Cannot prepare 2 of 5 cases .*nothing was written/);
    assert.match(error, /empty +mri_norm2.h5 or lgemri.nrrd wanted, found nothing\n +text +Cannot read .*as HDF5/);
    assert.deepEqual(filesOf(cases), ["a.h5", "b.h5", "manifest.json"]);
    assert.equal((await readManifest(cases)).sha256, before.sha256);
    const elsewhere = await task(folder, "preprocess", ["la", "--raw", raw, "--cases", `${folder}/new`]);
    assert.equal(elsewhere.code, 3);
    assert.deepEqual(filesOf(folder), ["cases", "raw"]);
    const outside = await task(`${folder}/cases`, "preprocess", ["la", "--raw", raw, "--cases", `${folder}/new`]);
    assert.equal(outside.code, 2, "no right to write there is a usage error");
    assert.match(outside.error, /--allow-write/);
  }));

Deno.test("preprocess:la puts a file that cannot be read and a link to nothing into its table, beside what else is wrong", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, cases = `${folder}/cases`;
    await rawCase(raw, "good");
    await rawCase(raw, "d", {
      attributes: { spacing: [1, NaN, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
    });
    await Deno.mkdir(`${raw}/a/lgemri.nrrd`, { recursive: true });
    await Deno.mkdir(`${raw}/c`);
    await linkTo({ [`${raw}/b`]: "../gone", [`${raw}/c/lgemri.nrrd`]: "gone.nrrd" });
    const { code, error } = await task(folder, "preprocess", ["la", "--raw", raw, "--cases", cases]);
    assert.equal(code, 3);
    assert.match(error, /^Cannot prepare 4 of 5 cases /);
    assert.match(error, /^ {2}b {2}a symbolic link to "..\/gone", which is not there$/m);
    assert.match(error, /^ {2}a {2}Cannot read ".*\/a\/lgemri.nrrd" as NRRD: it is a folder, where a file is wanted$/m);
    assert.match(
      error,
      /^ {2}c {2}Cannot read ".*\/c\/lgemri.nrrd": it is not there, or a link to what is not there$/m,
    );
    assert.match(error, /^ {2}d {2}Cannot read .*: its attributes are not as wanted: .* at spacing\[1\]$/m);
    assert.deepEqual(filesOf(folder), ["raw"]);
  }));

Deno.test("preprocess:la works alone in its folder, and removes what a killed one left there and nothing else", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, cases = `${folder}/cases`;
    await rawCase(raw, "a");
    await rawCase(`${folder}/elsewhere`, "b");
    await linkTo({ [`${raw}/b`]: "../elsewhere/b" });
    await Deno.mkdir(`${raw}/.ipynb_checkpoints`);
    await Deno.writeTextFile(`${raw}/a/._mri_norm2.h5`, "");
    for (const name of [".part", ".12.part", "mine.part"]) await Deno.mkdir(`${cases}/${name}/x`, { recursive: true });
    const run = () => task(folder, "preprocess", ["la", "--raw", raw, "--cases", cases]);
    const before = filesOf(cases), taken = await takeLock(cases);
    assert.ok("lock" in taken);
    const second = await run();
    assert.equal(second.code, 3);
    assert.match(
      second.error,
      new RegExp(`it is taken by process ${Deno.pid} on .*; wait for its end, or name another folder`),
    );
    await taken.lock[Symbol.asyncDispose]();
    await Deno.remove(taken.lock.path);
    assert.deepEqual(filesOf(cases), before, "the second one removes nothing of the first one's");
    const { code, out } = await run();
    assert.equal(code, 0);
    assert.match(out, /^note: left out of ".*raw": .ipynb_checkpoints$/m);
    assert.match(out, /^note: left out: \._\* \(1 case: a\)$/m);
    assert.deepEqual(filesOf(cases), ["a.h5", "b.h5", "manifest.json", "mine.part"]);
  }));

Deno.test("one case under two names: preprocess:la warns, split:la refuses, unless they are allowed", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, cases = `${folder}/cases`;
    for (const name of ["a", "b"]) await rawCase(raw, name);
    await Deno.mkdir(`${raw}/c`);
    await Deno.copyFile(`${raw}/a/mri_norm2.h5`, `${raw}/c/mri_norm2.h5`);
    const { out } = await task(folder, "preprocess", ["la", "--raw", raw, "--cases", cases]);
    assert.match(
      out,
      /^warning: the same image, voxel for voxel: a, c; split refuses to train on one and test another$/m,
    );
    // Each of three folds tests another case: two of them train on a twin of theirs.
    const split = (...more: string[]) =>
      task(folder, "split", ["la", "--cases", cases, "--labeled", "2", "--folds", "3", ...more]);
    const refused = await split();
    assert.equal(refused.code, 3);
    assert.match(refused.error, /^ {2}the same image: [ac] \(\w+\), [ac] \(\w+\)\n.*--allow-duplicates$/m);
    assert.deepEqual(filesOf(cases), ["a.h5", "b.h5", "c.h5", "manifest.json"]);
    const allowed = await split("--allow-duplicates");
    assert.equal(allowed.code, 0);
    assert.match(allowed.out, /^note: one case under two names: the same image: a \(\w+\), c \(\w+\)$/m);
  }));

Deno.test("split:acdc says which patients stand in no published list", () =>
  withFolder(async (folder) => {
    const names = (await Deno.readTextFile(DATASETS.acdc.lists!.train)).split(
      "\n",
    );
    const fingerprint = (file: string): Fingerprint => ({
      ...{ shape: [2, 3, 4], spacing: null, preparation: "as published", sources: [{ file, sha256: "0" }] },
      ...{
        intensity: { mean: 0, standardDeviation: 1, minimum: 0, maximum: 1, percentiles: {} },
        labelVoxels: { 1: 5 },
      },
    });
    const patients = [...names.slice(0, 4), "patient901", "patient902"];
    const frames = patients.flatMap((name) => [`${name}_frame01`, `${name}_frame09`]);
    const cases = Object.fromEntries(frames.map((name) => [name, fingerprint(name)]));
    await writeManifest(folder, { dataset: "acdc", options: {}, cases });
    const { code, out } = await task(folder, "split", ["acdc", "--cases", folder, "--labeled", "3"]);
    assert.equal(code, 0);
    assert.match(out, /^2 patients in no published list, left unused: patient901, patient902$/m);
  }));

Deno.test("split:la binds its split to the cases, and says what it lacks, with code 3", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, cases = `${folder}/cases`;
    for (const name of ["a", "b", "c", "d"]) await rawCase(raw, name, { label: name !== "a" });
    const preprocess = () => task(folder, "preprocess", ["la", "--raw", raw, "--cases", cases]);
    await preprocess();
    const args = ["la", "--cases", cases, "--labeled", "1", "--test-cases", "1", "--validation-cases", "1"];
    assert.equal((await task(folder, "split", args)).code, 0);
    const split = JSON.parse(await Deno.readTextFile(`${cases}/split.json`));
    assert.deepEqual(split.unlabeled, ["a"]);
    assert.deepEqual(split.counts, { labeled: 1, unlabeled: 1, validation: 1, test: 1 });
    assert.deepEqual(Object.keys(split.hashes).sort(), ["a", "b", "c", "d"]);
    assert.equal(split.manifest, undefined);
    assert.equal(split.seed, 1337);
    const tooMany = await task(folder, "split", ["la", "--cases", cases, "--labeled", "3", "--test-cases", "1"]);
    assert.deepEqual([tooMany.code, /Cannot draw 3 labeled cases/.test(tooMany.error)], [3, true]);
    const published = await task(folder, "split", ["la", "--cases", cases, "--labeled", "2"]);
    assert.deepEqual([published.code, /not here are \w+, \w+$/m.test(published.error)], [3, true]);
    const none = await task(folder, "split", ["la", "--cases", raw]);
    assert.deepEqual([none.code, /write it with deno task preprocess DATASET/.test(none.error)], [3, true]);
  }));

Deno.test("eval:la writes masks and metrics together, or nothing, and names all cases it cannot evaluate", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, cases = `${folder}/cases`, run = `${folder}/run`;
    const names = ["a", "b", "c", "d", "e"];
    for (const name of names) await rawCase(raw, name, { label: name < "d" });
    const spacing = ["--spacing", "0.7", "--nominal-spacing"];
    const prepared = await task(folder, "preprocess", ["la", "--raw", raw, "--cases", cases, ...spacing]);
    assert.match(
      prepared.out,
      /^note: .* a spacing of 0.7 mm instead of an unknown one \(as --spacing says\) \(5 cases: /m,
    );
    const split = { profile: "la", source: "by hand", labeled: ["a"], unlabeled: [], validation: [], test: ["b", "c"] };
    await Deno.mkdir(run);
    const config = runConfig({ patch: sidesOf(PATCH), iterations: 0, cases, split });
    await writeRunConfig(run, config);
    const evaluate = (...more: string[]) =>
      task(folder, "evaluate", ["la", "--run", run, "--batch-norm", "window", ...more]);
    const untrained = await evaluate();
    assert.deepEqual([untrained.code, /it has no last.safetensors; train first/.test(untrained.error)], [3, true]);
    const method = createMethod(METHODS.supervised, LA);
    openTensorFlow();
    await writeCheckpoint(`${run}/last.safetensors`, method.spec, startState(method, stream(1, "weights")), 12);

    const good = await evaluate();
    assert.equal(good.code, 0, good.error);
    assert.match(
      good.out,
      /^b {2}left atrium {2}Dice [\d.]+ .*\nc {2}.*\nmm and ml: .*\nDice [\d.]+ ± [\d.]+ over 2 cases, .*metrics.json$/m,
    );
    assert.deepEqual(filesOf(`${run}/evaluation-window`), ["b.nii.gz", "c.nii.gz", "metrics.json"]);
    const metrics = JSON.parse(await Deno.readTextFile(`${run}/evaluation-window/metrics.json`));
    assert.deepEqual([metrics.iteration, metrics.patch, metrics.stride], [12, [32, 32, 32], [8, 8, 8]]);
    assert.deepEqual(metrics.split, {
      source: "by hand",
      labeled: 1,
      unlabeled: 0,
      validation: 0,
      test: 2,
      patients: null,
    });
    assert.deepEqual([metrics.preparations, metrics.trainingPreparations], [["as published"], ["as published"]]);
    assert.match(
      good.out,
      /nominal mm\).*\n.*\nmm and ml: spacing 0.7 x 0.7 x 0.7 mm instead of an unknown spacing \(2 cases\)\n/,
    );
    const corrected = { header: null, used: [0.7, 0.7, 0.7], cases: ["b", "c"] };
    assert.deepEqual([metrics.correctedSpacings, metrics.nominalSpacing], [[corrected], true]);
    const scored = await task(folder, "score", [
      `${run}/evaluation-window`,
      cases,
      "--dataset",
      "la",
      "--out",
      `${folder}/s`,
    ]);
    assert.equal(scored.code, 0, scored.error);
    assert.match(scored.error, /3 references without a mask: a, d, e\n.*mm of 2 cases are nominal: b, c\n/);
    const untimed = (rows: ResultRow[]) => rows.map((row) => ({ ...row, seconds: 0 }));
    assert.deepEqual(untimed((await readScores(`${folder}/s`)).rows), untimed(metrics.rows));
    const lines = (text: string) => text.match(/^[bc] {2}left atrium .*(?= {2}[\d.]+ s$)/gm);
    assert.deepEqual(lines(scored.out), lines(good.out));
    const mask = await readNifti(`${run}/evaluation-window/b.nii.gz`), { label } = await readCase(`${cases}/b.h5`, "b");
    const { voxels, referenceVoxels, honest } = metrics.rows[0];
    assert.deepEqual(mask.shape, [...SHAPE]);
    assert.equal(mask.data.reduce((sum, value) => sum + value, 0), voxels);
    const both = mask.data.reduce((sum, value, i) => sum + value * label![i], 0);
    assert.ok(Math.abs(2 * both / (voxels + referenceVoxels) - honest.dice) < 1e-12);

    const refused = async (change: object, message: RegExp) => {
      await writeJson(`${folder}/other.json`, { ...split, ...change });
      const { code, error } = await evaluate("--split", `${folder}/other.json`);
      assert.deepEqual([code, message.test(error)], [3, true], error);
    };
    await refused({ test: ["c", "d", "e"] }, /2 of 3 test cases:\n.*"d": it has no label.*\n.*"e": it has no label/);
    await refused({ test: ["a"], labeled: ["b"] }, /Cannot test on cases of the training .*: a in/);
    await refused({ test: ["b", "ghost"], unlabeled: ["phantom"] }, /has no phantom, ghost/);
    await refused({ test: [] }, /has no test case/);
    assert.deepEqual(filesOf(run), ["config.json", "evaluation-window", "last.safetensors"]);
    // A name that leads out of the folder, a case that was changed, a network that is lost: nothing is written.
    const outside = "../../victim";
    await writeRunConfig(run, { ...config, split: { ...split, test: [outside] } });
    const escaped = await evaluate();
    assert.deepEqual([escaped.code, /"..\/..\/victim" cannot be a name/.test(escaped.error)], [3, true], escaped.error);
    await writeRunConfig(run, config);
    const whole = await Deno.readFile(`${cases}/b.h5`), other = await readCase(`${cases}/b.h5`, "b");
    await writeCase(`${cases}/b.h5`, { ...other, label: other.label!.with(0, 1) }, { file: "b", sha256: "" });
    const changed = await evaluate();
    assert.deepEqual(
      [changed.code, /b\.h5": .*its label has another hash/.test(changed.error)],
      [3, true],
      changed.error,
    );
    await Deno.writeFile(`${cases}/b.h5`, whole);
    const good12 = await Deno.readFile(`${run}/last.safetensors`);
    await loseNetwork(`${run}/last.safetensors`, `${run}/last.safetensors`);
    const diverged = await evaluate();
    assert.equal(diverged.code, 5, diverged.error);
    assert.match(diverged.error, /^Cannot use ".*last.safetensors": [\w.]+ holds NaN, so the training diverged; /m);
    await Deno.writeFile(`${run}/last.safetensors`, good12);
    assert.deepEqual(filesOf(run), ["config.json", "evaluation-window", "last.safetensors"]);
    // Other windows, their mirrorings and other components stand beside it, and are told.
    const half = await evaluate("--overlap", "0.5", "--mirror", "--components", "all");
    assert.equal(half.code, 0, half.error);
    const { overlap, mirror, components, componentsChoice, stride } = await readMetrics(
      `${run}/evaluation-window-all-overlap0.5-mirror`,
    );
    assert.deepEqual({ overlap, mirror, components, componentsChoice, stride }, {
      ...{ overlap: 0.5, mirror: true, components: "all", componentsChoice: null, stride: [16, 16, 16] },
    });
    const auto = await evaluate("--components", "auto");
    assert.deepEqual([auto.code, /its split \(by hand\) has no validation case/.test(auto.error)], [3, true]);
    // Another split leaves the evaluation of the own one where it is.
    await writeSplit(`${folder}/other.json`, { ...split, test: ["c"] });
    assert.equal((await evaluate("--split", `${folder}/other.json`)).code, 0);
    const own = filesOf(run).filter((name) => /^evaluation-window-[0-9a-f]{8}$/.test(name));
    assert.deepEqual(own.map((name) => filesOf(`${run}/${name}`)), [["c.nii.gz", "metrics.json"]]);
    // A validation case chooses components, and predict takes what it chose.
    await writeRunConfig(run, { ...config, split: { ...split, validation: ["b"], test: ["c"] } });
    const chosen = await evaluate("--components", "auto");
    assert.equal(chosen.code, 0, chosen.error);
    assert.match(chosen.out, /^components: .* \(chosen on 1 validation case\): Dice .*; in ".*run\/components.json"$/m);
    const [stored] = await readChosenComponents(run), name = stored.components === "classes" ? "" : "-all";
    const { rows: _, ...kept } = await readMetrics(`${run}/evaluation-window${name}`);
    const choice = { cases: 1, dice: stored.dice };
    assert.deepEqual([kept.components, kept.componentsChoice], [stored.components, choice]);
    const out = ["-o", `${folder}/predicted`],
      predicted = await task(folder, "predict", [
        ...[`${cases}/d.h5`, "--run", run, ...out],
      ]);
    assert.equal(predicted.code, 0, predicted.error);
    const { options } = (await readPredictionIfThere(`${folder}/predicted/summary.json`))!;
    assert.deepEqual([options.components, options.componentsChoice], [stored.components, choice]);
  }));
