/** Run folders for the tests of the report: phantoms, masks that miss them by a known measure, and logs. */
import { BARE_CASE, type Case, onSource, writeCase } from "../pipeline/records/case.ts";
import { fingerprintOf } from "../pipeline/datasets/prepared_case.ts";
import { type Geometry, reverseAxes } from "../pipeline/arrays/geometry.ts";
import { writeNiftiMask } from "../pipeline/files/nifti.ts";
import { cinePhantom } from "../pipeline/datasets/acdc/phantom.ts";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { clinicalAgreement, patientValues, volumeAgreement } from "../pipeline/evaluation/clinical.ts";
import { scoreCase } from "../pipeline/evaluation/evaluate_case.ts";
import { patientRows, summarize } from "../pipeline/evaluation/summary.ts";
import { type LogRow, openLog } from "../pipeline/files/log.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { stepRate } from "../pipeline/training/schedule.ts";
import { consistencyWeight } from "../pipeline/losses/ramps.ts";
import { type Manifest, readManifest, writeManifest } from "../pipeline/records/manifest.ts";
import { type Counts, type ResultRow, writeMetrics } from "../pipeline/records/evaluation.ts";
import { writeRunConfig } from "../pipeline/records/run.ts";
import { runConfig } from "./run_config.ts";

type Shape3 = [number, number, number];

/**
 * Writes `config.json` and `metrics.jsonl` of a training of `iterations`, SS-Net's after `warmup` of them; of ACDC also
 * `validation.jsonl`, the best at its last but one row.
 * @param given As {@linkcode runConfig} has it; what it lacks is as in a short training of SS-Net.
 */
export async function writeRun(
  folder: string,
  { dataset = "la", ...given }: { dataset?: string } & Partial<Parameters<typeof runConfig>[0]> = {},
) {
  const { method = "ssnet", iterations = 300 } = given, warmup = method === "supervised" ? 0 : given.warmup ?? 100;
  await Deno.mkdir(folder, { recursive: true });
  const config = runConfig({
    ...{ seed: 1337, precision: "bf16", validateEvery: 20, computedOn: "cpu" },
    patch: DATASETS[dataset].patch.map((_, axis) => axis === 2 ? 32 : 48),
    split: { profile: dataset, source: "test", labeled: ["a"], unlabeled: [], validation: [], test: [] },
    ...given,
    ...{ method, iterations, warmup },
  });
  await writeRunConfig(folder, config);
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
      ...{ consistency_weight: unlabeled ? weight : 0, learning_rate: stepRate(iteration, { base: 0.01, every: 100 }) },
      seconds: 2,
    };
  });
  await writeLog(`${folder}/metrics.jsonl`, rows);
  if (dataset !== "acdc") return;
  const validations = Math.floor(iterations / 20);
  const validated = Array.from({ length: validations }, (_, i) => {
    const dice = 0.88 * (1 - Math.exp(-(i + 1) / 4)) - (i === validations - 1 ? 0.02 : 0);
    return { iteration: 20 * (i + 1), dice };
  });
  await writeLog(`${folder}/validation.jsonl`, validated);
}

async function writeLog(path: string, rows: LogRow[]) {
  using log = await openLog(path, 0);
  rows.forEach(log.write);
}

/** One case of an evaluation: how far its mask lies off, in voxels along X; null for an empty mask. Of ACDC: a patient. */
export interface FixtureCase {
  name: string;
  shift: number | null;
}

/**
 * Writes cases and an evaluation of them into a run folder. Of ACDC each patient has two frames, 01 (ED) and 10 (ES), and
 * its predicted left ventricle is what either of label and shifted label call so: too large.
 * @param spacing Millimeters along X, Y, Z; null where it is not known; nominal for ACDC.
 */
