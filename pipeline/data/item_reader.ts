/// <reference lib="deno.worker" />
/**
 * The worker of `readTrainingItems`: reads one case after the other, as it is asked, on a thread of its own. Unpacking
 * takes most of the time of a training's start; so every core unpacks, while the first one opens TensorFlow.
 * @module
 */
import type { TrainingItem } from "./batches.ts";
import { DataError, readCase } from "./cases.ts";
import { encodeVoxels } from "./coded_voxels.ts";

/** A case to read. */
export interface ReadingJob {
  /** Of the file. */
  path: string;
  /** Of the case. */
  name: string;
  /** Whether its label is wanted; nobody reads an unlabeled case's. */
  isLabeled: boolean;
}

/** The case as a training keeps it, or why it cannot be used. */
export type ReadingResult = TrainingItem | { problem: string };

async function read({ path, name, isLabeled }: ReadingJob): Promise<ReadingResult> {
  try {
    const { shape, image, label } = await readCase(path, name);
    if (isLabeled && !label?.some((value) => value)) {
      return { problem: `Cannot use "${name}" as a labeled case: its label is missing or empty` };
    }
    return { shape, image: encodeVoxels(image), label: isLabeled ? label : null };
  } catch (error) {
    if (error instanceof DataError) return { problem: error.message };
    throw error;
  }
}

/** The arrays' memory, which the receiver takes over instead of copying it. */
function memoryOf(result: ReadingResult): Transferable[] {
  if ("problem" in result) return [];
  const { image, label } = result;
  return ["codes" in image ? image.codes : image, ...label ? [label] : []].map(({ buffer }) => buffer as ArrayBuffer);
}

self.onmessage = async ({ data }: MessageEvent<ReadingJob>) => {
  const result = await read(data);
  self.postMessage(result, memoryOf(result));
};
