/** Splits: published lists and drawn ones, and the refusal of those that do not fit the cases. */
import assert from "node:assert/strict";
import { DataError, type Fingerprint, type Manifest, readManifest } from "../pipeline/data/cases.ts";
import { checkCases, checkSplit, drawnLists, parseSplit, publishedLists, type Split } from "../pipeline/data/splits.ts";
import { writeJson } from "../pipeline/runs/files.ts";

const fingerprint = (labelVoxels: Fingerprint["labelVoxels"]): Fingerprint => ({
  shape: [2, 3, 4],
  spacing: null,
  intensity: { mean: 0, deviation: 1, minimum: -1, maximum: 1, percentiles: { 50: 0 } },
  labelVoxels,
  preparation: "as published",
  sources: [{ file: "x/mri_norm2.h5", sha256: "00" }],
});
/** Cases by name; those in `bare` have no label. */
const casesOf = (names: string[], bare: string[] = []): Manifest["cases"] =>
  Object.fromEntries(names.map((name) => [name, fingerprint(bare.includes(name) ? null : { 1: 5 })]));
const refused = (action: () => unknown, message: RegExp) =>
  assert.throws(action, (error) => error instanceof DataError && message.test(error.message));

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

const SPLIT: Split = { profile: "la", source: "x", labeled: ["a"], unlabeled: ["b"], validation: [], test: ["c"] };

Deno.test("a split with wrong counts or fields is refused, naming them", () => {
  const counts = { labeled: 1, unlabeled: 2, validation: 0, test: 1 };
  refused(() => checkSplit({ ...SPLIT, counts }, "s.json"), /unlabeled: 2 claimed, 1 listed$/);
  refused(() => parseSplit({ ...SPLIT, labeled: [] }, "s.json"), /"s.json":[^]*labeled/);
  refused(() => parseSplit({ ...SPLIT, lable: [] }, "s.json"), /"s.json":[^]*lable/);
  assert.deepEqual(parseSplit({ ...SPLIT, counts: { ...counts, unlabeled: 1 } }, "s.json").test, ["c"]);
});

Deno.test("a split is refused with cases it does not know, or that were prepared anew", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assert.rejects(checkCases(SPLIT, folder, "s.json"), /Cannot read the manifest .*; write it with/);
    const manifest: Manifest = { dataset: "la", options: { crop: "none", seed: 1 }, cases: casesOf(["a", "b", "c"]) };
    await writeJson(`${folder}/manifest.json`, manifest);
    const { sha256, cases } = await readManifest(folder);
    assert.deepEqual(cases, manifest.cases);
    await checkCases(SPLIT, folder, "s.json");
    await checkCases({ ...SPLIT, manifest: sha256 }, folder, "s.json");
    const rejects = (split: Split, message: RegExp) =>
      assert.rejects(checkCases(split, folder, "s.json"), (e) => e instanceof DataError && message.test(e.message));
    await rejects({ ...SPLIT, unlabeled: ["b", "q"], test: ["c", "r"] }, /has no q, r$/);
    await rejects(
      { ...SPLIT, manifest: "ab" },
      new RegExp(`SHA-256 ab, found ${sha256}; run deno task split:la again`),
    );
    await Deno.writeTextFile(`${folder}/manifest.json`, "{}");
    await rejects(SPLIT, /Cannot read the manifest[^]*cases/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
