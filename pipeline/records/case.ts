/**
 * Cases on disk: one HDF5 file a case with `image` (float32) and, where there is one, `label` (uint8), the last axis
 * fastest, as the field's repositories write and read them; an image of several channels has one more axis in front, the
 * channels'. Attributes say which axes (`axes`, "XYZ" or "ZYX"; absent:
 * "XYZ"), where the voxels lie (`spacing` [3], `origin` [3], `direction` [9]: RAS+ millimeters along the array's axes, as
 * in a `Geometry`; absent where the source does not say; `corrected_spacing` [3] where distances and volumes take another;
 * `nominal_spacing` 1 where it is not the scanner's; of a NIfTI also what its header says, `nifti_pixdim`, `nifti_units`,
 * `nifti_codes`, `nifti_qform`, `nifti_sform`), who was imaged (`patient`, `frame`, `phase`, `group`, `height`, `weight`,
 * each where it is known) and where it comes from (`source`, `source_sha256`, `preparation`; of one that was cropped
 * `source_shape` [3] and `source_first` [3], its first voxel there). A `manifest.json` beside the
 * cases holds their fingerprints.
 * @module
 */
import { z } from "zod";
import { DataError } from "../files/errors.ts";
import { channelCount, channelsIn } from "../arrays/channels.ts";
import { type AxisOrder, cropGeometry, type Geometry, type Vector3 } from "../arrays/geometry.ts";
import { type Part, uncropped } from "../arrays/part.ts";
import { type HdfAttribute, type HdfContent, readHdf5, writeArrays } from "../files/hdf5.ts";
import { NAME } from "../files/names.ts";
import type { NiftiForms } from "../files/nifti.ts";
import { type Fingerprint, preparedHashesOf } from "./manifest.ts";

/** One volume with what is known of it. */
export interface Case {
  /** The case's name, unique in its folder; the file's name without `.h5`. */
  name: string;
  /** Voxels along the three axes of the array, the last one fastest. */
  shape: Vector3;
  /** Which axes these are: "XYZ" (LA) or "ZYX" (ACDC). */
  axes: AxisOrder;
  /**
   * Intensities as the network reads them, `[C, ...shape]`, channel by channel: LA of zero mean and unit standard
   * deviation, ACDC in [0, 1].
   */
  image: Float32Array;
  /** Class of every voxel, 0 is background; null for a case without a label. */
  label: Uint8Array | null;
  /** Place of the voxels along the array's axes, as the source's header says it; null where it does not tell the spacing. */
  geometry: Geometry | null;
  /** What distances and volumes take instead of the geometry's spacing ({@linkcode spacingOf}); null: that one. */
  correctedSpacing: Vector3 | null;
  /** Whether the spacing is a usual one instead of the scanner's, so that millimeters and milliliters are nominal too. */
  nominalSpacing: boolean;
  /** What the header of the source says of the place, number for number, for the masks; null where it was no NIfTI. */
  header: NiftiForms | null;
  /** The volume that it was cropped from and its first voxel there; null where it is whole or not known. */
  source: { shape: Vector3; first: Vector3 } | null;
  /** The person who was imaged; null where the source does not say, as the following ones. */
  patient: string | null;
  /** Number of the frame in the patient's cine, from 1. */
  frame: number | null;
  /** End of diastole, or of systole. */
  phase: "ED" | "ES" | null;
  /** Diagnosis, as the source names it. */
  group: string | null;
  /** Height of the patient, centimeters. */
  height: number | null;
  /** Weight of the patient, kilograms. */
  weight: number | null;
  /** What was done to the source; "as published" for the field's own files. */
  preparation: string;
}

/** Patient and number of the frame that a name `PATIENT_frameNN` tells; null for another name. */
export function parseFrameName(name: string): { patient: string; frame: number } | null {
  const [, patient, frame] = name.match(/^(.+)_frame(\d+)$/) ?? [];
  return patient ? { patient, frame: Number(frame) } : null;
}

/** The patient whose frame a case is, by its name; a case of another name is a patient of its own. */
export function patientOf(name: string): string {
  return parseFrameName(name)?.patient ?? name;
}

/** What a case says whose source gives nothing but voxels along X, Y, Z. */
export const BARE_CASE = {
  axes: "XYZ",
  geometry: null,
  correctedSpacing: null,
  nominalSpacing: false,
  header: null,
  source: null,
  patient: null,
  frame: null,
  phase: null,
  group: null,
  height: null,
  weight: null,
} as const satisfies Partial<Case>;

