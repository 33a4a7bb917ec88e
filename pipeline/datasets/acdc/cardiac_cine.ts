/**
 * Raw cardiac cine MRI (ACDC). As the challenge gives it, a folder a patient: `Info.cfg` with the numbers of the frames ED
 * and ES, `PATIENT_frameNN.nii.gz` (or `.nii`, a pair `.hdr` and `.img`, a folder of that name with the file in it) and,
 * where there is a mask, `PATIENT_frameNN_gt.nii.gz`; other files, as the 4-D cine, are ignored. Or as the field's
 * repositories publish it, taken as it is: `data/PATIENT_frameNN.h5`. Cases are frames, volumes `[Z, Y, X]` with X fastest,
 * the order of both.
 * @module
 */
import { BARE_CASE, type Case, parseFrameName, patientOf, readCase } from "../../records/case.ts";
import { writeArrays } from "../../files/hdf5.ts";
import { nameProblem } from "../../files/names.ts";
import { decodeNifti, type NiftiVolume, readNiftiFiles } from "../../files/nifti.ts";
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
import { ACDC } from "./profile.ts";
import { entriesOf, foldersIn } from "../raw_folder.ts";
import { minMax } from "../../arrays/intensity.ts";
import { sha256 } from "../../files/hash.ts";
import { DataError } from "../../files/errors.ts";
import type { Fingerprint } from "../../records/manifest.ts";

const { classes } = ACDC;
/** Intensities as published. */
export const CINE_INTENSITIES: PublishedIntensities = {
  text: "0 to 1",
  has: ({ minimum, maximum }) => minimum >= 0 && maximum <= 1 && maximum > 0.5,
};
/** How the name of a volume ends. */
const VOLUME = /\.(nii|hdr)(\.gz)?$/;

/** How patients are prepared. */
export interface CardiacCineOptions {
  /** Whether the spacing in the NIfTI files is a usual one instead of the scanner's. */
  nominalSpacing: boolean;
}

/**
 * Patients of a raw folder, in order. Needs `--allow-read`.
 * @throws {DataError} When the folder has both layouts.
 */
export function cinePatients(raw: string): string[] {
  const frames = publishedFrames(raw);
  const folders = foldersIn(raw).filter((name) => !(frames.length && name === "data"));
  if (frames.length && folders.length) {
    throw new DataError(
      `Cannot prepare "${raw}": it has data/*.h5 and ${folders.length} other folders; move one of the two elsewhere`,
    );
  }
  return [...new Set(frames.length ? frames.map(patientOf) : folders)].sort();
}

/**
 * Reads, checks and prepares the frames of one patient. Needs `--allow-read`, `--allow-env`.
 * @param raw Folder of all patients.
 * @returns The frames in the order of their names, or all that is wrong with any of them.
 */
export async function prepareCine(
  raw: string,
  patient: string,
  options: CardiacCineOptions,
): Promise<PreparedCase[] | Problems> {
  const problem = nameProblem(patient);
  if (problem) return { problems: [problem] };
  const frames = publishedFrames(raw).filter((name) => patientOf(name) === patient);
  const results = frames.length
    ? await Promise.all(frames.map((name) => publishedFrame(raw, name)))
    : await challengeFrames(raw, patient, options);
  const problems = results.flatMap((result) => "problems" in result ? result.problems : []);
  if (problems.length) return { problems };
  return (results as PreparedCase[]).sort((a, b) => a.prepared.name < b.prepared.name ? -1 : 1);
}

/**
 * Writes the planes of a labeled volume as the field's slice files, `NAME_slice_Z.h5` with `image` and `label` `[Y, X]`.
 * Needs `--allow-read`, `--allow-write`, `--allow-env`.
 * @param folder Must be there.
 */
