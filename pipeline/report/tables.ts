/**
 * The tables of a report as data, each made once: `markdown.ts` and `html_table.tsx` print any of them.
 * @module
 */
import type { PairedDifference, SignedRank } from "../evaluation/statistics.ts";
import { COMPONENTS } from "../arrays/components.ts";
import { componentsText } from "../records/components.ts";
import { CLINICAL_NAMES, CLINICAL_UNITS, type Metrics, type Spread } from "../records/evaluation.ts";
import type { ComparedPair, Comparison } from "./compared_methods.ts";
import { anyNominal, type Group, type Rank, type Result } from "./groups.ts";
import {
  grouped,
  measured,
  NOTHING,
  type NumberName,
  NUMBERS,
  printed,
  scaled,
  signed,
  UNITS,
  unitText,
} from "./numbers.ts";
import { differing, protocolSettings, shortProtocol, shortPublishedProtocol } from "./row_settings.ts";
import { differences, DIFFERENCES_READING, publishedComponents } from "./differences.ts";
import { selectionRows } from "./selection.ts";

/** What stands in a cell: a text, or more than that. */
export type Cell = string | {
  /** The text as it is, names from files too: who prints it escapes it. */
  text: string;
  /** What stands smaller beside it: a standard deviation, an interval. Never from a file. */
  details?: string[];
  /** Number of its source in the group, from 0. */
  source?: number;
  /** Whether it is marked as other than the published one. */
  differs?: boolean;
};

/** A column; the first one names the row. */
export interface Column {
  /** Says alone what stands in it. */
  name: string;
  /** Numbers stand to the right. */
  isNumber?: boolean;
  /** The page has one head over all columns of a group, and `head` beneath it. */
  group?: { title: string; detail?: string };
  /** The name under the group's head. */
  head?: string;
  /** Whether the page prints it small beneath the row's name and not as a column. */
  isBeneath?: boolean;
}

/** A row. */
export interface Row {
  /** The cells in the order of the columns; where the last ones are missing, the last that is there speaks for them. */
  cells: Cell[];
  /** Name of the row above that it is a part of: Markdown names both, the page indents it and has nothing beneath. */
  partOf?: string;
  /** Whether the page prints its name bold. */
  isBold?: boolean;
}

/** Rows under a head of their own. */
export interface Section {
  /** The head. */
  title: string;
  /** What holds for all rows of it; the page then prints nothing beneath their names. */
  detail?: string;
  /** The rows in order. */
  rows: Row[];
}

/** A table. One without sections is its caption alone: it says why there is none. */
export interface Table {
  /** The title that stays to be seen where the page folds the table. */
  title?: string;
  /** What a reader must know before it. */
  caption?: string;
  /** The columns in order. */
  columns: Column[];
  /** The page prints their heads where there are several. */
  sections: Section[];
  /** Name of a first column with the sections' titles in Markdown, which has no heads within a table; none without it. */
  sectionColumn?: string;
  /** What a reader must know after it. */
  note?: string;
}

const oneSection = (rows: Row[]): Section[] => [{ title: "", rows }];
const number = (name: string, more: Partial<Column> = {}): Column => ({ name, isNumber: true, ...more });

const PUBLISHED = { title: "published convention", detail: "an empty prediction scores 0 everywhere" };
const HONEST = { title: "honest convention", detail: "no distance where a mask is empty" };
const MILLIMETERS = { title: "millimeters", detail: "honest" };
const fourNumbers = (prefix: string, group: Column["group"]) =>
  NUMBERS.map((name) => number(prefix + UNITS[name], { head: UNITS[name], group }));
const bothConventions = () => [...fourNumbers("published: ", PUBLISHED), ...fourNumbers("honest: ", HONEST)];
const millimeters = (nominal: boolean) =>
  ["95HD", "ASD"].map((name) => number(`${name} ${unitText("mm", nominal)}`, { group: MILLIMETERS }));

const plusMinus = (name: NumberName, value: number | null) => value === null ? [] : [`± ${printed(name, value)}`];
/** Mean ± standard deviation; without the standard deviation where it does not exist (one case). */
const spreadCell = (name: NumberName, value: Spread | undefined): Cell => ({
  text: printed(name, value?.mean),
  details: plusMinus(name, value?.standardDeviation ?? null),
});

