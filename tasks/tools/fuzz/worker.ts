/** The thread of `deno task fuzz`: reads one file after the other and says what came of it. @module */
import { createHash } from "node:crypto";
import { parentPort } from "node:worker_threads";
import { DataError } from "../../../pipeline/files/errors.ts";
import { FORMATS } from "./formats.ts";

/** A file to read. */
export interface FuzzJob {
  /** Name of its format. */
  format: string;
  /** Its folder. */
  folder: string;
  /** Which good file it was made from. */
  seed: number;
}

/** What came of it: the hash of what was read, a refusal by a typed error, or any other error. */
export type FuzzResult = { read: string } | { refused: string } | { untyped: string };

const plain = (_: string, value: unknown) =>
  ArrayBuffer.isView(value)
    ? Array.from(value as Float32Array, String)
    : typeof value === "number"
    ? String(value)
    : value;

parentPort!.on("message", async ({ format, folder, seed }: FuzzJob) => {
  let result: FuzzResult;
  try {
    const content = JSON.stringify(await FORMATS[format].read(folder, seed), plain);
    result = { read: createHash("sha256").update(content).digest("hex") };
  } catch (error) {
    result = error instanceof DataError
      ? { refused: error.message }
      : { untyped: (error as Error).stack ?? String(error) };
  }
  parentPort!.postMessage(result);
});
