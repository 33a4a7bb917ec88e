/** What a plan's training costs, by the figures that guard `train`. @module */
import type { Plan } from "../records/plan.ts";
import type { MeasuredStep } from "../records/measurement.ts";
import { costsOf } from "./costs.ts";

/** Memory and time of a step of SS-Net in fp32 on two cores. @param rows Measured figures. */
export function planCosts(
  rows: MeasuredStep[],
  { protocol, patch, batch, channels, classes }: Pick<Plan, "protocol" | "patch" | "batch" | "channels" | "classes">,
): { memoryGb: number; stepSeconds: number } {
  const key = { dataset: protocol, method: "ssnet", precision: "fp32", device: "cpu", lowResolution: null } as const;
  const shape = {
    patch,
    rows: batch.labeled + batch.unlabeled,
    channels: channels.length,
    classes: classes.length + 1,
  };
  return costsOf(rows, { ...key, ...shape })!;
}
