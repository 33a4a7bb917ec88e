/** `sliding_window`, `acdc_volume`: the two test procedures, from the volume to its metrics. @module */
import { type CaseMetrics, caseMetrics } from "../../../pipeline/evaluation/case_metrics.ts";
import { largestComponent } from "../../../pipeline/arrays/components.ts";
import { sliceNetwork, sliceProbabilities } from "../../../pipeline/evaluation/slices.ts";
import { classesOf, slidingWindow, windowNetwork } from "../../../pipeline/evaluation/sliding_window.ts";
import type { Backbone } from "../../../pipeline/networks/backbones.ts";
import { networkWithHeads } from "../../../pipeline/methods/ssnet.ts";
import { toWeights } from "../../../pipeline/networks/parameters.ts";
import { goldenState } from "./golden_numbers.ts";
import type { Golden } from "./golden.ts";
import type { Shape3 } from "../../../pipeline/arrays/shape.ts";

const PUBLISHED = { statistics: "running", precision: "fp32" } as const;
const METRICS_LIMIT = 1e-9;

const hashed = (golden: Golden, network: Backbone, classes: number) => {
  const { spec, forward: { forward } } = networkWithHeads(network, { channels: 1, classes });
  const parameters = toWeights(spec, goldenState(spec, golden.cases.weightSet, { hashedStatistics: true }));
  return [() => parameters, { forward, ...PUBLISHED }] as const;
};
const listed = ({ dice, jaccard, hd95, asd }: CaseMetrics["published"]) => [dice, jaccard, hd95, asd];

/** Left atria: windows, mean probability, mask, largest component, metrics. */
export async function windows(golden: Golden): Promise<void> {
  const network = windowNetwork(...hashed(golden, "vnet", 2));
  const [px, py, pz, plane, last] = golden.values("patch_stride");
  for (const kind of golden.keys(/_image$/).map((key) => key.replace("_image", ""))) {
    const { data, shape } = golden.array(`${kind}_image`);
    const size = shape as unknown as Shape3;
    const scores = await slidingWindow(Float32Array.from(data), size, {
      patch: [px, py, pz],
      stride: [plane, plane, last],
      atOnce: 2,
      classes: 2,
      network,
    });
    const every2 = scores.filter((_, i) => {
      const z = i % size[2], y = Math.floor(i / size[2]) % size[1], x = Math.floor(i / size[2] / size[1]);
      return x % 2 === 0 && y % 2 === 0 && z % 2 === 0;
    });
    golden.check(`${kind}_score_sub2`, every2, { limit: 5e-5 });
    golden.check(`${kind}_score_mean`, [scores.reduce((s, v) => s + v, 0) / scores.length], { limit: 5e-5 });
    // A voxel within 1e-4 of 0.5 may fall on either side: there the stored mask is taken.
    const undecided = golden.values(`${kind}_undecided`), stored = golden.values(`${kind}_mask`);
    const raw = Uint8Array.from(scores, (v, i) => undecided[i] ? stored[i] : Number(v > 0.5));
    golden.check(`${kind}_mask`, raw, { limit: 0 });
    const largest = largestComponent(raw, shape);
    golden.check(`${kind}_mask_largest_cc`, largest, { limit: 0 });
    const voxels = [raw, largest].map((mask) => mask.reduce((a, v) => a + v, 0));
    golden.check(`${kind}_mask_voxels`, voxels, { limit: 0 });
    const reference = Uint8Array.from(golden.values(`${kind}_label`));
    for (const [name, mask] of Object.entries({ raw, largest_cc: largest })) {
      const metrics = listed(caseMetrics(mask, reference, shape).published);
      golden.check(`${kind}_metrics_${name}`, metrics, { limit: METRICS_LIMIT });
    }
  }
}

/** ACDC: slices to 256 x 256, classes, back to size; metrics per class on the volume. */
export async function slices(golden: Golden): Promise<void> {
  const foreground = golden.shape("test_dice_jc_hd95_asd")[0];
  const classes = foreground + 1, network = sliceNetwork(...hashed(golden, "unet", classes));
  const { data, shape } = golden.array("image");
  const slices = { size: [256, 256], classes, network } as const;
  const found = await sliceProbabilities(Float32Array.from(data), shape as unknown as Shape3, slices);
  golden.checkSame("prediction", classesOf(found, classes), { limit: 3 });
  // Of the stored prediction: a pixel on the edge of two classes must not count twice.
  const prediction = golden.values("prediction"), label = golden.values("label");
  const only = (volume: ArrayLike<number>, c: number) => Uint8Array.from(volume, (v) => Number(v === c));
  const metrics = Array.from(
    { length: foreground },
    (_, i) => listed(caseMetrics(only(prediction, i + 1), only(label, i + 1), shape).published),
  );
  golden.check("test_dice_jc_hd95_asd", metrics.flat(), { limit: METRICS_LIMIT });
  golden.check("val_dice_hd95", metrics.flatMap(([dice, , hd95]) => [dice, hd95]), { limit: METRICS_LIMIT });
}
