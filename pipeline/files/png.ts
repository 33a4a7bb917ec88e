/**
 * PNG pictures (https://www.w3.org/TR/png-3) as volumes of one slice: gray levels or palette indices of 8 bits, or gray
 * levels of 16. A picture says no place and no size of its pixels.
 * @module
 */
import { decode } from "fast-png";
import { DataError } from "./errors.ts";
import { decodeVoxels, type Volume } from "./voxels.ts";

/** The first bytes of every PNG. */
const SIGNATURE = 0x89504e47;
/** The bytes of its first part, which has the sizes, with what stands in front of it. */
const HEADER_BYTES = 33;
/** Bytes that one byte of deflate can stand for, at most. */
const MOST_PACKED = 1032;

/**
 * Decodes a file's bytes; columns are X, rows are Y.
 * @param source Its name, for errors.
 * @throws {DataError} When it is no PNG, has colors, or fewer than 8 bits a pixel.
 */
export function decodePng(bytes: Uint8Array, source: string): Volume {
  const refuse = (why: string) => new DataError(`Cannot read "${source}" as PNG: ${why}`);
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES || header.getUint32(0) !== SIGNATURE) throw refuse("it has no header of a PNG");
  const pixels = header.getUint32(16) * header.getUint32(20);
  if (pixels > MOST_PACKED * bytes.length) {
    throw refuse(`its header wants ${pixels} pixels, it has ${bytes.length} bytes`);
  }
  let picture: ReturnType<typeof decode>;
  try {
    picture = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const { width, height, channels, depth, data } = picture;
  if (channels !== 1) throw refuse(`1 channel wanted, found ${channels}; save each as a gray picture of its own`);
  if (depth < 8) throw refuse(`8 or 16 bits a pixel wanted, found ${depth}`);
  const shape: Volume["shape"] = [width, height, 1], type = depth === 8 ? "uint8" : "uint16";
  const stored = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { shape, data: decodeVoxels(stored, { type, little: true, shape }), geometry: null, isPlaced: false };
}