export async function writeEvaluation(
  run: string,
  { name = "window", dataset = "la", method = "ssnet", cases, folder, shape, labeled, spacing = null }: {
    name?: string;
    dataset?: string;
    method?: string;
    cases: FixtureCase[];
    folder: string;
    /** X, Y, Z. */
    shape?: Shape3;
    /** Labeled cases; of ACDC patients. */
    labeled?: number;
    spacing?: Shape3 | null;
  },
) {
  const out = `${run}/evaluation-${name}`, classes = DATASETS[dataset].classNames, rows: ResultRow[] = [];
  await Deno.mkdir(out, { recursive: true });
  await Deno.mkdir(folder, { recursive: true });
  const known: Manifest["cases"] = { ...await readManifest(folder).then(({ cases }) => cases, () => ({})) }; // other evaluations' cases
  for (const { name, shift } of cases) {
    const frames = dataset === "la"
      ? [leftAtrium(name, { shape: shape ?? [48, 44, 24], spacing })]
      : heart(name, { shape: shape ?? [72, 64, 6], spacing });
    for (const one of frames) {
      const mask = shifted(one, shift);
      const source = { file: "phantom", sha256: "" };
      await writeCase(`${folder}/${one.name}.h5`, one, source);
      known[one.name] = fingerprintOf(one, one, { sources: [source], classes: classes.length + 1 });
      const whole = onSource(mask, one);
      await writeNiftiMask(`${out}/${one.name}.nii.gz`, whole.mask, whole.place);
      rows.push(...scoreCase(mask, one, { classNames: classes, seconds: 1.5 }));
    }
  }
  await writeManifest(folder, { dataset, options: {}, cases: known });
  const patients = patientValues(rows), of = dataset === "la" ? 1 : 2;
  const counts = {
    ...(dataset === "la"
      ? { labeled: labeled ?? 8, unlabeled: 22, validation: 0 }
      : { labeled: labeled ?? 7, unlabeled: 21, validation: 4 }),
    test: cases.length,
  };
  await writeMetrics(out, {
    ...{ tolerance: null, skippedSteps: 0 },
    ...{ dataset, method, checkpoint: name.endsWith("-best") ? "best" : "last", iteration: 300 },
    ...{
      batchNorm: name.replace("-best", ""),
      precision: "bf16",
      ...{ overlap: null, mirror: false, components: DATASETS[dataset].components, componentsChoice: null },
    },
    ...(dataset === "la" ? { patch: [48, 48, 32], stride: [12, 12, 8] } : { patch: [64, 64], stride: null }),
    ...{ preparations: ["as published"], trainingPreparations: [], correctedSpacings: [] },
    nominalSpacing: dataset === "acdc" && spacing !== null,
    split: {
      source: "published lists",
      ...Object.fromEntries(Object.entries(counts).map(([role, count]) => [role, of * count])) as Counts,
      patients: dataset === "la" ? null : counts,
    },
    ...{
      cases: folder,
      seconds: 10,
      versions: { deno: "2.9.6", tensorflow: "2.21.0" },
      classes,
      rows,
      otherComponents: [],
    },
    summary: summarize(rows),
    patientSummary: patients.length ? summarize(patientRows(rows)) : null,
    ...{ patients, clinical: clinicalAgreement(patients), volumes: volumeAgreement(rows) },
  });
}

type Labeled = Case & { label: Uint8Array };

function placed(spacing: Shape3 | null): Geometry | null {
  return spacing && { spacing, origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
}

function leftAtrium(name: string, { shape, spacing }: { shape: Shape3; spacing: Shape3 | null }): Labeled {
  return {
    ...BARE_CASE,
    name,
    shape,
    ...phantom(5, name, shape),
    geometry: placed(spacing),
    source: { shape: [shape[0] + 5, shape[1] + 4, shape[2]], first: [3, 1, 0] },
    preparation: "as published",
  };
}

/** Both frames of a patient, 01 (ED) and 10 (ES), `[Z, Y, X]`. @param place `shape` and `spacing` along X, Y, Z. */
export function heart(
  patient: string,
  { shape: [nx, ny, nz], spacing }: { shape: Shape3; spacing: Shape3 | null },
): Labeled[] {
  const frames = cinePhantom(5, patient, [nz, ny, nx]), geometry = placed(spacing);
  return (["ED", "ES"] as const).map((phase): Labeled => ({
    ...BARE_CASE,
    name: `${patient}_frame${phase === "ED" ? "01" : "10"}`,
    ...{ patient, phase, shape: [nz, ny, nx], axes: "ZYX" },
    ...frames[phase],
    geometry: geometry && reverseAxes(geometry),
    nominalSpacing: geometry !== null,
    preparation: "as published",
  }));
}

function shifted({ label, shape, axes, patient }: Labeled, shift: number | null): Uint8Array {
  const mask = new Uint8Array(label.length), [first, ny, last] = shape;
  if (shift === null) return mask;
  const step = axes === "XYZ" ? ny * last : 1, width = axes === "XYZ" ? first : last;
  for (let i = 0; i < mask.length; i++) {
    const x = Math.floor(i / step) % width - shift;
    if (x >= 0 && x < width) mask[i] = label[i - shift * step];
    if (patient && label[i] === 3) mask[i] = 3;
  }
  return mask;
}
