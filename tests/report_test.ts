/** The report of run folders made for it: the right numbers in the right places, and everything else said. */
import assert from "node:assert/strict";
import { h } from "preact";
import { renderToString } from "preact-render-to-string";
import { type Geometry, reverseAxes } from "../pipeline/arrays/geometry.ts";
import { bootstrapInterval } from "../pipeline/evaluation/statistics.ts";
import { smooth, ticks } from "../pipeline/report/charts.tsx";
import { METHODS } from "../pipeline/methods/methods.ts";
import { apart } from "../pipeline/report/clinical.tsx";
import type { Comparison } from "../pipeline/report/compared_methods.ts";
import { gatherContents } from "../pipeline/report/contents.ts";
import { HtmlTable } from "../pipeline/report/html_table.tsx";
import { markdown, tableMarkdown } from "../pipeline/report/markdown.ts";
import { makeOverlay, outline } from "../pipeline/report/overlays.ts";
import { page } from "../pipeline/report/page.tsx";
import { readPublishedResults, shownCases } from "../pipeline/report/groups.ts";
import { signed } from "../pipeline/report/numbers.ts";
import { protocolSettings } from "../pipeline/report/row_settings.ts";
import type { Table } from "../pipeline/report/tables.ts";
import { readRuns } from "../pipeline/report/runs.ts";
import { writeEvaluation, writeRun } from "./report_fixture.ts";
import { linkTo } from "./symbolic_links.ts";
import type { Metrics } from "../pipeline/records/evaluation.ts";

const CASES = [{ name: "a", shift: 1 }, { name: "b", shift: 4 }, { name: "c", shift: null }, { name: "d", shift: 2 }];

const runsOf = (folders: string[]) => readRuns(folders, METHODS);
const contentsOf = (folders: string[]) => gatherContents(folders, METHODS);

async function inFolder(action: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await action(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A run with one evaluation; what is left out of `change` is as in the fixture. */
async function writeWhole(folder: string, change: Partial<Parameters<typeof writeEvaluation>[1]> = {}) {
  await writeRun(folder, { dataset: change.dataset, method: change.method });
  await writeEvaluation(folder, { cases: CASES, folder: `${folder}/cases`, ...change });
}

/** Nominal spacing of hearts. */
const NOMINAL: [number, number, number] = [1.5, 1.5, 10];

/** Without their checksum: they are changed, as by hand. */
async function readMetrics(run: string, name = "window"): Promise<Metrics> {
  const { checksum: _, ...metrics } = JSON.parse(await Deno.readTextFile(`${run}/evaluation-${name}/metrics.json`));
  return metrics;
}
async function changeMetrics(run: string, change: (metrics: Metrics) => void) {
  const metrics = await readMetrics(run);
  change(metrics);
  await Deno.writeTextFile(`${run}/evaluation-window/metrics.json`, JSON.stringify(metrics));
}

/** Cells of the first table of a Markdown text, by the words of its head. */
function firstTable(text: string): Record<string, string>[] {
  const lines = text.split("\n"), start = lines.findIndex((line) => line.startsWith("|"));
  const cells = (line: string) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim());
  const head = cells(lines[start]), rows = [];
  for (let i = start + 2; lines[i].startsWith("|"); i++) {
    const row = cells(lines[i]);
    assert.equal(row.length, head.length, lines[i]);
    rows.push(Object.fromEntries(head.map((name, k) => [name, row[k]])));
  }
  return rows;
}

Deno.test("the Markdown shows each number of the summary in its column, with its unit and standard deviation", async () => {
  await inFolder(async (root) => {
    const run = `${root}/la-8`;
    await writeWhole(run, { spacing: [0.625, 0.625, 0.625] });
    const { summary: { published, honest, millimeters } } = await readMetrics(run);
    const [row] = firstTable(markdown(await contentsOf([run]))), key = "left atrium";
    const shown = (
      { mean, standardDeviation }: { mean: number | null; standardDeviation: number | null },
      factor = 1,
    ) => `${(factor * mean!).toFixed(2)} ± ${(factor * standardDeviation!).toFixed(2)}`;
    assert.equal(row.method, "SS-Net");
    assert.equal(row.run, "la-8, window");
    assert.equal(row.labeled, "8");
    assert.equal(row["published: Dice %"], shown(published[key].dice, 100));
    assert.equal(row["published: 95HD voxels"], shown(published[key].hd95));
    assert.equal(row["honest: Jaccard %"], shown(honest[key].jaccard, 100));
    assert.equal(row["honest: ASD voxels"], shown(honest[key].asd));
    assert.equal(row["95HD mm"], shown(millimeters![key].hd95));
    assert.equal(row["ASD mm"], shown(millimeters![key].asd));
    assert.equal(row["cases with a distance"], "3 of 4");
    // The empty prediction counts as distance 0 only where the convention says so.
    assert.notEqual(row["published: 95HD voxels"], row["honest: 95HD voxels"]);
    assert.match(
      row.protocol,
      /preset fast · 300 iterations, 100 of them labeled only · 10\.0 min · .*batch norm window/,
    );
  });
});

Deno.test("published rows are those of the dataset and the number of labeled cases, with the upper bound", async () => {
  await inFolder(async (root) => {
    const dice = async (labeled: number) => {
      await writeWhole(`${root}/${labeled}`, { labeled });
      const rows = firstTable(markdown(await contentsOf([`${root}/${labeled}`])));
      return rows.slice(1).map((row) => `${row.method} ${row.labeled} ${row["published: Dice %"]} ${row["95HD mm"]}`);
    };
    const [four, eight] = [await dice(4), await dice(8)];
    assert.equal(four.length, 9);
    assert.ok(four.includes("SS-Net (2) 4 86.33 –"), four.join("\n"));
    assert.ok(eight.includes("SS-Net (2) 8 88.55 –"), eight.join("\n"));
    assert.ok(!eight.some((row) => / 4 /.test(row)));
    assert.match(eight.at(-1)!, /^V-Net, all labeled \(4\) 80 91\.47/);
    assert.deepEqual(await dice(5), []);
    assert.match(markdown(await contentsOf([`${root}/5`])), /no published results here .* 5 labeled cases/);
  });
});

Deno.test("every published mean over classes is the mean of its classes, and every row has a source", async () => {
  for (const { rows, sources } of Object.values(await readPublishedResults())) {
    for (const row of rows) assert.ok(sources[row.source], row.method);
    for (const row of rows.filter((row) => !row.class)) {
      const classes = rows.filter((one) => one.class && one.method === row.method && one.labeled === row.labeled);
      if (!classes.length) continue;
      for (const name of ["dice", "jaccard", "hd95", "asd"] as const) {
        const mean = classes.reduce((sum, one) => sum + one[name], 0) / classes.length;
        assert.ok(Math.abs(mean - row[name]) < 0.011, `${row.method} ${row.labeled} ${name}: ${mean} and ${row[name]}`);
      }
    }
  }
});

Deno.test("the protocol table marks what differs from the published protocol and nothing else", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`);
    await writeEvaluation(`${root}/r`, { name: "running", cases: CASES, folder: `${root}/cases` });
    const { groups: [group] } = await contentsOf([`${root}/r`]), settings = protocolSettings(group);
    assert.deepEqual(group.results.map(({ label }) => label), ["r, running", "r, window"]);
    const differs = (name: string) => settings.find((s) => s.name === name)!.values.map((value) => value.differs);
    assert.deepEqual(differs("Batch norm statistics"), [false, true]);
    assert.deepEqual(differs("Test cases"), [true, true]);
    assert.deepEqual(differs("Iterations"), [true, true]);
    assert.deepEqual(differs("Components"), [false, false]);
    assert.deepEqual(differs("Preset"), [false, false]);
    assert.match(markdown(await contentsOf([`${root}/r`])), /\| Test cases \| 20 \| \*\*≠ 4\*\* \| \*\*≠ 4\*\* \|/);
  });
});

Deno.test("several classes give a mean line, a line a class and one by patient, counted in patients", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/acdc`, { dataset: "acdc", spacing: NOMINAL });
    const contents = await contentsOf([`${root}/acdc`]), rows = firstTable(markdown(contents));
    const classes = ["right ventricle", "myocardium", "left ventricle"];
    assert.deepEqual(rows.slice(0, 5).map((row) => row.method), [
      "SS-Net",
      ...classes.map((name) => `SS-Net, ${name}`),
      "SS-Net, by patient, ED and ES averaged",
    ]);
    const { summary, patientSummary } = await readMetrics(`${root}/acdc`);
    const told = ({ mean, standardDeviation }: { mean: number | null; standardDeviation: number | null }) =>
      `${(100 * mean!).toFixed(2)} ± ${(100 * standardDeviation!).toFixed(2)}`;
    assert.equal(rows[0]["honest: Dice %"], told(summary.honest.mean.dice));
    assert.equal(rows[2]["honest: Dice %"], told(summary.honest.myocardium.dice));
    assert.equal(rows[4]["honest: Dice %"], told(patientSummary!.honest.mean.dice));
    assert.notEqual(rows[0]["honest: Dice %"], rows[4]["honest: Dice %"]);
    assert.deepEqual([rows[0], rows[4]].map((row) => row["cases with a distance"]), ["6 of 8", "3 of 4"]);
    assert.ok(rows.every((row) => row.labeled === "7" || row.labeled === "70"));
    assert.ok(
      rows.some((row) => row.method.startsWith("SS-Net, myocardium (") && row["published: Dice %"] === "84.34"),
    );
    const [{ values: training }] = contents.groups.flatMap(protocolSettings)
      .filter(({ name }) => name === "Training patients, labeled + unlabeled");
    assert.equal(training[0].text, "7 + 21");
  });
});

