/**
 * Split files: case names under `labeled`, `unlabeled`, `validation`, `test`, and where they come from; no case stands
 * twice, no patient in two parts. Hashes of its cases' voxels and places bind a split to those that it was made for.
 * @module
 */
import { z } from "zod";
import { writeJson } from "../files/atomic.ts";
import { checkContent, type JsonFile, readJson } from "../files/json.ts";
import { listed } from "../files/words.ts";
import { parseFrameName, patientOf } from "./case.ts";
import { NAME } from "../files/names.ts";
import { sha256 } from "../files/hash.ts";
import { DataError } from "../files/errors.ts";
import { type Manifest, readManifest } from "./manifest.ts";

/** What a case may be in a split, in the order in which a split names them. */
export const ROLES = ["labeled", "unlabeled", "validation", "test"] as const satisfies readonly Role[];
/** What a case may be in a split. */
export type Role = "labeled" | "unlabeled" | "validation" | "test";
/** Names of cases by role. */
export type Lists = Record<Role, string[]>;

/** The cases that are trained on, with and without labels, and those that are tested; `split.json`. */
export interface Split extends Lists {
  /** Name of the dataset's profile. */
  profile: string;
  /** "published lists", or "seed" and the number. */
  source: string;
  /** The seed, where something was drawn. */
  seed?: number;
  /** A hash of every case that it names: {@linkcode bindingTo}; {@linkcode checkCases} compares them. */
  hashes?: Record<string, string>;
  /** SHA-256 of the `manifest.json` of its cases, in the place of the hashes where that has none. */
  manifest?: string;
  /** Lengths of the lists, for readers; {@linkcode checkSplit} compares them. */
  counts?: Record<Role, number>;
  /** ACDC: patients of the lists; compared like `counts`. */
  patients?: Record<Role, number>;
  /** The group of every case, where groups were chosen: none of them stands in two parts. */
  groups?: Record<string, string>;
  /** ACDC: slices of the labeled cases, for readers: publications count them. */
  labeledSlices?: number;
}

const SPLIT = z.strictObject({
  profile: NAME,
  source: z.string(),
  seed: z.int().nonnegative().optional(),
  hashes: z.record(NAME, z.string()).optional(),
  manifest: z.string().optional(),
  counts: z.record(z.enum(ROLES), z.int().nonnegative()).optional(),
  patients: z.record(z.enum(ROLES), z.int().nonnegative()).optional(),
  groups: z.record(NAME, z.string()).optional(),
  labeledSlices: z.int().positive().optional(),
  labeled: z.array(NAME).min(1),
  unlabeled: z.array(NAME),
  validation: z.array(NAME),
  test: z.array(NAME),
}) satisfies z.ZodType<Split>;
const SPLIT_FILE: JsonFile = { what: "the split", remedy: "write one with deno task split DATASET" };

/** How many of something each role has. */
function countEach(count: (role: Role) => number): Record<Role, number> {
  return Object.fromEntries(ROLES.map((role) => [role, count(role)])) as Record<Role, number>;
}

/** How many cases have each role. */
export const countCases = (split: Lists): Record<Role, number> => countEach((role) => split[role].length);

/** How many patients have each role, by the names of their cases. */
export const countPatients = (split: Lists): Record<Role, number> =>
  countEach((role) => new Set(split[role].map(patientOf)).size);

/**
 * Refuses a case that stands twice, a patient with frames in two parts, and counts that are not those of the lists.
 * @throws {DataError} Naming all of them.
 */
export function checkSplit(split: Split, source: string): Split {
  const problems: string[] = [], all = ROLES.flatMap((role) => split[role]);
  const twice = [...new Set(all.filter((name, i) => all.indexOf(name) !== i))];
  if (twice.length) problems.push(`these cases stand in it twice: ${listed(twice)}`);
  const sharedBy = (groupOf: (name: string) => string, names: string[]) =>
    [...new Set(names.map(groupOf))]
      .map((group) => ({ group, roles: ROLES.filter((role) => split[role].map(groupOf).includes(group)) }))
      .filter(({ roles }) => roles.length > 1)
      .map(({ group, roles }) => `${group} (${roles.join(", ")})`);
  const shared = sharedBy(patientOf, all.filter(parseFrameName)), { groups } = split;
  if (shared.length) problems.push(`these patients stand in two parts of it: ${listed(shared)}`);
  const groupsShared = groups ? sharedBy((name) => groups[name], all) : [];
  if (groupsShared.length) problems.push(`these groups stand in two parts of it: ${listed(groupsShared)}`);
  for (const [key, counts] of [["counts", countCases(split)], ["patients", countPatients(split)]] as const) {
    const claimed = split[key];
    if (!claimed) continue;
    const wrong = ROLES.filter((role) => claimed[role] !== counts[role]);
    const told = wrong.map((role) => `${role}: ${claimed[role]} claimed, ${counts[role]} listed`);
    if (told.length) problems.push(`its ${key} are not those of its lists: ${told.join("; ")}`);
  }
  if (problems.length) throw new DataError(`Cannot use the split "${source}": ${problems.join("; ")}`);
  return split;
}

