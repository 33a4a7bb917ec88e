/** What the processor can do, as Linux tells. @module */
import defer * as tf from "@tensorflow/tfjs";
import type { TensorFlow } from "./device.ts";
import type { Tensor } from "./tensors.ts";

/** Instruction sets that decide the speed of convolutions, by their names in `/proc/cpuinfo`. */
const INSTRUCTION_SETS = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"];

/**
 * The instruction sets of this processor; null for another system than Linux on x86-64. TensorFlow reads the file: Deno
 * keeps `/proc` from programs without all rights.
 */
export function instructionSets({ backend }: TensorFlow): { has: string[]; lacks: string[] } | null {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return null;
  const text = tf.tidy(() => {
    const file: Tensor = backend.executeSingleOutput("ReadFile", [], [tf.scalar("/proc/cpuinfo")]);
    return String(file.dataSync()[0]);
  });
  const [, flags = ""] = text.match(/^flags\s*:(.*)$/m) ?? [], words = new Set(flags.split(" "));
  const [has, lacks] = [true, false].map((there) => INSTRUCTION_SETS.filter((name) => words.has(name) === there));
  return { has, lacks };
}
