/**
 * What a cardiologist asks of a segmented heart: volumes of the ventricles at the end of diastole (ED) and of systole
 * (ES), ejection fractions, myocardial mass; patient by patient, and how well prediction and reference agree over the
 * patients. Volumes are the voxels of the mask times the volume of a voxel, with nothing added between the slices.
 * @module
 */
import { spread } from "./summary.ts";
import {
  type Agreement,
  CLINICAL_NAMES,
  CLINICAL_UNITS,
  type ClinicalName,
  type ClinicalValue,
  type PatientValues,
  type ResultRow,
} from "../records/evaluation.ts";

/** The density of myocardium, gram a milliliter. */
const DENSITY = 1.05;

/**
 * Clinical quantities of the patients in the rows: the volume of a class is its voxels times the volume of a voxel,
 * `EF = 100 (EDV - ESV) / EDV`, `mass = 1.05 g/ml · volume of the myocardium at ED`.
 *
 * A volume or mass is null where its frame or the spacing is not known, an ejection fraction where a frame is missing or
 * the volume at ED is 0. An ejection fraction needs no spacing where neither frame has one: both are then taken to share
 * it, and it cancels.
 * @param rows Rows without a patient are left out.
 * @returns In the order of the rows; empty where no row has a patient.
 */
export function patientValues(rows: readonly ResultRow[]): PatientValues[] {
  const patients = Object.groupBy(rows.filter(({ patient }) => patient !== null), ({ patient }) => patient!);
  return Object.entries(patients).map(([patient, own]) => {
    const row = (phase: "ED" | "ES", className: string) =>
      own!.find((one) => one.phase === phase && one.class === className);
    const both = (of: (side: Side) => number | null): ClinicalValue => {
      const predicted = of("predicted"), reference = of("reference");
      return { predicted, reference, error: predicted === null || reference === null ? null : predicted - reference };
    };
    const volume = (phase: "ED" | "ES", name: string) => both((side) => row(phase, name)?.milliliters?.[side] ?? null);
    const fraction = (name: string) => both((side) => ejectionFraction(row("ED", name), row("ES", name), side));
    const frame = (phase: "ED" | "ES") => own!.find((one) => one.phase === phase)?.case ?? null;
    return {
      patient,
      frames: { ED: frame("ED"), ES: frame("ES") },
      values: {
        "LV EDV": volume("ED", "left ventricle"),
        "LV ESV": volume("ES", "left ventricle"),
        "LV EF": fraction("left ventricle"),
        "RV EDV": volume("ED", "right ventricle"),
        "RV ESV": volume("ES", "right ventricle"),
        "RV EF": fraction("right ventricle"),
        "LV mass": both((side) => {
          const milliliters = row("ED", "myocardium")?.milliliters;
          return milliliters ? DENSITY * milliliters[side] : null;
        }),
      },
    };
  });
}

type Side = "predicted" | "reference";

function ejectionFraction(ed: ResultRow | undefined, es: ResultRow | undefined, side: Side): number | null {
  if (!ed || !es || !ed.milliliters !== !es.milliliters) return null;
  const [edv, esv] = [ed, es].map(({ milliliters, voxels, referenceVoxels }) =>
    milliliters ? milliliters[side] : side === "predicted" ? voxels : referenceVoxels
  );
  return edv > 0 ? 100 * (edv - esv) / edv : null;
}

/**
 * Agreement of predictions with references by quantity, as Bland and Altman (Lancet 1986) report it.
 *
 * @example Errors of 2 and 4: bias 3, sample standard deviation √2
 * ```ts
 * import assert from "node:assert/strict";
 * import { agreementOf } from "@ssnet/pipeline/evaluation/clinical.ts";
 *
 * const { bias, limits } = agreementOf([2, 4, null], "ml");
 * assert.equal(bias, 3);
 * assert.deepEqual(limits, [3 - 1.96 * Math.SQRT2, 3 + 1.96 * Math.SQRT2]);
 * ```
 *
 * @param errors One a patient; null: does not exist.
 * @param unit Of the errors.
 */
export function agreementOf(errors: readonly (number | null)[], unit: Agreement["unit"]): Agreement {
  const { mean: bias, standardDeviation, cases: patients } = spread(errors);
  return {
    unit,
    bias,
    standardDeviation,
    limits: standardDeviation === null ? null : [bias! - 1.96 * standardDeviation, bias! + 1.96 * standardDeviation],
    meanAbsolute: spread(errors.map((error) => error && Math.abs(error))).mean,
    patients,
  };
}

/** {@linkcode agreementOf} the volume of every class over the cases, in milliliters; null where no spacing is known. */
export function volumeAgreement(rows: readonly ResultRow[]): Record<string, Agreement> | null {
  if (rows.every(({ milliliters }) => !milliliters)) return null;
  const errors = (own: readonly ResultRow[]) =>
    own.map(({ milliliters }) => milliliters && milliliters.predicted - milliliters.reference);
  return Object.fromEntries(
    [...Map.groupBy(rows, (row) => row.class)].map(([name, own]) => [name, agreementOf(errors(own), "ml")]),
  );
}

/** {@linkcode agreementOf} every quantity over the patients; null where none has any: they are no hearts. */
export function clinicalAgreement(patients: readonly PatientValues[]): Record<ClinicalName, Agreement> | null {
  const isKnown = ({ predicted, reference }: ClinicalValue) => predicted !== null || reference !== null;
  if (!patients.some(({ values }) => Object.values(values).some(isKnown))) return null;
  const of = (name: ClinicalName) =>
    agreementOf(patients.map(({ values }) => values[name].error), CLINICAL_UNITS[name]);
  return Object.fromEntries(CLINICAL_NAMES.map((name) => [name, of(name)])) as Record<ClinicalName, Agreement>;
}
