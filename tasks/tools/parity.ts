/**
 * `deno task parity [DIR]`: checks every golden file in DIR (default: tests/golden) against this implementation; numbers
 * that the HDF5 files do not hold come from the folder's `cases.json`. Prints name, largest error, limit and verdict, and
 * names what is skipped, as a dataset that a file in DIR lacks; ends with `N passed, N failed`.
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import * as tf from "@tensorflow/tfjs";
import { readArrays } from "../../pipeline/files/hdf5.ts";
import { readJson } from "../../pipeline/files/json.ts";
import { parseOptions, pathOption, runTask } from "../../pipeline/command/options.ts";
import { openTensorFlow } from "../../pipeline/tensorflow/device.ts";
import type { Cases } from "./parity/golden.ts";

const options = parseOptions(
  z.strictObject({
    folder: z.array(pathOption()).max(1).default([]).describe("golden files, instead of tests/golden"),
  }),
  { name: "parity", description: "Check this implementation against golden values", args: Deno.args },
);
const CASES = z.record(z.string(), z.custom<Cases>((numbers) => typeof numbers === "object"));

await runTask(async () => {
  const folder = options.folder[0] ?? fileURLToPath(new URL("../../tests/golden", import.meta.url));
  const cases = await readJson(`${folder}/cases.json`, CASES, {
    what: "the numbers of the golden files",
    remedy: "name a folder as tests/golden is",
  });
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".h5")).sort();
  openTensorFlow();
  // Behind that: they use TensorFlow as soon as they are loaded.
  const { CHECKS } = await import("./parity/checks.ts");
  const { Golden } = await import("./parity/golden.ts");
  let passed = 0, failed = 0;
  for (const name of names.map((file) => file.slice(0, -3))) {
    if (!CHECKS[name]) {
      console.log(`${name}: skipped, there is no check for it here`);
      continue;
    }
    const golden = new Golden(name, await readArrays(`${folder}/${name}.h5`), cases[name]);
    tf.engine().startScope();
    try {
      await CHECKS[name](golden);
    } catch (error) {
      console.log(`${name}: FAILED, ${(error as Error).message}`);
      golden.failed++;
    }
    tf.engine().endScope();
    golden.close();
    passed += golden.passed;
    failed += golden.failed + (options.folder.length ? 0 : golden.lacking.length);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed || passed === 0 ? 1 : 0;
});
