/** Choosing the cases of a split: the published lists cut to what is there, or lists drawn from a seed. @module */
import { listed } from "../files/words.ts";
import { DataError } from "../files/errors.ts";
import { type Lists, type Role, ROLES } from "../records/split.ts";
import type { Manifest } from "../records/manifest.ts";
import { patientOf } from "../records/case.ts";
import { permutation, stream } from "../arrays/random.ts";

/** What a split is chosen from. */
export interface Choice {
  /** The cases that are there; only those with a label can be labeled, validated or tested. */
  cases: Manifest["cases"];
  /** What is chosen and counted: single cases (LA), or patients with all their frames (ACDC). */
  unit: "case" | "patient";
  /** How many units' labels are used. */
  labeled: number;
  /** How many units are drawn for validation; 0 as published for LA. */
  validation: number;
  /** The seed of what is drawn: stream "split" and the role. */
  seed: number;
}

/** Names of units in the order of the authors' lists. */
export interface PublishedLists {
  /** The first ones are labeled. */
  train: string[];
  /** The cases of the validation; absent where the authors have none (LA). */
  validation?: string[];
  /** The cases of the published figures. */
  test: string[];
}

/** Names of a list file, one a line; blanks around them, empty lines and the line ends of any system are no part of them. */
export function parseList(text: string): string[] {
  return text.split(/\r\n?|\n/).map((line) => line.trim()).filter(Boolean); // trim() takes a byte order mark too
}

/**
 * The published lists, cut to what is there. Labeled are the first of the training list; where no validation list is
 * published, validation units are drawn from the rest of the training list.
 * @throws {DataError} Naming all of the first training units that are missing, and all cases to be labeled, validated or
 * tested that have no label; or when too few are left to draw.
 */
export function publishedLists(whole: PublishedLists, choice: Choice): Lists {
  const { unit, labeled: count } = choice, units = unitsOf(choice), here = (name: string) => units.has(name);
  const labeled = whole.train.slice(0, count), cannot = `Cannot label the first ${count} ${unit}s`;
  if (labeled.length < count) throw new DataError(`${cannot}: the published list has ${labeled.length}`);
  const bare = (names: string[]) => names.flatMap((name) => bareCases(units.get(name) ?? [], choice));
  const { validation: list = [], test } = whole;
  const problems = [
    { names: labeled.filter((name) => !here(name)), told: `${cannot} of the published list: not here are` },
    { names: bare(labeled), told: `${cannot} of the published list: without a label are` },
    { names: bare(list), told: "Cannot validate on the published list: without a label are" },
    { names: bare(test), told: "Cannot test on the published list: without a label are" },
  ].filter(({ names }) => names.length).map(({ names, told }) => `${told} ${listed(names)}`);
  if (problems.length) throw new DataError(problems.join("\n"));
  const rest = whole.train.slice(count).filter(here);
  const validation = whole.validation ? list.filter(here) : draw(rest, "validation", choice, choice.validation);
  const unlabeled = rest.filter((name) => !validation.includes(name));
  return casesOf({ labeled, unlabeled, validation, test: test.filter(here) }, units);
}

/**
 * All units, drawn from the seed: first the test units, then the validation units, then the labeled ones, all of them
 * with labels; the rest is unlabeled. The test units do not depend on the other numbers.
 * @param choice `test`: how many units are tested.
 * @throws {DataError} When there are too few units with labels.
 */
export function drawnLists(choice: Choice & { test: number }): Lists {
  const units = unitsOf(choice);
  let rest = [...units.keys()];
  const take = (role: "labeled" | "validation" | "test") => {
    const drawn = draw(rest, role, choice, choice[role]);
    rest = rest.filter((name) => !drawn.includes(name));
    return drawn;
  };
  const test = take("test"), validation = take("validation"), labeled = take("labeled");
  return casesOf({ labeled, unlabeled: rest, validation, test }, units);
}

/** Cases by unit, both in the order of their names. */
function unitsOf({ cases, unit }: Choice): Map<string, string[]> {
  return Map.groupBy(Object.keys(cases).sort(), (name) => unit === "patient" ? patientOf(name) : name);
}

/** Lists of cases from lists of units. */
function casesOf(lists: Lists, units: Map<string, string[]>): Lists {
  const cases = ROLES.map((role) => [role, lists[role].flatMap((name) => units.get(name)!)]);
  return Object.fromEntries(cases) as Lists;
}

const bareCases = (names: string[], { cases }: Choice) => names.filter((name) => !cases[name].labelVoxels);

/** Some of these units, of those whose cases all have labels. */
function draw(names: string[], role: Role, choice: Choice, count: number): string[] {
  const units = unitsOf(choice), labeled = names.filter((name) => !bareCases(units.get(name)!, choice).length);
  if (labeled.length < count) {
    const { unit } = choice;
    throw new DataError(`Cannot draw ${count} ${role} ${unit}s: ${labeled.length} ${unit}s with a label are left`);
  }
  return permutation(labeled.length, stream(choice.seed, `split ${role}`)).slice(0, count).map((i) => labeled[i]);
}