/** Results beside the published ones: of each its mean, its classes where there are several, its mean by patient. */
export function resultsTable(group: Group): Table {
  const { results, publishedRows, protocol, labeled, unit, sources } = group, nominal = anyNominal(results);
  const keys = results.map(({ run }) => run.config.method.name), others = differing(protocolSettings(group));
  return {
    caption: `Means over the test cases ± sample standard deviation. Distances in voxels ignore the spacing${
      nominal ? "; mm are from a nominal spacing, not the scanner's" : ""
    }.`,
    columns: [
      { name: "method" },
      { name: "run", isBeneath: true },
      number("labeled"),
      { name: "protocol", isBeneath: true },
      ...bothConventions(),
      number("cases with a distance", { group: HONEST }),
      ...millimeters(nominal),
    ],
    sections: [
      { title: "This report", rows: results.flatMap((result) => resultRows(result, labeled)) },
      ...(protocol
        ? [{
          title: "Published, under their protocol",
          detail: shortPublishedProtocol(protocol, unit),
          rows: publishedRows.map((row): Row => ({
            partOf: row.class && row.title,
            isBold: keys.includes(row.method) && row.labeled === labeled && !row.class,
            cells: [
              { text: row.class ?? row.title, source: sources.indexOf(row.source) },
              ...["published", String(row.labeled), "published protocol"],
              ...NUMBERS.map((name) => row[name].toFixed(2)),
              ...Array(7).fill(NOTHING),
            ],
          })),
        }]
        : []),
    ],
    note: protocol && others.length
      ? `Our rows and the published ones are not comparable as they stand. They differ in: ${others.join("; ")}.`
      : undefined,
  };
}

function resultRows(result: Result, labeled: number): Row[] {
  const { run: { method: { title } }, evaluation: { metrics } } = result;
  const { summary, patientSummary, classes, rows, patients } = metrics;
  const cases = new Set(rows.map((row) => row.case)).size, main = classes.length > 1 ? "mean" : classes[0];
  const row = (part: string | null, of: Metrics["summary"], key: string, count: number): Row => ({
    partOf: part ? title : undefined,
    cells: [
      ...[part ?? title, result.label, String(labeled), part ? "" : shortProtocol(result)],
      ...NUMBERS.map((name) => spreadCell(name, of.published[key][name])),
      ...NUMBERS.map((name) => spreadCell(name, of.honest[key][name])),
      `${of.honest[key].hd95.cases} of ${count}`,
      ...(["hd95", "asd"] as const).map((name) => spreadCell(name, of.millimeters?.[key]?.[name])),
    ],
  });
  return [
    row(null, summary, main, cases),
    ...(classes.length > 1 ? classes.map((name) => row(name, summary, name, cases)) : []),
    ...(patientSummary ? [row("by patient, ED and ES averaged", patientSummary, main, patients.length)] : []),
  ];
}

/** The settings of every row, the published ones beside them. */
export function protocolTable(group: Group): Table {
  return {
    caption: group.protocol
      ? "≠ marks what differs from the published protocol."
      : "No published protocol is known here.",
    columns: ["setting", "published", ...group.results.map(({ label }) => label)].map((name) => ({ name })),
    sections: oneSection(
      protocolSettings(group).map(({ name, publishedValue, values }) => ({
        cells: [name, publishedValue ?? NOTHING, ...values],
      })),
    ),
  };
}

/**
 * Last and best checkpoint of every training under every way to keep components.
 * @param options `withTestGap`: whether the gap on the test cases stands there too.
 */
export function selectionTable(group: Group, { withTestGap }: { withTestGap: boolean }): Table {
  const gapCell = (gap: Spread | null): Cell => ({
    text: signed(gap && scaled("dice", gap.mean!), 2),
    details: gap ? plusMinus("dice", gap.standardDeviation) : [],
  });
  const ways = { title: "Dice %, 95HD voxels", detail: "honest convention; ± over seeds" };
  return {
    caption:
      "Best: by the Dice of the validation cases. The selection gap is the best checkpoint's Dice minus the last " +
      "one's, in points, on these cases" +
      (withTestGap
        ? "; on the test cases it is what the field reports where it chooses by cases that it also tests."
        : "."),
    columns: [
      { name: "method" },
      { name: "training", isBeneath: true },
      { name: "checkpoint" },
      { name: "seeds" },
      ...COMPONENTS.map((way) => number(componentsText(way), { group: ways })),
      number("as chosen", { group: ways }),
      { name: "chosen on validation cases" },
      number("selection gap, validation cases"),
      ...(withTestGap ? [number("selection gap, test cases (as the field reports)")] : []),
    ],
    sections: oneSection(
      selectionRows(group).flatMap(({ label, training, checkpoints, gap }) =>
        checkpoints.map(({ checkpoint, seeds, scores, chosen }, i) => ({
          cells: [
            ...[label, training, checkpoint, seeds.join(", ")],
            ...([...COMPONENTS, "chosen"] as const).map((way): Cell => {
              const own = scores[way];
              if (!own) return NOTHING;
              const { dice, hd95 } = own;
              return {
                text: printed("dice", dice.mean),
                details: [...plusMinus("dice", dice.standardDeviation), `(95HD ${printed("hd95", hd95.mean)})`],
              };
            }),
            chosen ?? NOTHING,
            ...[gap.validation, ...withTestGap ? [gap.test] : []].map((of) =>
              gapCell(i === checkpoints.length - 1 ? of : null)
            ),
          ],
        }))
      ),
    ),
  };
}

