/** Images of several channels: on disk, in batches, in windows and slices, in networks, and as files of one's own. */
import assert from "node:assert/strict";
import { channelCount, channelsIn, channelsLast, mapChannels } from "../pipeline/arrays/channels.ts";
import type { Vector3 } from "../pipeline/arrays/geometry.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { assembleBatch, type BatchOptions, readTrainingItems, type TrainingItem } from "../pipeline/data/batches.ts";
import { type CodedVoxels, encodeVoxels } from "../pipeline/data/coded_voxels.ts";
import { type Image, readImage } from "../pipeline/data/images.ts";
import { augmentStrongly } from "../pipeline/data/strong_augmentation.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { fingerprintOf } from "../pipeline/datasets/prepared_case.ts";
import { predictImage } from "../pipeline/evaluation/predict_image.ts";
import { sliceProbabilities } from "../pipeline/evaluation/slices.ts";
import { slidingWindow } from "../pipeline/evaluation/sliding_window.ts";
import { writeArrays } from "../pipeline/files/hdf5.ts";
import { encodeNiftiMask } from "../pipeline/files/nifti.ts";
import { discriminator } from "../pipeline/networks/discriminator.ts";
import { buildNetwork, NETWORK_NAMES } from "../pipeline/networks/network.ts";
import { initialize, type NetworkSpec } from "../pipeline/networks/parameters.ts";
import { build } from "../pipeline/networks/scope.ts";
import { BARE_CASE, type Case, readCase, writeCase } from "../pipeline/records/case.ts";
import { encodeCheckpoint, readInitial } from "../pipeline/training/checkpoint.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import type { Tensor4D, Tensor5D } from "../pipeline/tensorflow/tensors.ts";
import { withFolder } from "./with_folder.ts";

openTensorFlow({ device: "cpu" });
const SHAPE: Vector3 = [20, 18, 16], SIZE = sizeOf(SHAPE);
const GEOMETRY = {
  spacing: [1, 1, 2] as Vector3,
  origin: [0, 0, 0] as Vector3,
  direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
};
/** Two channels, the second twice the first: 0 stays 0. */
function twoChannels(seed: number): Case {
  const random = stream(seed, "channels"), first = Float32Array.from({ length: SIZE }, () => Math.round(50 * random()));
  const image = new Float32Array(2 * SIZE);
  image.set(first);
  image.set(first.map((value) => 2 * value), SIZE);
  const label = Uint8Array.from({ length: SIZE }, (_, i) => Number(i % 7 === 0));
  return { ...BARE_CASE, name: "a", shape: SHAPE, image, label, geometry: GEOMETRY, preparation: "made for a test" };
}

Deno.test("channels stand behind one another on the host, and last for a network; of one nothing is copied", () => {
  const values = Float32Array.of(1, 2, 3, 10, 20, 30), one = values.subarray(0, 3);
  assert.equal(channelCount(values, [1, 3]), 2);
  assert.deepEqual(channelsIn(values, 2)[1], Float32Array.of(10, 20, 30));
  assert.deepEqual(channelsLast(values, { channels: 2, size: 3 }), Float32Array.of(1, 10, 2, 20, 3, 30));
  assert.equal(channelsLast(one, { channels: 1, size: 3 }), one);
  assert.deepEqual(
    mapChannels(values, 2, (channel, c) => channel.map((v) => v + c)),
    Float32Array.of(1, 2, 3, 11, 21, 31),
  );
});

Deno.test("a case of two channels is written, known again and read; four axes without attributes are refused", () =>
  withFolder(async (folder) => {
    const one = twoChannels(1), path = `${folder}/a.h5`, source = { file: "a", sha256: "0" };
    const expected = fingerprintOf(one, one, { sources: [source], classes: 2 });
    assert.equal(expected.otherChannels!.length, 1);
    assert.equal(expected.otherChannels![0].mean, 2 * expected.intensity.mean);
    await writeCase(path, one, source);
    const { image, label, shape } = await readCase(path, "a", { expected });
    assert.deepEqual([image, label, shape], [one.image, one.label, one.shape]);
    const split = { profile: "la", source: "made for a test", labeled: ["a"], unlabeled: [], validation: [], test: [] };
    const how = { withUnlabeled: false };
    const twoSliced = { ...ACDC, channels: 2, labeledPerBatch: 1 };
    const slices = await readTrainingItems(folder, split, { profile: twoSliced, ...how }), area = 18 * 16;
    slices.labeled.forEach(({ image }, i) =>
      image.forEach((channel, c) => {
        const { codes, palette } = channel as CodedVoxels, from = c * SIZE + i * area;
        assert.deepEqual(Float32Array.from(codes, (code) => palette[code]), one.image.slice(from, from + area));
      })
    );
    await assert.rejects(
      readTrainingItems(folder, split, { profile: LA, ...how }),
      /a\.h5": 1 channel wanted, 2 found/,
    );
    await writeCase(path, { ...one, image: one.image.with(SIZE + 3, 7) }, source);
    await assert.rejects(readCase(path, "a", { expected }), /its image has another hash/);
    await writeArrays(path, { image: { data: one.image, shape: [2, ...SHAPE] } });
    await assert.rejects(readCase(path, "a"), /its image must have 3 axes, found shape \[2,20,18,16\]/);
  }));

