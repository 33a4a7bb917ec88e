/** The task train:la as a user runs it, on small phantoms: interrupted, resumed, refused. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { readCase, writeCase } from "../pipeline/records/case.ts";
import { fingerprintOf } from "../pipeline/datasets/prepared_case.ts";
import { writeArrays } from "../pipeline/files/hdf5.ts";
import { readLog } from "../pipeline/files/log.ts";
import { readBestDice } from "../pipeline/training/checkpoint.ts";
import type { TensorSource } from "../pipeline/files/dtypes.ts";
import { readSafetensors, writeSafetensors } from "../pipeline/files/safetensors.ts";
import { scheduleAt } from "../pipeline/training/schedule.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { writeRawHearts } from "../pipeline/datasets/acdc/phantom.ts";
import { withFolder } from "./with_folder.ts";
import { writeRunConfig } from "../pipeline/records/run.ts";
import { writeSplit } from "../pipeline/records/split.ts";
import { runConfig } from "./run_config.ts";
import { readManifest, writeManifest } from "../pipeline/records/manifest.ts";
import { DRAWS } from "../pipeline/tensorflow/ops.ts";

const SHAPE = [40, 40, 40] as const;
const rights = ["--no-prompt", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys"];

const task = (name: string) => fileURLToPath(new URL(`../tasks/${name}.ts`, import.meta.url));

/** Six phantoms, prepared and split by the tasks themselves. */
async function cases(folder: string) {
  for (const name of ["a", "b", "c", "d", "e", "f"]) {
    const { image, label } = phantom(3, name, SHAPE), shape = [...SHAPE];
    await Deno.mkdir(`${folder}/raw/${name}`, { recursive: true });
    await writeArrays(`${folder}/raw/${name}/mri_norm2.h5`, {
      image: { data: image, shape },
      label: { data: label, shape },
    });
  }
  const drawn = ["--labeled", "2", "--test-cases", "1", "--validation-cases", "1"];
  for (const [name, ...args] of [["preprocess", "--raw", `${folder}/raw`], ["split", ...drawn]]) {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", ...rights, `--allow-write=${folder}`, task(name), "la"],
        ...["--cases", `${folder}/cases`, ...args],
      ],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
  }
}

