/**
 * Split files: case names under `labeled`, `unlabeled`, `validation`, `test`, and where they come from; no case stands
 * twice. The SHA-256 of the cases' manifest binds a split to the cases that it was made for.
 * @module
 */
import { z } from "zod";
import { permutation, stream } from "../runs/random.ts";
import { DataError, type Manifest, readManifest } from "./cases.ts";

const ROLES = ["labeled", "unlabeled", "validation", "test"] as const satisfies readonly Role[];
/** What a case may be in a split. */
export type Role = "labeled" | "unlabeled" | "validation" | "test";
/** Names of cases by role. */
export type Lists = Record<Role, string[]>;

/** Who is trained on, with and without labels, and who is tested; `split.json`. */
export interface Split extends Lists {
  /** Name of the dataset's profile. */
  profile: string;
  /** "published lists", or "seed" and the number. */
  source: string;
  /** Where something was drawn: the seed. */
  seed?: number;
  /** SHA-256 of the `manifest.json` of its cases; {@linkcode checkCases} compares it. */
  manifest?: string;
  /** Lengths of the lists, for readers; {@linkcode checkSplit} compares them. */
  counts?: Record<Role, number>;
}

const SPLIT = z.strictObject({
  profile: z.string(),
  source: z.string(),
  seed: z.int().nonnegative().optional(),
  manifest: z.string().optional(),
  counts: z.record(z.enum(ROLES), z.int().nonnegative()).optional(),
  labeled: z.array(z.string()).min(1),
  unlabeled: z.array(z.string()),
  validation: z.array(z.string()),
  test: z.array(z.string()),
}) satisfies z.ZodType<Split>;

/** How many cases have each role. */
export function countCases(split: Lists): Record<Role, number> {
  const { labeled, unlabeled, validation, test } = split;
  return {
    labeled: labeled.length,
    unlabeled: unlabeled.length,
    validation: validation.length,
    test: test.length,
  };
}

/** Refuses a case that stands twice, and counts that are not those of the lists. @throws {DataError} Naming all of them. */
export function checkSplit(split: Split, source: string): Split {
  const all = ROLES.flatMap((role) => split[role]);
  const twice = [...new Set(all.filter((name, i) => all.indexOf(name) !== i))];
  if (twice.length) {
    throw new DataError(`Cannot use the split "${source}": these cases stand in it twice: ${twice.join(", ")}`);
  }
  const counts = countCases(split);
  const wrong = ROLES.filter((role) => split.counts && split.counts[role] !== counts[role]);
  if (wrong.length) {
    const told = wrong.map((role) => `${role}: ${split.counts![role]} claimed, ${counts[role]} listed`);
    throw new DataError(`Cannot use the split "${source}": its counts are not those of its lists: ${told.join("; ")}`);
  }
  return split;
}

/** Reads a split. Needs `--allow-read`. @throws {DataError} When it is missing, no JSON, or not of the form above. */
export async function readSplit(path: string): Promise<Split> {
  let content: unknown;
  try {
    content = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    throw new DataError(
      `Cannot read the split "${path}": ${(error as Error).message}; write one with deno task split:la`,
    );
  }
  return parseSplit(content, path);
}

/** A split of parsed JSON. @param source Its file, for errors. @throws {DataError} When it is not of the form above. */
export function parseSplit(content: unknown, source: string): Split {
  const result = SPLIT.safeParse(content);
  if (!result.success) throw new DataError(`Cannot read the split "${source}":\n${z.prettifyError(result.error)}`);
  return checkSplit(result.data, source);
}

/**
 * Compares a split with the folder of its cases. Needs `--allow-read`.
 * @param source The split's name, for errors.
 * @throws {DataError} When the cases are others than those it was made for, or naming all cases that are not there.
 */
export async function checkCases(split: Split, folder: string, source: string): Promise<void> {
  const { cases, sha256 } = await readManifest(folder);
  const unknown = ROLES.flatMap((role) => split[role]).filter((name) => !Object.hasOwn(cases, name));
  if (unknown.length) {
    throw new DataError(`Cannot use the split "${source}": "${folder}" has no ${unknown.join(", ")}`);
  }
  if (split.manifest !== undefined && split.manifest !== sha256) {
    throw new DataError(
      `Cannot use the split "${source}" with the cases in "${folder}": it was made for a manifest.json with the SHA-256 ` +
        `${split.manifest}, found ${sha256}; run deno task split:la again`,
    );
  }
}

/** What a split is chosen from. */
export interface Choice {
  /** Those that are there; only those with a label can be labeled, validated or tested. */
  cases: Manifest["cases"];
  /** Cases whose labels are used. */
  labeledCases: number;
  /** 0 as published for LA. */
  validationCases: number;
  /** Of what is drawn: stream "split" and the role. */
  seed: number;
}

/**
 * The published lists, cut to the cases that are there. Labeled are the first of the training list; validation cases are
 * drawn from the rest of it.
 * @param published Names in the order of the authors' lists.
 * @throws {DataError} When one of the first training cases is missing or has no label, or too few cases are left to draw.
 */
export function publishedLists(
  published: { train: string[]; test: string[] },
  { cases, labeledCases, validationCases, seed }: Choice,
): Lists {
  const labeled = published.train.slice(0, labeledCases), cannot = `Cannot label the first ${labeledCases} cases`;
  if (labeled.length < labeledCases) throw new DataError(`${cannot}: the published list has ${labeled.length}`);
  const missing = labeled.filter((name) => !cases[name]);
  if (missing.length) throw new DataError(`${cannot} of the published list: not here are ${missing.join(", ")}`);
  const bare = labeled.filter((name) => !cases[name].labelVoxels);
  if (bare.length) throw new DataError(`${cannot} of the published list: without a label are ${bare.join(", ")}`);
  const rest = published.train.slice(labeledCases).filter((name) => cases[name]);
  const validation = drawLabeled(rest, validationCases, { cases, seed, stream: "validation" });
  return {
    labeled,
    unlabeled: rest.filter((name) => !validation.includes(name)),
    validation,
    test: published.test.filter((name) => cases[name]),
  };
}

/**
 * All cases, drawn from the seed: first the test cases, then the validation cases, then the labeled ones, all of them
 * with a label; the rest is unlabeled. The test cases do not depend on the other numbers.
 * @param choice `testCases`: how many are tested.
 * @throws {DataError} When there are too few cases with a label.
 */
export function drawnLists(
  { cases, labeledCases, validationCases, testCases, seed }: Choice & { testCases: number },
): Lists {
  let rest = Object.keys(cases).sort();
  const take = (count: number, stream: string) => {
    const drawn = drawLabeled(rest, count, { cases, seed, stream });
    rest = rest.filter((name) => !drawn.includes(name));
    return drawn;
  };
  const test = take(testCases, "test"), validation = take(validationCases, "validation");
  const labeled = take(labeledCases, "labeled");
  return { labeled, unlabeled: rest, validation, test };
}

function drawLabeled(
  names: string[],
  count: number,
  { cases, seed, stream: name }: { cases: Manifest["cases"]; seed: number; stream: string },
): string[] {
  const withLabel = names.filter((name) => cases[name].labelVoxels);
  if (withLabel.length < count) {
    throw new DataError(`Cannot draw ${count} ${name} cases: ${withLabel.length} cases with a label are left`);
  }
  return permutation(withLabel.length, stream(seed, `split ${name}`)).slice(0, count).map((i) => withLabel[i]);
}
