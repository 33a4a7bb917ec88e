/** Strong augmentation: where patches come from, what changes intensities, and threads that make batches ahead. */
import assert from "node:assert/strict";
import { stream } from "../pipeline/arrays/random.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { openBatches } from "../pipeline/data/batch_maker.ts";
import { assembleBatch, type BatchOptions, type TrainingItem } from "../pipeline/data/batches.ts";
import {
  addNoise,
  applyGamma,
  augmentStrongly,
  blur,
  changeIntensities,
  drawPlacement,
  FOREGROUND_SHARE,
  lowerResolution,
  type Placement,
  placePatch,
  scaleContrast,
} from "../pipeline/data/strong_augmentation.ts";

const DRAWS = 4000;
const meanOf = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
function standardDeviationOf(values: ArrayLike<number>): number {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(Array.from(values, (value) => (value - mean) ** 2)));
}
/** The frequency of something lies within four standard deviations of its probability. */
function assertFrequency(found: number, probability: number, draws = DRAWS) {
  const standardDeviation = Math.sqrt(probability * (1 - probability) / draws);
  assert.ok(Math.abs(found / draws - probability) < 4 * standardDeviation, `${found / draws}, ${probability} wanted`);
}
/** Every voxel another value. */
const ramp = (shape: readonly number[]): TrainingItem => ({
  shape,
  image: [Float32Array.from({ length: sizeOf(shape) }, (_, i) => i + 1)],
  label: null,
});
const patchOf = (item: TrainingItem, placement: Placement, patch: readonly number[]) => {
  const image = new Float32Array(sizeOf(patch)), label = item.label && new Int32Array(sizeOf(patch));
  placePatch({ ...item, channel: item.image[0] }, placement, { patch, image, label });
  return { image, label };
};
/** Largest stretch along an axis. */
const norms = ({ matrix }: Placement, rank: number) =>
  Array.from({ length: rank }, (_, j) => Math.hypot(...Array.from({ length: rank }, (_, i) => matrix[i * rank + j])));

Deno.test("half of the placements keep the orientation, a fifth is rotated and a fifth scaled, within the ranges", () => {
  for (const { shape, patch } of [{ shape: [30, 40, 20], patch: [16, 16, 16] }, { shape: [32, 32], patch: [32, 32] }]) {
    const rank = patch.length, random = stream(1, "placements", rank);
    let kept = 0, scaled = 0, rotated = 0;
    for (let i = 0; i < DRAWS; i++) {
      const placement = drawPlacement(random, { shape, label: null }, patch), { matrix } = placement;
      const [scale] = norms(placement, rank);
      assert.ok(scale > 1 / 1.4 - 1e-9 && scale < 1 / 0.7 + 1e-9, `scale ${1 / scale}`);
      if (Math.abs(scale - 1) > 1e-9) scaled++;
      const entries = matrix.map((value) => Math.abs(value) / scale),
        isTurned = entries.every((v) => v < 1e-9 || v > 1 - 1e-9);
      if (!isTurned) rotated++;
      const diagonal = patch.map((_, k) => matrix[k * (rank + 1)] / scale);
      if (isTurned && diagonal.every((value) => value > 0.5)) kept++;
    }
    assertFrequency(scaled, 0.2);
    assertFrequency(rotated, 0.2);
    // Of the unrotated draws half, and of the moved ones the sixteenth that is neither turned nor flipped, or twice both.
    assertFrequency(kept, 0.8 * (0.5 + 0.5 * 2 / 16));
  }
});

Deno.test("a rotation alone turns by at most 30 degrees about each axis", () => {
  const random = stream(2, "angles");
  let largest = 0;
  for (let i = 0; i < DRAWS; i++) {
    const { matrix } = drawPlacement(random, { shape: [32, 32], label: null }, [32, 32]);
    const angle = Math.abs(Math.atan2(matrix[2], matrix[0])) * 180 / Math.PI, rest = angle % 90;
    largest = Math.max(largest, Math.min(rest, 90 - rest));
  }
  assert.ok(largest > 29 && largest <= 30 + 1e-9, String(largest));
});

