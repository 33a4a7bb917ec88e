/**
 * `deno task demo`: phantoms of both datasets → preprocess → split → train → evaluate → report in a temporary folder, each
 * step the task itself; ends with the page, `report: PATH`, and the Dice on unseen phantoms, `dice: X` and `dice-acdc: X`.
 */
import { z } from "zod";
import type { PhantomSet } from "../pipeline/datasets/dataset.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { parseOptions, runTask } from "../pipeline/command/options.ts";
import { temporaryFolder } from "../pipeline/files/places.ts";
import { startTask } from "../pipeline/grid/task_process.ts";
import { readMetrics } from "../pipeline/records/evaluation.ts";

parseOptions(z.strictObject({}), {
  name: "demo",
  description: "Phantoms through every task to a report; no options",
  args: Deno.args,
});
const SEED = 1337;

async function task(folder: string, name: string, args: string[]) {
  const { code } = await startTask(name, args, [folder]).status;
  if (code) Deno.exit(code);
}

/** Raw phantoms to an evaluated run; its mean Dice. */
async function run(
  folder: string,
  dataset: string,
  options: { phantoms: Omit<PhantomSet, "seed">; split: string[]; train: string[] },
) {
  const [raw, cases, run] = ["raw", "cases", "run"].map((kind) => `${folder}/${dataset}-${kind}`);
  await DATASETS[dataset].writePhantoms(raw, { seed: SEED, ...options.phantoms });
  await task(folder, "preprocess", [dataset, "--raw", raw, "--cases", cases]);
  await task(folder, "split", [dataset, "--cases", cases, "--test-cases", "3", ...options.split]);
  await task(folder, "train", [dataset, "--cases", cases, "--run", run, "--preset", "fast", ...options.train]);
  await task(folder, "evaluate", [dataset, "--run", run, "--batch-norm", "window", "--checkpoint", "last"]);
  const { summary } = await readMetrics(`${run}/evaluation-window`);
  return { run, dice: summary.honest.mean.dice.mean ?? NaN };
}

await runTask(async () => {
  const folder = await temporaryFolder("ss-net-demo-");
  const la = await run(folder, "la", {
    phantoms: { count: 10, shape: [72, 72, 48] },
    split: ["--labeled", "4"],
    train: ["--patch", "48x48x32", "--iterations", "200", "--warmup", "170"],
  });
  const acdc = await run(folder, "acdc", {
    phantoms: { count: 12, shape: [6, 72, 64] },
    split: ["--labeled", "3", "--validation-cases", "2"],
    train: ["--patch", "64x64", "--iterations", "200", "--warmup", "160", "--validate-every", "50"],
  });
  await task(folder, "report", [la.run, acdc.run, "--out", `${folder}/report`]);
  console.log(`dice: ${la.dice.toFixed(4)}`);
  console.log(`dice-acdc: ${acdc.dice.toFixed(4)}`);
});
