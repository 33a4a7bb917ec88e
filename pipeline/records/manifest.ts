/**
 * `manifest.json` beside the cases of a folder: what was prepared how, and of every case a fingerprint, by which it is
 * known again.
 * @module
 */
import { z } from "zod";
import type { Intensity } from "../arrays/intensity.ts";
import { sha256 } from "../files/hash.ts";
import { type JsonFile, readJson, readJsonIfThere, writeRecord } from "../files/json.ts";
import { NAME } from "../files/names.ts";
import { withPresentNames } from "../files/present_names.ts";
import type { Case } from "./case.ts";

/** SHA-256 of all that a case is made of, part by part, so that what has changed can be named. */
export interface CaseHashes {
  /** Hash of the image as it was decoded, before any preparation: the same for one image in two files. */
  sourceImage: string;
  /** Hash of the label before any crop, a byte a voxel; null without one. */
  sourceLabel: string | null;
  /** Hash of the prepared image: its voxels as float32. */
  image: string;
  /** Hash of the prepared label: a byte a voxel; null without one. */
  label: string | null;
  /** Hash of shape and place: all that a case says beside image, label and what follows. */
  geometry: string;
  /** Hash of patient, frame, phase, group, height, weight and preparation, with the place in the source's volume. */
  subject: string;
}

/** {@linkcode CaseHashes} of a prepared case. @param source Image and label before any preparation. */
export function hashesOf(prepared: Omit<Case, "name">, source: Pick<Case, "image" | "label">): CaseHashes {
  return {
    sourceImage: hashOfVoxels(source.image),
    sourceLabel: source.label && hashOfVoxels(source.label),
    ...preparedHashesOf(prepared),
  };
}

/** The hashes of what a case holds, without those of its source. */
export function preparedHashesOf(
  { image, label, source, patient, frame, phase, group, height, weight, preparation, ...rest }: Omit<Case, "name">,
): Omit<CaseHashes, "sourceImage" | "sourceLabel"> {
  return {
    image: hashOfVoxels(image),
    label: label && hashOfVoxels(label),
    geometry: hashOfFields({ ...rest, name: null }), // its name is the file's, not the content's
    subject: hashOfFields({ source, patient, frame, phase, group, height, weight, preparation }),
  };
}

function hashOfVoxels({ buffer, byteOffset, byteLength }: Float32Array | Uint8Array): string {
  return sha256(new Uint8Array(buffer, byteOffset, byteLength));
}

/**
 * The hash in any order of keys, and of what is known alone: a field that is new in a case leaves the hashes of older
 * ones.
 */
function hashOfFields(fields: object): string {
  return sha256(JSON.stringify(fields, (_, value) => {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
    if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array);
    const known = Object.entries(value).filter(([, field]) => field !== null && field !== false);
    return Object.fromEntries(known.sort(([a], [b]) => a < b ? -1 : 1));
  }));
}

/** What a manifest says of a case: enough to see whether two preparations began and ended with the same. */
export interface Fingerprint {
  /** Voxels along the axes of the prepared array. */
  shape: number[];
  /** Millimeters along the same axes, for distances and volumes; null where they are not known. */
  spacing: number[] | null;
  /** The spacing that the source's header says, where the spacing above stands in its place; null: it says none. */
  headerSpacing?: number[] | null;
  /** Intensities of the source, before any preparation: {@linkcode intensityOf}; of several channels the first one's. */
  intensity: Intensity;
  /** The intensities of the channels behind the first. */
  otherChannels?: Intensity[];
  /** Voxels of the prepared label by its value, background left out; null without a label. */
  labelVoxels: Record<string, number> | null;
  /** What was done to the source, in words. */
  preparation: string;
  /** Image, then label where it is a file of its own; the paths are relative to the folder of raw cases. */
  sources: { file: string; sha256: string }[];
  /** Hashes by which a case is known again; absent in manifests of earlier versions. */
  hashes?: CaseHashes;
}

/** Versions up to 0.2 wrote `deviation`. */
const INTENSITY = z.preprocess(
  (content) => withPresentNames(content, { deviation: "standardDeviation" }),
  z.strictObject({
    mean: z.number(),
    standardDeviation: z.number(),
    minimum: z.number(),
    maximum: z.number(),
    percentiles: z.record(z.string(), z.number()),
  }),
);
const FINGERPRINT = z.strictObject({
  shape: z.array(z.int().positive()).length(3),
  spacing: z.array(z.number().positive()).length(3).nullable(),
  headerSpacing: z.array(z.number().positive()).length(3).nullable().optional(),
  intensity: INTENSITY,
  otherChannels: z.array(INTENSITY).min(1).optional(),
  labelVoxels: z.record(z.string(), z.int().nonnegative()).nullable(),
  preparation: z.string(),
  sources: z.array(z.strictObject({ file: z.string(), sha256: z.string() })).min(1),
  hashes: z.strictObject({
    sourceImage: z.string(),
    sourceLabel: z.string().nullable(),
    image: z.string(),
    label: z.string().nullable(),
    geometry: z.string(),
    subject: z.string(),
  }).optional(),
}) satisfies z.ZodType<Fingerprint>;

/** What a manifest cannot hold of a fingerprint: such a case could not be read again. */
export function fingerprintProblems(fingerprint: Fingerprint): string[] {
  const { error } = FINGERPRINT.safeParse(fingerprint);
  return error?.issues.map(({ path, message }) => `${path.join(" ")}: ${message}`) ?? [];
}

/** Fingerprints of all cases of a folder and the options of the preparation; `manifest.json`. */
export interface Manifest {
  /** The dataset's name. */
  dataset: string;
  /** Options of the preparation, defaults included. */
  options: Record<string, string | number | boolean>;
  /** Fingerprints by the name of the case. */
  cases: Record<string, Fingerprint>;
}

const MANIFEST = z.strictObject({
  dataset: z.string(),
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  cases: z.record(NAME, FINGERPRINT),
}) satisfies z.ZodType<Manifest>;
const MANIFEST_FILE: JsonFile = { what: "the manifest", remedy: "write it with deno task preprocess DATASET" };
const pathOf = (folder: string) => `${folder}/manifest.json`;

/**
 * Reads the manifest of a folder of cases. Needs `--allow-read`.
 * @returns With the SHA-256 of the file, by which a split knows its cases.
 * @throws {DataError} When it is missing, no JSON, or not as {@linkcode Manifest} says.
 */
export async function readManifest(folder: string): Promise<Manifest & { sha256: string }> {
  const manifest = await readJson(pathOf(folder), MANIFEST, MANIFEST_FILE);
  return { ...manifest, sha256: sha256(await Deno.readFile(pathOf(folder))) };
}

/** Reads as {@linkcode readManifest}, without the hash, and gives null where there is none. Needs `--allow-read`. */
export function readManifestIfThere(folder: string): Promise<Manifest | null> {
  return readJsonIfThere(pathOf(folder), MANIFEST, MANIFEST_FILE);
}

/** Writes the manifest of a folder of cases. Needs `--allow-read`, `--allow-write`. */
export function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  return writeRecord(pathOf(folder), manifest);
}
