/** What a row of a report owes to its checkpoint and its components. */
import assert from "node:assert/strict";
import type { Components } from "../pipeline/arrays/components.ts";
import type { Metrics, ResultRow } from "../pipeline/records/evaluation.ts";
import type { Group, Result } from "../pipeline/report/groups.ts";
import { differences } from "../pipeline/report/differences.ts";
import { selectionRows } from "../pipeline/report/selection.ts";
import { differencesTable, selectionTable } from "../pipeline/report/tables.ts";
import { runConfig } from "./run_config.ts";

const rowsOf = (dice: readonly number[]): ResultRow[] =>
  dice.map((dice, i) => {
    const scores = { dice, jaccard: dice, hd95: 10 * (1 - dice), asd: 1 };
    return {
      ...{ case: `case ${i}`, class: "left atrium", patient: null, phase: null, voxels: 9, referenceVoxels: 9 },
      ...{ published: scores, honest: scores, millimeters: null, milliliters: null, seconds: 1 },
    };
  });

const LISTS = {
  patch: [16, 16, 16],
  split: { profile: "la", source: "test", labeled: ["a"], unlabeled: [], validation: [], test: ["case 0", "case 1"] },
};

/** A run under one evaluation. `dice`: of its two cases, by the components that are kept. */
function resultOf(
  { ended = true, validation = [], ...training }: Partial<Parameters<typeof runConfig>[0]> & {
    ended?: boolean;
    validation?: number[];
  },
  { checkpoint = "last", components, dice, isChosen = false, ...tested }: Partial<Metrics> & {
    components: Components;
    dice: Partial<Record<Components, readonly number[]>>;
    isChosen?: boolean;
  },
): Result {
  const { method = "ssnet", seed = 1 } = training;
  const config = runConfig({ method, seed, iterations: 60, ...LISTS, ...training });
  const { [components]: own, ...others } = dice;
  const choice = { cases: 2, dice: { all: 0.7, classes: 0.8, foreground: 0.8 } };
  const metrics = {
    ...{ dataset: "la", method, checkpoint, iteration: 60, batchNorm: "window", precision: "bf16", components },
    ...{ patch: [16, 16, 16], stride: null, overlap: null, mirror: false, preparations: [], versions: {} },
    componentsChoice: isChosen ? choice : null,
    ...tested,
    rows: rowsOf(own!),
    otherComponents: Object.entries<readonly number[]>(others).map(([components, dice]) => ({
      components,
      rows: rowsOf(dice),
    })),
    split: { source: "test", labeled: 1, unlabeled: 0, validation: 0, test: 2, patients: null },
  } as unknown as Metrics;
  const run = {
    ...{ name: `${method} ${seed}`, config, iteration: ended ? 60 : 40, minutes: 1 },
    method: { title: method, place: method === "ssnet" ? 0 : 1, settings: [], changed: [] },
    validation: validation.map((value, i) => ({ iteration: 20 * (i + 1), value })),
  };
  return { run, evaluation: { folder: "", name: "", metrics }, label: "" } as unknown as Result;
}

/** Results of equal configurations are one run's. */
function groupOf(results: Result[], protocol: unknown = null): Group {
  const runs = new Map(results.toReversed().map(({ run }) => [JSON.stringify(run.config), run]));
  for (const result of results) result.run = runs.get(JSON.stringify(result.run.config))!;
  return { results, protocol, labeled: 1, unit: "cases" } as unknown as Group;
}
const close = (found: number | null | undefined, wanted: number) =>
  assert.ok(Math.abs(found! - wanted) < 1e-12, `${found}, not ${wanted}`);

Deno.test("last and best stand under every way to keep components, over the seeds, with the gap of the validation cases", () => {
  const last = (seed: number, shift: number) =>
    resultOf({ seed, validation: [0.7, 0.9, 0.8 + shift] }, {
      ...{ checkpoint: "last", components: "classes", isChosen: true },
      dice: { all: [0.5 + shift, 0.7 + shift], classes: [0.6, 0.8], foreground: [0.6, 0.7] },
    });
  const best = (seed: number) =>
    resultOf({ seed, validation: [] }, { checkpoint: "best", components: "classes", dice: { classes: [0.8, 0.8] } });
  const group = groupOf([last(2, 0.02), last(1, 0), best(1), best(2)]), [row, ...others] = selectionRows(group);
  assert.equal(others.length, 0);
  assert.deepEqual([row.label, row.training], ["ssnet", "60 iterations, batch norm window"]);
  assert.deepEqual(row.checkpoints.map(({ checkpoint, seeds, chosen }) => [checkpoint, seeds, chosen]), [
    ["last", [1, 2], "largest component of each class"],
    ["best", [1, 2], null],
  ]);
  const [{ scores: ofLast }, { scores: ofBest }] = row.checkpoints;
  close(ofLast.all!.dice.mean, 0.61);
  close(ofLast.all!.dice.standardDeviation, 0.01 * Math.SQRT2);
  close(ofLast.all!.hd95.mean, 3.9);
  close(ofLast.classes!.dice.mean, 0.7);
  close(ofLast.foreground!.dice.mean, 0.65);
  assert.deepEqual(
    [ofBest.all, ofBest.foreground],
    [null, null],
    "an evaluation of an earlier version has its own alone",
  );
  close(row.gap.validation!.mean, 0.09);
  close(row.gap.test!.mean, 0.1);
});

