/**
 * Named random streams from one seed: `stream(seed, name, index)` is a pure function of its three arguments, so a run
 * that is resumed at iteration i draws what it would have drawn; no generator state is stored.
 * @module
 */

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

/**
 * A key of 32 bits for a seed, a name and an index: what a generator of another kind, TensorFlow's, is seeded with.
 * @param seed Its lowest 32 bits count.
 */
export function streamKey(seed: number, name: string, index = 0): number {
  let key = mix(seed >>> 0);
  for (const letter of name) key = mix(key ^ letter.codePointAt(0)!);
  return mix(key + Math.imul(index + 1, 0x9e3779b9));
}

/**
 * Uniform numbers in [0, 1) with 32 bits, one at every call. Names of a training's streams: "weights", "sampler labeled",
 * "sampler unlabeled", "augmentation"; the last three with an index, the epoch or the iteration.
 *
 * @example The same three arguments give the same numbers
 * ```ts
 * import assert from "node:assert/strict";
 * import { stream } from "@ssnet/pipeline/arrays/random.ts";
 *
 * assert.equal(stream(1337, "augmentation", 5)(), stream(1337, "augmentation", 5)());
 * assert.notEqual(stream(1337, "augmentation", 5)(), stream(1337, "augmentation", 6)());
 * ```
 */
export function stream(seed: number, name: string, index = 0): () => number {
  const key = streamKey(seed, name, index);
  let position = 0;
  return () => mix(mix(key + Math.imul(++position, 0x9e3779b9)) ^ key) / 4294967296;
}

/** The numbers 0 … count-1 in random order, each order equally likely (Fisher–Yates). @param random Uniform in [0, 1). */
export function permutation(count: number, random: () => number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
