/**
 * Cases on disk: one HDF5 file a case with `image` (float32) and, where there is one, `label` (uint8), axes X, Y, Z, Z
 * fastest, as the field's repositories write and read them. Attributes say where it comes from and where its voxels lie:
 * `spacing` [3], `origin` [3], `direction` [9] (RAS+ millimeters, as in a `Geometry`; absent where the source does not
 * say), `source`, `source_sha256`, `preparation`. A `manifest.json` beside the cases holds their fingerprints.
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Geometry, Vector3 } from "./geometry.ts";
import { readHdf5, writeArrays } from "./hdf5.ts";

/** A problem with input data; the tasks exit with code 3. */
export class DataError extends Error {
  override name = "DataError";
}

/** One volume. */
export interface Case {
  name: string;
  shape: Vector3;
  image: Float32Array;
  label: Uint8Array | null;
  /** Null where the spacing is not known. */
  geometry: Geometry | null;
  /** What was done to the source; "as published" for the field's own files. */
  preparation: string;
}

/**
 * Reads a case. Needs `--allow-read`, `--allow-env`.
 * @throws {DataError} Naming file, found and wanted: no HDF5, no image, other shapes, not 3-D, a label that holds other
 * values than whole numbers from 0 to 255.
 */
export async function readCase(path: string, name: string): Promise<Case> {
  let file;
  try {
    file = await readHdf5(path);
  } catch (error) {
    throw new DataError((error as Error).message, { cause: error });
  }
  const { arrays, attributes: { spacing, origin, direction, preparation } } = file, { image, label } = arrays;
  if (!image) throw new DataError(`Cannot read "${path}": it has no dataset "image", found ${Object.keys(arrays)}`);
  if (image.shape.length !== 3) {
    throw new DataError(`Cannot read "${path}": its image must have 3 axes, found shape [${image.shape}]`);
  }
  if (label && String(label.shape) !== String(image.shape)) {
    throw new DataError(
      `Cannot read "${path}": its label must have the shape of its image [${image.shape}], found [${label.shape}]`,
    );
  }
  const wrong = label?.data.find((value) => !(value >= 0 && value <= 255 && Number.isInteger(value)));
  if (wrong !== undefined) {
    throw new DataError(`Cannot read "${path}": its label must hold whole numbers from 0 to 255, found ${wrong}`);
  }
  return {
    name,
    shape: image.shape as Vector3,
    image: image.data instanceof Float32Array ? image.data : new Float32Array(image.data),
    label: label ? new Uint8Array(label.data) : null,
    geometry: spacing && origin && direction ? { spacing, origin, direction } as Geometry : null,
    preparation: typeof preparation === "string" ? preparation : "as published",
  };
}

/**
 * Writes a case. Needs `--allow-read`, `--allow-write`, `--allow-env`.
 * @param source The file that the image comes from, and its SHA-256.
 */
export function writeCase(
  path: string,
  { shape, image, label, geometry, preparation }: Omit<Case, "name">,
  source: { file: string; sha256: string },
): Promise<void> {
  return writeArrays(
    path,
    { image: { data: image, shape }, ...(label && { label: { data: label, shape } }) },
    { ...geometry, source: source.file, source_sha256: source.sha256, preparation },
  );
}

/** SHA-256 in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const FINGERPRINT = z.strictObject({
  shape: z.array(z.int().positive()).length(3).describe("voxels along X, Y, Z"),
  spacing: z.array(z.number().positive()).length(3).nullable().describe("millimeters; null: not known"),
  intensity: z.strictObject({
    mean: z.number(),
    deviation: z.number(),
    minimum: z.number(),
    maximum: z.number(),
    percentiles: z.record(z.string(), z.number()),
  }).describe("of the source, before any preparation"),
  labelVoxels: z.record(z.string(), z.int().nonnegative()).nullable().describe("by label value; null: no label"),
  preparation: z.string(),
  sources: z.array(z.strictObject({ file: z.string(), sha256: z.string() })).min(1).describe("image, then label"),
});
/** What a manifest says of a case. */
export type Fingerprint = z.infer<typeof FINGERPRINT>;

const MANIFEST = z.strictObject({
  dataset: z.string(),
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  cases: z.record(z.string(), FINGERPRINT),
});
/** Fingerprints of all cases of a folder and the options of the preparation. */
export type Manifest = z.infer<typeof MANIFEST>;

/**
 * Mean, deviation (N in the denominator), extremes and percentiles of an image; a percentile is the value of the nearest
 * voxel in order, of a volume of more than two million voxels among evenly spaced ones, at least a million.
 */
export function intensityOf(image: Float32Array): Fingerprint["intensity"] {
  let sum = 0, squares = 0, minimum = Infinity, maximum = -Infinity;
  for (let i = 0; i < image.length; i++) {
    const value = image[i];
    sum += value;
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
  }
  const mean = sum / image.length;
  for (let i = 0; i < image.length; i++) squares += (image[i] - mean) ** 2;
  const step = Math.max(Math.floor(image.length / 1e6), 1);
  const sorted = Float32Array.from({ length: Math.ceil(image.length / step) }, (_, i) => image[i * step]).sort();
  const at = (percent: number) => sorted[Math.round(percent / 100 * (sorted.length - 1))];
  return {
    mean,
    deviation: Math.sqrt(squares / image.length),
    minimum,
    maximum,
    percentiles: Object.fromEntries([0.5, 5, 25, 50, 75, 95, 99.5].map((percent) => [percent, at(percent)])),
  };
}

/**
 * Reads the manifest of a folder of cases. Needs `--allow-read`.
 * @returns With the SHA-256 of the file, by which a split knows its cases.
 * @throws {DataError} When it is missing, no JSON, or not of the form above.
 */
export async function readManifest(folder: string): Promise<Manifest & { sha256: string }> {
  const path = `${folder}/manifest.json`, remedy = "write it with deno task preprocess:la";
  try {
    const bytes = await Deno.readFile(path);
    return { ...MANIFEST.parse(JSON.parse(new TextDecoder().decode(bytes))), sha256: sha256(bytes) };
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const why = error instanceof z.ZodError ? `\n${z.prettifyError(error)}\n` : ` ${(error as Error).message}; `;
    throw new DataError(`Cannot read the manifest "${path}":${why}${remedy}`, { cause: error });
  }
}
