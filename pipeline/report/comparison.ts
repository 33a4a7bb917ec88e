/**
 * Methods side by side, once for both forms of a report: the rows of one protocol, seeds averaged patient by patient,
 * SS-Net tested against every other row. Rows of different protocols never share a table.
 * @module
 */
import {
  type ByPatient,
  FEWEST_PATIENTS,
  overSeeds,
  type PairedTest,
  pairedTests,
  patientScores,
  type SeedSummary,
} from "../evaluation/statistics.ts";
import { spread } from "../evaluation/summary.ts";
import {
  type Group,
  methodName,
  methodOptions,
  methodOrder,
  type NumberName,
  NUMBERS,
  printed,
  protocolSettings,
  type PublishedRow,
  type Result,
  signed,
} from "./results.ts";
import { lowResolutionText } from "../training/low_resolution.ts";

/** One row of a comparison: a method with its options, over its seeds. */
export interface ComparedMethod {
  /** Its printed name, with the options that are not as published. */
  label: string;
  /** As in `config.json`. */
  method: string;
  /** Whether its options are the published ones: else it is an ablation. */
  asPublished: boolean;
  /** In ascending order, each once. */
  seeds: number[];
  /** Iterations and warm-up. */
  schedule: string;
  /** Mean over the seeds; null where one has no log. */
  minutes: number | null;
  /** Over seeds and patients. */
  numbers: Record<NumberName, SeedSummary>;
  /** The published row of the method; null where there is none, or this row is an ablation. */
  published: PublishedRow | null;
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
  /** For empty masks; "both" where no mask is empty, so that they agree. */
  convention: "published" | "honest" | "both";
  /** What all rows share, in the order of the protocol table. */
  protocol: { name: string; text: string }[];
  /** Settings in which any row differs from the published protocol. */
  differsFromPublished: string[];
  /** SS-Net, labeled only, the others by year; of one method the row as published first, then its ablations. */
  methods: ComparedMethod[];
  /** In the order of the evaluations. */
  patients: string[];
  /** Of SS-Net as published against the others; or why nothing is tested. */
  tests: { reference: string; pairs: ComparedPair[] } | { reason: string };
}

/** How to read the tables, a sentence each. */
export const COMPARISON_READING = [
  "The rows of a table share everything that its protocol line names; a method's schedule stands in its row. Where one method was trained by several schedules, every schedule has a table of its own.",
  "The unit is the patient: ED and ES averaged class by class, then the classes; of the left atrium a case is a patient. Seeds are averaged patient by patient first. Mean and interval are over patients, ± is the sample deviation of the seeds' means. The interval is a 95 % percentile bootstrap of 10,000 resamples: it does not hold the spread of trainings, and of few patients it is too narrow.",
  "p is of the two-sided Wilcoxon signed-rank test over patients. Each number is a family of its own, with Holm's correction over the rows that SS-Net is tested against. n patients give no p below 2/2ⁿ before the correction.",
];

/** What a seed or a method changes by itself, and what plays no part in the four numbers. */
const OF_A_ROW = [
  "Method",
  "Options of the method",
  "Iterations",
  "Warm-up, labeled only",
  "Coarse iterations",
  "Training, minutes",
  "Seed",
  "Checkpoint's iteration",
  "Spacing",
  "Versions",
  "Trained on",
];

/**
 * The comparisons of a group, and what a reader must know about them: evaluations that are left out. None for a group of
 * one run, or where one is left.
 */
