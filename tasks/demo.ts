/**
 * `deno task demo`: phantoms of both datasets → preprocess → split → train → evaluate → report in a temporary folder, each
 * step the task itself; ends with the page, `report: PATH`, and the Dice on unseen phantoms, `dice: X` and `dice-acdc: X`.
 */
import { z } from "zod";
import type { Geometry } from "../pipeline/data/geometry.ts";
import { writeArrays } from "../pipeline/data/hdf5.ts";
import { writeNiftiMask } from "../pipeline/data/nifti.ts";
import { cinePhantom, phantom } from "../pipeline/data/phantom.ts";
import { parseOptions } from "../pipeline/runs/options.ts";

parseOptions(z.strictObject({}), {
  name: "demo",
  description: "Phantoms through every task to a report; no options",
  args: Deno.args,
});
const SEED = 1337, folder = await Deno.makeTempDir({ prefix: "ss-net-demo-" });
const numbered = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${name}${String(i + 1).padStart(3, "0")}`);

/** Atria, as the field publishes its volumes. */
async function atria(raw: string) {
  const shape = [72, 72, 48] as const;
  for (const name of numbered("phantom", 10)) {
    const { image, label } = phantom(SEED, name, shape);
    await Deno.mkdir(`${raw}/${name}`, { recursive: true });
    await writeArrays(`${raw}/${name}/mri_norm2.h5`, {
      image: { data: image, shape: [...shape] },
      label: { data: label, shape: [...shape] },
    });
  }
}

/** Beating hearts in the challenge's layout. */
async function hearts(raw: string) {
  const shape = [6, 72, 64] as const; // Z, Y, X
  const geometry: Geometry = { spacing: [10, 1.5, 1.5], origin: [0, 0, 0], direction: [0, 0, 1, 0, 1, 0, 1, 0, 0] };
  for (const name of numbered("patient", 12)) {
    const frames = cinePhantom(SEED, name, shape);
    await Deno.mkdir(`${raw}/${name}`, { recursive: true });
    await Deno.writeTextFile(`${raw}/${name}/Info.cfg`, "ED: 1\nES: 10\n");
    for (const [number, { image, label }] of [["01", frames.ED], ["10", frames.ES]] as const) {
      const place = { shape, geometry, axes: "ZYX" } as const;
      const bytes = Uint8Array.from(image, (value) => Math.round(255 * value));
      await writeNiftiMask(`${raw}/${name}/${name}_frame${number}.nii.gz`, bytes, place);
      await writeNiftiMask(`${raw}/${name}/${name}_frame${number}_gt.nii.gz`, label, place);
    }
  }
}

async function task(name: string, args: string[]) {
  console.log(`\n== ${name} ${args.join(" ")}`);
  const child = new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${folder}`],
      ...[new URL(`./${name}.ts`, import.meta.url).pathname, ...args],
    ],
  });
  const { code } = await child.spawn().status;
  if (code) Deno.exit(code);
}

/** Raw phantoms to an evaluated run; its mean Dice. */
async function run(dataset: "la" | "acdc", options: { split: string[]; train: string[] }) {
  const [raw, cases, run] = ["raw", "cases", "run"].map((kind) => `${folder}/${dataset}-${kind}`);
  await (dataset === "la" ? atria : hearts)(raw);
  await task("preprocess", [dataset, "--raw", raw, "--cases", cases]);
  await task("split", [dataset, "--cases", cases, "--test-cases", "3", ...options.split]);
  const split = ["--cases", cases, "--split", `${cases}/split.json`, "--run", run];
  await task("train", [dataset, ...split, "--preset", "fast", ...options.train]);
  await task("evaluate", [dataset, "--run", run, "--batch-norm", "window", "--checkpoint", "last"]);
  const metrics = JSON.parse(await Deno.readTextFile(`${run}/evaluation-window/metrics.json`));
  return { run, dice: metrics.summary.honest.mean.dice.mean as number };
}

const la = await run("la", {
  split: ["--labeled", "4"],
  train: ["--patch", "48x48x32", "--iterations", "200", "--warmup", "170"],
});
const acdc = await run("acdc", {
  split: ["--labeled", "3", "--validation-cases", "2"],
  train: ["--patch", "64x64", "--iterations", "200", "--warmup", "160", "--validate-every", "50"],
});
await task("report", [la.run, acdc.run, "--out", `${folder}/report`]);
console.log(`dice: ${la.dice.toFixed(4)}`);
console.log(`dice-acdc: ${acdc.dice.toFixed(4)}`);
