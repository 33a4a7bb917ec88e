/** Splits: published lists and drawn ones, and the refusal of those that do not fit the cases. */
import assert from "node:assert/strict";
import { nameProblem } from "../pipeline/files/names.ts";
import { duplicatesBetween, duplicatesIn } from "../pipeline/data/duplicates.ts";
import {
  bindingTo,
  checkCases,
  checkSplit,
  countCases,
  countPatients,
  type Lists,
  parseSplit,
  type Split,
} from "../pipeline/records/split.ts";
import { withFolder } from "./with_folder.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { type Fingerprint, type Manifest, readManifest, writeManifest } from "../pipeline/records/manifest.ts";
import { drawnLists, parseList, publishedLists } from "../pipeline/datasets/lists.ts";

const fingerprint = (labelVoxels: Fingerprint["labelVoxels"]): Fingerprint => ({
  shape: [2, 3, 4],
  spacing: null,
  intensity: { mean: 0, standardDeviation: 1, minimum: -1, maximum: 1, percentiles: { 50: 0 } },
  labelVoxels,
  preparation: "as published",
  sources: [{ file: "x/mri_norm2.h5", sha256: "00" }],
});
/** Cases by name; those in `bare` have no label. */
const casesOf = (names: string[], bare: string[] = []): Manifest["cases"] =>
  Object.fromEntries(names.map((name) => [name, fingerprint(bare.includes(name) ? null : { 1: 5 })]));
const refused = (action: () => unknown, message: RegExp) =>
  assert.throws(action, (error) => error instanceof DataError && message.test(error.message));

Deno.test("a list is read with the line ends of any system and blanks around its names", () => {
  assert.deepEqual(parseList("a\r\nb  \r\n\r\n"), ["a", "b"]);
  assert.deepEqual(parseList("\ufeff\ta\n \nc d"), ["a", "c d"]);
  assert.deepEqual(parseList("a\rb\r"), ["a", "b"]);
});

Deno.test("one case twice is seen by its image, and by its label where that is not empty", () => {
  const one = (image: string, label: string | null, voxels = 5): Fingerprint => ({
    ...fingerprint(label === null ? null : { 1: voxels, 2: 0 }),
    hashes: { ...{ sourceImage: image, sourceLabel: label, geometry: "g", subject: "s" }, image: "i", label: "l" },
  });
  const names = (cases: Manifest["cases"]) => duplicatesIn(cases).map(({ what, names }) => `${what}: ${names}`);
  assert.deepEqual(names({ a: one("1", "1"), b: one("2", "2"), c: one("3", null), d: one("4", null) }), []);
  assert.deepEqual(names({ a: one("1", "1"), b: one("2", "1"), c: one("1", "1") }), ["image: a,c", "label: a,b,c"]);
  assert.deepEqual(names({ a: one("1", "1"), b: one("1", "1"), c: one("1", null) }), ["image: a,b,c"]);
  assert.deepEqual(names({ a: one("1", "1", 0), b: one("2", "1", 0) }), [], "all labels without an object are alike");
  const hearts = Object.fromEntries(frames("p", "q", "r").map((name) => [name, one(name, name[0])]));
  const lists = { labeled: frames("p"), unlabeled: [], validation: [], test: frames("q") };
  assert.deepEqual(duplicatesBetween(lists, hearts), [], "frames of one patient stand in one part");
  hearts.q_frame07 = hearts.r_frame01 = hearts.p_frame01;
  assert.deepEqual(duplicatesBetween(lists, hearts), [
    { text: "the same image: p_frame01 (labeled), q_frame07 (test)", leaks: true },
    { text: "the same label: p_frame01 (labeled), p_frame07 (labeled), q_frame07 (test)", leaks: true },
  ]);
  const leaks = (parts: Partial<Lists>) =>
    duplicatesBetween({ labeled: [], unlabeled: [], validation: [], test: [], ...parts }, hearts)
      .map(({ leaks }) => leaks);
  const [p, q, r] = ["p_frame01", "q_frame07", "r_frame01"].map((name) => [name]);
  assert.deepEqual(leaks({ labeled: p, unlabeled: q }), [false], "what is trained on twice is tested nowhere");
  assert.deepEqual(leaks({ test: [...p, ...q] }), [false], "both are tested, neither is trained on");
  assert.deepEqual(leaks({ labeled: p, validation: q }), [true]);
  assert.deepEqual(leaks({ validation: p, test: q }), [true]);
  assert.deepEqual(leaks({ unlabeled: [...p, ...q], test: r }), [true]);
  assert.deepEqual(names(casesOf(["a", "b"])), [], "nothing is known of cases without hashes");
});