export function compareMethods(group: Group): { tables: Comparison[]; notes: string[] } {
  const runs = (of: Result[]) => new Set(of.map(({ run }) => run)).size;
  if (runs(group.results) < 2) return { tables: [], notes: [] };
  const { results, notes } = comparable(group);
  if (runs(results) < 2) return { tables: [], notes };
  const lists = [...new Set(results.map(listsKey))];
  const tables = byProtocol(group, results).flatMap(({ own, schedule }) => {
    const settings = protocolSettings({ ...group, results: own });
    const protocol = [
      ...(schedule ? [{ name: "Schedule", text: schedule }] : []),
      ...settings.filter(({ name }) => !OF_A_ROW.includes(name)).map(({ name, values: [{ text }] }) => ({
        name,
        text,
      })),
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
        differsFromPublished: settings.filter(({ values }) => values.some((v) => v.differs)).map(({ name }) => name),
        methods,
        patients,
        tests: tested(methods, patients.length),
      };
    });
  });
  for (const table of tables) table.title = titleAmong(table, tables);
  return { tables, notes };
}

/** Results that may share a table; with their schedule where one method has several, so that only this one may. */
function byProtocol(group: Group, results: Result[]): { own: Result[]; schedule: string | null }[] {
  const shared = [...Map.groupBy(results, (result) => protocolKey(group, result)).values()];
  return shared.flatMap((own): { own: Result[]; schedule: string | null }[] => {
    const rows = [...Map.groupBy(own, rowKey).values()];
    if (rows.every((row) => new Set(row.map(scheduleText)).size === 1)) return [{ own, schedule: null }];
    return [...Map.groupBy(own, scheduleText)].map(([schedule, own]) => ({ own, schedule }));
  });
}

const CONVENTIONS: Record<Comparison["convention"], string> = {
  published: "published convention",
  honest: "honest convention",
  both: "none, both conventions agree",
};

/** Evaluations that may be rows: finished trainings, each seed of a row once. */
function comparable(group: Group): { results: Result[]; notes: string[] } {
  const results: Result[] = [], notes: string[] = [], seen = new Map<string, Result>();
  for (const result of group.results) {
    const { run, evaluation: { metrics }, label } = result,
      { method: { name: method }, training: { iterations, seed } } = run.config;
    const reached = metrics.checkpoint === "last" ? metrics.iteration : run.iteration; // 0: not known
    if (reached > 0 && reached < iterations) {
      notes.push(`${label}: left out of the comparison, evaluated after ${reached} of ${iterations} iterations`);
      continue;
    }
    const key = JSON.stringify([protocolKey(group, result), rowKey(result), scheduleText(result), seed]);
    const first = seen.get(key);
    if (first) {
      notes.push(
        `${label}: left out of the comparison, ${methodName(method)} with seed ${seed} is in it from ${first.label}`,
      );
      continue;
    }
    seen.set(key, result);
    results.push(result);
  }
  return { results, notes };
}

function rowKey({ run: { config } }: Result): string {
  return JSON.stringify([config.method.name, methodOptions(config)]);
}

function scheduleText({ run: { config: { training: { iterations, warmup, lowResolution } } } }: Result): string {
  const labeledOnly = !warmup ? "" : `, ${warmup.toLocaleString("en-US")} labeled only`;
  const small = lowResolution ? `, ${lowResolutionText(lowResolution, " of ")}` : "";
  return `${iterations.toLocaleString("en-US")} iterations${labeledOnly}${small}`;
}

/** Which cases were trained on, which were tested, and whose they are. */
function listsKey({ run: { config: { split } }, evaluation: { metrics: { rows } } }: Result): string {
  return JSON.stringify([split, [...new Set(rows.map((row) => `${row.case} ${row.patient}`))].sort()]);
}

function protocolKey(group: Group, result: Result): string {
  const shared = protocolSettings({ ...group, results: [result] }).filter(({ name }) => !OF_A_ROW.includes(name));
  return JSON.stringify([shared.map(({ values: [{ text }] }) => text), listsKey(result)]);
}

function hasEmptyMask(results: Result[]): boolean {
  return results.some(({ evaluation: { metrics: { rows } } }) =>
    rows.some(({ published, honest }) => NUMBERS.some((name) => published[name] !== honest[name]))
  );
}

