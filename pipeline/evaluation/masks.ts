/**
 * Masks of any program beside the references that they are judged by: which files belong together by their names, what they
 * hold, whether they lie in the same place.
 * @module
 */
import { basename, dirname, resolve } from "node:path";
import { type AxisOrder, type Geometry, reverseAxes, type Vector3 } from "../arrays/geometry.ts";
import { IMAGE, stemOf } from "../data/images.ts";
import { isFolder } from "../files/exists.ts";
import { labelPlacement } from "../datasets/prepared_case.ts";
import { DataError } from "../files/errors.ts";
import { readVolume } from "../files/volume_file.ts";
import { inFileOrder, type Volume } from "../files/voxels.ts";
import { listed } from "../files/words.ts";
import { type Case, onSource, readCase } from "../records/case.ts";

/** What names of labels end with, or are in the folder of their case. */
const LABEL = /(?:^|[._-])(?:gt|seg|segmentation|label|labels|mask|pred|prediction|laendo|mri_norm2)$/i;

/** How images of left atria are called, alone in their folders; so ends what `predict` names their masks. */
const IMAGES = /(?:^|[._-])lgemri$/i;

/** A mask and its reference. */
export interface MaskFiles {
  /** The name of the case. */
  name: string;
  /** File of what is judged. */
  mask: string;
  /** File of what it is judged by. */
  reference: string;
}

/** What a file holds. */
export interface LabelVolume
  extends Pick<Case, "patient" | "phase" | "shape" | "geometry" | "correctedSpacing" | "nominalSpacing"> {
  /** Which axes these are. */
  axes: AxisOrder;
  /** Class numbers, the last axis fastest. */
  label: Uint8Array;
  /** Whether its place is known, as of a `Volume`. */
  isPlaced: boolean;
  /** Other places that its header says, as of a `Volume`. */
  otherPlaces?: Geometry[];
}

/**
 * Pairs the files of two folders, and of the folders in them, by their names, or takes two files as they are. A name's ending
 * `_gt`, `_seg`, `_label`, `_mask`, `_pred` or `_lgemri` does not count, and a file that is named so alone has the name of its folder;
 * where an image lies beside its label, the label is meant. Needs `--allow-read`.
 * @returns In order of their names; `unscored`: references without a mask.
 * @throws {DataError} Naming all masks without a reference, and names that several files have.
 */
export function pairMasks(masks: string, references: string): { pairs: MaskFiles[]; unscored: string[] } {
  const [isFolder, hasReferences] = [masks, references].map((path) => statOf(path).isDirectory);
  if (!isFolder && !hasReferences) {
    return { pairs: [{ name: nameOf(masks), mask: masks, reference: references }], unscored: [] };
  }
  const [found, wanted] = [masks, references].map(filesByName), problems: string[] = [];
  if (!found.size) {
    throw new DataError(
      `Cannot score "${masks}": no mask in it; .nii, .nii.gz, .hdr with .img, .nrrd, .nhdr, .mha or .h5 wanted`,
    );
  }
  const one = (files: string[], name: string, what: string): string => {
    if (files.length > 1) problems.push(`${name}: one ${what} wanted, found ${listed(files)}`);
    return files[0];
  };
  const pairs = [...found].map(([name, files]) => {
    const reference = wanted.get(name);
    if (!reference) problems.push(`${name}: no reference of this name for "${files[0]}"`);
    return { name, mask: one(files, name, "mask"), reference: one(reference ?? [], name, "reference") };
  });
  if (problems.length) {
    throw new DataError(`Cannot score the masks in "${masks}" against "${references}":\n${problems.join("\n")}`);
  }
  pairs.sort((a, b) => a.name < b.name ? -1 : 1);
  return { pairs, unscored: [...wanted.keys()].filter((name) => !found.has(name)).sort() };
}

function statOf(path: string): Deno.FileInfo {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DataError(`Cannot score "${path}": there is no such file or folder`, { cause: error });
  }
}

/** The files of a path by the names of their cases. */
function filesByName(path: string): Map<string, string[]> {
  if (!statOf(path).isDirectory) return new Map([[nameOf(path), [path]]]);
  const { files, folders } = inside(path);
  const groups = Map.groupBy([...files, ...folders.flatMap((folder) => labelsOf(inside(folder).files))].sort(), nameOf);
  return new Map([...groups].map(([name, group]) => [name, labelsOf(group)]));
}

/** The files of a case that are named as labels, where any is: the others are its images. */
function labelsOf(files: string[]): string[] {
  const labels = files.filter((file) => LABEL.test(stemOf(file)));
  return labels.length ? labels : files;
}

function inside(folder: string): { files: string[]; folders: string[] } {
  const paths = [...Deno.readDirSync(folder)].filter(({ name }) => !name.startsWith(".")).map(({ name }) =>
    `${folder}/${name}`
  );
  return { files: paths.filter((path) => IMAGE.test(path) && !isFolder(path)), folders: paths.filter(isFolder) };
}

