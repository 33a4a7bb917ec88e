/** `predict`: from an image of one's own to its mask, there and back, whatever its orientation; and the task as a user runs it. */
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { fromAffine, type Geometry, toAffine, type Vector3 } from "../pipeline/arrays/geometry.ts";
import { inverse, type Turn, turned, turnedGeometry, turnedShape, turnTo } from "../pipeline/arrays/orientation.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { stream } from "../pipeline/arrays/random.ts";
import type { Image } from "../pipeline/data/images.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { type Probabilities, probabilitiesWith } from "../pipeline/evaluation/evaluate_case.ts";
import { predictImage, type PredictOptions, type Predictor } from "../pipeline/evaluation/predict_image.ts";
import { slidingWindow, windowStarts } from "../pipeline/evaluation/sliding_window.ts";
import { writeJson } from "../pipeline/files/atomic.ts";
import { decodeNifti, encodeNiftiMask, readNifti } from "../pipeline/files/nifti.ts";
import { encodeNrrdMask, readNrrd } from "../pipeline/files/nrrd.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { gridOf } from "../pipeline/records/run.ts";
import { readPredictionIfThere } from "../pipeline/records/prediction.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import type { Tensor5D } from "../pipeline/tensorflow/tensors.ts";
import { writeCheckpoint } from "../pipeline/training/checkpoint.ts";
import { loadRun } from "../pipeline/training/trained_run.ts";
import { startState } from "../pipeline/training/training_step.ts";
import { loseNetwork } from "./lost_network.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";

openTensorFlow({ device: "cpu" });
const SHAPE: Vector3 = [12, 14, 10];
const random = stream(3, "image");
const VALUES = Float32Array.from({ length: sizeOf(SHAPE) }, () => Math.floor(200 * random()));
const LPS = fromAffine([[-0.625, 0, 0, 10], [0, -0.625, 0, 20], [0, 0, 0.625, 30]]);
const OBLIQUE: Geometry = (() => {
  const [c, s] = [Math.cos(0.4), Math.sin(0.4)];
  return { ...LPS, direction: [-c, s, 0, -s, -c, 0, 0, 0, 1] };
})();
const imageOf = (shape: Vector3, data: Float32Array, geometry: Geometry | null, more: Partial<Image> = {}): Image => ({
  ...{ shape, axes: "XYZ", data, isPrepared: false, geometry, isPlaced: geometry !== null, header: null, notes: [] },
  spacing: geometry && geometry.spacing,
  ...more,
});
/** Probability by the value of a voxel and the place of it, so that any turn shows. */
const network: Probabilities = ({ image, shape: [nx, ny, nz] }) =>
  Promise.resolve(image.map((value, i) => {
    const [x, y, z] = [Math.floor(i / (ny * nz)) / nx, Math.floor(i / nz) % ny / ny, i % nz / nz];
    return 1 / (1 + Math.exp(-value - 3 * x + 2 * y - z));
  }));
const predictor = (more: Partial<Predictor> = {}): Predictor => ({
  dataset: DATASETS.la,
  grid: { orientation: "LPS", spacing: [0.625, 0.625, 0.625] },
  networks: [network],
  components: "classes",
  ...more,
});
const ORIENTATIONS = ["RAS", "LPI", "PIR", "RSA", "AIL", "SRP"];

Deno.test("turned and flipped copies of an image have the same mask, voxel for voxel after turning back, also resampled ones", async () => {
  const coarse = { ...OBLIQUE, spacing: [0.8, 0.5, 1.1] as Vector3 };
  for (const geometry of [LPS, OBLIQUE, coarse]) {
    const options: PredictOptions = { probabilities: true, uncertainty: true };
    const { mask, probabilities: [probability], entropy, found: components, seen } = await predictImage(
      imageOf(SHAPE, VALUES, geometry),
      predictor(),
      options,
    );
    const count = mask.reduce((sum, value) => sum + value, 0);
    assert.ok(count > 50 && count < mask.length - 50);
    assert.deepEqual(seen, geometry === coarse ? [15, 11, 18] : SHAPE);
    for (const orientation of ORIENTATIONS) {
      const turn = turnTo(geometry.direction, orientation), shape = turnedShape(SHAPE, turn), back = inverse(turn);
      const copy = imageOf(shape, turned(VALUES, SHAPE, turn), turnedGeometry(geometry, SHAPE, turn));
      const found = await predictImage(copy, predictor(), options);
      assert.deepEqual(turned(found.mask, shape, back), mask, orientation);
      assert.deepEqual(turned(found.probabilities[0], shape, back), probability);
      assert.deepEqual(turned(found.entropy!, shape, back), entropy);
      assert.deepEqual(found.found, components);
    }
  }
});

