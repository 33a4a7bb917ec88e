/**
 * Labels and images at the edge mean the same in every reader: of raw left atria (NRRD, HDF5), of raw cardiac slices (NIfTI,
 * HDF5), of masks to score (NIfTI, NRRD, MetaImage, HDF5).
 */
import assert from "node:assert/strict";
import { prepareCine } from "../pipeline/datasets/acdc/cardiac_cine.ts";
import { prepareLeftAtrium } from "../pipeline/datasets/la/left_atria.ts";
import { readLabel } from "../pipeline/evaluation/masks.ts";
import { writeArrays } from "../pipeline/files/hdf5.ts";
import type { Vector3 } from "../pipeline/arrays/geometry.ts";
import { withFolder } from "./with_folder.ts";

const SHAPE: Vector3 = [4, 3, 2], COUNT = 24;
const bytesOf = (header: string, voxels: Float32Array) =>
  new Uint8Array([...new TextEncoder().encode(header), ...new Uint8Array(voxels.slice().buffer)]);
/** float32 in every format; X is the file's fastest axis but in HDF5. */
const ENCODE = {
  nrrd: (voxels: Float32Array, shape = SHAPE) =>
    bytesOf(
      `NRRD0004\ntype: float\ndimension: 3\nsizes: ${shape.join(" ")}\nspace: left-posterior-superior\n` +
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: little\nencoding: raw\n\n",
      voxels,
    ),
  mha: (voxels: Float32Array, shape = SHAPE) =>
    bytesOf(
      `ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = ${
        shape.join(" ")
      }\n` +
        "ElementSpacing = 1 1 1\nElementType = MET_FLOAT\nElementDataFile = LOCAL\n",
      voxels,
    ),
  nii(voxels: Float32Array, shape = SHAPE) {
    const header = new DataView(new ArrayBuffer(352)), FLOAT32 = 16;
    header.setInt32(0, 348, true);
    [3, ...shape, 1, 1, 1, 1].forEach((size, i) => header.setInt16(40 + 2 * i, size, true));
    header.setInt16(70, FLOAT32, true);
    header.setInt16(72, 32, true);
    for (let i = 0; i < 4; i++) header.setFloat32(76 + 4 * i, 1, true);
    header.setFloat32(108, 352, true); // where the voxels begin
    [..."n+1"].forEach((letter, i) => header.setUint8(344 + i, letter.charCodeAt(0)));
    return new Uint8Array([...new Uint8Array(header.buffer), ...new Uint8Array(voxels.slice().buffer)]);
  },
};
const IMAGE = Float32Array.from({ length: COUNT }, (_, i) => 40 + 5 * i);
const LABELS = {
  "all zero": IMAGE.map(() => 0),
  "one voxel": IMAGE.map((_, i) => Number(i === 7)),
  "255": IMAGE.map((_, i) => 255 * (i % 2)),
  "1 and 255": IMAGE.map((_, i) => i % 2 ? 255 : Number(i === 4)),
  "whole floats": IMAGE.map((_, i) => i % 2),
  fractions: IMAGE.map((_, i) => i % 2 / 2),
  NaN: IMAGE.map((_, i) => i === 3 ? NaN : i % 2),
  negative: IMAGE.map((_, i) => -(i % 2)),
};
type Content = keyof typeof LABELS;

/** What comes of a raw case: how many voxels each class has, or the problem without the file's name. */
type Outcome = Record<string, number> | string;
const told = (problems: string[]) => problems.map((text) => text.replace(/^[^:]*: /, "")).join("; ");

async function atrium(
  folder: string,
  format: "nrrd" | "h5",
  image: Float32Array,
  label: Float32Array,
): Promise<Outcome> {
  await Deno.mkdir(`${folder}/c`, { recursive: true });
  if (format === "h5") {
    await writeArrays(`${folder}/c/mri_norm2.h5`, {
      image: { data: image, shape: [...SHAPE] },
      label: { data: label, shape: [...SHAPE] },
    });
  } else {
    await Deno.writeFile(`${folder}/c/lgemri.nrrd`, ENCODE.nrrd(image));
    await Deno.writeFile(`${folder}/c/laendo.nrrd`, ENCODE.nrrd(label));
  }
  const options = { crop: "none", seed: 1, spacing: "known", nominalSpacing: false } as const;
  const result = await prepareLeftAtrium(folder, "c", options);
  return "problems" in result ? told(result.problems) : result.fingerprint.labelVoxels!;
}

