/** The report as Markdown: every table of the page, without its figures. @module */
import { type Contents, READING } from "./contents.ts";
import {
  type Group,
  methodName,
  nothingPublished,
  NUMBERS,
  printed,
  printedStatistic,
  protocolSettings,
  resultLines,
  shortProtocol,
  shortPublished,
  UNITS,
} from "./results.ts";

/** A cell in which nothing is markup: names come from files. */
const cell = (text: string) => text.replaceAll(/[\\`*_[\]<>|]/g, "\\$&").replaceAll(/\s+/g, " ");

/** A table; columns from `numbers` on are right-aligned. */
function table(head: string[], rows: string[][], numbers: number): string[] {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => i < numbers ? "---" : "--:")), ...rows.map(line), ""];
}

function results(group: Group, sources: string[]): string[] {
  const head = [
    "method",
    "run",
    "labeled",
    "protocol",
    ...["published", "honest"].flatMap((name) => NUMBERS.map((number) => `${name}: ${UNITS[number]}`)),
    "cases with a distance",
    "95HD mm",
    "ASD mm",
  ];
  const value = (...[name, statistic]: Parameters<typeof printedStatistic>) => {
    const { mean, deviation } = printedStatistic(name, statistic);
    return deviation === null ? mean : `${mean} ± ${deviation}`;
  };
  const own = group.results.flatMap((result) =>
    resultLines(result).map(({ className, published, honest, millimeters, cases }) => [
      cell(methodName(result.run.config.method) + (className ? `, ${className}` : "")),
      cell(result.label),
      String(group.labeled),
      className ? "" : cell(shortProtocol(result)),
      ...NUMBERS.map((name) => value(name, published[name])),
      ...NUMBERS.map((name) => value(name, honest[name])),
      `${honest.hd95.cases} of ${cases}`,
      value("hd95", millimeters?.hd95),
      value("asd", millimeters?.asd),
    ])
  );
  const published = group.published.map((row) => [
    cell(`${row.method}${row.class ? `, ${row.class}` : ""}`) + ` (${sources.indexOf(row.source) + 1})`,
    "published",
    String(row.labeled),
    "published protocol",
    ...NUMBERS.map((name) => row[name].toFixed(2)),
    ...Array(7).fill("–"),
  ]);
  return table(head, [...own, ...published], 4);
}

function protocol(group: Group): string[] {
  const rows = protocolSettings(group).map(({ name, published, values }) => [
    name,
    cell(published ?? "–"),
    ...values.map(({ text, differs }) => differs ? `**≠ ${cell(text)}**` : cell(text)),
  ]);
  const labels = group.results.map(({ label }) => cell(label));
  return table(["setting", "published", ...labels], rows, 2 + labels.length);
}

function cases({ results }: Group): string[] {
  return results.flatMap(({ label, evaluation: { metrics } }) => [
    `### Cases of ${cell(label)}`,
    "",
    ...table(
      [
        "case",
        "class",
        "voxels",
        "reference voxels",
        ...["published", "honest"].flatMap((name) => NUMBERS.map((number) => `${name}: ${UNITS[number]}`)),
        "95HD mm",
        "ASD mm",
        "seconds",
      ],
      metrics.rows.map((row) => [
        cell(row.case),
        cell(row.class),
        String(row.voxels),
        String(row.referenceVoxels),
        ...NUMBERS.map((name) => printed(name, row.published[name])),
        ...NUMBERS.map((name) => printed(name, row.honest[name])),
        printed("hd95", row.millimeters?.hd95),
        printed("asd", row.millimeters?.asd),
        row.seconds.toFixed(1),
      ]),
      2,
    ),
  ]);
}

/** The Markdown of a report. */
export function markdown({ title, notes, groups, sources }: Contents): string {
  return [
    `# ${cell(title)}`,
    "",
    ...(notes.length ? ["## Notes", "", ...notes.map((note) => `- ${cell(note)}`), ""] : []),
    ...groups.flatMap((group) => {
      const used = [...new Set(group.published.map(({ source }) => source))];
      return [
        `## ${cell(group.title)}, ${group.labeled} labeled ${group.unit}`,
        "",
        ...results(group, used),
        ...(group.protocol && used.length
          ? [`Published protocol: ${cell(shortPublished({ ...group, protocol: group.protocol }))}.`, ""]
          : []),
        ...(used.length ? used.map((source, i) => `${i + 1}. ${sources[source]}`) : [nothingPublished(group)]),
        "",
        "### Protocol of every row",
        "",
        "≠ marks what differs from the published protocol.",
        "",
        ...protocol(group),
        ...cases(group),
      ];
    }),
    "## Reading the numbers",
    "",
    ...READING.map((line) => `- ${line}`),
    "",
    "Learning curves and overlays stand in `report.html`.",
    "",
  ].join("\n");
}
