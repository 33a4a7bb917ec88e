/** The stages whose processes are killed, on phantoms small enough for hundreds of runs. @module */
import { createHash } from "node:crypto";
import { Uint8ArrayReader, Uint8ArrayWriter, ZipWriter } from "@zip.js/zip.js";
import { stream } from "../../../pipeline/arrays/random.ts";
import { DATASETS } from "../../../pipeline/datasets/datasets.ts";
import { flagsOf } from "../../../pipeline/files/flags.ts";
import type { Command } from "./processes.ts";

/** One task with what it starts from. */
export interface Stage {
  /** The name in the table. */
  name: string;
  /** The command in a folder of its own. */
  command(folder: string): Command;
  /** What the folder must hold before, by its name in the folder: copies of what earlier stages made. */
  from?: Record<string, string>;
}

const SMALL = { preset: "fast", precision: "fp32", warmup: 2, saveEvery: 2, threads: 1 };
/** The library's files as its wheels have them, a few megabytes each, which do not shrink. */
const MEMBERS = ["framework", "cc"].map((part) =>
  `tensorflow/libtensorflow_${part}${Deno.build.os === "darwin" ? ".2.dylib" : ".so.2"}`
);

/**
 * Writes the raw files of a small project and gives its stages in their order; each one's folder is `HOME/NAME`, of which
 * the next ones take their inputs.
 */
export async function smallProject(home: string): Promise<Stage[]> {
  const raw = `${home}/raw`;
  await DATASETS.la.writePhantoms(`${raw}/la`, { seed: 1, count: 10, shape: [24, 24, 24] });
  await DATASETS.acdc.writePhantoms(`${raw}/acdc`, { seed: 1, count: 6, shape: [3, 32, 32] });
  const wheel = await standInWheel(`${home}/tensorflow.whl`);
  const of = (dataset: string, args: Record<string, string | number | boolean>) => [dataset, ...flagsOf(args)];
  const casesOf = (dataset: string) => `${home}/preprocess ${dataset}/cases`,
    splitOf = (dataset: string) => `${home}/split ${dataset}/split.json`;
  const split = { testCases: 1, validationCases: 1 }, labeled: Record<string, number> = { la: 4, acdc: 2 }; // BCP takes 4 + 4
  const perDataset = Object.keys(DATASETS).flatMap((dataset): Stage[] => [{
    name: `preprocess ${dataset}`,
    command: (folder) => ({
      task: "preprocess",
      args: of(dataset, { raw: `${raw}/${dataset}`, cases: `${folder}/cases` }),
    }),
  }, {
    name: `split ${dataset}`,
    command: (folder) => ({
      task: "split",
      args: of(dataset, {
        cases: casesOf(dataset),
        split: `${folder}/split.json`,
        ...split,
        labeled: labeled[dataset],
      }),
    }),
  }, {
    name: `train ${dataset}`,
    command: (folder) => ({
      task: "train",
      args: of(dataset, {
        ...{ cases: casesOf(dataset), split: splitOf(dataset), run: `${folder}/run`, ...SMALL },
        ...dataset === "la"
          ? { method: "supervised", patch: "16x16x16", iterations: 4, validateEvery: 4 }
          : { method: "ssnet", patch: "16x16", iterations: 6, validateEvery: 3 },
      }),
    }),
  }]);
  const run = `${home}/train acdc/run`;
  return [
    {
      name: "setup",
      command: (folder) => ({ task: "stand_in_setup", args: [`${folder}/cache`, `${home}/tensorflow.whl`, wheel] }),
    },
    ...perDataset,
    {
      name: "eval",
      from: { run },
      command: (folder) => ({
        task: "eval",
        args: of("acdc", { run: `${folder}/run`, components: "auto", threads: 1 }),
      }),
    },
    {
      name: "predict",
      command: (folder) => ({
        task: "predict",
        args: [casesOf("acdc"), ...flagsOf({ run, out: `${folder}/masks`, threads: 1, probabilities: true })],
      }),
    },
    {
      name: "report",
      command: (folder) => ({ task: "report", args: [`${home}/eval/run`, "--out", `${folder}/report`] }),
    },
    {
      name: "reproduce",
      command: (folder) => ({
        task: "reproduce",
        args: flagsOf({
          ...{ scale: "ci", dataset: "acdc", method: "supervised", out: `${folder}/grid`, threads: 1 },
        }),
      }),
    },
  ];
}

/** Writes a wheel with a library that is none; what stands in the bundle of it, as JSON. */
async function standInWheel(path: string): Promise<string> {
  const zip = new ZipWriter(new Uint8ArrayWriter()), random = stream(1, "wheel");
  for (const member of MEMBERS) {
    const bytes = new Uint8Array(Float64Array.from({ length: 1 << 19 }, random).buffer);
    await zip.add(member, new Uint8ArrayReader(bytes));
  }
  const bytes = await zip.close(), sha256 = createHash("sha256").update(bytes).digest("hex");
  await Deno.writeFile(path, bytes);
  const named = { package: "tensorflow", version: "1", file: "tensorflow.whl", platform: "any" };
  return JSON.stringify({ ...named, sha256, megabytes: 8, members: MEMBERS });
}
