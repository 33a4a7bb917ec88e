/** @jsxImportSource preact */
/** Volumes and ejection fractions in the report: agreement over patients, Bland–Altman plots, every patient. @module */
// deno-lint-ignore-file jsx-key -- rendered once, never compared with an earlier rendering
import { rounded, seriesStyle, short, ticks } from "./charts.tsx";
import { clinicalReading, VOLUMES_READING } from "./contents.ts";
import { anyNominal, type Group } from "./groups.ts";
import { HtmlTable } from "./html_table.tsx";
import { measured, signed, unitText } from "./numbers.ts";
import type { Run } from "./runs.ts";
import { agreementTable, clinicalTable } from "./tables.ts";
import { CLINICAL_NAMES, type ClinicalName, type Metrics } from "../records/evaluation.ts";

const WIDTH = 400, HEIGHT = 250, LEFT = 50, RIGHT = 88, TOP = 28, BOTTOM = 40;
const INNER = { width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
/** Volumes and ejection fractions: two rows of three plots. */
const PLOTTED = CLINICAL_NAMES.filter((name) => name !== "LV mass");
/** Least distance of two labels on top of each other. */
const LINE = 13;

/** Differences of prediction and reference over their means, with bias and limits of agreement; a dot a patient. */
function BlandAltman({ name, metrics, place }: { name: ClinicalName; metrics: Metrics; place: number }) {
  const { unit, bias, limits } = metrics.clinical![name], told = unitText(unit, metrics.nominalSpacing);
  const points = metrics.patients.flatMap(({ patient, values }) => {
    const { predicted, reference, error } = values[name];
    return error === null ? [] : [{
      words: `${patient}: predicted ${measured(predicted)}, reference ${measured(reference)}, error ${
        signed(error)
      } ${told}`,
      mean: (predicted! + reference!) / 2,
      error,
    }];
  });
  if (!points.length) return null;
  const lines = [
    ...(limits ? [{ value: limits[1], words: "+1.96 SD", limit: true }] : []),
    { value: bias!, words: "bias", limit: false },
    ...(limits ? [{ value: limits[0], words: "−1.96 SD", limit: true }] : []),
  ];
  const [left, right] = padded(points.map(({ mean }) => mean), 0.08);
  const [low, high] = padded([0, ...points.map(({ error }) => error), ...lines.map(({ value }) => value)], 0.08);
  const x = (value: number) => rounded(LEFT + INNER.width * (value - left) / (right - left));
  const y = (value: number) => rounded(TOP + INNER.height * (high - value) / (high - low));
  const places = apart(lines.map(({ value }) => y(value)), 2 * LINE + 1);
  const { color } = seriesStyle(place);
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Bland–Altman plot of ${name}`}>
      <text class="chart-title" x={LEFT} y="16">{name}, {told}</text>
      {ticks(low, high, 4).map((mark) => (
        <g>
          <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={y(mark)} y2={y(mark)} />
          <text class="tick" x={LEFT - 6} y={y(mark) + 3.5} text-anchor="end">{short(mark).replace("-", "−")}</text>
        </g>
      ))}
      {ticks(left, right, 4).map((mark) => (
        <g>
          <line class="axis" x1={x(mark)} x2={x(mark)} y1={HEIGHT - BOTTOM} y2={HEIGHT - BOTTOM + 4} />
          <text class="tick" x={x(mark)} y={HEIGHT - BOTTOM + 15} text-anchor="middle">{short(mark)}</text>
        </g>
      ))}
      <line class="axis" x1={LEFT} x2={WIDTH - RIGHT} y1={y(0)} y2={y(0)} />
      <text class="tick" x={LEFT + INNER.width / 2} y={HEIGHT - 5} text-anchor="middle">
        mean of predicted and reference
      </text>
      <text class="tick" text-anchor="middle" transform={`translate(11 ${TOP + INNER.height / 2}) rotate(-90)`}>
        predicted − reference
      </text>
      {lines.map(({ value, words, limit }, i) => (
        <g>
          <line class={limit ? "limit" : "bias"} x1={LEFT} x2={WIDTH - RIGHT} y1={y(value)} y2={y(value)} />
          <text class="tick" x={WIDTH - RIGHT + 6} y={places[i] - 2}>{words}</text>
          <text x={WIDTH - RIGHT + 6} y={places[i] - 2 + LINE}>{signed(value)}</text>
        </g>
      ))}
      {points.map(({ mean, error, words }) => (
        <circle cx={x(mean)} cy={y(error)} r="4.5" fill={color} fill-opacity="0.5" stroke={color}>
          <title>{words}</title>
        </circle>
      ))}
    </svg>
  );
}

/** The range of values, a part of it wider on both sides. */
function padded(values: number[], part: number): [number, number] {
  const low = Math.min(...values), high = Math.max(...values), more = part * (high - low || Math.abs(high) || 1);
  return [low - more, high + more];
}

/** Places from top to bottom, moved until neighbors are `least` apart; their middle stays. */
export function apart(places: number[], least: number): number[] {
  const moved = [...places];
  for (let i = 1; i < moved.length; i++) moved[i] = Math.max(moved[i], moved[i - 1] + least);
  const shift = moved.reduce((sum, value, i) => sum + value - places[i], 0) / moved.length;
  return moved.map((value) => rounded(value - shift));
}

/** Volumes by class; nothing where no spacing is known. */
function Volumes({ group }: { group: Group }) {
  const results = group.results.filter(({ evaluation }) => evaluation.metrics.volumes);
  if (!results.length) return null;
  return (
    <>
      <h3>Volumes</h3>
      {VOLUMES_READING.map((line) => <p class="quiet">{line}</p>)}
      <HtmlTable table={agreementTable(results, "volumes")} />
    </>
  );
}

/** The clinical part of a group; of cases that are no frames of patients the volumes by class. */
export function Clinical({ group, runs }: { group: Group; runs: Run[] }) {
  const results = group.results.filter(({ evaluation }) => evaluation.metrics.clinical);
  if (!results.length) return <Volumes group={group} />;
  return (
    <>
      <h3>Volumes and ejection fractions</h3>
      {clinicalReading(anyNominal(results)).map((line) => <p class="quiet">{line}</p>)}
      <HtmlTable table={agreementTable(results, "clinical")} />
      {results.map((result) => (
        <section>
          <h4>Bland–Altman plots of {result.label}</h4>
          <div class="charts">
            {PLOTTED.map((name) => (
              <BlandAltman name={name} metrics={result.evaluation.metrics} place={runs.indexOf(result.run)} />
            ))}
          </div>
          <HtmlTable table={clinicalTable(result)} />
        </section>
      ))}
      <p class="quiet">
        A dot is a patient; point at it for its values. Bias: solid; limits of agreement: dashed.
      </p>
    </>
  );
}