Deno.test("strong augmentation is a row of its own, a training that has not ended none, one validation no gap", () => {
  const evaluation = { checkpoint: "last", components: "all", dice: { all: [0.5, 0.5] } } as const;
  const rows = selectionRows(groupOf([
    resultOf({ method: "supervised", augmentation: "strong", validation: [0.5] }, evaluation),
    resultOf({ seed: 3, ended: false }, { ...evaluation, iteration: 40 }),
    resultOf({ validation: [0.4, 0.6] }, evaluation), // ends before the last iteration
  ]));
  assert.deepEqual(rows.map(({ label }) => label), ["ssnet", "supervised, strong augmentation"]);
  assert.deepEqual(rows.map(({ gap }) => gap), Array(2).fill({ validation: null, test: null }));
});

Deno.test("the gap of the test cases stands in the table only where it is asked for, as the field's", () => {
  const of = (checkpoint: "last" | "best", dice: number) =>
    resultOf({ validation: [0.9, 0.9, 0.85] }, { checkpoint, components: "all", dice: { all: [dice, dice] } });
  const group = groupOf([of("last", 0.5), of("best", 0.55)]);
  const [plain, withGap] = [false, true].map((withTestGap) => selectionTable(group, { withTestGap }));
  const texts = ({ sections }: typeof plain) =>
    sections[0].rows.map(({ cells }) => cells.map((cell) => typeof cell === "string" ? cell : cell.text).slice(-2));
  assert.deepEqual(texts(plain), [["–", "–"], ["–", "+5.00"]]);
  assert.deepEqual(texts(withGap), [["–", "–"], ["+5.00", "+5.00"]]);
  assert.ok(!plain.columns.some(({ name }) => /field/.test(name)));
  assert.match(withGap.columns.at(-1)!.name, /test cases \(as the field reports\)/);
});

Deno.test("each seed stands with the components that its own validation cases chose", () => {
  const of = (seed: number, components: Components, isChosen = true) =>
    resultOf({ seed }, {
      components,
      isChosen,
      dice: { all: [0.5, 0.5], classes: [0.6, 0.8], foreground: [0.7, 0.9] },
    });
  const [{ checkpoints: [{ scores, chosen }] }] = selectionRows(groupOf([of(1, "foreground"), of(2, "classes")]));
  close(scores.chosen!.dice.mean, 0.75);
  assert.equal(chosen, "largest component of the foreground (1), largest component of each class (2)");
  const [{ checkpoints: [without] }] = selectionRows(groupOf([of(1, "foreground"), of(2, "classes", false)]));
  assert.deepEqual([without.scores.chosen, without.chosen], [null, null]);
});

/** What the tests of differences take as published. */
const PROTOCOL = {
  ...{ iterations: 60, warmup: 0, trainingPrecision: "fp32", patch: [16, 16, 16], split: "test", unlabeled: {} },
  ...{ validation: 0, test: 2, preparation: "", checkpoint: "last", batchNorm: "running", precision: "bf16" },
  ...{ stride: null, components: "all" },
};
const supervised = { method: "supervised" };
const dice = (all: number[], classes = all) => ({ dice: { all, classes } });

