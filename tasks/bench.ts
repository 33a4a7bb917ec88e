/**
 * `deno task bench KIND`: times one kind of work on synthetic tensors of the real shapes and prints the figures, with
 * `--json` as one JSON line. Peak memory is the process's own (its largest resident set), so every figure comes from a process of its own.
 *
 * step               one whole training step of a method: losses, gradients, update
 * forward-backward   one patch (LA) or the batch of slices (ACDC) through the network and back, labeled loss
 * inference          one window (LA) or a volume of 10 slices of 216 x 256 (ACDC), resampling included
 * metrics            Dice, Jaccard, 95HD and ASD of one LA-sized mask pair
 */
import { cpus } from "node:os";
import process from "node:process";
import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import { z } from "zod";
import { LA } from "../pipeline/data/profiles.ts";
import { caseMetrics } from "../pipeline/evaluation/case_metrics.ts";
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
    dataset: z.enum(["la"]).default("la").describe("whose shapes"),
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

/** Loss and gradient of the labeled half, no update: what the authors' code is timed on for `forward-backward`. */
function timedMethod(): { method: Method; labeled: number; unlabeled: number } {
  const profile = LA;
  if (kind === "step") {
    const method = METHODS[options.method]({ profile, bankWeights: "ones" });
    return {
      method,
      labeled: profile.labeledPerBatch,
      unlabeled: method.usesUnlabeled ? profile.unlabeledPerBatch : 0,
    };
  }
  return { method: METHODS.supervised({ profile, bankWeights: "ones" }), labeled: 1, unlabeled: 0 };
}

async function timeStep(): Promise<number[]> {
  const { tf } = openTensorFlow();
  const { method, labeled, unlabeled } = timedMethod(), { patch } = LA;
  const state: TrainingState = startState(method, stream(1, "weights"));
  const step = trainingStep(method, options.precision);
  const voxels = patch.reduce((a, n) => a * n, 1), random = stream(1, "bench");
  // A block of foreground, as the authors' code is timed with.
  const [nx, ny, nz] = patch;
  const one = Int32Array.from({ length: voxels }, (_, i) => {
    const z = i % nz, y = Math.floor(i / nz) % ny, x = Math.floor(i / (nz * ny));
    return Number(x >= 30 && x < 80 && y >= 30 && y < 80 && z >= 20 && z < 60 && nx > 80);
  });
  const label = tf.tile(tf.tensor(one, [1, ...patch], "int32"), [labeled, 1, 1, 1]);
  const image = Float32Array.from({ length: (labeled + unlabeled) * voxels }, () => 3.46 * (random() - 0.5));
  const x = tf.tensor(image, [labeled + unlabeled, ...patch, 1]);
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
  const method = METHODS.supervised({ profile: LA, bankWeights: "ones" });
  const network = windowNetwork(startState(method, stream(1, "weights")), {
    network: LA.network,
    statistics: "running",
    precision: options.precision,
  });
  const x = tf.randomNormal([1, ...LA.patch, 1], 0, 1, "float32", 1);
  return await repeat(() => network(x as never));
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
