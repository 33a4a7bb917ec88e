/**
 * An example of a dataset: volumes of three organs in NIfTI, `CASE/image.nii` with `CASE/label.nii` where there is one,
 * trained by the protocol of LA's volumes. Its folder goes to `pipeline/datasets`, its line into `datasets.ts`.
 * @module
 */
import { z } from "zod";
import { sha256 } from "@ssnet/pipeline/files/hash.ts";
import { BARE_CASE, type Case } from "@ssnet/pipeline/records/case.ts";
import type { Geometry } from "@ssnet/pipeline/arrays/geometry.ts";
import { decodeNifti, writeNiftiMask } from "@ssnet/pipeline/files/nifti.ts";
import { normalize } from "@ssnet/pipeline/arrays/intensity.ts";
import {
  fingerprintOf,
  imageProblems,
  labelProblems,
  messageOf,
  type PreparedCase,
  type Problems,
} from "@ssnet/pipeline/datasets/prepared_case.ts";
import { checkRawFolder, foldersIn } from "@ssnet/pipeline/datasets/raw_folder.ts";
import type { BuiltInDataset, PhantomSet } from "@ssnet/pipeline/datasets/dataset.ts";
import { LA } from "@ssnet/pipeline/datasets/la/profile.ts";
import { stream } from "@ssnet/pipeline/arrays/random.ts";

const CLASSES = 4;

/** Checks and normalizes one case. */
async function prepare(raw: string, name: string): Promise<PreparedCase[] | Problems> {
  const problems: string[] = [], sources: PreparedCase["fingerprint"]["sources"] = [];
  const read = async (file: string) => {
    try {
      const bytes = await Deno.readFile(`${raw}/${name}/${file}`);
      sources.push({ file: `${name}/${file}`, sha256: sha256(bytes) });
      return decodeNifti(bytes, `${raw}/${name}/${file}`, { axes: "XYZ" });
    } catch (error) {
      problems.push(messageOf(error));
      return null;
    }
  };
  const hasLabel = [...Deno.readDirSync(`${raw}/${name}`)].some((file) => file.name === "label.nii");
  const image = await read("image.nii"), mask = hasLabel ? await read("label.nii") : null;
  if (image) problems.push(...imageProblems(image.data, `${name}/image.nii`));
  if (mask) problems.push(...labelProblems(mask.data, { file: `${name}/label.nii`, classes: CLASSES }));
  if (problems.length || !image) return { problems };
  const prepared: Case = {
    ...BARE_CASE,
    name,
    shape: image.shape,
    image: normalize(image.data),
    label: mask && new Uint8Array(mask.data),
    geometry: image.geometry,
    preparation: "zero mean, unit standard deviation",
  };
  const source = { image: image.data, label: prepared.label };
  return [{ prepared, fingerprint: fingerprintOf(prepared, source, { sources, classes: CLASSES }) }];
}

/** Three balls of three gray levels beside one another, in noise. */
function phantom(seed: number, name: string, [nx, ny, nz]: PhantomSet["shape"]) {
  const random = stream(seed, `organs ${name}`), side = Math.min(nx, ny, nz);
  const balls = [0.25, 0.5, 0.75].map((x) => ({
    center: [x * nx, (0.4 + 0.2 * random()) * ny, (0.4 + 0.2 * random()) * nz],
    radius: (0.13 + 0.05 * random()) * side,
  }));
  const image = new Uint8Array(nx * ny * nz), label = new Uint8Array(image.length);
  for (let i = 0; i < label.length; i++) {
    const at = [Math.floor(i / (ny * nz)), Math.floor(i / nz) % ny, i % nz];
    balls.forEach(({ center, radius }, k) => {
      if (Math.hypot(...at.map((n, axis) => n - center[axis])) < radius) label[i] = k + 1;
    });
    image[i] = 60 + 50 * label[i] + Math.round(30 * (random() - 0.5));
  }
  return { image, label };
}

/** The dataset. */
export const ORGANS: BuiltInDataset = {
  ...LA,
  name: "organs",
  title: "Organs",
  unit: "case",
  axes: "XYZ",
  classes: CLASSES,
  classNames: ["left", "middle", "right"],
  labeledCounts: [4, 8],
  usualLabeledCount: 4,
  lists: null,
  publishedResults: null,
  terms: null,
  preparation: {
    options: z.strictObject({}),
    intensities: normalize,
    names: (raw) => {
      checkRawFolder(raw, /^image\.nii$/);
      return Promise.resolve(foldersIn(raw));
    },
    prepare,
  },
  async writePhantoms(raw, { seed, count, shape }) {
    const geometry: Geometry = { spacing: [2, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
    for (let i = 1; i <= count; i++) {
      const name = `organs${i}`, { image, label } = phantom(seed, name, shape);
      await Deno.mkdir(`${raw}/${name}`, { recursive: true });
      const place = { shape, geometry, axes: "XYZ" } as const;
      await writeNiftiMask(`${raw}/${name}/image.nii`, image, place);
      await writeNiftiMask(`${raw}/${name}/label.nii`, label, place);
    }
  },
  ci: {
    phantoms: { seed: 1337, count: 8, shape: [24, 24, 24] },
    patch: [16, 16, 16],
    iterations: 40,
    split: { validation: 0, test: 2 },
  },
};
