/** What a figure was measured with: processor, memory, versions, the commit of the project. @module */
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import project from "../../deno.json" with { type: "json" };
import { commitOfTree } from "../files/commit.ts";
import type { TensorFlow } from "../tensorflow/device.ts";
import { instructionSets } from "../tensorflow/instruction_sets.ts";
import type { Measurement } from "../records/measurement.ts";
import { round } from "./timing.ts";

/** Folder of this tree. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The versions and the machine of this process. Needs `--allow-read`, `--allow-sys`. */
export function settingOf(tensorflow: TensorFlow): Pick<Measurement, "versions" | "cpu" | "machine"> {
  return {
    versions: {
      deno: Deno.version.deno,
      tensorflow: tensorflow.binding.TF_Version,
      project: project.version,
      commit: commitOfTree(),
    },
    cpu: cpus()[0]?.model ?? "unknown",
    machine: {
      target: Deno.build.target,
      cores: navigator.hardwareConcurrency,
      memoryGb: round(Deno.systemMemoryInfo().total / 1e9, 1),
      instructionSets: instructionSets(tensorflow)?.has ?? null,
    },
  };
}
