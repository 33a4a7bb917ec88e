/** `gpu-check` with a stand-in for `deno`, which prints what the tasks would, and one for the timing of the authors' code. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { findLibrary } from "../pipeline/tensorflow/library.ts";
import { PRECISIONS } from "../pipeline/tensorflow/precision.ts";
import { withFolder } from "./with_folder.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url)), linux = { ignore: Deno.build.os !== "linux" };

/** What `bench step --json` prints, with the seconds in FAKE_STEP. */
const MEASUREMENT = JSON.stringify({
  ...{ kind: "step", peakMemoryGb: 1, cpu: "none", versions: { deno: "2", tensorflow: "2.21.0" } },
  stepSeconds: { minimum: 0.1, median: 0.1, all: [0.1] },
});
/** Conformance fails a spec, ACDC's steps never end, the training stops at its first task. */
const FAKE_DENO = `#!/bin/sh
case "$*" in
*doctor*) echo "processor     none"; echo "results       in the memory of /device:GPU:0";;
*parity*) echo "a b: error 1, limit 2: passed"; echo "2 passed, 0 failed";;
*conformance*) echo "failed: exp int32"; echo "  why"; echo "1 passed, 1 failed"; exit 1;;
*--pool*) echo "Cannot run a step: TensorFlow says: OOM when allocating tensor" >&2; exit 4;;
*"--dataset la"*) echo '${MEASUREMENT}';;
*"--dataset acdc"*) sleep 100 & wait;;
*) echo "Task $3" >&2; echo "no $3 here" >&2; exit 3;;
esac
`;
/** Theirs: 0.2 s, but for a measurement that fails. */
const FAKE_PYTHON = `#!/bin/sh
for mode in fp32 tf32; do
  echo "{\\"data\\": \\"$4\\", \\"cl\\": true, \\"mode\\": \\"$mode\\", \\"what\\": \\"step\\", \\"min\\": 0.2, \\"peak_gb\\": 6}"
done
echo "{\\"data\\": \\"$4\\", \\"cl\\": true, \\"mode\\": \\"bf16\\", \\"what\\": \\"step\\", \\"error\\": \\"out of memory\\"}"
`;

/** @param stopAt What it starts when it is stopped. */
async function check(folder: string, args: string[], stopAt?: string) {
  for (const [name, script] of Object.entries({ deno: FAKE_DENO, python3: FAKE_PYTHON })) {
    await Deno.writeTextFile(`${folder}/${name}`, script, { mode: 0o755 });
  }
  const rights = ["--no-prompt", "--no-check", "--allow-read", "--allow-env", "--allow-run", `--allow-write=${folder}`];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...rights, "tasks/tools/gpu_check.ts", ...args],
    cwd: ROOT,
    env: {
      SSNET_TENSORFLOW: findLibrary("cpu").folder,
      TMPDIR: folder,
      PATH: `${folder}:${dirname(Deno.execPath())}:/usr/bin:/bin`,
    },
    ...{ stdout: "piped", stderr: "piped" },
  }).spawn();
  const out = new Response(child.stdout).text();
  let error = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    const isOver = stopAt !== undefined && error.includes(stopAt);
    error += text;
    if (stopAt !== undefined && !isOver && error.includes(stopAt)) child.kill("SIGTERM");
  }
  return { code: (await child.status).code, error, report: JSON.parse(await out) };
}

Deno.test(
  "gpu-check tells of every part, whatever became of the others, and of the figures that it could measure",
  linux,
  () =>
    withFolder(async (folder) => {
      const { code, error, report: { passed, parts, figures } } = await check(folder, [
        "theirs.py",
        "ref",
        "--seconds",
        "6",
      ]);
      strictEqual(code, 1, error);
      strictEqual(passed, false);
      ok(parts.doctor.passed && parts.parity.passed);
      deepStrictEqual(parts.parity.checks, { passed: 2, failed: 0 });
      const { conformance, training } = parts;
      deepStrictEqual([conformance.passed, conformance.failures], [false, ["failed: exp int32"]]);
      deepStrictEqual(conformance.checks, { passed: 1, failed: 1 });
      for (const precision of PRECISIONS) strictEqual(parts[`step la ${precision}`].stepSeconds.minimum, 0.1);
      const { passed: isNoFault, fits, refusal } = parts["step la bf16, 4 GB"];
      deepStrictEqual([isNoFault, fits], [true, false]);
      match(refusal, /OOM/);
      strictEqual(parts["theirs la"].rows.length, 3);
      match(parts["theirs la"].problem, /out of memory/);
      match(parts["step acdc fp32"].problem, /^took more than \d s$/);
      match(training.problem, /^not begun: the 6 s are over$/);
      const found = figures.map(({ name, found, reached }: Record<string, unknown>) => [name, found, reached]);
      deepStrictEqual(found.slice(0, 1), [["la step bf16 / theirs channels-last bf16", null, null]]);
      deepStrictEqual(found[2], ["la step fp32 / theirs channels-last fp32", 0.5, true]);
      deepStrictEqual(found.slice(3), [
        ["acdc step tf32 / the best of theirs tf32", null, null],
        ["acdc step bf16 / the best of theirs bf16", null, null],
        ["la step bf16 within a pool, GB", null, false],
      ]);
      match(error, /la step fp32 .*: 0\.5, wanted 1\n/);
      deepStrictEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["deno", "python3"]);
    }),
);

Deno.test(
  "a gpu-check that is stopped ends its part and prints what it has",
  linux,
  () =>
    withFolder(async (folder) => {
      const { code, report: { parts } } = await check(folder, [], "--dataset acdc");
      strictEqual(code, 75);
      strictEqual(parts["step acdc fp32"].problem, "was stopped");
      strictEqual(parts.training.problem, "not begun: stopped");
      ok(!("theirs la" in parts));
    }),
);

Deno.test(
  "gpu-check wants the authors' code with the program that times it",
  linux,
  () =>
    withFolder(async (folder) => {
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--no-check",
          "--allow-read",
          "--allow-env",
          "tasks/tools/gpu_check.ts",
          "theirs.py",
        ],
        cwd: ROOT,
        env: { TMPDIR: folder },
      });
      const { code, stderr } = await child.output();
      strictEqual(code, 2);
      match(new TextDecoder().decode(stderr), /a copy of the authors' code is wanted behind/);
    }),
);
