/**
 * Connected components of a mask, and which of them are kept: all, as the authors' test procedure on LA the largest, or as
 * nnU-Net's (Isensee et al. 2021, "Postprocessing") the largest of the whole foreground.
 * @module
 */

/** What is kept of a mask: all components; the largest of each class; the largest of the whole foreground. */
export const COMPONENTS = ["all", "classes", "foreground"] as const;
/** One of {@linkcode COMPONENTS}. */
export type Components = typeof COMPONENTS[number];

function countVoxels(mask: Uint8Array, shape: readonly number[]): number {
  const count = shape.reduce((product, n) => product * n, 1);
  if (count !== mask.length) throw new RangeError(`mask has ${mask.length} voxels, shape [${shape}] has ${count}`);
  return count;
}

/**
 * The connected components of a mask: voxels that share a face, an edge or a corner are connected (26 neighbors in 3-D, 8 in
 * 2-D).
 * @param mask any non-zero value is object; raster order, last axis fastest
 * @param shape `[X, Y]` or `[X, Y, Z]`, in voxels
 * @returns `labels`: numbers from 1 on in raster order of their first voxels, 0 in the background; `sizes`: voxels of each
 * @throws {RangeError} when the mask does not have the shape's size, or when the shape is neither 2-D nor 3-D
 */
export function connectedComponents(
  mask: Uint8Array,
  shape: readonly number[],
): { labels: Int32Array; sizes: number[] } {
  if (shape.length !== 2 && shape.length !== 3) throw new RangeError(`shape [${shape}] is neither 2-D nor 3-D`);
  const count = countVoxels(mask, shape);
  // A single slice has no neighbors along the added axis, so 26 neighbors become 8.
  const [nx, ny, nz] = shape.length === 2 ? [1, ...shape] : shape;
  const labels = new Int32Array(count), stack = new Int32Array(count), sizes: number[] = [];
  for (let seed = 0; seed < count; seed++) {
    if (mask[seed] === 0 || labels[seed] !== 0) continue;
    const label = sizes.length + 1;
    let height = 0, size = 0;
    labels[seed] = label;
    stack[height++] = seed;
    while (height > 0) {
      const voxel = stack[--height];
      size++;
      const z = voxel % nz, row = (voxel - z) / nz, y = row % ny, x = (row - y) / ny;
      const x1 = Math.min(x + 1, nx - 1), y1 = Math.min(y + 1, ny - 1), z1 = Math.min(z + 1, nz - 1);
      for (let i = Math.max(x - 1, 0); i <= x1; i++) {
        for (let j = Math.max(y - 1, 0); j <= y1; j++) {
          for (let k = Math.max(z - 1, 0); k <= z1; k++) {
            const neighbor = (i * ny + j) * nz + k;
            if (mask[neighbor] === 0 || labels[neighbor] !== 0) continue;
            labels[neighbor] = label;
            stack[height++] = neighbor;
          }
        }
      }
    }
    sizes.push(size);
  }
  return { labels, sizes };
}

/**
 * The connected component with the most voxels. Of equally large components the first in raster order is kept.
 *
 * Source: tests/golden/README.md, section `metrics.h5` (values by scikit-image).
 *
 * @param mask as of {@linkcode connectedComponents}, and the shape
 * @returns 1 in the largest component, 0 elsewhere; same order as `mask`
 * @throws {RangeError} as {@linkcode connectedComponents}, and when the mask is all zero
 *
 * @example Two voxels that touch at a corner are one component
 * ```ts
 * import assert from "node:assert/strict";
 * import { largestComponent } from "@ssnet/pipeline/arrays/components.ts";
 *
 * const mask = Uint8Array.of(
 *   1, 0, 0, 0,
 *   0, 1, 0, 1,
 * );
 * assert.deepEqual(largestComponent(mask, [2, 4]), Uint8Array.of(1, 0, 0, 0, 0, 1, 0, 0));
 * ```
 */
export function largestComponent(mask: Uint8Array, shape: readonly number[]): Uint8Array {
  const { labels, sizes } = connectedComponents(mask, shape);
  if (!sizes.length) throw new RangeError("an all-zero mask has no largest component");
  const largest = 1 + sizes.reduce((best, size, i) => size > sizes[best] ? i : best, 0),
    kept = new Uint8Array(mask.length);
  for (let i = 0; i < labels.length; i++) kept[i] = labels[i] === largest ? 1 : 0;
  return kept;
}

/**
 * The largest component of every class from 1 on; the rest becomes background. A class without a voxel stays so.
 * @param classes Class numbers, raster order.
 * @param shape `[X, Y]` or `[X, Y, Z]`.
 *
 * @example The lone voxel goes
 * ```ts
 * import assert from "node:assert/strict";
 * import { largestComponents } from "@ssnet/pipeline/arrays/components.ts";
 *
 * assert.deepEqual(largestComponents(Uint8Array.of(1, 1, 0, 1, 2, 0), [1, 6]), Uint8Array.of(1, 1, 0, 0, 2, 0));
 * ```
 */
export function largestComponents<T extends Uint8Array | Int32Array>(classes: T, shape: readonly number[]): T {
  const kept = new (classes.constructor as new (length: number) => T)(classes.length);
  for (const c of new Set<number>(classes)) {
    if (c === 0) continue;
    const mask = new Uint8Array(classes.length);
    for (let i = 0; i < classes.length; i++) mask[i] = classes[i] === c ? 1 : 0;
    largestComponent(mask, shape).forEach((value, i) => value && (kept[i] = c));
  }
  return kept;
}

/**
 * The components of a mask that are kept; the rest becomes background. A mask without a voxel stays so.
 * @param classes Class numbers, raster order.
 * @param shape `[X, Y]` or `[X, Y, Z]`.
 *
 * @example Class 2 touches the larger part, and has its own largest one elsewhere
 * ```ts
 * import assert from "node:assert/strict";
 * import { keptComponents } from "@ssnet/pipeline/arrays/components.ts";
 *
 * const mask = Uint8Array.of(1, 1, 2, 0, 2, 2), shape = [1, 6];
 * assert.deepEqual(keptComponents(mask, shape, "all"), mask);
 * assert.deepEqual(keptComponents(mask, shape, "classes"), Uint8Array.of(1, 1, 0, 0, 2, 2));
 * assert.deepEqual(keptComponents(mask, shape, "foreground"), Uint8Array.of(1, 1, 2, 0, 0, 0));
 * ```
 */
export function keptComponents(classes: Uint8Array, shape: readonly number[], components: Components): Uint8Array {
  if (components === "all") return classes;
  if (components === "classes") return largestComponents(classes, shape);
  if (classes.every((value) => value === 0)) return classes;
  const kept = largestComponent(classes, shape);
  return classes.map((value, i) => kept[i] ? value : 0);
}
