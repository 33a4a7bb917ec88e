/** Which connected components are kept: what each way leaves of a mask, and the choice by the validation cases of a run. */
import assert from "node:assert/strict";
import { keptComponents } from "../pipeline/arrays/components.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { fingerprintOf } from "../pipeline/datasets/prepared_case.ts";
import type { Probabilities } from "../pipeline/evaluation/evaluate_case.ts";
import { writeJson } from "../pipeline/files/atomic.ts";
import { BARE_CASE, type Case, writeCase } from "../pipeline/records/case.ts";
import { readChosenComponents, withPresentComponents } from "../pipeline/records/components.ts";
import { writeManifest } from "../pipeline/records/manifest.ts";
import { bestComponents, chooseComponents, storedComponents } from "../pipeline/training/components_choice.ts";
import { type LoadedRun, withComponents } from "../pipeline/training/trained_run.ts";
import { runConfig } from "./run_config.ts";
import { withFolder } from "./with_folder.ts";

const SHAPE: Case["shape"] = [1, 3, 12];
/** Two structures of classes 1 to 3 that touch, and islands of each far from them. */
const HEART = [
  ...[1, 1, 2, 2, 3, 3, 0, 0, 0, 0, 0, 0],
  ...[1, 1, 2, 2, 3, 3, 0, 0, 0, 0, 0, 0],
  ...[1, 1, 2, 2, 3, 3, 0, 0, 0, 0, 0, 0],
];
const withIslands = (...at: [number, number][]) => {
  const mask = Uint8Array.from(HEART);
  for (const [i, c] of at) mask[i] = c;
  return mask;
};

Deno.test("the largest of each class leaves islands out class by class, that of the foreground what hangs together", () => {
  // A part of class 3 beside class 1: another class's neighbor, and a component of its own class.
  const mask = withIslands([0, 3], [11, 2], [35, 1]);
  assert.deepEqual(keptComponents(mask, SHAPE, "all"), mask);
  assert.deepEqual(keptComponents(mask, SHAPE, "classes"), withIslands([0, 0]));
  assert.deepEqual(keptComponents(mask, SHAPE, "foreground"), withIslands([0, 3]));
  const empty = new Uint8Array(36);
  for (const way of ["all", "classes", "foreground"] as const) {
    assert.deepEqual(keptComponents(empty, SHAPE, way), empty);
  }
});

Deno.test("of equal Dice the way that leaves out least is taken", () => {
  assert.equal(bestComponents({ all: 0.5, classes: 0.5, foreground: 0.5 }), "all");
  assert.equal(bestComponents({ all: 0.5, classes: 0.5, foreground: 0.6 }), "foreground");
});

Deno.test("records of earlier versions said whether the largest of each class was kept", () => {
  assert.deepEqual(withPresentComponents({ a: 1, largestComponent: true }), { a: 1, components: "classes" });
  assert.deepEqual(withPresentComponents({ largestComponent: false }), { components: "all" });
  assert.deepEqual(withPresentComponents({ components: "foreground" }), { components: "foreground" });
});

/** A run on cases whose network answers with a mask of its own for each image, found by the image's first voxel. */
async function runOf(folder: string, answers: Uint8Array[], counted: { calls: number }): Promise<LoadedRun> {
  const names = answers.map((_, i) => `p${i}_frame01`), fingerprints = Object.create(null);
  for (const [i, name] of names.entries()) {
    const image = Float32Array.from({ length: 36 }, (_, at) => at === 0 ? i : at / 36), label = Uint8Array.from(HEART);
    const one: Case = { ...BARE_CASE, name, shape: SHAPE, axes: "ZYX", image, label, preparation: "none" };
    await writeCase(`${folder}/${name}.h5`, one, { file: name, sha256: "" });
    fingerprints[name] = fingerprintOf(one, one, { sources: [{ file: name, sha256: "" }], classes: 4 });
  }
  await writeManifest(folder, { dataset: "acdc", options: {}, cases: fingerprints });
  await Deno.writeTextFile(`${folder}/best.safetensors`, "a network");
  const [labeled, ...validation] = names, lists = { labeled: [labeled], unlabeled: [], validation, test: [] };
  const config = runConfig({ patch: [16, 16], split: { profile: "acdc", source: "by hand", ...lists } });
  const probabilities: Probabilities = ({ image }) => {
    counted.calls++;
    const found = new Float32Array(4 * 36);
    answers[image[0]].forEach((c, i) => found[c * 36 + i] = 1);
    return Promise.resolve(found);
  };
  return withComponents({
    ...{ folder, file: `${folder}/best.safetensors`, config, dataset: DATASETS.acdc, methodName: "supervised" },
    ...{ profile: ACDC, grid: { orientation: "SPL", spacing: null }, prefix: "", iteration: 3, probabilities },
    ...{ weights: { weights: {}, buffers: {} }, overlap: null, mirror: false, told: null },
    checkpoint: "best",
    statistics: "running",
  }, { components: "all", componentsChoice: null });
}

