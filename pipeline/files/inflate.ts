/**
 * Unpacks gzip, or zlib's own format, within bounds: the volume's header says how long the data are, and no more is unpacked than that. Several
 * members one behind the other are one file, as gzip has it.
 * @module
 */
import { constants, gunzipSync, inflateSync } from "node:zlib";

/** Deflate's best: 258 bytes from 2 bits. */
const LARGEST_RATIO = 1032;
/** Far above any header; only damaged beginnings come here. */
const HEAD_LIMIT = 2 ** 26;

/**
 * All that is packed.
 * @param limit Bytes that the header announces.
 * @returns At most `limit` bytes.
 * @throws {RangeError} When so many cannot be in it (before anything is unpacked), when more are, and when it is damaged.
 *
 * @example More than announced is not unpacked
 * ```ts
 * import assert from "node:assert/strict";
 * import { gzipSync } from "node:zlib";
 * import { inflate } from "@ssnet/pipeline/files/inflate.ts";
 *
 * const packed = gzipSync(Uint8Array.of(1, 2, 3));
 * assert.deepEqual([...inflate(packed, 3)], [1, 2, 3]);
 * assert.throws(() => inflate(packed, 2), RangeError);
 * ```
 */
export function inflate(bytes: Uint8Array, limit: number, format: "gzip" | "zlib" = "gzip"): Uint8Array {
  const most = LARGEST_RATIO * bytes.length;
  if (limit > most) {
    throw new RangeError(`${limit} bytes of data wanted, ${bytes.length} bytes of ${format} hold ${most} at the most`);
  }
  try {
    return (format === "gzip" ? gunzipSync : inflateSync)(bytes, { maxOutputLength: limit });
  } catch (error) {
    if (isTooLong(error)) throw new RangeError(`${limit} bytes of data wanted, more are packed in it`);
    throw damaged(error);
  }
}

/**
 * The first bytes of what is packed, with as little unpacked as gives them.
 * @returns `length` bytes, or all where there are fewer.
 * @throws {RangeError} When it is damaged in front of them.
 */
export function inflateHead(bytes: Uint8Array, length: number): Uint8Array {
  for (let packed = 1024;; packed *= 2) {
    const isWhole = packed >= bytes.length;
    try {
      const head = gunzipSync(bytes.subarray(0, packed), {
        finishFlush: constants.Z_SYNC_FLUSH, // what has come so far is no error
        maxOutputLength: HEAD_LIMIT,
      });
      if (isWhole || head.length >= length) return head.subarray(0, length);
    } catch (error) { // a part may end within a checksum
      if (isWhole || isTooLong(error)) throw damaged(error);
    }
  }
}

const isTooLong = (error: unknown) => (error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE";
const damaged = (error: unknown) => new RangeError(`it does not unpack: ${(error as Error).message}`);
