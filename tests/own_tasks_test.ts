/** A dataset of one's own through all tasks, as a user runs them: three classes, two channels, grids that differ. */
import assert from "node:assert/strict";
import { readNifti } from "../pipeline/files/nifti.ts";
import { readMetrics } from "../pipeline/records/evaluation.ts";
import { readPlanIfThere, writePlan } from "../pipeline/records/plan.ts";
import { readPredictionIfThere } from "../pipeline/records/prediction.ts";
import { readRunConfig } from "../pipeline/records/run.ts";
import { readSplit } from "../pipeline/records/split.ts";
import { writeOwnPhantoms } from "./own_phantoms.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";

/** Runs a task whose home is the folder. */
const run = (home: string, name: string, ...args: string[]) =>
  runTaskFile(name, args, {
    rights: ["--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${home}`],
    env: { SSNET_HOME: home, TMPDIR: home },
  });

/** The output of a task that ends well. */
async function task(home: string, name: string, ...args: string[]): Promise<string> {
  const { code, out, error } = await run(home, name, ...args);
  assert.equal(code, 0, `${name} ${args.join(" ")}\n${out}${error}`);
  return out;
}

Deno.test("a folder of one's own goes through every task, also by an edited plan and through folds", () =>
  withFolder(async (home) => {
    const raw = `${home}/raw/balls`, cases = `${home}/cases/balls`, own = `${home}/runs/balls-ssnet`;
    await writeOwnPhantoms(raw, { count: 8, labeled: 6, channels: 2, test: 2 });
    const lines = (await task(home, "preprocess", "balls")).split("\n");
    assert.match(
      lines[0],
      /^found: 6 cases with a label of left, right, 2 without, 2 for the test; 31 x 32 x 28 voxels at the median/,
    );
    assert.match(
      lines[1],
      /^cases: turned to LPS, resampled to 1\.55 x 1\.5 x 1\.75 mm; CT \(.* to .*\), T2 by zscore$/,
    );
    assert.match(lines[2], /^training: vnet by the protocol of LA on patches of 32 x 32 x 32, 2 \+ 2 a batch; about/);

    const stray = `${raw}/labelsTr/stray.nii.gz`, before = await Deno.readTextFile(`${cases}/manifest.json`);
    await Deno.copyFile(`${raw}/labelsTr/case0.nii.gz`, stray);
    const { code, error } = await run(home, "preprocess", "balls");
    assert.deepEqual(
      [code, /labelsTr\/stray\.nii\.gz: there is no image "stray" in imagesTr\//.test(error)],
      [3, true],
      error,
    );
    assert.equal(await Deno.readTextFile(`${cases}/manifest.json`), before);
    await Deno.remove(stray);

    const plan = (await readPlanIfThere(cases, "balls"))!;
    for (
      const [width, pattern] of [
        [
          50,
          /spacing: 50 x 50 x 50 mm leaves no voxel of left, right in any case that is trained on; a finer one wanted/,
        ],
        [0.001, /spacing: 0\.001 x .* mm makes 2\^31 voxels or more of case0, .* case9; a coarser one wanted/],
      ] as const
    ) {
      await writePlan(cases, { ...plan, spacing: [width, width, width] });
      const { code, error } = await run(home, "preprocess", "balls");
      assert.deepEqual([code, pattern.test(error), /\nChange what is named in plan\.json\n/.test(error)], [
        3,
        true,
        true,
      ], error);
      assert.equal(await Deno.readTextFile(`${cases}/manifest.json`), before);
    }
    await writePlan(cases, { ...plan, spacing: [2, 2, 2], patch: [16, 16, 16] });
    assert.match(await task(home, "preprocess", "balls"), /resampled to 2 x 2 x 2 mm.*\n.*patches of 16 x 16 x 16/);
    assert.match(await task(home, "split", "balls", "--labeled", "2"), /2 labeled, 6 unlabeled, 0 validation, 2 test/);
    assert.deepEqual((await readSplit(`${cases}/split.json`, "balls")).test, ["case8", "case9"]);
    const another = await run(home, "split", "balls", "--test-cases", "1");
    assert.deepEqual(
      [another.code, /^Cannot draw --test-cases: case8, case9 are set apart for the test/.test(another.error)],
      [2, true],
      another.error,
    );
    await task(home, "split", "balls", "--labeled", "2", "--folds", "3");
    for (const k of [0, 1, 2]) {
      const named = Object.values(await readSplit(`${cases}/split-${k}.json`, "balls")).flat();
      assert.ok(!named.includes("case8") && !named.includes("case9"));
    }

    const train = ["--iterations", "2", "--threads", "2"], fold = `${home}/runs/balls-dtc`;
    assert.match(await task(home, "train", "balls", ...train), /ssnet on balls, paper: 2 iterations; patch 16x16x16/);
    await task(home, "train", "balls", ...train, "--method", "dtc", "--split", `${cases}/split-1.json`);
    const { plan: kept, grid, training } = await readRunConfig(own);
    assert.deepEqual([kept!.protocol, kept!.spacing, grid, training.patch], [
      ...["la", [2, 2, 2], { orientation: "LPS", spacing: [2, 2, 2] }, [16, 16, 16]],
    ]);
    await Deno.remove(`${cases}/plan.json`); // a run knows it
    assert.match(await task(home, "train", "balls", "--resume", "--method", "dtc"), /balls-dtc/);
    for (const folder of [own, fold]) await task(home, "evaluate", "balls", "--run", folder, "--threads", "2");
    const { classes, rows, stride, split } = await readMetrics(`${own}/evaluation-running`);
    assert.deepEqual([classes, stride, split.test], [["left", "right"], [8, 8, 8], 2]);
    assert.ok(rows.every(({ milliliters }) => milliliters && Math.abs(milliliters.reference - 3.05) < 0.3)); // of a ball of 9 mm

    const out = `${home}/masks`, images = `${raw}/imagesTs`;
    await task(home, "predict", images, "--run", own, "-o", out, "--threads", "2");
    const { images: summary } = (await readPredictionIfThere(`${out}/summary.json`))!;
    assert.deepEqual(summary.map(({ name }) => name), ["case8", "case9"]);
    const [mask, source] = await Promise.all(
      [`${out}/case9.nii.gz`, `${images}/case9_0000.nii.gz`].map((path) => readNifti(path)),
    );
    assert.deepEqual([mask.shape, mask.geometry], [source.shape, source.geometry]);
    await task(home, "report", own, fold, "--out", `${home}/report`);
    const report = await Deno.readTextFile(`${home}/report/report.md`);
    for (
      const words of ["There are no published results here", "vnet, schedule and settings of LA, 2 + 2 rows a batch"]
    ) {
      assert.ok(report.includes(words), words);
    }
  }));
