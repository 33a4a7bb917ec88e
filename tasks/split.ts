/**
 * `deno task split:la`: a folder of cases in, `split.json` out: the published lists cut to the cases that are there,
 * or, with `--test-cases`, drawn from the seed.
 */
import { z } from "zod";
import { DataError } from "../pipeline/data/cases.ts";
import { LA } from "../pipeline/data/profiles.ts";
import { checkSplit, type Split } from "../pipeline/data/splits.ts";
import { parseOptions, runTask } from "../pipeline/runs/options.ts";
import { permutation, stream } from "../pipeline/runs/random.ts";
import { writeAtomically } from "../pipeline/runs/safetensors.ts";

const options = parseOptions(
  z.strictObject({
    cases: z.string().default("data/cases/la").describe("folder of the cases"),
    labeled: z.int().positive().default(8).describe("cases whose labels are used: the first of the training list"),
    testCases: z.int().positive().optional().describe(
      "draw so many test cases from the seed instead of the published lists",
    ),
    seed: z.int().nonnegative().default(1337).describe("seed of a drawn split"),
  }),
  { name: "split:la", description: "Choose labeled, unlabeled and test cases", args: Deno.args },
);

async function split() {
  const here = [...Deno.readDirSync(options.cases)].filter((f) => f.name.endsWith(".h5")).map((f) =>
    f.name.slice(0, -3)
  ).sort();
  let train: string[], test: string[], source: string;
  if (options.testCases) {
    const order = permutation(here.length, stream(options.seed, "split")).map((i) => here[i]);
    [test, train] = [order.slice(0, options.testCases), order.slice(options.testCases)];
    source = `seed ${options.seed}`;
  } else {
    const listed = async (kind: string) =>
      (await Deno.readTextFile(new URL(`../data/splits/la_${kind}.list`, import.meta.url))).split("\n").filter(Boolean);
    const lists = { train: await listed("train"), test: await listed("test") };
    const missing = lists.train.slice(0, options.labeled).filter((name) => !here.includes(name));
    if (missing.length) {
      throw new DataError(
        `Cannot label the first ${options.labeled} published training cases: missing in "${options.cases}" are ${
          missing.join(", ")
        }`,
      );
    }
    [train, test] = [lists.train, lists.test].map((list) => list.filter((name) => here.includes(name)));
    console.log(
      `published lists: ${train.length} of ${lists.train.length} training and ${test.length} of ${lists.test.length} test cases are here`,
    );
    source = "published lists";
  }
  if (train.length < options.labeled) {
    throw new DataError(`Cannot label ${options.labeled} cases: only ${train.length} training cases are here`);
  }
  const result: Split = checkSplit({
    profile: LA.name,
    source,
    labeled: train.slice(0, options.labeled),
    unlabeled: train.slice(options.labeled),
    validation: [],
    test,
  }, source);
  const path = `${options.cases}/split.json`;
  await writeAtomically(path, [new TextEncoder().encode(JSON.stringify(result, null, 2) + "\n")]);
  console.log(
    `${result.labeled.length} labeled, ${result.unlabeled.length} unlabeled, ${test.length} test cases in ${path}`,
  );
}

await runTask(split);