Deno.test("what is drawn on the image's grid comes back there: a network that knows the mask", async () => {
  const drawn = Uint8Array.from(VALUES, (value) => Number(value > 100));
  const knows: Probabilities = ({ image }) => Promise.resolve(image.map((value) => value > 0.5 ? 1 : 0));
  for (const axes of ["XYZ", "ZYX"] as const) {
    const image = imageOf(SHAPE, Float32Array.from(drawn), OBLIQUE, { isPrepared: true, axes });
    for (const orientation of ORIENTATIONS) {
      const grid = { orientation, spacing: null };
      const { mask } = await predictImage(image, predictor({ grid, networks: [knows], components: "all" }));
      assert.deepEqual(mask, drawn);
    }
  }
});

Deno.test("components are counted in the mask as it is written, after what is not kept was left out", async () => {
  const shape: Vector3 = [7, 3, 3], part = (i: number) => [1, 1, 0, 1, 1, 1, 0][Math.floor(i / 9)];
  const image = imageOf(shape, Float32Array.from({ length: 63 }, (_, i) => part(i)), LPS, { isPrepared: true });
  const knows: Probabilities = ({ image }) => Promise.resolve(image);
  const grid = { orientation: "LPS", spacing: null };
  for (const [components, count, voxels] of [["all", 2, 45], ["classes", 1, 27], ["foreground", 1, 27]] as const) {
    const { mask, found } = await predictImage(image, predictor({ grid, networks: [knows], components }));
    assert.deepEqual([found, mask.filter(Boolean).length], [[count], voxels], components);
  }
});

Deno.test("a network of slices sees slices: the thick axis stays theirs, and four classes come back to their voxels", async () => {
  const shape: Vector3 = [3, 8, 9], data = Float32Array.from({ length: 216 }, (_, i) => i * 31 % 4);
  const classes = Uint8Array.from(data), { acdc } = DATASETS;
  const seen: number[][] = [];
  const knows: Probabilities = ({ image, shape }) => {
    seen.push([...shape]);
    const found = new Float32Array(4 * image.length);
    image.forEach((value, i) => found[Math.round(3 * value) * image.length + i] = 1);
    return Promise.resolve(found);
  };
  const grid = { orientation: "SPL", spacing: null },
    all = predictor({ dataset: acdc, grid, networks: [knows], components: "all" });
  // Slices that lie nearly sagittal, the thick axis first.
  const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
  const geometry: Geometry = { spacing: [8, 1.5, 1.5], origin: [0, 0, 0], direction: [c, -s, 0, s, c, 0, 0, 0, 1] };
  for (const orientation of ["RAS", ...ORIENTATIONS]) {
    const turn = turnTo(geometry.direction, orientation), copyShape = turnedShape(shape, turn);
    const copy = imageOf(copyShape, turned(data, shape, turn), turnedGeometry(geometry, shape, turn));
    const { mask } = await predictImage(copy, all);
    assert.deepEqual(turned(mask, copyShape, inverse(turn)), classes);
  }
  // Without a place the axes are those of the file.
  const { mask } = await predictImage(imageOf([9, 8, 3], data, geometry, { isPlaced: false }), all);
  assert.deepEqual(mask, classes);
  assert.equal(seen.pop()![0], 3);
  assert.ok(seen.every(([slices]) => slices === 3));
});