Deno.test("the validation cases choose, the run keeps the choice, and another checkpoint chooses anew", () =>
  withFolder(async (folder) => {
    const calls = { calls: 0 }, lines: string[] = [], say = (line: string) => void lines.push(line);
    // An island of class 1 in one case, of class 2 inside the structure in the other: classes leave both out.
    const run = await runOf(folder, [withIslands(), withIslands([11, 1]), withIslands([0, 2], [11, 1])], calls);
    assert.equal(await storedComponents(run), null);
    const chosen = await chooseComponents(run, { cases: folder, say });
    assert.deepEqual([chosen.components, calls.calls], ["classes", 2]);
    const { dice } = chosen.componentsChoice!;
    assert.ok(dice.all < dice.foreground && dice.foreground < dice.classes);
    // By hand: class 1 has 5 of 6 voxels, class 2 all 6 in both of 2 cases.
    assert.ok(Math.abs(dice.classes - (1 + (10 / 11 + 1 + 1) / 3) / 2) < 1e-12);
    assert.equal(lines[0], "components: 2 validation cases are segmented to choose them");
    assert.match(
      lines[1],
      /^components: largest component of each class \(chosen on 2 validation cases\): Dice 0.\d{4} all, 0.\d{4} classes, 0.\d{4} foreground; in ".*components.json"$/,
    );
    const mask = await chosen.segment({ image: Float32Array.from([2, ...Array(35).fill(0)]), shape: SHAPE });
    assert.deepEqual(mask, withIslands([0, 0]));

    const again = await chooseComponents(run, { cases: folder, say });
    assert.deepEqual([again.components, again.componentsChoice, calls.calls], ["classes", chosen.componentsChoice, 3]);
    assert.deepEqual(lines[2], lines[1]);
    assert.equal(await storedComponents({ ...run, statistics: "window" }), null);
    await chooseComponents({ ...run, statistics: "window" }, { cases: folder });
    await Deno.writeTextFile(run.file, "another network");
    assert.equal(await storedComponents(run), null);
    await chooseComponents(run, { cases: folder });
    const stored = await readChosenComponents(folder);
    assert.deepEqual(stored.map(({ statistics }) => statistics), ["window", "running"]);
    assert.notEqual(stored[0].sha256, stored[1].sha256);
    const path = `${folder}/components.json`, content = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, content.replace('"cases": 2', '"cases": 3'));
    await assert.rejects(readChosenComponents(folder), /its checksum is another/);
    await writeJson(path, stored); // as version 0.3 wrote them
    assert.deepEqual(await readChosenComponents(folder), stored);
    await writeJson(path, [{ ...stored[0], components: "some" }]);
    await assert.rejects(chooseComponents(run, { cases: folder }), /Cannot read the chosen components .*delete it/s);
  }));

Deno.test("without validation cases, or of a file of weights, nothing is chosen", () =>
  withFolder(async (folder) => {
    const run = await runOf(folder, [withIslands()], { calls: 0 });
    await assert.rejects(
      chooseComponents(run, { cases: folder }),
      /its split \(by hand\) has no validation case; split --validation-cases N .*--components all, classes or foreground/,
    );
    const alone = { ...run, folder: run.file, told: null };
    await assert.rejects(chooseComponents(alone, { cases: folder }), /a run folder wanted, found a file of weights/);
    const told = { components: "foreground", componentsChoice: null } as const;
    assert.equal((await chooseComponents({ ...alone, told }, { cases: folder })).components, "foreground");
  }));
