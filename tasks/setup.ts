/** `deno task setup`: makes sure that TensorFlow's library is there; the only task that runs programs or fetches. */
import { parseOptions, runTask } from "../pipeline/runs/options.ts";
import { setUpLibrary } from "../pipeline/tensorflow/library.ts";
import { z } from "zod";

parseOptions(z.strictObject({}), {
  name: "setup",
  description: "Find TensorFlow's library, or fetch it into the cache with pip",
  args: Deno.args,
});

const terminal = Deno.stderr.isTerminal();
let shown = -Infinity;
await runTask(async () => {
  await setUpLibrary({
    say: (line) => console.error(line),
    fetched(megabytes, total) {
      if (!terminal && performance.now() - shown < 10_000) return;
      shown = performance.now();
      const line = `${Math.min(megabytes, total)} of ${total} MB`;
      Deno.stderr.writeSync(new TextEncoder().encode(terminal ? `\r${line}\r` : line + "\n"));
    },
  });
});
