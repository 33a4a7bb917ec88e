/**
 * `deno task gpu-check`: whether all of this works on an NVIDIA GPU, and how fast, as one JSON on the standard output: what
 * `doctor` says, the golden values, tfjs-core's op tests, a training step of SS-Net and of the labeled half alone on both
 * datasets. Every part is a task as a user starts it. Ends with 0 when all passed, 1 when a part failed, 4 without a GPU;
 * the JSON is printed all the same.
 */
import { z } from "zod";
import { DATASET_NAMES } from "../../pipeline/datasets/datasets.ts";
import { EXIT, parseOptions, runTask } from "../../pipeline/command/options.ts";
import { precisionsOf } from "../../pipeline/tensorflow/precision.ts";
import { findLibrary, TensorFlowError } from "../../pipeline/tensorflow/library.ts";

const options = parseOptions(
  z.strictObject({
    iterations: z.int().positive().default(10).describe("repetitions of a step after a first one that is not counted"),
  }),
  { name: "gpu-check", description: "Check and time everything on an NVIDIA GPU; one JSON", args: Deno.args },
);

/** How a part ended, and its figures. */
interface Part {
  passed: boolean;
  /** Why it did not pass, in its own words. */
  problem?: string;
  [figure: string]: unknown;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd();

/** Runs a task. @param read Turns what it printed into figures; called where there is something to read. */
async function part(task: string, args: string[], read: (output: string) => Partial<Part>): Promise<Part> {
  console.error(`deno task ${[task, ...args].join(" ")}`);
  const begun = performance.now();
  const command = new Deno.Command("deno", { args: ["task", "--quiet", task, ...args], env: { NO_COLOR: "1" } });
  const { success, stdout, stderr } = await command.output(), output = text(stdout);
  const seconds = Number(((performance.now() - begun) / 1000).toFixed(1));
  const problem = success ? {} : { problem: text(stderr).replace(/^Task .*\n/gm, "") }; // Deno names what it starts
  return { passed: success, ...problem, seconds, ...output ? read(output) : {} };
}

/** `doctor`'s lines: a name of up to 14 characters, then its value. What is computed must also stay on the GPU. */
function readTable(output: string) {
  const rows = output.split("\n").map((line) => [line.slice(0, 14).trim(), line.slice(14)]);
  const machine: Record<string, string> = Object.fromEntries(rows), { results } = machine;
  return { machine, ...results && !results.includes("GPU") ? { passed: false, problem: `results ${results}` } : {} };
}

/** The part that `doctor` would be, where setting up its library would mean fetching the one for the CPU. */
function withoutLibrary(): Part | undefined {
  try {
    findLibrary("gpu");
  } catch (error) {
    if (error instanceof TensorFlowError) return { passed: false, problem: error.message };
    throw error;
  }
}

/** The last line of a task that counts its checks, and those that failed. */
function readCounts(output: string) {
  const lines = output.split("\n"), [, passed, failed] = lines.at(-1)!.match(/^(\d+) passed, (\d+) failed$/) ?? [];
  return {
    checks: { passed: +passed, failed: +failed },
    failures: lines.filter((line) => /^failed: |FAILED/.test(line)),
  };
}

await runTask(async () => {
  const doctor = withoutLibrary() ?? await part("doctor", ["--device", "gpu"], readTable);
  const report = { kind: "gpu-check", passed: false, parts: { doctor } as Record<string, Part> };
  if (doctor.passed) {
    // Without an option for it: a GPU that is there is taken.
    report.parts.parity = await part("parity", [], readCounts);
    report.parts.conformance = await part("conformance", ["--device", "gpu"], readCounts);
    for (const dataset of DATASET_NAMES) {
      for (const method of ["ssnet", "supervised"]) {
        const what = ["--dataset", dataset, "--method", method, "--iterations", String(options.iterations)];
        for (const precision of precisionsOf("gpu")) {
          const args = ["step", ...what, "--precision", precision, "--device", "gpu", "--json"];
          report.parts[`step ${dataset} ${method} ${precision}`] = await part("bench", args, JSON.parse);
        }
      }
    }
  }
  for (const { problem } of Object.values(report.parts)) if (problem) console.error(problem);
  report.passed = Object.values(report.parts).every(({ passed }) => passed);
  console.log(JSON.stringify(report));
  return doctor.passed ? report.passed ? EXIT.done : 1 : EXIT.environment;
});