Deno.test("the best checkpoint's selection is named, with what was validated how often", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`, { dataset: "acdc", name: "running-best" });
    const contents = await contentsOf([`${root}/r`]);
    const [setting] = contents.groups.flatMap(protocolSettings).filter(({ name }) => name === "Checkpoint");
    assert.equal(setting.publishedValue, "best of the validation list, every 200 iterations");
    assert.deepEqual(setting.values, [{ text: "best of the validation list, every 20 iterations", differs: true }]);
    const html = page(contents), validation = contents.runs[0].validation;
    assert.equal(validation.length, 15);
    assert.equal(html.match(/<title>[^<]*r, iteration \d+: [\d.]+<\/title>/g)!.length, 16); // 15 points and the ring
    assert.ok(html.includes(`<title>best, r, iteration 280: ${(100 * validation[13].value).toFixed(2)}</title>`));
  });
});

Deno.test("clinical tables hold each number of metrics.json, marked where the spacing is nominal", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`, { dataset: "acdc", spacing: NOMINAL });
    const { clinical, patients } = await readMetrics(`${root}/r`), text = markdown(await contentsOf([`${root}/r`]));
    const [agreement, of] = ["### Volumes and ejection fractions", "### Patients of"].map((head) =>
      firstTable(text.slice(text.indexOf(head)))
    );
    assert.deepEqual(agreement.map(({ quantity }) => quantity), [
      "LV EDV, nominal ml",
      "LV ESV, nominal ml",
      "LV EF, %",
      "RV EDV, nominal ml",
      "RV ESV, nominal ml",
      "RV EF, %",
      "LV mass, nominal g",
    ]);
    const { bias, limits, meanAbsolute } = clinical!["LV ESV"];
    assert.equal(agreement[1].bias, signed(bias));
    assert.deepEqual([agreement[1]["lower limit"], agreement[1]["upper limit"]], limits!.map((value) => signed(value)));
    assert.equal(agreement[1]["mean absolute error"], meanAbsolute!.toFixed(1));
    // An empty prediction has volumes, of 0 ml, but no ejection fraction.
    assert.deepEqual(agreement.map((row) => row.patients), ["4", "4", "3", "4", "4", "3", "4"]);
    const { predicted, reference, error } = patients[0].values["LV ESV"];
    assert.ok(error! > 0, "the fixture's left ventricles are too large");
    assert.equal(of[0]["LV ESV, nominal ml"], `${predicted!.toFixed(1)} / ${reference!.toFixed(1)} (${signed(error)})`);
    assert.match(of[2]["LV EF, %"], /^– \/ [\d.]+ \(–\)$/);
    assert.match(text, /Ejection fractions do not depend on it/);
    // No mm, ml or g of a nominal spacing stands in the head of a table without the word.
    for (const [head] of text.matchAll(/^\|.*\|$(?=\n\| ---)/gm)) {
      assert.doesNotMatch(head, /\| ([^|]* )?(?<!nominal )(mm|ml|g) \|/);
    }
  });
});

