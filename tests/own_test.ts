/** A dataset of one's own: layouts, what is wrong with a folder, the plan, the cases it makes, folds and groups. */
import assert from "node:assert/strict";
import { encode } from "fast-png";
import { meanAndStandardDeviation } from "../pipeline/arrays/intensity.ts";
import { orientationOf } from "../pipeline/arrays/orientation.ts";
import { cinePatients, prepareCine } from "../pipeline/datasets/acdc/cardiac_cine.ts";
import { writeRawHearts } from "../pipeline/datasets/acdc/phantom.ts";
import { prepareLeftAtrium } from "../pipeline/datasets/la/left_atria.ts";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import type { PreparedCase } from "../pipeline/datasets/prepared_case.ts";
import { encodeNrrdMask } from "../pipeline/files/nrrd.ts";
import { DATASETS, findDataset } from "../pipeline/datasets/datasets.ts";
import { drawFolds, drawnLists, foldLists, groupsByPattern, parseTable } from "../pipeline/datasets/lists.ts";
import type { CaseFingerprint } from "../pipeline/datasets/own/fingerprint.ts";
import { type Layout, readLayout } from "../pipeline/datasets/own/layout.ts";
import { intensitiesOf, manifestOptions, ownDataset } from "../pipeline/datasets/own/own.ts";
import { planDataset, proposePlan, targetSpacing, type Training } from "../pipeline/datasets/own/plan.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { encodeNiftiMask, readNifti } from "../pipeline/files/nifti.ts";
import { decodePng } from "../pipeline/files/png.ts";
import { writeManifest } from "../pipeline/records/manifest.ts";
import { type Plan, readPlanIfThere, writePlan } from "../pipeline/records/plan.ts";
import { checkSplit } from "../pipeline/records/split.ts";
import { ownPhantom, writeDescription, writeOwnPhantoms } from "./own_phantoms.ts";
import { withFolder } from "./with_folder.ts";

/** What an NRRD says of its place. */
const LPS = {
  space: "left-posterior-superior",
  "space directions": "(0.625,0,0) (0,0.625,0) (0,0,0.625)",
  "space origin": "(1,2,3)",
};
const WISHES = { memory: 8, memoryOf: () => 1 };

/** The lines of what is refused. */
async function problemsOf(what: Promise<unknown>): Promise<string[]> {
  const error = await what.then(() => null, (error) => error);
  assert.ok(error instanceof DataError, String(error));
  return error.message.split("\n").map((line) => line.trim());
}
const has = (lines: string[], pattern: RegExp) =>
  assert.ok(lines.some((line) => pattern.test(line)), `${pattern} in\n${lines.join("\n")}`);

async function touch(raw: string, ...files: string[]) {
  for (const file of files) {
    await Deno.mkdir(`${raw}/${file}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${raw}/${file}`, "");
  }
}
const planOf = async (raw: string, stored: Plan | null = null) =>
  (await planDataset(raw, "own", { stored, wishes: WISHES })).plan;

Deno.test("nnU-Net's layout, the Decathlon's and plain folders give the same cases", () =>
  withFolder(async (folder) => {
    const files = (images: string, labels: string, suffix: string) => [
      ...["a", "b", "c"].map((name) => `${images}/${name}${suffix}.nii.gz`),
      ...["a", "b"].map((name) => `${labels}/${name}.nii.gz`),
    ];
    await touch(`${folder}/new`, ...files("imagesTr", "labelsTr", "_0000"), "imagesUn/d_0000.nii.gz");
    await touch(`${folder}/new`, "imagesTs/e_0000.nii.gz", "imagesTs/f_0000.nii.gz", "labelsTs/e.nii.gz");
    await writeDescription(`${folder}/new`, { numTraining: 2, name: "Balls" });
    await touch(`${folder}/old`, ...files("imagesTr", "labelsTr", ""));
    const training = ["a", "b"].map((name) => ({
      image: `./imagesTr/${name}.nii.gz`,
      label: `./labelsTr/${name}.nii.gz`,
    }));
    const labels = { 0: "background", 1: "left", 2: "right" };
    await writeDescription(`${folder}/old`, { channel_names: undefined, modality: { 0: "CT" }, labels, training });
    await touch(`${folder}/plain`, ...files("images", "labels", ""));
    const [now, old, plain] = await Promise.all(
      ["new", "old", "plain"].map((name) => readLayout(`${folder}/${name}`, name)),
    );
    const told = ({ cases }: Layout) =>
      cases.map(({ name, label, isTest }) => `${name}${label ? "+" : "-"}${isTest ? "t" : ""}`);
    assert.deepEqual(told(now), ["a+", "b+", "c-", "d-", "e+t"]);
    assert.deepEqual([told(old), told(plain)], [["a+", "b+", "c-"], ["a+", "b+", "c-"]]);
    assert.deepEqual([now.title, old.title, now.classes, old.classes, plain.classes], [
      ...["Balls", "old", ["left", "right"], ["left", "right"], null],
    ]);
    assert.deepEqual([now.channels, old.channels[0].normalization], [[{ name: "CT", normalization: "CT" }], "CT"]);
    assert.match(now.notes.join(), /1 image of imagesTs\/ without a label in labelsTs\/, which predict takes/);
  }));

