/** What the preparations of all datasets give, check and record. @module */
import { z } from "zod";
import { type Case, spacingOf } from "../records/case.ts";
import { channelCount, channelsIn } from "../arrays/channels.ts";
import { geometryDifferences } from "../arrays/geometry.ts";
import type { Volume } from "../files/voxels.ts";
import { DataError, isSystemError } from "../files/errors.ts";
import { counted } from "../files/words.ts";
import { type Intensity, intensityOf } from "../arrays/intensity.ts";
import { type Fingerprint, hashesOf } from "../records/manifest.ts";

/** A case that is ready to be written. */
export interface PreparedCase {
  /** The case as it is written. */
  prepared: Case;
  /** Its fingerprint, as the manifest holds it. */
  fingerprint: Fingerprint;
  /** What a user should know of it, as in {@linkcode Problems}. */
  notes?: string[];
}

/** All that is wrong with a raw case, a line each. */
export interface Problems {
  /** The problems, at least one; each names the file, what was found and what is wanted. */
  problems: string[];
  /**
   * What a user should know of the case though it is no fault, each without the case's name: the same note of several cases
   * is said once, with their number.
   */
  notes?: string[];
}

/**
 * The fingerprint of a prepared case.
 * @param source Image and label before any preparation; the image of as many channels.
 * @param options `classes`: background included.
 */
export function fingerprintOf(
  prepared: Case,
  source: Pick<Case, "image" | "label">,
  { sources, classes }: { sources: Fingerprint["sources"]; classes: number },
): Fingerprint {
  const { shape, image, label, geometry, correctedSpacing, preparation } = prepared;
  const channels = channelsIn(source.image, channelCount(image, shape));
  const [intensity, ...otherChannels] = channels.map((channel) => intensityOf(channel));
  let labelVoxels: Fingerprint["labelVoxels"] = null;
  if (label) {
    const counts = new Array(classes).fill(0);
    label.forEach((value) => counts[value]++);
    labelVoxels = Object.fromEntries(counts.map((count, value) => [value, count]).slice(1));
  }
  return {
    shape,
    spacing: spacingOf(prepared),
    ...(correctedSpacing && { headerSpacing: geometry?.spacing ?? null }),
    intensity,
    ...(otherChannels.length && { otherChannels }),
    labelVoxels,
    preparation,
    sources,
    hashes: hashesOf(prepared, source),
  };
}

/** A problem with a raw case. */
export interface CaseProblem {
  /** The name of the case, or of the patient. */
  name: string;
  /** A line of {@linkcode Problems}. */
  problem: string;
}

/** The error of a raw folder with bad cases, a line a problem. @param count Of all its cases or patients. */
export function preparationError(
  problems: readonly CaseProblem[],
  { raw, count, unit }: { raw: string; count: number; unit: string },
): DataError {
  const width = Math.max(...problems.map(({ name }) => name.length));
  const row = ({ name, problem }: CaseProblem) => `  ${name.padEnd(width)}  ${problem.replaceAll(/\s*\n\s*/g, " ")}`;
  const bad = new Set(problems.map(({ name }) => name)).size;
  return new DataError(
    `Cannot prepare ${bad} of ${counted(count, unit)} in "${raw}"; nothing was written:\n${
      problems.map(row).join("\n")
    }\n` +
      `Repair these files, or move the ${unit}s out of the folder`,
  );
}

/** Which cases have a note, by the note. */
export class Notes {
  readonly #cases = new Map<string, Set<string>>();

  /** Adds the notes of a case, or of a part of it. */
  add(name: string, notes: string[] = []): void {
    for (const note of notes) this.#cases.set(note, (this.#cases.get(note) ?? new Set()).add(name));
  }

  /** A line a note, with the number of its cases and at most three of their names. */
  lines(): string[] {
    return [...this.#cases].map(([note, names]) =>
      `note: ${note} (${names.size} case${names.size > 1 ? "s" : ""}: ${some([...names], 3)})`
    );
  }
}

/** The first names of a list, and whether there are more. */
function some(names: string[], count: number): string {
  return names.slice(0, count).join(", ") + (names.length > count ? ", …" : "");
}

