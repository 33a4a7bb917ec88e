/** @jsxImportSource preact */
/**
 * The report's charts: learning curves of several runs, Dice by case. Written here instead of drawn by vega-lite (12 MB):
 * few chart types, colors that follow the page's light and dark, and curves thinned to the pixels that show them.
 * @module
 */
import type { Run } from "./runs.ts";

/** Marks of a run, by its place: colors from the page (`--series-N`, Okabe and Ito), dashes for readers without them. */
const DASHES = ["", "7 3", "2 2", "9 3 2 3", "12 4", "4 2"];
/** The `style` of a run's marks. */
export function seriesStyle(place: number): { color: string; dash: string } {
  return {
    color: `var(--series-${place % DASHES.length})`,
    dash: DASHES[(place + Math.floor(place / DASHES.length)) % DASHES.length],
  };
}

const WIDTH = 400, HEIGHT = 220, LEFT = 52, RIGHT = 22, TOP = 28, BOTTOM = 34;
const INNER = { width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };

/** Round numbers over a range, about `count` of them. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * (1 - 1e-9))!;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** A number beside an axis. */
export function short(value: number): string {
  if (value === 0) return "0";
  return Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3
    ? value.toExponential(0).replace("+", "")
    : String(Number(value.toPrecision(6)));
}

/** A coordinate, to a tenth of a unit: finer is not seen. */
export function rounded(value: number): number {
  return Math.round(10 * value) / 10;
}

/** A curve of a run. */
export interface Curve {
  /** The run's place among all, from 0 on; it chooses the color. */
  place: number;
  /** The name of the run. */
  name: string;
  /** The points in the order of iterations. */
  points: { iteration: number; value: number }[];
  /** Where the unlabeled half comes in; 0 without a warm-up. */
  warmup: number;
}

/** Centred mean over a window of points; shorter at the ends, always as long to the left as to the right. */
export function smooth(values: number[], window: number): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return values.map((_, i) => {
    const half = Math.min(Math.floor(window / 2), i, values.length - 1 - i);
    return (sums[i + half + 1] - sums[i - half]) / (2 * half + 1);
  });
}

/** Points of a curve that is smoothed: a fortieth of it. */
const smoothingWindow = (points: number) => Math.max(1, Math.round(points / 40));