Deno.test("without a spacing there are ejection fractions, but no volumes; LA has no clinical part", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/acdc`, { dataset: "acdc" });
    await writeWhole(`${root}/la`);
    const html = page(await contentsOf([`${root}/acdc`]));
    assert.deepEqual(html.match(/Bland–Altman plot of [^"]+/g), [
      "Bland–Altman plot of LV EF",
      "Bland–Altman plot of RV EF",
    ]);
    assert.ok(!/nominal/.test(html));
    assert.ok(!page(await contentsOf([`${root}/la`])).includes("Bland–Altman"));
  });
});

Deno.test("a Bland–Altman plot has a dot a patient, bias and limits with their values, and a range that holds them", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`, { dataset: "acdc", spacing: NOMINAL });
    const { clinical, patients } = await readMetrics(`${root}/r`), html = page(await contentsOf([`${root}/r`]));
    const plot = html.slice(html.indexOf(`aria-label="Bland–Altman plot of LV EDV"`)).split("</svg>")[0];
    const circles = [...plot.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map((
      [, x, y],
    ) => [Number(x), Number(y)]);
    assert.equal(circles.length, 4);
    const line = (style: string) =>
      [...plot.matchAll(new RegExp(`<line class="${style}"[^>]* y1="([\\d.]+)"`, "g"))].map(([, y]) => Number(y));
    const { bias, limits } = clinical!["LV EDV"], values = patients.map(({ values }) => values["LV EDV"]);
    for (const value of [bias, ...limits!]) assert.ok(plot.includes(`>${signed(value)}<`), signed(value));
    // The two outermost dots give the scale of the other dots and of the lines.
    const errors = values.map(({ error }) => error!), [low, high] = [Math.min(...errors), Math.max(...errors)];
    const top = circles[errors.indexOf(high)][1], bottom = circles[errors.indexOf(low)][1];
    assert.ok(top < bottom);
    const y = (error: number) => bottom + (top - bottom) * (error - low) / (high - low);
    const assertNear = (found: number, error: number) => assert.ok(Math.abs(found - y(error)) < 0.2);
    errors.forEach((error, i) => assertNear(circles[i][1], error));
    assertNear(line("bias")[0], bias!);
    line("limit").forEach((found, i) => assertNear(found, limits![1 - i]));
    assert.equal(line("limit").length, 2);
  });
});

Deno.test("labels that would cover each other are moved apart around their middle", () => {
  assert.deepEqual(apart([50, 52, 90], 20), [44, 64, 84]);
  assert.deepEqual(apart([10, 40], 20), [10, 40]);
});

Deno.test("best, median and worst are by Dice; an even number takes the lower middle, ties go by name", () => {
  const of = (...dice: (number | null)[]) =>
    shownCases({
      rows: dice.map((d, i) => ({ case: `c${i}`, honest: { dice: d } })),
    } as Metrics).map(({ rank, name }) => `${rank} ${name}`);
  assert.deepEqual(of(0.5, 0.9, 0.7, 0.1, 0.8), ["best c1", "median c2", "worst c3"]);
  assert.deepEqual(of(0.5, 0.9, 0.7, 0.1), ["best c1", "median c0", "worst c3"]);
  assert.deepEqual(of(0.5, 0.5, 0.5), ["best c2", "median c1", "worst c0"]);
  assert.deepEqual(of(0.5, 0.9), ["best c1", "worst c0"]);
  assert.deepEqual(of(0.5, null), ["only c0"]);
  assert.deepEqual(of(null), []);
});

Deno.test("an outline follows the edges of its pixels, around holes and over diagonals", () => {
  const from = (...rows: string[]) =>
    outline((x, y) => rows[y][x] === "#", { width: rows[0].length, height: rows.length });
  assert.equal(from("....", ".##.", "...."), "M1 1h2v1h-2z");
  assert.equal(from("..", ".."), "");
  // The area inside a loop, signed by its direction: holes count against it.
  const area = (path: string) => {
    let x = 0, y = 0, start = 0, sum = 0;
    for (const [, command, a, b] of path.matchAll(/([Mhvz])(-?\d+)?(?: (\d+))?/g)) {
      if (command === "M") [x, y, start] = [Number(a), Number(b), Number(b)];
      else if (command === "h") x += Number(a);
      else {
        const down = command === "v" ? Number(a) : start - y;
        sum += x * down;
        y += down;
      }
    }
    return sum;
  };
  const ring = from("#####", "#...#", "#.#.#", "#...#", "#####");
  assert.equal(area(ring), 17);
  assert.equal(ring.match(/M/g)!.length, 3);
  assert.equal(area(from("#.", ".#")), 2);
  assert.equal(area(from("##.#", "#.##", ".###")), 9);
});

Deno.test("an overlay sorts voxels into right, extra, missed and confused, slice by slice, in either order of axes", () => {
  const at = (x: number, z: number) => 2 * x + z, flipped = (x: number, z: number) => 4 * z + x;
  const made = (place: typeof at) => {
    const label = new Uint8Array(8), prediction = new Uint8Array(8);
    label[place(0, 1)] = label[place(1, 1)] = 1;
    prediction[place(1, 1)] = prediction[place(2, 1)] = 1;
    label[place(3, 1)] = 1;
    prediction[place(3, 1)] = 2;
    const image = new Float32Array(8);
    for (const z of [0, 1]) for (let x = 0; x < 4; x++) image[place(x, z)] = x + 4 * z;
    return { label, prediction, image };
  };
  const geometry = { spacing: [2, 3, 5], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] } as Geometry;
  const forward = { name: "c", shape: [4, 1, 2], axes: "XYZ", geometry, correctedSpacing: null } as const,
    { prediction, ...one } = made(at);
  const overlay = makeOverlay({ ...forward, shape: [4, 1, 2], ...one }, prediction, 2);
  const { slices, shown, montage, width, height } = overlay;
  assert.deepEqual(slices.map(({ z }) => z), [0, 1]);
  assert.deepEqual(slices[0].differences, ["", "", "", "", ""]);
  assert.deepEqual(slices[1].differences, ["M1 0h1v1h-1z", "", "M2 0h1v1h-1z", "M0 0h1v1h-1z", "M3 0h1v1h-1z"]);
  assert.deepEqual(slices[1].prediction, ["M1 0h2v1h-2z", "M3 0h1v1h-1z"]);
  assert.deepEqual(slices[1].reference, ["M0 0h2v1h-2zM3 0h1v1h-1z", ""]);
  assert.deepEqual([width, height, montage.columns, montage.rows], [4, 1, 2, 1]);
  assert.equal(overlay.aspect, 1.5);
  assert.deepEqual(shown.map(({ index }) => index), [1, 1, 1, 1]);
  const turned = made(flipped);
  assert.deepEqual(
    makeOverlay(
      { ...forward, ...turned, shape: [2, 1, 4], axes: "ZYX", geometry: reverseAxes(geometry) },
      turned.prediction,
      2,
    ),
    overlay,
  );
  assert.throws(
    () => makeOverlay({ ...forward, shape: [4, 1, 2], ...one, label: new Uint8Array(8) }, new Uint8Array(8), 2),
    /both empty/,
  );
});

