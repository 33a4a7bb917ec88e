/** The report as Markdown: every table of the page, without its figures. @module */
import {
  type Comparison,
  COMPARISON_READING,
  printedPair,
  printedSummary,
  publishedApart,
  TEST_HEADS,
} from "./comparison.ts";
import { fixed } from "../files/words.ts";
import { clinicalReading, type Contents, READING } from "./contents.ts";
import {
  anyNominal,
  type Group,
  labeledText,
  methodName,
  nothingPublished,
  NUMBERS,
  printed,
  printedStatistic,
  protocolReading,
  protocolSettings,
  resultLines,
  shortProtocol,
  shortPublished,
  signed,
  UNITS,
  unitText,
} from "./results.ts";
import { CLINICAL_NAMES, CLINICAL_UNITS } from "../records/evaluation.ts";

/** A cell in which nothing is markup: names come from files. */
const cell = (text: string) => text.replaceAll(/[\\`*_[\]<>|]/g, "\\$&").replaceAll(/\s+/g, " ");

/** A table; columns from `numbers` on are right-aligned. */
function table(head: string[], rows: string[][], numbers: number): string[] {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => i < numbers ? "---" : "--:")), ...rows.map(line), ""];
}

function results(group: Group, sources: string[]): string[] {
  const mm = unitText("mm", anyNominal(group.results));
  const head = [
    "method",
    "run",
    "labeled",
    "protocol",
    ...["published", "honest"].flatMap((name) => NUMBERS.map((number) => `${name}: ${UNITS[number]}`)),
    "cases with a distance",
    `95HD ${mm}`,
    `ASD ${mm}`,
  ];
  const value = (...[name, statistic]: Parameters<typeof printedStatistic>) => {
    const { mean, deviation } = printedStatistic(name, statistic);
    return deviation === null ? mean : `${mean} ± ${deviation}`;
  };
  const own = group.results.flatMap((result) =>
    resultLines(result).map(({ part, published, honest, millimeters, count }) => [
      cell(methodName(result.run.config.method.name) + (part ? `, ${part}` : "")),
      cell(result.label),
      String(group.labeled),
      part ? "" : cell(shortProtocol(result)),
      ...NUMBERS.map((name) => value(name, published[name])),
      ...NUMBERS.map((name) => value(name, honest[name])),
      `${honest.hd95.cases} of ${count}`,
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

/** The comparisons of a group: their protocol, methods, tests, patients. */
function comparison(tables: Comparison[], { unit }: Group, sources: string[]): string[] {
  if (!tables.length) return [];
  return [
    "### Methods compared",
    "",
    ...COMPARISON_READING.map((line) => `- ${line}`),
    "",
    ...tables.flatMap((table) => [
      ...(table.title ? [`#### ${cell(table.title)}`, ""] : []),
      `Protocol of every row: ${table.protocol.map(({ name, text }) => `${name}: ${cell(text)}`).join(" · ")}.`,
      "",
      ...comparedMethods(table, sources),
      ...tests(table),
      ...patients(table, unit),
    ]),
  ];
}

function comparedMethods({ methods, convention, differsFromPublished }: Comparison, sources: string[]): string[] {
  const isBeside = convention !== "honest" && methods.some(({ published }) => published);
  const rows = methods.map(({ label, seeds, schedule, minutes, numbers, published }) => [
    cell(label),
    seeds.join(", "),
    schedule,
    minutes === null ? "–" : minutes.toFixed(1),
    ...NUMBERS.map((name) => {
      const { mean, deviation, interval, count } = printedSummary(name, numbers[name]);
      return [mean, deviation && `± ${deviation}`, interval, count && `(${count})`].filter(Boolean).join(" ");
    }),
    ...(isBeside
      ? NUMBERS.map((name, i) =>
        published ? published[name].toFixed(2) + (i ? "" : ` (${sources.indexOf(published.source) + 1})`) : "–"
      )
      : []),
  ]);
  const head = [...["method", "seeds", "schedule", "minutes"], ...NUMBERS.map((name) => UNITS[name])];
  return [
    ...table(isBeside ? [...head, ...NUMBERS.map((name) => `published: ${UNITS[name]}`)] : head, rows, 3),
    ...(isBeside && differsFromPublished.length ? [publishedApart(differsFromPublished), ""] : []),
  ];
}

function tests({ tests }: Comparison): string[] {
  if ("reason" in tests) return [cell(tests.reason), ""];
  return table(
    ["number", `${cell(tests.reference)} against`, ...TEST_HEADS],
    tests.pairs.map((pair) => {
      const { patients, difference, test } = printedPair(pair);
      const values = "reason" in test ? [`no test: ${test.reason}`, "–", "–", "–"] : test;
      return [UNITS[pair.number], cell(pair.against), patients, difference, ...values];
    }),
    2,
  );
}

