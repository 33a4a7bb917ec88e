/** Masks of any program against references: the values of MONAI and surface-distance, and the task as a user runs it. */
import assert from "node:assert/strict";
import { fromAffine } from "../pipeline/arrays/geometry.ts";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
import { classesFrom, pairMasks } from "../pipeline/evaluation/masks.ts";
import { surfaceDistances, surfaceMetrics } from "../pipeline/evaluation/surface_distance.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { writeNiftiMask } from "../pipeline/files/nifti.ts";
import { BARE_CASE, writeCase } from "../pipeline/records/case.ts";
import { readScores, scoresAsCsv } from "../pipeline/records/score.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";

interface Theirs {
  name: string;
  spacing: number[];
  monai: Record<"dice" | "jaccard" | "hd" | "hd95" | "asd" | "nsd1" | "nsd2", number | null>;
  surface_distance: Record<"dice" | "hd" | "hd95" | "asd" | "nsd1" | "nsd2", number | null>;
}
const { shape, balls, pairs }: { shape: number[]; balls: number[][][]; pairs: Theirs[] } = JSON.parse(
  Deno.readTextFileSync(new URL("golden/masks/masks.json", import.meta.url)),
);
const ellipsoid = ([center, radii]: number[][]) =>
  Uint8Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, i) => {
    const at = [Math.floor(i / (shape[1] * shape[2])), Math.floor(i / shape[2]) % shape[1], i % shape[2]];
    const [x, y, z] = at.map((value, axis) => (value - center[axis]) ** 2), [a, b, c] = radii.map((r) => r * r);
    return Number(x * b * c + y * a * c + z * a * b <= a * b * c);
  });
const ball = balls.map(ellipsoid), nothing = new Uint8Array(ball[0].length);
const hollow = ball[0].map((value, i) => value & ~ball[4][i]);
const MASKS: Record<string, [prediction: Uint8Array, reference: Uint8Array]> = {
  "apart": [ball[0], ball[1]],
  "in millimeters": [ball[0], ball[1]],
  "thick slices at the border": [ball[2], ball[3]],
  "hollow": [hollow, ball[1]],
  "far": [ball[3], ball[4]],
  "no prediction": [nothing, ball[1]],
  "no reference": [ball[0], nothing],
  "neither": [nothing, nothing],
};
const close = (found: number, wanted: number | null, what: string) =>
  wanted === null
    ? assert.ok(Number.isNaN(found), `${what}: ${found}, none wanted`)
    : assert.ok(Math.abs(found - wanted) < 2e-6, `${what}: ${found}, ${wanted} wanted`);

Deno.test("Dice, Jaccard, Hausdorff, ASD and normalized surface distance are MONAI's; 95HD is of both directions together", () => {
  for (const { name, spacing, monai, surface_distance: theirs } of pairs) {
    const [prediction, reference] = MASKS[name], isEmpty = [prediction, reference].some((mask) => !mask.includes(1));
    for (const tolerance of [1, 2] as const) {
      const { honest, nsd } = caseMetrics(prediction, reference, shape, spacing, tolerance);
      close(honest.dice, monai.dice, `${name}, Dice`);
      close(honest.jaccard, monai.jaccard, `${name}, Jaccard`);
      close(honest.asd, monai.asd, `${name}, ASD`);
      if (name === "neither") assert.equal(nsd, 1); // as Dice; theirs has none
      else {
        close(nsd!, monai[`nsd${tolerance}`], `${name}, NSD`);
        assert.ok(
          nsd! <= theirs[`nsd${tolerance}`]! && nsd! > theirs[`nsd${tolerance}`]! - 0.17,
          `${name}: NSD by area`,
        );
      }
    }
    if (isEmpty) continue;
    const { hd, hd95 } = surfaceMetrics(prediction, reference, shape, spacing);
    close(hd, monai.hd, `${name}, HD`);
    close(hd, theirs.hd, `${name}, HD`);
    close(monai.dice!, theirs.dice, `${name}, Dice`);
    const directed = [[prediction, reference], [reference, prediction]].map(([a, b]) => {
      const sorted = surfaceDistances(a, b, shape, spacing).sort(), at = 0.95 * (sorted.length - 1), k = Math.floor(at);
      return sorted[k] + (at - k) * (sorted[Math.min(k + 1, sorted.length - 1)] - sorted[k]);
    });
    close(Math.max(...directed), monai.hd95, `${name}, 95HD of the worse direction`);
    assert.ok(hd95 >= Math.min(...directed) && hd95 <= Math.max(...directed));
  }
});