export async function writeSlices(
  folder: string,
  { name, shape: [nz, ny, nx], image, label }: Case & { label: Uint8Array },
): Promise<void> {
  for (let z = 0; z < nz; z++) {
    const [from, to] = [z * ny * nx, (z + 1) * ny * nx], shape = [ny, nx];
    await writeArrays(`${folder}/${name}_slice_${z}.h5`, {
      image: { data: image.subarray(from, to), shape },
      label: { data: label.subarray(from, to), shape },
    });
  }
}

/** Names of the frames in the field's layout, also of those that only have slices; none in the challenge's layout. */
function publishedFrames(raw: string): string[] {
  const stems = [...entriesOf(`${raw}/data`), ...entriesOf(`${raw}/data/slices`)]
    .filter((f) => f.name.endsWith(".h5"))
    .map((f) => f.name.slice(0, -".h5".length).replace(/_slice_\d+$/, ""));
  return [...new Set(stems)];
}

async function publishedFrame(raw: string, name: string): Promise<PreparedCase | Problems> {
  const file = `data/${name}.h5`, subject = parseFrameName(name);
  if (!subject) return { problems: [`${file}: a name of the form PATIENT_frameNN.h5 wanted`] };
  try {
    const bytes = await Deno.readFile(`${raw}/${file}`), found = await readCase(`${raw}/${file}`, name);
    const problems = [...imageProblems(found.image, file), ...labelProblems(found.label, { file, classes })];
    if (problems.length) return { problems };
    const prepared: Case = { ...found, axes: "ZYX", ...subject }, sources = [{ file, sha256: sha256(bytes) }];
    const notes = intensityNotes(found.image, CINE_INTENSITIES);
    return { prepared, fingerprint: fingerprintOf(prepared, prepared, { sources, classes }), notes };
  } catch (error) {
    return { problems: [messageOf(error)] };
  }
}

/** A frame to be read. */
interface Frame {
  name: string;
  phase: Case["phase"];
}

async function challengeFrames(
  raw: string,
  patient: string,
  { nominalSpacing }: CardiacCineOptions,
): Promise<(PreparedCase | Problems)[]> {
  const files = entriesOf(`${raw}/${patient}`).map((f) => f.name), info = await readInfo(raw, patient, files);
  // Without an Info.cfg the frames that are there are still checked, so that all that is wrong is told at once.
  const frames: Frame[] = "problems" in info
    ? [...new Set(files.map((file) => file.replace(VOLUME, "")).filter(parseFrameName))]
      .map((name) => ({ name, phase: null }))
    : (["ED", "ES"] as const)
      .map((phase) => ({ name: `${patient}_frame${String(info[phase]).padStart(2, "0")}`, phase }));
  const about = "problems" in info ? { ...BARE_CASE, notes: [] } : info;
  const results: (PreparedCase | Problems)[] = "problems" in info ? [info] : [];
  for (const frame of frames) results.push(await challengeFrame(raw, patient, { frame, files, about, nominalSpacing }));
  return results;
}

