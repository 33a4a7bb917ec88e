/**
 * `deno task setup`: makes sure that TensorFlow's library is there; the only task that fetches.
 * It runs before most others and stays apart from their option and file code, which would double its time.
 */
import { isSystemError } from "../pipeline/files/errors.ts";
import { userPath } from "../pipeline/files/places.ts";
import { INTERRUPTED, onStop } from "../pipeline/files/signals.ts";
import { writeAll } from "../pipeline/files/write_all.ts";
import { setUpLibrary, TensorFlowError } from "../pipeline/tensorflow/library.ts";

const HELP = `Usage: deno task setup [--gpu] [--wheel PATH]

Find TensorFlow's library, or fetch it into the cache with pip

  --gpu         the one for NVIDIA GPUs, with CUDA's libraries; what Python has installed of them is taken
  --wheel PATH  take the wheel from this file instead of fetching it, or the wheels from this folder`;

function usage(code: number): never {
  console.error(HELP);
  Deno.exit(code);
}

let device: "cpu" | "gpu" | undefined, path: string | undefined;
for (let i = 0; i < Deno.args.length; i++) {
  const option = Deno.args[i];
  if (option === "--help") usage(0);
  else if (option === "--gpu" && !device) device = "gpu";
  else if (option === "--wheel" && path === undefined && Deno.args[++i]) path = userPath(Deno.args[i]);
  else usage(2);
}

const terminal = Deno.stderr.isTerminal(), stop = new AbortController();
// Without this an interrupted fetch would leave its temporary folder behind.
onStop(() => stop.abort());
let shown = performance.now();
try {
  await setUpLibrary(device ?? "cpu", {
    path,
    signal: stop.signal,
    progress: {
      say: (line) => console.error(line),
      fetched(megabytes, total) {
        if (!terminal && performance.now() - shown < 10_000) return;
        shown = performance.now();
        const line = `${Math.min(megabytes, total)} of ${total} MB`;
        writeAll(Deno.stderr, terminal ? `\r${line}\r` : line + "\n");
      },
    },
  });
} catch (error) {
  if (stop.signal.aborted) {
    console.error("Interrupted: nothing of what was fetched is kept; the same command begins anew");
    Deno.exit(INTERRUPTED);
  }
  // Errors of the file system carry a code: a full disk, a read-only folder.
  const isKnown = error instanceof TensorFlowError || error instanceof Deno.errors.NotCapable;
  if (!isKnown && !isSystemError(error)) throw error;
  console.error(error.message);
  Deno.exit(4);
}
Deno.exit(0);
