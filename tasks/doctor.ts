/**
 * `deno task doctor`: what this machine computes with, and how long one convolution takes; the text for a bug report.
 * What does not need TensorFlow comes first, so that it is printed where TensorFlow is broken.
 */
import { existsSync, statfsSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { z } from "zod";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";
import { openTensorFlow, type TensorFlow } from "../pipeline/tensorflow/device.ts";
import { instructionSets } from "../pipeline/tensorflow/instruction_sets.ts";
import { cacheFolder, findLibrary, VERSION } from "../pipeline/tensorflow/library.ts";
import { type Precision, trace } from "../pipeline/tensorflow/trace.ts";

const options = parseOptions(
  z.strictObject({
    device: z.enum(["cpu", "gpu"]).optional().describe("where to compute; without it a GPU if there is one"),
    threads: z.int().positive().default(navigator.hardwareConcurrency).describe("threads of TensorFlow"),
  }),
  {
    name: "doctor",
    description: "Print versions, TensorFlow, device and memory; time one convolution",
    args: Deno.args,
  },
);

const FOUND_BY = {
  named: "SSNET_TENSORFLOW",
  python: "Python's package",
  cache: "the cache",
};
const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
const print = (name: string, value: string) => console.log(`${name.padEnd(14)}${value}`);

/** Disk space for this user where the cache is or will be. */
function freeDisk(): number {
  let folder = cacheFolder();
  while (!existsSync(folder)) folder = folder.slice(0, folder.lastIndexOf("/")) || "/";
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** The instruction sets of this processor in words. */
function instructionsText(tensorflow: TensorFlow): string {
  const sets = instructionSets(tensorflow);
  if (!sets) return "n/a";
  return `${sets.has.join(" ") || "none"}${sets.lacks.length ? `; not ${sets.lacks.join(" ")}` : ""}`;
}

/** Seconds of a 3-D convolution, 16 to 16 channels on 112x112x80 voxels: the V-Net's largest kind. */
async function timeConvolution({ tf }: TensorFlow, precision: Precision): Promise<string> {
  const x = tf.randomNormal([1, 112, 112, 80, 16]), weight = tf.randomNormal([3, 3, 3, 16, 16]);
  // One number comes back: on a GPU nothing else waits for the result.
  const convolution = trace((x, weight) => [tf.sum(tf.conv3d(x, weight, 1, "same"))], precision);
  const seconds: number[] = [];
  for (let i = 0; i < 6; i++) {
    const start = performance.now();
    const [sum] = await convolution(x, weight);
    sum.dataSync();
    seconds.push((performance.now() - start) / 1000);
    sum.dispose();
  }
  const [minimum, , median] = seconds.slice(1).sort((a, b) => a - b); // the first one traces
  return `${minimum.toFixed(3)} s, median ${median.toFixed(3)} s`;
}

await runTask(async () => {
  const memory = Deno.systemMemoryInfo();
  print("Deno", `${Deno.version.deno}, V8 ${Deno.version.v8}, ${Deno.build.target}`);
  print("processor", `${cpus()[0]?.model ?? "unknown"}, ${navigator.hardwareConcurrency} cores`);
  print("memory", `${gigabytes(memory.total)}, ${gigabytes(memory.available)} available`);
  print("cache", `${cacheFolder()}, ${gigabytes(freeDisk())} free`);
  const library = findLibrary();
  print("library", `${library.folder} (${FOUND_BY[library.source]})`);
  const tensorflow = openTensorFlow({ ...options, library }), { tf, binding } = tensorflow;
  const node = createRequire(import.meta.url)("@tensorflow/tfjs-node-gpu/package.json");
  const tested = binding.TF_Version === VERSION ? "" : ` (tested: ${VERSION})`;
  print(
    "TensorFlow",
    `${binding.TF_Version}${tested}, tfjs ${tf.version.tfjs}, kernels of tfjs-node-gpu ${node.version}`,
  );
  print("device", `${binding.device}, ${options.threads} threads`);
  print("instructions", instructionsText(tensorflow));
  for (const precision of ["fp32", "bf16"] as const) {
    print(`conv3d ${precision}`, await timeConvolution(tensorflow, precision));
  }
});