/** One quantity over the iterations up to the last of any run, of several runs. */
export function LineChart(
  { title, curves, last, drawn: how, decades, id }: {
    title: string;
    curves: Curve[];
    last: number;
    /** Raw (faint) and smoothed (bold); a value that stays until the next; points on a line, the highest in a ring. */
    drawn: "smoothed" | "steps" | "points";
    /** A logarithmic scale, where the values span a decade. */
    decades: boolean;
    /** The id of its clip path, unique in the page. */
    id: string;
  },
) {
  const smoothed = how === "smoothed";
  const drawn = curves.map(({ points, ...curve }) => ({
    ...curve,
    points,
    mean: smoothed ? smooth(points.map((p) => p.value), smoothingWindow(points.length)) : points.map((p) => p.value),
  }));
  const all = drawn.flatMap(({ points }) => points.map((p) => p.value)).sort((a, b) => a - b);
  // Single spikes may leave the chart; the smoothed curves never do.
  const means = drawn.flatMap(({ mean }) => mean);
  const least = means.reduce((a, b) => Math.min(a, b), all[Math.floor(0.005 * (all.length - 1))]);
  const most = means.reduce((a, b) => Math.max(a, b), all[Math.ceil(0.995 * (all.length - 1))]);
  const logarithmic = decades && least > 0 && most / least >= 10;
  let [low, high] = logarithmic ? [Math.log10(least), Math.log10(most)] : [Math.min(least, 0), most];
  if (high - low < 1e-12) [low, high] = logarithmic ? [low - 1, high + 1] : [low, low + (Math.abs(low) || 1)];
  const marks = logarithmic ? ticks(low, high, 5).filter(Number.isInteger) : ticks(low, high, 4);
  high += 0.04 * (high - low);
  if (logarithmic) low -= 0.04 * (high - low);
  const x = (iteration: number) => rounded(LEFT + INNER.width * iteration / last);
  const y = (value: number) =>
    rounded(TOP + INNER.height * (high - (logarithmic ? Math.log10(value) : value)) / (high - low));
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title} over the iterations`}>
      <clipPath id={id}>
        <rect x={LEFT} y={TOP} width={INNER.width} height={INNER.height} />
      </clipPath>
      <text class="chart-title" x={LEFT} y="16">{title}{logarithmic ? " (log)" : ""}</text>
      {marks.map((mark) => {
        const at = y(logarithmic ? 10 ** mark : mark);
        return (
          <g>
            <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={at} y2={at} />
            <text class="tick" x={LEFT - 6} y={at + 3.5} text-anchor="end">
              {logarithmic ? `1e${mark}` : short(mark)}
            </text>
          </g>
        );
      })}
      {ticks(0, last, 4).map((mark) => (
        <g>
          <line class="axis" x1={x(mark)} x2={x(mark)} y1={HEIGHT - BOTTOM} y2={HEIGHT - BOTTOM + 4} />
          <text class="tick" x={x(mark)} y={HEIGHT - BOTTOM + 15} text-anchor="middle">
            {mark.toLocaleString("en-US")}
          </text>
        </g>
      ))}
      <line class="axis" x1={LEFT} x2={WIDTH - RIGHT} y1={HEIGHT - BOTTOM} y2={HEIGHT - BOTTOM} />
      <text class="tick" x={WIDTH - RIGHT} y={HEIGHT - 4} text-anchor="end">iteration</text>
      <g clip-path={`url(#${id})`}>
        {drawn.filter(({ warmup }) => warmup > 0 && warmup < last).map(({ place, warmup }) => (
          <line
            x1={x(warmup)}
            x2={x(warmup)}
            y1={TOP}
            y2={HEIGHT - BOTTOM}
            stroke={seriesStyle(place).color}
            stroke-dasharray="1 3"
          >
            <title>end of the warm-up</title>
          </line>
        ))}
        {smoothed && drawn.map(({ place, points }) => (
          <path
            class="raw"
            stroke={seriesStyle(place).color}
            d={thin(points.map((p) => [x(p.iteration), y(p.value)]))}
          />
        ))}
        {drawn.map(({ place, name, points, mean }) => (
          <path
            class="smoothed"
            stroke={seriesStyle(place).color}
            stroke-dasharray={seriesStyle(place).dash}
            d={(how === "steps" ? steps : thin)(points.map((p, i) => [x(p.iteration), y(mean[i])]))}
          >
            <title>{name}</title>
          </path>
        ))}
      </g>
      {how === "points" && drawn.map(({ place, name, points }) => {
        const best = points.reduce((a, b) => b.value > a.value ? b : a), { color } = seriesStyle(place);
        const words = (p: typeof best) => `${name}, iteration ${p.iteration}: ${p.value.toFixed(2)}`;
        return (
          <g>
            {points.map((p) => (
              <circle cx={x(p.iteration)} cy={y(p.value)} r="2" fill={color}>
                <title>{words(p)}</title>
              </circle>
            ))}
            {best.value > 0 && ( // else no checkpoint was kept
              <circle class="best" cx={x(best.iteration)} cy={y(best.value)} r="5" stroke={color}>
                <title>best, {words(best)}</title>
              </circle>
            )}
          </g>
        );
      })}
    </svg>
  );
}

const at = (point: number[]) => point.join(" ");

/** A path through all points, or, where they are denser than half a unit, through the extremes of each column. */
function thin(points: number[][]): string {
  const columns = new Map<number, number[][]>();
  for (const point of points) {
    const column = Math.round(point[0] * 2);
    if (!columns.has(column)) columns.set(column, []);
    columns.get(column)!.push(point);
  }
  const kept = [...columns.values()].flatMap((column) => {
    if (column.length < 3) return column;
    const order = column.toSorted((a, b) => a[1] - b[1]), ends = [order[0], order.at(-1)!];
    return column.indexOf(ends[0]) < column.indexOf(ends[1]) ? ends : ends.reverse();
  });
  return kept.map((point, i) => (i ? "L" : "M") + at(point)).join("");
}

/** A path that keeps a value until the next one: only its changes are drawn. */
function steps(points: number[][]): string {
  const changes = points.map((point, i) => {
    if (!i) return "M" + at(point);
    return point[1] === points[i - 1][1] ? "" : `L${at([point[0], points[i - 1][1]])}L${at(point)}`;
  });
  return changes.join("") + "L" + at(points.at(-1)!);
}

/** Logged quantities in the order of the charts; what a method adds comes behind them under its own key. */
const TITLES: Record<string, string> = {
  total: "Total loss",
  supervised: "Supervised loss",
  dice: "Dice loss, labeled",
  cross_entropy: "Cross entropy, labeled",
  smoothness: "Smoothness loss",
  separation_labeled: "Separation loss, labeled",
  separation_unlabeled: "Separation loss, unlabeled",
  consistency_weight: "Consistency weight",
  learning_rate: "Learning rate",
};
const SCHEDULES = ["consistency_weight", "learning_rate"];

