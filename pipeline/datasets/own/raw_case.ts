/** One raw case: its channels and its label, read and held against one another. @module */
import { joinChannels } from "../../arrays/channels.ts";
import { type Geometry, skewProblem, type Vector3 } from "../../arrays/geometry.ts";
import { sha256 } from "../../files/hash.ts";
import type { NiftiForms } from "../../files/nifti.ts";
import { readVolume, type VolumeFile } from "../../files/volume_file.ts";
import type { Fingerprint } from "../../records/manifest.ts";
import { imageProblems, labelPlacement, labelProblems, messageOf, type Problems } from "../prepared_case.ts";
import type { CaseFiles } from "./layout.ts";

/** A raw case, `[X, Y, Z]` as its files have it. */
export interface RawCase {
  /** The name of the case. */
  name: string;
  /** The shape of all channels and the label. */
  shape: Vector3;
  /** Intensities, `[C, ...shape]`. */
  image: Float32Array;
  /** The class of each voxel; null where it has no label. */
  label: Uint8Array | null;
  /** The place of the first channel; null where no file says a spacing. */
  geometry: Geometry | null;
  /** Whether the file says where its voxels lie. */
  isPlaced: boolean;
  /** What a NIfTI header says of the place. */
  header: NiftiForms | null;
  /** The files with their hashes, those of the image first. */
  sources: Fingerprint["sources"];
  /** What a user should know of it. */
  notes: string[];
}

/** The highest label that a case can have. */
const MOST_LABELS = 256;

/**
 * Reads a case and checks it: finite images of more than one value, all channels and the label on one grid, whole labels
 * that the dataset names. Needs `--allow-read`.
 * @param raw Folder of the dataset.
 * @param classes Background included; null where no file names them.
 */
export async function readRawCase(raw: string, files: CaseFiles, classes: number | null): Promise<RawCase | Problems> {
  const problems: string[] = [], notes: string[] = [], sources: Fingerprint["sources"] = [];
  const read = async (file: string): Promise<VolumeFile | null> => {
    try {
      const volume = await readVolume(`${raw}/${file}`);
      sources.push(
        ...volume.files.map(({ path, bytes }) => ({ file: path.slice(raw.length + 1), sha256: sha256(bytes) })),
      );
      if (volume.note) notes.push(volume.note);
      return { ...volume, files: [] };
    } catch (error) {
      problems.push(messageOf(error));
      return null;
    }
  };
  const place = (volume: VolumeFile, file: string, names: { label: string; image: string }) => {
    const placement = labelPlacement(volume, first!, file, names);
    problems.push(...placement.problems);
    notes.push(...placement.notes);
  };
  const first = await read(files.channels[0]), channels: Float32Array[] = [];
  for (const [c, file] of files.channels.entries()) {
    const volume = c ? await read(file) : first;
    if (!volume) continue;
    problems.push(...imageProblems(volume.data, file));
    if (c && first) place(volume, file, { label: `channel ${c}`, image: "channel 0" });
    channels.push(volume.data);
  }
  const skew = first?.geometry && first.isPlaced ? skewProblem(first.geometry) : null;
  if (skew) problems.push(`${files.channels[0]}: ${skew}`);
  const mask = files.label ? await read(files.label) : null;
  if (mask && files.label) {
    problems.push(...labelProblems(mask.data, { file: files.label, classes: classes ?? MOST_LABELS }));
    if (first) place(mask, files.label, { label: "label", image: "image" });
  }
  if (problems.length || !first) return { problems, notes };
  const { shape, geometry, isPlaced, header } = first, label = mask && new Uint8Array(mask.data);
  return { name: files.name, shape, image: joinChannels(channels), label, geometry, isPlaced, header, sources, notes };
}