Deno.test("a box in millimeters: what is outside of it is not looked at; intensities by the whole or by the box", async () => {
  const seen: Float32Array[] = [];
  const all: Probabilities = ({ image }) => {
    seen.push(image);
    return Promise.resolve(image.map(() => 1));
  };
  const crop = { low: [6, 15, 31] as Vector3, high: [9, 18, 33] as Vector3 };
  const inside = Uint8Array.from({ length: VALUES.length }, (_, i) => {
    const [x, y, z] = [10 - 0.625 * Math.floor(i / 140), 20 - 0.625 * (Math.floor(i / 10) % 14), 30 + 0.625 * (i % 10)];
    return Number(x >= 6 && x <= 9 && y >= 15 && y <= 18 && z >= 31 && z <= 33);
  });
  const image = imageOf(SHAPE, VALUES, LPS), known = predictor({ networks: [all] });
  const { mask } = await predictImage(image, known, { crop });
  assert.deepEqual(mask, inside);
  await predictImage(image, known, { crop, normalize: "box" });
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
  assert.ok(Math.abs(mean(seen[0])) > 1e-3, "by the whole volume");
  assert.ok(Math.abs(mean(seen[1])) < 1e-6, "by the box");
  const turn = turnTo(LPS.direction, "RSA"), shape = turnedShape(SHAPE, turn);
  const copy = imageOf(shape, turned(VALUES, SHAPE, turn), turnedGeometry(LPS, SHAPE, turn));
  assert.deepEqual(turned((await predictImage(copy, known, { crop })).mask, shape, inverse(turn)), mask);
  const far = { low: [100, 0, 0] as Vector3, high: [110, 1, 1] as Vector3 };
  await assert.rejects(predictImage(image, known, { crop: far }), /lies outside; the image goes from \(10,20,30\)/);
  const bare = imageOf(SHAPE, VALUES, null);
  await assert.rejects(predictImage(bare, known, { crop }), /says no spacing; --crop none wanted/);
  const tiny = { ...image, spacing: [700, 700, 700] as Vector3 };
  await assert.rejects(
    predictImage(tiny, known),
    /its spacing of 700 x 700 x 700 mm makes .* voxels; fewer wanted|fewer wanted/,
  );
});

Deno.test("several networks: the mean of their probabilities, its entropy, and how much they disagree", async () => {
  const says = (p: number): Probabilities => ({ image }) => Promise.resolve(image.map(() => p));
  const image = imageOf(SHAPE, VALUES, LPS), options = { probabilities: true, uncertainty: true };
  const both = await predictImage(image, predictor({ networks: [says(0.9), says(0.3)] }), options);
  const h = (p: number) => -p * Math.log(p) - (1 - p) * Math.log(1 - p);
  const near = (found: number, wanted: number) => assert.ok(Math.abs(found - wanted) < 1e-6, `${found}, not ${wanted}`);
  near(both.probabilities[0][5], 0.6);
  near(both.entropy![5], h(0.6));
  near(both.mutualInformation![5], h(0.6) - (h(0.9) + h(0.3)) / 2);
  const one = await predictImage(image, predictor({ networks: [says(0.9)] }), options);
  assert.equal(one.mutualInformation, null);
  const alike = await predictImage(image, predictor({ networks: [says(0.9), says(0.9)] }), options);
  near(alike.mutualInformation![5], 0);
  const plain = await predictImage(image, predictor());
  assert.deepEqual([plain.probabilities, plain.entropy, plain.mutualInformation], [[], null, null]);
});

Deno.test("windows weighted by a Gaussian: the weighted mean of all that hold a voxel", async () => {
  const patch: Vector3 = [8, 8, 8], stride: Vector3 = [4, 3, 8], shape: Vector3 = [14, 10, 7];
  const size = [14, 10, 8], image = Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i));
  let call = 0;
  const weight = (i: number) => Math.exp(-0.5 * (i - 3.5) ** 2); // of a standard deviation of 8 / 8
  const answers = Array.from({ length: 12 }, (_, n) => Float32Array.from({ length: 512 }, (_, i) => Math.cos(n + i)));
  const [sum, total] = [new Float64Array(sizeOf(size)), new Float64Array(sizeOf(size))];
  const starts = windowStarts(14, 8, 4).flatMap((x) => windowStarts(10, 8, 3).map((y) => [x, y]));
  starts.forEach(([x0, y0], n) => {
    for (let i = 0; i < 512; i++) {
      const [x, y, z] = [i >> 6, i >> 3 & 7, i & 7], at = ((x0 + x) * 10 + y0 + y) * 8 + z;
      const w = weight(x) * weight(y) * weight(z);
      sum[at] += w * answers[n][i];
      total[at] += w;
    }
  });
  const network = (windows: Tensor5D) => Promise.resolve(answers[call++].slice(0, sizeOf(windows.shape)));
  const found = await slidingWindow(image, shape, {
    patch,
    stride,
    atOnce: 1,
    classes: 2,
    network,
    weights: "gaussian",
  });
  assert.equal(call, starts.length);
  found.forEach((value, i) => {
    const at = Math.floor(i / 7) * 8 + i % 7; // one voxel of padding, behind
    assert.ok(Math.abs(value - sum[at] / total[at]) < 1e-6);
  });
});

