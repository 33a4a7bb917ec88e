/** Run folders for the tests of the report: phantoms, masks that miss them by a known measure, and a log. */
import { BARE_CASE } from "../pipeline/data/cases.ts";
import type { Geometry } from "../pipeline/data/geometry.ts";
import { writeArrays } from "../pipeline/data/hdf5.ts";
import { writeNiftiMask } from "../pipeline/data/nifti.ts";
import { phantom } from "../pipeline/data/phantom.ts";
import { scoreCase } from "../pipeline/evaluation/evaluate_case.ts";
import { type ResultRow, summarize } from "../pipeline/evaluation/summary.ts";
import { writeJson } from "../pipeline/runs/files.ts";
import { stream } from "../pipeline/runs/random.ts";
import { consistencyWeight, stepRate } from "../pipeline/runs/schedule.ts";

type Shape3 = [number, number, number];

/** Writes `config.json` and `metrics.jsonl` of a training of `iterations`; SS-Net's after `warmup` of them. */
export async function writeRun(folder: string, { method = "ssnet", dataset = "la", iterations = 300, warmup = 100 }) {
  await Deno.mkdir(folder, { recursive: true });
  await writeJson(`${folder}/config.json`, {
    ...{ dataset, method, preset: "fast", iterations, warmup, precision: "bf16", seed: 1337, patch: "48x48x32" },
    ...{ threads: 2, computedOn: "cpu", versions: { deno: "2.9.6", tensorflow: "2.21.0" } },
  });
  const random = stream(7, method), noise = () => 0.9 + 0.2 * random();
  const rows = Array.from({ length: iterations }, (_, i) => {
    const iteration = i + 1,
      half = 0.1 + 0.9 * Math.exp(-i / 60),
      weight = consistencyWeight(iteration * 50, {
        maximum: 1,
        length: 40,
      });
    const unlabeled = method === "ssnet" && iteration > warmup;
    return {
      ...{ iteration, total: half * noise(), dice: half * noise(), cross_entropy: 0.7 * half * noise() },
      ...(unlabeled && {
        ...{ smoothness: 0.2 * noise() * half, separation_labeled: noise(), separation_unlabeled: 0.8 * noise() },
      }),
      ...{ consistency_weight: unlabeled ? weight : 0, rate: stepRate(iteration, { base: 0.01, every: 100 }) },
      seconds: 2,
    };
  });
  await Deno.writeTextFile(`${folder}/metrics.jsonl`, rows.map((row) => JSON.stringify(row) + "\n").join(""));
}

/** One case of an evaluation: how far its mask lies off, in voxels along X; null for an empty mask. */
export interface FixtureCase {
  name: string;
  shift: number | null;
}

/**
 * Writes cases and an evaluation of them into a run folder.
 * @param millimeters Width of a voxel; null where it is not known.
 */
export async function writeEvaluation(
  run: string,
  {
    name = "window",
    method = "ssnet",
    cases,
    folder,
    shape = [48, 44, 24],
    labeled = 8,
    millimeters = null,
    classes = ["left atrium"],
  }: {
    name?: string;
    method?: string;
    cases: FixtureCase[];
    folder: string;
    shape?: Shape3;
    labeled?: number;
    millimeters?: number | null;
    classes?: string[];
  },
) {
  const out = `${run}/evaluation-${name}`, [nx, ny, nz] = shape, rows: ResultRow[] = [];
  const geometry: Geometry | null = millimeters === null ? null : {
    ...{ spacing: [millimeters, millimeters, millimeters], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
  };
  await Deno.mkdir(out, { recursive: true });
  await Deno.mkdir(folder, { recursive: true });
  for (const { name, shift } of cases) {
    const { image, label: whole } = phantom(5, name, shape);
    // Several classes are slabs of the phantom along Z.
    const label = whole.map((v, i) => v && 1 + Math.floor((i % nz) * classes.length / nz));
    const mask = new Uint8Array(label.length);
    if (shift !== null) {
      for (let i = 0; i < mask.length; i++) {
        const x = Math.floor(i / (ny * nz)) - shift;
        if (x >= 0 && x < nx) mask[i] = label[i - shift * ny * nz];
      }
    }
    await writeArrays(`${folder}/${name}.h5`, { image: { data: image, shape }, label: { data: label, shape } });
    await writeNiftiMask(`${out}/${name}.nii.gz`, mask, { shape, geometry });
    const one = { ...BARE_CASE, name, shape, image, label, geometry, preparation: "as published" };
    rows.push(...scoreCase(mask, one, { classNames: classes, seconds: 1.5 }));
  }
  await writeJson(`${out}/metrics.json`, {
    ...{ dataset: classes.length > 1 ? "acdc" : "la", method, checkpoint: "last", iteration: 300 },
    ...{ batchNorm: name, precision: "bf16", patch: [48, 48, 32], stride: [12, 12, 8], largestComponent: true },
    ...{ preparations: ["as published"], nominalSpacing: classes.length > 1 },
    split: { source: "published lists", labeled, unlabeled: 22, validation: 0, test: cases.length },
    ...{ cases: folder, seconds: 10, versions: { deno: "2.9.6", tensorflow: "2.21.0" }, classes, rows },
    summary: summarize(rows),
  });
}
