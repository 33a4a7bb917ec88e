/**
 * `deno task bench KIND`: times one kind of work on synthetic tensors of the real shapes and prints the figures, with
 * `--json` as one JSON line. Peak memory is the process's own (its largest resident set), so every figure comes from a process of its own.
 *
 * step               one whole training step of a method: losses, gradients, update
 * forward-backward   one patch (LA) or slice (ACDC) through the network and back, labeled loss and update
 * inference          one window (LA) or a volume of 10 slices of 216 x 256 (ACDC), resampling included
 * metrics            Dice, Jaccard, 95HD and ASD of one LA-sized mask pair
 */
import { cpus } from "node:os";
import process from "node:process";
import type { Tensor, Tensor1D, Tensor5D } from "@tensorflow/tfjs";
import { z } from "zod";
import { type DatasetName, PROFILES } from "../pipeline/data/profiles.ts";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
import { predictSlices, sliceNetwork } from "../pipeline/evaluation/slices.ts";
import { windowNetwork } from "../pipeline/evaluation/sliding_window.ts";
import type { Method } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, METHODS } from "../pipeline/methods/methods.ts";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";
import { stream } from "../pipeline/runs/random.ts";
import { startState, type TrainingState, trainingStep } from "../pipeline/runs/training_step.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";

const KINDS = ["step", "forward-backward", "inference", "metrics"] as const;
const [kind, ...rest] = Deno.args;
const options = parseOptions(
  z.strictObject({
    dataset: z.enum(Object.keys(PROFILES) as [DatasetName, ...DatasetName[]]).default("la").describe("whose shapes"),
    method: z.enum(METHOD_NAMES).default("ssnet").describe("whose step"),
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

const profile = PROFILES[options.dataset];

/** The method's whole step, or the labeled-only one on a single patch: what the authors' code is timed on. */
function timedMethod(): { method: Method; labeled: number; unlabeled: number } {
  if (kind !== "step") {
    return { method: METHODS.supervised({ profile, bankWeights: "ones" }), labeled: 1, unlabeled: 0 };
  }
  const method = METHODS[options.method]({ profile, bankWeights: "ones" });
  return { method, labeled: profile.labeledPerBatch, unlabeled: method.usesUnlabeled ? profile.unlabeledPerBatch : 0 };
}

/** A block of every class, where the authors' code is timed with one; raster order, last axis fastest. */
function blocks(): Int32Array {
  const { patch } = profile, label = new Int32Array(patch.reduce((a, n) => a * n, 1));
  const fill = (from: number[], to: number[], value: number) => {
    const visit = (axis: number, offset: number) => {
      if (axis === patch.length) label[offset] = value;
      else for (let i = from[axis]; i < to[axis]; i++) visit(axis + 1, offset * patch[axis] + i);
    };
    visit(0, 0);
  };
  if (profile.name === "la") fill([30, 30, 20], [80, 80, 60], 1);
  else [60, 100, 140].forEach((row, k) => fill([row, 60], [row + 40, 100], k + 1));
  return label;
}

async function timeStep(): Promise<number[]> {
  const { tf } = openTensorFlow();
  const { method, labeled, unlabeled } = timedMethod(), { patch } = profile;
  const state: TrainingState = startState(method, stream(1, "weights"));
  const step = trainingStep(method, options.precision), random = stream(1, "bench");
  const one = blocks(), rows = labeled + unlabeled;
  const label = tf.tile(tf.tensor(one, [1, ...patch], "int32"), [labeled, ...patch.map(() => 1)]);
  const image = Float32Array.from({ length: rows * one.length }, () => 3.46 * (random() - 0.5)); // deviation 1
  const x = tf.tensor(image, [rows, ...patch, 1]);
  return await repeat(async (i) => {
    const losses = await step(state, {
      x,
      label,
      seed: tf.tensor1d([7, 10000 * i], "int32") as Tensor1D,
      consistencyWeight: tf.scalar(0.1),
      rate: tf.scalar(0.01),
    });
    Object.values(losses).forEach((loss: Tensor) => loss.dataSync());
  });
}

async function timeInference(): Promise<number[]> {
  const { tf } = openTensorFlow();
  const state = startState(METHODS.supervised({ profile, bankWeights: "ones" }), stream(1, "weights"));
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
await runTask(async () => {
  if (!(KINDS as readonly string[]).includes(kind)) {
    console.error(`Cannot time "${kind ?? ""}": one of ${KINDS.join(", ")} wanted`);
    return 2;
  }
  if (kind !== "metrics") openTensorFlow({ threads: options.threads, device: options.device });
  const [first, ...seconds] = kind === "metrics"
    ? await timeMetrics()
    : kind === "inference"
    ? await timeInference()
    : await timeStep();
  const sorted = [...seconds].sort((a, b) => a - b), middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  const result = {
    kind,
    ...options,
    stepSeconds: { minimum: round(sorted[0], 4), median: round(median, 4) },
    firstSeconds: round(first, 3),
    peakMemoryGb: round(process.resourceUsage().maxRSS / 1e6, 2),
    versions: {
      deno: Deno.version.deno,
      tensorflow: kind === "metrics" ? null : openTensorFlow().binding.TF_Version,
    },
    cpu: cpus()[0].model,
  };
  if (options.json) return console.log(JSON.stringify(result));
  console.log(
    `${kind} ${options.dataset} ${options.method} ${options.precision}, ${options.threads} threads: minimum ${result.stepSeconds.minimum} s, median ${result.stepSeconds.median} s of ${seconds.length}, first ${result.firstSeconds} s, peak memory ${result.peakMemoryGb} GB (${result.cpu})`,
  );
});