function comparedMethods(group: Group, results: Result[], convention: Comparison["convention"]): ComparedMethod[] {
  const rows = [...Map.groupBy(results, rowKey).values()];
  const optionsOf = ([{ run }]: Result[]) => Object.entries(methodOptions(run.config));
  rows.sort((a, b) =>
    // a method as published stands before its ablations
    methodOrder(a[0].run.config.method.name) - methodOrder(b[0].run.config.method.name) ||
    optionsOf(a).length - optionsOf(b).length
  );
  return rows.map((own) => {
    const { config } = own[0].run, method = config.method.name, name = methodName(method);
    const telling = optionsOf(own), asPublished = telling.length === 0;
    const scores = own.map(({ evaluation: { metrics } }) =>
      patientScores(metrics.rows, convention === "both" ? "honest" : convention)
    );
    const valuesOf = (number: NumberName): ByPatient[] =>
      scores.map((patients) =>
        Object.fromEntries(Object.entries(patients).map(([patient, of]) => [patient, of[number]]))
      );
    const numbers = Object.fromEntries(NUMBERS.map((number) => [number, overSeeds(valuesOf(number))]));
    const published = asPublished ? publishedRowOf(group, method) : null;
    return {
      label: [name, ...telling.map((pair) => pair.join(" "))].join(", "),
      method,
      asPublished,
      seeds: own.map(({ run }) => run.config.training.seed).sort((a, b) => a - b),
      schedule: scheduleText(own[0]),
      minutes: meanMinutes(own),
      numbers: numbers as Record<NumberName, SeedSummary>,
      published: convention === "honest" ? null : published, // published numbers are of their own convention
    };
  });
}

function meanMinutes(results: Result[]): number | null {
  const minutes = results.map(({ run }) => run.minutes);
  return minutes.includes(null) ? null : spread(minutes).mean;
}

function publishedRowOf({ published, labeled }: Group, method: string): PublishedRow | null {
  const name = methodName(method);
  return published.find((row) =>
    row.labeled === labeled && !row.class &&
    (method === "supervised" ? /, (labeled only|all labeled)$/.test(row.method) : row.method === name)
  ) ?? null;
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
  const differing = protocol.filter(({ name, text }) =>
    tables.some((other) => other.protocol.find((setting) => setting.name === name)?.text !== text)
  );
  return differing.map(({ name, text }) => `${name}: ${text}`).join("; ");
}

/** Mean, deviation over seeds, interval over patients, and how many of them have a value where not all do. */
export function printedSummary(
  name: NumberName,
  { mean, deviation, interval, patients, values }: SeedSummary,
): { mean: string; deviation: string | null; interval: string | null; count: string | null } {
  const all = Object.keys(values).length;
  return {
    mean: printed(name, mean),
    deviation: deviation === null ? null : printed(name, deviation),
    interval: interval && `[${interval.map((value) => printed(name, value)).join(", ")}]`,
    count: patients === all ? null : `${patients} of ${all}`,
  };
}

/** A pair's cells: patients, mean difference, and the test's or the reason why there is none. */
export function printedPair(
  { number, patients, difference, test }: ComparedPair,
): { patients: string; difference: string; test: string[] | { reason: string } } {
  const isOverlap = number === "dice" || number === "jaccard";
  const p = (value: number) => value < 0.0001 ? "< 0.0001" : value.toFixed(4);
  return {
    patients: String(patients),
    difference: signed(difference === null ? null : isOverlap ? 100 * difference : difference, 2),
    test: "reason" in test
      ? test
      : [String(test.statistic), p(test.p), p(test.corrected), test.exact ? "exact" : "normal"],
  };
}

/** Heads of the test's cells, {@linkcode printedPair}. */
export const TEST_HEADS = ["patients", "mean difference", "W", "p", "p, Holm", "distribution"];

/** What stands under a table with published columns. */
export function publishedApart(differing: string[]): string {
  return `Published numbers stand under their own protocol; this table's differs from it in: ${differing.join("; ")}.`;
}