/** Millimeters along the array's axes, for distances and volumes; null where they are not known. A mask keeps the geometry. */
export function spacingOf({ geometry, correctedSpacing }: Pick<Case, "geometry" | "correctedSpacing">): Vector3 | null {
  return correctedSpacing ?? geometry?.spacing ?? null;
}

/** A case as a part of its source's volume; of itself where that is not known. */
export function partOf({ shape, source }: Pick<Case, "shape" | "source">): Part {
  return { whole: source?.shape ?? shape, first: source?.first ?? [0, 0, 0], shape };
}

/** A mask of a case in its source's volume, background where the case was cut off, with its place there. */
export function onSource<T extends Pick<Case, "shape" | "source" | "geometry">>(
  mask: Uint8Array,
  one: T,
): { mask: Uint8Array; place: T } {
  const part = partOf(one), back = part.first.map((n) => -n) as Vector3;
  const geometry = one.geometry && cropGeometry(one.geometry, back);
  return { mask: uncropped(mask, part), place: { ...one, shape: part.whole, geometry, source: null } };
}

/** Datasets of a case's file; others, as the scribbles of published files, are not read. */
export const CASE_DATASETS = ["image", "label"] as const;

/**
 * Reads a case. Needs `--allow-read`.
 * @param options `expected`: what the manifest says of it; absent for the field's own files, which have none.
 * @throws {DataError} Naming file, found and wanted: no HDF5, no image, other shapes, not 3-D, a label that holds other
 * values than whole numbers from 0 to 255, attributes that are none, or another case than the manifest's.
 */
export async function readCase(
  path: string,
  name: string,
  { expected }: { expected?: Fingerprint } = {},
): Promise<Case> {
  let content: HdfContent;
  try {
    content = await readHdf5(path, { only: CASE_DATASETS });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DataError(error.message, { cause: error });
  }
  return caseOf(content, { path, name, expected });
}

/** The case of a file's content. @throws {DataError} As {@linkcode readCase}. */
export function caseOf(
  { names, arrays, attributes }: HdfContent,
  { path, name, expected }: { path: string; name: string; expected?: Fingerprint },
): Case {
  const { image, label } = arrays, refuse = (why: string) => new DataError(`Cannot read "${path}": ${why}`);
  if (!image) throw refuse(`it has no dataset "image", found ${names.join(", ") || "nothing"}`);
  const hasChannels = image.shape.length === 4 && image.shape[0] > 1 && "axes" in attributes; // else nobody says which axis
  const shape = hasChannels ? image.shape.slice(1) : image.shape;
  if (shape.length !== 3) {
    const channel = shape.length === 4 && shape.includes(1)
      ? "; an axis of length 1, the channel, must be left out"
      : "";
    throw refuse(`its image must have 3 axes, found shape [${shape}]${channel}`);
  }
  if (shape.includes(0)) throw refuse(`its image has no voxels: its shape is [${shape}]`);
  if (label && String(label.shape) !== String(shape)) {
    throw refuse(`its label must have the shape of its image [${shape}], found [${label.shape}]`);
  }
  const wrong = label?.data instanceof Uint8Array
    ? undefined
    : label?.data.find((value) => !(value >= 0 && value <= 255 && Number.isInteger(value)));
  if (wrong !== undefined) throw refuse(`its label must hold whole numbers from 0 to 255, found ${wrong}`);
  if (expected && !("axes" in attributes)) {
    throw refuse('it has lost its attributes, "axes" and what follows; prepare it anew');
  }
  const { spacing, origin, direction, ...said } = checkAttributes(attributes, refuse);
  const one: Case = {
    name,
    shape: shape as Vector3,
    image: image.data instanceof Float32Array ? image.data : new Float32Array(image.data),
    label: label ? new Uint8Array(label.data) : null,
    axes: said.axes ?? "XYZ",
    geometry: spacing && origin && direction ? { spacing, origin, direction } : null,
    correctedSpacing: said.corrected_spacing ?? null,
    nominalSpacing: said.nominal_spacing?.[0] === 1,
    header: formsOf(attributes),
    source: said.source_shape && said.source_first ? { shape: said.source_shape, first: said.source_first } : null,
    patient: said.patient ?? null,
    frame: said.frame?.[0] ?? null,
    phase: said.phase ?? null,
    group: said.group ?? null,
    height: said.height?.[0] ?? null,
    weight: said.weight?.[0] ?? null,
    preparation: said.preparation ?? "as published",
  };
  const differences = expected ? differencesFrom(expected, one) : [];
  if (differences.length) {
    throw refuse(`it is not as manifest.json says: ${differences.join(", ")}; restore the file, or prepare it anew`);
  }
  return one;
}

