/**
 * Choosing the cases of a split: the published lists cut to what is there, lists drawn from a seed, or the folds of a
 * cross-validation.
 * @module
 */
import { listed } from "../files/words.ts";
import { DataError } from "../files/errors.ts";
import type { Fold } from "../records/folds.ts";
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
  /** The group of every case, where groups are chosen instead. */
  groups?: Record<string, string>;
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

/** A choice without published lists. @param labeled Null: all that are left. */
export type DrawnChoice = Omit<Choice, "labeled"> & { labeled: number | null };

/**
 * All units, drawn from the seed: first the test units, then the validation units, then the labeled ones, all of them
 * with labels; the rest is unlabeled. The test units do not depend on the other numbers.
 * @param choice `test`: how many units are tested, or the cases whose units are.
 * @throws {DataError} When there are too few units with labels.
 */
export function drawnLists({ test: tested, ...choice }: DrawnChoice & { test: number | readonly string[] }): Lists {
  const units = unitsOf(choice), all = [...units.keys()];
  const test = typeof tested === "number"
    ? draw(all, "test", choice, tested)
    : all.filter((unit) => units.get(unit)!.some((name) => tested.includes(name)));
  return trainedLists(choice, { units, test, rest: all.filter((unit) => !test.includes(unit)) });
}

/** The lists of a test, with the others drawn from the rest. */
function trainedLists(choice: DrawnChoice, { units, test, rest }: {
  units: Map<string, string[]>;
  test: string[];
  rest: string[];
}): Lists {
  const validation = draw(rest, "validation", choice, choice.validation);
  const left = rest.filter((unit) => !validation.includes(unit)), withLabels = labeledUnits(choice, left).length;
  const labeled = draw(left, "labeled", choice, choice.labeled ?? withLabels);
  return casesOf({ labeled, unlabeled: left.filter((unit) => !labeled.includes(unit)), validation, test }, units);
}

/**
 * Folds as nnU-Net's: each unit with a label is tested in one of them, drawn from the seed in turn.
 * @param except Cases whose units are in no fold.
 * @throws {DataError} When there are fewer units with labels than folds.
 */
export function drawFolds(choice: DrawnChoice, count: number, except: readonly string[]): Fold[] {
  const units = unitsOf(choice), unit = wordOf(choice);
  const all = labeledUnits(choice).filter((one) => !units.get(one)!.some((name) => except.includes(name)));
  if (all.length < count) throw new DataError(`Cannot draw ${count} folds: ${all.length} ${unit}s with a label`);
  const order = permutation(all.length, stream(choice.seed, "split folds")).map((i) => all[i]);
  const casesIn = (some: string[]) => some.flatMap((one) => units.get(one)!).sort();
  return Array.from({ length: count }, (_, k) => ({
    train: casesIn(order.filter((_, i) => i % count !== k)),
    val: casesIn(order.filter((_, i) => i % count === k)),
  }));
}

/**
 * The lists of each fold: its `val` is tested, labeled ones are drawn from its `train`, and the rest, with all cases that have
 * no label, is unlabeled.
 * @param except Cases whose units are in no list.
 * @throws {DataError} Naming all cases of the folds that are not there, or have no label.
 */
export function foldLists(choice: DrawnChoice, folds: readonly Fold[], except: readonly string[]): Lists[] {
  const { cases } = choice,
    units = unitsOf(choice),
    named = [...new Set(folds.flatMap(({ train, val }) => [...train, ...val]))];
  const unknown = named.filter((name) => !Object.hasOwn(cases, name)),
    bare = named.filter((name) => cases[name]?.labelVoxels === null);
  const problems = [
    ...unknown.length ? [`not here are ${listed(unknown)}`] : [],
    ...bare.length ? [`without a label are ${listed(bare)}`] : [],
  ];
  if (problems.length) throw new DataError(`Cannot split by these folds: ${problems.join("; ")}`);
  const unitsWith = (names: readonly string[]) =>
    [...units.keys()].filter((unit) => units.get(unit)!.some((name) => names.includes(name)));
  return folds.map(({ train, val }) => {
    const test = unitsWith(val), isTrained = new Set(train);
    const rest = [...units.keys()].filter((unit) => {
      const own = units.get(unit)!;
      return !test.includes(unit) && own.every((name) => isTrained.has(name) || !cases[name].labelVoxels);
    }).filter((unit) => !unitsWith(except).includes(unit));
    return trainedLists(choice, { units, test, rest });
  });
}

/** The group of every name: what a pattern finds in it, its first group where it has one; absent where it finds nothing. */
export function groupsByPattern(names: readonly string[], pattern: RegExp): Record<string, string> {
  const found = names.map((name) => [name, name.match(pattern)] as const);
  return Object.fromEntries(found.flatMap(([name, match]) => match ? [[name, match[1] ?? match[0]]] : []));
}

/** The groups of a table, a line a case: its name and its group, between them a comma, a semicolon or a tab. */
export function parseTable(text: string): Record<string, string> {
  const rows = parseList(text).map((line) => line.split(/[,;\t]/).map((part) => part.trim().replace(/^"(.*)"$/, "$1")));
  return Object.fromEntries(rows.flatMap(([name, group]) => name && group ? [[name, group]] : []));
}

/** Cases by unit, both in the order of their names. */
function unitsOf({ cases, unit, groups }: Pick<Choice, "cases" | "unit" | "groups">): Map<string, string[]> {
  return Map.groupBy(
    Object.keys(cases).sort(),
    (name) => groups?.[name] ?? (unit === "patient" ? patientOf(name) : name),
  );
}

/** Lists of cases from lists of units. */
function casesOf(lists: Lists, units: Map<string, string[]>): Lists {
  const cases = ROLES.map((role) => [role, lists[role].flatMap((name) => units.get(name)!)]);
  return Object.fromEntries(cases) as Lists;
}

const bareCases = (names: string[], { cases }: Pick<Choice, "cases">) =>
  names.filter((name) => !cases[name].labelVoxels);

/** Gives those of the units, or of some of them, whose cases all have labels. */
export function labeledUnits(choice: Pick<Choice, "cases" | "unit" | "groups">, names?: string[]): string[] {
  const units = unitsOf(choice);
  return (names ?? [...units.keys()]).filter((name) => !bareCases(units.get(name)!, choice).length);
}

/** What a choice is counted in. */
const wordOf = ({ unit, groups }: Pick<Choice, "unit" | "groups">) => groups ? "group" : unit;

/** Some of these units, of those whose cases all have labels. */
function draw(names: string[], role: Role, choice: DrawnChoice, count: number): string[] {
  const { seed } = choice, unit = wordOf(choice), labeled = labeledUnits(choice, names);
  if (labeled.length < count) {
    throw new DataError(`Cannot draw ${count} ${role} ${unit}s: ${labeled.length} ${unit}s with a label are left`);
  }
  return permutation(labeled.length, stream(seed, `split ${role}`)).slice(0, count).map((i) => labeled[i]);
}