Deno.test("files belong together by the names of their cases, in folders of cases too, and a label is meant where an image lies beside it", () =>
  withFolder(async (folder) => {
    const touch = async (path: string) => {
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, "");
    };
    for (
      const name of ["a.nii.gz", "b_pred.nrrd", "e_lgemri.nii.gz", "p1_frame01.nii", "metrics.json", ".hidden.nii"]
    ) {
      await touch(`${folder}/m/${name}`);
    }
    for (
      const name of [
        "a/laendo.nrrd",
        "a/lgemri.nrrd",
        "e/laendo.nrrd",
        "e/lgemri.nrrd",
        "p1/p1_frame01_gt.nii.gz",
        "p1/p1_frame01.nii.gz",
        "b.h5",
        "c.h5",
      ]
    ) {
      await touch(`${folder}/r/${name}`);
    }
    const { pairs, unscored } = pairMasks(`${folder}/m`, `${folder}/r`),
      short = (path: string) => path.slice(folder.length + 3);
    assert.deepEqual(pairs.map(({ name, mask, reference }) => [name, short(mask), short(reference)]), [
      ["a", "a.nii.gz", "a/laendo.nrrd"],
      ["b", "b_pred.nrrd", "b.h5"],
      ["e", "e_lgemri.nii.gz", "e/laendo.nrrd"],
      ["p1_frame01", "p1_frame01.nii", "p1/p1_frame01_gt.nii.gz"],
    ]);
    assert.deepEqual(unscored, ["c"]);
    assert.deepEqual(pairMasks(`${folder}/m/a.nii.gz`, `${folder}/r/c.h5`).pairs.map(({ name }) => name), ["a"]);
    await touch(`${folder}/m/d.nii`);
    await touch(`${folder}/m/a.nrrd`);
    assert.throws(() => pairMasks(`${folder}/m`, `${folder}/r`), (error) => {
      assert.ok(error instanceof DataError);
      assert.match(
        error.message,
        /\na: one mask wanted, found .*a\.nii\.gz, .*a\.nrrd\nd: no reference of this name for ".*d\.nii"$/,
      );
      return true;
    });
    await Deno.mkdir(`${folder}/e`);
    assert.throws(() => pairMasks(`${folder}/e`, `${folder}/r`), /no mask in it/);
    assert.throws(() => pairMasks(`${folder}/x`, `${folder}/r`), /there is no such file or folder/);
  }));

Deno.test("two masks of one value each are of one class, more values are a class each, and too many are refused", () => {
  const of = (masks: number[], references: number[], names?: string[]) =>
    classesFrom({ masks: new Set(masks), references: new Set(references) }, names);
  assert.deepEqual(of([0, 1], [0, 255]).ofReference, new Map([[255, 1]]));
  assert.deepEqual(of([0], [0, 255], ["atrium"]).names, ["atrium"]);
  assert.deepEqual(of([0, 1, 4], [0, 1, 2]).names, ["1", "2", "4"]);
  assert.deepEqual(of([0, 1], [0, 1], ["a", "b"]).names, ["a", "b"]);
  assert.throws(() => of([0, 1, 4], [0, 1], ["a", "b"]), /classes from 1 to 2 wanted \(a, b\), found 4/);
});

Deno.test("a table has a line a row, quotes what has commas, and nothing of it is a formula", () => {
  const scores = { dice: 0.5, jaccard: null, hd95: null, asd: 2 };
  const row = {
    case: '=a,"b"',
    patient: null,
    phase: null,
    class: "x",
    voxels: 1,
    referenceVoxels: 2,
    milliliters: null,
    seconds: 0,
  };
  const [head, line, end] = scoresAsCsv([{ ...row, published: scores, honest: scores, millimeters: null }]).split(
    "\r\n",
  );
  assert.deepEqual([head.split(",").length, head.split(",").slice(0, 5)], [19, [
    "case",
    "patient",
    "phase",
    "class",
    "dice",
  ]]);
  assert.equal(line, `"'=a,""b""",,,x,0.5,,,2,,,,0.5,,,2,1,2,,`);
  assert.equal(end, "");
});

const score = (folder: string, ...args: string[]) =>
  runTaskFile("score", args, { rights: ["--allow-env", `--allow-write=${folder}`], env: { SSNET_HOME: folder } });

