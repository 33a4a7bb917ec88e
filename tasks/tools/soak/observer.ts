/**
 * A second pair of eyes in the process of a training, loaded in front of it (`--preload`): forty times a second a line of
 * JSON in `RUN.samples.jsonl`, a {@linkcode Sample}.
 * @module
 */
import * as tf from "@tensorflow/tfjs";
import { givenOption } from "../../../pipeline/command/options.ts";
import { exists } from "../../../pipeline/files/exists.ts";
import { writeAll } from "../../../pipeline/files/write_all.ts";

/** What is seen of a training at one moment. */
export interface Sample {
  /** The last one in the log. */
  iteration: number;
  /** Resident memory. */
  bytes: number;
  /** The number of tensors that tfjs knows. */
  tensors: number;
  /** The lowest free file descriptor: it rises with every file that is left open. */
  descriptor: number;
  /** The number of files in the run folder. */
  files: number;
}

const MILLISECONDS = 25, LAST_BYTES = 4096;
const run = givenOption(Deno.args, "--run")!, log = `${run}/metrics.jsonl`;
// Deno tells no descriptors, and keeps /proc to those who may everything.
const { symbols: { dup, close } } = Deno.dlopen(Deno.build.os === "darwin" ? "libSystem.B.dylib" : "libc.so.6", {
  dup: { parameters: ["i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
});
const samples = Deno.openSync(`${run}.samples.jsonl`, { write: true, create: true, truncate: true });

function lastIteration(): number {
  if (!exists(log)) return 0;
  using file = Deno.openSync(log);
  file.seekSync(-Math.min(LAST_BYTES, file.statSync().size), Deno.SeekMode.End);
  const end = new Uint8Array(LAST_BYTES), read = file.readSync(end) ?? 0;
  const found = [...new TextDecoder().decode(end.subarray(0, read)).matchAll(/"iteration":(\d+)/g)];
  return Number(found.at(-1)?.[1] ?? 0);
}

function observe() {
  const iteration = lastIteration();
  if (!iteration) return;
  const descriptor = dup(0);
  close(descriptor);
  const sample: Sample = {
    iteration,
    bytes: Deno.memoryUsage().rss,
    tensors: tf.memory().numTensors,
    descriptor,
    files: [...Deno.readDirSync(run)].length,
  };
  writeAll(samples, JSON.stringify(sample) + "\n");
}

Deno.unrefTimer(setInterval(observe, MILLISECONDS));