Deno.test("a placement that keeps everything gives the voxels of the source, bit for bit, and 0 beyond them", () => {
  const identity = [1, 0, 0, 0, 1, 0, 0, 0, 1], item = ramp([4, 5, 6]);
  const whole = patchOf(item, { matrix: identity, center: [1.5, 2, 2.5] }, [4, 5, 6]);
  assert.deepEqual(whole.image, item.image[0]);
  const wide = patchOf(item, { matrix: identity, center: [1.5, 2, 2.5] }, [6, 5, 6]);
  assert.deepEqual(wide.image.slice(30, 150), item.image[0]);
  assert.ok(
    wide.image.slice(0, 30).every((value) => value === 0) && wide.image.slice(150).every((value) => value === 0),
  );
  const slice = ramp([4, 6]);
  assert.deepEqual(patchOf(slice, { matrix: [1, 0, 0, 1], center: [1.5, 2.5] }, [4, 6]).image, slice.image[0]);
  // A quarter turn of a square: rows become columns.
  const square = patchOf(ramp([2, 2]), { matrix: [0, -1, 1, 0], center: [0.5, 0.5] }, [2, 2]);
  assert.deepEqual([...square.image], [3, 1, 4, 2]);
});

Deno.test("between voxels intensities are linear, and the label is the class with the largest part", () => {
  const item: TrainingItem = {
    shape: [1, 4],
    image: [Float32Array.of(0, 1, 2, 3)],
    label: Uint8Array.of(1, 1, 3, 3),
  };
  const { image, label } = patchOf(item, { matrix: [1, 0, 0, 0.5], center: [0, 1.5] }, [1, 7]);
  assert.deepEqual([...image], [0, 0.5, 1, 1.5, 2, 2.5, 3]);
  assert.deepEqual([...label!], [1, 1, 1, 1, 3, 3, 3]);
  // Three classes meet: two have a quarter each, background half: it stays background.
  const corner: TrainingItem = { shape: [2, 2], image: [new Float32Array(4)], label: Uint8Array.of(0, 1, 2, 0) };
  assert.deepEqual([...patchOf(corner, { matrix: [1, 0, 0, 1], center: [0.5, 0.5] }, [1, 1]).label!], [0]);
  const most: TrainingItem = { shape: [2, 2], image: [new Float32Array(4)], label: Uint8Array.of(2, 1, 2, 2) };
  assert.deepEqual([...patchOf(most, { matrix: [1, 0, 0, 1], center: [0.5, 0.5] }, [1, 1]).label!], [2]);
});

Deno.test("image and label stay together under every placement", () => {
  for (const { shape, patch } of [{ shape: [40, 36, 30], patch: [16, 16, 16] }, { shape: [60, 48], patch: [32, 32] }]) {
    const middle = shape.map((n) => (n - 1) / 2), strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)));
    const label = Uint8Array.from({ length: sizeOf(shape) }, (_, at) => {
      const p = shape.map((n, i) => Math.floor(at / strides[i]) % n);
      return Math.hypot(...p.map((v, i) => (v - middle[i]) / (shape[i] / 3))) < 1 ? 3 : 0;
    });
    const item = { shape, image: [Float32Array.from(label, (value) => value / 3)], label };
    for (let i = 0; i < 60; i++) {
      const random = stream(3, "together", i), placement = drawPlacement(random, item, patch);
      const found = patchOf(item, placement, patch);
      // The intensity is the part of the class: above a half it is the label.
      found.image.forEach((value, at) => {
        if (Math.abs(value - 0.5) > 1e-3) assert.equal(found.label![at], value > 0.5 ? 3 : 0);
      });
    }
  }
});

