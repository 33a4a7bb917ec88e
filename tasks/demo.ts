/**
 * `deno task demo`: phantoms → preprocess → split → train → evaluate in a temporary folder, each step the task itself;
 * ends with `dice: X` on unseen phantoms.
 */
import { writeArrays } from "../pipeline/data/hdf5.ts";
import { phantom } from "../pipeline/data/phantom.ts";

const SHAPE = [72, 72, 48] as const, PATCH = "48x48x32", CASES = 10, TEST = 3, SEED = 1337;
const folder = await Deno.makeTempDir({ prefix: "ss-net-demo-" });
const raw = `${folder}/raw`, cases = `${folder}/cases`, run = `${folder}/run`;

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

for (let i = 0; i < CASES; i++) {
  const name = `phantom${String(i).padStart(2, "0")}`,
    { image, label } = phantom(SEED, name, SHAPE),
    shape = [...SHAPE];
  await Deno.mkdir(`${raw}/${name}`, { recursive: true });
  await writeArrays(`${raw}/${name}/mri_norm2.h5`, { image: { data: image, shape }, label: { data: label, shape } });
}
await task("preprocess", ["--raw", raw, "--cases", cases]);
await task("split", ["--cases", cases, "--labeled", "4", "--test-cases", String(TEST)]);
const split = ["--cases", cases, "--split", `${cases}/split.json`];
await task("train", [
  ...split,
  "--run",
  run,
  "--preset",
  "fast",
  "--patch",
  PATCH,
  "--iterations",
  "200",
  "--warmup",
  "170",
]);
await task("evaluate", [...split, "--run", run, "--batch-norm", "window"]);
const metrics = JSON.parse(await Deno.readTextFile(`${run}/metrics-window.json`));
console.log(`run: ${run}`);
console.log(`dice: ${metrics.honest.dice.mean.toFixed(4)}`);