function start(folder: string, run: string, more: string[]) {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", ...rights, `--allow-write=${folder}`, task("train"), "la"],
      ...["--cases", `${folder}/cases`, "--split", `${folder}/cases/split.json`, "--run", `${folder}/${run}`],
      ...["--patch", "32x32x32", "--preset", "fast", "--precision", "fp32", "--warmup", "2"],
      ...["--validate-every", "2", ...more],
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}
async function copyFolder(from: string, to: string) {
  await Deno.mkdir(to);
  for (const { name } of Deno.readDirSync(from)) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
}
const ended = async (child: Deno.ChildProcess) => {
  const { code, stdout, stderr } = await child.output(), [out, error] = [stdout, stderr].map(decoded);
  return { code, stdout: out, stderr: error };
};
const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test(
  "train:la stops at a signal with code 75, and resumed it ends with the bits of an undisturbed run",
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      await cases(folder);
      // What a run leaves that ended before its first checkpoint is no run to go on with.
      await Deno.mkdir(`${folder}/whole`);
      const split = { profile: "la", source: "x", labeled: ["a"], unlabeled: [], validation: [], test: [] };
      await writeRunConfig(`${folder}/whole`, runConfig({ method: "ssnet", patch: [16, 16, 16], split }));
      const nothing = await ended(start(folder, "whole", ["--iterations", "5", "--resume"]));
      assert.equal(nothing.code, 2);
      assert.match(nothing.stderr, /no checkpoint yet; start it anew, without --resume/);
      const whole = await ended(start(folder, "whole", ["--iterations", "5"]));
      assert.equal(whole.code, 0, whole.stderr);
      assert.match(
        whole.stdout,
        /^ssnet on la, fast: 5 iterations, 2 of them a warm-up; patch 32x32x32, fp32\ncases: 2 /,
      );
      assert.match(
        whole.stdout,
        /\ntime: about \d+ min as .*\nmemory: about \d\.\d GB, .* are available\niteration 1\/5 /,
      );
      const large = await ended(start(folder, "large", ["--iterations", "5", "--patch", "2048x2048x2048"]));
      assert.equal(large.code, 4, large.stderr);
      assert.match(
        large.stderr,
        /2048x2048x2048: that takes about \d+\.\d GB .*; the largest patch that fits is --patch \d/,
      );
      assert.equal(await Deno.stat(`${folder}/large`).then(() => true, () => false), false, "nothing was written");
      const child = start(folder, "parts", ["--iterations", "5"]);
      const log = `${folder}/parts/metrics.jsonl`;
      while (!(await Deno.stat(log).then(({ size }) => size > 0, () => false))) {
        await new Promise((r) => setTimeout(r, 20));
      }
      child.kill("SIGTERM");
      const stopped = await ended(child);
      assert.equal(stopped.code, 75, stopped.stderr);
      assert.match(stopped.stderr, /^Finishing this step, .*\nStopped after iteration \d; go on with --resume\n$/);
      // A crash may leave the log ahead of the checkpoint: such rows are written anew.
      const row = '{"iteration":4,"total":1}', sealed = `${row.slice(0, -1)},"crc32":${crc32(row)}}`;
      await Deno.writeTextFile(log, `${sealed}\n{"iteration":5,"to`, { append: true });
      await copyFolder(`${folder}/parts`, `${folder}/ahead`);
      const other = await ended(start(folder, "parts", ["--iterations", "6", "--resume"]));
      assert.equal(other.code, 2);
      assert.match(other.stderr, /iterations: started with 5, now 6/);
      // A patient more, and another split: the run goes on with its own.
      const manifestPath = `${folder}/cases/manifest.json`, splitPath = `${folder}/cases/split.json`;
      const { checksum: _, ...manifest } = JSON.parse(await Deno.readTextFile(manifestPath)), { a } = manifest.cases;
      await Deno.writeTextFile(manifestPath, JSON.stringify({ ...manifest, cases: { ...manifest.cases, g: a } }));
      await Deno.rename(splitPath, `${splitPath}.away`);
      const resumed = await ended(start(folder, "parts", ["--resume"]));
      assert.equal(resumed.code, 0, resumed.stderr);
      await Deno.rename(`${splitPath}.away`, splitPath);
      assert.deepEqual((await readLog(log)).map((row) => row.iteration), [1, 2, 3, 4, 5]);
      const bits = async (path: string) =>
        createHash("sha256").update(await Deno.readFile(`${folder}/${path}.safetensors`)).digest("hex");
      for (const name of ["last", "best", "state"]) {
        assert.equal(await bits(`parts/${name}`), await bits(`whole/${name}`));
      }
      const validated = await readLog(`${folder}/parts/validation.jsonl`);
      assert.deepEqual(validated.map((row) => row.iteration), [4, 5]); // the warm-up ends with 2
      assert.deepEqual(validated, await readLog(`${folder}/whole/validation.jsonl`));
      assert.equal(
        await readBestDice(`${folder}/parts/best.safetensors`),
        Math.max(...validated.map(({ dice }) => dice!)),
      );
      assert.equal(await Deno.readTextFile(`${folder}/parts/DONE`), "5\n");
      // A network that was kept before the crash, of a Dice that none of the repeated iterations reaches.
      await writeSafetensors(`${folder}/ahead/best.safetensors`, {}, { iteration: "5", dice: "1" });
      const kept = await bits("ahead/best");
      const ahead = await ended(start(folder, "ahead", ["--iterations", "5", "--resume"]));
      assert.equal(ahead.code, 0, ahead.stderr);
      assert.equal(await bits("ahead/best"), kept);
      assert.equal(await bits("ahead/last"), await bits("whole/last"));
      // A state of more iterations than the run has empties no log.
      const { tensors } = await readSafetensors(`${folder}/ahead/state.safetensors`), kept5 = await Deno.readFile(log);
      const sources = Object.entries(tensors).flatMap(([name, { shape, dtype, values }]): [string, TensorSource][] =>
        dtype === "F32" ? [[name, { shape, dtype, values }]] : []
      );
      await writeSafetensors(`${folder}/parts/state.safetensors`, Object.fromEntries(sources), {
        ...{ iteration: "999999", draws: DRAWS },
      });
      const beyond = await ended(start(folder, "parts", ["--iterations", "5", "--resume"]));
      assert.equal(beyond.code, 3, beyond.stderr);
      assert.match(beyond.stderr, /its state.safetensors is of iteration 999999, the run has 5; it is damaged/);
      assert.deepEqual(await Deno.readFile(log), kept5);
      const short = await ended(start(folder, "short", ["--iterations", "2"]));
      assert.equal(short.code, 2);
      assert.match(short.stderr, /2 iterations of which 2 are a warm-up: ssnet would never run/);
      const again = await ended(start(folder, "whole", ["--iterations", "5"]));
      assert.equal(again.code, 2);
      assert.match(again.stderr, /it holds a run; go on with --resume/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("train:la names every labeled case without a label and every missing case, with code 3", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await cases(folder);
    const split = JSON.parse(await Deno.readTextFile(`${folder}/cases/split.json`));
    const [bare] = split.labeled, [gone] = split.unlabeled, path = `${folder}/cases/${bare}.h5`;
    const one = { ...await readCase(path, bare), label: null }, source = { file: "x", sha256: "0" };
    await writeCase(path, one, source);
    const { sha256: _, ...manifest } = await readManifest(`${folder}/cases`);
    manifest.cases[bare] = fingerprintOf(one, one, { sources: [source], classes: 2 });
    await writeManifest(`${folder}/cases`, manifest);
    await writeSplit(`${folder}/cases/split.json`, { ...split, hashes: undefined }); // as one made by hand
    await Deno.remove(`${folder}/cases/${gone}.h5`);
    const { code, stderr } = await ended(start(folder, "run", ["--iterations", "3"]));
    assert.equal(code, 3, stderr);
    assert.match(stderr, new RegExp(`"${bare}" as a labeled case: its label is missing or empty`));
    assert.match(stderr, new RegExp(`${gone}\\.h5`));
    assert.equal(await Deno.stat(`${folder}/run`).then(() => true, () => false), false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("train:la refuses a split with too few cases for a batch before it makes a run folder", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await cases(folder);
    const path = `${folder}/cases/split.json`, split = JSON.parse(await Deno.readTextFile(path));
    split.unlabeled.pop();
    split.counts.unlabeled = split.unlabeled.length;
    await Deno.writeTextFile(path, JSON.stringify(split));
    const { code, stderr } = await ended(start(folder, "run", ["--iterations", "3"]));
    assert.equal(code, 3, stderr);
    assert.match(stderr, /2 unlabeled cases wanted, 1 found/);
    assert.equal(await Deno.stat(`${folder}/run`).then(() => true, () => false), false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("fast on ACDC begins with smaller slices, of the labeled-only method too, and a patch of one's own is not made smaller", () =>
  withFolder(async (folder) => {
    await writeRawHearts(`${folder}/raw`, { seed: 5, count: 4, shape: [4, 48, 40] });
    const run = async (name: string, args: string[]) => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", ...rights, `--allow-write=${folder}`, task(name), "acdc", "--cases", `${folder}/cases`, ...args],
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    };
    await run("preprocess", ["--raw", `${folder}/raw`]);
    await run("split", ["--labeled", "2", "--test-cases", "1", "--validation-cases", "1"]);
    const train = async (name: string, ...args: string[]) => {
      const to = ["--split", `${folder}/cases/split.json`, "--run", `${folder}/${name}`];
      await run("train", [...to, "--method", "supervised", "--preset", "fast", "--precision", "fp32", ...args]);
      return JSON.parse(await Deno.readTextFile(`${folder}/${name}/config.json`));
    };
    const { training: { augmentation, lowResolution, patch } } = await train(
      ...["coarse", "--iterations", "3", "--validate-every", "1"] as const,
    );
    assert.equal(augmentation, "strong");
    assert.deepEqual({ lowResolution, patch }, {
      lowResolution: { patch: [128, 128], iterations: 2 },
      patch: [256, 256],
    });
    const losses = (await readLog(`${folder}/coarse/metrics.jsonl`)).map(({ total }) => total!);
    assert.ok(losses.length === 3 && losses.every(Number.isFinite));
    const validated = await readLog(`${folder}/coarse/validation.jsonl`);
    assert.deepEqual(validated.map(({ iteration }) => iteration), [3], "networks of smaller slices are not validated");
    assert.equal((await train("own", "--iterations", "1", "--patch", "64x64")).training.lowResolution, null);
  }));

Deno.test("every signal that ends a training leaves a run to go on with and to evaluate; what is wrong with it is told", () =>
  withFolder(async (folder) => {
    await writeRawHearts(`${folder}/raw`, { seed: 5, count: 5, shape: [3, 48, 40] });
    const begin = (name: string, args: string[], dataset = "acdc") =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", ...rights, `--allow-write=${folder}`, task(name), dataset, ...args],
        ...{ stdout: "piped", stderr: "piped" },
      }).spawn();
    const cases = ["--cases", `${folder}/cases`], run = `${folder}/run`, split = `${folder}/cases/split.json`;
    assert.equal((await ended(begin("preprocess", [...cases, "--raw", `${folder}/raw`]))).code, 0);
    const lists = ["--labeled", "3", "--test-cases", "1", "--validation-cases", "1"];
    assert.equal((await ended(begin("split", [...cases, ...lists]))).code, 0);
    const of = [...cases, "--split", split, "--run", run];
    const long = ["--method", "supervised", "--patch", "16x16", "--iterations", "100000", "--validate-every", "100000"];
    const train = (...args: string[]) => begin("train", [...of, ...long, ...args]);
    /** Sends the signal as soon as something is there; a child that has ended is left to the check of its code. */
    const signalWhen = async (child: Deno.ChildProcess, signal: Deno.Signal, isThere: () => boolean) => {
      let isRunning = true;
      const answer = ended(child).finally(() => isRunning = false);
      while (isRunning && !isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
      if (isRunning) child.kill(signal);
      return await answer;
    };
    const size = () => Deno.lstatSync(`${run}/metrics.jsonl`).size;

    const hasRow = () => existsSync(`${run}/metrics.jsonl`) && size() > 0;
    const hungUp = await signalWhen(train(), "SIGHUP", hasRow);
    assert.deepEqual([hungUp.code, hungUp.stderr.split(",")[0]], [75, "Finishing this step"]);

    const rows = await readLog(`${run}/metrics.jsonl`), gap = rows.slice(0, -1), last = rows.length;
    await Deno.writeTextFile(`${run}/metrics.jsonl`, gap.map((row) => JSON.stringify(row) + "\n").join(""));
    const before = size();
    const signaled = await signalWhen(train("--resume"), "SIGUSR1", () => size() > before);
    assert.equal(signaled.code, 75, signaled.stderr);
    assert.ok(signaled.stderr.includes(`metrics.jsonl lacks iterations ${last};`), signaled.stderr);

    const hasPart = () => [...Deno.readDirSync(run)].some(({ name }) => name.endsWith(".part"));
    const stopped = await signalWhen(begin("evaluate", ["--run", run, "--checkpoint", "last"]), "SIGINT", hasPart);
    assert.equal(stopped.code, 75, stopped.stderr);
    assert.match(
      stopped.stderr,
      /has not ended: .* last checkpoint, after iteration \d+ of 100000\nStopped; nothing is left/,
    );
    const names = [...Deno.readDirSync(run)].map(({ name }) => name).sort();
    assert.deepEqual(names, [
      "config.json",
      "last.safetensors",
      "metrics.jsonl",
      "state.safetensors",
      "validation.jsonl",
    ]);

    const answers = async (child: Deno.ChildProcess, code: number, wanted: RegExp) => {
      const answer = await ended(child);
      assert.equal(answer.code, code, answer.stderr);
      assert.match(answer.stderr, wanted);
    };
    await answers(begin("evaluate", ["--run", run], "la"), 3, /it is one of acdc; run deno task eval acdc/);
    await answers(begin("train", of, "la"), 2, /it holds a run of acdc; go on with it by deno task train acdc/);
    const fresh = [...of.slice(0, -1), `${folder}/fresh`];
    await answers(begin("train", fresh, "la"), 3, /split\.json" for la: it is of acdc/);
    const { checksum: _, ...config } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
    const ofVolumes = { ...config.training, patch: [32, 32, 32] };
    await Deno.writeTextFile(
      `${run}/config.json`,
      JSON.stringify({ ...config, training: { ...config.training, patch: [32, 32, 32] } }),
    );
    await answers(begin("evaluate", ["--run", run]), 3, /2 multiples of 16 wanted, as in 256x256/);
    await Deno.writeTextFile(`${run}/config.json`, JSON.stringify({ ...config, dataset: "la", training: ofVolumes }));
    await answers(train("--resume"), 2, /it holds a run of la; go on with it by deno task train la/);
    await Deno.writeTextFile(`${run}/config.json`, JSON.stringify(config));
    await Deno.remove(`${run}/state.safetensors`);
    for (const args of [[], ["--resume"]]) {
      await answers(train(...args), 2, /without the state.*evaluate it, move it away/);
    }
    await Deno.writeTextFile(split, (await Deno.readTextFile(split)).replace('"acdc"', '"hearts"'));
    await answers(begin("train", [...fresh, ...long]), 3, /it is of hearts/);
  }));

Deno.test("a step that is not finite ends a training with code 5, checkpoint, iteration and culprit, or is left out and counted", () =>
  withFolder(async (folder) => {
    const large = "d";
    for (const name of ["a", "b", "c", large, "e", "f"]) {
      const { image, label } = phantom(3, name, SHAPE), shape = [...SHAPE];
      await Deno.mkdir(`${folder}/raw/${name}`, { recursive: true });
      await writeArrays(`${folder}/raw/${name}/mri_norm2.h5`, {
        image: { data: name === large ? image.map((value) => value * 1e30) : image, shape }, // its variance is no float32
        label: { data: label, shape },
      });
    }
    const run = async (name: string, args: string[], code = 0) => {
      const answer = await ended(
        new Deno.Command(Deno.execPath(), {
          args: ["run", ...rights, `--allow-write=${folder}`, task(name), "la", ...args],
          ...{ stdout: "piped", stderr: "piped" },
        }).spawn(),
      );
      assert.equal(answer.code, code, answer.stderr);
      return answer.stderr;
    };
    const cases = ["--cases", `${folder}/cases`];
    await run("preprocess", [...cases, "--raw", `${folder}/raw`]);
    await run("split", [...cases, "--labeled", "4", "--test-cases", "1"]);
    const { labeled } = JSON.parse(await Deno.readTextFile(`${folder}/cases/split.json`));
    assert.ok(labeled.includes(large), `${labeled}`);
    // Four labeled cases are two batches an epoch: the large one is in every other step.
    const train = (to: string, more: string[], code?: number) =>
      run("train", [
        ...[...cases, "--run", `${folder}/${to}`, "--method", "supervised", "--patch", "16x16x16"],
        ...["--iterations", "6", "--save-every", "1", ...more],
      ], code);
    const seed = ["--seed", "2"]; // the first step is a good one
    const stopped = await train("run", seed, 5);
    assert.match(stopped, /^Training diverged at iteration 2, not finite: .*running statistic encoder\./m);
    assert.match(
      stopped,
      /the checkpoint after iteration 1 is kept\..* --resume --nan skip, which leaves such steps out/,
    );
    const resumed = await train("run", ["--resume", "--nan", "skip"]);
    assert.match(resumed, /note: the step of iteration 2 is left out, not finite: /);
    assert.match(resumed, /note: 3 steps of 6 left out/);
    await train("whole", [...seed, "--nan", "skip"]);
    for (const name of ["last", "state"]) {
      const [one, other] = await Promise.all(
        ["run", "whole"].map((to) => Deno.readFile(`${folder}/${to}/${name}.safetensors`)),
      );
      assert.ok(one.every((byte, i) => byte === other[i]), name);
    }
    const rows = await readLog(`${folder}/run/metrics.jsonl`);
    assert.deepEqual(rows.map(({ iteration }) => iteration), [1, 2, 3, 4, 5, 6]);
    assert.equal(rows.filter(({ skipped }) => skipped === 1).length, 3);
    await run("evaluate", ["--run", `${folder}/run`]);
    const metrics = JSON.parse(await Deno.readTextFile(`${folder}/run/evaluation-running/metrics.json`));
    assert.equal(metrics.skippedSteps, 3);
  }));

Deno.test("a short training sees the whole ramp and every step of the rate", () => {
  const short = { profile: LA, iterations: 150, warmup: 0, rateSchedule: "published" } as const;
  const first = { weight: Math.exp(-5), learningRate: 0.01, publishedIterations: 0 };
  assert.deepEqual(scheduleAt(1, { ...short, iterations: 15000 }), first);
  assert.equal(scheduleAt(150, short).weight, 1);
  assert.deepEqual([25, 26, 150].map((i) => scheduleAt(i, short).learningRate), [0.01, 0.001, 0.01 * 0.1 ** 5]);
  const warm = { ...short, iterations: 160, warmup: 60, rateSchedule: "cosine" } as const;
  assert.deepEqual([8, 160].map((i) => scheduleAt(i, warm)), [
    { weight: 0, learningRate: 0.02, publishedIterations: 0 },
    { weight: 1, learningRate: 0, publishedIterations: 14850 },
  ]);
  assert.deepEqual([8, 160].map((i) => scheduleAt(i, { ...warm, rateSchedule: "constant" }).learningRate), [
    0.01,
    0.01,
  ]);
});

Deno.test("a rate of its own begins behind the warm-up, a polynomial one ends near nothing", () => {
  const course = { iterations: 2300, warmup: 800, rateSchedule: "published" } as const;
  const rates = (profile: Parameters<typeof scheduleAt>[1]["profile"], iterations: number[]) =>
    iterations.map((i) => scheduleAt(i, { profile, ...course }).learningRate);
  assert.deepEqual(rates(LA, [800, 801, 1050, 1051]), [0.01, 0.01, 0.01, 0.001]);
  const [warm, start, half, end] = rates({ ...LA, learningRate: { base: 0.01, power: 0.9 } }, [1, 801, 1551, 2300]);
  assert.deepEqual([warm, start], [0.01, 0.01]);
  assert.ok(Math.abs(half - 0.01 * (1 - 7499 / 15000) ** 0.9) < 1e-15);
  assert.ok(end < 2e-5);
});
