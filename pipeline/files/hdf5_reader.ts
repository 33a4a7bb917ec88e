/** The thread of `readHdf5`: decodes one file after the other. @module */
import { parentPort } from "node:worker_threads";
import type { HdfContent } from "./hdf5.ts";
import { decodeHdf5 } from "./hdf5_library.ts";

/** A file to decode. */
export interface DecodingJob {
  /** All of it. */
  bytes: Uint8Array;
  /** Datasets that are wanted; all where it is left out. */
  only?: readonly string[];
}

/** What stands in the file, or why it cannot be read. */
export type DecodingResult = HdfContent | { problem: string };

parentPort!.on("message", async ({ bytes, only }: DecodingJob) => {
  let result: DecodingResult;
  try {
    result = await decodeHdf5(bytes, only);
  } catch (error) {
    result = { problem: (error as Error).message };
  }
  const memory = "problem" in result ? [] : Object.values(result.arrays).map(({ data }) => data.buffer as ArrayBuffer);
  parentPort!.postMessage(result, memory);
});
