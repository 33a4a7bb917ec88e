/** A volume of any of the formats, by the name of its file. @module */
import { readFileBytes } from "./hdf5.ts";
import { decodeMha } from "./mha.ts";
import { decodeNifti, type NiftiForms, readNiftiFiles } from "./nifti.ts";
import { decodeNrrd, type NrrdPlace, readNrrdFile } from "./nrrd.ts";
import { decodePng } from "./png.ts";
import type { Volume } from "./voxels.ts";

/** How the names of volumes end. */
export const VOLUME_FILE = /\.(nii(\.gz)?|hdr(\.gz)?|nrrd|nhdr|mha|png)$/i;
/** The same in words. */
export const VOLUME_FORMATS = ".nii, .nii.gz, .hdr with .img, .nrrd, .nhdr, .mha, .png";

/** A volume `[X, Y, Z]` with all that its file says of it. */
export interface VolumeFile extends Volume {
  /** What a NIfTI header says of the place; null of other formats. */
  header: NiftiForms | null;
  /** What an NRRD header says of it. */
  nrrdPlace?: NrrdPlace;
  /** What the header contradicts itself in, or lacks; null for an ordinary one. */
  note: string | null;
  /** The file, or of a pair both, as read. */
  files: { path: string; bytes: Uint8Array }[];
}

/**
 * Reads a volume. Needs `--allow-read`.
 * @param path Its name ends as one of {@linkcode VOLUME_FORMATS}.
 * @throws {DataError} As the format's own reader.
 */
export async function readVolume(path: string): Promise<VolumeFile> {
  const kind = path.toLowerCase();
  if (/\.(nii|hdr)(\.gz)?$/.test(kind)) {
    const files = await readNiftiFiles(path);
    return { ...decodeNifti(files[0].bytes, path, { voxels: files[1]?.bytes }), files };
  }
  const isNrrd = /\.(nrrd|nhdr)$/.test(kind);
  const bytes = await (isNrrd ? readNrrdFile(path) : readFileBytes(path)), files = [{ path, bytes }];
  if (!isNrrd) {
    return {
      ...kind.endsWith(".mha") ? decodeMha(bytes, path) : decodePng(bytes, path),
      header: null,
      note: null,
      files,
    };
  }
  const { place, ...volume } = decodeNrrd(bytes, path);
  return { ...volume, nrrdPlace: place, header: null, note: null, files };
}