const itemOf = (seed: number, channels: number, shape: readonly number[]): TrainingItem => {
  const { image, label } = twoChannels(seed), size = sizeOf(shape);
  const all = channelsIn(image, 2).slice(0, channels).map((channel) => channel.subarray(0, size));
  return {
    shape,
    image: all.map((channel, c) => c ? channel : encodeVoxels(channel)),
    label: label!.subarray(0, size),
  };
};

Deno.test("turns, flips, crops and zooms are drawn once for all channels, and those of one channel stay", () => {
  for (
    const { profile, patch, shape } of [{ profile: LA, patch: [16, 16, 16], shape: SHAPE }, {
      ...{ profile: { ...ACDC, labeledPerBatch: 2, unlabeledPerBatch: 2 }, patch: [32, 16], shape: SHAPE.slice(0, 2) },
    }]
  ) {
    const items = (channels: number) => ({
      labeled: [1, 2, 3].map((seed) => itemOf(seed, channels, shape)),
      unlabeled: [4, 5].map((seed) => itemOf(seed, channels, shape)),
    });
    for (let iteration = 1; iteration <= 8; iteration++) {
      const options: BatchOptions = {
        ...{ profile, augmentation: "published", seed: 3, iteration, patch, withUnlabeled: true },
      };
      const [one, two] = [1, 2].map((channels) => assembleBatch(items(channels), options));
      assert.deepEqual(two.label, one.label);
      assert.deepEqual(two.image.filter((_, i) => i % 2 === 0), one.image);
      assert.deepEqual(two.image.filter((_, i) => i % 2 === 1), one.image.map((value) => 2 * value));
    }
  }
  // Strong: the first draws of a row are the placement's, the channels' own intensities follow.
  let moved = 0, apart = 0;
  for (let i = 0; i < 40; i++) {
    const random = () => stream(7, "strong", i), item = itemOf(1, 2, SHAPE), patch = [16, 16, 16];
    const [one, two] = [[new Float32Array(4096)], [new Float32Array(4096), new Float32Array(4096)]];
    augmentStrongly(random(), { ...item, image: item.image.slice(0, 1) }, { patch, image: one, label: null });
    augmentStrongly(random(), item, { patch, image: two, label: null });
    assert.deepEqual(two[0], one[0]);
    if (two[1].every((value, i) => value === 2 * one[0][i])) moved++;
    else apart++;
  }
  assert.ok(moved > 0 && apart > 0, `${moved} rows alike, ${apart} with intensities of their own`);
});

Deno.test("windows and slices give a network all channels of a voxel", async () => {
  const { image } = twoChannels(2), wanted = channelsIn(image, 2)[0].map((value) => value / 200);
  const seen = (values: Float32Array) => {
    for (let i = 0; i < values.length; i += 2) assert.equal(values[i + 1], 2 * values[i]);
    return Promise.resolve(values.filter((_, i) => i % 2 === 0).map((value) => value / 200));
  };
  const windows = { patch: [16, 16, 16], stride: [8, 8, 8], atOnce: 2, classes: 2 } as const;
  const mean = await slidingWindow(image, SHAPE, {
    ...windows,
    network: (x: Tensor5D) => seen(x.dataSync() as Float32Array),
  });
  assert.ok(mean.every((value, i) => Math.abs(value - wanted[i]) < 1e-6));
  const slices = { size: [18, 16], classes: 2, atOnce: 7 } as const;
  const found = await sliceProbabilities(image, SHAPE, {
    ...slices,
    network: (x: Tensor4D) => seen(x.dataSync() as Float32Array),
  });
  assert.deepEqual(found, wanted);
});

