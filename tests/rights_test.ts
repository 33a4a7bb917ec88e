/**
 * Least rights: with those of its command in deno.json a task does its work and asks for nothing, and without any one of them
 * it ends at once and says which one is missing.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { CARDIAC_CINE } from "../pipeline/datasets/acdc/acdc.ts";
import { rightsOf } from "../pipeline/files/places.ts";
import { cacheFolder } from "../pipeline/tensorflow/library.ts";
import { withFolder } from "./with_folder.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const text = await Deno.readTextFile(`${ROOT}/deno.json`);
/** What {@linkcode WORK} and {@linkcode OTHERS} name, and who starts all of these. */
const SCRIPTS = [
  ...new Set([...text.matchAll(/deno run [^\n]*? ((?:tasks|tests)\/\S+\.ts)/g)].map(([, script]) => script)),
];

/** Tiny work for every task of the pipeline, in an order in which each finds what it reads. */
const WORK = (folder: string): [script: string, args: string[]][] => {
  const cases = ["--cases", `${folder}/cases`], run = `${folder}/run`, place = ["acdc", ...cases, "--run", run];
  return [
    ["tasks/setup.ts", []],
    ["tasks/preprocess.ts", ["acdc", "--raw", `${folder}/raw`, ...cases]],
    ["tasks/split.ts", ["acdc", ...cases, "--labeled", "2", "--test-cases", "1"]],
    ["tasks/train.ts", [...place, "--method", "supervised", "--patch", "16x16", "--iterations", "1"]],
    ["tasks/evaluate.ts", ["acdc", "--run", run, "--checkpoint", "last"]],
    ["tasks/predict.ts", [`${folder}/cases/patient001_frame01.h5`, "--run", run, "-o", `${folder}/masks`]],
    ["tasks/score.ts", [`${run}/evaluation-running`, `${folder}/cases`, "--out", `${folder}/scores`]],
    ["tasks/export.ts", [run]],
    ["tasks/report.ts", [run, "--out", `${folder}/report`]],
  ];
};
/** The tools and what takes minutes, which other tests and the suite itself run: with arguments that soon need each right. */
const OTHERS = (folder: string): [script: string, args: string[]][] => [
  ["tasks/demo.ts", []],
  ["tasks/doctor.ts", []],
  ["tasks/reproduce.ts", ["--scale", "ci", "--out", `${folder}/grid`]],
  ["tasks/tools/bench.ts", ["all"]],
  ["tasks/tools/profile.ts", ["--dataset", "acdc", "--trace", `${folder}/trace.json`]],
  ["tasks/tools/fuzz.ts", []],
  ["tasks/tools/soak.ts", []],
  ["tasks/tools/parity.ts", []],
  ["tasks/tools/conformance.ts", []],
  ["tasks/tools/dependencies.ts", []],
];
/** Starts others and takes what is missing for their failure (gpu-check), or is the suite. */
const STARTERS = ["tasks/tools/gpu_check.ts", "tests/run.ts"];

/** The rights of a task, with places to write in the folder. */
function rightsIn(folder: string, script: string): string[] {
  const place = script === "tasks/setup.ts" ? cacheFolder() : folder;
  return rightsOf(script)!.map((right) => right.startsWith("--allow-write") ? `--allow-write=${place}` : right);
}

/** Runs a script in the project's folder; nobody is there to be asked. */
async function run(folder: string, rights: string[], [script, args]: [string, string[]]) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...rights, script, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", TMPDIR: folder, SSNET_HOME: `${folder}/home` },
    ...{ stdin: "null", stdout: "null" },
  }).output();
  // Deno's own note on install scripts that it does not run.
  return { code, error: new TextDecoder().decode(stderr).replace(/^╭[^]*?╰─\n/gm, "") };
}

Deno.test("each task does its work with the rights of its command, and without any one says which is missing, before the work", () =>
  withFolder(async (folder) => {
    assert.deepEqual(
      [...WORK(folder), ...OTHERS(folder)].map(([script]) => script).concat(STARTERS).sort(),
      SCRIPTS.sort(),
      "every task is tried",
    );
    await CARDIAC_CINE.writePhantoms(`${folder}/raw`, { seed: 1, count: 4, shape: [3, 48, 40] });
    for (const work of WORK(folder)) {
      const { code, error } = await run(folder, rightsIn(folder, work[0]), work);
      assert.equal(code, 0, `${work[0]}: ${error}`);
    }
    const tries = [...WORK(folder), ...OTHERS(folder)].flatMap((work) => {
      const rights = rightsIn(folder, work[0]);
      return rights.filter((right) => right.startsWith("--allow")).map((left) => ({ work, left, rights }));
    });
    for (const { work, left, rights } of tries) { // TRY
      const t = performance.now();
      const kind = left.match(/^--allow-(\w+)/)![1];
      // Without a right to anything of the environment nothing of it is left out in silence.
      const kept = rights.filter((right) => right !== left && !(kind === "env" && right === "--ignore-env"));
      const { code, error } = await run(folder, kept, work);
      console.log(work[0], left.slice(0, 30), code, ((performance.now() - t) / 1000).toFixed(1), error.slice(0, 150));
    }
  }));
