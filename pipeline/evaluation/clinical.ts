/**
 * What a cardiologist asks of a segmented heart: volumes of the ventricles at the end of diastole (ED) and of systole
 * (ES), ejection fractions, myocardial mass; patient by patient, and how well prediction and reference agree over the
 * patients. Volumes are the voxels of the mask times the volume of a voxel, with nothing added between the slices.
 * @module
 */
import { type ResultRow, spread } from "./summary.ts";

/** The quantities with their units, in the order in which they are reported. */
export const CLINICAL_UNITS = {
  "LV EDV": "ml",
  "LV ESV": "ml",
  "LV EF": "%",
  "RV EDV": "ml",
  "RV ESV": "ml",
  "RV EF": "%",
  "LV mass": "g",
} as const;
/** Left (LV) or right ventricle (RV): its volume at ED (EDV), at ES (ESV), its ejection fraction (EF); mass of the left one. */
export type ClinicalName = keyof typeof CLINICAL_UNITS;
/** All of them. */
export const CLINICAL_NAMES = Object.keys(CLINICAL_UNITS) as ClinicalName[];

/** Of myocardium, gram a milliliter. */
const DENSITY = 1.05;

/** One quantity of one patient; null: does not exist. */
export interface ClinicalValue {
  /** From the predicted masks. */
  predicted: number | null;
  /** From the reference's masks. */
  reference: number | null;
  /** `predicted - reference`; of an ejection fraction in percentage points. */
  error: number | null;
}

/** All quantities of one patient. */
export interface PatientValues {
  /** Name. */
  patient: string;
  /** Names of the cases they come from; null: that frame is not among the rows. */
  frames: Record<"ED" | "ES", string | null>;
  /** By quantity. */
  values: Record<ClinicalName, ClinicalValue>;
}

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

/** How far predictions lie off, over patients. */
export interface Agreement {
  /** Of all numbers here; "%" are percentage points. */
  unit: "ml" | "%" | "g";
  /** Mean error; null where no patient has one. */
  bias: number | null;
  /** Sample deviation of the errors (N - 1 in the denominator); null for fewer than two patients. */
  deviation: number | null;
  /** Limits of agreement, `bias ± 1.96 deviation`, the lower one first; null for fewer than two patients. */
  limits: [number, number] | null;
  /** Mean absolute error; null where no patient has one. */
  meanAbsolute: number | null;
  /** How many patients have an error. */
  patients: number;
}

/**
 * Agreement of predictions with references by quantity, as Bland and Altman (Lancet 1986) report it.
 *
 * @example Errors of 2 and 4: bias 3, sample deviation √2
 * ```ts
 * import assert from "node:assert/strict";
 * import { agreementOf } from "@ssnet/pipeline";
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
  const { mean: bias, deviation, cases: patients } = spread(errors);
  return {
    unit,
    bias,
    deviation,
    limits: deviation === null ? null : [bias! - 1.96 * deviation, bias! + 1.96 * deviation],
    meanAbsolute: spread(errors.map((error) => error && Math.abs(error))).mean,
    patients,
  };
}

/** {@linkcode agreementOf} every quantity over the patients; null without patients. */
export function clinicalAgreement(patients: readonly PatientValues[]): Record<ClinicalName, Agreement> | null {
  if (!patients.length) return null;
  const of = (name: ClinicalName) =>
    agreementOf(patients.map(({ values }) => values[name].error), CLINICAL_UNITS[name]);
  return Object.fromEntries(CLINICAL_NAMES.map((name) => [name, of(name)])) as Record<ClinicalName, Agreement>;
}
