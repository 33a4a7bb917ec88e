/**
 * Voxels of few distinct values as short codes: scanners give whole numbers, and whatever a normalization made of them, a
 * volume holds a few hundred gray levels. A byte a voxel instead of four, and the same bits when decoded.
 * @module
 */

/** Voxels by code. */
export interface CodedVoxels {
  /** The value of every code; that of code 0 is 0, with which augmentation fills what lies outside. */
  palette: Float32Array;
  /** A code for each voxel, in their order; bytes where they suffice. */
  codes: Uint8Array | Uint16Array;
}

const MOST = 1 << 16, SLOTS = 2 * MOST; // half of the slots stay free, so that searches end soon

/**
 * Codes of voxels, or the voxels themselves where they have too many values to be worth it (more than 65,536).
 *
 * @example Three levels and the 0 of augmentation
 * ```ts
 * import assert from "node:assert/strict";
 * import { type CodedVoxels, encodeVoxels } from "@ssnet/pipeline/data/coded_voxels.ts";
 *
 * const { palette, codes } = encodeVoxels(Float32Array.of(0.5, -1, 0.5, 2)) as CodedVoxels;
 * assert.deepEqual([...palette], [0, 0.5, -1, 2]);
 * assert.deepEqual([...codes], [1, 2, 1, 3]);
 * ```
 */
export function encodeVoxels(voxels: Float32Array): CodedVoxels | Float32Array {
  // Compared as bits: -0 stays -0, and a NaN is equal to itself.
  const bits = new Int32Array(voxels.buffer, voxels.byteOffset, voxels.length), codes = new Uint16Array(bits.length);
  const values = new Int32Array(MOST), slots = new Uint16Array(SLOTS); // an empty slot holds code 0, which is never looked for
  let count = 1;
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i];
    if (value === 0) continue;
    let slot = Math.imul(value, 0x9e3779b1) >>> 15;
    while (slots[slot] !== 0 && values[slots[slot]] !== value) slot = (slot + 1) % SLOTS;
    if (slots[slot] === 0) {
      if (count === MOST) return voxels;
      values[count] = value;
      slots[slot] = count++;
    }
    codes[i] = slots[slot];
  }
  const palette = new Float32Array(values.buffer).slice(0, count);
  return { palette, codes: count <= 256 ? new Uint8Array(codes) : codes };
}
