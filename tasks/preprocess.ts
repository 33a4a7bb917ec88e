/**
 * `deno task preprocess:la`: raw LA volumes in (`<case>/mri_norm2.h5` as published, or `<case>/lgemri.nrrd` with
 * `laendo.nrrd` where there is one), cases and `manifest.json` out. All problems are listed, and then nothing is written.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { DataError, readCase } from "../pipeline/data/cases.ts";
import { writeArrays } from "../pipeline/data/hdf5.ts";
import { decodeNrrd } from "../pipeline/data/nrrd.ts";
import { cropPlane, normalize, publishedCrop } from "../pipeline/data/preparation.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";
import { stream } from "../pipeline/runs/random.ts";
import { writeAtomically } from "../pipeline/runs/safetensors.ts";

const options = parseOptions(
  z.strictObject({
    raw: z.string().default("data/raw/la").describe("folder with one folder a case"),
    cases: z.string().default("data/cases/la").describe("folder to write"),
    crop: z.enum(["published", "none"]).default("published").describe(
      "of NRRD volumes. published: by the label, as the field does; none: whole volumes. HDF5 is taken as it is",
    ),
    seed: z.int().nonnegative().default(1337).describe("seed of the crop's random widening"),
  }),
  { name: "preprocess:la", description: "Check raw left atria and turn them into cases", args: Deno.args },
);

interface Prepared {
  shape: [number, number, number];
  image: Float32Array;
  label: Uint8Array | null;
  spacing: number[] | null;
  source: string;
  preparation: string;
}

async function prepare(name: string, folder: string): Promise<Prepared> {
  const files = [...Deno.readDirSync(folder)].map((f) => f.name);
  if (files.includes("mri_norm2.h5")) {
    const source = `${folder}/mri_norm2.h5`, { shape, image, label } = await readCase(source, name);
    return { shape, image, label, spacing: null, source, preparation: "as published" };
  }
  const source = `${folder}/lgemri.nrrd`;
  if (!files.includes("lgemri.nrrd")) {
    throw new DataError(
      `Cannot prepare "${name}": mri_norm2.h5 or lgemri.nrrd wanted, found ${files.join(", ") || "nothing"}`,
    );
  }
  const volume = decodeNrrd(await Deno.readFile(source), source);
  let label: Uint8Array | null = null;
  if (files.includes("laendo.nrrd")) {
    const path = `${folder}/laendo.nrrd`, mask = decodeNrrd(await Deno.readFile(path), path);
    if (String(mask.shape) !== String(volume.shape)) {
      throw new DataError(
        `Cannot prepare "${name}": its label must have the shape [${volume.shape}], found [${mask.shape}]`,
      );
    }
    const values = [...new Set(mask.data)];
    if (values.some((v) => v !== 0 && v !== 255)) {
      throw new DataError(`Cannot prepare "${name}": its label must hold 0 and 255, found ${values.slice(0, 8)}`);
    }
    label = Uint8Array.from(mask.data, (v) => Number(v === 255));
  }
  const image = normalize(volume.data), { spacing } = volume;
  if (options.crop === "none" || !label?.some((v) => v)) {
    return { shape: volume.shape, image, label, spacing, source, preparation: "normalised" };
  }
  const box = publishedCrop(label, volume.shape, { patch: LA.patch, random: stream(options.seed, `crop ${name}`) });
  const { volume: cropped, shape } = cropPlane(image, volume.shape, box);
  return {
    shape,
    image: cropped,
    label: cropPlane(label, volume.shape, box).volume,
    spacing,
    source,
    preparation: `normalised, cropped by the label to x ${box.x}, y ${box.y}`,
  };
}

function check(name: string, { image, label }: Prepared): string[] {
  const problems: string[] = [];
  const bad = image.reduce((n, v) => n + Number(!Number.isFinite(v)), 0);
  if (bad) problems.push(`"${name}": ${bad} voxels are no finite number`);
  const values = label ? [...new Set(label)] : [];
  if (values.some((v) => v > 1)) problems.push(`"${name}": its label must hold 0 and 1, found ${values.slice(0, 8)}`);
  return problems;
}

async function preprocess() {
  const names = [...Deno.readDirSync(options.raw)].filter((f) => f.isDirectory).map((f) => f.name).sort();
  if (!names.length) throw new DataError(`Cannot find cases in "${options.raw}": it has no folders`);
  const problems: string[] = [];
  for (const name of names) { // all bad cases first; nothing is written before all are good
    try {
      problems.push(...check(name, await prepare(name, `${options.raw}/${name}`)));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length) {
    throw new DataError(`${problems.length} problems in ${names.length} cases:\n${problems.join("\n")}`);
  }
  await Deno.mkdir(options.cases, { recursive: true });
  const manifest: Record<string, unknown> = {};
  for (const name of names) {
    const { shape, image, label, spacing, source, preparation } = await prepare(name, `${options.raw}/${name}`);
    const sha256 = createHash("sha256").update(await Deno.readFile(source)).digest("hex");
    const attributes = { source, sha256, preparation, ...(spacing && { spacing }) };
    const arrays = { image: { data: image, shape }, ...(label && { label: { data: label, shape } }) };
    await writeArrays(`${options.cases}/${name}.h5`, arrays, attributes);
    const sum = image.reduce((a, b) => a + b, 0);
    manifest[name] = {
      shape,
      spacing,
      mean: sum / image.length,
      minimum: image.reduce((a, b) => Math.min(a, b), Infinity),
      maximum: image.reduce((a, b) => Math.max(a, b), -Infinity),
      labelVoxels: label?.reduce((a, b) => a + b, 0) ?? null,
      ...attributes,
    };
    console.log(`${name}  [${shape}]  ${label ? "labeled" : "without a mask"}  ${preparation}`);
  }
  const text = JSON.stringify({ dataset: LA.name, crop: options.crop, seed: options.seed, cases: manifest }, null, 2);
  await writeAtomically(`${options.cases}/manifest.json`, [new TextEncoder().encode(text + "\n")]);
  console.log(`${names.length} cases in ${options.cases}`);
}

await runTask(preprocess);
