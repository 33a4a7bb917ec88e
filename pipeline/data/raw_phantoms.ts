/** Folders of raw phantoms, as the datasets are handed out: what the demo and the grid of CI begin with. @module */
import { cinePhantom, phantom } from "./phantom.ts";
import type { Shape3 } from "./augment.ts";
import type { Geometry } from "./geometry.ts";
import { writeArrays } from "./hdf5.ts";
import { writeNiftiMask } from "./nifti.ts";

/** How many phantoms of which size. */
export interface PhantomSet {
  /** Of everything random. */
  seed: number;
  /** Cases or patients. */
  count: number;
  /** `[X, Y, Z]` of atria, `[Z, Y, X]` of hearts. */
  shape: Shape3;
}

const numbered = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${name}${String(i + 1).padStart(3, "0")}`);

/** Atria, as the field publishes its volumes: `phantom001/mri_norm2.h5`, …. Needs `--allow-write`, `--allow-env`. */
export async function writeRawAtria(raw: string, { seed, count, shape }: PhantomSet): Promise<void> {
  for (const name of numbered("phantom", count)) {
    const { image, label } = phantom(seed, name, shape);
    await Deno.mkdir(`${raw}/${name}`, { recursive: true });
    await writeArrays(`${raw}/${name}/mri_norm2.h5`, {
      image: { data: image, shape: [...shape] },
      label: { data: label, shape: [...shape] },
    });
  }
}

/** Beating hearts in the challenge's layout: `patient001/Info.cfg`, …. Needs `--allow-read`, `--allow-write`. */
export async function writeRawHearts(raw: string, { seed, count, shape }: PhantomSet): Promise<void> {
  const geometry: Geometry = { spacing: [10, 1.5, 1.5], origin: [0, 0, 0], direction: [0, 0, 1, 0, 1, 0, 1, 0, 0] };
  for (const name of numbered("patient", count)) {
    const frames = cinePhantom(seed, name, shape);
    await Deno.mkdir(`${raw}/${name}`, { recursive: true });
    await Deno.writeTextFile(`${raw}/${name}/Info.cfg`, "ED: 1\nES: 10\n");
    for (const [number, { image, label }] of [["01", frames.ED], ["10", frames.ES]] as const) {
      const place = { shape, geometry, axes: "ZYX" } as const;
      const bytes = Uint8Array.from(image, (value) => Math.round(255 * value));
      await writeNiftiMask(`${raw}/${name}/${name}_frame${number}.nii.gz`, bytes, place);
      await writeNiftiMask(`${raw}/${name}/${name}_frame${number}_gt.nii.gz`, label, place);
    }
  }
}
