/**
 * `deno task eval:la`: a run folder and a split in, `metrics.json` out: Dice, Jaccard, 95HD and ASD in voxels of every
 * test case, largest component kept, both conventions for empty masks.
 */
import { z } from "zod";
import { DataError, readCase } from "../pipeline/data/cases.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { readSplit } from "../pipeline/data/splits.ts";
import { caseMetrics, type CaseScores } from "../pipeline/evaluation/case_metrics.ts";
import { largestComponent } from "../pipeline/evaluation/components.ts";
import { slidingWindow, windowNetwork } from "../pipeline/evaluation/sliding_window.ts";
import { SpecBuilder, toWeights } from "../pipeline/networks/parameters.ts";
import { vnetSpec } from "../pipeline/networks/vnet.ts";
import { readCheckpoint } from "../pipeline/runs/checkpoint.ts";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";
import { writeAtomically } from "../pipeline/runs/safetensors.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";

const options = parseOptions(
  z.strictObject({
    run: z.string().default("data/runs/la-ssnet").describe("run folder"),
    cases: z.string().default("data/cases/la").describe("folder of the cases"),
    split: z.string().default("data/cases/la/split.json").describe("split file; its test cases are evaluated"),
    batchNorm: z.enum(["running", "window"]).default("running").describe(
      "running: the training's statistics, as published; window: each window's own",
    ),
    precision: z.enum(["fp32", "bf16"]).default("fp32").describe("arithmetic of convolutions"),
    threads: z.int().positive().default(navigator.hardwareConcurrency).describe("threads of TensorFlow"),
    device: z.enum(["cpu", "gpu"]).default("cpu").describe("where to compute"),
  }),
  { name: "eval:la", description: "Evaluate a run on the test cases", args: Deno.args },
);

const NAMES = ["dice", "jaccard", "hd95", "asd"] as const;
/** Mean over the cases that have a value, and how many they are. */
function summary(rows: CaseScores[]) {
  return Object.fromEntries(NAMES.map((name) => {
    const values = rows.map((row) => row[name]).filter((v) => !Number.isNaN(v));
    return [name, {
      mean: values.length ? values.reduce((a, b) => a + b) / values.length : null,
      cases: values.length,
    }];
  }));
}

async function evaluate() {
  const split = await readSplit(options.split);
  if (!split.test.length) throw new DataError(`Cannot evaluate: the split "${options.split}" has no test case`);
  openTensorFlow({ threads: options.threads, device: options.device });
  const spec = vnetSpec(new SpecBuilder(), { classes: LA.classes });
  const { state, iteration } = await readCheckpoint(`${options.run}/last.safetensors`, spec);
  // The training's patch is the window; the published stride belongs to the published patch.
  const { patch: side } = JSON.parse(await Deno.readTextFile(`${options.run}/config.json`)) as { patch: string };
  const patch = side.split("x").map(Number) as [number, number, number];
  const stride = side === LA.patch.join("x") ? LA.stride : patch.map((n) => n / 4) as [number, number, number];
  const network = windowNetwork(toWeights(spec, state), {
    statistics: options.batchNorm,
    precision: options.precision,
  });
  const rows: ({ case: string; voxels: number; seconds: number } & ReturnType<typeof caseMetrics>)[] = [];
  for (const name of split.test) {
    const { image, label, shape } = await readCase(`${options.cases}/${name}.h5`, name);
    if (!label) throw new DataError(`Cannot evaluate "${name}": it has no label`);
    const begun = performance.now();
    const scores = await slidingWindow(image, shape, { patch, stride, network });
    const mask = Uint8Array.from(scores, (score) => Number(score > 0.5));
    const voxels = mask.reduce((a, b) => a + b, 0);
    const metrics = caseMetrics(voxels ? largestComponent(mask, shape) : mask, label, shape);
    const seconds = (performance.now() - begun) / 1000;
    rows.push({ case: name, voxels, seconds, ...metrics });
    console.log(
      `${name}  Dice ${metrics.honest.dice.toFixed(4)}  95HD ${metrics.honest.hd95.toFixed(2)} voxels  ${
        seconds.toFixed(1)
      } s`,
    );
  }
  const result = {
    checkpoint: "last",
    iteration,
    batchNorm: options.batchNorm,
    precision: options.precision,
    patch,
    stride,
    unit: "voxels",
    published: summary(rows.map((row) => row.published)),
    honest: summary(rows.map((row) => row.honest)),
    cases: rows,
  };
  const path = `${options.run}/metrics-${options.batchNorm}.json`;
  await writeAtomically(path, [new TextEncoder().encode(JSON.stringify(result, null, 2) + "\n")]);
  console.log(`Dice ${(result.honest.dice.mean ?? NaN).toFixed(4)} over ${rows.length} cases, ${path}`);
}

await runTask(evaluate);
