/** The report as Markdown: every table of the page, without its figures. @module */
import { COMPARISON_READING } from "./compared_methods.ts";
import { clinicalReading, type Contents, READING, VOLUMES_READING } from "./contents.ts";
import { anyNominal, type Group, labeledText, noPublishedResults } from "./groups.ts";
import {
  agreementTable,
  casesTable,
  type Cell,
  clinicalTable,
  comparisonTables,
  differencesTable,
  protocolTable,
  resultsTable,
  selectionTable,
  type Table,
} from "./tables.ts";
import { NOTHING } from "./numbers.ts";

/** A text in which nothing is markup: names come from files. */
export const plain = (text: string): string => text.replaceAll(/[\\`*_[\]<>|&~]/g, "\\$&").replaceAll(/\s+/g, " ");

/** Blocks with an empty line behind each. */
const blocks = (...texts: (string | undefined)[]) => texts.flatMap((text) => text ? [text, ""] : []);

function cellText(cell: Cell): string {
  const { text, details = [], source, differs } = typeof cell === "string" ? { text: cell } : cell;
  const all = [plain(text), ...details, ...(source === undefined ? [] : [`(${source + 1})`])].join(" ");
  return differs ? `**≠ ${all}**` : all;
}

/** A table; where it has a title, beneath a heading of that level. */
export function tableMarkdown(
  { title, caption, columns, sections, sectionColumn, note }: Table,
  level = "###",
): string[] {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const shown = sectionColumn ? [{ name: sectionColumn }, ...columns] : columns;
  const rows = sections.flatMap(({ title, rows }) =>
    rows.map(({ cells, partOf }) => {
      const texts = columns.map((_, i) => i < cells.length ? cellText(cells[i]) : NOTHING);
      if (partOf) texts[0] = `${plain(partOf)}, ${texts[0]}`;
      return line(sectionColumn ? [plain(title), ...texts] : texts);
    })
  );
  const head = [line(shown.map(({ name }) => plain(name))), line(shown.map((one) => one.isNumber ? "--:" : "---"))];
  return [
    ...blocks(title && `${level} ${plain(title)}`, caption && plain(caption)),
    ...(sections.length ? [...head, ...rows, ""] : []),
    ...sections.flatMap(({ title, detail }) => blocks(detail && `${plain(title)}: ${plain(detail)}.`)),
    ...blocks(note && plain(note)),
  ];
}

const list = (lines: string[]) => [...lines.map((line) => `- ${line}`), ""];

/** Bias and limits of agreement, then every patient; of cases that are no frames of patients the volumes by class. */
function clinical({ results }: Group): string[] {
  const own = results.filter(({ evaluation }) => evaluation.metrics.clinical);
  const others = results.filter(({ evaluation }) => evaluation.metrics.volumes);
  if (!own.length && !others.length) return [];
  if (!own.length) {
    return [...blocks("### Volumes"), ...list(VOLUMES_READING), ...tableMarkdown(agreementTable(others, "volumes"))];
  }
  return [
    ...blocks("### Volumes and ejection fractions"),
    ...list(clinicalReading(anyNominal(own))),
    ...tableMarkdown(agreementTable(own, "clinical")),
    ...own.flatMap((result) => tableMarkdown(clinicalTable(result))),
  ];
}

/** The Markdown of a report. */
export function markdown({ title, notes, groups, comparisons, shown, withTestGap, sources }: Contents): string {
  return [
    ...blocks(`# ${plain(title)}`),
    ...(notes.length ? [...blocks("## Notes"), ...list(notes.map(plain))] : []),
    ...groups.flatMap((group) => {
      const compared = comparisons.get(group)!, beside = differencesTable(group);
      return [
        ...blocks(`## ${plain(group.title)}, ${labeledText(group)}`),
        ...(compared.length ? [...blocks("### Methods compared"), ...list(COMPARISON_READING)] : []),
        ...compared.flatMap((one) => [
          ...blocks(one.title && `#### ${plain(one.title)}`),
          ...comparisonTables(one, group).flatMap((each) => tableMarkdown(each, "####")),
        ]),
        ...blocks(compared.length ? "### Every run" : ""),
        ...tableMarkdown(resultsTable(group)),
        ...group.sources.map((source, i) => `${i + 1}. ${sources[source]}`),
        ...(group.sources.length ? [""] : blocks(noPublishedResults(group))),
        ...blocks("### Checkpoints and components"),
        ...tableMarkdown(selectionTable(group, { withTestGap })),
        ...(beside ? [...blocks("### Beside labeled-only training"), ...tableMarkdown(beside)] : []),
        ...blocks("### Protocol of every row"),
        ...tableMarkdown(protocolTable(group)),
        ...clinical(group),
        ...group.results.flatMap((result) => tableMarkdown(casesTable(result, shown.get(result)!))),
      ];
    }),
    ...blocks("## Reading the numbers"),
    ...list(READING),
    "Learning curves, overlays, augmented patches and Bland–Altman plots stand in `report.html`.",
    "",
  ].join("\n");
}