Deno.test("a window of one value is background without the network, where that is asked for", async () => {
  const patch: Vector3 = [8, 8, 8], shape: Vector3 = [24, 8, 6], image = new Float32Array(sizeOf(shape)).fill(-1);
  image[20 * 48 + 3] = 1;
  let calls = 0;
  const network = (windows: Tensor5D) => Promise.resolve(new Float32Array((calls++, 512 * windows.shape[0])).fill(1));
  const windows = { patch, stride: patch, atOnce: 1, classes: 2, network };
  const found = await slidingWindow(image, shape, { ...windows, skipsFlat: true });
  assert.deepEqual(found, image.map((_, i) => i < 16 * 48 ? 0 : 1));
  assert.equal(calls, 1);
  assert.ok((await slidingWindow(image, shape, windows)).every((value) => value === 1));
  assert.equal(calls, 4);
  assert.ok((await slidingWindow(image.map(() => 2), shape, { ...windows, skipsFlat: true })).every((value) => !value));
});

const PATCH = [32, 32, 32];

/** An untrained network as a run folder. */
async function untrainedRun(folder: string, seed: number, config: object = {}) {
  const split = { profile: "la", source: "by hand", labeled: ["a"], unlabeled: [], validation: [], test: ["b"] };
  await Deno.mkdir(folder);
  await writeJson(`${folder}/config.json`, {
    ...{ dataset: "la", method: "supervised", patch: PATCH.join("x"), cases: "", splitContent: split, ...config },
  });
  const method = createMethod(METHODS.supervised, LA), state = startState(method, stream(seed, "weights"));
  await writeCheckpoint(`${folder}/last.safetensors`, method.spec, state, 12);
  return state;
}

Deno.test("mirrored: the mean over the flips of the first two axes, and a flipped image has the flipped probabilities", () =>
  withFolder(async (folder) => {
    const state = await untrainedRun(`${folder}/run`, 1), shape: Vector3 = [32, 36, 32];
    const image = Float32Array.from({ length: sizeOf(shape) }, stream(9, "mirrored"));
    const how = { patch: PATCH, statistics: "running", precision: "fp32", overlap: 0.5 } as const;
    const once = probabilitiesWith(LA, () => state, how),
      all = probabilitiesWith(LA, () => state, { ...how, mirror: true });
    const mean = new Float64Array(image.length);
    const flip = (values: Float32Array, flips: Turn["flips"]) => turned(values, shape, { axes: [0, 1, 2], flips });
    for (const x of [false, true]) {
      for (const y of [false, true]) {
        const found = flip(await once({ image: flip(image, [x, y, false]), shape }), [x, y, false]);
        found.forEach((value, i) => mean[i] += value / 4);
      }
    }
    const found = await all({ image, shape });
    found.forEach((value, i) => assert.ok(Math.abs(value - mean[i]) < 1e-6));
    const flipped = flip(await all({ image: flip(image, [true, false, false]), shape }), [true, false, false]);
    flipped.forEach((value, i) => assert.ok(Math.abs(value - found[i]) < 1e-5));
  }));