const WIDTHS = z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]);
const VOXEL = z.int().nonnegative(), VOXELS = z.tuple([VOXEL, VOXEL, VOXEL]);
const ONE = z.tuple([z.number()]);
/** The attributes of a case, each where it is known. */
const ATTRIBUTES = z.looseObject({
  axes: z.enum(["XYZ", "ZYX"]),
  spacing: WIDTHS,
  origin: z.tuple([z.number(), z.number(), z.number()]),
  direction: z.array(z.number()).length(9),
  corrected_spacing: WIDTHS,
  nominal_spacing: ONE,
  patient: NAME,
  frame: z.tuple([z.int().positive()]),
  phase: z.enum(["ED", "ES"]),
  group: z.string(),
  height: ONE,
  weight: ONE,
  preparation: z.string(),
  source_shape: VOXELS,
  source_first: VOXELS,
}).partial();

function checkAttributes(attributes: HdfContent["attributes"], refuse: (why: string) => Error) {
  const result = ATTRIBUTES.safeParse({ ...attributes });
  if (!result.success) throw refuse(`its attributes are not as wanted:\n${z.prettifyError(result.error)}`);
  return result.data;
}

/** How a case differs from its fingerprint; of one without hashes as far as it tells: not image and place themselves. */
function differencesFrom({ hashes, shape, spacing, preparation, labelVoxels }: Fingerprint, one: Case): string[] {
  if (hashes) {
    const found = preparedHashesOf(one);
    return (Object.keys(found) as (keyof typeof found)[])
      .filter((part) => found[part] !== hashes[part])
      .map((part) => `its ${part} has another hash`);
  }
  const counts: Record<number, number> = {};
  for (const value of one.label ?? []) if (value) counts[value] = (counts[value] ?? 0) + 1;
  const labeled = Object.fromEntries(Object.entries(labelVoxels ?? {}).filter(([, count]) => count));
  const problems: string[] = [];
  const compare = (what: string, found: unknown, wanted: unknown) => {
    const [a, b] = [found, wanted].map((value) => JSON.stringify(value));
    if (a !== b) problems.push(`${what} is ${a}, ${b} wanted`);
  };
  compare("its shape", one.shape, shape);
  compare("its spacing", spacingOf(one), spacing);
  compare("its preparation", one.preparation, preparation);
  compare("its voxels by label", one.label && counts, labelVoxels && labeled);
  const bad = one.image.find((value) => !Number.isFinite(value));
  if (bad !== undefined) problems.push(`a voxel of its image is ${bad}`);
  for (const channel of channelsIn(one.image, channelCount(one.image, one.shape))) {
    if (channel.every((value) => value === channel[0])) problems.push(`all voxels of its image are ${channel[0]}`);
  }
  return problems;
}

const FORMS = ["pixdim", "units", "codes", "qform", "sform"] as const satisfies (keyof NiftiForms)[];

function formsOf(attributes: Record<string, HdfAttribute>): NiftiForms | null {
  if (!FORMS.every((key) => `nifti_${key}` in attributes)) return null;
  return Object.fromEntries(FORMS.map((key) => [key, attributes[`nifti_${key}`]])) as unknown as NiftiForms;
}

/**
 * Writes a case, gzipped, under a temporary name and then renamed. Needs `--allow-read`, `--allow-write`, `--allow-env`.
 * @param file The file that the image comes from, and its SHA-256.
 */
export function writeCase(
  path: string,
  { shape, image, label, axes, geometry, correctedSpacing, nominalSpacing, header, preparation, ...rest }: Omit<
    Case,
    "name"
  >,
  file: { file: string; sha256: string },
): Promise<void> {
  const { source, patient, frame, phase, group, height, weight } = rest, channels = channelCount(image, shape);
  const known = Object.entries({ patient, frame, phase, group, height, weight }).filter(([, value]) => value !== null);
  return writeArrays(
    path,
    {
      image: { data: image, shape: channels > 1 ? [channels, ...shape] : shape },
      ...(label && { label: { data: label, shape } }),
    },
    {
      axes,
      ...geometry,
      ...(correctedSpacing && { corrected_spacing: correctedSpacing }),
      ...(nominalSpacing && { nominal_spacing: [1] }),
      ...Object.fromEntries(header ? FORMS.map((key) => [`nifti_${key}`, header[key]]) : []),
      ...Object.fromEntries(known.map(([key, value]) => [key, typeof value === "number" ? [value] : value as string])),
      ...(source && { source_shape: source.shape, source_first: source.first }),
      source: file.file,
      source_sha256: file.sha256,
      preparation,
    },
  );
}
