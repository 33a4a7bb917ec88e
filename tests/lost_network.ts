/** A network that was lost in training, for tests: its first value is no number, and its file is sound. */
import { readSafetensors, writeSafetensors } from "../pipeline/files/safetensors.ts";

/** Writes a checkpoint again so. */
export async function loseNetwork(from: string, to: string): Promise<void> {
  const { tensors, metadata } = await readSafetensors(from);
  const reals = Object.entries(tensors).filter(([, { dtype }]) => dtype === "F32");
  const lost = reals.map(([name, { shape, values }], i) => [
    name,
    { shape, dtype: "F32" as const, values: () => i ? values() : values().fill(NaN, 0, 1) },
  ]);
  await writeSafetensors(to, Object.fromEntries(lost), metadata);
}
