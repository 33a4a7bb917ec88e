/** The checks and the preparation of raw left atria, on small files made here. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { CINE_INTENSITIES, prepareCine } from "../pipeline/datasets/acdc/cardiac_cine.ts";
import { geometryDifferences } from "../pipeline/arrays/geometry.ts";
import { BARE_CASE, onSource, readCase, spacingOf, writeCase } from "../pipeline/records/case.ts";
import { writeArrays } from "../pipeline/files/hdf5.ts";
import { ATRIUM_INTENSITIES, type LeftAtriumOptions, prepareLeftAtrium } from "../pipeline/datasets/la/left_atria.ts";
import { decodeNifti, encodeNiftiMask } from "../pipeline/files/nifti.ts";
import { decodeNrrd } from "../pipeline/files/nrrd.ts";
import { intensityNotes } from "../pipeline/datasets/prepared_case.ts";
import { readLabel } from "../pipeline/evaluation/masks.ts";
import { scoreCase } from "../pipeline/evaluation/evaluate_case.ts";
import { correctedSpacings } from "../pipeline/evaluation/summary.ts";
import { correctedSpacingText } from "../pipeline/records/evaluation.ts";
import { withFolder } from "./with_folder.ts";

/** Direction of axes that run to the left and to the back, in RAS+. */
const LPS = [-1, 0, 0, 0, -1, 0, 0, 0, 1];
const SIZE = [130, 122, 4], COUNT = 130 * 122 * 4;
const OPTIONS: LeftAtriumOptions = { crop: "published", seed: 7, spacing: "known", nominalSpacing: false };

/** A NRRD of the size above, LPS; `value` gives the voxel at (x, y, z). @param options `place`: instead of directions and origin. */
function nrrd(
  value: (x: number, y: number, z: number) => number,
  { size = SIZE, origin = "(10,20,30)", turn = 0, place = "" } = {},
) {
  const [nx, ny, nz] = size, voxels = new Uint8Array(nx * ny * nz);
  for (let i = 0; i < voxels.length; i++) voxels[i] = value(i % nx, Math.floor(i / nx) % ny, Math.floor(i / nx / ny));
  place ||= "space: left-posterior-superior\n" +
    `space directions: (0.5,${turn},0) (${-turn},0.5,0) (0,0,2)\nspace origin: ${origin}`;
  const header = `NRRD0004\ntype: uchar\ndimension: 3\nsizes: ${size.join(" ")}\n${place}\nencoding: gzip\n\n`;
  return new Uint8Array([...new TextEncoder().encode(header), ...gzipSync(voxels)]);
}
const image = (x: number, y: number, z: number) => (x + 3 * y + 7 * z) % 200;
const box = (x: number, y: number) => x >= 20 && x < 60 && y >= 30 && y < 50 ? 255 : 0;