const PUBLISHED = { train: ["a", "b", "c", "d", "e", "f"], test: ["x", "y", "z"] };
const CHOICE = { unit: "case", labeled: 2, validation: 0, seed: 1 } as const;

Deno.test("published lists are cut to the cases that are there, in their order; others are left out", () => {
  const cases = casesOf(["f", "d", "b", "a", "y", "x", "stranger"], ["d"]);
  assert.deepEqual(publishedLists(PUBLISHED, { ...CHOICE, cases }), {
    labeled: ["a", "b"],
    unlabeled: ["d", "f"],
    validation: [],
    test: ["x", "y"],
  });
});

Deno.test("the first training cases must be there and have labels; all that fail are named", () => {
  const choice = { ...CHOICE, labeled: 4 };
  refused(() => publishedLists(PUBLISHED, { ...choice, cases: casesOf(["a", "c"]) }), /not here are b, d$/);
  const cases = casesOf(["a", "b", "c", "d"], ["a", "d"]);
  refused(() => publishedLists(PUBLISHED, { ...choice, cases }), /without a label are a, d$/);
  refused(() => publishedLists(PUBLISHED, { ...choice, labeled: 7, cases }), /the published list has 6/);
});

Deno.test("validation cases come from the training list behind the labeled ones, have labels, and repeat with the seed", () => {
  const cases = casesOf([...PUBLISHED.train, ...PUBLISHED.test], ["c"]),
    choice = { ...CHOICE, cases, validation: 2 };
  const lists = publishedLists(PUBLISHED, choice);
  assert.deepEqual(publishedLists(PUBLISHED, choice), lists);
  assert.equal(lists.validation.length, 2);
  assert.ok(lists.validation.every((name) => ["d", "e", "f"].includes(name)));
  assert.deepEqual([...lists.validation, ...lists.unlabeled].sort(), ["c", "d", "e", "f"]);
  assert.deepEqual(lists.test, PUBLISHED.test);
  refused(() => publishedLists(PUBLISHED, { ...choice, validation: 4 }), /draw 4 validation cases: 3 .* are left/);
});

Deno.test("a drawn split uses every case once, never a case without a label where one is needed", () => {
  const names = Array.from({ length: 12 }, (_, i) => `case${i}`), bare = names.slice(0, 5);
  const draw = (seed: number, validation = 2) =>
    drawnLists({ cases: casesOf(names, bare), labeled: 2, validation, test: 3, unit: "case", seed });
  const lists = draw(4), { labeled, validation, test, unlabeled } = lists;
  assert.deepEqual([labeled, validation, test, unlabeled].map((list) => list.length), [2, 2, 3, 5]);
  assert.deepEqual([...labeled, ...validation, ...test, ...unlabeled].sort(), names.toSorted());
  assert.deepEqual(unlabeled, bare);
  assert.deepEqual(draw(4), lists);
  assert.deepEqual(draw(4, 0).test, test, "the test cases do not depend on the other numbers");
  assert.ok([5, 6, 7].some((seed) => String(draw(seed).test) !== String(test)), "another seed draws others");
  refused(() => draw(4, 3), /draw 2 labeled cases: 1 cases with a label are left/);
});

const frames = (...patients: string[]) => patients.flatMap((name) => [`${name}_frame01`, `${name}_frame07`]);

