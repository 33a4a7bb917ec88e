/**
 * Phantoms of left atria: a bright, irregular blob with four appendages (veins) in textured, noisy surroundings.
 * @module
 */
import { permutation, stream } from "../../arrays/random.ts";
import { writeArrays } from "../../files/hdf5.ts";
import { numbered, type PhantomSet } from "../dataset.ts";
import type { Shape3 } from "../../arrays/shape.ts";
import { normalize } from "../../arrays/intensity.ts";

/**
 * A phantom, normalized to zero mean and unit standard deviation; Z fastest. The same seed and name give the same bits.
 */
export function phantom(seed: number, name: string, shape: Shape3): { image: Float32Array; label: Uint8Array } {
  const random = stream(seed, `phantom ${name}`), between = (a: number, b: number) => a + (b - a) * random();
  const gauss = () => random() + random() + random() + random() - 2;
  const [nx, ny, nz] = shape;
  const center = shape.map((n) => n * between(0.42, 0.58)), radius = shape.map((n) => n * between(0.17, 0.24));
  const waves = Array.from({ length: 4 }, () => [between(1, 3), between(1, 3), between(0, 6.3), between(0.04, 0.1)]);
  // Four veins leave the blob in the plane, one for each quadrant, in random order of thickness.
  const veins = permutation(4, random).map((rank, k) => {
    const angle = (k + between(0.3, 0.7)) * Math.PI / 2;
    return { x: Math.cos(angle), y: Math.sin(angle), z: between(-0.2, 0.2), width: 0.18 + 0.03 * rank };
  });
  // Texture: a few plane waves, as neighboring organs are neither flat nor noise.
  const texture = Array.from(
    { length: 6 },
    () => [gauss(), gauss(), gauss()].map((v) => v * 0.25).concat(between(0, 6.3)),
  );
  const image = new Float32Array(nx * ny * nz), label = new Uint8Array(image.length);
  for (let x = 0, i = 0; x < nx; x++) {
    for (let y = 0; y < ny; y++) {
      for (let z = 0; z < nz; z++, i++) {
        const [u, v, w] = [(x - center[0]) / radius[0], (y - center[1]) / radius[1], (z - center[2]) / radius[2]];
        const r = Math.hypot(u, v, w), theta = Math.atan2(v, u), phi = w / (r + 1e-6);
        let edge = 1;
        for (const [a, b, phase, height] of waves) edge += height * Math.sin(Math.round(a) * theta + b * phi + phase);
        let inside = r < edge;
        for (const { x: dx, y: dy, z: dz, width } of veins) {
          const along = u * dx + v * dy + w * dz;
          inside ||= along > 0 && along < 1.6 && Math.hypot(u - along * dx, v - along * dy, w - along * dz) < width;
        }
        label[i] = Number(inside);
        let value = inside ? 1 : 0;
        for (const [a, b, c, phase] of texture) value += 0.12 * Math.sin(a * x + b * y + c * z + phase);
        image[i] = value + 0.25 * gauss();
      }
    }
  }
  return { image: normalize(image), label };
}

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