Deno.test("a training is compared with the labeled-only one that differs from it in one thing, patient by patient", () => {
  const choice = { components: "classes", isChosen: true } as const;
  const found = differences(groupOf([
    resultOf({ seed: 1 }, { ...choice, ...dice([0.5, 0.8], [0.7, 0.8]) }),
    resultOf({ seed: 2 }, { ...choice, ...dice([0.5, 0.9], [0.7, 0.8]) }),
    resultOf(supervised, { ...choice, ...dice([0.4, 0.75], [0.6, 0.8]) }),
    resultOf({ ...supervised, augmentation: "strong" }, { ...choice, ...dice([0.5, 0.5], [0.8, 0.8]) }),
    resultOf({ ...supervised, augmentation: "strong", ema: true }, { ...choice, ...dice([0.9, 0.9]) }), // in two things
    resultOf({ ...supervised, iterations: 50 }, { ...choice, ...dice([0.3, 0.3]) }),
  ], PROTOCOL));
  const pairs = found.map(({ label, against, differsIn }) => [label, against, differsIn]);
  const strong = "supervised, strong augmentation", augmentation = "augmentation: strong, not published";
  assert.deepEqual(pairs, [
    ["ssnet", "supervised", "method"],
    ["supervised", "supervised", "components"],
    [strong, "supervised", augmentation],
    ["ssnet", strong, "method; augmentation: published, not strong"],
    [strong, strong, "components"],
    [strong, strong, "tested weights: moving average, not the checkpoint's iteration"],
    [strong, strong, "components"],
    ["ssnet", "supervised", "method"],
    ["supervised", "supervised", "schedule"],
    ["supervised", "supervised", "components"],
  ]);
  const [ofMethod, ofComponents, ofAugmentation] = found;
  close(ofMethod.sameComponents.all!.mean, 0.1);
  assert.deepEqual(ofMethod.sameComponents.all!.interval!.map((one) => one.toFixed(4)), ["0.1000", "0.1000"]);
  close(ofMethod.sameComponents.chosen!.mean, 0.05);
  assert.deepEqual(ofMethod.sameComponents.foreground, null);
  close(ofMethod.chosenOverPublished!.mean, 0.175);
  assert.deepEqual(Object.values(ofComponents.sameComponents), [null, null, null, null]);
  close(ofComponents.chosenOverPublished!.mean, 0.125);
  close(ofAugmentation.sameComponents.all!.mean, -0.075);
  assert.ok(Math.abs(ofAugmentation.sameComponents.all!.interval![0] + 0.25) < 1e-12);
});

Deno.test("norms, their statistics, windows and mirrorings are one thing each, and told in the table", () => {
  const plain = dice([0.5, 0.5]), all = { components: "all" } as const;
  const group = groupOf([
    resultOf(supervised, { ...all, ...plain, batchNorm: "running" }),
    resultOf(supervised, { ...all, ...plain, batchNorm: "window" }),
    resultOf({ ...supervised, norm: "group" }, { ...all, ...plain, batchNorm: "running" }),
    resultOf(supervised, { ...all, ...plain, batchNorm: "running", mirror: true }),
    resultOf(supervised, { ...all, ...plain, batchNorm: "running", overlap: 0.5 }),
  ], PROTOCOL);
  assert.deepEqual(differences(group).map(({ training, differsIn }) => [training, differsIn]), [
    ["60 iterations, batch norm window", "batch norm statistics: window, not running"],
    ["60 iterations, group norm", "norm: group, not batch"],
    ["60 iterations, batch norm running, mirrorings averaged", "mirrorings: averaged, not none"],
    [
      "60 iterations, batch norm running, overlap 0.5",
      "window stride: whole slices, Gaussian weights, not whole slices",
    ],
    ["60 iterations, group norm", "norm: group, not batch"], // beside each window's statistics
  ]);
  const { sections: [{ rows: [first] }] } = differencesTable(group)!;
  const none = { text: "0.00", details: ["[0.00, 0.00]"] };
  assert.deepEqual(first.cells.slice(6), [none, none, "–", "–", "–"]);
});

Deno.test("without a labeled-only training of the same lists there is no table of differences", () => {
  const test = { components: "all", ...dice([0.5, 0.5]) } as const;
  const other = { ...LISTS.split, labeled: ["b"] };
  assert.equal(differencesTable(groupOf([resultOf({}, test), resultOf({ seed: 2 }, test)], PROTOCOL)), null);
  assert.equal(differencesTable(groupOf([resultOf({}, test), resultOf({ ...supervised, split: other }, test)])), null);
});

Deno.test("both checkpoints are compared with their like, seeds are told, and a seed that comes twice counts once", () => {
  const of = (training: Parameters<typeof resultOf>[0], checkpoint: "last" | "best", value: number) =>
    resultOf(training, { checkpoint, components: "all", ...dice([value, value]) });
  const found = differences(groupOf([
    ...[of({ seed: 2 }, "last", 0.5), of({ seed: 2 }, "best", 0.6), of({ seed: 2, threads: 1 }, "best", 0.9)],
    ...[of(supervised, "best", 0.5), of({ ...supervised, seed: 2 }, "best", 0.5)],
  ], PROTOCOL));
  assert.deepEqual(found.map(({ checkpoint, seeds, differsIn }) => [checkpoint, seeds, differsIn]), [
    ["best", { own: [2], against: [1, 2] }, "method"],
  ]);
  close(found[0].sameComponents.all!.mean, 0.1);
});

Deno.test("of a dataset without published results the first of two labeled-only trainings is the other's measure", () => {
  const test = { components: "classes", isChosen: true, ...dice([0.5, 0.5], [0.7, 0.7]) } as const;
  const strong = { ...supervised, augmentation: "strong" } as const;
  const found = (trainings: Parameters<typeof resultOf>[0][]) =>
    differences(groupOf(trainings.map((one) => resultOf(one, test)))).map(({ differsIn }) => differsIn);
  assert.deepEqual(found([supervised, strong]), ["components", "augmentation: strong, not published", "components"]);
  assert.deepEqual(found([strong, supervised]), ["components", "augmentation: published, not strong", "components"]);
});
