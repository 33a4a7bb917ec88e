/** What a row of a report owes to its checkpoint and its components. */
import assert from "node:assert/strict";
import type { Components } from "../pipeline/arrays/components.ts";
import type { Metrics, ResultRow } from "../pipeline/records/evaluation.ts";
import type { Group, Result } from "../pipeline/report/groups.ts";
import { selectionRows } from "../pipeline/report/selection.ts";
import { selectionTable } from "../pipeline/report/tables.ts";
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
  { method = "ssnet", seed = 1, augmentation = "published" as "published" | "strong", ended = true, validation = [] }: {
    method?: string;
    seed?: number;
    augmentation?: "published" | "strong";
    ended?: boolean;
    validation?: number[];
  },
  { checkpoint, components, dice, isChosen = false }: {
    checkpoint: "last" | "best";
    components: Components;
    dice: Partial<Record<Components, readonly number[]>>;
    isChosen?: boolean;
  },
): Result {
  const config = runConfig({ method, seed, augmentation, iterations: 60, ...LISTS });
  const { [components]: own, ...others } = dice;
  const choice = { cases: 2, dice: { all: 0.7, classes: 0.8, foreground: 0.8 } };
  const metrics = {
    ...{ dataset: "la", method, checkpoint, iteration: 60, batchNorm: "window", precision: "bf16", components },
    ...{ patch: [16, 16, 16], stride: null, overlap: null, mirror: false, preparations: [], versions: {} },
    componentsChoice: isChosen ? choice : null,
    rows: rowsOf(own!),
    otherComponents: Object.entries<readonly number[]>(others).map(([components, dice]) => ({
      components,
      rows: rowsOf(dice),
    })),
    split: { source: "test", labeled: 1, unlabeled: 0, validation: 0, test: 2, patients: null },
  } as unknown as Metrics;
  return {
    run: {
      ...{ name: `${method} ${seed}`, config, iteration: ended ? 60 : 40, minutes: 1 },
      method: { title: method, place: method === "ssnet" ? 0 : 1, settings: [], changed: [] },
      validation: validation.map((value, i) => ({ iteration: 20 * (i + 1), value })),
    },
    evaluation: { folder: "", name: "", metrics },
    label: "",
  } as unknown as Result;
}

const groupOf = (results: Result[]) => ({ results, protocol: null, labeled: 1, unit: "cases" }) as unknown as Group;
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
    resultOf({ seed: 3, ended: false }, evaluation),
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