function patients({ methods, patients }: Comparison, unit: string): string[] {
  return NUMBERS.flatMap((name) => [
    `${UNITS[name]} of the ${unit}, mean over seeds:`,
    "",
    ...table(
      [unit, ...methods.map(({ label }) => cell(label))],
      patients.map((patient) => [
        cell(patient),
        ...methods.map(({ numbers }) => printed(name, numbers[name].values[patient])),
      ]),
      1,
    ),
  ]);
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

/** Bias and limits of agreement, then every patient; nothing where cases are no frames of patients. */
function clinical({ results }: Group): string[] {
  const own = results.filter(({ evaluation }) => evaluation.metrics.clinical);
  if (!own.length) return [];
  const number = (value: number | null) => value === null ? "–" : fixed(value, 1);
  return [
    "### Volumes and ejection fractions",
    "",
    ...clinicalReading(anyNominal(own)).map((line) => `- ${line}`),
    "",
    ...table(
      ["run", "quantity", "bias", "lower limit", "upper limit", "mean absolute error", "patients"],
      own.flatMap(({ label, evaluation: { metrics: { clinical, nominalSpacing } } }) =>
        CLINICAL_NAMES.map((name) => {
          const { unit, bias, limits, meanAbsolute, patients } = clinical![name];
          return [
            cell(label),
            `${name}, ${unitText(unit, nominalSpacing)}`,
            ...[bias, limits?.[0] ?? null, limits?.[1] ?? null].map((value) => signed(value)),
            number(meanAbsolute),
            String(patients),
          ];
        })
      ),
      2,
    ),
    ...own.flatMap(({ label, evaluation: { metrics: { patients, nominalSpacing } } }) => [
      `### Patients of ${cell(label)}`,
      "",
      "Predicted / reference (error).",
      "",
      ...table(
        ["patient", ...CLINICAL_NAMES.map((name) => `${name}, ${unitText(CLINICAL_UNITS[name], nominalSpacing)}`)],
        patients.map(({ patient, values }) => [
          cell(patient),
          ...CLINICAL_NAMES.map((name) => {
            const { predicted, reference, error } = values[name];
            return `${number(predicted)} / ${number(reference)} (${signed(error)})`;
          }),
        ]),
        1,
      ),
    ]),
  ];
}

function cases({ results }: Group): string[] {
  return results.flatMap(({ label, evaluation: { metrics } }) => {
    const [mm, ml] = (["mm", "ml"] as const).map((unit) => unitText(unit, metrics.nominalSpacing));
    return [
      `### Cases of ${cell(label)}`,
      "",
      ...table(
        [
          "case",
          "class",
          "voxels",
          "reference voxels",
          ml,
          `reference ${ml}`,
          ...["published", "honest"].flatMap((name) => NUMBERS.map((number) => `${name}: ${UNITS[number]}`)),
          `95HD ${mm}`,
          `ASD ${mm}`,
          "seconds",
        ],
        metrics.rows.map((row) => [
          cell(row.case) + (row.phase ? `, ${row.phase}` : ""),
          cell(row.class),
          String(row.voxels),
          String(row.referenceVoxels),
          row.milliliters ? row.milliliters.predicted.toFixed(1) : "–",
          row.milliliters ? row.milliliters.reference.toFixed(1) : "–",
          ...NUMBERS.map((name) => printed(name, row.published[name])),
          ...NUMBERS.map((name) => printed(name, row.honest[name])),
          printed("hd95", row.millimeters?.hd95),
          printed("asd", row.millimeters?.asd),
          row.seconds.toFixed(1),
        ]),
        2,
      ),
    ];
  });
}

/** The Markdown of a report. */
export function markdown({ title, notes, groups, comparisons, sources }: Contents): string {
  return [
    `# ${cell(title)}`,
    "",
    ...(notes.length ? ["## Notes", "", ...notes.map((note) => `- ${cell(note)}`), ""] : []),
    ...groups.flatMap((group) => {
      const used = [...new Set(group.published.map(({ source }) => source))];
      return [
        `## ${cell(group.title)}, ${labeledText(group)}`,
        "",
        ...comparison(comparisons.get(group)!, group, used),
        ...(comparisons.get(group)!.length ? ["### Every run", ""] : []),
        ...results(group, used),
        ...(group.protocol && used.length
          ? [`Published protocol: ${cell(shortPublished({ ...group, protocol: group.protocol }))}.`, ""]
          : []),
        ...(used.length ? used.map((source, i) => `${i + 1}. ${sources[source]}`) : [nothingPublished(group)]),
        "",
        "### Protocol of every row",
        "",
        protocolReading(group),
        "",
        ...protocol(group),
        ...clinical(group),
        ...cases(group),
      ];
    }),
    "## Reading the numbers",
    "",
    ...READING.map((line) => `- ${line}`),
    "",
    "Learning curves, overlays and Bland–Altman plots stand in `report.html`.",
    "",
  ].join("\n");
}