Deno.test("a labeled volume's patch meets the foreground in at least a third of the draws, however small that is", () => {
  const shape = [96, 80, 40], label = new Uint8Array(sizeOf(shape)), patch = [32, 32, 16];
  for (let k = 0; k < 27; k++) label[((90 + Math.floor(k / 9)) * 80 + 5 + Math.floor(k / 3) % 3) * 40 + 3 + k % 3] = 1;
  const item = { shape, image: [new Float32Array(label.length)], label };
  let met = 0;
  const draws = 300;
  for (let i = 0; i < draws; i++) {
    const { label } = patchOf(item, drawPlacement(stream(4, "foreground", i), item, patch), patch);
    if (label!.includes(1)) met++;
  }
  // Four standard deviations below its share; what other draws meet by chance comes on top.
  assert.ok(
    met / draws > FOREGROUND_SHARE - 4 * Math.sqrt(FOREGROUND_SHARE * (1 - FOREGROUND_SHARE) / draws),
    `${met}`,
  );
  // An empty label, none, and a volume smaller than the patch are drawn as well.
  for (
    const one of [{ shape, label: new Uint8Array(label.length) }, { shape, label: null }, {
      shape: [8, 8, 8],
      label: null,
    }]
  ) {
    const { center } = drawPlacement(stream(5, "odd"), one, patch);
    assert.ok(center.every((value, i) => value >= -1 && value <= one.shape[i]), String(center));
  }
});

Deno.test("noise has the standard deviation that was drawn, blur and low resolution keep a constant, and each does what it says", () => {
  const zeros = new Float32Array(99_999);
  addNoise(zeros, 0.5, stream(6, "noise"));
  assert.ok(Math.abs(meanOf(zeros)) < 0.01 && Math.abs(standardDeviationOf(zeros) - 0.5) < 0.01);

  const shape = [9, 8, 7], constant = () => new Float32Array(sizeOf(shape)).fill(2);
  for (const change of [(v: Float32Array) => blur(v, shape, 1), (v: Float32Array) => lowerResolution(v, shape, 0.5)]) {
    const values = constant();
    change(values);
    assert.ok(values.every((value) => Math.abs(value - 2) < 1e-6));
  }
  const impulse = new Float32Array(11 * 11), sigma = 0.8;
  impulse[5 * 11 + 5] = 1;
  blur(impulse, [11, 11], sigma);
  const weights = Array.from({ length: 7 }, (_, i) => Math.exp(-0.5 * ((i - 3) / sigma) ** 2)),
    sum = weights.reduce((a, b) => a + b);
  for (const [i, j] of [[5, 5], [5, 6], [4, 3], [8, 5]]) {
    const wanted = weights[i - 2] * weights[j - 2] / sum ** 2;
    assert.ok(Math.abs(impulse[i * 11 + j] - wanted) < 1e-7);
  }
  assert.ok(Math.abs(meanOf(impulse) - 1 / 121) < 1e-8, "it keeps the sum");

  const line = Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  lowerResolution(line, [8], 1);
  assert.deepEqual([...line], [0, 1, 2, 3, 4, 5, 6, 7]);
  lowerResolution(line, [8], 0.5); // keeps 1, 3, 5, 7; fills in by lines between their places, 0.5, 2.5, …
  assert.deepEqual([...line], [1, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7]);

  const values = Float32Array.of(0, 1, 2, 9);
  scaleContrast(values, 1.25);
  assert.deepEqual([...values], [0, 0.5, 1.75, 9], "about the mean of 3, within the range");
  scaleContrast(values, 1);
  assert.deepEqual([...values], [0, 0.5, 1.75, 9]);
});

Deno.test("gamma keeps mean and standard deviation, gamma 1 keeps all, and the inverted one bends the other end", () => {
  const source = Float32Array.from({ length: 1000 }, (_, i) => i / 250 - 1);
  for (const isInverted of [false, true]) {
    const same = source.slice(), bent = source.slice();
    applyGamma(same, 1, { isInverted });
    assert.ok(same.every((value, i) => Math.abs(value - source[i]) < 1e-5));
    applyGamma(bent, 1.5, { isInverted });
    assert.ok(
      Math.abs(meanOf(bent) - meanOf(source)) < 1e-5 &&
        Math.abs(standardDeviationOf(bent) - standardDeviationOf(source)) < 1e-5,
    );
    assert.ok(bent.every((value, i) => i === 0 || value >= bent[i - 1]), "the order stays");
    const [first, last] = [bent[1] - bent[0], bent[999] - bent[998]];
    assert.ok(isInverted ? first > last : first < last, `${first}, ${last}`);
  }
});

