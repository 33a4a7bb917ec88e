/**
 * PNG pictures (https://www.w3.org/TR/png-3) as volumes of one slice: gray levels or palette indices of 8 bits, or gray
 * levels of 16. A picture says no place and no size of its pixels.
 * @module
 */
import { decode } from "fast-png";
import { DataError } from "./errors.ts";
import { decodeVoxels, type Volume } from "./voxels.ts";

/**
 * Decodes a file's bytes; columns are X, rows are Y.
 * @param source Its name, for errors.
 * @throws {DataError} When it is no PNG, has colors, or fewer than 8 bits a pixel.
 */
export function decodePng(bytes: Uint8Array, source: string): Volume {
  const refuse = (why: string) => new DataError(`Cannot read "${source}" as PNG: ${why}`);
  let picture: ReturnType<typeof decode>;
  try {
    picture = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const { width, height, channels, depth, data } = picture;
  if (channels !== 1) throw refuse(`1 channel wanted, found ${channels}; save each as a gray picture of its own`);
  if (depth < 8) throw refuse(`8 or 16 bits a pixel wanted, found ${depth}`);
  const shape: Volume["shape"] = [width, height, 1],
    pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const type = depth === 8 ? "uint8" : "uint16";
  return { shape, data: decodeVoxels(pixels, { type, little: true, shape }), geometry: null, isPlaced: false };
}