Deno.test("a number at the end of a name is a channel's where _0000 is there, and else part of the name", () =>
  withFolder(async (raw) => {
    await touch(raw, "images/slice_0001.png", "images/slice_0002.png", "labels/slice_0001.png");
    assert.deepEqual((await readLayout(raw, "own")).cases.map(({ name }) => name), ["slice_0001", "slice_0002"]);
    await touch(`${raw}/b`, "images/x_0000.mha", "images/x_0001.mha", "labels/x.mha");
    const { cases: [{ channels }] } = await readLayout(`${raw}/b`, "own");
    assert.deepEqual(channels, ["images/x_0000.mha", "images/x_0001.mha"]);
  }));

Deno.test("everything that is wrong with names and dataset.json is told at once, by file or key", () =>
  withFolder(async (raw) => {
    await touch(
      raw,
      "imagesTr/a_0000.nii.gz",
      "imagesTr/a_0000.nii",
      "imagesTr/b_0001.nii.gz",
      "imagesTr/c_0000.nii.gz",
    );
    await touch(raw, "labelsTr/d.nii.gz", "imagesUn/c_0000.nii.gz", "imagesTr/notes.txt");
    const labels = { background: 0, liver: 1, tumor: [1, 2], ignore: 3, edge: 5 };
    await writeDescription(raw, {
      labels,
      numTraining: 7,
      training: [{ image: "imagesTr/z.nii.gz", label: "labelsTr/z.nii.gz" }],
    });
    const lines = await problemsOf(readLayout(raw, "own"));
    for (
      const pattern of [
        /labels\.tumor: one number wanted, found the region \[1,2\]/,
        /labels\.ignore: labels to be ignored are not known here/,
        /labels from 0 on without a gap wanted, 2, 3, 4 missing/,
        /imagesTr\/a_0000: one file wanted, found imagesTr\/a_0000\.nii and imagesTr\/a_0000\.nii\.gz/,
        /file_ending is "\.nii\.gz", and imagesTr\/ has a_0000\.nii$/,
        /imagesTr\/b: 1 channel wanted, missing b_0000, beyond them imagesTr\/b_0001\.nii\.gz/,
        /labelsTr\/d\.nii\.gz: there is no image "d" in imagesTr/,
        /the name "c" stands in two folders: imagesTr\/c_0000\.nii\.gz and imagesUn\/c_0000\.nii\.gz/,
        /numTraining is 7, and imagesTr\/ has 3 images, 0 of them with a label/,
        /training names imagesTr\/z\.nii\.gz, which is not in/,
        /no case has a label: files in labelsTr\/ of the images' names wanted/,
      ]
    ) has(lines, pattern);
    has(
      await problemsOf(readLayout(`${raw}/labelsTr`, "own")),
      /imagesTr\/ with labelsTr\/ .* wanted, found d\.nii\.gz/,
    );
    await Deno.writeTextFile(`${raw}/dataset.json`, "{");
    has(await problemsOf(readLayout(raw, "own")), /Cannot read the description of the dataset .* no JSON/);
  }));

