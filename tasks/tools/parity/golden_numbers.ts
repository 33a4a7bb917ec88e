/** Parameters and random numbers by formula (tests/golden/README.md, "Numbers by formula"), in PyTorch's layout. */
import type { NetworkSpec, StateDict } from "../../../pipeline/networks/parameters.ts";
import { sizeOf } from "../../../pipeline/arrays/shape.ts";

function fmix32(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}
/** 32-bit hash of a stream and an index. */
export const u32 = (stream: number, i: number): number => fmix32((fmix32(stream) + Math.imul(i, 0x9e3779b1)) >>> 0);
/** Uniform in [-1, 1). */
export const U = (stream: number, i: number): number => u32(stream, i) / 2147483648 - 1;
/** Mean 0, variance 1, three uniform numbers each. */
export const N = (stream: number, i: number): number => U(stream, 3 * i) + U(stream, 3 * i + 1) + U(stream, 3 * i + 2);
/** Uniform in [0, 1), exact in float32. */
export const R = (stream: number, i: number): number => (u32(stream, i) >>> 8) / 16777216;

/** Parameters of a weight set; transposed convolutions take `in` = shape[0] as their fan-in, as the tables do. */
export function goldenState(
  spec: NetworkSpec,
  weightSet: number,
  { hashedStatistics = false, firstParameter = 0 }: { hashedStatistics?: boolean; firstParameter?: number } = {},
): StateDict {
  const state: StateDict = {};
  spec.parameters.forEach(({ name, shape, kind, fanIn }, k) => {
    const gain = Math.sqrt(6 / (kind === "convT" ? shape[0] : fanIn));
    state[name] = Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
      const u = U(1000 * weightSet + firstParameter + k, i);
      if (kind === "bias") return 0.05 * u;
      if (kind === "bn_gamma") return 1 + 0.1 * u;
      if (kind === "bn_beta") return (u >= 0 ? 1.5 : -1.5) + 0.5 * u;
      return gain * u;
    });
  });
  spec.buffers.forEach(({ name, shape, kind }, b) => {
    state[name] = Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
      const u = U(1000 * weightSet + 500 + b, i);
      if (!hashedStatistics) return kind === "running_mean" ? 0 : 1;
      return kind === "running_mean" ? 0.1 * u : 1 + 0.3 * u;
    });
  });
  return state;
}
