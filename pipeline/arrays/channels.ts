/**
 * Images of several channels: channel first on disk and wherever the host works on them, `[C, ...shape]`, so that a channel
 * is an array of its own; channel last where a network reads them. Of one channel the two are the same.
 * @module
 */
import { sizeOf } from "./shape.ts";

/** Number of channels of an image `[C, ...shape]`. */
export const channelCount = (image: { length: number }, shape: readonly number[]): number =>
  image.length / sizeOf(shape);

/** The channels of `[C, ...]` one by one, as views of the same memory. @param count C. */
export function channelsIn<T extends Float32Array | Uint8Array>(values: T, count: number): T[] {
  const size = values.length / count;
  return Array.from({ length: count }, (_, c) => values.subarray(c * size, (c + 1) * size) as T);
}

/**
 * Rows `[B, C, ...]` as a network reads them, `[B, ..., C]`; of one channel the same array.
 * @param size Voxels of a channel.
 *
 * @example Two voxels of two channels
 * ```ts
 * import assert from "node:assert/strict";
 * import { channelsLast } from "@ssnet/pipeline/arrays/channels.ts";
 *
 * assert.deepEqual(channelsLast(Float32Array.of(1, 2, 10, 20), { channels: 2, size: 2 }), Float32Array.of(1, 10, 2, 20));
 * ```
 */
export function channelsLast(
  rows: Float32Array,
  { channels, size }: { channels: number; size: number },
): Float32Array {
  if (channels === 1) return rows;
  const last = new Float32Array(rows.length);
  for (let first = 0; first < rows.length; first += channels * size) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < size; i++) last[first + i * channels + c] = rows[first + c * size + i];
    }
  }
  return last;
}

/** `[C, ...]` of channels behind one another; of one the same array. */
export function joinChannels(channels: readonly Float32Array[]): Float32Array {
  if (channels.length === 1) return channels[0];
  const size = channels[0].length, all = new Float32Array(channels.length * size);
  channels.forEach((channel, c) => all.set(channel, c * size));
  return all;
}

/** `[C, ...]` with every channel changed by itself. @param count C. */
export function mapChannels(
  values: Float32Array,
  count: number,
  change: (channel: Float32Array, c: number) => Float32Array,
): Float32Array {
  return joinChannels(channelsIn(values, count).map(change));
}
