/** `resample`: zoom, rotation, turns, flips and crops. @module */
import { cropPadding, extractPatch, extractSlice, type SliceDraw } from "../../../pipeline/data/augment.ts";
import { type Pixels, rotation, zoom, zoomLines } from "../../../pipeline/arrays/resample.ts";
import type { Golden } from "./golden.ts";
import type { Shape2, Shape3 } from "../../../pipeline/arrays/shape.ts";

const EXACT = { limit: 0 };

export function resampling(golden: Golden): void {
  for (const key of golden.keys(/^zoom_index_\d+_to_\d+$/)) {
    const [from, to] = key.match(/\d+/g)!.map(Number);
    golden.check(key, zoomLines(from, to), EXACT);
  }
  const picture = (key: string) => {
    const { data, shape } = golden.array(key);
    return { data: data as Pixels, shape: shape as unknown as Shape2 };
  };
  for (const key of golden.keys(/^zoom\d+_input$/)) {
    const { data, shape } = picture(key), forth = picture(key.replace("input", "to256"));
    golden.check(key.replace("input", "to256"), zoom(data, shape, forth.shape), EXACT);
    golden.check(key.replace("input", "back"), zoom(forth.data, forth.shape, shape), EXACT);
  }

  // Cosine and sine may differ in the last bit, which can move pixels that lie halfway.
  const angles = golden.values("rotate_angles"), [, h, w] = golden.shape("rotate_index_all");
  const sources = Array.from(angles, (degrees) => {
    const { at } = rotation([h, w], degrees);
    return Array.from({ length: h * w }, (_, i) => at(Math.floor(i / w), i % w));
  });
  golden.checkSame("rotate_index_all", sources.flat(), { limit: 4 });
  const augmented = (key: string, draw: SliceDraw, size: Shape2) => {
    const { data, shape } = picture(key), target = new Int32Array(size[0] * size[1]);
    extractSlice(data, shape, { size, draw, target });
    return target;
  };
  for (const key of golden.keys(/^rotate\d+_angle$/)) {
    const name = key.replace("_angle", ""), [degrees] = golden.values(key);
    for (const [from, to] of [["input", "output"], ["label", "output_label"]]) {
      const found = augmented(`${name}_${from}`, { kind: "rotate", degrees }, picture(`${name}_${from}`).shape);
      golden.checkSame(`${name}_${to}`, found, { limit: 4 });
    }
  }

  for (const key of golden.keys(/^rotflip_\dd_k\d_axis\d$/)) {
    const [axes, turns, axis] = key.match(/\d/g)!.map(Number), flipAxis = axis as 0 | 1;
    const input = `rotflip_${axes}d_input`, size = golden.shape(key);
    if (axes === 2) {
      golden.check(key, augmented(input, { kind: "turn", turns, flipAxis }, size as unknown as Shape2), EXACT);
      continue;
    }
    // A patch as large as the volume is padded by 3: the start leads to its first voxel.
    const patch = size as unknown as Shape3, target = new Int32Array(size[0] * size[1] * size[2]);
    const draw = { turns, flipAxis, start: [3, 3, 3] as [number, number, number] };
    extractPatch(golden.values(input), golden.shape(input) as unknown as Shape3, { patch, draw, target });
    golden.check(key, target, EXACT);
  }

  for (const name of golden.keys(/^crop\d+_input$/).map((key) => key.replace("_input", ""))) {
    const { data, shape } = golden.array(`${name}_input`), size = shape as unknown as Shape3;
    const patch = Array.from(golden.values(`${name}_size`)) as [number, number, number];
    const padding = cropPadding(size, patch), ranges = size.map((n, i) => n + 2 * padding[i] - patch[i]);
    golden.check(`${name}_offset_range`, ranges, EXACT);
    // Every patch is flipped; of a volume that is flipped already it is the plain crop.
    const area = size[1] * size[2];
    const flipped = Float32Array.from(data, (_, i) => data[(size[0] - 1 - Math.floor(i / area)) * area + i % area]);
    const start = Array.from(golden.values(`${name}_offset`)) as [number, number, number];
    const target = new Float32Array(patch[0] * patch[1] * patch[2]);
    extractPatch(flipped, size, { patch, draw: { turns: 0, flipAxis: 0, start }, target });
    golden.check(`${name}_random`, target, EXACT);
  }
}
