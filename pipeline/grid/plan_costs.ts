/** What a plan's training costs, by the figures that guard `train`. @module */
import type { Plan } from "../records/plan.ts";
import type { MeasuredStep } from "../records/measurement.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { costsOf, measuredStep } from "./costs.ts";
import { stepMemory } from "./memory.ts";

/** Memory and time of a step of SS-Net in fp32 on two cores. @param rows Measured figures. */
export function planCosts(
  rows: MeasuredStep[],
  { protocol, patch, batch }: Pick<Plan, "protocol" | "patch" | "batch" | "channels" | "classes">,
): { memoryGb: number; stepSeconds: number } {
  const key = { dataset: protocol, method: "ssnet", precision: "fp32", device: "cpu", lowResolution: null } as const;
  const { labeledPerBatch, unlabeledPerBatch } = DATASETS[protocol];
  const share = (batch.labeled + batch.unlabeled) / (labeledPerBatch + unlabeledPerBatch);
  const row = measuredStep(rows, key)!, { stepSeconds } = costsOf(rows, { ...key, patch })!;
  return { memoryGb: stepMemory(row, { patch, rows: share }), stepSeconds: share * stepSeconds };
}
