/**
 * Raw left atria, a folder a case: `mri_norm2.h5` as the field's repositories publish it, taken as it is; or
 * `lgemri.nrrd` as the challenge gives it, with `laendo.nrrd` (0 and 255) where there is a mask.
 * @module
 */
import { BARE_CASE, type Case, type Fingerprint, readCase, sha256 } from "./cases.ts";
import { cropGeometry, geometryDifferences } from "./geometry.ts";
import { decodeNrrd } from "./nrrd.ts";
import { cropPlane, normalize, publishedCrop } from "./preparation.ts";
import {
  fingerprintOf,
  imageProblems,
  labelProblems,
  listed,
  messageOf,
  type PreparedCase,
  type Problems,
} from "./prepared_case.ts";
import { LA } from "./profiles.ts";
import type { Volume } from "./voxels.ts";
import { stream } from "../runs/random.ts";

const { classes } = LA;

/** How NRRD volumes are prepared. */
export interface LeftAtriumOptions {
  /** "published": by the label's box, as the field does; "none": whole volumes. */
  crop: "published" | "none";
  /** Seed of the crop's random widening. */
  seed: number;
}

/**
 * Reads, checks and prepares one case. Needs `--allow-read`, `--allow-env`.
 * @param raw Folder of all cases.
 * @returns The case, or all that is wrong with it.
 */
export async function prepareLeftAtrium(
  raw: string,
  name: string,
  options: LeftAtriumOptions,
): Promise<PreparedCase | Problems> {
  const files = [...Deno.readDirSync(`${raw}/${name}`)].map((f) => f.name);
  const hasFile = (file: string) => files.includes(file);
  if (hasFile("mri_norm2.h5")) return await published(raw, name);
  if (hasFile("lgemri.nrrd")) return await challenge(raw, name, { ...options, hasLabel: hasFile("laendo.nrrd") });
  return { problems: [`mri_norm2.h5 or lgemri.nrrd wanted, found ${files.join(", ") || "nothing"}`] };
}

async function published(raw: string, name: string): Promise<PreparedCase | Problems> {
  const file = `${name}/mri_norm2.h5`;
  try {
    const prepared = await readCase(`${raw}/${file}`, name), { image, label } = prepared;
    const problems = [...imageProblems(image, file), ...labelProblems(label, { file, classes })];
    if (problems.length) return { problems };
    const sources = [{ file, sha256: sha256(await Deno.readFile(`${raw}/${file}`)) }];
    return { prepared, fingerprint: fingerprintOf(prepared, prepared, { sources, classes }) };
  } catch (error) {
    return { problems: [messageOf(error)] };
  }
}

async function challenge(
  raw: string,
  name: string,
  { crop, seed, hasLabel }: LeftAtriumOptions & { hasLabel: boolean },
): Promise<PreparedCase | Problems> {
  const problems: string[] = [], sources: Fingerprint["sources"] = [];
  const read = async (file: string): Promise<Volume | null> => {
    try {
      const bytes = await Deno.readFile(`${raw}/${file}`);
      sources.push({ file, sha256: sha256(bytes) });
      return decodeNrrd(bytes, `${raw}/${file}`);
    } catch (error) {
      problems.push(messageOf(error));
      return null;
    }
  };
  const imageFile = `${name}/lgemri.nrrd`, labelFile = `${name}/laendo.nrrd`;
  const volume = await read(imageFile), mask = hasLabel ? await read(labelFile) : null;
  if (volume) problems.push(...imageProblems(volume.data, imageFile));
  let label: Uint8Array | null = null;
  if (mask) {
    const values = [...new Set(mask.data)];
    if (values.some((value) => value !== 0 && value !== 255)) {
      problems.push(`${labelFile}: 0 and 255 wanted, found ${listed(values)}`);
    } else {
      label = new Uint8Array(mask.data).map((value) => Number(value === 255));
      problems.push(...labelProblems(label, { file: labelFile, classes }));
    }
  }
  if (volume && mask) {
    if (String(mask.shape) !== String(volume.shape)) {
      problems.push(`${labelFile}: the shape of its image [${volume.shape}] wanted, found [${mask.shape}]`);
    }
    if (volume.geometry && mask.geometry) {
      const differences = geometryDifferences(mask.geometry, volume.geometry);
      problems.push(...differences.map((difference) => `${labelFile}: not where its image is: ${difference}`));
    }
  }
  if (problems.length || !volume) return { problems };
  const { shape, geometry } = volume, image = normalize(volume.data);
  const place = { ...BARE_CASE, name, geometry };
  let prepared: Case = { ...place, shape, image, label, preparation: "normalized, whole volume" };
  if (crop === "published" && label) {
    const box = publishedCrop(label, shape, { patch: LA.patch, random: stream(seed, `crop ${name}`) });
    const cropped = cropPlane(image, shape, box);
    prepared = {
      ...place,
      shape: cropped.shape,
      image: cropped.volume,
      label: cropPlane(label, shape, box).volume,
      geometry: geometry && cropGeometry(geometry, [box.x[0], box.y[0], 0]),
      preparation: "normalized, cropped by the label",
    };
  }
  return { prepared, fingerprint: fingerprintOf(prepared, { image: volume.data, label }, { sources, classes }) };
}