const nameOf = (path: string) =>
  stemOf(path).replace(LABEL, "").replace(IMAGES, "") || basename(dirname(resolve(path)));

/**
 * Reads a mask, or the label of a case in its source's volume. Needs `--allow-read`.
 * @param axes Which axes the array shall have; of a case its own.
 * @throws {DataError} Naming the file, when it has no label or another value than whole numbers from 0 to 255.
 */
export async function readLabel(path: string, axes: AxisOrder = "XYZ"): Promise<LabelVolume> {
  if (path.toLowerCase().endsWith(".h5")) {
    const { label, ...one } = await readCase(path, nameOf(path));
    if (!label) throw new DataError(`Cannot score "${path}": it has no label`);
    const { mask, place } = onSource(label, one);
    return { ...place, label: mask, isPlaced: one.geometry !== null };
  }
  const { shape, data, geometry, isPlaced, otherPlaces } = await readVolume(path);
  const wrong = data.find((value) => !(value >= 0 && value <= 255 && Number.isInteger(value)));
  if (wrong !== undefined) {
    throw new DataError(`Cannot score "${path}": whole numbers from 0 to 255 wanted, found ${wrong}`);
  }
  const bare = { patient: null, phase: null, correctedSpacing: null, nominalSpacing: false };
  const found = { ...bare, shape, geometry, isPlaced, otherPlaces, axes, label: Uint8Array.from(data) };
  return axes === "ZYX" ? reversed(found) : found;
}

/** A volume along X, Y, Z as one along Z, Y, X. */
function reversed({ shape, geometry, otherPlaces, label, ...rest }: LabelVolume): LabelVolume {
  return {
    ...rest,
    shape: shape.toReversed() as Vector3,
    geometry: geometry && reverseAxes(geometry),
    otherPlaces: otherPlaces?.map(reverseAxes),
    label: inFileOrder(label, shape), // files have X fastest
  };
}

/**
 * What is wrong with a mask for its reference: another shape, another place.
 * @param options `file`: of the mask, for the problems; `placesCompared`: without it the shape alone counts.
 */
export function placementOf(
  mask: LabelVolume,
  reference: LabelVolume,
  { file, placesCompared }: { file: string; placesCompared: boolean },
): { problems: string[]; notes: string[] } {
  const asVolume = ({ label: _, ...rest }: LabelVolume): Volume => ({ ...rest, data: new Float32Array(0) });
  const own = asVolume(placesCompared ? mask : { ...mask, geometry: null, isPlaced: false });
  return labelPlacement(own, asVolume(reference), file, { label: "mask", image: "reference" });
}

/** What the classes of masks and references are. */
export interface Classes {
  /** Names from class 1 on. */
  names: string[];
  /** The class of each value of a mask; values that it does not name are class 0. */
  ofMask: Map<number, number>;
  /** The class of each value of a reference. */
  ofReference: Map<number, number>;
}

/**
 * Classes from the values that masks and references hold: each value one, but where either side holds a single value beside 0
 * these are the same object, whatever the numbers (1 and 255).
 * @param names Of the classes from 1 on, where they are known.
 * @throws {DataError} When a value is above the number of names.
 */
export function classesFrom(
  { masks, references }: { masks: Set<number>; references: Set<number> },
  names?: readonly string[],
): Classes {
  const [inMasks, inReferences] = [masks, references].map((values) =>
    [...values].filter(Boolean).sort((a, b) => a - b)
  );
  const all = [...new Set([...inMasks, ...inReferences])].sort((a, b) => a - b);
  const isBinary = inMasks.length <= 1 && inReferences.length <= 1 && (names?.length ?? 1) === 1;
  if (isBinary) {
    const only = (values: number[]) => new Map(values.map((value) => [value, 1]));
    return { names: [names?.[0] ?? "foreground"], ofMask: only(inMasks), ofReference: only(inReferences) };
  }
  const beyond = names ? all.filter((value) => value > names.length) : [];
  if (beyond.length) {
    throw new DataError(
      `Cannot score: classes from 1 to ${names!.length} wanted (${names!.join(", ")}), found ${
        listed(beyond.map(String))
      }`,
    );
  }
  const classes = names ? names.map((_, i) => i + 1) : all, of = new Map(classes.map((value, i) => [value, i + 1]));
  return { names: names ? [...names] : classes.map(String), ofMask: of, ofReference: of };
}

/** Values as classes. */
export function classNumbers(values: Uint8Array, of: ReadonlyMap<number, number>): Uint8Array {
  const table = Uint8Array.from({ length: 256 }, (_, value) => of.get(value) ?? 0);
  return values.map((value) => table[value]);
}
