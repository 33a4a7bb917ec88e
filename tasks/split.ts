/**
 * `deno task split:la`: a folder of cases in, a split file out: the published lists cut to the cases that are there, or,
 * with `--test-cases`, drawn from the seed.
 */
import { z } from "zod";
import { readManifest } from "../pipeline/data/cases.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { checkSplit, countCases, drawnLists, publishedLists, type Split } from "../pipeline/data/splits.ts";
import { writeJson } from "../pipeline/runs/files.ts";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";

const options = parseOptions(
  z.strictObject({
    cases: z.string().default("data/cases/la").describe("folder of the cases"),
    split: z.string().optional().describe("file to write (default: split.json in the folder of the cases)"),
    labeled: z.int().positive().default(8).describe("cases whose labels are used: the first of the training list"),
    validationCases: z.int().nonnegative().default(0).describe("draw so many training cases for validation"),
    testCases: z.int().positive().optional().describe(
      "draw so many test cases from the seed instead of the published lists, and the labeled ones too",
    ),
    seed: z.int().nonnegative().default(1337).describe("seed of what is drawn"),
  }),
  { name: "split:la", description: "Choose labeled, unlabeled, validation and test cases", args: Deno.args },
);

async function split() {
  const { seed, testCases, validationCases } = options, path = options.split ?? `${options.cases}/split.json`;
  const { cases, sha256 } = await readManifest(options.cases);
  const choice = { cases, labeledCases: options.labeled, validationCases, seed };
  let lists: ReturnType<typeof drawnLists>;
  if (testCases) lists = drawnLists({ ...choice, testCases });
  else {
    const published = { train: await readList("train"), test: await readList("test") };
    lists = publishedLists(published, choice);
    for (const kind of ["train", "test"] as const) {
      const all = published[kind].length, here = published[kind].filter((name) => cases[name]).length;
      console.log(`published ${kind} list: ${here} of ${all} cases are here, ${all - here} are missing`);
    }
  }
  const result: Split = checkSplit({
    profile: LA.name,
    source: testCases ? `seed ${seed}` : "published lists",
    ...(testCases || validationCases ? { seed } : {}),
    manifest: sha256,
    counts: countCases(lists),
    ...lists,
  }, path);
  await writeJson(path, result);
  const told = Object.entries(result.counts!).map(([role, count]) => `${count} ${role}`).join(", ");
  console.log(`${told} cases in ${path}`);
}

async function readList(kind: "train" | "test"): Promise<string[]> {
  const list = new URL(`../data/splits/la_${kind}.list`, import.meta.url);
  return (await Deno.readTextFile(list)).split("\n").filter(Boolean);
}

await runTask(split);
