/** What a training draws from: gray levels as codes, read by workers; on a real case where ../shared/data (or SSNET_DATA) is there. */
import { fileURLToPath } from "node:url";
import { AUGMENTATIONS } from "../pipeline/records/run.ts";
import assert from "node:assert/strict";
import { assembleBatch, readTrainingItems, type TrainingItem } from "../pipeline/data/batches.ts";
import { readCase } from "../pipeline/records/case.ts";
import { type CodedVoxels, encodeVoxels } from "../pipeline/data/coded_voxels.ts";
import { writeArrays } from "../pipeline/files/hdf5.ts";
import { cinePhantom } from "../pipeline/datasets/acdc/phantom.ts";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import type { DatasetProfile } from "../pipeline/datasets/dataset.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import type { Split } from "../pipeline/records/split.ts";
import { withFolder } from "./with_folder.ts";
import { DataError } from "../pipeline/files/errors.ts";

const bitsOf = (values: Float32Array | Int32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);
const decoded = ({ palette, codes }: CodedVoxels) => Float32Array.from(codes, (code) => palette[code]);

Deno.test("codes keep every bit, a negative zero and the smallest number included, and take a byte where they can", () => {
  const few = Float32Array.from({ length: 5000 }, (_, i) => [0, -0, 1e-45, -1.5, Infinity, i % 250][i % 6]);
  const levels = encodeVoxels(few) as CodedVoxels;
  assert.ok(levels.codes instanceof Uint8Array);
  assert.deepEqual(bitsOf(decoded(levels)), bitsOf(few));
  // Part of a larger array, as the slices of a volume are.
  const many = Float32Array.from({ length: 70000 }, (_, i) => Math.sin(i)).subarray(4500), coded = encodeVoxels(many);
  assert.ok((coded as CodedVoxels).codes instanceof Uint16Array);
  assert.deepEqual(bitsOf(decoded(coded as CodedVoxels)), bitsOf(many));
});

Deno.test("a volume of more values than there are codes stays as it is", () => {
  const values = (count: number) => Float32Array.from({ length: count }, (_, i) => i);
  assert.equal((encodeVoxels(values(1 << 16)) as CodedVoxels).palette.length, 1 << 16);
  const volume = values((1 << 16) + 1);
  assert.equal(encodeVoxels(volume), volume);
});

const splitOf = (labeled: string[], unlabeled: string[]): Split => ({
  ...{ profile: "la", source: "made for a test", labeled, unlabeled, validation: [], test: [] },
});
/** As a training draws that keeps float32 and every label. */
async function plainItems(folder: string, names: string[], { patch }: DatasetProfile): Promise<TrainingItem[]> {
  const items = [];
  for (const name of names) {
    const { shape, image, label } = await readCase(`${folder}/${name}.h5`, name), area = shape[1] * shape[2];
    const planes = Array.from({ length: patch.length === 2 ? shape[0] : 0 }, (_, i) => ({
      shape: shape.slice(1),
      image: [image.subarray(i * area, (i + 1) * area)],
      label: label!.subarray(i * area, (i + 1) * area),
    }));
    items.push(...patch.length === 2 ? planes : [{ shape, image: [image], label }]);
  }
  return items;
}

/** Asserts that the first batches have the bits that float32 gives; the items read. */
async function assertSameBatches(folder: string, split: Split, profile: DatasetProfile): Promise<TrainingItem[]> {
  const plain = {
    labeled: await plainItems(folder, split.labeled, profile),
    unlabeled: await plainItems(folder, split.unlabeled, profile),
  };
  const items = await readTrainingItems(folder, split, { profile, withUnlabeled: true });
  for (let iteration = 1; iteration <= 6; iteration++) {
    for (const augmentation of AUGMENTATIONS) {
      const options = { profile, augmentation, seed: 1337, iteration, patch: profile.patch, withUnlabeled: true };
      const found = assembleBatch(items, options), wanted = assembleBatch(plain, options);
      assert.deepEqual(bitsOf(found.image), bitsOf(wanted.image));
      assert.deepEqual(found.label, wanted.label);
    }
  }
  assert.ok(items.unlabeled.every(({ label }) => label === null), "nobody reads an unlabeled case's label");
  return [...items.labeled, ...items.unlabeled];
}
const codesOf = (items: TrainingItem[]) =>
  items.map(({ image: [image] }) => "codes" in image ? image.codes.constructor.name : "Float32Array");
