/** What a figure was measured with: processor, memory, versions, the commit of the project. @module */
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import project from "../../deno.json" with { type: "json" };
import type { TensorFlow } from "../tensorflow/device.ts";
import { instructionSets } from "../tensorflow/instruction_sets.ts";
import type { Measurement } from "./measurements.ts";
import { round } from "./timing.ts";
import { emptyLoaderVariables } from "../files/loader_variables.ts";

/** Folder of this tree. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/**
 * The commit of this tree, with "-dirty" behind it where files have changes that it does not hold; null outside a
 * repository and without git. Needs `--allow-run=git`.
 */
async function commitOfTree(): Promise<string | null> {
  try {
    const args = ["-C", ROOT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
    const { success, stdout } = await new Deno.Command("git", { args, env: emptyLoaderVariables() }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Of this process. Needs `--allow-run=git`, `--allow-sys`. */
export async function settingOf(tensorflow: TensorFlow): Promise<Pick<Measurement, "versions" | "cpu" | "machine">> {
  return {
    versions: {
      deno: Deno.version.deno,
      tensorflow: tensorflow.binding.TF_Version,
      project: project.version,
      commit: await commitOfTree(),
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