Deno.test("by patient, published lists give all frames of a patient to one part; a validation list is taken as it is", () => {
  const published = { train: ["p1", "p2", "p3"], validation: ["p4", "p5"], test: ["p6", "p7"] };
  const cases = casesOf(frames("p7", "p4", "p3", "p2", "p1"), frames("p3"));
  const choice = { ...CHOICE, unit: "patient", cases } as const;
  assert.deepEqual(publishedLists(published, choice), {
    labeled: frames("p1", "p2"),
    unlabeled: frames("p3"),
    validation: frames("p4"),
    test: frames("p7"),
  });
  const bare = { ...choice, cases: casesOf(frames("p2", "p4", "p7"), ["p2_frame07", "p4_frame01", "p7_frame07"]) };
  const lines = [
    "Cannot label the first 2 patients of the published list: not here are p1",
    "Cannot label the first 2 patients of the published list: without a label are p2_frame07",
    "Cannot validate on the published list: without a label are p4_frame01",
    "Cannot test on the published list: without a label are p7_frame07",
  ];
  refused(() => publishedLists(published, bare), new RegExp(`^${lines.join("\n")}$`));
});

Deno.test("by patient, a drawn split never parts the frames of a patient nor labels one that lacks a mask", () => {
  const names = Array.from({ length: 9 }, (_, i) => `p${i}`), cases = casesOf(frames(...names), ["p2_frame01"]);
  for (let seed = 0; seed < 20; seed++) {
    const lists = drawnLists({ cases, unit: "patient", labeled: 3, validation: 2, test: 2, seed });
    const split = checkSplit({ profile: "acdc", source: "x", ...lists }, "s.json");
    const sizes = { labeled: 3, unlabeled: 2, validation: 2, test: 2 };
    assert.deepEqual(countPatients(split), sizes);
    assert.deepEqual(countCases(split), { labeled: 6, unlabeled: 4, validation: 4, test: 4 });
    assert.ok(lists.unlabeled.includes("p2_frame01") && lists.unlabeled.includes("p2_frame07"));
  }
});

Deno.test("patients with frames in two parts of a split are refused, all of them, and wrong counts of patients", () => {
  const split = {
    ...{ profile: "acdc", source: "by hand", labeled: frames("a", "b"), unlabeled: ["c_frame01"], validation: [] },
    ...{
      test: ["c_frame07", "a_frame12", "d_frame01"],
      patients: { labeled: 2, unlabeled: 1, validation: 0, test: 2 },
    },
  };
  const message =
    /stand in two parts of it: a \(labeled, test\), c \(unlabeled, test\); its patients .* test: 2 claimed, 3/;
  refused(() => checkSplit(split, "s.json"), message);
});

const SPLIT: Split = { profile: "la", source: "x", labeled: ["a"], unlabeled: ["b"], validation: [], test: ["c"] };

Deno.test("a split with wrong counts or fields is refused, naming them", () => {
  const counts = { labeled: 1, unlabeled: 2, validation: 0, test: 1 };
  refused(() => checkSplit({ ...SPLIT, counts }, "s.json"), /unlabeled: 2 claimed, 1 listed$/);
  refused(() => parseSplit({ ...SPLIT, labeled: [] }, "s.json"), /"s.json":[^]*labeled/);
  refused(() => parseSplit({ ...SPLIT, lable: [] }, "s.json"), /"s.json":[^]*lable/);
  assert.deepEqual(parseSplit({ ...SPLIT, counts: { ...counts, unlabeled: 1 } }, "s.json").test, ["c"]);
});

