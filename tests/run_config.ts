/** A run's configuration for tests: what they do not say is as in a short labeled-only training. */
import type { RunConfig, Training } from "../pipeline/records/run.ts";
import type { Split } from "../pipeline/records/split.ts";

/** @param settings Of the method. @param training What is not as below; a patch must be given. */
export function runConfig(
  { method = "supervised", settings = {}, split, ...training }:
    & Partial<Training>
    & Pick<Training, "patch">
    & { method?: string; settings?: RunConfig["method"]["settings"]; split: Split },
): RunConfig {
  return {
    ...{ dataset: split.profile, method: { name: method, settings }, split, commit: null },
    training: {
      ...{
        preset: "fast",
        iterations: 7,
        warmup: 0,
        precision: "fp32",
        rateSchedule: "published",
        augmentation: "published",
        norm: "batch",
        ema: false,
      },
      ...{ lowResolution: null, seed: 1, validateEvery: 200, saveEvery: 200, threads: 2, device: "cpu", cases: "" },
      ...training,
    },
    versions: { deno: "2.9.6", tensorflow: "2.21.0" },
  };
}
