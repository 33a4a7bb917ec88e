/**
 * Methods side by side: the rows of one protocol, seeds averaged patient by patient, SS-Net tested against every other row.
 * What is a seed of what is decided by the settings of the runs, never by what is printed of them. Rows of different
 * protocols never share a table.
 * @module
 */
import {
  FEWEST_PATIENTS,
  overSeeds,
  type PairedTest,
  pairedTests,
  patientScores,
  type SeedSummary,
} from "../evaluation/statistics.ts";
import { spread } from "../evaluation/summary.ts";
import { lowResolutionText } from "../training/low_resolution.ts";
import { type Group, type PublishedRow, publishedRowOf, type Result } from "./groups.ts";
import { grouped, type NumberName, NUMBERS } from "./numbers.ts";
import { differing, protocolKey, protocolSettings } from "./row_settings.ts";

/** One row of a comparison: a method with its options, over its seeds. */
export interface ComparedMethod {
  /** Its printed name, with the options that are not as published. */
  label: string;
  /** The method's name as in `config.json`. */
  method: string;
  /** Whether its options are the published ones: else it is an ablation. */
  asPublished: boolean;
  /** The seeds in ascending order, each once. */
  seeds: number[];
  /** Iterations and warm-up. */
  schedule: string;
  /** Mean over the seeds; null where one has no log. */
  minutes: number | null;
  /** The numbers over seeds and patients. */
  numbers: Record<NumberName, SeedSummary>;
  /** The published row of the method; null where there is none, or this row is an ablation. */
  publishedRow: PublishedRow | null;
}

/** SS-Net against one other row by one number. */
export interface ComparedPair extends PairedTest {
  /** A family of tests with the other rows of the same number. */
  number: NumberName;
  /** The other row's label. */
  against: string;
}

/** One table: rows that differ in method, schedule and seed alone. */
export interface Comparison {
  /** Tells it from the other tables of its group; empty where it is the only one. */
  title: string;
  /** The convention for empty masks; "both" where no mask is empty, so that they agree. */
  convention: "published" | "honest" | "both";
  /** What all rows share, in the order of the protocol table. */
  protocol: { name: string; text: string }[];
  /** Settings in which any row differs from the published protocol. */
  differsFromPublishedProtocol: string[];
  /** SS-Net, labeled only, the others by year; of one method the row as published first, then its ablations. */
  methods: ComparedMethod[];
  /** The patients in the order of the evaluations. */
  patients: string[];
  /** The tests of SS-Net as published against the others; or why nothing is tested. */
  tests: { reference: string; pairs: ComparedPair[] } | { reason: string };
}

/** How to read the tables, a sentence each. */
export const COMPARISON_READING = [
  "The rows of a table share everything that its protocol line names; a method's schedule stands in its row. Where one method was trained by several schedules, every schedule has a table of its own.",
  "The unit is the patient: ED and ES averaged class by class, then the classes; of the left atrium a case is a patient. Seeds are averaged patient by patient first. Mean and interval are over patients, ± is the sample standard deviation of the seeds' means. The interval is a 95 % percentile bootstrap of 10,000 resamples: it does not hold the spread of trainings, and of few patients it is too narrow.",
  "p is of the two-sided Wilcoxon signed-rank test over patients. Each number is a family of its own, with Holm's correction over the rows that SS-Net is tested against. n patients give no p below 2/2ⁿ before the correction.",
];

const CONVENTIONS: Record<Comparison["convention"], string> = {
  published: "published convention",
  honest: "honest convention",
  both: "none, both conventions agree",
};

/** The key of one row: results of the same method with the same settings. */
export const rowKey = ({ run: { config, method } }: Result) => JSON.stringify([config.method.name, method.settings]);
/** What else the seeds of one row have in common. */
export const scheduleKey = ({ run: { config: { training: { iterations, warmup, lowResolution } } } }: Result) =>
  JSON.stringify([iterations, warmup, lowResolution]);
/** Which cases were trained on, which were tested, and whose they are. */
export const listsKey = ({ run: { config: { split } }, evaluation: { metrics: { rows } } }: Result) =>
  JSON.stringify([split, [...new Set(rows.map((row) => `${row.case} ${row.patient}`))].sort()]);
/** Results by a key, in the order of the first of each. */
export const groupsBy = (results: Result[], key: (result: Result) => string) => [...Map.groupBy(results, key).values()];

/**
 * The comparisons of a group, and what a reader must know about them: evaluations that are left out. None for a group of
 * one run, or where one is left.
 */
export function compareMethods(group: Group): { tables: Comparison[]; notes: string[] } {
  const runs = (of: Result[]) => new Set(of.map(({ run }) => run)).size;
  if (runs(group.results) < 2) return { tables: [], notes: [] };
  const tableKey = (result: Result) => protocolKey(group, result) + listsKey(result);
  const { results, notes } = comparable(group, tableKey);
  if (runs(results) < 2) return { tables: [], notes };
  const lists = [...new Set(results.map(listsKey))];
  const tables = groupsBy(results, tableKey).flatMap(bySchedule).flatMap(({ own, schedule }) => {
    const settings = protocolSettings({ ...group, results: own });
    const protocol = [
      ...(schedule ? [{ name: "Schedule", text: schedule }] : []),
      ...settings.filter(({ isShared }) => isShared).map(({ name, values: [{ text }] }) => ({ name, text })),
      ...(lists.length > 1
        ? [{ name: "Lists of cases", text: `number ${lists.indexOf(listsKey(own[0])) + 1} of ${lists.length}` }]
        : []),
    ];
    const conventions = hasEmptyMask(own) ? ["published", "honest"] as const : ["both"] as const;
    return conventions.map((convention): Comparison => {
      const methods = comparedMethods(group, own, convention);
      const patients = Object.keys(methods[0].numbers.dice.values);
      return {
        title: "",
        convention,
        protocol: [...protocol, { name: "Empty masks", text: CONVENTIONS[convention] }],
        differsFromPublishedProtocol: differing(settings),
        methods,
        patients,
        tests: tested(methods, patients.length),
      };
    });
  });
  for (const table of tables) table.title = titleAmong(table, tables);
  return { tables, notes };
}

