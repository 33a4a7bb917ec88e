/**
 * Raw left atria, a folder a case: `mri_norm2.h5` as the field's repositories publish it, taken as it is; or
 * `lgemri.nrrd` as the challenge gives it, with `laendo.nrrd` (0 and 255) where there is a mask.
 * @module
 */
import { BARE_CASE, type Case, readCase } from "../../records/case.ts";
import { cropGeometry, type Geometry } from "../../arrays/geometry.ts";
import { cropped } from "../../arrays/part.ts";
import { nameProblem } from "../../files/names.ts";
import { decodeNrrd, readNrrdFile } from "../../files/nrrd.ts";
import { foregroundCrop, type PlaneBox, planePart, publishedCrop } from "../crop.ts";
import {
  fingerprintOf,
  imageProblems,
  intensityNotes,
  labelPlacement,
  labelProblems,
  messageOf,
  type PreparedCase,
  type Problems,
  type PublishedIntensities,
} from "../prepared_case.ts";
import { LA } from "./profile.ts";
import { entriesOf } from "../raw_folder.ts";
import type { Volume } from "../../files/voxels.ts";
import { stream } from "../../arrays/random.ts";
import { normalize } from "../../arrays/intensity.ts";
import { sha256 } from "../../files/hash.ts";
import type { Fingerprint } from "../../records/manifest.ts";

const { classes } = LA;
/** Intensities as published; over volumes that were cut afterwards, so that only what is far off can be told. */
export const ATRIUM_INTENSITIES: PublishedIntensities = {
  text: "zero mean and unit standard deviation before the crop",
  has: ({ mean, standardDeviation }) => Math.abs(mean) < 4 && standardDeviation > 0.3 && standardDeviation < 4,
};

/** How left atria are prepared. */
export interface LeftAtriumOptions {
  /**
   * The crop of NRRD volumes. "published": by the label's box, as the field does, and whole where there is no label;
   * "foreground": by the image alone; "none": whole.
   */
  crop: "published" | "foreground" | "none";
  /** Seed of the published crop's random widening. */
  seed: number;
  /**
   * Millimeters along every axis, for distances and volumes; "header": what the files say; "known": the dataset's own where
   * the files say exactly 1.
   */
  spacing: number | "header" | "known";
  /** Whether this spacing is a usual one instead of the scanner's. */
  nominalSpacing: boolean;
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
  const problem = nameProblem(name);
  if (problem) return { problems: [problem] };
  const files = entriesOf(`${raw}/${name}`).map((f) => f.name);
  const hasFile = (file: string) => files.includes(file);
  if (hasFile("mri_norm2.h5")) return await publishedCase(raw, name, options);
  if (hasFile("lgemri.nrrd")) return await challenge(raw, name, { ...options, hasLabel: hasFile("laendo.nrrd") });
  return { problems: [`mri_norm2.h5 or lgemri.nrrd wanted, found ${files.join(", ") || "nothing"}`] };
}

async function publishedCase(raw: string, name: string, options: LeftAtriumOptions): Promise<PreparedCase | Problems> {
  const file = `${name}/mri_norm2.h5`;
  try {
    const found = await readCase(`${raw}/${file}`, name), { image } = found, label = found.label && inOnes(found.label);
    const problems = [...imageProblems(image, file), ...labelProblems(label, { file, classes })];
    if (problems.length) return { problems };
    const sources = [{ file, sha256: sha256(await Deno.readFile(`${raw}/${file}`)) }];
    const { notes, ...spacing } = measuring(found.geometry, null, options), prepared = { ...found, label, ...spacing };
    return {
      prepared,
      fingerprint: fingerprintOf(prepared, prepared, { sources, classes }),
      notes: [...notes, ...intensityNotes(image, ATRIUM_INTENSITIES)],
    };
  } catch (error) {
    return { problems: [messageOf(error)] };
  }
}

/** A mask of 0 and 255, as the challenge has it, in 0 and 1; any other as it is. */
function inOnes<Mask extends Float32Array | Uint8Array>(mask: Mask): Mask {
  return mask.every((value) => value === 0 || value === 255) ? mask.map((value) => value / 255) as Mask : mask;
}