Deno.test("each change of intensities is drawn as often as the table says, and over the whole of its range", () => {
  /** The power that makes so much of a half. */
  const gammaOf = (part: number) => -Math.log2(part), draws = 3000;
  const impulse = Array.from({ length: 25 }, (_, i) => i === 12 ? 1 : 0), sides = [-4, -1, 1, 4];
  const ramp = Array.from({ length: 64 }, (_, i) => i), halves = [0, 0.5, 1];
  const gridOf = (values: Float32Array) => { // how many of 64 pixels a low resolution kept
    const counts = Array.from({ length: 33 }, (_, i) => 32 + i);
    return counts.find((count) => {
      const wanted = Float32Array.from(ramp);
      lowerResolution(wanted, [64], count / 64);
      return String(wanted) === String(values);
    })! / 64;
  };
  /** In their order: how many numbers one takes behind the first, which decides; an image, and the parameter from what became of it. */
  const CHANGES: [string, number, number, number[], (values: Float32Array) => number, [number, number]][] = [
    [
      "noise",
      0.1,
      1 + 1000,
      Array.from({ length: 1000 }, (_, i) => i % 2 ? 1 : -1),
      (values) => meanOf(values.map((value, i) => (value - (i % 2 ? 1 : -1)) ** 2)),
      [0, 0.1],
    ],
    // Along a line of a single Gaussian's weights the second is e^(-1/2σ²) of the first.
    ["blur", 0.2, 1, impulse, (values) => Math.sqrt(-0.5 / Math.log(values[13] / values[12])), [0.5, 1]],
    ["brightness", 0.15, 1, [1, 2], (values) => values[0], [0.75, 1.25]],
    ["contrast", 0.15, 1, sides, (values) => values[2], [0.75, 1.25]],
    ["low resolution", 0.25, 1, ramp, gridOf, [0.5, 1]],
    ["gamma, inverted", 0.1, 2, halves, ([low, middle, high]) => gammaOf((high - middle) / (high - low)), [0.7, 1.5]],
    ["gamma", 0.3, 2, halves, ([low, middle, high]) => gammaOf((middle - low) / (high - low)), [0.7, 1.5]],
  ];
  CHANGES.forEach(([name, probability, numbers, source, parameterOf, [low, high]], place) => {
    const found: number[] = [];
    for (let i = 0; i < draws; i++) {
      const random = stream(8, name, i), values = Float32Array.from(source);
      let calls = 0, isDrawn = false;
      // All others are left out.
      changeIntensities(
        () => {
          const call = calls++ - place;
          if (call === 0) {
            const first = random();
            isDrawn = first < probability;
            return first;
          }
          return isDrawn && call > 0 && call <= numbers ? random() : 0.999;
        },
        values,
        [values.length],
      );
      if (isDrawn) found.push(parameterOf(values));
      else assert.deepEqual(values, Float32Array.from(source), name);
    }
    assertFrequency(found.length, probability, draws);
    const width = high - low, margin = name === "noise" ? 0.15 * width : 0.02 * width; // noise is a sample of a thousand
    assert.ok(found.every((value) => value > low - margin && value < high + margin), `${name}: ${Math.min(...found)}`);
    assert.ok(Math.min(...found) < low + 0.1 * width && Math.max(...found) > high - 0.1 * width, name);
    // Gamma: either side of 1 in half of the draws; else uniform.
    const isGamma = numbers === 2, wanted = isGamma ? (0.85 + 1.25) / 2 : (low + high) / 2;
    assert.ok(
      Math.abs(meanOf(found) - wanted) < 4 * standardDeviationOf(found) / Math.sqrt(found.length),
      `${name}: ${meanOf(found)}`,
    );
  });
});