Deno.test("a run says orientation, spacing and statistics; older ones are translated", () =>
  withFolder(async (folder) => {
    await untrainedRun(`${folder}/run`, 1);
    const old = await loadRun(`${folder}/run`);
    assert.deepEqual([old.grid, old.statistics], [{ orientation: "LPS", spacing: [0.625, 0.625, 0.625] }, "running"]);
    await untrainedRun(`${folder}/fast`, 1, { preset: "fast" });
    assert.equal((await loadRun(`${folder}/fast`)).statistics, "window");
    const config = JSON.parse(await Deno.readTextFile(`${folder}/run/config.json`));
    assert.equal(config.training, undefined, "the flat form");
    const { config: present } = old, grid = { orientation: "RAS", spacing: null };
    const training = { ...present.training, statistics: "window" };
    await writeJson(`${folder}/run/config.json`, { ...present, training, grid });
    const now = await loadRun(`${folder}/run`);
    assert.deepEqual([now.grid, now.statistics], [grid, "window"]);
    assert.equal((await loadRun(`${folder}/run`, { batchNorm: "running" })).statistics, "running");
    const usual = { orientation: "SPL", knownSpacing: null }, la = { orientation: "LPS", knownSpacing: 0.625 };
    const one = { geometry: { ...LPS, spacing: [1, 1, 1] as Vector3 }, correctedSpacing: null, header: null };
    const unplaced = { pixdim: [], units: [2], codes: [0, 0], qform: [], sform: [] };
    const turned = { ...one, geometry: { ...one.geometry, direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] } };
    assert.deepEqual(gridOf(null, la), old.grid);
    assert.deepEqual(gridOf(turned, la), { orientation: "RAS", spacing: [1, 1, 1] });
    assert.deepEqual(gridOf({ ...one, correctedSpacing: [2, 2, 2] }, la), { orientation: "LPS", spacing: [2, 2, 2] });
    assert.deepEqual(gridOf({ ...turned, header: unplaced }, usual), { orientation: "SPL", spacing: null });
    await writeJson(`${folder}/run/config.json`, { ...present, grid: { ...grid, orientation: "LLS" } });
    await assert.rejects(loadRun(`${folder}/run`), /one letter each of RL, AP and SI wanted/);
  }));