/** The spacing of a case for distances and volumes, where it is not its header's, and a note that says so. */
function measuring(
  image: Geometry | null,
  label: Geometry | null,
  { spacing, nominalSpacing }: LeftAtriumOptions,
): Pick<Case, "correctedSpacing" | "nominalSpacing"> & { notes: string[] } {
  const says = (place: Geometry | null, width: number) => place?.spacing.every((found) => found === width) ?? false;
  const isUnit = says(image, 1) && (!label || says(label, 1));
  const width = spacing === "known" && isUnit ? LA.knownSpacing : typeof spacing === "number" ? spacing : null;
  if (width === null || says(image, width)) {
    return { correctedSpacing: null, nominalSpacing: nominalSpacing && image !== null, notes: [] };
  }
  const found = image ? `the header's ${image.spacing.join(" x ")} mm` : "an unknown one";
  const why = spacing === "known" ? "the dataset's; --spacing header takes the header's" : "as --spacing says";
  const note = `distances and volumes take a spacing of ${width} mm instead of ${found} (${why})`;
  return { correctedSpacing: [width, width, width], nominalSpacing, notes: [note] };
}

async function challenge(
  raw: string,
  name: string,
  { hasLabel, ...options }: LeftAtriumOptions & { hasLabel: boolean },
): Promise<PreparedCase | Problems> {
  const problems: string[] = [], notes: string[] = [], sources: Fingerprint["sources"] = [];
  const read = async (file: string): Promise<Volume | null> => {
    try {
      const bytes = await readNrrdFile(`${raw}/${file}`);
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
    const values = inOnes(mask.data), wrong = labelProblems(values, { file: labelFile, classes });
    problems.push(...wrong);
    if (!wrong.length) label = new Uint8Array(values);
  }
  if (volume && mask) {
    const placement = labelPlacement(mask, volume, labelFile);
    problems.push(...placement.problems);
    notes.push(...placement.notes);
  }
  if (problems.length || !volume) return { problems };
  const { shape, geometry } = volume, { box, how } = planeBox(volume, label, { ...options, name });
  const part = planePart(shape, box), image = cropped(normalize(volume.data), part);
  const inside = label && cropped(label, part);
  const count = (values: Uint8Array | null) => values?.reduce((sum, value) => sum + value, 0) ?? 0;
  if (count(inside) !== count(label)) {
    const outside = `${count(label) - count(inside)} of ${count(label)} labeled voxels lie outside the crop`;
    return { problems: [`${labelFile}: ${outside} to what is bright in the image; --crop none keeps them`] };
  }
  if (options.crop === "published" && !label) {
    notes.push(
      "without a label there is none to crop by: whole, where labeled volumes are cropped; " +
        "--crop foreground and --crop none treat both alike",
    );
  }
  const { notes: spacingNotes, ...spacing } = measuring(geometry, mask?.geometry ?? null, options);
  const prepared: Case = {
    ...BARE_CASE,
    ...spacing,
    name,
    shape: part.shape,
    image,
    label: inside,
    source: String(part.shape) === String(shape) ? null : { shape, first: part.first },
    geometry: geometry && cropGeometry(geometry, part.first),
    preparation: `normalized, ${how}`,
  };
  const fingerprint = fingerprintOf(prepared, { image: volume.data, label }, { sources, classes });
  return { prepared, fingerprint, notes: [...notes, ...spacingNotes] };
}

/** What of a volume's planes is kept, also in words. */
function planeBox(
  { data, shape }: Volume,
  label: Uint8Array | null,
  { crop, seed, name }: LeftAtriumOptions & { name: string },
): { box: PlaneBox; how: string } {
  const { patch } = LA, random = stream(seed, `crop ${name}`);
  if (crop === "foreground") return { box: foregroundCrop(data, shape, { patch }), how: "cropped to the foreground" };
  if (crop === "published" && label) {
    return { box: publishedCrop(label, shape, { patch, random }), how: "cropped by the label" };
  }
  const how = `whole volume${crop === "none" ? "" : " for want of a label"}`;
  return { box: { x: [0, shape[0]], y: [0, shape[1]] }, how };
}