Deno.test("an image of one value stays finite under every change, and most draws change something", () => {
  let changed = 0;
  for (let i = 0; i < 400; i++) {
    const constant = new Float32Array(64).fill(0.25), varied = Float32Array.from({ length: 64 }, (_, k) => k / 64);
    changeIntensities(stream(7, "constant", i), constant, [8, 8]);
    assert.ok(constant.every(Number.isFinite));
    const before = varied.slice();
    changeIntensities(stream(7, "constant", i), varied, [8, 8]);
    assert.ok(varied.every(Number.isFinite));
    if (String(before) !== String(varied)) changed++;
  }
  assertFrequency(changed, 1 - 0.9 * 0.8 * 0.85 * 0.85 * 0.75 * 0.9 * 0.7, 400);
});

const item = (seed: number): TrainingItem => {
  const random = stream(seed, "item"), shape = [20, 18, 16], count = sizeOf(shape);
  return {
    shape,
    image: [new Float32Array(new SharedArrayBuffer(4 * count)).map(random)],
    label: Uint8Array.from({ length: count }, () => random() < 0.3 ? 1 : 0),
  };
};

Deno.test("an unlabeled row does not look at a label, the same stream gives the same row, another one another", () => {
  const one = item(1), patch = [16, 16, 16];
  const draw = (index: number, label: Int32Array | null) => {
    const image = new Float32Array(4096);
    augmentStrongly(stream(1, "strong augmentation", index), one, { patch, image: [image], label });
    return image;
  };
  const bare = { ...one, label: null }, image = new Float32Array(4096);
  augmentStrongly(stream(1, "strong augmentation", 1), bare, { patch, image: [image], label: null });
  assert.deepEqual(draw(1, null), image, "an unlabeled row never looks at a label");
  assert.deepEqual(draw(1, new Int32Array(4096)), draw(1, new Int32Array(4096)));
  assert.notDeepEqual(draw(1, null), draw(2, null));
});

Deno.test("threads make the batches of an iteration, from wherever a run goes on, and end behind the last one", async () => {
  const items = { labeled: [1, 2, 3].map(item), unlabeled: [4, 5].map(item) };
  for (const augmentation of ["published", "strong"] as const) {
    const options = (iteration: number): BatchOptions => ({
      ...{ profile: { labeledPerBatch: 2, unlabeledPerBatch: 1 }, augmentation, seed: 9, iteration },
      ...{ patch: [16, 16, 16], withUnlabeled: iteration > 2, withStrongViews: iteration > 3 },
    });
    using batches = openBatches(items, (iteration) => iteration <= 5 ? options(iteration) : null);
    for (let iteration = 2; iteration <= 5; iteration++) {
      assert.deepEqual(await batches.take(iteration), assembleBatch(items, options(iteration)));
    }
  }
});

Deno.test("a strong view is its unlabeled row with other intensities, and the row keeps its own", () => {
  const items = { labeled: [1, 2, 3].map(item), unlabeled: [4, 5].map(item) },
    patch = [16, 16, 16],
    size = sizeOf(patch);
  const rows = (image: Float32Array, from: number, to: number) => [...image.subarray(from * size, to * size)];
  for (const augmentation of ["published", "strong"] as const) {
    let changed = 0;
    for (let iteration = 1; iteration <= 20; iteration++) {
      const options: BatchOptions = {
        ...{ profile: { labeledPerBatch: 2, unlabeledPerBatch: 2 }, augmentation, seed: 9, iteration },
        ...{ patch, withUnlabeled: true },
      };
      const plain = assembleBatch(items, options), views = assembleBatch(items, { ...options, withStrongViews: true });
      assert.deepEqual([plain.rows, views.rows], [4, 6]);
      assert.deepEqual(views.label, plain.label);
      assert.deepEqual(rows(views.image, 0, 2), rows(plain.image, 0, 2));
      if (augmentation === "published") assert.deepEqual(rows(views.image, 2, 4), rows(plain.image, 2, 4));
      const random = stream(9, "strong view", iteration), wanted = views.image.slice(2 * size, 4 * size);
      for (const row of [0, 1]) changeIntensities(random, wanted.subarray(row * size, (row + 1) * size), patch);
      assert.deepEqual(rows(views.image, 4, 6), [...wanted]);
      if (rows(views.image, 4, 5).some((value, i) => value !== views.image[2 * size + i])) changed++;
    }
    assert.ok(changed > 8 && changed < 20, `${changed} of 20 first views are changed`);
  }
});
