/**
 * Images as people have them: which files are meant by a file, a folder or a list, and what each holds, whatever its format.
 * @module
 */
import { basename, dirname, resolve } from "node:path";
import { type AxisOrder, type Geometry, reverseAxes, skewProblem, type Vector3 } from "../arrays/geometry.ts";
import { exists, isFolder } from "../files/exists.ts";
import { joinChannels } from "../arrays/channels.ts";
import { parseList } from "../datasets/lists.ts";
import { labelPlacement } from "../datasets/prepared_case.ts";
import { entriesOf } from "../datasets/raw_folder.ts";
import { DataError, isSystemError } from "../files/errors.ts";
import type { NiftiForms } from "../files/nifti.ts";
import type { NrrdPlace } from "../files/nrrd.ts";
import { quoted } from "../files/places.ts";
import { readVolume, VOLUME_FILE, VOLUME_FORMATS } from "../files/volume_file.ts";
import { listed } from "../files/words.ts";
import { readCase, spacingOf } from "../records/case.ts";

/** An image with its place. */
export interface Image {
  /** Voxels along the array's axes, the last one fastest, as in the other fields. */
  shape: Vector3;
  /** Which axes of the file these are. */
  axes: AxisOrder;
  /** The files' intensities, `[C, ...shape]`, channel by channel; of a case the prepared ones. */
  data: Float32Array;
  /** Whether the intensities are prepared already. */
  isPrepared: boolean;
  /** The place of the voxels; null where the file does not say how large a voxel is. */
  geometry: Geometry | null;
  /** Whether the file says where its voxels lie; else only the spacing of the geometry counts. */
  isPlaced: boolean;
  /** Millimeters, for distances, volumes and resampling; null where they are not known. */
  spacing: Vector3 | null;
  /** What a NIfTI header says of the place. */
  header: NiftiForms | null;
  /** What an NRRD header says of it. */
  nrrdPlace?: NrrdPlace;
  /** What a user should know of it. */
  notes: string[];
}

/** A file that is to be segmented. */
export interface ImageFile {
  /** The name of the results. */
  name: string;
  /** The place where it lies; of several channels the first one. */
  path: string;
  /** The files of the channels behind the first, where there are any. */
  otherChannels?: string[];
}

/** How the names of images, and of masks, end. */
export const IMAGE = new RegExp(`${VOLUME_FILE.source}|\\.h5$`, "i");
const LIST = /\.(txt|list|lst)$/i;
/** What stands beside images in the folders of datasets: masks, and the series that frames are taken from. */
const NO_IMAGE = /(^laendo|[_-](gt|seg|label|labels|mask|4d))$/i;
/** nnU-Net's channels. */
const CHANNEL = /_(\d{4})$/;
const FORMATS = `${VOLUME_FORMATS}, .h5`;

/** A file's name without what says its format. */
export const stemOf = (path: string): string => basename(path).replace(IMAGE, "");

/**
 * The images that are meant by files, folders and lists (`.txt`, `.list`: a path a line, from where the list lies). Of a folder
 * all images in it, or else in the folders in it, without what is named as a mask (`_gt`, `_seg`, `_label`, `_mask`,
 * `laendo`) or a series (`_4d`); nnU-Net's `NAME_0000.nii.gz`, `NAME_0001.nii.gz` and so on are the channels of the image
 * NAME. Images of one name take that of their folder too. Needs `--allow-read`.
 * @returns `problems`: all inputs that are none, a line each; `notes`: what was left out.
 */