/** The values that a scanner of so many gray levels would give. */
const levels = (image: Float32Array, count: number) => image.map((value) => Math.round(value * count) / count);

Deno.test("batches of LA-like and ACDC-like phantoms have the same bits from codes as from float32", () =>
  withFolder(async (folder) => {
    const small = { ...LA, patch: [32, 32, 32] };
    const shape = [40, 36, 34] as const; // an axis is padded, the others are cropped
    for (const [i, name] of ["a", "b", "c", "d", "e"].entries()) {
      const { image, label } = phantom(3, name, shape);
      // The last one is left with more values than there are codes.
      const data = i < 4
        ? levels(image, 30)
        : Float32Array.from({ length: 70000 }, (_, j) => image[j % image.length] + j);
      const own = i < 4 ? [...shape] : [50, 40, 35];
      await writeArrays(`${folder}/${name}.h5`, {
        image: { data, shape: own },
        label: { data: i < 4 ? label : new Uint8Array(70000).fill(1), shape: own },
      });
    }
    const volumes = await assertSameBatches(folder, splitOf(["a", "b"], ["c", "d", "e"]), small);
    assert.deepEqual(codesOf(volumes), ["Uint8Array", "Uint8Array", "Uint8Array", "Uint8Array", "Float32Array"]);
    for (const [i, name] of ["s", "t", "u"].entries()) {
      const { image, label } = cinePhantom(3, name, [8, 44, 50]).ED, shape = [8, 44, 50];
      await writeArrays(`${folder}/${name}.h5`, {
        image: { data: levels(image, [200, 3000, 3000][i]), shape },
        label: { data: label, shape },
      });
    }
    const planes = await assertSameBatches(folder, splitOf(["s", "t"], ["u", "s"]), { ...ACDC, patch: [32, 48] });
    assert.deepEqual(new Set(codesOf(planes)), new Set(["Uint8Array", "Uint16Array"]));
  }));

Deno.test("every core reads; the cases come in the order of the split, and all bad ones are named", () =>
  withFolder(async (folder) => {
    const names = Array.from({ length: 12 }, (_, i) => `case${i}`);
    for (const [i, name] of names.entries()) {
      const shape = [2, 2, i < 6 ? 400 : 2], size = shape.reduce((a, n) => a * n); // the first ones take longer
      await writeArrays(`${folder}/${name}.h5`, {
        image: { data: new Float32Array(size).fill(i), shape },
        label: { data: new Uint8Array(size).fill(Number(i !== 3)), shape },
      });
    }
    const options = { profile: LA, withUnlabeled: true };
    const { labeled, unlabeled } = await readTrainingItems(folder, splitOf(names.slice(4, 7), names.slice(7)), options);
    const first = ({ image: [image] }: TrainingItem) => "codes" in image ? image.palette[image.codes[0]] : image[0];
    assert.deepEqual([...labeled, ...unlabeled].map(first), [4, 5, 6, 7, 8, 9, 10, 11]);
    await Deno.writeTextFile(`${folder}/case9.h5`, "no HDF5");
    const bad = splitOf(["case3", "case4"], ["case9", "gone", "case5"]);
    await assert.rejects(readTrainingItems(folder, bad, options), (error) =>
      error instanceof DataError &&
      /^Cannot use "case3" as a labeled case.*\n.*case9\.h5.*\n.*gone\.h5[^\n]*$/.test(error.message));
  }));

const DATA = Deno.env.get("SSNET_DATA") ?? fileURLToPath(new URL("../../shared/data", import.meta.url));
const REAL = `${DATA}/la/2018LA_Seg_Training Set`;
const here = await Deno.stat(REAL).then(() => true, () => false);
if (!here) console.log(`skipped: batches of real LA cases, there is no folder "${REAL}" (SSNET_DATA names another)`);

Deno.test({ name: "real left atria take a byte a voxel and give the same batches", ignore: !here }, async () => {
  const names = [...Deno.readDirSync(REAL)].map(({ name }) => `${name}/mri_norm2`).sort().slice(0, 4);
  const items = await assertSameBatches(REAL, splitOf(names.slice(0, 2), names.slice(2)), LA);
  assert.deepEqual(codesOf(items), Array(4).fill("Uint8Array"));
});