Deno.test("everything that is wrong with images and labels is told at once, by file, with found and wanted", () =>
  withFolder(async (raw) => {
    await writeOwnPhantoms(raw, { count: 7, labeled: 7, channels: 2 });
    const at = (name: string) => `${raw}/labelsTr/${name}.nii.gz`,
      grid = { spacing: [3, 3, 3], orientation: "RAS" } as const;
    const other = ownPhantom("case0", { ...grid, spacing: [3, 3, 3], channels: 2 });
    await Deno.writeFile(at("case0"), other.label); // another grid
    await Deno.writeFile(`${raw}/imagesTr/case1_0001.nii.gz`, other.images[1]); // channels of two grids
    const { data, ...label } = await readNifti(at("case2"));
    await Deno.writeFile(at("case2"), encodeNiftiMask(Uint8Array.from(data, (value) => value && value + 1), label)); // 2 and 3
    const change = async (path: string, edit: (view: DataView) => void) => {
      const stream = new Blob([await Deno.readFile(path)]).stream().pipeThrough(new DecompressionStream("gzip"));
      const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
      edit(new DataView(bytes.buffer));
      await Deno.writeFile(path, bytes);
    };
    await change(`${raw}/imagesTr/case3_0000.nii.gz`, (view) => {
      view.setInt16(40, 4, true); // axes
      view.setInt16(48, 2, true); // the fourth
    });
    for (const [name, width] of [["case4", 0], ["case5", NaN]] as const) {
      await change(`${raw}/imagesTr/${name}_0000.nii.gz`, (view) => {
        view.setInt16(252, 0, true);
        view.setInt16(254, 0, true);
        view.setFloat32(80, width, true);
      });
    }
    const lines = await problemsOf(planOf(raw));
    has(lines, /^Cannot prepare 6 of 7 cases in .*; nothing was written:$/);
    has(lines, /^case0 +labelsTr\/case0\.nii\.gz: the shape of its image \[32,32,24\] wanted, found \[16,16,16\]$/);
    has(
      lines,
      /^case1 +imagesTr\/case1_0001\.nii\.gz: the shape of its channel 0 \[32,32,24\] wanted, found \[16,16,16\]$/,
    );
    has(lines, /^case2 +labelsTr\/case2\.nii\.gz: a label of 0 to 2 wanted, found 0, 2, 3$/);
    has(
      lines,
      /^case3 +.*case3_0000\.nii\.gz" as NIfTI: 3 axes wanted, found the sizes \[\d+,\d+,\d+,2\]; save the volume/,
    );
    has(lines, /^case4 +.*case4_0000\.nii\.gz" as NIfTI: its pixdim is \[1,0,.*\]; widths above 0 wanted$/);
    has(lines, /^case5 +.*case5_0000\.nii\.gz" as NIfTI: its pixdim is \[1,NaN/);
  }));

Deno.test("a class without a voxel in any label is refused by its name", () =>
  withFolder(async (raw) => {
    await writeOwnPhantoms(raw, { count: 2, labeled: 2 });
    await writeDescription(raw, { labels: { background: 0, left: 1, right: 2, spleen: 3 }, numTraining: 2 });
    has(await problemsOf(planOf(raw)), /no label has a voxel of spleen; leave the class out of dataset\.json/);
  }));

Deno.test("a plan that was edited into nonsense is refused by its keys, one for other files by what differs", () =>
  withFolder(async (raw) => {
    await writeOwnPhantoms(raw, { count: 4, labeled: 2 });
    const plan = await planOf(raw), path = `${raw}/plan.json`;
    const refused = async (changes: object, ...patterns: RegExp[]) => {
      await Deno.writeTextFile(path, JSON.stringify({ ...plan, ...changes }));
      const lines = await problemsOf(readPlanIfThere(raw, "own"));
      for (const pattern of patterns) has(lines, pattern);
      has(lines, /correct what is named, or remove the file/);
    };
    await refused(
      { patch: [100, 32, 32], spacing: [0, 1, 1], orientation: "LLP" },
      /at patch\[0\]/,
      /at spacing/,
      /at orientation/,
    );
    await refused({ patch: [32, 32] }, /3 multiples of 16 wanted for vnet, found 2/);
    await refused({ network: "unet" }, /2 multiples of 16 wanted for unet, found 3/, /"acdc" wanted for unet/);
    await refused(
      { overlap: 1, batch: { labeled: 0, unlabeled: 2 }, patches: 1 },
      /at overlap/,
      /at batch\.labeled/,
      /"patches"/,
    );
    const [channel] = plan.channels, foreground = { ...channel.foreground, standardDeviation: 0 };
    await refused(
      { channels: [{ ...channel, foreground }] },
      /CT wants low below high, and a standard deviation above 0/,
    );
    await writePlan(raw, plan);
    assert.deepEqual(await readPlanIfThere(raw, "own"), plan);
    const other = await problemsOf(planOf(raw, { ...plan, classes: ["left"], channels: [channel, channel] }));
    has(other, /classes: left, right wanted, found left/);
    has(other, /channels: 1 channel wanted, found 2/);
  }));

const caseOf = (shape: [number, number, number], spacing: [number, number, number] | null): CaseFingerprint => ({
  name: "a",
  shape,
  spacing,
  direction: spacing && [-1, 0, 0, 0, -1, 0, 0, 0, 1],
  voxels: [1, 10],
  foreground: [Float32Array.from({ length: 1001 }, (_, i) => i)],
});
const LAYOUT: Layout = {
  title: "own",
  channels: [{ name: "CT", normalization: "CT" }],
  classes: ["a"],
  cases: [],
  notes: [],
};
const proposed = (cases: CaseFingerprint[], wishes: Partial<Parameters<typeof proposePlan>[1]["wishes"]> = {}) =>
  proposePlan("own", { layout: LAYOUT, cases, wishes: { ...WISHES, ...wishes } });

Deno.test("the target spacing is the median, of the coarse axis of anisotropic data the 10th percentile, no finer than the others", () => {
  const shapes = (n: number): [number, number, number][] => Array.from({ length: 3 }, () => [300, 300, n]);
  const widths = (...z: number[]): [number, number, number][] => z.map((width) => [1, 0.8, width]);
  assert.deepEqual(targetSpacing(widths(2, 3, 2.5), shapes(40)), [1, 0.8, 2.5]); // less than 3 times
  assert.deepEqual(targetSpacing(widths(2, 6, 5), shapes(40)), [1, 0.8, 2.6]);
  assert.deepEqual(targetSpacing(widths(0.5, 6, 5), shapes(40)), [1, 0.8, 1.4]);
  assert.deepEqual(targetSpacing(widths(0.5, 0.5, 0.5, 9, 9, 9, 9), shapes(40)), [1, 0.8, 1]);
  assert.deepEqual(targetSpacing(widths(2, 6, 5), shapes(200)), [1, 0.8, 5]); // as many voxels as the others
});

Deno.test("a plan is volumes on patches that cover the median size, or slices where an axis has fewer than 16 voxels", () => {
  const volumes = proposed([caseOf([100, 90, 40], [1, 1, 2]), caseOf([100, 90, 50], [1, 1, 2])]);
  assert.deepEqual([volumes.network, volumes.protocol, volumes.orientation], ["vnet", "la", "LPS"]);
  assert.deepEqual([volumes.patch, volumes.spacing, volumes.batch], [[112, 96, 48], [1, 1, 2], {
    labeled: 2,
    unlabeled: 2,
  }]);
  assert.deepEqual(volumes.channels[0].foreground, { low: 5, high: 995, mean: 500, standardDeviation: 288.964 });
  const slices = proposed([caseOf([200, 180, 10], [1.5, 1.5, 10])]);
  assert.deepEqual([slices.network, slices.protocol, slices.orientation], ["unet", "acdc", "SPL"]);
  assert.deepEqual([slices.patch, slices.spacing, slices.batch.labeled], [[192, 208], null, 12]);
  assert.deepEqual(proposed([caseOf([8, 180, 200], [9, 1, 1])]).orientation, "LSP"); // sagittal ones
  const pictures = proposed([caseOf([64, 48, 1], null)]);
  assert.deepEqual([pictures.orientation, pictures.patch, pictures.spacing], ["SPL", [48, 64], null]);
  assert.deepEqual(proposed([caseOf([200, 180, 10], [1.5, 1.5, 10])], { network: "vnet" }).patch, [208, 192, 16]);
});

Deno.test("less memory takes a shorter patch, of slices fewer rows first, and is told where nothing fits", () => {
  const memoryOf = ({ patch, batch }: Training) => patch.reduce((a, n) => a * n, batch.labeled + batch.unlabeled) / 1e6;
  const volumes = proposed([caseOf([96, 96, 48], [1, 1, 1])], { memoryOf, memory: 1 });
  assert.deepEqual([volumes.patch, volumes.batch], [[80, 80, 32], { labeled: 2, unlabeled: 2 }]);
  const slices = proposed([caseOf([256, 256, 10], [1, 1, 10])], { memoryOf, memory: 0.5 });
  assert.deepEqual([slices.patch, slices.batch], [[256, 256], { labeled: 3, unlabeled: 3 }]);
  assert.throws(
    () => proposed([caseOf([96, 96, 48], [1, 1, 1])], { memoryOf, memory: 0.01 }),
    /in 0\.01 GB: the smallest/,
  );
});

Deno.test("each normalization is its formula", () => {
  const foreground = { low: 0, high: 10, mean: 4, standardDeviation: 2 }, image = Float32Array.of(-5, 0, 10, 25, 20);
  const by = (normalization: Plan["channels"][number]["normalization"]) =>
    intensitiesOf({ name: "", normalization, foreground }, image);
  assert.deepEqual(by("CT"), Float32Array.of(-2, -2, 3, 3, 3));
  assert.deepEqual(by("rescale_to_0_1"), Float32Array.from(image, (value) => (value + 5) / 30));
  assert.deepEqual(by("noNorm"), image);
  const { mean, standardDeviation } = meanAndStandardDeviation(by("zscore"));
  assert.ok(Math.abs(mean) < 1e-6 && Math.abs(standardDeviation - 1) < 1e-6);
});

Deno.test("cases are turned and resampled to one grid: what lies in the world stays there, and nothing is done where nothing must", () =>
  withFolder(async (raw) => {
    await writeOwnPhantoms(raw, { count: 4, labeled: 4, channels: 2 });
    const plan = await planOf(raw), { preparation } = ownDataset({ ...plan, spacing: [1.5, 1.5, 2] });
    assert.deepEqual(await preparation.names(raw), ["case0", "case1", "case2", "case3"]);
    for (const name of await preparation.names(raw)) {
      const result = await preparation.prepare(raw, name, {});
      assert.ok(!("problems" in result));
      const [{ prepared, fingerprint }] = result, { geometry, shape, label, image } = prepared;
      assert.deepEqual([shape, orientationOf(geometry!.direction), image.length], [
        [32, 32, 24],
        "LPS",
        2 * 32 * 32 * 24,
      ]);
      assert.ok(geometry!.spacing.every((width, axis) => Math.abs(width - [1.5, 1.5, 2][axis]) < 1e-5));
      assert.equal(fingerprint.sources.length, 3);
      // The same balls, drawn on this grid at once.
      const wanted = ownPhantom(name, { spacing: [1.5, 1.5, 2], orientation: "LPS", channels: 2 });
      await Deno.writeFile(`${raw}/wanted.nii.gz`, wanted.label);
      const { data, geometry: place } = await readNifti(`${raw}/wanted.nii.gz`);
      place!.origin.forEach((at, axis) => assert.ok(Math.abs(at - geometry!.origin[axis]) < 1e-4));
      for (const k of [1, 2]) {
        const [a, b] = [label!, data].map((values) => new Set([...values.keys()].filter((i) => values[i] === k)));
        assert.ok(2 * a.intersection(b).size / (a.size + b.size) > 0.93, `${name}, class ${k}`);
      }
      if (name > "case1") continue;
      const source = await readNifti(`${raw}/imagesTr/${name}_0000.nii.gz`);
      assert.deepEqual(image.slice(0, source.data.length), intensitiesOf(plan.channels[0], source.data));
      assert.deepEqual([label!.length, prepared.header], [data.length, source.header]);
    }
  }));

Deno.test("the published datasets' files laid out as one's own give the published preparation's voxels, labels and places", () =>
  withFolder(async (folder) => {
    const own = async (name: string, changes: Partial<Plan>) => {
      const plan = { ...await planOf(`${folder}/${name}`), ...changes };
      const { preparation } = ownDataset(plan), names = await preparation.names(`${folder}/${name}`);
      const results = await Promise.all(names.map((one) => preparation.prepare(`${folder}/${name}`, one, {})));
      return results.flatMap((result) => "problems" in result ? assert.fail(result.problems.join()) : result);
    };
    const same = (a: PreparedCase, b: PreparedCase) => {
      const of = ({ prepared: { shape, image, label, geometry, header, axes } }: PreparedCase) => ({
        shape,
        image,
        label,
        geometry,
        header,
        axes,
      });
      assert.deepEqual(of(a), of(b));
    };
    await writeRawHearts(`${folder}/acdc`, { seed: 1, count: 2, shape: [4, 32, 28] });
    const frames = await Promise.all(
      cinePatients(`${folder}/acdc`).map((name) => prepareCine(`${folder}/acdc`, name, { nominalSpacing: false })),
    );
    for (const part of ["imagesTr", "labelsTr"]) await Deno.mkdir(`${folder}/hearts/${part}`, { recursive: true });
    const published = frames.flatMap((result) => "problems" in result ? assert.fail(result.problems.join()) : result);
    for (const { prepared: { name, patient } } of published) {
      const [from, to] = [`${folder}/acdc/${patient}/${name}`, `${folder}/hearts`];
      await Deno.copyFile(`${from}.nii.gz`, `${to}/imagesTr/${name}_0000.nii.gz`);
      await Deno.copyFile(`${from}_gt.nii.gz`, `${to}/labelsTr/${name}.nii.gz`);
    }
    const labels = { background: 0, right: 1, myocardium: 2, left: 3 };
    await writeDescription(`${folder}/hearts`, { labels, channel_names: { 0: "rescale_to_0_1" } });
    const hearts = await own("hearts", {});
    assert.equal(hearts.length, published.length);
    hearts.forEach((one, i) => same(one, published[i]));

    const shape = [30, 28, 20] as const,
      { image, label } = phantom(5, "a", shape),
      gray = Uint8Array.from(image, (v) => 60 + 20 * v);
    const place = { shape, axes: "XYZ", geometry: null, place: LPS } as const;
    for (const part of ["la/a", "atria/images", "atria/labels"]) {
      await Deno.mkdir(`${folder}/${part}`, { recursive: true });
    }
    const write = (path: string, values: Uint8Array) =>
      Deno.writeFile(`${folder}/${path}`, encodeNrrdMask(values, place));
    await write("la/a/lgemri.nrrd", gray);
    await write("la/a/laendo.nrrd", label.map((value) => 255 * value));
    await write("atria/images/a.nrrd", gray);
    await write("atria/labels/a.nrrd", label);
    const options = { crop: "none", seed: 1, spacing: "header", nominalSpacing: false } as const;
    const atrium = await prepareLeftAtrium(`${folder}/la`, "a", options);
    assert.ok("prepared" in atrium);
    same((await own("atria", {}))[0], atrium);
  }));

Deno.test("gray pictures are volumes of one slice; colors are refused", () =>
  withFolder(async (raw) => {
    for (const folder of ["images", "labels"]) await Deno.mkdir(`${raw}/${folder}`);
    for (const name of ["a", "b"]) {
      const label = Uint8Array.from({ length: 20 * 18 }, (_, i) => Number(i % 20 > 9));
      const picture = (data: Uint8Array) => encode({ width: 20, height: 18, channels: 1, depth: 8, data });
      await Deno.writeFile(`${raw}/images/${name}.png`, picture(label.map((value, i) => 100 * value + i % 7)));
      await Deno.writeFile(`${raw}/labels/${name}.png`, picture(label));
    }
    const plan = await planOf(raw), { preparation, axes } = ownDataset(plan);
    assert.deepEqual([plan.network, plan.classes, plan.patch, axes], ["unet", ["label 1"], [32, 32], "ZYX"]);
    const result = await preparation.prepare(raw, "a", {});
    assert.ok(!("problems" in result));
    const [{ prepared: { shape, label, geometry } }] = result;
    assert.deepEqual([shape, geometry, [...label!.subarray(8, 12)]], [[1, 18, 20], null, [0, 0, 1, 1]]);
    const colors = encode({ width: 1, height: 1, channels: 3, depth: 8, data: Uint8Array.of(1, 2, 3) });
    assert.throws(() => decodePng(colors, "a.png"), /1 channel wanted, found 3; save each as a gray picture/);
    assert.throws(() => decodePng(Uint8Array.of(1, 2, 3), "a.png"), /Cannot read "a\.png" as PNG/);
  }));

Deno.test("a name is a dataset of the project, or one's own by its plan; a plan edited behind its cases is told", () =>
  withFolder(async (folder) => {
    await writeOwnPhantoms(`${folder}/raw`, { count: 2, labeled: 2 });
    const plan = await planOf(`${folder}/raw`);
    assert.equal(await findDataset("la"), DATASETS.la);
    has(
      await problemsOf(findDataset("own", folder)),
      /unknown dataset "own"; nearest is .*, known are la, acdc.*; one of your own/,
    );
    await writePlan(folder, plan);
    await writeManifest(folder, { dataset: "own", options: manifestOptions(plan), cases: {} });
    const { name, classes, classNames, stride, publishedResults } = await findDataset("own", folder);
    assert.deepEqual([name, classes, classNames, stride, publishedResults], [
      "own",
      3,
      ["left", "right"],
      [16, 16, 16],
      null,
    ]);
    await writePlan(folder, { ...plan, patch: [16, 16, 16] });
    assert.deepEqual((await findDataset("own", folder)).patch, [16, 16, 16]);
    await writePlan(folder, { ...plan, spacing: [1, 1, 1] });
    has(
      await problemsOf(findDataset("own", folder)),
      /cases beside it were made by another one.*deno task preprocess own/,
    );
  }));

const labels = (names: string[], bare: string[] = []) =>
  Object.fromEntries(
    names.map((name) => [name, { labelVoxels: bare.includes(name) ? null : { 1: 1 } }]),
  ) as unknown as Parameters<
    typeof drawnLists
  >[0]["cases"];

Deno.test("each labeled case is tested in one fold; cases without a label are trained on in all", () => {
  const names = Array.from({ length: 9 }, (_, i) => `case${i}`), cases = labels(names, ["case7", "case8"]);
  const choice = { cases, unit: "case", labeled: 2, validation: 1, seed: 7 } as const;
  const folds = drawFolds(choice, 3, ["case0"]), all = folds.flatMap(({ val }) => val);
  assert.deepEqual(all.toSorted(), names.slice(1, 7));
  for (const { train, val } of folds) assert.deepEqual([...train, ...val].sort(), names.slice(1, 7));
  const lists = foldLists(choice, folds, ["case0"]);
  lists.forEach(({ labeled, unlabeled, validation, test }, k) => {
    assert.deepEqual([test, labeled.length, validation.length], [folds[k].val, 2, 1]);
    assert.deepEqual([...labeled, ...unlabeled, ...validation, ...test].sort(), names.slice(1));
    assert.ok(unlabeled.includes("case7") && unlabeled.includes("case8"));
  });
  assert.deepEqual(foldLists(choice, folds, ["case0"]), lists);
  assert.throws(
    () => foldLists(choice, [{ train: ["case1", "x"], val: ["case8"] }], []),
    /not here are x; without a label are case8/,
  );
  assert.throws(() => drawFolds(choice, 8, []), /Cannot draw 8 folds: 7 cases with a label/);
});

Deno.test("groups by a pattern or a table are drawn whole, and a split that parts one is refused", () => {
  const names = ["p1_a", "p1_b", "p2_a", "p2_b", "p3_a", "p4_a"], groups = groupsByPattern(names, /^(p\d)/);
  const table = parseTable("case,patient\n" + names.map((name) => `"${name}";${name.slice(0, 2)}`).join("\r\n"));
  assert.deepEqual(table, { case: "patient", ...groups });
  assert.equal(parseTable("p1_a,7\np2_a\t8").p2_a, "8");
  const choice = {
    cases: labels(names),
    unit: "case",
    groups,
    labeled: null,
    validation: 1,
    test: 1,
    seed: 3,
  } as const;
  const lists = drawnLists(choice),
    used = Object.values(lists).map((list) => new Set(list.map((name) => groups[name])));
  assert.equal(used.reduce((sum, set) => sum + set.size, 0), 4);
  assert.deepEqual(drawnLists({ ...choice, test: ["p2_a"] }).test, ["p2_a", "p2_b"]);
  const split = {
    profile: "own",
    source: "",
    groups,
    ...lists,
    labeled: ["p1_a"],
    unlabeled: ["p1_b"],
    validation: [],
    test: [],
  };
  assert.throws(() => checkSplit(split, "s"), /these groups stand in two parts of it: p1 \(labeled, unlabeled\)/);
});