/** What every training has over a labeled-only one that differs from it in one thing; null where there is no such pair. */
export function differencesTable(group: Group): Table | null {
  const all = differences(group);
  if (!all.length) return null;
  const points = (difference: PairedDifference | null): Cell => {
    if (!difference) return NOTHING;
    const { mean, interval } = difference, text = (value: number) => signed(scaled("dice", value), 2);
    return { text: text(mean), details: interval ? [`[${interval.map(text).join(", ")}]`] : [] };
  };
  const same = { title: "under the same components" };
  return {
    caption: DIFFERENCES_READING,
    columns: [
      { name: "method" },
      { name: "training", isBeneath: true },
      { name: "minus" },
      { name: "differs in" },
      { name: "checkpoint" },
      { name: "seeds" },
      ...COMPONENTS.map((way) => number(componentsText(way), { group: same })),
      number("as chosen", { group: same }),
      number(`as chosen, minus that one with ${componentsText(publishedComponents(group))}`),
    ],
    sections: oneSection(all.map((one) => ({
      cells: [
        ...[one.label, one.training, `${one.against}, ${one.againstTraining}`, one.differsIn, one.checkpoint],
        [...new Set([one.seeds.own, one.seeds.against].map((seeds) => seeds.join(", ")))].join(" minus "),
        ...Object.values(one.sameComponents).map(points),
        points(one.chosenOverPublished),
      ],
    }))),
  };
}

/** A comparison: its methods, its tests, and of every number its patients. */
export function comparisonTables(comparison: Comparison, group: Group): Table[] {
  return [
    methodsTable(comparison, group),
    testsTable(comparison),
    ...NUMBERS.map((name) => patientsTable(comparison, group, name)),
  ];
}

/** Methods over their seeds, their published numbers beside them where any are of this convention. */
function methodsTable(
  { methods, protocol, differsFromPublishedProtocol: others }: Comparison,
  { sources }: Group,
): Table {
  const isBeside = methods.some(({ publishedRow }) => publishedRow),
    details = "± over seeds, [95 % interval over patients]";
  return {
    caption: `Protocol of every row: ${protocol.map(({ name, text }) => `${name}: ${text}`).join(" · ")}.`,
    columns: [
      ...[{ name: "method" }, { name: "seeds" }, { name: "schedule", isBeneath: true }, number("minutes")],
      ...fourNumbers("", { title: "this report", detail: details }),
      ...(isBeside ? fourNumbers("published: ", { title: "published", detail: "under their own protocol" }) : []),
    ],
    sections: oneSection(methods.map(({ label, seeds, schedule, minutes, numbers, publishedRow }) => ({
      cells: [
        ...[label, seeds.join(", "), schedule, measured(minutes)],
        ...NUMBERS.map((name) => {
          const { mean, standardDeviation, interval, patients, values } = numbers[name],
            all = Object.keys(values).length;
          const details = [
            ...plusMinus(name, standardDeviation),
            ...(interval ? [`[${interval.map((value) => printed(name, value)).join(", ")}]`] : []),
            ...(patients < all ? [`(${patients} of ${all})`] : []),
          ];
          return { text: printed(name, mean), details };
        }),
        ...(isBeside
          ? NUMBERS.map((name, i): Cell => ({
            text: publishedRow?.[name].toFixed(2) ?? NOTHING,
            source: publishedRow && !i ? sources.indexOf(publishedRow.source) : undefined,
          }))
          : []),
      ],
    }))),
    note: isBeside && others.length
      ? `Published numbers stand under their own protocol; this table's differs from it in: ${others.join("; ")}.`
      : undefined,
  };
}