async function heart(folder: string, format: "nii" | "h5", image: Float32Array, label: Float32Array): Promise<Outcome> {
  if (format === "h5") {
    await Deno.mkdir(`${folder}/data`, { recursive: true });
    await writeArrays(`${folder}/data/p_frame01.h5`, {
      image: { data: image, shape: [2, 3, 4] },
      label: { data: label, shape: [2, 3, 4] },
    });
  } else {
    await Deno.mkdir(`${folder}/p`, { recursive: true });
    await Deno.writeTextFile(`${folder}/p/Info.cfg`, "ED: 1\nES: 2\n");
    for (const frame of ["01", "02"]) {
      await Deno.writeFile(`${folder}/p/p_frame${frame}.nii`, ENCODE.nii(image));
      await Deno.writeFile(`${folder}/p/p_frame${frame}_gt.nii`, ENCODE.nii(label));
    }
  }
  const result = await prepareCine(folder, "p", { nominalSpacing: false });
  return "problems" in result ? told(result.problems.slice(0, 1)) : result[0].fingerprint.labelVoxels!;
}

/** In each format on its own; `wanted` is a text where it is refused. */
async function inEach(
  formats: readonly string[],
  outcomeOf: (folder: string, format: string) => Promise<Outcome>,
  wanted: Outcome | RegExp,
) {
  for (const format of formats) {
    await withFolder(async (folder) => {
      const outcome = await outcomeOf(folder, format);
      if (wanted instanceof RegExp) assert.match(String(outcome), wanted, format);
      else assert.deepEqual(outcome, wanted, format);
    });
  }
}

Deno.test("a label of a raw left atrium: 0 and 1, or 0 and 255; nothing else, and not empty, as NRRD and as HDF5", async () => {
  const wanted: Record<Content, Outcome | RegExp> = {
    "all zero": /^its label is empty/,
    "one voxel": { 1: 1 },
    "255": { 1: 12 },
    "1 and 255": /0.* 1.* 255/,
    "whole floats": { 1: 12 },
    fractions: /0\.5/,
    NaN: /NaN/,
    negative: /-1/,
  };
  for (const [content, outcome] of Object.entries(wanted)) {
    const label = LABELS[content as Content];
    await inEach(["nrrd", "h5"], (folder, format) => atrium(folder, format as "nrrd", IMAGE, label), outcome);
  }
  const flat = IMAGE.map(() => 7), full = LABELS["whole floats"];
  await inEach(
    ["nrrd", "h5"],
    (folder, format) => atrium(folder, format as "nrrd", flat, full),
    /^all its voxels are 7/,
  );
});

Deno.test("a label of raw cardiac slices: whole numbers from 0 to 3, classes may be absent; as NIfTI and as HDF5", async () => {
  const wanted: Record<Content, Outcome | RegExp> = {
    "all zero": /^its label is empty/,
    "one voxel": { 1: 1, 2: 0, 3: 0 },
    "255": /0.* 255/,
    "1 and 255": /0.* 1.* 255/,
    "whole floats": { 1: 12, 2: 0, 3: 0 },
    fractions: /0\.5/,
    NaN: /NaN/,
    negative: /-1/,
  };
  const image = IMAGE.map((_, i) => i / 23);
  for (const [content, outcome] of Object.entries(wanted)) {
    const label = LABELS[content as Content];
    await inEach(["nii", "h5"], (folder, format) => heart(folder, format as "nii", image, label), outcome);
  }
  const flat = IMAGE.map(() => 7), full = LABELS["whole floats"];
  await inEach(["nii", "h5"], (folder, format) => heart(folder, format as "nii", flat, full), /^all its voxels are 7/);
});

Deno.test("a mask to score: whole numbers from 0 to 255, empty or of one slice too, in every format", async () => {
  const formats = ["nii", "nrrd", "mha", "h5"] as const;
  const read = async (folder: string, format: typeof formats[number], label: Float32Array, shape: Vector3) => {
    const path = `${folder}/a.${format}`;
    if (format === "h5") {
      const [data, own] = [label, [...shape]];
      await writeArrays(path, {
        image: { data: IMAGE.slice(0, data.length), shape: own },
        label: { data, shape: own },
      });
    } else await Deno.writeFile(path, ENCODE[format](label, shape));
    return await readLabel(path).then(
      ({ label }) =>
        Object.fromEntries(Map.groupBy(label, (value) => value).entries().map(([v, all]) => [v, all.length])),
      (error: Error) => error.message,
    );
  };
  const wanted: Record<Content, Outcome | RegExp> = {
    "all zero": { 0: 24 },
    "one voxel": { 0: 23, 1: 1 },
    "255": { 0: 12, 255: 12 },
    "1 and 255": { 0: 11, 1: 1, 255: 12 },
    "whole floats": { 0: 12, 1: 12 },
    fractions: /whole numbers from 0 to 255.* found 0\.5$/,
    NaN: /whole numbers from 0 to 255.* found NaN$/,
    negative: /whole numbers from 0 to 255.* found -1$/,
  };
  for (const [content, outcome] of Object.entries(wanted)) {
    const label = LABELS[content as Content];
    await inEach(formats, (folder, format) => read(folder, format as "nii", label, SHAPE), outcome);
  }
  const slice = LABELS["one voxel"].slice(0, 12);
  await inEach(formats, (folder, format) => read(folder, format as "nii", slice, [4, 3, 1]), { 0: 11, 1: 1 });
});