export function imageFiles(inputs: readonly string[]): { files: ImageFile[]; problems: string[]; notes: string[] } {
  const problems: string[] = [], notes: string[] = [], paths: string[] = [];
  const addFolder = (folder: string) => {
    const dicom = dicomIn(folder);
    if (dicom) return void problems.push(dicom);
    const inside = imagesIn(folder), deeper = inside.length ? [] : foldersOf(folder);
    const found = inside.length ? inside : deeper.flatMap(imagesIn),
      left = found.filter((path) => NO_IMAGE.test(stemOf(path)));
    for (const deep of deeper) {
      const dicom = dicomIn(deep);
      if (dicom) problems.push(dicom);
    }
    if (left.length) {
      notes.push(
        `left out of "${folder}", by their names no images: ${
          listed([...new Set(left.map((path) => basename(path)))])
        }`,
      );
    }
    paths.push(...found.filter((path) => !left.includes(path)));
    if (found.length === left.length && !problems.some((problem) => problem.includes(`"${folder}`))) {
      problems.push(`Cannot find images in "${folder}": none in it or in the folders in it; one of ${FORMATS} wanted`);
    }
  };
  for (const input of inputs) {
    if (isFolder(input)) addFolder(input);
    else if (!exists(input)) problems.push(`Cannot find "${input}": there is no such file or folder`);
    else if (LIST.test(input)) {
      const lines = parseList(Deno.readTextFileSync(input));
      for (const path of lines.map((line) => resolve(dirname(input), line))) {
        if (isFolder(path)) addFolder(path);
        else if (exists(path)) paths.push(path);
        else problems.push(`Cannot find "${path}", which "${input}" names`);
      }
      if (!lines.length) problems.push(`Cannot find images in "${input}": the list is empty`);
    } else paths.push(input);
  }
  const unique = [...new Set(paths.map(withHeader))];
  const wholeOf = (path: string) =>
    CHANNEL.test(stemOf(path)) ? `${dirname(path)}/${stemOf(path).replace(CHANNEL, "")}` : path;
  const kept: string[][] = [];
  for (const [whole, paths] of Map.groupBy(unique, wholeOf)) {
    const numbers = paths.map((path) => stemOf(path).match(CHANNEL)?.[1] ?? "0000").sort();
    const inOrder = paths.toSorted((a, b) => stemOf(a) < stemOf(b) ? -1 : 1);
    if (new Set(numbers).size < numbers.length) kept.push(...inOrder.map((path) => [path])); // two of one name are told below
    else if (numbers.every((number, c) => Number(number) === c)) kept.push(inOrder);
    else {
      problems.push(
        `Cannot segment "${whole}": its channels from _0000 on wanted, each a file, found ${
          listed(numbers.map((n) => `_${n}`))
        }`,
      );
    }
  }
  const names = kept.map(([path]) => stemOf(path).replace(CHANNEL, ""));
  const long = kept.map(([path], i) =>
    names.filter((name) => name === names[i]).length > 1 ? `${basename(dirname(resolve(path)))}_${names[i]}` : names[i]
  );
  const files = kept.map(([path, ...otherChannels], i): ImageFile => ({
    name: long[i],
    path,
    ...(otherChannels.length && { otherChannels }),
  }));
  for (const name of new Set(long.filter((name, i) => long.indexOf(name) !== i))) {
    const same = files.filter((file) => file.name === name).map(({ path }) => path);
    problems.push(
      `Cannot tell ${listed(same.map((path) => `"${path}"`))} apart: all would be named "${name}"; one of them wanted`,
    );
  }
  return { files, problems, notes };
}

const imagesIn = (folder: string) =>
  entriesOf(folder).filter(({ name, isFile }) => isFile && IMAGE.test(name)).map(({ name }) => `${folder}/${name}`);
const foldersOf = (folder: string) =>
  entriesOf(folder).filter(({ isDirectory }) => isDirectory).map(({ name }) => `${folder}/${name}`);

/** Gives for a pair's `.img` its header. */
function withHeader(path: string): string {
  const header = path.replace(/\.img(\.gz)?$/i, ".hdr$1");
  return exists(header) ? header : path;
}

/** What to do about a folder of DICOM files; null where it holds none. */
function dicomIn(folder: string): string | null {
  const files = entriesOf(folder).filter(({ isFile }) => isFile),
    found = files.find(({ name }) => isDicom(`${folder}/${name}`));
  return found ? convertIt(folder, `"${folder}"`, `as "${found.name}"`) : null;
}

