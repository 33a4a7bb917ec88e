/**
 * `deno task profile`: where the time of one training step goes, operation by operation, by TensorFlow's own step
 * statistics: two tables, and a trace file for Chrome or Perfetto. Synthetic batches of the real shapes.
 */
import { dirname } from "node:path";
import { z } from "zod";
import { DATASET_NAMES, DATASETS } from "../../pipeline/datasets/datasets.ts";
import { createMethod } from "../../pipeline/methods/method.ts";
import { METHOD_NAMES, METHODS } from "../../pipeline/methods/methods.ts";
import { writeJson } from "../../pipeline/files/atomic.ts";
import { MACHINE, parseOptions, pathOption, runTask } from "../../pipeline/command/options.ts";
import { homePath } from "../../pipeline/files/places.ts";
import { stream } from "../../pipeline/arrays/random.ts";
import { syntheticBatches } from "../../pipeline/training/synthetic_batch.ts";
import { startState, trainingStep } from "../../pipeline/training/training_step.ts";
import { openTensorFlow } from "../../pipeline/tensorflow/device.ts";
import { chromeTrace, type OperationTotal, totalTimes } from "../../pipeline/tensorflow/operation_times.ts";
import { PRECISIONS } from "../../pipeline/tensorflow/precision.ts";

const options = parseOptions(
  z.strictObject({
    dataset: z.enum(DATASET_NAMES).default("la").describe("whose shapes"),
    method: z.enum(METHOD_NAMES).default("ssnet").describe("whose step"),
    precision: z.enum(PRECISIONS).default("fp32").describe("arithmetic"),
    ...MACHINE,
    rows: z.int().positive().default(25).describe("rows of the second table"),
    trace: pathOption().optional().describe(
      `trace file to write (default: ${homePath("profile-DATASET-METHOD-PRECISION.json")})`,
    ),
  }),
  { name: "profile", description: "Time every operation of a step", args: Deno.args },
);

function table(title: string, totals: OperationTotal[]) {
  console.log(`\n${title}`);
  for (const { name, count, milliseconds, share } of totals) {
    const time = milliseconds.toFixed(1).padStart(10), percent = (100 * share).toFixed(1).padStart(5);
    console.log(`${time} ms ${percent} % ${String(count).padStart(5)}  ${name}`);
  }
}

await runTask(async () => {
  const { dataset, method: name, precision } = options, title = `${dataset} ${name} ${precision}`;
  const path = options.trace ?? homePath(`profile-${title.replaceAll(" ", "-")}.json`);
  await Deno.mkdir(dirname(path), { recursive: true }); // a refusal comes before the work
  openTensorFlow(options);
  const method = createMethod(METHODS[name], DATASETS[dataset]);
  const state = startState(method, stream(1, "weights"));
  const times = await trainingStep(method, precision).profile(state, syntheticBatches(method)(1));
  const last = times.reduce((end, { begin, duration }) => Math.max(end, begin + duration), 0);
  const byOperation = totalTimes(times, ({ operation }) => operation);
  const byOutputs = totalTimes(times, ({ operation, outputs }) => `${operation} -> ${outputs}`);
  console.log(`${title}: ${times.length} operations, ${(last / 1e6).toFixed(2)} s from the first to the last`);
  table("by operation", byOperation.filter(({ share }) => share >= 0.001));
  table(`by operation and outputs, the first ${options.rows}`, byOutputs.slice(0, options.rows));
  await writeJson(path, chromeTrace(times, title));
  console.log(`\ntrace: ${path}`);
});
