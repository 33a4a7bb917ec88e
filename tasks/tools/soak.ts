/**
 * `deno task soak`: trainings of many small steps with validation, checkpoints and logs, watched from inside
 * ({@linkcode Sample}). Behind the first steps, in which caches fill, nothing may grow: resident memory by its slope, tensors
 * and file descriptors by the least that either half of the steps has, the run folder by its files. Prints a line of JSON a
 * training and closes with `N passed, N failed`.
 * @module
 */
import { z } from "zod";
import { EXIT, parseOptions, runTask } from "../../pipeline/command/options.ts";
import { CARDIAC_CINE } from "../../pipeline/datasets/acdc/acdc.ts";
import { temporaryFolder } from "../../pipeline/files/places.ts";
import { startTask } from "../../pipeline/grid/task_process.ts";
import { METHOD_NAMES } from "../../pipeline/methods/methods.ts";
import type { Sample } from "./soak/observer.ts";

/** First steps that do not count; of short rounds their first half. */
const SETTLED = 500;
/** What a run folder holds while it is trained, logs with their locks and one temporary file included. */
const MOST_FILES = 10;
/** Tensors of a batch, which may be there or not at the moments that are seen. */
const BATCH = 8;

const { steps, method, slope: bound } = parseOptions(
  z.strictObject({
    steps: z.int().min(20).default(2000).describe("of each training"),
    method: z.string().default("ssnet,bcp,mc_net").describe("methods, with commas"),
    slope: z.number().positive().default(1).describe("largest slope of resident memory, MB in 100 steps"),
  }),
  { name: "soak", description: "Train many small steps and see that nothing grows", args: Deno.args },
);

/** The slope of the least squares line through points. */
function slopeOf(points: { x: number; y: number }[]): number {
  const mean = (of: (point: { x: number; y: number }) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const x = mean((point) => point.x), y = mean((point) => point.y);
  return mean((point) => (point.x - x) * (point.y - y)) / mean((point) => (point.x - x) ** 2);
}

/** The least value in either half of the steps behind the first ones: what a step holds for a moment does not count. */
function leastOf(samples: Sample[], key: "tensors" | "descriptor", middle: number): [number, number] {
  const least = (some: Sample[]) => Math.min(...some.map((sample) => sample[key]));
  return [
    least(samples.filter(({ iteration }) => iteration <= middle)),
    least(samples.filter(({ iteration }) => iteration > middle)),
  ];
}

/** What grew in a training, and its figures. */
function judged(samples: Sample[]) {
  const first = Math.min(SETTLED, steps / 2), counted = samples.filter(({ iteration }) => iteration > first);
  const slope = slopeOf(counted.map(({ iteration, bytes }) => ({ x: iteration / 100, y: bytes / 1e6 })));
  const [tensors, descriptor] = (["tensors", "descriptor"] as const).map((key) =>
    leastOf(counted, key, (first + steps) / 2)
  );
  const files = Math.max(...samples.map((sample) => sample.files));
  const grew = [
    ...slope < bound ? [] : ["resident memory"],
    ...tensors[1] <= tensors[0] + BATCH ? [] : ["tensors"],
    ...descriptor[1] <= descriptor[0] ? [] : ["file descriptors"],
    ...files <= MOST_FILES ? [] : ["files"],
  ];
  const megabytes = counted.map(({ bytes }) => bytes / 1e6);
  const figures = {
    megabytesPer100Steps: Number(slope.toFixed(3)),
    megabytes: [Math.min(...megabytes), Math.max(...megabytes)].map(Math.round),
    ...{ tensors, descriptor, files },
  };
  return { grew, figures };
}

async function task(name: string, args: string[], folder: string, preload?: URL) {
  const { code } = await startTask(name, [CARDIAC_CINE.name, ...args], [folder], preload).status;
  if (code) throw new Error(`deno task soak: ${name} ended with code ${code}`);
}

await runTask(async () => {
  const names = method.split(","), unknown = names.filter((name) => !METHOD_NAMES.some((known) => known === name));
  if (unknown.length) {
    console.error(`unknown method "${unknown.join('", "')}"; known are ${METHOD_NAMES.join(", ")}`);
    return EXIT.usage;
  }
  const folder = await temporaryFolder("ss-net-soak-"), cases = `${folder}/cases`;
  await CARDIAC_CINE.writePhantoms(`${folder}/raw`, { seed: 1, count: 6, shape: [3, 48, 40] });
  await task("preprocess", ["--raw", `${folder}/raw`, "--cases", cases], folder);
  await task("split", ["--cases", cases, "--labeled", "2", "--validation-cases", "1", "--test-cases", "1"], folder);
  let failed = 0;
  for (const name of names) {
    const run = `${folder}/${name}`, begun = performance.now();
    const often = ["--validate-every", "50", "--save-every", "20"];
    const length = ["--patch", "16x16", "--iterations", `${steps}`, "--warmup", `${Math.floor(steps / 10)}`];
    const options = ["--cases", cases, "--run", run, "--method", name, ...length, ...often];
    await task("train", options, folder, new URL("./soak/observer.ts", import.meta.url));
    const lines = (await Deno.readTextFile(`${run}.samples.jsonl`)).trimEnd().split("\n");
    const { grew, figures } = judged(lines.map((line) => JSON.parse(line)));
    const seconds = Math.round((performance.now() - begun) / 1000);
    console.log(JSON.stringify({ method: name, steps, ...figures, seconds, grew }));
    failed += Number(grew.length > 0);
  }
  await Deno.remove(folder, { recursive: true });
  console.log(`${names.length - failed} passed, ${failed} failed`);
  return failed ? 1 : EXIT.done;
});