Deno.test("score writes every metric of every case, in millimeters by header, case or --spacing, and names all that cannot be", () =>
  withFolder(async (folder) => {
    const geometry = fromAffine([[-0.5, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 2, 30]]), place = { shape, geometry };
    await Deno.mkdir(`${folder}/masks`);
    await Deno.mkdir(`${folder}/images`);
    const names = ["a", "b", "c"];
    for (const [k, name] of names.entries()) {
      await writeNiftiMask(`${folder}/masks/${name}.nii.gz`, ball[k], place);
      await writeNiftiMask(`${folder}/images/${name}_gt.nii.gz`, ball[1].map((value) => 255 * value), place);
    }
    const good = await score(folder, `${folder}/masks`, `${folder}/images`, "--tolerance", "1");
    assert.equal(good.code, 0, good.error);
    const first = caseMetrics(ball[0], ball[1], shape),
      measured = caseMetrics(ball[0], ball[1], shape, [0.5, 0.5, 2], 1);
    assert.ok(good.out.startsWith(`a  foreground  Dice ${first.honest.dice.toFixed(4)}  Jaccard `), good.out);
    assert.match(good.out, / {2}NSD [\d.]+ at 1 mm {2}[\d.]+ s\n/);
    assert.match(
      good.out,
      /\nDice [\d.]+ \(95 % interval [\d.]+ to [\d.]+\) over 3 cases, .*\/scores\/.*-masks\/scores\.json\n$/,
    );
    const place1 = good.out.match(/(\/.*)\/scores\.json/)![1], scores = await readScores(place1);
    assert.deepEqual(scores.rows.map((row) => row.case), names);
    assert.deepEqual(scores.rows[0].published, first.published);
    assert.deepEqual(scores.rows[0].millimeters, {
      hd95: measured.honest.hd95,
      asd: measured.honest.asd,
      nsd: measured.nsd,
    });
    const { mean, interval } = scores.summary.honest.mean.dice;
    assert.ok(interval![0] <= mean! && mean! <= interval![1]);
    assert.equal((await Deno.readTextFile(`${place1}/scores.csv`)).trim().split("\r\n").length, 4);

    // The same voxels as a case along Z, Y, X, whose spacing was corrected: the same numbers as with --spacing.
    const turned = (mask: Uint8Array) => {
      const [nx, ny, nz] = shape, values = new Uint8Array(mask.length);
      for (let i = 0; i < mask.length; i++) {
        const [x, y, z] = [Math.floor(i / (ny * nz)), Math.floor(i / nz) % ny, i % nz];
        values[x + nx * (y + ny * z)] = mask[i];
      }
      return values;
    };
    await Deno.mkdir(`${folder}/cases`);
    for (const name of names) {
      const [nx, ny, nz] = shape;
      await writeCase(`${folder}/cases/${name}.h5`, {
        ...BARE_CASE,
        ...{
          shape: [nz, ny, nx],
          axes: "ZYX",
          image: new Float32Array(ball[0].length),
          label: turned(ball[1]),
          preparation: "x",
        },
        ...{ correctedSpacing: [3, 1.5, 1.5], patient: name < "c" ? "p" : "q", phase: name === "a" ? "ED" : "ES" },
      }, { file: "x", sha256: "" });
    }
    const output = ["--out", `${folder}/own`], of = [`${folder}/masks`, `${folder}/cases`, ...output];
    const byCase = await score(folder, ...of);
    assert.equal(byCase.code, 0, byCase.error);
    assert.match(
      byCase.error,
      /the reference does not say where it lies: the mask is taken to cover its reference's voxels \(3 cases/,
    );
    const own = await readScores(`${folder}/own`);
    assert.match(byCase.out, /over 2 patients/);
    assert.ok(own.patientSummary!.honest.mean.dice.interval && !own.summary.honest.mean.dice.interval);
    await score(folder, `${folder}/masks`, `${folder}/images`, "--spacing", "1.5x1.5x3", ...output);
    const bySpacing = await readScores(`${folder}/own`);
    const compared = (rows: typeof own.rows) =>
      rows.map(({ honest, millimeters, voxels }) => [honest.dice, millimeters!.hd95, millimeters!.nsd, voxels]);
    assert.deepEqual(compared(bySpacing.rows), compared(own.rows));
    assert.deepEqual(bySpacing.spacing, [1.5, 1.5, 3]);

    await writeNiftiMask(`${folder}/masks/a.nii.gz`, ball[0], { shape, geometry: { ...geometry, origin: [0, 0, 0] } });
    await writeNiftiMask(`${folder}/masks/b.nii.gz`, ball[0], { shape: [...shape].reverse(), geometry });
    await Deno.writeTextFile(`${folder}/masks/c.nii.gz`, "none");
    const bad = await score(folder, `${folder}/masks`, `${folder}/images`, ...output);
    assert.equal(bad.code, 3);
    assert.match(
      bad.error,
      /^Cannot score, and nothing was written:\n.*a\.nii\.gz: not where its reference is: origin \[.*\n.*b\.nii\.gz: the shape of its reference \[20,24,16\] wanted, found \[16,24,20\]\n.*c\.nii\.gz" as NIfTI/,
    );
    const alone = await score(
      folder,
      `${folder}/masks/a.nii.gz`,
      `${folder}/images/a_gt.nii.gz`,
      "--shape-only",
      ...output,
    );
    assert.equal(alone.code, 0, alone.error);
    assert.equal((await readScores(`${folder}/own`)).placesCompared, false);
    for (const args of [[`${folder}/masks`], [`${folder}/masks`, `${folder}/images`, "--spacing", "1x0x1"], []]) {
      assert.equal((await score(folder, ...args)).code, 2);
    }
  }));
