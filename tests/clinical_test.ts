/** Volumes, ejection fractions and their agreement, each in closed form; eval:acdc as a user runs it. */
import assert from "node:assert/strict";
import { BARE_CASE, type Case, readCase, writeCase } from "../pipeline/records/case.ts";
import { readNifti } from "../pipeline/files/nifti.ts";
import { fingerprintOf } from "../pipeline/datasets/prepared_case.ts";
import { ACDC } from "../pipeline/datasets/acdc/profile.ts";
import { agreementOf, clinicalAgreement, patientValues } from "../pipeline/evaluation/clinical.ts";
import { scoreCase } from "../pipeline/evaluation/evaluate_case.ts";
import { patientRows, summarize } from "../pipeline/evaluation/summary.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { readRuns } from "../pipeline/report/runs.ts";
import { writeCheckpoint } from "../pipeline/training/checkpoint.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { startState } from "../pipeline/training/training_step.ts";
import { heart } from "./report_fixture.ts";
import { CLINICAL_NAMES, type ResultRow } from "../pipeline/records/evaluation.ts";
import { type Manifest, writeManifest } from "../pipeline/records/manifest.ts";
import { writeRunConfig } from "../pipeline/records/run.ts";
import { runConfig } from "./run_config.ts";
import { runTaskFile } from "./in_process.ts";

const CLASSES = ["right ventricle", "myocardium", "left ventricle"];

/** So many voxels of each class, one after the other, in 100. */
function mask(rv: number, myocardium: number, lv: number): Uint8Array {
  return Uint8Array.from(
    { length: 100 },
    (_, i) => i < rv ? 1 : i < rv + myocardium ? 2 : i < rv + myocardium + lv ? 3 : 0,
  );
}

type Counts = [rv: number, myocardium: number, lv: number];
interface Frame {
  patient?: string;
  phase: "ED" | "ES";
  reference: Counts;
  predicted?: Counts;
  spacing?: [number, number, number] | null;
}

function rowsOf({ patient = "p", phase, reference, predicted = reference, spacing = [10, 2, 1] }: Frame): ResultRow[] {
  const one: Case = {
    ...BARE_CASE,
    ...{ name: `${patient}_${phase}`, patient, phase, axes: "ZYX", shape: [4, 5, 5], preparation: "as published" },
    ...{ image: new Float32Array(100), label: mask(...reference) },
    geometry: spacing && { spacing, origin: [0, 0, 0], direction: [0, 0, 1, 0, 1, 0, 1, 0, 0] },
  };
  return scoreCase(mask(...predicted), one, { classNames: CLASSES, seconds: 1 });
}

/** Equal up to rounding. */
function assertClose(found: number | null, wanted: number) {
  assert.ok(found !== null && Math.abs(found - wanted) < 1e-9, `${found} instead of ${wanted}`);
}

Deno.test("a row's milliliters are its voxels times the spacings over 1000; without a spacing there are none", () => {
  const rows = rowsOf({ phase: "ED", reference: [10, 20, 30], predicted: [11, 22, 33], spacing: [10, 1.5, 1.5] });
  for (const [i, [predicted, reference]] of [[11, 10], [22, 20], [33, 30]].entries()) {
    assertClose(rows[i].milliliters!.predicted, predicted * 0.0225);
    assertClose(rows[i].milliliters!.reference, reference * 0.0225);
  }
  assert.ok(rows.every((row) => row.patient === "p" && row.phase === "ED"));
  assert.equal(rowsOf({ phase: "ED", reference: [1, 1, 1], spacing: null })[0].milliliters, null);
});

Deno.test("EF is 100 (EDV - ESV) / EDV, mass 1.05 g/ml of the myocardium at ED, errors are predicted - reference", () => {
  const [{ patient, frames, values }, ...others] = patientValues([
    ...rowsOf({ phase: "ES", reference: [20, 26, 10], predicted: [24, 25, 15] }),
    ...rowsOf({ phase: "ED", reference: [40, 20, 30], predicted: [30, 30, 40] }),
  ]);
  assert.deepEqual([patient, frames, others], ["p", { ED: "p_ED", ES: "p_ES" }, []]);
  const wanted = { // voxels of 0.02 ml
    "LV EDV": [0.8, 0.6],
    "LV ESV": [0.3, 0.2],
    "LV EF": [62.5, 200 / 3],
    "RV EDV": [0.6, 0.8],
    "RV ESV": [0.48, 0.4],
    "RV EF": [20, 50],
    "LV mass": [1.05 * 0.6, 1.05 * 0.4],
  };
  for (const name of CLINICAL_NAMES) {
    const [predicted, reference] = wanted[name];
    assertClose(values[name].predicted, predicted);
    assertClose(values[name].reference, reference);
    assertClose(values[name].error, predicted - reference);
  }
});