async function challengeFrame(
  raw: string,
  patient: string,
  { frame: { name, phase }, files, about: { group, height, weight, ...about }, nominalSpacing }: CardiacCineOptions & {
    frame: Frame;
    files: string[];
    about: Pick<Info, "group" | "height" | "weight" | "notes">;
  },
): Promise<PreparedCase | Problems> {
  const problems: string[] = [], notes = [...about.notes], sources: Fingerprint["sources"] = [];
  const fileOf = (stem: string): string | null => {
    const found = files.filter((file) => VOLUME.test(file) && file.replace(VOLUME, "") === stem).sort().reverse();
    if (found.length > 1) problems.push(`${patient}/${stem}: one file wanted, found ${found.join(" and ")}`);
    if (!found.length) return null;
    // Some programs unpack a file into a folder of its name.
    const inside = entriesOf(`${raw}/${patient}/${found[0]}`).filter((f) =>
      VOLUME.test(f.name) && !f.name.startsWith(".")
    );
    return [patient, found[0], ...inside.length === 1 ? [inside[0].name] : []].join("/");
  };
  const read = async (file: string | null): Promise<NiftiVolume | null> => {
    if (!file) return null;
    try {
      const files = await readNiftiFiles(`${raw}/${file}`);
      sources.push(...files.map(({ path, bytes }) => ({ file: path.slice(raw.length + 1), sha256: sha256(bytes) })));
      return decodeNifti(files[0].bytes, `${raw}/${file}`, { axes: "ZYX", voxels: files[1]?.bytes });
    } catch (error) {
      problems.push(messageOf(error));
      return null;
    }
  };
  const imageFile = fileOf(name), labelFile = fileOf(`${name}_gt`);
  if (!imageFile) problems.push(`${patient}/${name}.nii.gz or .nii: ${phase} in Info.cfg wants it, it is not there`);
  const volume = await read(imageFile), mask = await read(labelFile);
  if (volume && imageFile) problems.push(...imageProblems(volume.data, imageFile));
  if (mask && labelFile) problems.push(...labelProblems(mask.data, { file: labelFile, classes }));
  if (volume?.note) notes.push(volume.note);
  if (volume && mask) {
    const placement = labelPlacement(mask, volume, labelFile!);
    problems.push(...placement.problems);
    notes.push(...placement.notes);
  }
  if (problems.length || !volume) return { problems };
  const { frame } = parseFrameName(name)!;
  const prepared: Case = {
    ...{ name, patient, frame, phase, group, height, weight, axes: "ZYX" },
    shape: volume.shape,
    image: minMax(volume.data),
    label: mask && new Uint8Array(mask.data),
    geometry: volume.geometry,
    correctedSpacing: null,
    nominalSpacing,
    header: volume.header,
    source: null,
    preparation: ["min-max to [0, 1] per volume", ...(volume.note ? [volume.note] : [])].join("; "),
  };
  const fingerprint = fingerprintOf(prepared, { image: volume.data, label: prepared.label }, { sources, classes });
  return { prepared, fingerprint, notes };
}

/** What `Info.cfg` says, lines of `Key: value`. */
interface Info extends Pick<Case, "group" | "height" | "weight"> {
  ED: number;
  ES: number;
  /** Notes of what nothing needs and is not as it should be. */
  notes: string[];
}

async function readInfo(raw: string, patient: string, files: string[]): Promise<Info | Problems> {
  const name = files.find((file) => file.toLowerCase() === "info.cfg"), file = `${patient}/${name ?? "Info.cfg"}`;
  if (!name || !Deno.statSync(`${raw}/${file}`).isFile) {
    return { problems: [`${file}: it is not there, and it names the frames ED and ES`] };
  }
  const lines = textOfBytes(await Deno.readFile(`${raw}/${file}`)).matchAll(/^[ \t]*(\w+)[ \t]*[:=](.*)$/gm);
  const said = Object.fromEntries(lines.map(([, key, value]) => [key.toLowerCase(), value.trim()]));
  const [ED, ES] = [said.ed, said.es].map((text) => text ? Number(text) : NaN);
  const problems = Object.entries({ ED, ES })
    .filter(([, frame]) => !(Number.isInteger(frame) && frame > 0))
    .map(([key]) => `${file}: ${key} wanted as the number of a frame, found ${said[key.toLowerCase()] || "none"}`);
  if (!problems.length && ED === ES) problems.push(`${file}: two frames wanted, ED and ES are both ${ED}`);
  const notes: string[] = [];
  const [height, weight] = ["Height", "Weight"].map((key) => {
    const text = said[key.toLowerCase()], value = Number(text?.replace(",", "."));
    if (!text) return null;
    const isNumber = value > 0 && value < Infinity;
    if (!isNumber) notes.push(`${key} in Info.cfg is no number above 0, and left out`);
    else if (text.includes(",")) notes.push(`${key} in Info.cfg has a decimal comma, read as a point`);
    return isNumber ? value : null;
  });
  return problems.length ? { problems } : { ED, ES, height, weight, group: said.group || null, notes };
}

/** UTF-8, with or without a mark; else Latin-1, in which every byte is a letter. */
function textOfBytes(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}
