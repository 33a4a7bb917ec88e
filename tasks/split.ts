/**
 * `deno task split:la`, `split:acdc`: a folder of cases in, a split file out: the published lists cut to what is there, or,
 * with `--test-cases`, drawn from the seed. ACDC is chosen and counted by patient, so that no patient stands in two parts.
 */
import { z } from "zod";
import { DataError, patientOf, readManifest } from "../pipeline/data/cases.ts";
import { type DatasetName, PROFILES } from "../pipeline/data/profiles.ts";
import {
  checkSplit,
  countCases,
  countPatients,
  drawnLists,
  type Lists,
  type PublishedLists,
  publishedLists,
  type Split,
} from "../pipeline/data/splits.ts";
import { writeJson } from "../pipeline/runs/files.ts";
import { EXIT, parseOptions, pathOption, runTask } from "../pipeline/runs/options.ts";
import { homePath } from "../pipeline/runs/places.ts";

const [dataset, ...args] = Deno.args, profile = PROFILES[dataset as DatasetName];
const unit = profile.name === "acdc" ? "patient" : "case", defaultLabeled = profile.name === "acdc" ? 7 : 8;
const options = parseOptions(
  z.strictObject({
    cases: pathOption().default(homePath(`cases/${dataset}`)).describe("folder of the cases"),
    split: pathOption().optional().describe("file to write (default: split.json in the folder of the cases)"),
    labeled: z.int().positive().default(defaultLabeled).describe(
      `${unit}s whose labels are used: the first of the training list`,
    ),
    validationCases: z.int().nonnegative().optional().describe(
      `draw so many ${unit}s for validation, where no published list names them`,
    ),
    testCases: z.int().positive().optional().describe(
      `draw so many test ${unit}s from the seed instead of the published lists, and the labeled ones too`,
    ),
    seed: z.int().nonnegative().default(1337).describe("seed of what is drawn"),
  }),
  { name: `split:${dataset}`, description: `Choose labeled, unlabeled, validation and test ${unit}s`, args },
);

/** Files of the published lists. */
const LISTS = {
  la: { train: "la_train", test: "la_test" },
  acdc: { train: "acdc_train_patients", validation: "acdc_val_patients", test: "acdc_test_patients" },
};

async function split(): Promise<number> {
  const { seed, labeled, testCases, validationCases } = options, path = options.split ?? `${options.cases}/split.json`;
  const manifest = await readManifest(options.cases), { cases, sha256 } = manifest;
  if (manifest.dataset !== dataset) {
    throw new DataError(`Cannot split "${options.cases}" for ${dataset}: its cases are of ${manifest.dataset}`);
  }
  const choice = { cases, unit, labeled, validation: validationCases ?? 0, seed } as const;
  let lists: Lists;
  if (testCases) lists = drawnLists({ ...choice, test: testCases });
  else {
    const published = await readLists();
    if (published.validation && validationCases !== undefined) {
      console.error("Cannot draw --validation-cases beside a published validation list; give --test-cases too");
      return EXIT.usage;
    }
    lists = publishedLists(published, choice);
    const here = new Set(Object.keys(cases).map((name) => unit === "patient" ? patientOf(name) : name));
    for (const [kind, all] of Object.entries<string[]>({ ...published })) {
      const found = all.filter((name) => here.has(name)).length;
      console.log(
        `published ${kind} list: ${found} of ${all.length} ${unit}s are here, ${all.length - found} are missing`,
      );
    }
  }
  const slices = lists.labeled.reduce((sum, name) => sum + cases[name].shape[0], 0); // ACDC: Z first
  const counts = countCases(lists), patients = countPatients(lists);
  const result: Split = {
    profile: dataset,
    source: testCases ? `seed ${seed}` : "published lists",
    ...(testCases || validationCases ? { seed } : {}),
    manifest: sha256,
    counts,
    ...(unit === "patient" && { patients, labeledSlices: slices }),
    ...lists,
  };
  await writeJson(path, checkSplit(result, path));
  const told = Object.entries(unit === "patient" ? patients : counts).map(([role, count]) => `${count} ${role}`);
  console.log(`${told.join(", ")} ${unit}s${unit === "patient" ? `, ${slices} labeled slices` : ""} in ${path}`);
  return EXIT.done;
}

async function readLists(): Promise<PublishedLists> {
  const lists: Record<string, string[]> = {};
  for (const [kind, name] of Object.entries(LISTS[profile.name])) {
    const text = await Deno.readTextFile(new URL(`../data/splits/${name}.list`, import.meta.url));
    lists[kind] = text.split("\n").filter(Boolean);
  }
  return lists as unknown as PublishedLists;
}

await runTask(split);
