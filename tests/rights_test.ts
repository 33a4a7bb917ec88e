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
const WORK = (folder: string, training = "run"): [script: string, args: string[]][] => {
  const cases = ["--cases", `${folder}/cases`], run = `${folder}/run`;
  const place = ["acdc", ...cases, "--run", `${folder}/${training}`];
  return [
    ["tasks/setup.ts", []],
    ["tasks/preprocess.ts", ["acdc", "--raw", `${folder}/raw`, ...cases]],
    ["tasks/split.ts", ["acdc", ...cases, "--labeled", "2", "--test-cases", "1"]],
    ["tasks/train.ts", [...place, "--method", "supervised", "--patch", "16x16", "--iterations", "1"]],
    ["tasks/evaluate.ts", ["acdc", "--run", run, "--checkpoint", "last"]],
    ["tasks/predict.ts", [
      `${folder}/cases/patient001_frame01.h5`,
      "--run",
      run,
      "-o",
      `${folder}/masks`,
      "--checkpoint",
      "last",
    ]],
    ["tasks/score.ts", [`${run}/evaluation-running`, `${folder}/cases`, "--out", `${folder}/scores`]],
    ["tasks/export.ts", [run, "--checkpoint", "last"]],
    ["tasks/report.ts", [run, "--out", `${folder}/report`]],
  ];
};
/**
 * The tools and what takes minutes, which other tests and the suite itself run: with the rights that these arguments soon
 * need. The others come behind minutes of work, or with what a machine has (setup's, of a library that Python has).
 */
const OTHERS = (folder: string): [script: string, args: string[], kinds: string[]][] => [
  ["tasks/demo.ts", [], ["read", "write", "env"]],
  ["tasks/doctor.ts", [], ["read", "ffi", "env", "sys"]],
  ["tasks/reproduce.ts", ["--scale", "ci", "--out", `${folder}/grid`], ["read", "write", "env", "sys"]],
  ["tasks/tools/bench.ts", ["metrics", "--iterations", "1"], ["read", "env", "sys"]],
  ["tasks/tools/bench.ts", ["all"], ["run"]],
  ["tasks/tools/profile.ts", ["--trace", `${folder}/trace.json`], ["write", "ffi", "env"]],
  ["tasks/tools/fuzz.ts", [], ["write", "env"]],
  ["tasks/tools/soak.ts", [], ["write", "env"]],
  ["tasks/tools/faults.ts", [], ["write", "env"]],
  ["tasks/tools/parity.ts", [], ["read", "ffi", "env"]],
  ["tasks/tools/conformance.ts", [], ["ffi", "env"]],
  ["tasks/tools/dependencies.ts", [], ["read", "env", "run"]],
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
      new Set([...[...WORK(folder), ...OTHERS(folder)].map(([script]) => script), ...STARTERS]),
      new Set(SCRIPTS),
      "every task is tried",
    );
    await CARDIAC_CINE.writePhantoms(`${folder}/raw`, { seed: 1, count: 4, shape: [3, 48, 40] });
    for (const work of WORK(folder)) {
      const { code, error } = await run(folder, rightsIn(folder, work[0]), work);
      assert.equal(code, 0, `${work[0]}: ${error}`);
    }
    const all = [...WORK(folder, "another").map(([script, args]) => [script, args, null] as const), ...OTHERS(folder)];
    const tries = all.flatMap(([script, args, kinds]) => {
      const rights = rightsIn(folder, script).filter((right) => right.startsWith("--allow"));
      return rights.map((left) => ({ script, args, left, kind: left.match(/^--allow-(\w+)/)![1] })).filter(({ kind }) =>
        kinds?.includes(kind) ?? (script !== "tasks/setup.ts" || kind !== "ffi")
      );
    });
    const attempt = async ({ script, args, left, kind }: typeof tries[number]) => {
      // Without a right to anything of the environment nothing of it is left out in silence.
      const gone = kind === "env" ? [left, "--ignore-env"] : [left];
      const kept = rightsIn(folder, script).filter((right) => !gone.includes(right));
      const { code, error } = await run(folder, kept, [script, args]);
      const isTold = new RegExp(`^Requires ${kind} access to |^Cannot write to "`, "m").test(error);
      return code !== 0 && isTold && !/^ {4}at /m.test(error) ? [] : [`${script} without ${left}: ${code} ${error}`];
    };
    const problems: string[] = [], queue = tries.values();
    const turns = Array.from({ length: 2 }, async () => {
      for (const one of queue) problems.push(...await attempt(one));
    });
    await Promise.all(turns);
    assert.deepEqual(problems, []);
  }));

Deno.test("of the environment tasks may read what the project's files name, and nothing in silence of the rest", () => {
  const sources = ["pipeline", "tasks"].flatMap((folder) => textsIn(`${ROOT}/${folder}`)).join("\n");
  for (const [, list] of text.matchAll(/--allow-env=(\S+) (?=--ignore-env)/g)) {
    const unread = list.split(",").filter((name) => !sources.includes(`"${name}"`));
    assert.deepEqual(unread, [], list);
  }
  assert.ok(!/--allow-env=\S+ (?!--ignore-env)/.test(text), "a variable that is not listed must not be asked for");
  assert.ok(!/(-A|--allow-all|--allow-scripts)\b/.test(text));
});

function textsIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? textsIn(`${folder}/${name}`)
      : name.endsWith(".ts")
      ? [Deno.readTextFileSync(`${folder}/${name}`)]
      : []
  );
}