Deno.test("an ejection fraction does not depend on the spacing that both frames share, nor needs it", () => {
  const fraction = (ed: Frame["spacing"], es: Frame["spacing"]) =>
    patientValues([
      ...rowsOf({ phase: "ED", reference: [40, 20, 30], spacing: ed }),
      ...rowsOf({ phase: "ES", reference: [20, 26, 12], spacing: es }),
    ])[0].values["LV EF"].reference;
  assertClose(fraction([10, 1.5, 1.5], [10, 1.5, 1.5]), 60);
  assertClose(fraction([5, 0.8, 0.9], [5, 0.8, 0.9]), 60);
  assertClose(fraction(null, null), 60);
  assertClose(fraction([10, 1, 1], [5, 1, 1]), 80);
  assert.equal(fraction([10, 1, 1], null), null);
});

Deno.test("what cannot be measured is null: a missing frame, an empty ventricle at ED, an unknown spacing", () => {
  const empty = patientValues([
    ...rowsOf({ phase: "ED", reference: [40, 20, 30], predicted: [0, 0, 0] }),
    ...rowsOf({ phase: "ES", reference: [20, 26, 12], predicted: [0, 0, 0] }),
  ])[0].values;
  assert.deepEqual(empty["LV EF"], { predicted: null, reference: 60, error: null });
  assertClose(empty["LV EDV"].error, -0.6);
  const [{ frames, values }] = patientValues(rowsOf({ phase: "ED", reference: [40, 20, 30] }));
  const nothing = { predicted: null, reference: null, error: null };
  assert.deepEqual([frames.ES, values["LV ESV"], values["LV EF"]], [null, nothing, nothing]);
  const [bare] = patientValues(rowsOf({ phase: "ED", reference: [40, 20, 30], spacing: null }));
  assert.deepEqual([bare.values["LV EDV"], bare.values["LV mass"]], [nothing, nothing]);
  const unnamed = rowsOf({ phase: "ED", reference: [1, 1, 1] }).map((row) => ({ ...row, patient: null }));
  assert.deepEqual([patientValues(unnamed), clinicalAgreement([])], [[], null]);
});

Deno.test("bias, limits of agreement and mean absolute error over the patients that have an error", () => {
  const { limits, ...rest } = agreementOf([-6, null, 2, 1], "ml");
  // Mean -1, squared distances 25 + 9 + 4 = 38, over 2: standard deviation √19.
  assert.deepEqual(rest, { unit: "ml", bias: -1, standardDeviation: Math.sqrt(19), meanAbsolute: 3, patients: 3 });
  assertClose(limits![0], -1 - 1.96 * Math.sqrt(19));
  assertClose(limits![1], -1 + 1.96 * Math.sqrt(19));
  assert.deepEqual(agreementOf([2], "%"), {
    ...{ unit: "%", bias: 2, standardDeviation: null, limits: null, meanAbsolute: 2, patients: 1 },
  });
  assert.deepEqual(agreementOf([null], "g"), {
    ...{ unit: "g", bias: null, standardDeviation: null, limits: null, meanAbsolute: null, patients: 0 },
  });
  const agreement = clinicalAgreement(patientValues([
    ...rowsOf({ patient: "a", phase: "ED", reference: [10, 10, 10], predicted: [10, 10, 20] }),
    ...rowsOf({ patient: "b", phase: "ED", reference: [10, 10, 30], predicted: [10, 10, 20] }),
  ]))!;
  assertClose(agreement["LV EDV"].bias, 0);
  assertClose(agreement["LV EDV"].meanAbsolute, 0.2);
  assertClose(agreement["LV EDV"].limits![1], 1.96 * 0.2 * Math.SQRT2);
  assert.deepEqual([agreement["LV EDV"].patients, agreement["LV EF"].patients], [2, 0]);
});

Deno.test("by patient, frames are averaged first: two frames of one heart count once, a distance over those that have one", () => {
  const rows = [
    ...rowsOf({ patient: "a", phase: "ED", reference: [10, 10, 10] }),
    ...rowsOf({ patient: "a", phase: "ES", reference: [10, 10, 10], predicted: [10, 10, 0] }),
    ...rowsOf({ patient: "b", phase: "ED", reference: [10, 10, 10], predicted: [10, 10, 0] }),
  ];
  const own = patientRows(rows);
  assert.deepEqual(own.map((row) => [row.case, row.class, row.honest.dice]), [
    ...CLASSES.map((name, k) => ["a", name, k < 2 ? 1 : 0.5]),
    ...CLASSES.map((name, k) => ["b", name, k < 2 ? 1 : 0]),
  ]);
  assert.deepEqual([own[2].honest.hd95, own[2].millimeters!.hd95, own[5].honest.hd95], [0, 0, null]);
  const { honest, published } = summarize(own);
  assert.deepEqual(honest["left ventricle"].dice, { mean: 0.25, standardDeviation: Math.sqrt(0.125), cases: 2 });
  assert.deepEqual(honest["left ventricle"].hd95, { mean: 0, standardDeviation: null, cases: 1 });
  assertClose(published.mean.dice.mean, (2.5 / 3 + 2 / 3) / 2);
  assertClose(summarize(rows).honest["left ventricle"].dice.mean, 1 / 3);
});

