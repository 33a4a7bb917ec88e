/**
 * `deno task setup`: makes sure that TensorFlow's library is there; the only task that fetches.
 * It runs before most others and stays apart from their option and file code, which would double its time.
 */
import { setUpLibrary, TensorFlowError } from "../pipeline/tensorflow/library.ts";

const [option, ...more] = Deno.args;
if (option && (option !== "--gpu" || more.length)) {
  console.error(
    "Usage: deno task setup [--gpu]\n\nFind TensorFlow's library, or fetch it into the cache with pip\n\n" +
      "  --gpu  the one for NVIDIA GPUs, with CUDA's libraries",
  );
  Deno.exit(Deno.args.includes("--help") ? 0 : 2);
}

const terminal = Deno.stderr.isTerminal();
let shown = performance.now();
try {
  await setUpLibrary(option ? "gpu" : "cpu", {
    say: (line) => console.error(line),
    fetched(megabytes, total) {
      if (!terminal && performance.now() - shown < 10_000) return;
      shown = performance.now();
      const line = `${Math.min(megabytes, total)} of ${total} MB`;
      Deno.stderr.writeSync(new TextEncoder().encode(terminal ? `\r${line}\r` : line + "\n"));
    },
  });
} catch (error) {
  // Errors of the file system carry a code: a full disk, a read-only folder.
  if (!(error instanceof TensorFlowError) && !(error instanceof Error && "code" in error)) throw error;
  console.error(error.message);
  Deno.exit(4);
}
Deno.exit(0);
