/** Cases on disk: one HDF5 file a case with `image` and, where there is one, `label`; axes X, Y, Z, Z fastest. @module */
import { readArrays } from "./hdf5.ts";

/** A problem with input data; the tasks exit with code 3. */
export class DataError extends Error {
  override name = "DataError";
}

/** One volume. */
export interface Case {
  name: string;
  shape: [number, number, number];
  image: Float32Array;
  label: Uint8Array | null;
}

/**
 * Reads a case. Needs `--allow-read`, `--allow-env`.
 * @throws {DataError} Naming file, found and wanted: no HDF5, no image, other shapes, not 3-D.
 */
export async function readCase(path: string, name: string): Promise<Case> {
  let arrays;
  try {
    arrays = await readArrays(path);
  } catch (error) {
    throw new DataError((error as Error).message, { cause: error });
  }
  const { image, label } = arrays;
  if (!image) throw new DataError(`Cannot read "${path}": it has no dataset "image", found ${Object.keys(arrays)}`);
  if (image.shape.length !== 3) {
    throw new DataError(`Cannot read "${path}": its image must have 3 axes, found shape [${image.shape}]`);
  }
  if (label && String(label.shape) !== String(image.shape)) {
    throw new DataError(
      `Cannot read "${path}": its label must have the shape of its image [${image.shape}], found [${label.shape}]`,
    );
  }
  return {
    name,
    shape: image.shape as [number, number, number],
    image: Float32Array.from(image.data),
    label: label ? Uint8Array.from(label.data) : null,
  };
}
