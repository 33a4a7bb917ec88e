/**
 * The worker of `readTrainingItems`: decodes one case after the other, as it is asked, on a thread of its own. Unpacking
 * takes most of the time of a training's start; so every core unpacks, while the first one opens TensorFlow.
 * @module
 */
import { parentPort } from "node:worker_threads";
import type { TrainingItem } from "./batches.ts";
import { type Case, CASE_DATASETS, caseOf } from "../records/case.ts";
import { channelCount, channelsIn } from "../arrays/channels.ts";
import { encodeVoxels } from "./coded_voxels.ts";
import { unreadable } from "../files/hdf5.ts";
import { decodeHdf5 } from "../files/hdf5_library.ts";
import { DataError } from "../files/errors.ts";
import type { Fingerprint } from "../records/manifest.ts";

/** A case to decode. */
export interface ReadingJob {
  /** The path of the file. */
  path: string;
  /** The file's content. */
  bytes: Uint8Array;
  /** The name of the case. */
  name: string;
  /** What the manifest says of it. */
  expected?: Fingerprint;
  /** Whether its label is wanted; nobody reads an unlabeled case's. */
  isLabeled: boolean;
}

/** The fields of a case that say where it lies. */
export type CasePlace = Pick<Case, "geometry" | "correctedSpacing" | "header">;
/** The case as a training keeps it with its place, or why it cannot be used. */
export type ReadingResult = { item: TrainingItem; place: CasePlace } | { problem: string };

/** The same values in memory that all threads see: the threads that make batches read it too. */
function shared<T extends Uint8Array | Uint16Array | Float32Array>(values: T): T {
  const Array = values.constructor as new (memory: SharedArrayBuffer) => T;
  const copy = new Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

async function read({ path, bytes, name, expected, isLabeled }: ReadingJob): Promise<ReadingResult> {
  try {
    const content = await decodeHdf5(bytes, CASE_DATASETS).catch((error) => {
      throw unreadable(path, error.message);
    });
    const { shape, image, label, geometry, correctedSpacing, header } = caseOf(content, { path, name, expected });
    if (isLabeled && !label?.some((value) => value)) {
      return { problem: `Cannot use "${name}" as a labeled case: its label is missing or empty` };
    }
    const item = {
      shape,
      image: channelsIn(image, channelCount(image, shape)).map((channel) => {
        const coded = encodeVoxels(channel);
        return "codes" in coded ? { ...coded, codes: shared(coded.codes) } : shared(coded);
      }),
      label: isLabeled ? shared(label!) : null,
    };
    return { item, place: { geometry, correctedSpacing, header } };
  } catch (error) {
    if (error instanceof DataError) return { problem: error.message };
    throw error;
  }
}

parentPort!.on("message", async (job: ReadingJob) => {
  parentPort!.postMessage(await read(job));
});
