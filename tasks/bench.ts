/**
 * `deno task bench KIND`: times one kind of work on synthetic tensors of the real shapes and prints the figures, with
 * `--json` as one JSON line. Peak memory is the process's own (its largest resident set), so every figure comes from a process of its own.
 *
 * step               one whole training step of a method: losses, gradients, update; beside it its warm-up's step.
 *                    `--method all`: every method on both datasets in both precisions
 * forward-backward   one patch (LA) or slice (ACDC) through a network and back: Dice and the gradients of every parameter
 * inference          one window (LA) or a volume of 10 slices of 216 x 256 (ACDC), resampling included
 * metrics            Dice, Jaccard, 95HD and ASD of one LA-sized mask pair
 */
import { cpus } from "node:os";
import process from "node:process";
import type { Tensor, Tensor1D, Tensor5D } from "@tensorflow/tfjs";
import { z } from "zod";
import { DATASET_NAMES, PROFILES } from "../pipeline/data/profiles.ts";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
import { predictSlices, sliceNetwork } from "../pipeline/evaluation/slices.ts";
import { windowNetwork } from "../pipeline/evaluation/sliding_window.ts";
import { foregroundDice, oneHot, squaredDice } from "../pipeline/losses/dice.ts";
import { gradientsOf, type Method } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, type MethodName, METHODS } from "../pipeline/methods/methods.ts";
import { warmupOf } from "../pipeline/methods/supervised.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { NETWORK_NAMES, NETWORKS } from "../pipeline/networks/network.ts";
import { initialize, SpecBuilder, toWeights, type Weights } from "../pipeline/networks/parameters.ts";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";
import { stream } from "../pipeline/runs/random.ts";
import { syntheticBatches, syntheticRows } from "../pipeline/runs/synthetic_batch.ts";
import { startState, trainingStep } from "../pipeline/runs/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";

const KINDS = ["step", "forward-backward", "inference", "metrics"] as const;
const [kind, ...rest] = Deno.args;
const options = parseOptions(
  z.strictObject({
    dataset: z.enum(DATASET_NAMES).default("la").describe("whose shapes"),
    method: z.enum([...METHOD_NAMES, "all"]).default("ssnet").describe("whose step"),
    network: z.enum(NETWORK_NAMES).optional().describe("whose forward and backward pass, instead of the dataset's"),
    precision: z.enum(["fp32", "bf16"]).default("fp32").describe("arithmetic of convolutions"),
    iterations: z.int().positive().default(3).describe("repetitions after a first one that is not counted"),
    threads: z.int().positive().default(navigator.hardwareConcurrency).describe("threads of TensorFlow"),
    device: z.enum(["cpu", "gpu"]).default("cpu").describe("where to compute"),
    json: z.boolean().default(false).describe("one JSON line"),
  }),
  {
    name: `bench ${KINDS.join("|")}`,
    description: "Time one kind of work",
    args: kind?.startsWith("--") ? [kind] : rest,
  },
);

const published = PROFILES[options.dataset];

async function timeStep(method: Method): Promise<number[]> {
  const state = startState(method, stream(1, "weights")), step = trainingStep(method, options.precision);
  const batchOf = syntheticBatches(method);
  return await repeat(async (i) => {
    const losses = await step(state, batchOf(i));
    Object.values(losses).forEach((loss: Tensor) => loss.dataSync());
  });
}

/** What the authors' code is timed on: the labeled loss of one row and its gradients, without an update. */
async function timeForwardBackward(): Promise<number[]> {
  const { tf } = openTensorFlow(), { classes } = published;
  const { spec, forward } = NETWORKS[options.network ?? published.network];
  const built = spec(new SpecBuilder(), { classes });
  const { weights, buffers } = toWeights(built, initialize(built, stream(1, "weights")));
  const { x, label } = syntheticRows(published, { labeled: 1, unlabeled: 0 }), names = Object.keys(weights);
  const dice = published.name === "la" ? foregroundDice : squaredDice;
  const run = trace(function forwardBackward(x: Tensor, label: Tensor, seed: Tensor1D, ...values: Tensor[]) {
    const given: Weights = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    const pass = new Pass(given, { ...buffers }, { training: true, dropoutSeed: seed });
    const target = oneHot(label, classes);
    const { value, gradients } = gradientsOf(() => dice(tf.softmax(forward(pass, x).logits), target), given);
    return [value, ...gradients.filter((gradient) => gradient !== null)];
  }, options.precision);
  return await repeat(async (i) => {
    const results = await run(x, label, tf.tensor1d([7, i], "int32"), ...Object.values(weights));
    results[0].dataSync();
    results.forEach((tensor) => tensor.dispose());
  });
}