/** Validation and all logged quantities of the runs, one chart each. Places are those of the runs in the report. */
export function LearningCurves({ runs }: { runs: { run: Run; place: number }[] }) {
  const last = Math.max(1, ...runs.map(({ run }) => run.iteration)),
    validated = runs.filter(({ run }) => run.validation.length);
  const curveOf = ({ run, place }: typeof runs[number], points: Curve["points"]): Curve => ({
    place,
    name: run.name,
    points,
    warmup: run.config.training.warmup,
  });
  const logged = new Set(runs.flatMap(({ run }) => Object.keys(run.curves)));
  const others = [...logged].filter((key) => !Object.hasOwn(TITLES, key)).sort();
  return (
    <div class="charts">
      {validated.length > 0 && (
        <LineChart
          title="Dice of the validation cases, %"
          id={`plot-${runs[0].place}-validation`}
          last={last}
          drawn="points"
          decades={false}
          curves={validated.map((one) => curveOf(one, one.run.validation.map((p) => ({ ...p, value: 100 * p.value }))))}
        />
      )}
      {[...Object.keys(TITLES).filter((key) => logged.has(key)), ...others].map((key) => (
        <LineChart
          title={Object.hasOwn(TITLES, key) ? TITLES[key] : key.replaceAll("_", " ")}
          id={`plot-${runs[0].place}-${key}`}
          last={last}
          drawn={SCHEDULES.includes(key) ? "steps" : "smoothed"}
          decades={key === "learning_rate"}
          curves={runs.filter(({ run }) => run.curves[key]).map((one) => curveOf(one, one.run.curves[key]))}
        />
      ))}
    </div>
  );
}

/** Dice of every case, a row an evaluation, with its mean and the published mean of one method. */
export function DiceByCase({ rows, publishedMean }: {
  rows: { place: number; label: string; mean: number | null; cases: { name: string; dice: number }[] }[];
  publishedMean: { name: string; dice: number } | null;
}) {
  const width = 840, left = 20, right = 20, line = 46, top = 30, bottom = top + line * rows.length;
  const least = Math.min(
    ...rows.flatMap(({ cases }) => cases.map(({ dice }) => 100 * dice)),
    publishedMean?.dice ?? 100,
  );
  const low = Math.max(0, Math.floor((least - 2) / 10) * 10);
  const x = (dice: number) => rounded(left + (width - left - right) * (dice - low) / (100 - low));
  return (
    <svg class="chart wide" viewBox={`0 0 ${width} ${bottom + 34}`} role="img" aria-label="Dice of every case">
      {ticks(low, 100, 8).map((mark) => (
        <g>
          <line class="grid" x1={x(mark)} x2={x(mark)} y1={top - 8} y2={bottom} />
          <text class="tick" x={x(mark)} y={bottom + 15} text-anchor="middle">{short(mark)}</text>
        </g>
      ))}
      <text class="tick" x={width - right} y={bottom + 30} text-anchor="end">Dice, %</text>
      {publishedMean && (
        <g>
          <line class="published-mean" x1={x(publishedMean.dice)} x2={x(publishedMean.dice)} y1={top - 8} y2={bottom} />
          <text class="tick" x={x(publishedMean.dice)} y="14" text-anchor={publishedMean.dice > 70 ? "end" : "start"}>
            published mean of {publishedMean.name}: {publishedMean.dice.toFixed(2)}
          </text>
        </g>
      )}
      {rows.map(({ place, label, mean, cases }, row) => {
        const y = top + line * row + 26, { color } = seriesStyle(place);
        return (
          <g>
            <text class="strip-label" x={left} y={y - 14}>{label}</text>
            <line class="axis" x1={left} x2={width - right} y1={y} y2={y} />
            {cases.map(({ name, dice }) => (
              <circle cx={x(100 * dice)} cy={y} r="5" fill={color} fill-opacity="0.5" stroke={color}>
                <title>{name}: {(100 * dice).toFixed(2)} %</title>
              </circle>
            ))}
            {mean !== null && (
              <path class="mean" d={`M${x(100 * mean)} ${y - 10}v20`}>
                <title>mean: {(100 * mean).toFixed(2)} %</title>
              </path>
            )}
          </g>
        );
      })}
    </svg>
  );
}
