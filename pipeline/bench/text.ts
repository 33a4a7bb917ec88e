/** Figures for readers. @module */
import { type Comparison, CONFIDENCE, TOLERANCE } from "./baseline_comparison.ts";
import type { Measurement, PassName, Times } from "../records/measurement.ts";
import type { Count } from "./counts.ts";
import { titleOf } from "./measurements.ts";

const short = (value: number) => value.toPrecision(3);
const secondsText = ({ minimum, median, all }: Times) =>
  `minimum ${short(minimum)} s, median ${short(median)} s of ${all.length}`;

/** Columns, the first to the left, the others to the right. */
function table(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const cell = (text: string, column: number) =>
    column ? text.padStart(widths[column] + 2) : text.padEnd(widths[column]);
  return rows.map((row) => row.map(cell).join("")).join("\n");
}

/** Processor, memory and versions, in a line. */
export function settingText({ cpu, machine, versions }: Measurement): string {
  const rest = machine
    ? `, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.instructionSets?.join(" ") ?? "n/a"}`
    : "";
  const commit = versions.commit ? `, commit ${versions.commit}` : "";
  return `${cpu}${rest}; TensorFlow ${versions.tensorflow}, Deno ${versions.deno}${commit}`;
}

/** A process's figures: its pieces, a line each, and a line of the whole. */
export function measurementText(one: Measurement): string {
  const {
    pieces = [],
    stepSeconds,
    firstSeconds,
    warmupSeconds,
    lowResolutionSeconds,
    inputSeconds,
    forwardSeconds,
    readSeconds,
  } = one;
  const parts = [
    stepSeconds && secondsText(stepSeconds),
    firstSeconds !== undefined && `first ${short(firstSeconds)} s`,
    warmupSeconds && `warm-up ${short(warmupSeconds.minimum)} s`,
    lowResolutionSeconds && `low resolution ${short(lowResolutionSeconds.minimum)} s`,
    inputSeconds && `back to the input alone ${short(inputSeconds.minimum)} s`,
    forwardSeconds && `forward alone ${short(forwardSeconds.minimum)} s`,
    readSeconds && `read in ${short(readSeconds.minimum)} s`,
    one.casesPerMinute !== undefined && `${one.casesPerMinute} cases a minute`,
    `peak memory ${one.peakMemoryGb} GB`,
  ];
  const width = Math.max(...pieces.map(({ name }) => name.length));
  return [
    ...pieces.map(({ name, seconds }) => `${name.padEnd(width)}  ${secondsText(seconds)}`),
    `${titleOf(one)}: ${parts.filter((part) => part).join(", ")}`,
  ].join("\n");
}

/** One axis of a scaling: seconds, how many times those of the first row, memory. @param rows The same axis in all. */
export function axisText(rows: Measurement[]): string {
  const reads = rows.every((row) => row.readSeconds), secondsOf = (row: Measurement) => row.stepSeconds!.minimum;
  const body = rows.map((row) => [
    String(row.value),
    short(secondsOf(row)),
    (secondsOf(row) / secondsOf(rows[0])).toFixed(2),
    ...reads ? [short(row.readSeconds!.minimum)] : [],
    row.peakMemoryGb.toFixed(2),
  ]);
  return table([[String(rows[0].axis), "s", "x", ...reads ? ["s to read"] : [], "GB"], ...body]);
}

const PASS_TEXT: Record<PassName, string> = { forward: "forward", input: "to the input", all: "to all" };

/** Steps against their passes, a line each. */
export function countsText(counts: Count[]): string {
  const body = counts.map(({ dataset, method, precision, stepSeconds, passes, passSeconds, ratio }) => [
    `${dataset} ${method} ${precision}`,
    short(stepSeconds),
    short(passSeconds),
    ratio.toFixed(3),
    passes.map(({ network, pass, rows }) => `${rows} ${network} ${PASS_TEXT[pass]}`).join(", "),
  ]);
  return table([["", "s a step", "s of its passes", "ratio", "rows, network, pass"], ...body]);
}

/** Verdicts of one benchmark. */
export function comparisonText({ series, unpaired, peakMemoryGb }: Comparison): string {
  const bounds = (low: number, high: number) =>
    Number.isFinite(high) ? `${low.toFixed(3)} - ${high.toFixed(3)}` : "too few values";
  const fastest = (values: number[]) => values.length ? short(Math.min(...values)) : "n/a";
  const body = series.map(({ name, before, now, ratio, low, high, verdict }) => [
    name,
    fastest(before),
    fastest(now),
    Number.isNaN(ratio) ? "n/a" : ratio.toFixed(3),
    bounds(low, high),
    verdict,
  ]);
  const head = ["", "s before", "s now", "now/before", `${100 * CONFIDENCE} % interval`, "verdict"];
  return [
    ...body.length ? [table([head, ...body])] : [],
    ...unpaired.map((name) => `${name}: one of the two lacks it, so it is not compared`),
    `peak memory ${peakMemoryGb.before} GB before, ${peakMemoryGb.now} GB now`,
  ].join("\n");
}

/** What the verdicts mean. */
export const RULE = `"faster" or "slower": the whole interval lies beyond ${100 * TOLERANCE} % to one side of 1`;
