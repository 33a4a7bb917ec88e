/** Precisions: which one a device has, what is refused and why, and TensorFlow's switch of TF32. */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { findLibrary, tensorFloat32 } from "../pipeline/tensorflow/library.ts";
import { bf16Fault, isFull, precisionOn, PRECISIONS, precisionsOf } from "../pipeline/tensorflow/precision.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { runProgram } from "./in_process.ts";

const tensorflow = openTensorFlow({ device: "cpu", threads: 2 }), { binding } = tensorflow;

/** Opens TensorFlow in a process of its own and prints what becomes of a precision. */
async function inProcess(wanted: string, env: Record<string, string>): Promise<{ exit: number; text: string }> {
  const { exit, out, error } = await runProgram(
    `
    import { openTensorFlow } from "./pipeline/tensorflow/device.ts";
    import { runTask } from "./pipeline/command/options.ts";
    runTask(async () => console.log(openTensorFlow({ device: "cpu", precision: "${wanted}" }).precision));
  `,
    env,
  );
  return { exit, text: out + error };
}

Deno.test("TensorFlow's switch of TF32 is found and off once TensorFlow is open", () => {
  const tf32 = tensorFloat32(findLibrary("cpu"));
  equal(tf32?.isOn(), false);
  tf32!.set(true);
  equal(tf32!.isOn(), true);
  tf32!.set(false);
});

Deno.test("a CPU has fp32 and bf16, a GPU tf32 too; single is what PyTorch gives there", () => {
  deepEqual([precisionsOf("cpu"), precisionsOf("gpu")], [["fp32", "bf16"], ["fp32", "tf32", "bf16"]]);
  deepEqual((["cpu", "gpu"] as const).map((device) => precisionOn(device, "single")), ["fp32", "tf32"]);
  deepEqual((["cpu", "gpu"] as const).map((device) => precisionOn(device, "mixed")), ["bf16", "bf16"]);
  deepEqual(PRECISIONS.map(isFull), [true, false, false]);
  equal(binding.single, "fp32");
});

Deno.test("tf32 is refused on a CPU, in a trace and when TensorFlow is opened", () => {
  const refusal =
    /^TensorFlowError: Cannot compute in tf32 on .*CPU:0: only GPUs of NVIDIA have it; use --precision fp32$/;
  throws(() => trace((x) => [x], "tf32"), refusal);
  throws(() => openTensorFlow({ precision: "tf32" }), refusal);
});

for (
  const [env, why] of [
    [{ TF_ENABLE_ONEDNN_OPTS: "0" }, /oneDNN computes in it, and TF_ENABLE_ONEDNN_OPTS=0 turns that off/],
    [{ ONEDNN_MAX_CPU_ISA: "AVX2" }, /oneDNN wants AVX-512 for it, and ONEDNN_MAX_CPU_ISA=AVX2 forbids that/],
  ] as [Record<string, string>, RegExp][]
) {
  Deno.test(`with ${Object.entries(env).join()} bf16 is refused with the reason, and what wants it takes fp32`, async () => {
    const { exit, text } = await inProcess("bf16", env);
    equal(exit, 4, text);
    match(text, /^Cannot compute in bf16 on .*CPU:0: .*; use --precision fp32\n$/);
    match(text, why);
    deepEqual(await inProcess("mixed", env), { exit: 0, text: "fp32\n" });
  });
}

const canMix = bf16Fault(tensorflow) === null;
Deno.test("a CPU with AVX-512 takes bf16 where it is wanted", { ignore: !canMix }, async () => {
  deepEqual(await inProcess("mixed", {}), { exit: 0, text: "bf16\n" });
});
