/**
 * `deno task split:la`, `split:acdc`: a folder of cases in, a split file out: the published lists cut to what is there, or,
 * with `--test-cases`, drawn from the seed. ACDC is chosen and counted by patient, so that no patient stands in two parts.
 */
import { z } from "zod";
import { patientOf } from "../pipeline/records/case.ts";
import { duplicatesBetween } from "../pipeline/data/duplicates.ts";
import { bindingTo, countCases, countPatients, type Lists, type Split, writeSplit } from "../pipeline/records/split.ts";
import { EXIT, parseDataset, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { homePath } from "../pipeline/files/places.ts";
import { counted, listed } from "../pipeline/files/words.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { type Manifest, readManifest } from "../pipeline/records/manifest.ts";
import { drawnLists, parseList, type PublishedLists, publishedLists } from "../pipeline/datasets/lists.ts";

const { dataset: { name: dataset, unit, usualLabeledCount, lists: listFiles }, args } = parseDataset(
  "split",
  Deno.args,
);
const options = parseOptions(
  z.strictObject({
    cases: pathOption().default(homePath(`cases/${dataset}`)).describe("folder of the cases"),
    split: pathOption().optional().describe("file to write (default: split.json in the folder of the cases)"),
    labeled: z.int().positive().default(usualLabeledCount).describe(
      `${unit}s whose labels are used: the first of the training list`,
    ),
    validationCases: z.int().nonnegative().optional().describe(
      `draw so many ${unit}s for validation, where no published list names them`,
    ),
    testCases: z.int().positive().optional().describe(
      `draw so many test ${unit}s from the seed instead of the published lists, and the labeled ones too`,
    ),
    allowDuplicates: z.boolean().default(false).describe("split also where two cases have the same image or label"),
    seed: z.int().nonnegative().default(1337).describe("seed of what is drawn"),
  }),
  { name: `split:${dataset}`, description: `Choose labeled, unlabeled, validation and test ${unit}s`, args },
);

async function split(): Promise<number> {
  const { seed, labeled, testCases, validationCases } = options, path = options.split ?? `${options.cases}/split.json`;
  const manifest = await readManifest(options.cases), { cases } = manifest;
  if (manifest.dataset !== dataset) {
    throw new DataError(
      `Cannot split "${options.cases}" for ${dataset}: its cases are of ${manifest.dataset}; deno task split ${manifest.dataset} splits them`,
    );
  }
  const choice = { cases, unit, labeled, validation: validationCases ?? 0, seed } as const;
  let lists: Lists;
  if (testCases) lists = drawnLists({ ...choice, test: testCases });
  else {
    const whole = await readLists();
    if (whole.validation && validationCases !== undefined) {
      console.error("Cannot draw --validation-cases beside a published validation list; give --test-cases too");
      return EXIT.usage;
    }
    lists = publishedLists(whole, choice);
    const here = new Set(Object.keys(cases).map(unitOf)), used = new Set(Object.values(lists).flat().map(unitOf));
    for (const [kind, all] of Object.entries<string[]>({ ...whole })) {
      const found = all.filter((name) => here.has(name)).length;
      console.log(
        `published ${kind} list: ${found} of ${counted(all.length, unit)} here, ${all.length - found} missing`,
      );
    }
    const unused = [...here].filter((name) => !used.has(name));
    if (unused.length) {
      console.log(`${counted(unused.length, unit)} in no published list, left unused: ${listed(unused)}`);
    }
  }
  checkDuplicates(lists, cases);
  const slices = lists.labeled.reduce((sum, name) => sum + cases[name].shape[0], 0); // ACDC: Z first
  const counts = countCases(lists), patients = countPatients(lists);
  const result: Split = {
    profile: dataset,
    source: testCases ? `seed ${seed}` : "published lists",
    ...(testCases || validationCases ? { seed } : {}),
    ...bindingTo(manifest, Object.values(lists).flat()),
    counts,
    ...(unit === "patient" && { patients, labeledSlices: slices }),
    ...lists,
  };
  await writeSplit(path, result);
  const told = Object.entries(unit === "patient" ? patients : counts).map(([role, count]) => `${count} ${role}`);
  const labeledSlices = unit === "patient" ? `; ${counted(slices, "labeled slice")}` : "";
  console.log(`${unit}s: ${told.join(", ")}${labeledSlices}; in ${path}`);
  return EXIT.done;
}

const unitOf = (name: string) => unit === "patient" ? patientOf(name) : name;

/** @throws {DataError} When one case stands in the lists under two names, unless that is allowed. */
function checkDuplicates(lists: Lists, cases: Manifest["cases"]) {
  const found = duplicatesBetween(lists, cases);
  if (!found.length) return;
  const told = `one case stands under two names, which may be trained on and tested:\n  ${found.join("\n  ")}`;
  if (options.allowDuplicates) return console.log(`note: ${told}`);
  throw new DataError(
    `Cannot split "${options.cases}": ${told}\nTake all but one out of the raw folder and prepare the rest anew, or allow ` +
      "it with --allow-duplicates",
  );
}

async function readLists(): Promise<PublishedLists> {
  if (!listFiles) {
    throw new DataError(`Cannot split ${dataset} by published lists: it has none; draw its split with --test-cases N`);
  }
  const lists: Record<string, string[]> = {};
  for (const [kind, url] of Object.entries(listFiles)) lists[kind] = parseList(await Deno.readTextFile(url));
  return lists as unknown as PublishedLists;
}

await runTask(split);
