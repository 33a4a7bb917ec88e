/** One case through the network and against its reference; training calls it for validation, `evaluate` for the test. @module */
import type { Shape3 } from "../data/augment.ts";
import type { Case } from "../data/cases.ts";
import { caseMetrics, type CaseScores } from "./case_metrics.ts";
import { largestComponent } from "./components.ts";
import { slidingWindow, type WindowNetwork } from "./sliding_window.ts";
import type { ResultRow, Scores } from "./summary.ts";

/**
 * Segments a volume with one foreground class by the sliding window: probability above 0.5, then its largest component.
 * @returns Mask `[X, Y, Z]`, Z fastest; all 0 where nothing is above 0.5.
 */
export async function segmentVolume(
  { image, shape }: Pick<Case, "image" | "shape">,
  options: { patch: Shape3; stride: Shape3; network: WindowNetwork; keepLargest: boolean },
): Promise<Uint8Array> {
  const probability = await slidingWindow(image, shape, options);
  const mask = new Uint8Array(probability.length);
  for (let i = 0; i < mask.length; i++) mask[i] = probability[i] > 0.5 ? 1 : 0;
  return options.keepLargest && mask.includes(1) ? largestComponent(mask, shape) : mask;
}

/**
 * Results of a prediction, a row a class: voxels under both conventions for empty masks, millimeters where the spacing is
 * known. Formulas: {@linkcode caseMetrics}.
 * @param prediction Class numbers, in the order of the case's label.
 * @param one Its label must be there.
 * @param classNames Of the classes from 1 on.
 */
export function scoreCase(
  prediction: Uint8Array,
  one: Case,
  { classNames, seconds }: { classNames: readonly string[]; seconds: number },
): ResultRow[] {
  const { name, label, shape, geometry } = one;
  if (!label) throw new RangeError(`case "${name}" has no label to compare with`);
  return classNames.map((className, k) => {
    const mask = prediction.map((value) => value === k + 1 ? 1 : 0);
    const reference = label.map((value) => value === k + 1 ? 1 : 0);
    const { published, honest } = caseMetrics(mask, reference, shape);
    const millimeters = geometry && scores(caseMetrics(mask, reference, shape, geometry.spacing).honest);
    const count = (values: Uint8Array) => values.reduce((sum, value) => sum + value, 0);
    return {
      case: name,
      class: className,
      voxels: count(mask),
      referenceVoxels: count(reference),
      seconds,
      published: scores(published),
      honest: scores(honest),
      millimeters: millimeters && { hd95: millimeters.hd95, asd: millimeters.asd },
    };
  });
}

/** NaN, a number that does not exist, becomes null. */
function scores({ dice, jaccard, hd95, asd }: CaseScores): Scores {
  const known = (value: number) => Number.isNaN(value) ? null : value;
  return { dice: known(dice), jaccard: known(jaccard), hd95: known(hd95), asd: known(asd) };
}

/** Segments a case ({@linkcode segmentVolume}) and scores it ({@linkcode scoreCase}). */
export async function evaluateCase(
  one: Case,
  { classNames, ...options }: {
    patch: Shape3;
    stride: Shape3;
    network: WindowNetwork;
    keepLargest: boolean;
    classNames: readonly string[];
  },
): Promise<{ prediction: Uint8Array; rows: ResultRow[] }> {
  const begun = performance.now();
  const prediction = await segmentVolume(one, options);
  const rows = scoreCase(prediction, one, { classNames, seconds: 0 });
  const seconds = (performance.now() - begun) / 1000;
  return { prediction, rows: rows.map((row) => ({ ...row, seconds })) };
}