const convertIt = (folder: string, what: string, found: string) =>
  `Cannot read ${what}: it holds DICOM files, ${found}; a volume in one file wanted. This writes one a series:\n` +
  `    dcm2niix -z y -o ${quoted(`${folder.replace(/\/$/, "")}-nifti`)} ${quoted(folder)}`;

/** Whether a file is DICOM: 128 bytes, then DICM; or a name that says so. */
function isDicom(path: string): boolean {
  if (IMAGE.test(path)) return false;
  if (/(\.dcm|\.ima|\/DICOMDIR)$/i.test(path)) return true;
  const head = new Uint8Array(132);
  using file = Deno.openSync(path);
  return file.readSync(head) === 132 && new TextDecoder("latin1").decode(head.subarray(128)) === "DICM";
}

/**
 * Reads an image of any of the formats, with all its channels. Needs `--allow-read`.
 * @throws {DataError} Naming the file, what was found and what is wanted; also for a voxel that is no finite number and for
 * an image of one value, in which there is nothing to find, for axes that are not at right angles, and for channels that do
 * not lie on one grid.
 */
export async function readImage({ path, name, otherChannels = [] }: ImageFile): Promise<Image> {
  const first = await readChannel(path, name),
    channels = [first.data],
    notes = [...first.notes],
    problems: string[] = [];
  for (const other of otherChannels) {
    const channel = await readChannel(other, name), names = { label: "channel", image: "first channel" };
    const placement = labelPlacement(channel, first, other, names);
    problems.push(...placement.problems);
    notes.push(...placement.notes);
    channels.push(channel.data);
  }
  if (problems.length) throw new DataError(`Cannot segment "${path}" with its other channels:\n${problems.join("\n")}`);
  return { ...first, data: joinChannels(channels), notes };
}

async function readChannel(path: string, name: string): Promise<Image> {
  const image = await readAny(path, name), { data, geometry, isPlaced } = image;
  const refuse = (why: string) => new DataError(`Cannot segment "${path}": ${why}`);
  let bad = 0, isConstant = true;
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) bad++;
    if (data[i] !== data[0]) isConstant = false;
  }
  if (bad) throw refuse(`${bad} of ${data.length} voxels are no finite number`);
  if (isConstant) throw refuse(`all its voxels are ${data[0]}`);
  const skew = geometry && isPlaced ? skewProblem(geometry) : null;
  if (skew) throw refuse(skew);
  return image;
}

async function readAny(path: string, name: string): Promise<Image> {
  const kind = path.toLowerCase();
  try {
    if (VOLUME_FILE.test(kind)) {
      const { files: _, note, ...volume } = await readVolume(path), { isPlaced, geometry } = volume;
      const unplaced = "its header says no place: its axes are taken as those of the training";
      const notes = [isPlaced ? note : unplaced].filter((note) => note !== null);
      return { ...volume, axes: "XYZ", isPrepared: false, spacing: geometry?.spacing ?? null, notes };
    }
    if (kind.endsWith(".h5")) {
      const one = await readCase(path, name), { shape, axes, image, geometry, header } = one;
      const isPlaced = geometry !== null;
      return {
        shape,
        axes,
        data: image,
        isPrepared: true,
        geometry,
        isPlaced,
        header,
        spacing: spacingOf(one),
        notes: [],
      };
    }
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new DataError(`Cannot read "${path}": ${error.message}`, { cause: error });
  }
  if (isDicom(path)) throw new DataError(convertIt(dirname(path), `"${path}"`, `this one`));
  throw new DataError(`Cannot read "${path}": its format is not known by its name; one of ${FORMATS} wanted`);
}

/** The geometry of an image along X, Y, Z of its file. */
export function fileGeometry({ geometry, axes }: Pick<Image, "geometry" | "axes">): Geometry | null {
  return geometry && axes === "ZYX" ? reverseAxes(geometry) : geometry;
}