/** Writes the files of one case; gives what comes of it, as text of the problems or as the case. */
async function prepare(files: Record<string, Uint8Array>, options = OPTIONS) {
  const raw = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${raw}/c`);
    for (const [name, bytes] of Object.entries(files)) await Deno.writeFile(`${raw}/c/${name}`, bytes);
    return await prepareLeftAtrium(raw, "c", options);
  } finally {
    await Deno.remove(raw, { recursive: true });
  }
}
async function problems(files: Record<string, Uint8Array>): Promise<string[]> {
  const result = await prepare(files);
  assert.ok("problems" in result, "nothing was found");
  return result.problems;
}
async function good(files: Record<string, Uint8Array>, options = OPTIONS) {
  const result = await prepare(files, options);
  assert.ok("prepared" in result, "problems" in result ? result.problems.join() : "");
  return result;
}

Deno.test("a NRRD case is normalized and cropped, and the crop moves its origin", async () => {
  const { prepared, fingerprint } = await good({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box) });
  const [nx, ny, nz] = prepared.shape;
  assert.ok(nx < 130 && ny < 122 && nz === 4, `${prepared.shape}`);
  let first = COUNT;
  prepared.label!.forEach((value, i) => first = value ? Math.min(first, i) : first);
  // The label's first voxel is voxel (20, 30, 0) of the file: 0.5 mm a voxel to the left and to the back, then RAS+.
  const x = Math.floor(first / (ny * nz)), y = Math.floor(first / nz) % ny;
  const { origin, spacing, direction } = prepared.geometry!;
  assert.deepEqual([origin[0] - 0.5 * x, origin[1] - 0.5 * y, origin[2]], [-10 - 0.5 * 20, -20 - 0.5 * 30, 30]);
  assert.deepEqual([spacing, direction], [[0.5, 0.5, 2], [-1, 0, 0, 0, -1, 0, 0, 0, 1]]);
  assert.deepEqual(fingerprint.labelVoxels, { 1: 40 * 20 * 4 });
  assert.deepEqual(fingerprint.shape, prepared.shape);
  // Intensities of the source, where nothing was cropped or normalized.
  assert.deepEqual([fingerprint.intensity.minimum, fingerprint.intensity.maximum], [0, 199]);
  assert.deepEqual(fingerprint.sources.map(({ file }) => file), ["c/lgemri.nrrd", "c/laendo.nrrd"]);
  assert.match(fingerprint.sources[0].sha256, /^[0-9a-f]{64}$/);
  assert.equal(prepared.preparation, "normalized, cropped by the label");
});

Deno.test("a mask of a cropped case lies on the grid of its source, voxel for voxel, also read back and scored", () =>
  withFolder(async (folder) => {
    const { prepared, fingerprint } = await good({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box) });
    assert.notDeepEqual(prepared.shape, SIZE);
    const path = `${folder}/c.h5`;
    await writeCase(path, prepared, { file: "c", sha256: "" });
    const { mask, place } = onSource(prepared.label!, await readCase(path, "c", { expected: fingerprint }));
    const source = decodeNrrd(nrrd(box), "laendo.nrrd");
    assert.deepEqual(place.shape, source.shape);
    assert.deepEqual(mask, Uint8Array.from(source.data, (value) => Number(value === 255)));
    assert.deepEqual(geometryDifferences(place.geometry!, source.geometry!), []);
    const { label, shape, geometry } = await readLabel(path);
    assert.deepEqual([label, shape, geometry], [mask, place.shape, place.geometry]);
    const [x, y, z] = prepared.source!.first;
    await writeCase(path, { ...prepared, source: { shape: prepared.source!.shape, first: [x + 1, y, z] } }, {
      ...{ file: "c", sha256: "" },
    });
    await assert.rejects(readCase(path, "c", { expected: fingerprint }), /its subject has another hash/);
  }));

Deno.test("without a mask, and with --crop none, the volume stays whole", async () => {
  const bare = await good({ "lgemri.nrrd": nrrd(image) });
  assert.equal(bare.prepared.preparation, "normalized, whole volume for want of a label");
  assert.match(bare.notes!.join(), /^without a label .* whole, .* --crop foreground and --crop none treat both alike$/);
  assert.deepEqual([bare.prepared.label, bare.fingerprint.labelVoxels, bare.prepared.shape], [null, null, SIZE]);
  const { prepared } = await good({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box) }, {
    ...OPTIONS,
    crop: "none",
  });
  assert.deepEqual([prepared.shape, prepared.geometry!.origin], [SIZE, [-10, -20, 30]]);
  assert.equal(prepared.preparation, "normalized, whole volume");
  const mean = prepared.image.reduce((sum, value) => sum + value, 0) / COUNT;
  assert.ok(Math.abs(mean) < 1e-4, `${mean}`);
});

Deno.test("a volume smaller than the patch is prepared", async () => {
  const size = [20, 24, 4], place = (x: number, y: number) => Number(x === 10 && y === 12) * 255;
  const { prepared } = await good({ "lgemri.nrrd": nrrd(image, { size }), "laendo.nrrd": nrrd(place, { size }) });
  assert.deepEqual(prepared.shape, size);
});

Deno.test("everything that is wrong with a NRRD case is named, not only the first", async () => {
  const found = await problems({
    "lgemri.nrrd": nrrd(image),
    "laendo.nrrd": nrrd((x) => x % 3, { size: [129, 122, 4] }),
  });
  assert.equal(found.length, 2);
  assert.match(found[0], /c\/laendo.nrrd: a label of 0 and 1 wanted, found 0, 1, 2$/);
  assert.match(found[1], /the shape of its image \[130,122,4\] wanted, found \[129,122,4\]/);
  const both = await problems({ "lgemri.nrrd": nrrd(image).subarray(0, -20), "laendo.nrrd": new Uint8Array(9) });
  assert.equal(both.length, 2);
  assert.match(both[0], /lgemri.nrrd" as NRRD: it does not unpack/);
  assert.match(both[1], /laendo.nrrd" as NRRD: it does not begin with "NRRD000"/);
});

Deno.test("image and label may lie apart by less than the tolerance only", async () => {
  const of = (label: Parameters<typeof nrrd>[1]) => ({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box, label) });
  await good(of({ origin: "(10.0009,20,30)" }));
  await good(of({ turn: 0.00004 })); // 0.00008 in direction
  assert.match((await problems(of({ origin: "(10.002,20,30)" }))).join(), /not where its image is: origin/);
  assert.match((await problems(of({ turn: 0.0001 }))).join(), /not where its image is: direction/);
});

Deno.test("a label without a place beside an image with one, or the reverse, is taken with a note; a mirrored one is not", async () => {
  const spacings = { place: "spacings: 0.5 0.5 2" };
  const found = await good({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box, spacings) });
  assert.deepEqual([found.prepared.geometry!.direction, found.fingerprint.labelVoxels], [LPS, { 1: 40 * 20 * 4 }]);
  assert.deepEqual(found.notes, [
    "the label does not say where it lies: the label is taken to cover its image's voxels",
  ]);
  const reverse = await good({ "lgemri.nrrd": nrrd(image, spacings), "laendo.nrrd": nrrd(box) });
  assert.deepEqual(reverse.notes, [
    "the image does not say where it lies: the label is taken to cover its image's voxels",
  ]);
  const neither = { "lgemri.nrrd": nrrd(image, spacings), "laendo.nrrd": nrrd(box, spacings) };
  assert.deepEqual((await good(neither)).notes, []);
  const small = nrrd(box, { ...spacings, size: [130, 122, 3] });
  assert.match((await problems({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": small })).join(), /the shape of its image/);
  for (
    const directions of ["(-0.5,0,0) (0,0.5,0) (0,0,2)", "(0,0.5,0) (-0.5,0,0) (0,0,2)", "(0.5,0,0) (0,0.5,0) (0,0,-2)"]
  ) {
    const place = `space: left-posterior-superior\nspace directions: ${directions}\nspace origin: (10,20,30)`;
    const other = { "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box, { place }) };
    assert.match((await problems(other)).join(), /not where its image is: direction/);
  }
  const las = { place: "space: LAS\nspace directions: (0.5,0,0) (0,0.5,0) (0,0,2)\nspace origin: (10,20,30)" };
  assert.match((await problems({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box, las) })).join(), /not where its/);
});

Deno.test("a spacing of exactly 1 is taken as the dataset's 0.625 mm, or as the options say; the mask keeps its header", async () => {
  const unit = "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)";
  const files = (place = unit, label = place) => ({
    "lgemri.nrrd": nrrd(image, { place }),
    "laendo.nrrd": nrrd(box, { place: label }),
  });
  const whole = { ...OPTIONS, crop: "none" } as const;
  const { prepared, fingerprint, notes } = await good(files(), whole);
  assert.deepEqual([spacingOf(prepared), prepared.geometry!.spacing], [[0.625, 0.625, 0.625], [1, 1, 1]]);
  assert.deepEqual([fingerprint.spacing, fingerprint.headerSpacing], [[0.625, 0.625, 0.625], [1, 1, 1]]);
  const said = "distances and volumes take a spacing of 0.625 mm instead of the header's 1 x 1 x 1 mm ";
  assert.deepEqual(notes, [said + "(the dataset's; --spacing header takes the header's)"]);

  const [row] = scoreCase(prepared.label!, prepared, { classNames: ["left atrium"], seconds: 0 });
  assert.equal(row.milliliters!.reference, 40 * 20 * 4 * 0.625 ** 3 / 1000);
  const shifted = new Uint8Array(COUNT); // by a voxel along Y
  prepared.label!.forEach((value, i) => shifted[i + 4] = value || shifted[i + 4]);
  const [moved] = scoreCase(shifted, prepared, { classNames: ["left atrium"], seconds: 0 });
  assert.deepEqual([moved.honest.hd95, moved.millimeters!.hd95], [1, 0.625]);
  const [correction] = correctedSpacings([{ ...prepared, name: "a" }, { ...prepared, correctedSpacing: null }]);
  assert.deepEqual(correction, { header: [1, 1, 1], used: [0.625, 0.625, 0.625], cases: ["a"] });
  const text = "spacing 0.625 x 0.625 x 0.625 mm instead of the header's 1 x 1 x 1 mm (1 case)";
  assert.equal(correctedSpacingText(correction), text);
  const mask = decodeNifti(encodeNiftiMask(prepared.label!, prepared), "mask.nii.gz");
  assert.deepEqual(mask.geometry, prepared.geometry);

  const spacing = async (options: Partial<LeftAtriumOptions>, given = files()) => {
    const { prepared, fingerprint, notes } = await good(given, { ...whole, ...options });
    return [spacingOf(prepared), fingerprint.headerSpacing, prepared.nominalSpacing, notes!.join()];
  };
  assert.deepEqual(await spacing({ spacing: "header" }), [[1, 1, 1], undefined, false, ""]);
  assert.deepEqual(await spacing({ spacing: 1, nominalSpacing: true }), [[1, 1, 1], undefined, true, ""]);
  assert.deepEqual(await spacing({ spacing: 2.5 }), [
    [2.5, 2.5, 2.5],
    [1, 1, 1],
    false,
    said.replace("0.625", "2.5") + "(as --spacing says)",
  ]);
  const told = "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1.25)";
  assert.deepEqual((await spacing({}, files(told))).slice(0, 2), [[1, 1, 1.25], undefined]);
  assert.deepEqual((await spacing({ spacing: 0.625 }, files(told))).slice(0, 2), [[0.625, 0.625, 0.625], [1, 1, 1.25]]);
  assert.deepEqual((await spacing({}, files("spacings: 1 1 1"))).slice(0, 2), [[0.625, 0.625, 0.625], [1, 1, 1]]);
  assert.deepEqual((await spacing({}, files(unit, "spacings: 0.7 0.7 0.7"))).slice(0, 2), [[1, 1, 1], undefined]);
  assert.deepEqual((await spacing({}, files("content: x"))).slice(0, 2), [null, undefined]);
  const unknown = decodeNifti(encodeNiftiMask(new Uint8Array(6), { shape: [1, 2, 3], geometry: null }), "mask.nii.gz");
  assert.deepEqual([unknown.geometry!.direction, unknown.geometry!.origin], [LPS, [0, 0, 0]]); // as ITK reads the image
  assert.deepEqual((await spacing({ spacing: 0.7 }, files("content: x"))).slice(0, 2), [[0.7, 0.7, 0.7], null]);
});

Deno.test("--crop foreground cuts labeled and unlabeled volumes alike, to what is brighter than the dark around it", async () => {
  const size = [200, 180, 4], isBody = (x: number, y: number) => x >= 15 && x < 145 && y >= 20 && y < 100;
  const scan = (x: number, y: number) =>
    isBody(x, y) ? 100 + (x + y) % 7 : (x + 3 * y) % 5 + Number(x === 5 && y === 5) * 90;
  const files = { "lgemri.nrrd": nrrd(scan, { size }), "laendo.nrrd": nrrd(box, { size }) };
  const options = { ...OPTIONS, crop: "foreground" } as const, labeled = await good(files, options);
  const { prepared, notes } = await good({ "lgemri.nrrd": files["lgemri.nrrd"] }, options);
  // X is the body's 130 voxels; Y's 80 are fewer than the patch has: 16 on either side.
  assert.deepEqual([prepared.shape, prepared.geometry!.origin], [[130, 112, 4], [-10 - 0.5 * 15, -20 - 0.5 * 4, 30]]);
  assert.deepEqual([prepared.preparation, notes], ["normalized, cropped to the foreground", []]);
  assert.deepEqual({ ...labeled.prepared, label: null }, prepared);
  assert.equal(labeled.prepared.label!.reduce((a, b) => a + b), 40 * 20 * 4);
  // The intensities are those of the whole volume.
  const whole = await good(files, { ...OPTIONS, crop: "none" }), at = (15 * 180 + 20) * 4;
  assert.equal(prepared.image[16 * 4], whole.prepared.image[at]);
  const outside = nrrd((x, y) => x >= 10 && x < 20 && y === 50 ? 255 : 0, { size });
  const cut = await prepare({ ...files, "laendo.nrrd": outside }, options);
  assert.match(
    String("problems" in cut && cut.problems),
    /laendo.nrrd: 20 of 40 labeled voxels lie outside .* --crop none/,
  );
});

Deno.test("an image of one value is refused, as NRRD and as HDF5", async () => {
  const files = { "lgemri.nrrd": nrrd(() => 7), "laendo.nrrd": nrrd(box) };
  assert.deepEqual(await problems(files), ["c/lgemri.nrrd: all its voxels are 7"]);
});

Deno.test("an empty label in a case that has a label file is a problem, and so is a folder without an image", async () => {
  assert.match((await problems({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(() => 0) })).join(), /label is empty/);
  assert.match(
    (await problems({ "x.txt": new Uint8Array(1) })).join(),
    /mri_norm2.h5 or lgemri.nrrd wanted, found x.txt/,
  );
});

Deno.test("published HDF5 is taken as it is, without a spacing; what it cannot be is refused", async () => {
  const shape = [4, 5, 6], voxels = Float32Array.from({ length: 120 }, (_, i) => Math.sin(i));
  const label = new Uint8Array(120).fill(1, 30, 40);
  const folder = await Deno.makeTempDir();
  try {
    const file = async (image: Float32Array, mask: Uint8Array | null, maskShape = shape) => {
      await writeArrays(`${folder}/x.h5`, {
        image: { data: image, shape },
        ...(mask && { label: { data: mask, shape: maskShape } }),
      });
      return { "mri_norm2.h5": await Deno.readFile(`${folder}/x.h5`) };
    };
    const { prepared, fingerprint } = await good(await file(voxels, label));
    assert.deepEqual(prepared, {
      ...BARE_CASE,
      name: "c",
      shape,
      image: voxels,
      label,
      preparation: "as published",
    });
    assert.deepEqual([fingerprint.spacing, fingerprint.labelVoxels], [null, { 1: 10 }]);
    assert.equal((await good(await file(voxels, null))).prepared.label, null);
    assert.match((await problems(await file(new Float32Array(120), label))).join(), /all its voxels are 0$/);
    const measured = await good(await file(voxels, label), { ...OPTIONS, spacing: 0.625 });
    assert.deepEqual([measured.prepared.geometry, spacingOf(measured.prepared)], [null, [0.625, 0.625, 0.625]]);
    assert.deepEqual(measured.fingerprint.headerSpacing, null);
    const holes = voxels.slice();
    holes.fill(NaN, 3, 5);
    const found = await problems(await file(holes, label.map((value, i) => i === 7 ? 4 : value)));
    assert.match(found[0], /2 of 120 voxels are no finite number/);
    assert.match(found[1], /a label of 0 and 1 wanted, found 0, 1, 4/);
    assert.match(
      (await problems(await file(voxels, label, [5, 4, 6]))).join(),
      /shape of its image \[4,5,6\], found \[5/,
    );
    assert.match((await problems(await file(voxels, new Uint8Array(120)))).join(), /its label is empty/);
    const whole = (await file(voxels, label))["mri_norm2.h5"];
    assert.match((await problems({ "mri_norm2.h5": whole.subarray(0, 900) })).join(), /mri_norm2.h5" as HDF5/);
    assert.match((await problems({ "mri_norm2.h5": new Uint8Array(900) })).join(), /mri_norm2.h5" as HDF5/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("intensities that no published file has are told; a raw folder's name that hides is refused", async () => {
  const wanted = { la: ATRIUM_INTENSITIES, acdc: CINE_INTENSITIES };
  const told = (image: Float32Array, dataset: keyof typeof wanted) => intensityNotes(image, wanted[dataset]).join();
  const ramp = Float32Array.from({ length: 1000 }, (_, i) => i / 999);
  assert.equal(told(ramp, "acdc"), "");
  assert.equal(told(ramp.map((value) => 4 * value), "la"), "");
  assert.match(
    told(ramp.map((value) => 255 * value), "la"),
    /not those of published files \(zero mean and unit standard deviation/,
  );
  assert.match(told(ramp, "la"), /are taken as they are/);
  assert.match(told(ramp.map((value) => 255 * value), "acdc"), /published files \(0 to 1\)/);
  for (
    const prepared of [
      prepareLeftAtrium("raw", "a\x1b[2J", OPTIONS),
      prepareCine("raw", "__proto__", { nominalSpacing: false }),
    ]
  ) {
    const result = await prepared;
    assert.ok("problems" in result);
    assert.match(result.problems.join(), /cannot be a name/);
  }
});
