/** What the benchmarks work on beside synthetic batches: masks and cases of the real shapes. @module */
import { BARE_CASE, type Case } from "../data/cases.ts";
import { writeArrays } from "../data/hdf5.ts";
import { cinePhantom, phantom } from "../data/phantom.ts";
import { type DatasetName, type DatasetProfile, PROFILES } from "../data/profiles.ts";
import type { Split } from "../data/splits.ts";
import { temporaryFolder } from "../runs/places.ts";

/** Of the datasets' cases, about their mean: `[X, Y, Z]` and `[Z, Y, X]`. */
const VOLUMES = { la: [180, 150, 88], acdc: [10, 216, 256] } as const;

/** Gray levels for each unit of the prepared intensities: some 150 in a left atrium, 250 in a heart, as real cases have. */
const LEVELS = { la: 20, acdc: 250 } as const;

/** A dataset's profile with another patch. */
export function sized(dataset: DatasetName, patch: string | undefined): DatasetProfile {
  const published = PROFILES[dataset];
  return { ...published, patch: patch ? patch.split("x").map(Number) : published.patch };
}

/** Two balls in a volume of an LA case, as the authors' metrics are timed with. */
export function balls(): { prediction: Uint8Array; reference: Uint8Array; shape: number[] } {
  const shape: number[] = [...VOLUMES.la], [nx, ny, nz] = shape;
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
export function phantomCase({ name, patch }: DatasetProfile): Case {
  const ratio = patch.map((n, axis) => n / PROFILES[name].patch[axis]), volume = VOLUMES[name];
  const part = volume.length > ratio.length ? [1, ...ratio] : ratio; // all slices of a volume
  const shape = volume.map((n, axis) => Math.round(n * part[axis])) as [number, number, number];
  const { image, label } = name === "la" ? phantom(1, "bench", shape) : cinePhantom(1, "bench", shape).ED;
  const axes = name === "la" ? "XYZ" : "ZYX", scanned = image.map((v) => Math.round(v * LEVELS[name]) / LEVELS[name]);
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
