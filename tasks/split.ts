/**
 * `deno task split DATASET`: a folder of cases in, a split file out: the published lists cut to what is there, or lists drawn
 * from the seed (`--test-cases`; of one's own always), or a file for each fold of a cross-validation (`--folds`). Patients
 * with several frames are chosen and counted whole, as the groups of `--group-by`, so that none stands in two parts.
 */
import { z } from "zod";
import { patientOf } from "../pipeline/records/case.ts";
import { duplicatesBetween } from "../pipeline/data/duplicates.ts";
import { bindingTo, countCases, countPatients, type Lists, type Split, writeSplit } from "../pipeline/records/split.ts";
import { EXIT, parseDataset, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { homePath, userPath } from "../pipeline/files/places.ts";
import { counted, listed } from "../pipeline/files/words.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { type Manifest, readManifest } from "../pipeline/records/manifest.ts";
import { readFolds, writeFolds } from "../pipeline/records/folds.ts";
import {
  drawFolds,
  drawnLists,
  foldLists,
  groupsByPattern,
  labeledUnits,
  parseList,
  parseTable,
  type PublishedLists,
  publishedLists,
} from "../pipeline/datasets/lists.ts";

const { dataset: { name: dataset, unit, usualLabeledCount, lists: listFiles, axes, plan }, args } = await parseDataset(
  "split",
  Deno.args,
);
/** How the name of a table of groups ends. */
const TABLE = /\.(csv|tsv)$/i;
const options = parseOptions(
  z.strictObject({
    cases: pathOption().default(homePath(`cases/${dataset}`)).describe("folder of the cases"),
    split: pathOption().optional().describe("file to write (default: split.json in the folder of the cases)"),
    labeled: z.int().positive().optional().describe(
      `${unit}s whose labels are used${plan ? "" : ": the first of the training list"} (default: ${
        usualLabeledCount ?? "all that are left"
      })`,
    ),
    validationCases: z.int().nonnegative().optional().describe(
      `draw so many ${unit}s for validation, where no published list names them`,
    ),
    testCases: z.int().positive().optional().describe(
      `draw so many test ${unit}s from the seed${
        plan
          ? " (default: those of imagesTs with labels, which stand in no other part and leave no choice; else a fifth)"
          : " instead of the published lists, and the labeled ones too"
      }`,
    ),
    folds: z.string().optional().describe(
      "a split for each fold: their number, drawn from the seed, or a file as nnU-Net's splits_final.json",
    ),
    groupBy: z.string().refine((text) => TABLE.test(text) || isPattern(text), "a regular expression wanted, or a .csv")
      .optional().describe(
        "what must not stand in two parts: what this regular expression finds in the names, its first group where it has " +
          "one; or a table (.csv, .tsv: case, group)",
      ),
    allowDuplicates: z.boolean().default(false).describe(
      "split also where a test or validation case has the image or label of a case of another part",
    ),
    seed: z.int().nonnegative().default(1337).describe("seed of what is drawn"),
  }),
  { name: `split ${dataset}`, description: `Choose labeled, unlabeled, validation and test ${unit}s`, args },
);

async function split(): Promise<number> {
  const { seed, labeled = usualLabeledCount, testCases, validationCases, folds, groupBy } = options;
  const manifest = await readManifest(options.cases), { cases } = manifest;
  if (manifest.dataset !== dataset) {
    throw new DataError(
      `Cannot split "${options.cases}" for ${dataset}: its cases are of ${manifest.dataset}; deno task split ${manifest.dataset} splits them`,
    );
  }
  if (folds && testCases) {
    console.error("Cannot draw --test-cases beside --folds: each fold tests its own");
    return EXIT.usage;
  }
  const isDrawn = plan || testCases || folds, names = Object.keys(cases).sort();
  if (groupBy && !isDrawn) {
    console.error("Cannot group the published lists by --group-by; draw others with --test-cases or --folds");
    return EXIT.usage;
  }
  const groups = groupBy ? await groupsOf(names, groupBy) : undefined;
  const choice = { cases, unit, groups, labeled, validation: validationCases ?? 0, seed } as const;
  const path = options.split ?? `${options.cases}/split.json`, apart = plan?.test ?? [];
  if (apart.length && testCases) {
    console.error(
      `Cannot draw --test-cases: ${listed(apart)} are set apart for the test by imagesTs, and are tested without it; ` +
        "--folds tests others, and leaves these out",
    );
    return EXIT.usage;
  }
  if (folds) {
    const count = /^[1-9]\d*$/.test(folds) ? Number(folds) : null;
    const all = count ? drawFolds(choice, count, apart) : await readFolds(userPath(folds));
    const lists = foldLists(choice, all, apart);
    lists.forEach((one) => checkDuplicates(one, cases));
    if (count) console.log(`nnU-Net's form: ${await writeFolds(options.cases, all)}`);
    for (const [k, one] of lists.entries()) {
      const source = `fold ${k} of ${count ?? folds}, seed ${seed}`;
      await write(path.replace(/(\.json)?$/, `-${k}.json`), { manifest, lists: one, source, groups });
    }
    return EXIT.done;
  }
  if (isDrawn) {
    const usual = apart.length ? apart : Math.max(Math.round(labeledUnits(choice).length / 5), 1);
    const lists = drawnLists({ ...choice, test: testCases ?? usual });
    checkDuplicates(lists, cases);
    const source = apart.length ? `test cases of the raw folder, seed ${seed}` : `seed ${seed}`;
    await write(path, { manifest, lists, source, groups });
    return EXIT.done;
  }
  const whole = await readLists();
  if (whole.validation && validationCases !== undefined) {
    console.error("Cannot draw --validation-cases beside a published validation list; give --test-cases too");
    return EXIT.usage;
  }
  const lists = publishedLists(whole, { ...choice, labeled: labeled! });
  const here = new Set(names.map(unitOf)), used = new Set(Object.values(lists).flat().map(unitOf));
  for (const [kind, all] of Object.entries<string[]>({ ...whole })) {
    const found = all.filter((name) => here.has(name)).length;
    console.log(`published ${kind} list: ${found} of ${counted(all.length, unit)} here, ${all.length - found} missing`);
  }
  const unused = [...here].filter((name) => !used.has(name));
  if (unused.length) {
    console.log(`${counted(unused.length, unit)} in no published list, left unused: ${listed(unused)}`);
  }
  checkDuplicates(lists, cases);
  await write(path, { manifest, lists, source: "published lists" });
  return EXIT.done;
}

/** Writes a split and tells its numbers. */
async function write(path: string, { manifest, lists, source, groups }: {
  manifest: Manifest & { sha256: string };
  lists: Lists;
  source: string;
  groups?: Record<string, string>;
}) {
  const counts = countCases(lists), patients = countPatients(lists), named = Object.values(lists).flat();
  const hasSlices = unit === "patient" && axes === "ZYX";
  const slices = lists.labeled.reduce((sum, name) => sum + manifest.cases[name].shape[0], 0); // Z first
  const result: Split = {
    profile: dataset,
    source,
    ...(source !== "published lists" || options.validationCases ? { seed: options.seed } : {}),
    ...bindingTo(manifest, named),
    counts,
    ...(unit === "patient" && { patients }),
    ...(hasSlices && { labeledSlices: slices }),
    ...(groups && { groups: Object.fromEntries(named.map((name) => [name, groups[name]])) }),
    ...lists,
  };
  await writeSplit(path, result);
  const told = Object.entries(unit === "patient" ? patients : counts).map(([role, count]) => `${count} ${role}`);
  const labeledSlices = hasSlices ? `; ${counted(slices, "labeled slice")}` : "";
  console.log(`${unit}s: ${told.join(", ")}${labeledSlices}; in ${path}`);
  if (plan && !lists.unlabeled.length) {
    console.log("note: nothing is unlabeled, as only --method supervised takes it; --labeled N uses fewer labels");
  }
}

/** The group of every case, by a pattern or a table. @throws {DataError} Naming all cases without one. */
async function groupsOf(names: string[], groupBy: string): Promise<Record<string, string>> {
  const table = TABLE.test(groupBy) ? parseTable(await Deno.readTextFile(userPath(groupBy))) : null;
  const groups = table ?? groupsByPattern(names, new RegExp(groupBy)), missing = names.filter((name) => !groups[name]);
  if (!missing.length) return groups;
  throw new DataError(
    `Cannot group by "${groupBy}": ${table ? "it does not name" : "it does not match"} ${listed(missing)}`,
  );
}

function isPattern(text: string): boolean {
  try {
    return Boolean(new RegExp(text));
  } catch {
    return false;
  }
}

const unitOf = (name: string) => unit === "patient" ? patientOf(name) : name;

/** Tells of cases that stand under two names. @throws {DataError} When one of them is tested, unless that is allowed. */
function checkDuplicates(lists: Lists, cases: Manifest["cases"]) {
  const found = duplicatesBetween(lists, cases), refused = found.filter(({ leaks }) => leaks).map(({ text }) => text);
  if (refused.length && !options.allowDuplicates) {
    throw new DataError(
      `Cannot split "${options.cases}": one case stands under two names, of which one is tested or validated and the other is ` +
        `in another part:\n  ${
          refused.join("\n  ")
        }\nTake all but one out of the raw folder and prepare the rest anew, or ` +
        "allow it with --allow-duplicates",
    );
  }
  for (const { text } of found) console.log(`note: one case under two names: ${text}`);
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