Deno.test("the page escapes names from files, reaches no network and closes its script early nowhere", async () => {
  await inFolder(async (root) => {
    const run = `${root}/r`;
    await writeWhole(run);
    const name = `<img src=x onerror="alert(1)">|*x*`, evil = `</script>${name}`;
    await changeMetrics(run, (metrics) => {
      for (const row of metrics.rows) if (row.case === "a") row.case = name;
      metrics.split.source = evil;
    });
    const contents = await contentsOf([run]), html = page(contents), text = markdown(contents);
    assert.ok(!html.includes("<img"));
    assert.ok(html.includes("&lt;img src=x onerror=&quot;alert(1)&quot;>|*x*"));
    const [address] =
      html.replaceAll(/base64,[\w+/=]+/g, "").match(/.{20}(https?:|\/\/[a-z]|@import|url\((?!#)).{20}/i) ?? [];
    assert.equal(address, undefined);
    assert.ok(html.includes(`Content-Security-Policy" content="default-src 'none'; img-src data:;`));
    assert.equal(html.match(/<script/g)!.length, html.match(/<\/script>/g)!.length);
    assert.ok(text.includes(String.raw`\<img src=x onerror="alert(1)"\>\|\*x\*`), "escaped in the Markdown too");
  });
});

Deno.test("a case whose image or mask is gone is a note in both forms; the others are still shown", async () => {
  await inFolder(async (root) => {
    const run = `${root}/r`;
    await writeWhole(run);
    const figures = async () => page(await contentsOf([run])).match(/data:image\/png/g)?.length ?? 0;
    assert.equal(await figures(), 3);
    await Deno.remove(`${run}/cases/a.h5`);
    await Deno.writeTextFile(`${run}/evaluation-window/c.nii.gz`, "no NIfTI");
    await Deno.remove(`${run}/evaluation-window/d.nii.gz`); // neither best, median nor worst
    assert.equal(await figures(), 1);
    const contents = await contentsOf([run]);
    for (const text of [page(contents), contents.notes.join("\n")]) {
      assert.ok(/no slices of the best case a: .*cases\/a\.h5/.test(text));
      assert.ok(/no slices of the worst case c: Cannot read .*c\.nii\.gz.* as NIfTI/.test(text));
    }
    assert.match(markdown(contents), /- r, window: no slices of the best case a/);
  });
});

Deno.test("a slice's picture is clipped to its own tile of the montage, with voxels as high as they are", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`, { spacing: [1, 2, 3], cases: CASES.slice(0, 1) });
    const html = page(await contentsOf([`${root}/r`]));
    const pictures = [
      ...html.matchAll(
        /<svg class="slice" viewBox="0 0 (\d+) (\d+)"[^>]*><svg width="(\d+)" height="(\d+)" viewBox="0 0 (\d+) (\d+)" preserveAspectRatio="none"><use/g,
      ),
    ].map(([, ...sizes]) => sizes.map(Number));
    assert.equal(pictures.length, html.match(/<use /g)!.length);
    for (const [width, height, w, h, columns, rows] of pictures) {
      assert.deepEqual([width, height, w, h], [columns, 2 * rows, columns, 2 * rows]);
    }
  });
});

Deno.test("a spacing that only some cases have is said beside the mm", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`, { spacing: [0.625, 0.625, 0.625] });
    await changeMetrics(`${root}/r`, (metrics) => metrics.rows[0].millimeters = null);
    assert.deepEqual((await contentsOf([`${root}/r`])).notes, [
      "r, window: the mm leave out 1 case whose spacing is not known",
    ]);
  });
});

Deno.test("a corrected spacing stands in the protocol's table; cases that were not all prepared alike are a note", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`, { spacing: [0.625, 0.625, 0.625] });
    await changeMetrics(`${root}/r`, (metrics) => {
      metrics.trainingPreparations = ["as published", "whole"];
      metrics.correctedSpacings = [{ header: [1, 1, 1], used: [0.625, 0.625, 0.625], cases: ["a", "b"] }];
    });
    const contents = await contentsOf([`${root}/r`]);
    assert.deepEqual(contents.notes, ["r, window: its cases were not all prepared alike: as published; whole"]);
    const text = "from the images; spacing 0.625 x 0.625 x 0.625 mm instead of the header's 1 x 1 x 1 mm (2 cases)";
    assert.ok(markdown(contents).includes(text));
  });
});

Deno.test("runs of several datasets and label counts get a table each, and the page says so", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/la-4`, { labeled: 4 });
    await writeWhole(`${root}/la-8`, { labeled: 8 });
    await writeWhole(`${root}/acdc`, { dataset: "acdc" });
    const contents = await contentsOf(["la-4", "la-8", "acdc"].map((name) => `${root}/${name}`));
    assert.deepEqual(contents.groups.map(({ dataset, labeled, results }) => [dataset, labeled, results.length]), [
      ["la", 4, 1],
      ["la", 8, 1],
      ["acdc", 7, 1],
    ]);
    assert.match(contents.notes.join(), /different datasets \(la, acdc\)/);
    const html = page(contents);
    for (const dataset of ["la", "acdc"]) assert.ok(html.includes(`Learning curves: ${dataset}<`));
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length, "ids are unique in the page");
  });
});