Deno.test("a split is bound to the cases that it names: others may come, go and change, and a changed one is named", () =>
  withFolder(async (folder) => {
    const hashes = (image: string) => ({
      ...{ sourceImage: "s", sourceLabel: null, image, label: null, geometry: "g", subject: "p" },
    });
    const write = (images: Record<string, string>) => {
      const cases = casesOf(Object.keys(images));
      for (const [name, image] of Object.entries(images)) cases[name].hashes = hashes(image);
      return writeManifest(folder, { dataset: "la", options: {}, cases });
    };
    await write({ a: "1", b: "2", c: "3", q: "4" });
    const named = ["a", "b", "c"], binding = bindingTo(await readManifest(folder), named);
    assert.deepEqual(Object.keys(binding.hashes!), named);
    const split = parseSplit({ ...SPLIT, ...binding }, "s.json");
    await write({ a: "1", b: "2", c: "3", q: "5", r: "6" });
    assert.deepEqual(Object.keys((await checkCases(split, folder, "s.json")).cases), ["a", "b", "c", "q", "r"]);
    await write({ a: "9", b: "2", c: "8" });
    await assert.rejects(
      checkCases(split, folder, "s.json"),
      /another place than it was made for have a, c; the same raw/,
    );
    await writeManifest(folder, { dataset: "la", options: {}, cases: casesOf(named) });
    await assert.rejects(
      checkCases(split, folder, "s.json"),
      /have a, b, c;/,
      "a manifest without hashes tells nothing",
    );
    assert.deepEqual(Object.keys(bindingTo(await readManifest(folder), named)), ["manifest"]);
  }));

Deno.test("a name that leads out of a folder, or hides, is refused in splits and manifests; others stay as they are", () =>
  withFolder(async (folder) => {
    const bad = ["../../victim/results", "a/b", "a\\b", "..", "a\0", "a\nb", "a\x1b[2J", "__proto__", ""];
    for (const name of bad) {
      refused(() => parseSplit({ ...SPLIT, test: [name] }, "s.json"), /test\[0\]/);
      assert.ok(nameProblem(name), name);
      const cases = JSON.stringify({ ok: fingerprint(null) }).replace('"ok"', JSON.stringify(name));
      await Deno.writeTextFile(`${folder}/manifest.json`, `{"dataset": "la", "options": {}, "cases": ${cases}}`);
      await assert.rejects(readManifest(folder), DataError, name);
    }
    for (const name of ["patient001_frame01", "Größe 1.2", "toString", ".x"]) assert.equal(nameProblem(name), null);
    const cases = casesOf(["toString", "valueOf", "a"]), choice = { ...CHOICE, labeled: 1, cases };
    assert.deepEqual(drawnLists({ ...choice, test: 1 }).unlabeled.length, 1);
    await writeManifest(folder, { dataset: "la", options: {}, cases: casesOf(["a", "b"]) });
    await assert.rejects(checkCases({ ...SPLIT, test: ["toString"] }, folder, "s.json"), /has no toString/);
  }));

Deno.test("a split is refused with cases it does not know, or that were prepared anew", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assert.rejects(checkCases(SPLIT, folder, "s.json"), /Cannot read the manifest .*; write it with/);
    const manifest: Manifest = { dataset: "la", options: { crop: "none", seed: 1 }, cases: casesOf(["a", "b", "c"]) };
    await writeManifest(folder, manifest);
    const { sha256, cases } = await readManifest(folder);
    assert.deepEqual(cases, manifest.cases);
    await checkCases(SPLIT, folder, "s.json");
    await checkCases({ ...SPLIT, manifest: sha256 }, folder, "s.json");
    const rejects = (split: Split, message: RegExp) =>
      assert.rejects(checkCases(split, folder, "s.json"), (e) => e instanceof DataError && message.test(e.message));
    await rejects({ ...SPLIT, unlabeled: ["b", "q"], test: ["c", "r"] }, /has no q, r$/);
    await rejects(
      { ...SPLIT, manifest: "ab" },
      new RegExp(`by the SHA-256 of their whole manifest.json alone, ab, and found ${sha256}; put that file back, or`),
    );
    await Deno.writeTextFile(`${folder}/manifest.json`, "{}");
    await rejects(SPLIT, /Cannot read the manifest[^]*cases/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