/** SS-Net against every other row, each number a family of tests. */
function testsTable({ tests }: Comparison): Table {
  if ("reason" in tests) return { caption: tests.reason, columns: [], sections: [] };
  return {
    columns: [
      { name: `${tests.reference} against` },
      ...["patients", "mean difference", "W", "p", "p, Holm"].map((name) => number(name)),
      { name: "distribution" },
    ],
    sectionColumn: "number",
    sections: NUMBERS.map((name) => ({
      title: UNITS[name],
      rows: tests.pairs.filter((pair) => pair.number === name).map((pair) => ({ cells: pairCells(pair) })),
    })),
  };
}

function pairCells({ number, against, patients, difference, test }: ComparedPair): Cell[] {
  const p = (value: number) => value < 0.0001 ? "< 0.0001" : value.toFixed(4);
  const values = ({ statistic, p: plain, corrected, exact }: SignedRank & { corrected: number }) => [
    ...[String(statistic), p(plain), p(corrected), exact ? "exact" : "normal"],
  ];
  return [
    ...[against, String(patients), signed(difference && scaled(number, difference), 2)],
    ...("reason" in test ? [`no test: ${test.reason}`] : values(test)),
  ];
}

function patientsTable({ methods, patients }: Comparison, { unit }: Group, name: NumberName): Table {
  return {
    title: `${UNITS[name]} of the ${unit}, mean over seeds`,
    columns: [{ name: unit }, ...methods.map(({ label }) => number(label))],
    sections: oneSection(patients.map((patient) => ({
      cells: [patient, ...methods.map(({ numbers }) => printed(name, numbers[name].values[patient]))],
    }))),
  };
}

/** Bias and limits of agreement of results that have clinical quantities, or of the volumes of their classes. */
export function agreementTable(results: Result[], what: "clinical" | "volumes"): Table {
  const isClinical = what === "clinical";
  return {
    columns: [
      { name: isClinical ? "quantity" : "class" },
      ...["bias", "lower limit", "upper limit", "mean absolute error", isClinical ? "patients" : "cases"]
        .map((name) => number(name)),
    ],
    sectionColumn: "run",
    sections: results.map(({ label, evaluation: { metrics: { [what]: agreements, nominalSpacing } } }) => ({
      title: label,
      rows: Object.entries(agreements!).map(([name, { unit, bias, limits, meanAbsolute, patients }]) => {
        const places = [bias, limits?.[0] ?? null, limits?.[1] ?? null].map((value) => signed(value));
        return {
          cells: [`${name}, ${unitText(unit, nominalSpacing)}`, ...places, measured(meanAbsolute), String(patients)],
        };
      }),
    })),
  };
}

/** The clinical quantities of every patient. */
export function clinicalTable({ label, evaluation: { metrics: { patients, nominalSpacing } } }: Result): Table {
  return {
    title: `Patients of ${label}`,
    caption: "Predicted / reference (error).",
    columns: [
      { name: "patient" },
      ...CLINICAL_NAMES.map((name) => number(`${name}, ${unitText(CLINICAL_UNITS[name], nominalSpacing)}`)),
    ],
    sections: oneSection(patients.map(({ patient, values }) => ({
      cells: [
        patient,
        ...CLINICAL_NAMES.map((name) => {
          const { predicted, reference, error } = values[name];
          return `${measured(predicted)} / ${measured(reference)} (${signed(error)})`;
        }),
      ],
    }))),
  };
}

/** Every case and class; `shown`: those of the figures. */
export function casesTable(
  { label, evaluation: { metrics: { rows, nominalSpacing } } }: Result,
  shown: { name: string; rank: Rank }[],
): Table {
  const ml = unitText("ml", nominalSpacing), ranks = new Map(shown.map(({ name, rank }) => [name, rank]));
  return {
    title: `Cases of ${label}`,
    columns: [
      ...[{ name: "case" }, { name: "class" }],
      ...["voxels", "reference voxels", ml, `reference ${ml}`].map((name) => number(name)),
      ...[...bothConventions(), ...millimeters(nominalSpacing), number("seconds")],
    ],
    sections: oneSection(rows.map((row) => {
      const rank = ranks.get(row.case);
      return {
        cells: [
          { text: row.case + (row.phase ? `, ${row.phase}` : ""), details: rank ? [`(${rank} by Dice)`] : [] },
          ...[row.class, grouped(row.voxels), grouped(row.referenceVoxels)],
          ...[row.milliliters?.predicted, row.milliliters?.reference].map(measured),
          ...NUMBERS.map((name) => printed(name, row.published[name])),
          ...NUMBERS.map((name) => printed(name, row.honest[name])),
          ...[printed("hd95", row.millimeters?.hd95), printed("asd", row.millimeters?.asd), measured(row.seconds)],
        ],
      };
    })),
  };
}
