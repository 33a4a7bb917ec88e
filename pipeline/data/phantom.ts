/**
 * LA-like phantoms: a bright, irregular blob with four appendages (veins) in textured, noisy surroundings.
 * ACDC-like phantoms: a ring around a disc and a crescent beside it, in two frames between which they contract.
 * @module
 */
import { permutation, stream } from "../runs/random.ts";
import type { Shape3 } from "./augment.ts";
import { minMax, normalize } from "./preparation.ts";

/** A phantom, normalized to zero mean and unit deviation; Z fastest. The same seed and name give the same bits. */
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