async function timeInference(): Promise<number[]> {
  const { tf } = openTensorFlow(), profile = published;
  const state = startState(METHODS.supervised({ profile }), stream(1, "weights"));
  const how = { network: profile.network, statistics: "running", precision: options.precision } as const;
  if (profile.name === "la") {
    const network = windowNetwork(state, how), x = tf.randomNormal([1, ...profile.patch, 1], 0, 1, "float32", 1);
    return await repeat(() => network(x as Tensor5D));
  }
  const network = sliceNetwork(state, how), random = stream(1, "bench");
  const image = Float32Array.from({ length: 10 * 216 * 256 }, random);
  return await repeat(() => predictSlices(image, [10, 216, 256], { size: [256, 256], network }));
}

/** Two balls, as the authors' metrics are timed with. */
function timeMetrics(): Promise<number[]> {
  const shape = [180, 150, 88], [nx, ny, nz] = shape;
  const ball = (cx: number, cy: number, cz: number, r: number) => {
    const mask = new Uint8Array(nx * ny * nz);
    for (let i = 0; i < mask.length; i++) {
      const z = i % nz, y = Math.floor(i / nz) % ny, x = Math.floor(i / (nz * ny));
      mask[i] = Number((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < r * r);
    }
    return mask;
  };
  const a = ball(90, 75, 44, 32), b = ball(92, 74, 46, 31);
  return repeat(() => Promise.resolve(caseMetrics(a, b, shape)));
}

async function repeat(work: (i: number) => Promise<unknown>): Promise<number[]> {
  const seconds: number[] = [];
  for (let i = 0; i <= options.iterations; i++) {
    const begun = performance.now();
    await work(i);
    seconds.push((performance.now() - begun) / 1000);
  }
  return seconds;
}

const round = (value: number, digits: number) => Number(value.toFixed(digits));

/** Minimum and median of all but the first. */
function summaryOf([first, ...seconds]: number[]) {
  const sorted = [...seconds].sort((a, b) => a - b), middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { minimum: round(sorted[0], 4), median: round(median, 4), first: round(first, 3) };
}

/** Seconds of the kind that was asked for; of a step also those of the warm-up, where that is another one. */
async function time(): Promise<{ seconds: number[]; warmup?: number[] }> {
  if (kind === "metrics") return { seconds: await timeMetrics() };
  openTensorFlow({ threads: options.threads, device: options.device });
  if (kind === "inference") return { seconds: await timeInference() };
  if (kind === "forward-backward") return { seconds: await timeForwardBackward() };
  const method = METHODS[options.method as MethodName]({ profile: published });
  const seconds = await timeStep(method);
  return method.usesUnlabeled ? { seconds, warmup: await timeStep(warmupOf(method)) } : { seconds };
}

async function bench() {
  const { seconds, warmup } = await time(), { minimum, median, first } = summaryOf(seconds);
  const before = warmup && summaryOf(warmup);
  return {
    kind,
    ...options,
    stepSeconds: { minimum, median },
    firstSeconds: first,
    ...before && { warmupSeconds: { minimum: before.minimum, median: before.median } },
    peakMemoryGb: round(process.resourceUsage().maxRSS / 1e6, 2),
    versions: {
      deno: Deno.version.deno,
      tensorflow: kind === "metrics" ? null : openTensorFlow().binding.TF_Version,
    },
    cpu: cpus()[0].model,
  };
}

type Result = Awaited<ReturnType<typeof bench>>;

/** One method in a process of its own, since a process knows only the peak of all that it has done. */
async function benchElsewhere(dataset: string, method: string, precision: string): Promise<Result> {
  const given = { dataset, method, precision, iterations: options.iterations, threads: options.threads };
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys"],
      ...[new URL(import.meta.url).pathname, "step", "--device", options.device, "--json"],
      ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
  }).output();
  const text = new TextDecoder();
  if (code) throw new Error(`The step of ${method} on ${dataset} in ${precision} failed:\n${text.decode(stderr)}`);
  return JSON.parse(text.decode(stdout));
}

function print({ dataset, method, precision, threads, stepSeconds, warmupSeconds, ...result }: Result) {
  const warm = warmupSeconds ? `, warm-up ${warmupSeconds.minimum} s` : "";
  console.log(
    `${kind} ${dataset} ${method} ${precision}, ${threads} threads: minimum ${stepSeconds.minimum} s, median ` +
      `${stepSeconds.median} s of ${options.iterations}, first ${result.firstSeconds} s${warm}, peak memory ` +
      `${result.peakMemoryGb} GB (${result.cpu})`,
  );
}

await runTask(async () => {
  if (!(KINDS as readonly string[]).includes(kind)) {
    console.error(`Cannot time "${kind ?? ""}": one of ${KINDS.join(", ")} wanted`);
    return 2;
  }
  if (kind === "step" && options.method === "all") {
    const steps: Result[] = [];
    for (const dataset of DATASET_NAMES) {
      for (const method of METHOD_NAMES) {
        for (const precision of ["fp32", "bf16"]) {
          const result = await benchElsewhere(dataset, method, precision);
          steps.push(result);
          if (!options.json) print(result);
        }
      }
    }
    if (options.json) console.log(JSON.stringify({ kind: "steps", steps }));
    return;
  }
  const result = await bench();
  if (options.json) console.log(JSON.stringify(result));
  else print(result);
});