/** What an image cannot be: not finite, or of one value. @param file Its name, for the problem. */
export function imageProblems(image: Float32Array, file: string): string[] {
  const bad = image.reduce((count, value) => count + Number(!Number.isFinite(value)), 0);
  if (bad) return [`${file}: ${bad} of ${image.length} voxels are no finite number`];
  return image.every((value) => value === image[0]) ? [`${file}: all its voxels are ${image[0]}`] : [];
}

/** Intensities that a dataset is published with. */
export interface PublishedIntensities {
  /** What they are, in words. */
  text: string;
  /** Whether an image can have them. */
  has(intensity: Intensity): boolean;
}

/**
 * A note where a published file's intensities cannot be those that its dataset is published with, as which they are taken.
 */
export function intensityNotes(
  image: Float32Array,
  { text, has }: PublishedIntensities,
): string[] {
  return has(intensityOf(image))
    ? []
    : [`the intensities are not those of published files (${text}), and are taken as they are`];
}

/** What a label cannot be: other values than those of the classes, or empty. @param options `classes`: background included. */
export function labelProblems(
  label: Float32Array | Uint8Array | null,
  { file, classes }: { file: string; classes: number },
): string[] {
  if (!label) return [];
  const values = [...new Set<number>(label)], wanted = classes === 2 ? "0 and 1" : `0 to ${classes - 1}`;
  if (values.some((value) => !(value >= 0 && value < classes && Number.isInteger(value)))) {
    return [`${file}: a label of ${wanted} wanted, found ${listed(values)}`];
  }
  return values.some((value) => value > 0) ? [] : [`${file}: its label is empty; leave it out if there is none`];
}

/**
 * Whether a label has the shape of its image and lies where that lies. One that was saved again by another program is taken,
 * with a note: where one of the two says no place, and where both can be understood to say the same.
 * @param file The label's name, for the problems.
 * @param names What the two are called: a mask lies where its reference does.
 */
export function labelPlacement(
  label: Volume,
  image: Volume,
  file: string,
  names: { label: string; image: string } = { label: "label", image: "image" },
): Required<Problems> {
  if (String(label.shape) !== String(image.shape)) {
    const problem = `${file}: the shape of its ${names.image} [${image.shape}] wanted, found [${label.shape}]`;
    return { problems: [problem], notes: [] };
  }
  const differences = label.geometry && image.geometry ? geometryDifferences(label.geometry, image.geometry) : [];
  if (!label.isPlaced || !image.isPlaced) {
    const isOther = label.isPlaced !== image.isPlaced || differences.length;
    const which = label.isPlaced
      ? `the ${names.image} does not say`
      : image.isPlaced
      ? `the ${names.label} does not say`
      : `neither ${names.image} nor ${names.label} says`;
    const note = `${which} where it lies: the ${names.label} is taken to cover its ${names.image}'s voxels`;
    return { problems: [], notes: isOther ? [note] : [] };
  }
  if (!differences.length) return { problems: [], notes: [] };
  const [labels, images] = [label, image].map(({ geometry, otherPlaces }) => [geometry!, ...otherPlaces ?? []]);
  if (labels.some((one) => images.some((other) => !geometryDifferences(one, other).length))) {
    return {
      problems: [],
      notes: [`the ${names.label} lies where its ${names.image} does only by the form of a header that is not taken`],
    };
  }
  return { problems: differences.map((what) => `${file}: not where its ${names.image} is: ${what}`), notes: [] };
}

/** Numbers in order, the first eight. */
export function listed(values: number[]): string {
  return some(values.toSorted((a, b) => a - b).map(String), 8);
}

/** What the file system's commonest errors mean here. */
const READING = {
  ENOENT: "it is not there, or a link to what is not there",
  EISDIR: "it is a folder, where a file is wanted",
  ENOTDIR: "it is a file, where a folder is wanted",
  EACCES: "it may not be read; change its rights",
} as const;

/** The message of a problem with the data, or with a file or folder that cannot be read; other errors are thrown on. */
export function messageOf(error: unknown): string {
  if (error instanceof DataError) return error.message;
  if (!isSystemError(error)) throw error;
  const path = error.message.match(/ \(os error \d+\): \w+ '(.*)'$/s)?.[1],
    why = READING[error.code as keyof typeof READING];
  return path && why ? `Cannot read "${path}": ${why}` : error.message;
}

/** An option of several preparations. */
export const NOMINAL_SPACING = z.boolean().default(false).describe(
  "the spacing is a usual one, not the scanner's: results mark mm and ml as nominal",
);