Deno.test("a run without evaluation, unfinished, resumed, diverged or half-logged is reported with a note", async () => {
  await inFolder(async (root) => {
    const run = `${root}/r`;
    await writeRun(run, { iterations: 20 });
    const log = (...rows: string[]) => Deno.writeTextFile(`${run}/metrics.jsonl`, rows.join("\n"));
    const row = (iteration: number, total: number | null) => JSON.stringify({ iteration, total, seconds: 30 });
    await log(row(1, 0.9), row(2, 0.8), row(3, 0.7), row(2, 0.75), row(3, null), `{"iteration": 4, "tot`);
    const [{ minutes, curves, notes }] = await runsOf([`${run}/`]);
    assert.equal(minutes, 2.5);
    assert.deepEqual(curves.total, [{ iteration: 1, value: 0.9 }, { iteration: 2, value: 0.75 }]);
    for (
      const wanted of [
        /diverged/,
        /2 iterations were computed twice/,
        /not finished: 3 of 20/,
        /no evaluation-\* folder/,
      ]
    ) assert.match(notes.join("\n"), wanted);
    assert.ok(page(await contentsOf([run])).includes("Learning curves"));
    await log(row(1, 0.9), ...[2, 4].map((iteration) => JSON.stringify({ iteration, total: null, skipped: 1 })), "");
    const left = (await runsOf([run]))[0];
    assert.match(left.notes.join("\n"), /^the training diverged: 2 steps .* were not taken \(iteration 2, 4\)\n/);
    assert.deepEqual(Object.keys(left.curves), ["total"]);
    // Any word may be a key of a log, those that every object has too.
    await log(...[2, 4].map((iteration) => `{"iteration": ${iteration}, "toString": 0.5}`), "");
    const gaps = (await runsOf([run]))[0];
    assert.deepEqual(Object.keys(gaps.curves), ["toString"]);
    assert.match(gaps.notes.join("\n"), /lacks iterations 1, 3: neither curves nor minutes/);
    assert.ok(page(await contentsOf([run])).includes(">toString<"));
    await Deno.remove(`${run}/metrics.jsonl`);
    assert.match((await runsOf([run]))[0].notes.join("\n"), /no metrics\.jsonl/);
  });
});

Deno.test("an evaluation behind a symbolic link is one of its run", () =>
  inFolder(async (root) => {
    await writeWhole(`${root}/run`);
    await Deno.rename(`${root}/run/evaluation-window`, `${root}/elsewhere`);
    await linkTo({ [`${root}/run/evaluation-window`]: "../elsewhere" });
    const [run] = await runsOf([`${root}/run`]);
    assert.deepEqual(run.evaluations.map(({ name }) => name), ["window"]);
  }));

