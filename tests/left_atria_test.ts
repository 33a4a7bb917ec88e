/** The checks and the preparation of raw left atria, on small files made here. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { BARE_CASE } from "../pipeline/data/cases.ts";
import { writeArrays } from "../pipeline/data/hdf5.ts";
import { type LeftAtriumOptions, prepareLeftAtrium } from "../pipeline/data/left_atria.ts";

const SIZE = [130, 122, 4], COUNT = 130 * 122 * 4;
const OPTIONS: LeftAtriumOptions = { crop: "published", seed: 7 };

/** A NRRD of the size above, LPS; `value` gives the voxel at (x, y, z). */
function nrrd(
  value: (x: number, y: number, z: number) => number,
  { size = SIZE, origin = "(10,20,30)", turn = 0 } = {},
) {
  const [nx, ny, nz] = size, voxels = new Uint8Array(nx * ny * nz);
  for (let i = 0; i < voxels.length; i++) voxels[i] = value(i % nx, Math.floor(i / nx) % ny, Math.floor(i / nx / ny));
  const header = `NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: ${size.join(" ")}\n` +
    `space directions: (0.5,${turn},0) (${-turn},0.5,0) (0,0,2)\nspace origin: ${origin}\nencoding: gzip\n\n`;
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

Deno.test("without a mask, and with --crop none, the volume stays whole", async () => {
  const bare = await good({ "lgemri.nrrd": nrrd(image) });
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
    "laendo.nrrd": nrrd((x) => x % 3, { size: [129, 122, 4], origin: "(10,20.01,30)" }),
  });
  assert.equal(found.length, 3);
  assert.match(found[0], /c\/laendo.nrrd: 0 and 255 wanted, found 0, 1, 2$/);
  assert.match(found[1], /the shape of its image \[130,122,4\] wanted, found \[129,122,4\]/);
  assert.match(found[2], /not where its image is: origin \[-10,-20.01,30\] found, \[-10,-20,30\] wanted/);
  const both = await problems({ "lgemri.nrrd": nrrd(image).subarray(0, -20), "laendo.nrrd": new Uint8Array(9) });
  assert.equal(both.length, 2);
  assert.match(both[0], /lgemri.nrrd" as NRRD: its data do not unpack/);
  assert.match(both[1], /laendo.nrrd" as NRRD: it does not begin with "NRRD000"/);
});

Deno.test("image and label may lie apart by less than the tolerance only", async () => {
  const of = (label: Parameters<typeof nrrd>[1]) => ({ "lgemri.nrrd": nrrd(image), "laendo.nrrd": nrrd(box, label) });
  await good(of({ origin: "(10.0009,20,30)" }));
  await good(of({ turn: 0.00004 })); // 0.00008 in direction
  assert.match((await problems(of({ origin: "(10.002,20,30)" }))).join(), /not where its image is: origin/);
  assert.match((await problems(of({ turn: 0.0001 }))).join(), /not where its image is: direction/);
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
