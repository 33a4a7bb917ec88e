/**
 * Phantoms of beating hearts: a ring around a disc and a crescent beside it, in two frames between which they contract.
 * @module
 */
import type { Geometry } from "../../arrays/geometry.ts";
import { writeNiftiMask } from "../../files/nifti.ts";
import { stream } from "../../arrays/random.ts";
import { numbered, type PhantomSet } from "../dataset.ts";
import type { Shape3 } from "../../arrays/shape.ts";
import { minMax } from "../../arrays/intensity.ts";

/** One frame of a cine phantom. */
export interface PhantomFrame {
  /** Min–max to [0, 1] over the volume. */
  image: Float32Array;
  /** 1 right ventricle, 2 myocardium, 3 left ventricle. */
  label: Uint8Array;
}

/**
 * A beating heart at its widest (ED) and its narrowest (ES): left ventricle a bright disc, myocardium a dark ring around
 * it that thickens as it contracts, right ventricle a bright crescent at its side; all taper from base to apex.
 * The same seed and name give the same bits.
 *
 * @param shape `[Z, Y, X]`, X fastest, as the field's ACDC files; base first.
 */
export function cinePhantom(
  seed: number,
  name: string,
  [nz, ny, nx]: Shape3,
): { ED: PhantomFrame; ES: PhantomFrame } {
  const random = stream(seed, `cine phantom ${name}`), between = (a: number, b: number) => a + (b - a) * random();
  const gauss = () => random() + random() + random() + random() - 2;
  const side = Math.min(ny, nx);
  const center = { y: ny * between(0.45, 0.55), x: nx * between(0.5, 0.6) };
  const drift = { y: side * between(-0.04, 0.04), x: side * between(-0.04, 0.04) };
  const cavity = side * between(0.13, 0.17), wall = side * between(0.05, 0.065), contraction = between(0.6, 0.75);
  const rightward = Math.PI + between(-0.5, 0.5); // where the right ventricle lies
  const lobes = Array.from(
    { length: 2 },
    (_, k) => ({ count: k + 2, height: between(0, 0.06), phase: between(0, 6.3) }),
  );
  const texture = Array.from({ length: 8 }, () => ({ y: 0.2 * gauss(), x: 0.2 * gauss(), phase: between(0, 6.3) }));

  const frame = (inner: number, thickness: number): PhantomFrame => {
    const image = new Float32Array(nz * ny * nx), label = new Uint8Array(image.length);
    for (let z = 0, i = 0; z < nz; z++) {
      const depth = nz > 1 ? z / (nz - 1) : 0, taper = 1 - 0.45 * depth;
      const cy = center.y + drift.y * depth, cx = center.x + drift.x * depth;
      for (let y = 0; y < ny; y++) {
        for (let x = 0; x < nx; x++, i++) {
          const dy = y - cy, dx = x - cx, theta = Math.atan2(dy, dx);
          const edge = lobes.reduce(
            (sum, { count, height, phase }) => sum + height * Math.sin(count * theta + phase),
            1,
          );
          const r = Math.hypot(dy, dx) / (taper * edge), outer = inner + thickness;
          // The crescent: a disc at the side, where the ring does not cover it.
          const away = outer * taper, sideY = dy - away * Math.sin(rightward), sideX = dx - away * Math.cos(rightward);
          const inCrescent = Math.hypot(sideY, sideX) < taper * outer * 0.85;
          label[i] = r < inner ? 3 : r < outer ? 2 : inCrescent ? 1 : 0;
          let value = [0.45, 0.95, 0.25, 1][label[i]];
          const strength = label[i] ? 0.02 : 0.08;
          for (const wave of texture) value += strength * Math.sin(wave.y * y + wave.x * x + wave.phase);
          image[i] = value + 0.08 * gauss();
        }
      }
    }
    return { image: minMax(image), label };
  };
  const ED = frame(cavity, wall);
  return { ED, ES: frame(cavity * contraction, wall * 1.3) };
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