Deno.test("all unreadable folders and files are named at once, as bad data", async () => {
  await inFolder(async (root) => {
    for (const name of ["json", "form", "dataset", "log", "summary"]) await writeWhole(`${root}/${name}`);
    await Deno.writeTextFile(`${root}/json/evaluation-window/metrics.json`, `{"dataset": "la"`);
    await changeMetrics(`${root}/form`, (metrics) => metrics.rows = []);
    await changeMetrics(`${root}/dataset`, (metrics) => metrics.dataset = "acdc");
    await Deno.writeTextFile(`${root}/log/metrics.jsonl`, `{"iteration": 1}\nnot JSON\n{"iteration": 3}\n`);
    await assert.rejects(
      runsOf(["missing", "json", "form", "dataset", "log"].map((n) => `${root}/${n}`)),
      (e: Error) => {
        assert.equal(e.name, "DataError");
        assert.match(e.message, /missing\/config\.json"/);
        assert.match(e.message, /json\/evaluation-window\/metrics\.json"/);
        assert.match(e.message, /form\/evaluation-window\/metrics\.json"[^]*rows/);
        assert.match(e.message, /its dataset is "acdc", that of its run "la"/);
        assert.match(e.message, /log\/metrics\.jsonl": line 2/);
        return true;
      },
    );
    await changeMetrics(`${root}/summary`, (metrics) => metrics.rows[0].honest.dice = 1e308);
    await assert.rejects(runsOf([`${root}/summary`]), /metrics\.json"[^]*rows\[0\]\.honest\.dice/);
    await changeMetrics(`${root}/summary`, (metrics) => metrics.rows[0].honest.dice = 0.5);
    await changeMetrics(`${root}/summary`, (metrics) => delete metrics.summary.honest["left atrium"]);
    await assert.rejects(runsOf([`${root}/summary`]), /its summary lacks "left atrium"/);
  });
});

/** One cell of a grid; `dice` by the number of the case and, of ACDC, the frame; a 0 is an empty mask. */
interface Cell {
  run?: Parameters<typeof writeRun>[1];
  change?: (metrics: Metrics) => void;
  dice: (patient: number, frame: number) => number;
}

/**
 * Run folders without masks, an evaluation each, of left atria c0 … or, of ACDC, hearts with two frames. Jaccard is half
 * the Dice, 95HD 10 times what is missing to 1, ASD a tenth of that.
 */
async function writeGrid(
  root: string,
  { patients, cells, dataset = "la" }: { patients: number; cells: Record<string, Cell>; dataset?: "la" | "acdc" },
): Promise<string[]> {
  await writeWhole(`${root}/base`, { dataset, cases: [{ name: "c0", shift: 1 }] });
  const base = await readMetrics(`${root}/base`);
  for (const [name, { run = {}, change, dice }] of Object.entries(cells)) {
    await writeRun(`${root}/${name}`, { dataset, ...run });
    const metrics = { ...structuredClone(base), method: run.method ?? "ssnet", iteration: run.iterations ?? 300 };
    metrics.rows = Array.from({ length: patients }, (_, k) =>
      base.rows.map((row) => {
        const value = dice(k, Number(row.phase === "ES")), isEmpty = value === 0;
        const numbers = { dice: value, jaccard: value / 2 };
        return {
          ...{ ...row, case: row.case.replace("c0", `c${k}`), patient: row.patient && `c${k}`, millimeters: null },
          published: { ...numbers, hd95: isEmpty ? 0 : 10 * (1 - value), asd: isEmpty ? 0 : 1 - value },
          honest: { ...numbers, hd95: isEmpty ? null : 10 * (1 - value), asd: isEmpty ? null : 1 - value },
        };
      })).flat();
    change?.(metrics);
    await Deno.mkdir(`${root}/${name}/evaluation-window`, { recursive: true });
    await Deno.writeTextFile(`${root}/${name}/evaluation-window/metrics.json`, JSON.stringify(metrics));
  }
  return Object.keys(cells).map((name) => `${root}/${name}`);
}

const comparisonsOf = async (folders: string[]): Promise<Comparison[]> =>
  [...(await contentsOf(folders)).comparisons.values()].flat();

Deno.test("a comparison has a row a method: mean and interval over patients, standard deviation over seeds, its published row", async () => {
  await inFolder(async (root) => {
    // Dyadic numbers: sums are exact.
    const ssnet = (seed: number) => (k: number) => 0.75 + k / 64 + seed / 32, other = (k: number) => 0.625 + k / 128;
    const lowResolution = { patch: [32, 32], iterations: 600 };
    const folders = await writeGrid(root, {
      patients: 8,
      cells: {
        a1: { run: { seed: 1 }, dice: ssnet(1) },
        b2: { run: { method: "ua_mt", seed: 2 }, dice: other },
        a0: { run: { seed: 0 }, dice: ssnet(0) },
        c: {
          run: { method: "supervised", seed: 1, iterations: 900, lowResolution },
          dice: (k) => 0.875 - (k % 2 ? k : -k) / 128,
        },
      },
    });
    const contents = await contentsOf(folders), text = markdown(contents);
    const rows = firstTable(text), [table] = await comparisonsOf(folders);
    assert.deepEqual(rows.map((row) => row.method), ["SS-Net", "labeled only", "UA-MT"]);
    assert.deepEqual(rows.map((row) => row.seeds), ["0, 1", "1", "2"]);
    assert.deepEqual(rows.map((row) => row.schedule), [
      "300 iterations, 100 labeled only",
      "900 iterations, 600 of 32x32",
      "300 iterations, 100 labeled only",
    ]);
    // Seeds averaged: 0.75 + k/64 + 1/64; their means differ by 1/32.
    const values = Array.from({ length: 8 }, (_, k) => 0.75 + k / 64 + 1 / 64),
      [low, high] = bootstrapInterval(values)!;
    const told = (value: number) => (100 * value).toFixed(2);
    assert.equal(
      rows[0]["Dice %"],
      `${told(0.75 + 4.5 / 64)} ± ${told(Math.SQRT1_2 / 32)} [${told(low)}, ${told(high)}]`,
    );
    assert.match(rows[2]["Jaccard %"], /^32\.62 \[/); // one seed: no standard deviation
    assert.deepEqual(rows.map((row) => [row["published: Dice %"], row["published: ASD voxels"]]), [
      ["88.55 (2)", "1.90"],
      ["82.74 (1)", "3.26"],
      ["87.79 (1)", "2.12"],
    ]);
    assert.match(
      text,
      /Published numbers stand under their own protocol; this table's differs from it in: Iterations; .*Batch norm/,
    );
    assert.equal(table.convention, "both");
    assert.match(text, /Protocol of every row: Preset: fast · .*Checkpoint: last · Batch norm statistics: window/);
    assert.match(text, /· Components: largest component of each class · Empty masks: none, both conventions agree\.$/m);
    const patients = firstTable(text.slice(text.indexOf("Dice % of the cases")));
    assert.equal(patients.length, 8);
    assert.deepEqual(patients[3], {
      cases: "c3",
      "SS-Net": told(values[3]),
      "UA-MT": "64.84",
      "labeled only": "85.16",
    });
  });
});

Deno.test("SS-Net is tested against every other method, each number a family with Holm's correction, in both forms", async () => {
  await inFolder(async (root) => {
    const folders = await writeGrid(root, {
      patients: 8,
      cells: {
        s: { dice: (k) => 0.75 + k / 64 },
        u: { run: { method: "ua_mt" }, dice: () => 0.5 },
        // SS-Net minus this: 1, 2, 3, -4, 5, 6, 7, 8 parts of 128.
        d: { run: { method: "dtc" }, dice: (k) => 0.75 + k / 64 - (k === 3 ? -4 : k + 1) / 128 },
      },
    });
    const contents = await contentsOf(folders), text = markdown(contents), html = page(contents);
    const tests = firstTable(text.slice(text.indexOf("| number |")));
    assert.equal(tests.length, 8);
    assert.deepEqual(tests.map((row) => row.number.split(" ")[0]), [
      ...["Dice", "Dice", "Jaccard", "Jaccard", "95HD", "95HD", "ASD", "ASD"],
    ]);
    assert.deepEqual(tests[0], {
      ...{ number: "Dice %", "SS-Net against": "UA-MT", patients: "8", "mean difference": "+30.47", W: "0" },
      ...{ p: "0.0078", "p, Holm": "0.0156", distribution: "exact" },
    });
    // 14 of 256 choices of signs give 4 or less as the smaller sum: {}, 1, 2, 3, 1+2, 4, 1+3 on either side.
    assert.deepEqual([tests[1].W, tests[1].p, tests[1]["p, Holm"]], ["4", "0.0547", "0.0547"]);
    assert.equal(tests[4]["mean difference"], "−3.05");
    const rows = html.slice(html.indexOf("SS-Net against")).match(/<tr><th scope="row">(UA-MT|DTC)<.*?<\/tr>/g)!;
    assert.ok(rows[0].includes(">+30.47<") && rows[0].includes(">0.0078<") && rows[0].includes(">0.0156<"), rows[0]);
    assert.equal(rows.length, 8);
  });
});

Deno.test("with fewer than 8 patients, without SS-Net or without another method there is a sentence and no test", async () => {
  await inFolder(async (root) => {
    const cells = {
      s: { dice: () => 0.75 },
      s2: { run: { seed: 2 }, dice: () => 0.75 },
      u: { run: { method: "ua_mt" }, dice: () => 0.5 },
      u2: { run: { method: "ua_mt", seed: 2 }, dice: () => 0.5 },
    };
    const of = (patients: number, ...names: (keyof typeof cells)[]) =>
      writeGrid(root, { patients, cells: Object.fromEntries(names.map((name) => [name, cells[name]])) });
    const told = async (folders: string[], sentence: string) => {
      const contents = await contentsOf(folders);
      for (const text of [markdown(contents), page(contents)]) {
        assert.ok(text.includes(sentence), sentence);
        assert.ok(!text.includes("p, Holm"));
      }
    };
    await told(await of(7, "s", "u"), "No test is possible: it wants at least 8 patients, here: 7.");
    await told(await of(8, "u", "u2"), "No test: SS-Net as published is not in this table.");
    await told(await of(8, "s", "s2"), "No test: there is no other method beside SS-Net in this table.");
    assert.deepEqual(await comparisonsOf(await of(8, "s")), []);
  });
});

Deno.test("rows of different protocols never share a table; its title says what differs", async () => {
  await inFolder(async (root) => {
    const dice = () => 0.5, supervised = { method: "supervised" }, paper = { preset: "paper" } as const;
    const changes: Record<string, [Cell, RegExp]> = {
      norm: [{ dice, change: (m) => m.batchNorm = "running" }, /^Batch norm statistics: running$/],
      preset: [{ dice, run: paper }, /^Preset: paper$/],
      average: [{ dice, run: { ema: true } }, /^Tested weights: moving average$/],
      rate: [{ dice, run: { rateSchedule: "cosine" } }, /^Rate schedule: cosine$/],
      crop: [{ dice, change: (m) => m.preparations = ["whole volume"] }, /^Preparation: whole volume$/],
      crops: [
        { dice, change: (m) => m.preparations = ["as published", "whole"] },
        /^Preparation: as published; whole$/,
      ],
      checkpoint: [
        { dice, change: (m) => m.checkpoint = "best" },
        /^Checkpoint: best of the validation list, every 20/,
      ],
      largest: [{ dice, change: (m) => m.components = "all" }, /^Components: all components$/],
      case: [{ dice, change: (m) => m.rows[0].case = "x" }, /^Lists of cases: number 2 of 2/],
      split: [{
        dice,
        run: {
          split: { profile: "la", source: "x", labeled: ["y"], unlabeled: [], validation: [], test: [] },
        },
      }, /^Lists of cases: number 2 of 2/],
      schedule: [{ dice, run: { seed: 2, iterations: 299 } }, /^Schedule: 299 iterations, 100 labeled only$/],
    };
    for (const [name, [cell, title]] of Object.entries(changes)) {
      const cells = { s: { dice }, l: { run: supervised, dice }, [name]: cell };
      const tables = await comparisonsOf(await writeGrid(`${root}/${name}`, { patients: 8, cells }));
      assert.ok(
        tables.length > 1 && tables.some((table) => title.test(table.title)),
        `${name}: ${tables.map((table) => table.title).join(" | ")}`,
      );
      const other = tables.find((table) => title.test(table.title))!;
      assert.deepEqual(other.methods.map(({ method }) => method), ["ssnet"], name);
    }
  });
});

Deno.test("where a mask is empty both conventions have a table, and published rows stand beside theirs alone", async () => {
  await inFolder(async (root) => {
    const folders = await writeGrid(root, {
      patients: 8,
      cells: {
        s: { dice: (k) => k === 2 ? 0 : 0.75 + k / 64 },
        u: { run: { method: "ua_mt" }, dice: (k) => 0.5 + k / 64 },
      },
    });
    const tables = await comparisonsOf(folders), contents = await contentsOf(folders);
    assert.deepEqual(tables.map(({ convention }) => convention), ["published", "honest"]);
    assert.deepEqual(tables.map(({ title }) => title), [
      "Empty masks: published convention",
      "Empty masks: honest convention",
    ]);
    const [published, honest] = tables.map(({ methods: [ssnet] }) => ssnet);
    assert.deepEqual([published.numbers.hd95.values.c2, honest.numbers.hd95.values.c2], [0, null]);
    assert.deepEqual([published.publishedRow?.dice, honest.publishedRow], [88.55, null]);
    const text = markdown(contents), second = text.slice(text.indexOf("#### Empty masks: honest"));
    assert.match(firstTable(second)[0]["95HD voxels"], /\(7 of 8\)$/);
    assert.equal(firstTable(second)[0]["published: Dice %"], undefined);
    const distances = firstTable(second.slice(second.indexOf("| number |"))).filter((row) =>
      row.number === "95HD voxels"
    );
    assert.equal(distances[0].W, "no test: 7 patients have a value in both, a test wants at least 8");
    assert.ok(page(contents).includes("no test: 7 patients have a value in both"));
  });
});

Deno.test("a seed counts once, an unfinished training not at all, and other options of a method are no seeds", async () => {
  await inFolder(async (root) => {
    const dice = () => 0.5,
      folders = await writeGrid(root, {
        patients: 8,
        cells: {
          s: { run: { settings: { bankWeights: "ones" } }, dice },
          twin: { run: { settings: { bankWeights: "ones" } }, dice },
          short: { run: { seed: 2, settings: { bankWeights: "ones" } }, dice, change: (m) => m.iteration = 200 },
          learned: { run: { settings: { bankWeights: "learned" } }, dice: () => 0.25 },
        },
      });
    const { notes } = await contentsOf(folders), [{ methods, tests }] = await comparisonsOf(folders);
    const leftOut = notes.filter((note) => note.includes("left out"));
    assert.deepEqual(leftOut, [
      "twin, window: left out of the comparison, SS-Net with seed 1337 is in it from s, window",
      "short, window: left out of the comparison, evaluated after 200 of 300 iterations",
    ]);
    assert.deepEqual(methods.map(({ label, seeds }) => [label, seeds]), [
      ["SS-Net", [1337]],
      ["SS-Net, bankWeights learned", [1337]],
    ]);
    assert.deepEqual(methods.map(({ publishedRow }) => publishedRow?.dice), [88.55, undefined]);
    assert.ok("pairs" in tests && tests.pairs[0].difference === 0.25);
    // With one run left there is nothing to compare, and the note says why.
    const pair = await contentsOf(folders.slice(0, 2));
    assert.deepEqual([...pair.comparisons.values()], [[]]);
    assert.equal(pair.notes.filter((note) => note.includes("left out")).length, 1);
  });
});

Deno.test("seeds of one row have the same settings, whatever is printed of them; a setting as published may be left out", async () => {
  await inFolder(async (root) => {
    const dice = () => 0.5;
    const folders = await writeGrid(root, {
      patients: 8,
      cells: {
        silent: { run: { seed: 1 }, dice },
        telling: { run: { seed: 2, settings: { bankRows: 32, bankKeeps: "lowest" } }, dice },
        ablation: { run: { seed: 3, settings: { bankRows: 16, bankKeeps: "highest" } }, dice },
        turned: { run: { seed: 4, settings: { bankKeeps: "highest", bankRows: 16 } }, dice },
        other: { run: { method: "ua_mt", seed: 1 }, dice },
      },
    });
    // Methods of one title are as far apart as any.
    const titled = Object.entries(METHODS).map(([key, method]) => [key, { ...method, title: "the method" }]);
    const { comparisons } = await gatherContents(folders, Object.fromEntries(titled));
    const [[{ methods }]] = comparisons.values();
    assert.deepEqual(methods.map(({ method, label, seeds }) => [method, label, seeds]), [
      ["ssnet", "the method", [1, 2]],
      ["ssnet", "the method, bankRows 16, bankKeeps highest", [3, 4]],
      ["ua_mt", "the method", [1]],
    ]);
  });
});

Deno.test("SS-Net as published is what is tested, wherever its ablations stand", async () => {
  await inFolder(async (root) => {
    const folders = await writeGrid(root, {
      patients: 8,
      cells: {
        alone: { run: { settings: { smoothnessWeight: 0, separationWeight: 0 } }, dice: () => 0.25 },
        whole: { run: { settings: { smoothnessWeight: 1, separationWeight: 0.1, bankRows: 32 } }, dice: () => 0.5 },
      },
    });
    const [{ methods, tests }] = await comparisonsOf(folders);
    const alone = "SS-Net, smoothnessWeight 0, separationWeight 0";
    assert.deepEqual(methods.map(({ label }) => label), ["SS-Net", alone]);
    assert.deepEqual(methods.map(({ publishedRow }) => publishedRow?.dice), [88.55, undefined]);
    assert.ok("pairs" in tests && tests.reference === "SS-Net" && tests.pairs[0].against === alone);
  });
});

Deno.test("a patient of two frames is one unit, averaged over both", async () => {
  await inFolder(async (root) => {
    const folders = await writeGrid(root, {
      ...{ dataset: "acdc", patients: 8 },
      cells: {
        s: { dice: (k, frame) => 0.5 + k / 32 + frame / 8 },
        bcp: { run: { method: "bcp" }, dice: (k, frame) => 0.25 + k / 64 + frame / 8 },
      },
    });
    const [{ methods: [ssnet, bcp], patients, tests }] = await comparisonsOf(folders);
    assert.deepEqual(patients, Array.from({ length: 8 }, (_, k) => `c${k}`));
    assert.equal(ssnet.numbers.dice.values.c2, 0.5 + 2 / 32 + 1 / 16);
    assert.deepEqual([bcp.publishedRow?.dice, ssnet.publishedRow?.dice], [88.84, 86.78]);
    assert.ok("pairs" in tests && tests.pairs[0].patients === 8);
  });
});

Deno.test("a table says the same in both forms: marks, sources, parts, sections, and one cell for all that are missing", () => {
  const group = { title: "of two", detail: "a detail" };
  const table: Table = {
    ...{ title: "folded <x>", caption: "before", note: "after", sectionColumn: "where" },
    columns: [
      ...[{ name: "name" }, { name: "run", isBeneath: true }, { name: "plain" }],
      ...[{ name: "our a", head: "a", group, isNumber: true }, { name: "our b", head: "b", group, isNumber: true }],
    ],
    sections: [
      {
        title: "here",
        rows: [
          { cells: ["*m*", "r", { text: "x", differs: true }, { text: "1", details: ["± 2"], source: 1 }, "–"] },
          { cells: ["p", "r", "why not"], partOf: "m", isBold: true },
        ],
      },
      { title: "there", detail: "of all", rows: [{ cells: ["n", "s", "y", "3", "4"] }] },
    ],
  };
  assert.deepEqual(tableMarkdown(table, "##"), [
    ...["## folded \\<x\\>", "", "before", ""],
    "| where | name | run | plain | our a | our b |",
    "| --- | --- | --- | --- | --: | --: |",
    "| here | \\*m\\* | r | **≠ x** | 1 ± 2 (2) | – |",
    "| here | m, p | r | why not | – | – |",
    "| there | n | s | y | 3 | 4 |",
    ...["", "there: of all.", "", "after", ""],
  ]);
  assert.equal(
    renderToString(h(HtmlTable, { table })),
    `<details><summary>folded &lt;x></summary><p class="quiet">before</p><div class="scroll"><table><thead>` +
      `<tr><th></th><th></th><th class="group first" colspan="2" scope="colgroup">of two<small>a detail</small></th></tr>` +
      `<tr><th scope="col">name, run</th><th scope="col">plain</th><th class="number first" scope="col">a</th>` +
      `<th class="number" scope="col">b</th></tr></thead>` +
      `<tbody><tr class="section-row"><th colspan="4" scope="rowgroup"><span>here</span></th></tr>` +
      `<tr><th scope="row"><strong>*m*</strong><small>r</small></th><td class="differs">≠ x</td>` +
      `<td class="number first">1\u00a0<sup>b</sup><small>± 2</small></td><td class="number none">–</td></tr>` +
      `<tr class="part bold"><th scope="row">p</th><td class="none" colspan="3">why not</td></tr></tbody>` +
      `<tbody><tr class="section-row"><th colspan="4" scope="rowgroup"><span>there<small>of all</small></span></th></tr>` +
      `<tr><th scope="row">n</th><td>y</td><td class="number first">3</td><td class="number">4</td></tr></tbody>` +
      `</table></div><p>after</p></details>`,
  );
});

Deno.test("the report imports no method and nothing that computes", () => {
  const folder = new URL("../pipeline/report/", import.meta.url);
  for (const { name } of Deno.readDirSync(folder)) {
    const found = Deno.readTextFileSync(new URL(name, folder)).match(
      /from "\.\.\/(methods|networks|losses|tensorflow)\/.*/,
    );
    assert.equal(found, null, name);
  }
});

Deno.test("ticks are round numbers over the range; smoothing keeps constants, lines and the length", () => {
  assert.deepEqual(ticks(0, 1, 4), [0, 0.25, 0.5, 0.75, 1]);
  assert.deepEqual(ticks(60, 100, 8), [60, 65, 70, 75, 80, 85, 90, 95, 100]);
  assert.deepEqual(ticks(0, 15000, 4), [0, 5000, 10000, 15000]);
  assert.deepEqual(smooth([2, 2, 2, 2], 3), [2, 2, 2, 2]);
  assert.deepEqual(smooth([0, 1, 2, 3, 4], 3), [0, 1, 2, 3, 4]);
  assert.deepEqual(smooth([0, 3, 0], 3), [0, 1, 0]);
});

Deno.test("the task takes run folders as arguments, writes both files and ends with the page's path", async () => {
  await inFolder(async (root) => {
    await writeWhole(`${root}/r`);
    const task = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--allow-read",
          "--allow-env",
          `--allow-write=${root}`,
          "tasks/report.ts",
          ...args,
        ],
        cwd: new URL("..", import.meta.url),
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { code, stdout: text(stdout), stderr: text(stderr) };
    };
    const done = await task(`${root}/r`, "--out", `${root}/page`);
    assert.equal(done.code, 0, done.stderr);
    assert.equal(done.stdout.trim().split("\n").at(-1), `report: ${root}/page/report.html`);
    assert.deepEqual([...Deno.readDirSync(`${root}/page`)].map((f) => f.name).sort(), ["report.html", "report.md"]);
    assert.equal((await task()).code, 2);
    const missing = await task(`${root}/none`);
    assert.equal(missing.code, 3);
    assert.match(missing.stderr, /Cannot read the options of the run ".*none\/config\.json": there is no such file/);
  });
});
