/** What the benchmarks work on beside synthetic batches: masks and cases of the real shapes. @module */
import { sidesOf } from "../arrays/shape.ts";
import { BARE_CASE, type Case } from "../records/case.ts";
import { writeArrays } from "../files/hdf5.ts";
import { cinePhantom } from "../datasets/acdc/phantom.ts";
import { phantom } from "../datasets/la/phantom.ts";
import { type DatasetProfile, numbered } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { LA } from "../datasets/la/profile.ts";
import type { Split } from "../records/split.ts";
import { temporaryFolder } from "../files/places.ts";

/** A dataset's profile with another patch, and as if it had other channels and classes. */
export function sized(
  dataset: string,
  patch: string | undefined,
  { channels, classes }: { channels?: number; classes?: number } = {},
): DatasetProfile {
  const builtIn = DATASETS[dataset], { boxes } = builtIn.bench;
  const profile = { ...builtIn, patch: patch ? sidesOf(patch) : builtIn.patch };
  if (channels) Object.assign(profile, { channels, channelNames: numbered("channel", channels) });
  if (!classes) return profile;
  // What the published classes fill together, in as many slabs along the first axis.
  const [from, to] = [Math.min(...boxes.map(({ from }) => from[0])), Math.max(...boxes.map(({ to }) => to[0]))];
  const edge = (k: number) => Math.round(from + k * (to - from) / (classes - 1));
  const slabs = Array.from({ length: classes - 1 }, (_, k) => ({
    from: boxes[0].from.with(0, edge(k)),
    to: boxes[0].to.with(0, edge(k + 1)),
  }));
  const classNames = numbered("class", classes - 1);
  return { ...profile, classes, classNames, bench: { ...profile.bench, boxes: slabs } };
}

/** Two balls in a volume of an LA case, as the authors' metrics are timed with. */
export function balls(): { prediction: Uint8Array; reference: Uint8Array; shape: number[] } {
  const shape: number[] = [...LA.bench.volume], [nx, ny, nz] = shape;
  const ball = (cx: number, cy: number, cz: number, r: number) => {
    const mask = new Uint8Array(nx * ny * nz);
    for (let i = 0; i < mask.length; i++) {
      const z = i % nz, y = Math.floor(i / nz) % ny, x = Math.floor(i / (nz * ny));
      mask[i] = Number((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < r * r);
    }
    return mask;
  };
  return { prediction: ball(90, 75, 44, 32), reference: ball(92, 74, 46, 31), shape };
}

/** A phantom of a case's size, for another patch than the published one as much smaller in the same axes. */
export function phantomCase({ name, patch, bench: { volume, grayLevels } }: DatasetProfile): Case {
  const ratio = patch.map((n, axis) => n / DATASETS[name].patch[axis]), areVolumes = patch.length === 3;
  const part = areVolumes ? ratio : [1, ...ratio]; // all slices of a volume
  const shape = volume.map((n, axis) => Math.round(n * part[axis])) as [number, number, number];
  const { image, label } = areVolumes ? phantom(1, "bench", shape) : cinePhantom(1, "bench", shape).ED;
  const axes = areVolumes ? "XYZ" : "ZYX", scanned = image.map((v) => Math.round(v * grayLevels) / grayLevels);
  return { ...BARE_CASE, name: "bench", shape, axes, preparation: "phantom", image: scanned, label };
}

/** Calls `body` with a folder of so many files of one phantom, `0.h5`, `1.h5`, …. Needs `--allow-write` of the temporary folder. */
export async function withCaseFiles<T>(
  profile: DatasetProfile,
  count: number,
  body: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await temporaryFolder("ss-net-bench-");
  try {
    const { image, label, shape } = phantomCase(profile);
    await writeArrays(`${folder}/0.h5`, { image: { data: image, shape }, label: { data: label!, shape } });
    for (let i = 1; i < count; i++) await Deno.copyFile(`${folder}/0.h5`, `${folder}/${i}.h5`);
    return await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A split of the files of {@linkcode withCaseFiles}: the first half labeled, the others not. */
export function halves({ name }: DatasetProfile, count: number): Split {
  const names = Array.from({ length: count }, (_, i) => String(i)), half = Math.floor(count / 2);
  const lists = { labeled: names.slice(0, half), unlabeled: names.slice(half), validation: [], test: [] };
  return { profile: name, source: "bench", ...lists };
}
