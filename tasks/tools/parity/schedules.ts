/** `ramps`: schedules of the published runs. @module */
import { polyRate, stepRate } from "../../../pipeline/training/schedule.ts";
import type { Golden } from "./golden.ts";
import { consistencyWeight, rampUp, uncertaintyThreshold } from "../../../pipeline/losses/ramps.ts";

export function schedules(golden: Golden): void {
  const checkEach = (name: string, argument: string, value: (at: number) => number) =>
    golden.check(name, Array.from(golden.values(argument), value), { limit: 1e-12 });
  checkEach("la_weight", "la_iteration", (i) => consistencyWeight(i, { maximum: 1, length: 40 }));
  checkEach("acdc_weight", "acdc_iteration", (i) => consistencyWeight(i, { maximum: 0.1, length: 200 }));
  checkEach("la_lr", "la_lr_step", (step) => stepRate(step, { base: 0.01, every: 2500 }));
  golden.check("acdc_lr", [stepRate(30000, { base: 0.01, every: Infinity })], { limit: 0 });
  checkEach("poly_lr", "poly_lr_step0", (step) => polyRate(step, { base: 0.01, total: 30000, power: 0.9 }));
  for (const key of golden.keys(/^sigmoid_rampup_\d+$/)) {
    checkEach(key, "rampup_current", (at) => rampUp(at, Number(key.match(/\d+$/)![0])));
  }
  for (const key of golden.keys(/^uamt_threshold_max\d+$/)) {
    checkEach(key, "uamt_iteration", (at) => uncertaintyThreshold(at, Number(key.match(/\d+$/)![0])));
  }
  golden.leaveOut(/^(cosine|linear)_/);
}