/** Runs the task, which may write to the folder. */
const predict = (folder: string, args: string[]) =>
  runTaskFile("predict", args, { rights: ["--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${folder}`] });
const filesOf = (folder: string) => [...Deno.readDirSync(folder)].map((f) => f.name).sort();

/** A phantom with a patient's name wherever a header has room for text. */
async function writePhantoms(folder: string) {
  const shape: Vector3 = [36, 34, 30], { image } = phantom(5, "a", shape);
  const gray = Uint8Array.from(image, (value) => Math.max(0, Math.min(255, Math.round(60 + 40 * value))));
  const geometry = fromAffine([[-0.6, 0.1, 0, 10], [-0.1, -0.6, 0, 20], [0, 0, 0.7, 30]]);
  const bytes = new Uint8Array(gunzipSync(encodeNiftiMask(gray, { shape, geometry }))),
    header = new DataView(bytes.buffer);
  for (const [at, length] of [[4, 10], [14, 18], [148, 80], [228, 24], [328, 16]]) {
    bytes.set(new TextEncoder().encode("DOE^JANE".slice(0, length)), at);
  }
  header.setInt16(252, 2, true); // aligned
  header.setInt16(254, 4, true); // MNI
  bytes[123] = 2 | 8; // mm, s
  await Deno.mkdir(`${folder}/in`);
  await Deno.writeFile(`${folder}/in/a.nii.gz`, new Uint8Array(gzipSync(bytes)));
  const nrrd = encodeNrrdMask(gray, { shape, geometry });
  const end = nrrd.indexOf(10) + 1,
    more = new TextEncoder().encode("# DOE^JANE\ncontent: DOE^JANE\nDicom_0010:=DOE^JANE\n");
  await Deno.writeFile(`${folder}/in/b.nrrd`, Uint8Array.of(...nrrd.subarray(0, end), ...more, ...nrrd.subarray(end)));
  return { shape, header: decodeNifti(bytes, "a").header, geometry };
}

Deno.test("predict: masks on the images' grids with their placement and none of their text; what is finished is skipped; a bad one leaves the others", () =>
  withFolder(async (folder) => {
    const { shape, header, geometry } = await writePhantoms(folder);
    await untrainedRun(`${folder}/run`, 1);
    await untrainedRun(`${folder}/other`, 2);
    const out = `${folder}/out`, args = [`${folder}/in`, "--run", `${folder}/run`, "-o", out, "--threads", "2"];
    const first = await predict(folder, args);
    assert.equal(first.code, 0, first.error);
    assert.match(first.out, /^note: the training of ".*run" has not ended: its last checkpoint is of iteration 12$/m);
    assert.match(
      first.out,
      /^1\/2 {2}a {2}left atrium [\d.]+ ml in \d+ components? {2}[\d.]+ s {2}about \d+ s left\n2\/2 {2}b {2}/m,
    );
    assert.match(first.out, /^2 masks in .*out, .*out\/summary.json$/m);
    assert.deepEqual(filesOf(out), ["a.nii.gz", "b.nii.gz", "summary.json"]);
    const a = await readNifti(`${out}/a.nii.gz`), b = await readNifti(`${out}/b.nii.gz`);
    assert.deepEqual([a.shape, a.header], [shape, header]);
    assert.deepEqual(b.data, a.data, "the same image in NRRD");
    toAffine(b.geometry!).flat().forEach((value, i) =>
      assert.ok(Math.abs(value - toAffine(geometry).flat()[i]) < 1e-5)
    );
    for (const name of ["a.nii.gz", "b.nii.gz"]) {
      const bytes = new Uint8Array(gunzipSync(await Deno.readFile(`${out}/${name}`)));
      assert.doesNotMatch(new TextDecoder("latin1").decode(bytes), /DOE|JANE/);
      assert.equal(new DataView(bytes.buffer).getInt16(70, true), 2, "uint8");
    }
    const summary = (await readPredictionIfThere(`${out}/summary.json`))!, [row] = summary.images;
    assert.doesNotMatch(JSON.stringify(summary), /DOE|JANE/);
    assert.equal(row.classes[0].voxels, a.data.reduce((sum, value) => sum + value, 0));
    assert.ok(row.classes[0].voxels > 0 && row.classes[0].components > 0);
    const [x, y, z] = row.spacing!;
    assert.ok(Math.abs(row.classes[0].milliliters! - row.classes[0].voxels * x * y * z / 1000) < 1e-9);
    assert.deepEqual([row.orientation, row.seen, summary.runs[0].iteration], ["LPS", [35, 33, 34], 12]);

    // Again: nothing to do; a further image and bad ones: the rest goes on.
    assert.match(
      (await predict(folder, args)).out,
      /^2 images done before, skipped; --overwrite segments them again\n0 masks/m,
    );
    await Deno.copyFile(`${folder}/in/b.nrrd`, `${folder}/in/c.nrrd`);
    await Deno.writeTextFile(`${folder}/in/bad.nii`, "none");
    await Deno.writeFile(
      `${folder}/in/flat.nii.gz`,
      encodeNiftiMask(new Uint8Array(24), { shape: [2, 3, 4], geometry }),
    );
    const more = await predict(folder, [...args, `${folder}/gone.nii`]);
    assert.equal(more.code, 3);
    assert.match(
      more.error,
      /^Cannot segment 3 of 4 images:\n {2}Cannot find ".*gone.nii".*\n {2}bad {2}Cannot read ".*bad.nii" as NIfTI: .*\n {2}flat {2}Cannot segment ".*flat.nii.gz": all its voxels are 0$/m,
    );
    assert.deepEqual(filesOf(out), ["a.nii.gz", "b.nii.gz", "c.nii.gz", "summary.json"]);
    assert.deepEqual((await readPredictionIfThere(`${out}/summary.json`))!.images.map(({ name }) => name), [
      "a",
      "b",
      "c",
    ]);

    // Another image of the same name.
    await Deno.mkdir(`${folder}/elsewhere`);
    await Deno.copyFile(`${folder}/in/a.nii.gz`, `${folder}/elsewhere/a.nii.gz`);
    const namesake = await predict(folder, [`${folder}/elsewhere`, ...args.slice(1)]);
    assert.deepEqual([namesake.code, /a.nii.gz": it is there, and not of this image/.test(namesake.error)], [3, true]);

    // Another network: not among the masks of the first, unless they are overwritten.
    const image = `${folder}/in/a.nii.gz`, others = [image, "--run", `${folder}/other`, "-o", out];
    const refused = await predict(folder, others);
    assert.equal(refused.code, 3);
    assert.match(
      refused.error,
      /its masks are of other networks or options; name another place by -o, or --overwrite$/m,
    );
    const overwritten = await predict(folder, [...others, "--overwrite"]);
    assert.equal(overwritten.code, 0, overwritten.error);
    assert.notDeepEqual((await readNifti(`${out}/a.nii.gz`)).data, a.data);

    // Two networks, all that can be had, to a file.
    const both = await predict(folder, [
      ...[`${folder}/in/b.nrrd`, "--run", `${folder}/run`, "--run", `${folder}/other`, "-o", `${folder}/one/b.nrrd`],
      ...["--probabilities", "--uncertainty", "--mirror", "--components", "all", "--spacing", "0.625"],
      ...["--overlap", "0.95"],
    ]);
    assert.equal(both.code, 0, both.error);
    assert.match(both.out, /^1\/1 {2}b {2}up to 48 windows\n1\/1 {2}b {2}left atrium/m); // 3 x 2, 4 mirrorings, 2 networks
    assert.deepEqual(filesOf(`${folder}/one`), [
      ...["b.json", "b.nrrd", "b_entropy.nii.gz", "b_mutual_information.nii.gz"],
      "b_probability_left_atrium.nii.gz",
    ]);
    const mask = await readNrrd(`${folder}/one/b.nrrd`), source = await readNrrd(`${folder}/in/b.nrrd`);
    assert.deepEqual([mask.shape, mask.place], [source.shape, source.place]);
    assert.doesNotMatch(new TextDecoder("latin1").decode(await Deno.readFile(`${folder}/one/b.nrrd`)), /DOE|JANE/);
    const probability = await readNifti(`${folder}/one/b_probability_left_atrium.nii.gz`);
    assert.deepEqual(Uint8Array.from(probability.data, (p) => Number(p > 0.5)), Uint8Array.from(mask.data));
  }));

Deno.test("predict refuses what cannot be: options, places, networks; nothing is written", () =>
  withFolder(async (folder) => {
    await writePhantoms(folder);
    await untrainedRun(`${folder}/run`, 1);
    const image = `${folder}/in/a.nii.gz`, run = ["--run", `${folder}/run`], to = ["-o", `${folder}/out`];
    const refused = async (code: number, message: RegExp, args: string[], rights = folder) => {
      const found = await predict(rights, args);
      assert.equal(found.code, code, found.error);
      assert.match(found.error, message);
    };
    await refused(2, /--out ".*x.nii": a folder, .nii.gz or .nrrd wanted/, [image, ...run, "-o", `${folder}/x.nii`]);
    const wrong = ["--crop", "1,2,3", "--spacing", "0", "--overlap", "1", "--normalize", "none"];
    const usage = await predict(folder, [image, ...run, ...to, ...wrong]);
    assert.equal(usage.code, 2);
    for (
      const message of [
        /--crop "1,2,3": none, or six numbers x0,y0,z0,x1,y1,z1 wanted/,
        /--spacing "0": millimeters wanted/,
        /--overlap "1": a number from 0 to 0.95 wanted/,
        /--normalize: unknown choice "none"/,
      ]
    ) assert.match(usage.error, message);
    await refused(2, /a network is wanted: --run RUN, or --weights FILE/, [image, ...to]);
    await refused(2, /missing required argument 'input'/, [...run, ...to]);
    await refused(3, /Cannot find ".*gone": there is no such file or folder/, [`${folder}/gone`, ...run, ...to]);
    await refused(3, /Cannot write the mask of ".*a.nii.gz" in its own place/, [image, ...run, "-o", `${folder}/in`]);
    await refused(2, /Cannot write 2 images to the one file ".*x.nii.gz"/, [
      `${folder}/in`,
      ...run,
      "-o",
      `${folder}/x.nii.gz`,
    ]);
    await Deno.mkdir(`${folder}/mine`);
    await Deno.writeTextFile(`${folder}/mine/a.nii.gz`, "mine");
    await refused(3, /it is there, and not of this image, these networks and options/, [
      image,
      ...run,
      "-o",
      `${folder}/mine`,
    ]);
    assert.equal(await Deno.readTextFile(`${folder}/mine/a.nii.gz`), "mine");
    await refused(
      2,
      /Cannot write to ".*out".*\n {2}.*--allow-write=.*tasks\/predict.ts/,
      [image, ...run, ...to],
      `${folder}/in`,
    );
    await untrainedRun(`${folder}/other`, 1);
    await loseNetwork(`${folder}/run/last.safetensors`, `${folder}/other/last.safetensors`);
    await refused(5, /holds NaN, so the training diverged/, [image, "--run", `${folder}/other`, ...to]);
    await refused(3, /Cannot use the run|Cannot read the options of the run/, [
      image,
      "--run",
      `${folder}/none`,
      ...to,
    ]);
    assert.ok(!filesOf(folder).includes("out") || !filesOf(`${folder}/out`).length);
  }));
