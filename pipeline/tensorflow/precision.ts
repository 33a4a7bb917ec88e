/**
 * Precisions. fp32 and tf32 say how products of float32 are computed, by a switch of the whole process: TensorFlow is
 * opened for one of them. bf16 says how a function is recorded (`autocast.ts`); what it leaves in float32 is tf32 on a GPU.
 * @module
 */
import type { TensorFlow } from "./device.ts";
import { instructionSets } from "./instruction_sets.ts";
import { computeCapability, type Device, TensorFlowError } from "./library.ts";

/**
 * fp32: float32 throughout. tf32: a GPU's products of float32, convolutions too, take factors rounded to 10 bits, as
 * PyTorch lets cuDNN do. bf16: mixed precision, convolutions and what stands between them in bfloat16.
 */
export const PRECISIONS = ["fp32", "tf32", "bf16"] as const;
/** One of {@linkcode PRECISIONS}. */
export type Precision = typeof PRECISIONS[number];

/** What a preset wants of any device: "single", what PyTorch gives for float32; "mixed", bf16 where the device computes in it, else that. */
export type PrecisionWish = "single" | "mixed";

/** All precisions that a device may have. */
export function precisionsOf(device: Device): Precision[] {
  return PRECISIONS.filter((precision) => device === "gpu" || precision !== "tf32");
}

/** What a wish means on a device that computes in bf16. */
export function precisionOn(device: Device, wish: PrecisionWish): Precision {
  return wish === "mixed" ? "bf16" : device === "gpu" ? "tf32" : "fp32";
}

/** Whether it is float32 throughout: the usual one, of which no name need tell. */
export const isFull = (precision: string): boolean => precision === "fp32";

/** Whether TensorFlow is to be open with TF32 on a GPU; off where nothing is said. */
export const wantsTensorFloat32 = (wanted: Precision | PrecisionWish = "fp32"): boolean => wanted !== "fp32";

/** Why the device does not compute in bf16; null where it does. Without oneDNN a CPU's kernels for it take four to eight times as long as float32's. */
export function bf16Fault(tensorflow: TensorFlow): string | null {
  if (tensorflow.binding.isUsingGpuDevice()) {
    const [major, minor] = computeCapability();
    return major >= 8
      ? null
      : `a GPU of compute capability 8.0 or above computes in it, this one has ${major}.${minor}`;
  }
  const switched = Deno.env.get("TF_ENABLE_ONEDNN_OPTS"), held = Deno.env.get("ONEDNN_MAX_CPU_ISA");
  if (switched === "0" || switched === "false") {
    return `oneDNN computes in it, and TF_ENABLE_ONEDNN_OPTS=${switched} turns that off`;
  }
  if (held && /^(SSE|AVX($|2))/i.test(held)) {
    return `oneDNN wants AVX-512 for it, and ONEDNN_MAX_CPU_ISA=${held} forbids that`;
  }
  return instructionSets(tensorflow)?.has.includes("avx512f")
    ? null
    : "x86-64 with AVX-512 computes in it, this processor lacks that";
}

/** What is wanted of an open TensorFlow as a precision that it has. @throws {TensorFlowError} Where it has it not. */
export function settlePrecision(tensorflow: TensorFlow, wanted: Precision | PrecisionWish): Precision {
  const { single, device } = tensorflow.binding;
  if (wanted === "single") return single;
  if (wanted === "mixed") return bf16Fault(tensorflow) === null ? "bf16" : single;
  const refuse = (why: string) => {
    throw new TensorFlowError(`Cannot compute in ${wanted} on ${device}: ${why}; use --precision ${single}`);
  };
  if (wanted === "bf16") {
    const fault = bf16Fault(tensorflow);
    if (fault !== null) refuse(fault);
  } else if (wanted !== single) {
    refuse(
      tensorflow.binding.isUsingGpuDevice()
        ? `TensorFlow is open for ${single}, and a process has one of the two`
        : "only GPUs of NVIDIA have it",
    );
  }
  return wanted;
}

/** Whether a function of a precision is recorded with casts. @throws {TensorFlowError} Where the open TensorFlow does not have it. */
export function isAutocast(tensorflow: TensorFlow, precision: Precision): boolean {
  return settlePrecision(tensorflow, precision) === "bf16";
}
