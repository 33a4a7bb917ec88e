/** The report's sheet of augmented patches: what it draws, and what stands there where the cases are gone. */
import assert from "node:assert/strict";
import { decode } from "fast-png";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { cinePhantom } from "../pipeline/datasets/acdc/phantom.ts";
import { fingerprintOf } from "../pipeline/datasets/prepared_case.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { BARE_CASE, type Case, writeCase } from "../pipeline/records/case.ts";
import { writeManifest } from "../pipeline/records/manifest.ts";
import { writeRunConfig } from "../pipeline/records/run.ts";
import { gatherContents } from "../pipeline/report/contents.ts";
import { page } from "../pipeline/report/page.tsx";
import { readPatchSheet, readPatchSheets, SHEET_PATCHES } from "../pipeline/report/patch_sheet.ts";
import { readRuns } from "../pipeline/report/runs.ts";
import { runConfig } from "./run_config.ts";
import { withFolder } from "./with_folder.ts";

const LEFT_ATRIUM = (name: string): Case => ({
  ...BARE_CASE,
  preparation: "as published",
  name,
  shape: [48, 40, 32],
  ...phantom(3, name, [48, 40, 32]),
});
const HEART = (name: string): Case => ({
  ...{ ...BARE_CASE, preparation: "as published", name, shape: [12, 64, 56], axes: "ZYX" },
  ...cinePhantom(3, name, [12, 64, 56]).ED,
});

Deno.test("a sheet has sixteen patches with their labels, the same again, others of another augmentation or seed", () =>
  withFolder(async (folder) => {
    for (
      const [dataset, make, patch, classes, longest] of [
        ["la", LEFT_ATRIUM, [32, 16, 16], 2, 32],
        ["acdc", HEART, [64, 160], 4, 160],
      ] as const
    ) {
      const cases = `${folder}/cases-${dataset}`, names = ["a", "b", "c"];
      await Deno.mkdir(cases);
      const known: Parameters<typeof writeManifest>[1]["cases"] = {}, source = { file: "phantom", sha256: "" };
      for (const name of names) {
        const one = make(name);
        await writeCase(`${cases}/${name}.h5`, one, source);
        known[name] = fingerprintOf(one, one, { sources: [source], classes });
      }
      await writeManifest(cases, { dataset, options: {}, cases: known });
      const split = { profile: dataset, source: "test", labeled: names, unlabeled: [], validation: [], test: [] };
      const run = async (name: string, how: object) => {
        const path = `${folder}/${dataset}-${name}`;
        await Deno.mkdir(path);
        await writeRunConfig(path, runConfig({ split, patch: [...patch], cases, ...how }));
        return path;
      };
      const paths = [
        await run("published", {}),
        await run("strong", { augmentation: "strong" }),
        await run("seed", { augmentation: "strong", seed: 2 }),
        await run("gone", { augmentation: "strong", patch: patch.map((n) => n + 16), cases: `${folder}/nowhere` }),
      ];
      const runs = await readRuns(paths, METHODS), [published, strong, seed] = runs;
      const sheet = await readPatchSheet(strong), { montage: { png, tile, columns, rows } } = sheet;
      assert.deepEqual([sheet.width, sheet.height], dataset === "la" ? [32, 16] : [160, 64]);
      assert.deepEqual([columns, rows, sheet.outlines.length], [4, 4, SHEET_PATCHES]);
      assert.ok(sheet.outlines.every((paths) => paths.length === classes - 1));
      assert.ok(sheet.outlines.some((paths) => paths.every(Boolean)), "some patch shows every class");
      const step = Math.ceil(longest / 128), { width, height, data } = decode(png);
      assert.deepEqual([width, height], [4 * Math.ceil(sheet.width / step), 4 * Math.ceil(sheet.height / step)]);
      assert.deepEqual([tile.width * 4, tile.height * 4], [width * step, height * step]);
      assert.ok(new Set(data).size > 50, "gray levels");
      if (dataset === "acdc") continue;
      assert.deepEqual(await readPatchSheet(strong), sheet);
      for (const other of [published, seed]) {
        assert.notDeepEqual((await readPatchSheet(other)).montage.png.toBase64(), png.toBase64());
      }

      // A sheet for each way of drawing them; of cases that are gone the reason.
      const shown = await readPatchSheets(runs);
      assert.deepEqual(shown.map(({ run, sheet }) => [run.name, sheet !== null]), [
        [`${dataset}-published`, true],
        [`${dataset}-strong`, true],
        [`${dataset}-gone`, false],
      ]);
      assert.match(shown[2].problem!, /nowhere/);
      const html = page(await gatherContents(paths, METHODS));
      assert.equal(html.match(/<figure class="sheet"/g)!.length, 3);
      assert.ok(
        html.includes(png.toBase64()) && html.includes(", augmentation strong, patch ") && html.includes("nowhere"),
      );
    }
  }));
