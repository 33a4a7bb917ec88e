/**
 * `deno task doctor`: what this machine computes with, and how long one convolution takes; the text for a bug report.
 * What does not need TensorFlow comes first, so that it is printed where TensorFlow is broken.
 */
import { statfsSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { z } from "zod";
import defer * as tf from "@tensorflow/tfjs";
import { repeat } from "../pipeline/bench/timing.ts";
import { MACHINE, parseOptions, runTask } from "../pipeline/command/options.ts";
import { exists } from "../pipeline/files/exists.ts";
import { openTensorFlow, type TensorFlow } from "../pipeline/tensorflow/device.ts";
import { instructionSets } from "../pipeline/tensorflow/instruction_sets.ts";
import { cacheFolder, computeCapability, findLibrary, takenFiles, VERSION } from "../pipeline/tensorflow/library.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { bf16Fault, type Precision } from "../pipeline/tensorflow/precision.ts";

const options = parseOptions(
  z.strictObject({
    device: z.enum(["cpu", "gpu"]).optional().describe("where to compute; without it a GPU if there is one"),
    threads: MACHINE.threads,
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
  while (!exists(folder)) folder = folder.slice(0, folder.lastIndexOf("/")) || "/";
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
async function timeConvolution(precision: Precision): Promise<string> {
  const x: tf.Tensor5D = tf.randomNormal([1, 112, 112, 80, 16]),
    weight: tf.Tensor5D = tf.randomNormal([3, 3, 3, 16, 16]);
  // One number comes back: on a GPU nothing else waits for the result.
  const convolution = trace(
    (x: tf.Tensor5D, weight: tf.Tensor5D) => tf.sum(tf.conv3d(x, weight, 1, "same")),
    precision,
  );
  const { seconds: { minimum, median } } = await repeat(5, async () => {
    const sum = await convolution(x, weight);
    sum.dataSync();
    sum.dispose();
  });
  return `${minimum.toFixed(3)} s, median ${median.toFixed(3)} s`;
}

const cudaVersion = (number: number) => `${Math.floor(number / 1000)}.${Math.floor(number / 10) % 100}`;

/** Versions of CUDA's libraries, which are open, so that their names are known. */
function cudaVersions(): string {
  const { cudaRuntimeGetVersion } = Deno.dlopen("libcudart.so.12", {
    cudaRuntimeGetVersion: { parameters: ["buffer"], result: "i32" },
  }).symbols;
  const { cudnnGetVersion } = Deno.dlopen("libcudnn.so.9", { cudnnGetVersion: { parameters: [], result: "usize" } })
    .symbols;
  const number = new Int32Array(1);
  cudaRuntimeGetVersion(number);
  const [runtime] = number, cudnn = Number(cudnnGetVersion());
  return `${cudaVersion(runtime)}, cuDNN ${Math.floor(cudnn / 10000)}.${Math.floor(cudnn / 100) % 100}.${cudnn % 100}`;
}

/** The GPU that computes and the newest CUDA that the driver serves, as the driver tells them; it is open as well. */
function describeGpu(): string {
  const { cuDeviceGetName, cuDeviceTotalMem_v2, cuDriverGetVersion } = Deno.dlopen("libcuda.so.1", {
    cuDeviceGetName: { parameters: ["buffer", "i32", "i32"], result: "i32" },
    cuDeviceTotalMem_v2: { parameters: ["buffer", "i32"], result: "i32" },
    cuDriverGetVersion: { parameters: ["buffer"], result: "i32" },
  }).symbols;
  const FIRST = 0;
  const name = new Uint8Array(256), bytes = new BigUint64Array(1), number = new Int32Array(1);
  cuDeviceGetName(name, name.length, FIRST);
  cuDeviceTotalMem_v2(bytes, FIRST);
  const capability = computeCapability().join(".");
  cuDriverGetVersion(number);
  return `${new TextDecoder().decode(name.subarray(0, name.indexOf(0)))}, compute capability ${capability}, ` +
    `${gigabytes(Number(bytes[0]))}, driver for CUDA ${cudaVersion(number[0])}`;
}

/** The device in whose memory a traced function leaves its results. */
async function placeOfResults({ backend, binding }: TensorFlow): Promise<string> {
  const result = await trace((x: tf.Tensor) => tf.square(x))(tf.ones([1000]));
  return binding.deviceOf(backend.getInputTensorIds([result])[0]);
}

await runTask(async () => {
  const memory = Deno.systemMemoryInfo();
  print("Deno", `${Deno.version.deno}, V8 ${Deno.version.v8}, ${Deno.build.target}`);
  print("processor", `${cpus()[0]?.model ?? "unknown"}, ${navigator.hardwareConcurrency} cores`);
  print("memory", `${gigabytes(memory.total)}, ${gigabytes(memory.available)} available`);
  print("cache", `${cacheFolder()}, ${gigabytes(freeDisk())} free`);
  const library = findLibrary(options.device);
  print("library", `${library.folder} (${FOUND_BY[library.source]})`);
  for (const [folder, files] of Object.entries(takenFiles(library))) {
    print("taken", `${files.map((path) => path.slice(path.lastIndexOf("/") + 1)).join(", ")} of ${folder}`);
  }
  const tensorflow = openTensorFlow({ ...options, library }), { binding } = tensorflow;
  const node = createRequire(import.meta.url)("@tensorflow/tfjs-node-gpu/package.json");
  const tested = binding.TF_Version === VERSION ? "" : ` (tested: ${VERSION})`;
  print(
    "TensorFlow",
    `${binding.TF_Version}${tested}, tfjs ${tf.version.tfjs}, kernels of tfjs-node-gpu ${node.version}`,
  );
  print("device", `${binding.device}, ${options.threads} threads`);
  const { cuda } = binding, onGpu = binding.isUsingGpuDevice();
  if (cuda?.built) {
    const found = cuda.faults.join("; ") || cudaVersions();
    print("CUDA", cuda.driverFault ? `${found}; ${cuda.driverFault}` : found);
  }
  if (onGpu) {
    print("GPU", describeGpu());
    print("results", `in the memory of ${await placeOfResults(tensorflow)}`);
  }
  print("instructions", instructionsText(tensorflow));
  print(`conv3d ${binding.single}`, await timeConvolution(binding.single));
  const fault = bf16Fault(tensorflow);
  print("conv3d bf16", fault === null ? await timeConvolution("bf16") : `not here: ${fault}`);
});