Deno.test("of every network another number of channels changes one array, the first convolution of the image", () => {
  const arrays = ({ parameters }: NetworkSpec) => parameters.map(({ name, shape }) => `${name} ${shape}`);
  const specs = (channels: number) => [
    ...NETWORK_NAMES.map((name) => buildNetwork(name, { channels, classes: 3 }).spec),
    ...[[32, 32], [16, 16, 16]].map((patch) => build((at) => discriminator(at, { channels, classes: 3, patch })).spec),
  ];
  const [one, four] = [specs(1), specs(4)];
  for (const [i, spec] of one.entries()) {
    const changed = arrays(four[i]).filter((array) => !arrays(spec).includes(array));
    assert.equal(changed.length, 1);
    assert.match(changed[0], /^\S+\.weight (16|64),4,/);
  }
});

Deno.test("weights of a network of one channel begin one of four: all but the first convolution, which is named", () =>
  withFolder(async (folder) => {
    const [one, four] = [1, 4].map((channels) => buildNetwork("unet", { channels, classes: 3 }).spec);
    const path = `${folder}/one.safetensors`,
      checkpoint = { recomputed: false, state: initialize(one, stream(1, "weights")), iteration: 0 };
    await Deno.writeFile(
      path,
      await encodeCheckpoint(checkpoint, one, { format: "safetensors", half: false, metadata: {} }),
    );
    const { state, lines: [taken, anew] } = await readInitial(path, four),
      count = one.parameters.length + one.buffers.length;
    assert.ok(!("encoder.in_conv.conv_conv.0.weight" in state) && taken.startsWith(`${count - 1} of ${count} arrays`));
    assert.match(anew, /anew:\n {2}encoder\.in_conv\.conv_conv\.0\.weight: \[16,4,3,3\] wanted, \[16,1,3,3\] found$/);
  }));

Deno.test("files NAME_0000 and NAME_0001 are one image: each channel prepared by itself, both on one grid", () =>
  withFolder(async (folder) => {
    const { image } = twoChannels(3), path = (c: number) => `${folder}/x_000${c}.nii`;
    const write = async (c: number, values: Float32Array, place: Partial<Image> = {}) => {
      const at = { shape: SHAPE, geometry: GEOMETRY, axes: "XYZ", ...place } as Parameters<typeof encodeNiftiMask>[1];
      await Deno.writeFile(path(c), encodeNiftiMask(values, at));
    };
    for (const [c, channel] of channelsIn(image, 2).entries()) await write(c, channel);
    const file = { name: "x", path: path(0), otherChannels: [path(1)] };
    const found = await readImage(file);
    assert.deepEqual(channelsIn(found.data, 2).map((channel) => channel[5]), [image[5], image[SIZE + 5]]);
    const { la } = DATASETS, asked: number[] = [];
    const dataset = {
      ...{ ...la, channelNames: ["T1", "T2"], classes: 3 },
      preparation: {
        ...la.preparation,
        intensities(values: Float32Array, _?: Float32Array, channel?: number) {
          asked.push(channel!);
          return values.map((value) => value / (channel! + 1) + channel!);
        },
      },
    };
    const how = { dataset, grid: { orientation: "LPS", spacing: null }, components: "all" as const };
    const { mask } = await predictImage(found, {
      ...how,
      networks: [({ image, shape }) => {
        const [first, second] = channelsIn(image, 2), size = sizeOf(shape), classes = new Float32Array(3 * size);
        assert.ok(first.every((value, i) => Math.abs(second[i] - value - 1) < 1e-4));
        first.forEach((value, i) => classes[Math.round(value) % 3 * size + i] = 1);
        return Promise.resolve(classes);
      }],
    });
    assert.deepEqual(asked, [0, 1]);
    assert.deepEqual(mask, Uint8Array.from(found.data.subarray(0, SIZE), (value) => value % 3));
    const alone = await readImage({ name: "x", path: path(0) });
    await assert.rejects(predictImage(alone, { ...how, networks: [] }), /2 channels wanted \(T1, T2\), 1 found/);
    await write(1, image.subarray(SIZE), { geometry: { ...GEOMETRY, origin: [0, 3, 0] } });
    await assert.rejects(readImage(file), /with its other channels:\n.*x_0001\.nii: not where its first channel is/);
    await write(1, image.subarray(0, 18 * 16 * 10), { shape: [10, 18, 16] });
    await assert.rejects(readImage(file), /the shape of its first channel \[20,18,16\] wanted, found \[10,18,16\]/);
  }));
