/** `config.json`: one form for writer and readers, the flat one of earlier versions translated, what is wrong told. */
import assert from "node:assert/strict";
import { differencesOf, readRunConfig, readRunConfigIfThere, writeRunConfig } from "../pipeline/records/run.ts";
import { datasetOf } from "../pipeline/datasets/datasets.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { writeJson } from "../pipeline/files/atomic.ts";
import { withFolder } from "./with_folder.ts";
import { commitOfTree } from "../pipeline/files/commit.ts";

const SPLIT = { profile: "acdc", source: "test", labeled: ["a"], unlabeled: ["b"], validation: [], test: ["c"] };

Deno.test("the flat configuration of version 0.1 is read as the present form, which is read back as it was written", () =>
  withFolder(async (folder) => {
    assert.equal(await readRunConfigIfThere(folder), null);
    await assert.rejects(() => readRunConfig(folder), /there is no such file; name a run folder/);
    await writeJson(`${folder}/config.json`, {
      ...{ dataset: "acdc", method: "ssnet", preset: "fast", iterations: 30, warmup: 20, precision: "bf16", seed: 7 },
      ...{ patch: "256x256", coarse: { patch: "128x128", iterations: 16 }, averaged: true, rateSchedule: "cosine" },
      ...{ bankRows: 8, bankKeeps: "lowest", threads: 2, device: "cpu", validateEvery: 5, saveEvery: 10 },
      ...{ cases: "data/cases/acdc", split: "s.json", run: "data/runs/x", splitContent: SPLIT, computedOn: "cpu" },
      versions: { deno: "2.9.6", tensorflow: "2.21.0" },
    });
    const config = await readRunConfig(folder);
    assert.deepEqual(config.method, { name: "ssnet", settings: { bankRows: 8, bankKeeps: "lowest" } });
    assert.deepEqual(config.training.patch, [256, 256]);
    assert.deepEqual(config.training.lowResolution, { patch: [128, 128], iterations: 16 });
    assert.deepEqual([config.training.seed, config.training.cases, config.commit], [7, "data/cases/acdc", null]);
    assert.deepEqual(config.split, SPLIT);
    await writeRunConfig(folder, { ...config, commit: "abc" });
    assert.deepEqual(await readRunConfig(folder), { ...config, commit: "abc" });
    // The same form under its first names.
    const { lowResolution: coarse, ema: averaged, ...training } = config.training;
    await writeJson(`${folder}/config.json`, { ...config, training: { ...training, coarse, averaged } });
    assert.deepEqual(await readRunConfig(folder), config);
    // Written by hand beside a checkpoint from elsewhere.
    const least = { dataset: "acdc", method: "supervised", patch: "256x256", splitContent: SPLIT };
    await writeJson(`${folder}/config.json`, least);
    assert.equal((await readRunConfig(folder)).training.preset, "paper");
    for (
      const [change, wanted] of [
        [{ patch: "256x250" }, /multiple of 16\n.*→ at training\.patch\[1\]/],
        [{ patch: "32x32x32" }, /2 multiples of 16 wanted, as in 256x256$/],
        [{ dataset: "hearts" }, /unknown dataset "hearts"; nearest is/],
        [{ splitContent: { ...SPLIT, test: ["a"] } }, /these cases stand in it twice: a/],
        [{ splitContent: undefined }, /the split/],
      ] as const
    ) {
      await writeJson(`${folder}/config.json`, { ...least, ...change });
      await assert.rejects(
        async () => datasetOf(await readRunConfig(folder), folder),
        (error) => error instanceof DataError && wanted.test(error.message),
      );
    }
  }));

Deno.test("a run differs by what decides its result, not by threads, device or place", () => {
  const stored = { seed: 1, patch: [32, 32], threads: 2, cases: "a" };
  assert.deepEqual(differencesOf(stored, { ...stored, threads: 4, cases: "b", device: "gpu" }), []);
  assert.deepEqual(differencesOf(stored, { seed: 2, patch: [32, 48], iterations: undefined }), [
    "seed: started with 1, now 2",
    "patch: started with [32,32], now [32,48]",
  ]);
  assert.match(commitOfTree() ?? "0".repeat(40), /^[0-9a-f]{40}$/);
});
