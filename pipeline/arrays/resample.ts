/**
 * Resampling of slices by nearest lines and pixels (order 0), equal to SciPy's `zoom` and `rotate` and NumPy's `rot90`
 * and `flip`. Pictures are `[H, W]`, W fastest. What falls outside is 0.
 * @module
 */
import type { Shape2 } from "./shape.ts";

/** Values of a picture. */
export type Pixels = Float32Array | Int32Array | Uint8Array;

/**
 * Gives for each line of an axis zoomed from `from` to `to` lines the line it comes from:
 * `floor(c + 0.5)`, `c = i (from - 1) / (to - 1)`, and -1, read as 0, where c lies beyond the last line.
 *
 * Rounding puts the very last c beyond the end for some sizes (256 to 216 is one): that line is lost, as in SciPy.
 *
 * Source: tests/golden/README.md, section `resample.h5` (values by SciPy 1.17).
 *
 * @returns `to` line numbers.
 *
 * @example Back from 256 lines to 216 the last one is lost
 * ```ts
 * import assert from "node:assert/strict";
 * import { zoomLines } from "@ssnet/pipeline/arrays/resample.ts";
 *
 * assert.deepEqual([...zoomLines(3, 5)], [0, 1, 1, 2, 2]);
 * assert.equal(zoomLines(256, 216).at(-1), -1);
 * ```
 */
export function zoomLines(from: number, to: number): Int32Array {
  const step = to > 1 ? (from - 1) / (to - 1) : 0;
  return Int32Array.from({ length: to }, (_, i) => {
    const c = i * step;
    return c > from - 1 ? -1 : Math.floor(c + 0.5);
  });
}

/** A picture `[H, W]`, W fastest, zoomed to another height and width as `scipy.ndimage.zoom(image, ratio, order=0)`. */
export function zoom<T extends Pixels>(image: T, [h, w]: Shape2, [toH, toW]: Shape2): T {
  const rows = zoomLines(h, toH), columns = zoomLines(w, toW);
  const zoomed = new (image.constructor as new (length: number) => T)(toH * toW);
  for (let i = 0, to = 0; i < toH; i++) {
    const row = rows[i] * w;
    for (let j = 0; j < toW; j++, to++) {
      if (row >= 0 && columns[j] >= 0) zoomed[to] = image[row + columns[j]];
    }
  }
  return zoomed;
}

/** Where the pixels of a turned picture come from. */
export interface SourceMap {
  /** Size of the turned picture. */
  shape: Shape2;
  /** Position in the original of the pixel (i, j) of the turned one, -1 outside. */
  at(i: number, j: number): number;
}

/**
 * `numpy.rot90` by `turns` counter-clockwise quarter turns, then `numpy.flip` of an axis; a quarter turn swaps the sides.
 * @param turns 0–3
 */
export function turnAndFlip([h, w]: Shape2, turns: number, flipAxis: 0 | 1): SourceMap {
  const shape: Shape2 = turns % 2 ? [w, h] : [h, w];
  return {
    shape,
    at(i, j) {
      if (flipAxis === 0) i = shape[0] - 1 - i;
      else j = shape[1] - 1 - j;
      if (turns === 0) return i * w + j;
      if (turns === 1) return j * w + (w - 1 - i);
      if (turns === 2) return (h - 1 - i) * w + (w - 1 - j);
      return (h - 1 - j) * w + i;
    },
  };
}

/**
 * Rotation about the center in the same frame, as `scipy.ndimage.rotate(image, degrees, order=0, reshape=False)`: pixel
 * (i, j) comes from `y = c i + s j + (cy - (c cy + s cx))`, `x = -s i + c j + (cx - (-s cy + c cx))`, rounded by
 * `floor(v + 0.5)`; outside `[0, h - 1] x [0, w - 1]` it is 0.
 */
export function rotation([h, w]: Shape2, degrees: number): SourceMap {
  const angle = degrees * Math.PI / 180, c = Math.cos(angle), s = Math.sin(angle);
  const cy = (h - 1) / 2, cx = (w - 1) / 2;
  const offsetY = cy - (c * cy + s * cx), offsetX = cx - (-s * cy + c * cx);
  return {
    shape: [h, w],
    at(i, j) {
      const y = c * i + s * j + offsetY, x = -s * i + c * j + offsetX;
      if (y < 0 || y > h - 1 || x < 0 || x > w - 1) return -1;
      return Math.floor(y + 0.5) * w + Math.floor(x + 0.5);
    },
  };
}
