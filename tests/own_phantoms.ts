/** Phantoms of a dataset of one's own: two balls in the world, seen on grids of any spacing and orientation. @module */
import { type Geometry, toAffine, type Vector3 } from "../pipeline/arrays/geometry.ts";
import { turnedGeometry, turnedShape, turnTo } from "../pipeline/arrays/orientation.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { encodeNiftiMask } from "../pipeline/files/nifti.ts";

/** A grid over the same field of view of 48 mm a side. */
export interface PhantomGrid {
  /** Millimeters along x, y, z of the world. */
  spacing: Vector3;
  /** Of the file's axes. */
  orientation: string;
}

const FIELD = 48;

/** An image of each channel and its label, as NIfTI bytes. */
export function ownPhantom(
  name: string,
  { spacing, orientation, channels }: PhantomGrid & { channels: number },
): { images: Uint8Array[]; label: Uint8Array } {
  const random = stream(1, `own ${name}`), centers = [14, 34].map((x) => [x, 20 + 8 * random(), 20 + 8 * random()]);
  const world: Geometry = {
    spacing,
    origin: spacing.map((w) => w / 2) as Vector3,
    direction: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  };
  const size = spacing.map((width) => Math.round(FIELD / width)) as Vector3,
    turn = turnTo(world.direction, orientation);
  const shape = turnedShape(size, turn), geometry = turnedGeometry(world, size, turn), affine = toAffine(geometry);
  const label = new Uint8Array(sizeOf(shape));
  for (let i = 0, at = 0; i < shape[0]; i++) {
    for (let j = 0; j < shape[1]; j++) {
      for (let k = 0; k < shape[2]; k++, at++) {
        const place = affine.map(([a, b, c, offset]) => a * i + b * j + c * k + offset);
        centers.forEach((center, c) => {
          if (Math.hypot(...place.map((x, axis) => x - center[axis])) < 9) label[at] = c + 1;
        });
      }
    }
  }
  const image = (c: number) =>
    Float32Array.from(
      label,
      (value) => 100 * Number(value === 1) + 60 * Number(value === 2) * (c ? -1 : 1) + 20 * random(),
    );
  const place = { shape, geometry };
  return {
    images: Array.from({ length: channels }, (_, c) => encodeNiftiMask(image(c), place)),
    label: encodeNiftiMask(label, place),
  };
}

/** The grids that the phantoms take in turn: anisotropic, no two alike. */
const GRIDS: PhantomGrid[] = [
  { spacing: [1.5, 1.5, 2], orientation: "LPS" },
  { spacing: [1.5, 1.5, 2], orientation: "LPS" },
  { spacing: [1.6, 1.6, 1.5], orientation: "RAS" },
  { spacing: [2, 1.5, 1.5], orientation: "ASL" },
];

/** Writes phantoms in nnU-Net's layout; those behind `labeled` have no label. */
export async function writeOwnPhantoms(
  raw: string,
  { count = 8, labeled = 6, channels = 1, test = 0 }: {
    count?: number;
    labeled?: number;
    channels?: number;
    test?: number;
  } = {},
): Promise<void> {
  for (const folder of ["imagesTr", "labelsTr", "imagesTs", "labelsTs"]) {
    await Deno.mkdir(`${raw}/${folder}`, { recursive: true });
  }
  for (let i = 0; i < count + test; i++) {
    const name = `case${i}`, part = i < count ? "Tr" : "Ts";
    const { images, label } = ownPhantom(name, { ...GRIDS[i % GRIDS.length], channels });
    for (const [c, bytes] of images.entries()) {
      await Deno.writeFile(`${raw}/images${part}/${name}_000${c}.nii.gz`, bytes);
    }
    if (i < labeled || i >= count) await Deno.writeFile(`${raw}/labels${part}/${name}.nii.gz`, label);
  }
  await writeDescription(raw, { channels, numTraining: labeled });
}

/** Writes the phantoms' `dataset.json`, with what is changed in it. */
export function writeDescription(
  raw: string,
  { channels = 1, ...changes }: { channels?: number; [key: string]: unknown } = {},
): Promise<void> {
  const channel_names = Object.fromEntries(Array.from({ length: channels }, (_, c) => [c, c ? "T2" : "CT"]));
  const labels = { background: 0, left: 1, right: 2 };
  return Deno.writeTextFile(
    `${raw}/dataset.json`,
    JSON.stringify({ channel_names, labels, file_ending: ".nii.gz", ...changes }),
  );
}