/**
 * Reads a split of a dataset. Needs `--allow-read`.
 * @throws {DataError} When it is missing, no JSON, not as {@linkcode Split} says, or of another dataset.
 */
export async function readSplit(path: string, dataset: string): Promise<Split> {
  const split = checkSplit(await readJson(path, SPLIT, SPLIT_FILE), path), { profile } = split;
  if (profile === dataset) return split;
  throw new DataError(
    `Cannot use the split "${path}" for ${dataset}: it is of ${profile}; name one of ${dataset}, or run the tasks of ${profile}`,
  );
}

/** Writes a split. Needs `--allow-read`, `--allow-write`. @throws {DataError} As {@linkcode checkSplit}. */
export async function writeSplit(path: string, split: Split): Promise<void> {
  await writeJson(path, checkSplit(split, path));
}

/** A split of parsed JSON. @param source Its file, for errors. @throws {DataError} When it is not as {@linkcode Split} says. */
export function parseSplit(content: unknown, source: string): Split {
  return checkSplit(checkContent(content, SPLIT, { ...SPLIT_FILE, path: source }), source);
}

/**
 * Gives a hash of voxels and place for each case that is named; of a manifest without hashes the SHA-256 of the whole.
 */
export function bindingTo(
  manifest: Manifest & { sha256: string },
  names: readonly string[],
): Pick<Split, "hashes" | "manifest"> {
  const entries = names.map((name) => [name, boundHash(manifest.cases, name)] as const);
  if (entries.some(([, hash]) => !hash)) return { manifest: manifest.sha256 };
  return { hashes: Object.fromEntries(entries) as Record<string, string> };
}

/** The hash of what a network sees of a case and where that lies; null where the manifest has no hashes. */
function boundHash(cases: Manifest["cases"], name: string): string | null {
  const { hashes } = cases[name];
  return hashes ? sha256(JSON.stringify([hashes.image, hashes.label, hashes.geometry])) : null;
}

/**
 * Compares a split with the folder of its cases; cases that it does not name may come, go and change. Needs `--allow-read`.
 * @param source The split's name, for errors.
 * @returns The manifest of the folder.
 * @throws {DataError} Naming all cases that are not there, or that are others than those it was made for.
 */
export async function checkCases(split: Split, folder: string, source: string): Promise<Manifest> {
  const manifest = await readManifest(folder), { cases, sha256 } = manifest, { hashes } = split;
  const names = ROLES.flatMap((role) => split[role]), cannot = `Cannot use the split "${source}"`;
  const unknown = names.filter((name) => !Object.hasOwn(cases, name));
  if (unknown.length) throw new DataError(`${cannot}: "${folder}" has no ${listed(unknown)}`);
  const isAnother = (name: string) => !Object.hasOwn(hashes!, name) || hashes![name] !== boundHash(cases, name);
  const changed = hashes ? names.filter(isAnother) : [];
  if (changed.length) {
    throw new DataError(
      `${cannot} with the cases in "${folder}": other voxels or another place than it was made for have ${
        listed(changed)
      }; ` +
        `the same raw files and options of preprocess ${split.profile} give the same cases again, and a new split is for new runs`,
    );
  }
  if (!hashes && split.manifest !== undefined && split.manifest !== sha256) {
    throw new DataError(
      `${cannot} with the cases in "${folder}": it knows them by the SHA-256 of their whole manifest.json alone, ` +
        `${split.manifest}, and found ${sha256}; put that file back, or make a new split for new runs with deno task ` +
        `split ${split.profile}`,
    );
  }
  return manifest;
}
