/** Files of weights, ours and others': safetensors, and what `torch.save` writes. @module */
import { DataError } from "./errors.ts";
import { readFileBytes } from "./hdf5.ts";
import { decodeSafetensors, type SafetensorsContent } from "./safetensors.ts";
import { decodeTorchFile, isTorchFile } from "./torch_file.ts";

/**
 * The tensors of a file by their names; which format it has, its bytes tell. Needs `--allow-read`.
 * @returns A file of torch's has no metadata.
 * @throws {DataError} When it is no file or not there, or as {@linkcode decodeSafetensors} and {@linkcode decodeTorchFile}.
 */
export async function readWeightsFile(path: string): Promise<SafetensorsContent> {
  let bytes: Uint8Array;
  try {
    bytes = await readFileBytes(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DataError(`Cannot read "${path}": there is no such file`, { cause: error });
  }
  if (!isTorchFile(bytes)) return decodeSafetensors(bytes, path);
  return { tensors: await decodeTorchFile(bytes, path), metadata: {} };
}