/** One table, or one a schedule where one of its rows has several; then it is named. */
function bySchedule(results: Result[]): { own: Result[]; schedule: string | null }[] {
  const rows = groupsBy(results, rowKey);
  if (rows.every((row) => groupsBy(row, scheduleKey).length === 1)) return [{ own: results, schedule: null }];
  return groupsBy(results, scheduleKey).map((own) => ({ own, schedule: scheduleText(own[0]) }));
}

/** The iteration that an unfinished training had reached when it was evaluated; null where it had ended, or nothing says. */
export function unfinishedAt({ run, evaluation: { metrics } }: Result): number | null {
  const reached = metrics.checkpoint === "last" ? metrics.iteration : run.iteration; // 0: not known
  return reached > 0 && reached < run.config.training.iterations ? reached : null;
}

/** Evaluations that may be rows: finished trainings, each seed of a row once. */
function comparable(group: Group, tableKey: (result: Result) => string): { results: Result[]; notes: string[] } {
  const results = new Map<string, Result>(), notes: string[] = [];
  for (const result of group.results) {
    const { run, label } = result, { iterations, seed } = run.config.training, reached = unfinishedAt(result);
    if (reached) {
      notes.push(`${label}: left out of the comparison, evaluated after ${reached} of ${iterations} iterations`);
      continue;
    }
    const key = JSON.stringify([tableKey(result), rowKey(result), scheduleKey(result), seed]);
    const first = results.get(key);
    if (!first) results.set(key, result);
    else {
      const twin = `${run.method.title} with seed ${seed} is in it from ${first.label}`;
      notes.push(`${label}: left out of the comparison, ${twin}`);
    }
  }
  return { results: [...results.values()], notes };
}

/** Iterations, those on the labeled half alone, and those on smaller slices. */
export function scheduleText({ run: { config: { training: { iterations, warmup, lowResolution } } } }: Result): string {
  const labeledOnly = !warmup ? "" : `, ${grouped(warmup)} labeled only`;
  const small = lowResolution ? `, ${lowResolutionText(lowResolution, " of ")}` : "";
  return `${grouped(iterations)} iterations${labeledOnly}${small}`;
}

function hasEmptyMask(results: Result[]): boolean {
  return results.some(({ evaluation: { metrics: { rows } } }) =>
    rows.some(({ published, honest }) => NUMBERS.some((name) => published[name] !== honest[name]))
  );
}

function comparedMethods(group: Group, results: Result[], convention: Comparison["convention"]): ComparedMethod[] {
  const rows = groupsBy(results, rowKey).sort(([{ run: { method: a } }], [{ run: { method: b } }]) =>
    a.place - b.place || a.changed.length - b.changed.length // a method as published stands before its ablations
  );
  return rows.map((own) => {
    const { config: { method: { name: key } }, method: { title, changed } } = own[0].run, asPublished = !changed.length;
    const scores = own.map(({ evaluation: { metrics } }) =>
      Object.entries(patientScores(metrics.rows, convention === "both" ? "honest" : convention))
    );
    const over = (number: NumberName) =>
      overSeeds(scores.map((patients) => Object.fromEntries(patients.map(([patient, of]) => [patient, of[number]]))));
    const minutes = own.map(({ run }) => run.minutes);
    return {
      label: [title, ...changed.map((pair) => pair.join(" "))].join(", "),
      method: key,
      asPublished,
      seeds: own.map(({ run }) => run.config.training.seed).sort((a, b) => a - b),
      schedule: scheduleText(own[0]),
      minutes: minutes.includes(null) ? null : spread(minutes).mean,
      numbers: { dice: over("dice"), jaccard: over("jaccard"), hd95: over("hd95"), asd: over("asd") },
      // Published numbers are of their own convention.
      publishedRow: asPublished && convention !== "honest" ? publishedRowOf(group, key) : null,
    };
  });
}

function tested(methods: ComparedMethod[], patients: number): Comparison["tests"] {
  const reference = methods.find(({ method, asPublished }) => method === "ssnet" && asPublished);
  const others = methods.filter((m) => m !== reference);
  if (!reference) return { reason: "No test: SS-Net as published is not in this table." };
  if (!others.length) return { reason: `No test: there is no other method beside ${reference.label} in this table.` };
  if (patients < FEWEST_PATIENTS) {
    return { reason: `No test is possible: it wants at least ${FEWEST_PATIENTS} patients, here: ${patients}.` };
  }
  const pairs = NUMBERS.flatMap((number) =>
    pairedTests(reference.numbers[number].values, others.map(({ numbers }) => numbers[number].values))
      .map((pair, i) => ({ ...pair, number, against: others[i].label }))
  );
  return { reference: reference.label, pairs };
}

/** The settings of a table that another one does not share. */
function titleAmong({ protocol }: Comparison, tables: Comparison[]): string {
  const own = protocol.filter(({ name, text }) =>
    tables.some((other) => other.protocol.find((setting) => setting.name === name)?.text !== text)
  );
  return own.map(({ name, text }) => `${name}: ${text}`).join("; ");
}
