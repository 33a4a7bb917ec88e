/** `metrics`: overlaps, surface distances and largest components of stored masks. @module */
import { caseMetrics } from "../../../pipeline/evaluation/case_metrics.ts";
import { largestComponent } from "../../../pipeline/arrays/components.ts";
import { dice, jaccard } from "../../../pipeline/evaluation/overlap.ts";
import {
  surfaceDistances,
  type SurfaceMetrics,
  surfaceMetrics,
} from "../../../pipeline/evaluation/surface_distance.ts";
import type { Golden } from "./golden.ts";

const LIMIT = 1e-9;

/** The metrics, or null where they are refused. */
function attempt(measure: () => SurfaceMetrics): SurfaceMetrics | null {
  try {
    return measure();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

export function metrics(golden: Golden): void {
  const isEmpty = (mask: Uint8Array) => mask.every((v) => v === 0);
  const pairs = golden.keys(/^pair\d+_prediction$/).sort().map((key) => {
    const name = key.replace("_prediction", ""), { data, shape } = golden.array(key);
    const prediction = Uint8Array.from(data), reference = Uint8Array.from(golden.values(`${name}_reference`));
    const table = `spacing_${shape.length}d`, rows = golden.shape(table)[0];
    const spacings = Array.from({ length: rows }, (_, j) => Array.from(golden.row(table, j)));
    return { name, prediction, reference, shape, spacings, empty: [prediction, reference].map(isEmpty) };
  });
  for (const [key, overlap] of Object.entries({ dc: dice, jc: jaccard })) {
    const stored = golden.values(key);
    // Library versions disagree on two empty masks; here they have no overlap at all.
    const expected = pairs.map(({ empty }, i) => empty[0] && empty[1] ? NaN : stored[i]);
    golden.check(key, pairs.map((pair) => overlap(pair)), { limit: LIMIT, expected });
  }
  const measured = pairs.map(({ prediction, reference, shape, spacings }) =>
    spacings.map((spacing) => attempt(() => surfaceMetrics(prediction, reference, shape, spacing)))
  );
  golden.check("raises", measured.map((each) => Number(each.every((m) => m === null))), { limit: 0 });
  const names = { hd: "hd", hd95: "hd95", asd: "asd", asd_reverse: "asdReverse" } as const;
  for (const [key, name] of Object.entries(names)) {
    golden.check(key, measured.flat().map((m) => m ? m[name] : NaN), { limit: LIMIT });
  }
  for (const { name, prediction, reference, shape } of pairs) {
    for (const [direction, from, to] of [["", prediction, reference], ["_reverse", reference, prediction]] as const) {
      const [key] = golden.keys(new RegExp(`^${name}_surface_distances${direction}_sorted$`));
      if (key) golden.check(key, surfaceDistances(from, to, shape).sort(), { limit: LIMIT });
    }
  }
  const stored = golden.values("per_case");
  const found = pairs.map(({ prediction, reference, shape, empty }) => {
    const { dice, jaccard, hd95, asd } = caseMetrics(prediction, reference, shape).published;
    // The authors' evaluation raises at an empty reference and reports nothing; here only the distances are missing.
    return empty[1] && !empty[0] ? [NaN, NaN, hd95, asd] : [dice, jaccard, hd95, asd];
  });
  golden.check("per_case", found.flat(), { limit: LIMIT, expected: stored });
  for (const key of golden.keys(/^cc\d+_input$/)) {
    const { data, shape } = golden.array(key);
    golden.check(key.replace("input", "largest"), largestComponent(Uint8Array.from(data), shape), { limit: 0 });
  }
}