Deno.test("eval:acdc takes the best checkpoint and writes masks in the files' order, patients and what report reads", async () => {
  const folder = await Deno.makeTempDir(), cases = `${folder}/cases`, run = `${folder}/run`;
  const evaluate = (...more: string[]) =>
    runTaskFile("evaluate", ["acdc", "--run", run, "--batch-norm", "window", ...more], {
      rights: ["--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${folder}`],
    });
  try {
    for (const path of [cases, run]) await Deno.mkdir(path);
    const all = ["a", "b", "c"].flatMap((patient) => heart(patient, { shape: [40, 32, 3], spacing: [1.5, 1.5, 10] }));
    const source = { file: "phantom", sha256: "0" }, fingerprints: Manifest["cases"] = {};
    for (const one of all) {
      await writeCase(`${cases}/${one.name}.h5`, one, source);
      fingerprints[one.name] = fingerprintOf(one, one, { sources: [source], classes: 4 });
    }
    await writeManifest(cases, { dataset: "acdc", options: {}, cases: fingerprints });
    const of = (...patients: string[]) =>
      all.filter(({ patient }) => patients.includes(patient!)).map(({ name }) => name);
    const split = {
      profile: "acdc",
      source: "by hand",
      labeled: of("a"),
      unlabeled: [],
      validation: [],
      test: of("b", "c"),
    };
    await writeRunConfig(run, runConfig({ patch: [32, 32], cases, split }));
    const without = await evaluate();
    assert.deepEqual([without.code, /no best.safetensors.*--checkpoint last/.test(without.error)], [3, true]);
    const method = createMethod(METHODS.supervised, ACDC);
    openTensorFlow();
    await writeCheckpoint(`${run}/best.safetensors`, method.spec, startState(method, stream(1, "weights")), 5);

    const { code, out, error } = await evaluate();
    assert.equal(code, 0, error);
    assert.match(out, /^b_frame01 {2}right ventricle {2}Dice .* nominal mm/m);
    assert.match(out, /^LV EDV {2}bias -?[\d.]+, limits .* nominal ml, 2 patients$/m);
    assert.match(out, /over 4 cases of 2 patients, .*evaluation-window-best\/metrics.json$/m);
    const [{ evaluations: [{ metrics }] }] = await readRuns([run], METHODS);
    assert.deepEqual([metrics.checkpoint, metrics.iteration, metrics.nominalSpacing], ["best", 5, true]);
    assert.deepEqual(metrics.split, {
      ...{ source: "by hand", labeled: 2, unlabeled: 0, validation: 0, test: 4 },
      patients: { labeled: 1, unlabeled: 0, validation: 0, test: 2 },
    });
    assert.deepEqual(metrics.patients.map(({ patient, frames }) => [patient, frames.ED, frames.ES]), [
      ["b", "b_frame01", "b_frame10"],
      ["c", "c_frame01", "c_frame10"],
    ]);
    const lv = metrics.rows.filter((row) => row.patient === "b" && row.class === "left ventricle");
    const [ed, es] = lv.map(({ referenceVoxels }) => referenceVoxels);
    assertClose(metrics.patients[0].values["LV EF"].reference, 100 * (ed - es) / ed);
    assertClose(metrics.patients[0].values["LV EDV"].reference, ed * 0.0225);
    // The mask is read in the order of its case: right voxels are then those that the row counts.
    const mask = await readNifti(`${run}/evaluation-window-best/b_frame01.nii.gz`, { axes: "ZYX" });
    const { label, shape, geometry } = await readCase(`${cases}/b_frame01.h5`, "b_frame01");
    assert.deepEqual([mask.shape, mask.geometry], [shape, geometry]);
    for (const [k, name] of CLASSES.entries()) {
      const { voxels, referenceVoxels, honest } = metrics.rows.find((row) =>
        row.case === "b_frame01" && row.class === name
      )!;
      const both = mask.data.reduce((sum, value, i) => sum + Number(value === k + 1 && label![i] === k + 1), 0);
      assert.equal(mask.data.filter((value) => value === k + 1).length, voxels);
      assertClose(honest.dice, 2 * both / (voxels + referenceVoxels));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
