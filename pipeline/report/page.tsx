/** @jsxImportSource preact */
/**
 * The report as one HTML file that needs no network: style, script, charts and images stand in it. Preact's JSX escapes
 * every name that comes from a file.
 * @module
 */
// deno-lint-ignore-file jsx-key -- rendered once, never compared with an earlier rendering
import type { ComponentChildren } from "preact";
import { renderToString } from "preact-render-to-string";
import { DiceByCase, LearningCurves, seriesStyle } from "./charts.tsx";
import { Clinical } from "./clinical.tsx";
import { Comparisons } from "./comparison_tables.tsx";
import { type Contents, READING, type ShownCase } from "./contents.ts";
import { ERRORS, type Overlay, type OverlaySlice, VIEWS } from "./overlays.ts";
import css from "./page.css" with { type: "text" };
import {
  anyNominal,
  casesByDice,
  type Group,
  labeledText,
  letter,
  methodName,
  nothingPublished,
  type NumberName,
  NUMBERS,
  printed,
  printedStatistic,
  protocolReading,
  protocolSettings,
  type Result,
  resultLines,
  shortProtocol,
  shortPublished,
  UNITS,
  unitText,
} from "./results.ts";
import type { Run } from "./runs.ts";
import viewer from "./viewer.js" with { type: "text" };
import type { Metrics, Spread } from "../records/evaluation.ts";

function NumberCell({ text, deviation, first }: { text: string; deviation?: string | null; first?: boolean }) {
  return (
    <td class={`number${first ? " first" : ""}${text === "–" ? " none" : ""}`}>
      {text}
      {deviation && <span class="deviation">± {deviation}</span>}
    </td>
  );
}

function StatisticCell({ name, value, first }: { name: NumberName; value?: Spread; first?: boolean }) {
  const { mean, deviation } = printedStatistic(name, value);
  return <NumberCell text={mean} deviation={deviation} first={first} />;
}

function MillimeterHeads({ nominal }: { nominal: boolean }) {
  return (["95HD", "ASD"] as const).map((word, i) => (
    <th class={`number${i ? "" : " first"}`} scope="col">
      {word}
      <br />
      <small>{unitText("mm", nominal)}</small>
    </th>
  ));
}

function NumberHeads() {
  return NUMBERS.map((name, i) => {
    const [word, unit] = UNITS[name].split(" ");
    return (
      <th class={`number${i ? "" : " first"}`} scope="col">
        {word}
        <br />
        <small>{unit}</small>
      </th>
    );
  });
}

function ResultsTable({ group, sources }: { group: Group; sources: string[] }) {
  const methods = group.results.map(({ run }) => methodName(run.config.method.name));
  // The published labeled-only rows name their network first.
  const isOurs = ({ method }: { method: string }) => methods.some((m) => method === m || method.endsWith(`, ${m}`));
  return (
    <>
      <p class="quiet">
        Means over the test cases ± sample deviation. Distances in voxels ignore the spacing
        {anyNominal(group.results) && "; mm are from a nominal spacing, not the scanner's"}.
      </p>
      <div class="scroll">
        <table class="results">
          <thead>
            <tr>
              <th colspan={2}></th>
              <th class="group first" colspan={4} scope="colgroup">
                published convention<br />
                <small>an empty prediction scores 0 everywhere</small>
              </th>
              <th class="group first" colspan={5} scope="colgroup">
                honest convention<br />
                <small>no distance where a mask is empty</small>
              </th>
              <th class="group first" colspan={2} scope="colgroup">
                millimeters<br />
                <small>honest</small>
              </th>
            </tr>
            <tr>
              <th scope="col">method, run, protocol</th>
              <th class="number" scope="col">
                labeled<br />
                <small>{group.unit}</small>
              </th>
              <NumberHeads />
              <NumberHeads />
              <th class="number" scope="col">
                with a<br />distance
              </th>
              <MillimeterHeads nominal={anyNominal(group.results)} />
            </tr>
          </thead>
          <tbody>
            <tr class="section-row">
              <th colspan={13} scope="rowgroup">
                <span>This report</span>
              </th>
            </tr>
            {group.results.flatMap((result) =>
              resultLines(result).map(({ part, published, honest, millimeters, count }) => (
                <tr class={part ? "class" : ""}>
                  <th scope="row">
                    {part ?? <strong>{methodName(result.run.config.method.name)}</strong>}
                    {!part && <small>{result.label}</small>}
                    {!part && <small class="settings">{shortProtocol(result)}</small>}
                  </th>
                  <td class="number">{group.labeled}</td>
                  {NUMBERS.map((name, i) => <StatisticCell name={name} value={published[name]} first={!i} />)}
                  {NUMBERS.map((name, i) => <StatisticCell name={name} value={honest[name]} first={!i} />)}
                  <td class="number">{honest.hd95.cases} of {count}</td>
                  <StatisticCell name="hd95" value={millimeters?.hd95} first />
                  <StatisticCell name="asd" value={millimeters?.asd} />
                </tr>
              ))
            )}
          </tbody>
          {group.protocol && group.published.length > 0 && (
            <tbody>
              <tr class="section-row">
                <th colspan={13} scope="rowgroup">
                  <span>
                    Published, under their protocol
                    <small>{shortPublished({ ...group, protocol: group.protocol })}</small>
                  </span>
                </th>
              </tr>
              {group.published.map((row) => (
                <tr class={`${row.class ? "class" : ""}${isOurs(row) && !row.class ? " same-method" : ""}`}>
                  <th scope="row">
                    {row.class ?? row.method}&nbsp;<sup>{letter(sources.indexOf(row.source))}</sup>
                  </th>
                  <td class="number">{row.labeled}</td>
                  {NUMBERS.map((name, i) => <NumberCell text={row[name].toFixed(2)} first={!i} />)}
                  {NUMBERS.map((_, i) => <NumberCell text="–" first={!i} />)}
                  <NumberCell text="–" />
                  <NumberCell text="–" first />
                  <NumberCell text="–" />
                </tr>
              ))}
            </tbody>
          )}
        </table>
      </div>
    </>
  );
}

function ProtocolTable({ group }: { group: Group }) {
  return (
    <>
      <p class="quiet">
        {protocolReading(group)}
      </p>
      <div class="scroll">
        <table class="protocol">
          <thead>
            <tr>
              <th scope="col">setting</th>
              <th scope="col">published</th>
              {group.results.map(({ label }) => <th scope="col">{label}</th>)}
            </tr>
          </thead>
          <tbody>
            {protocolSettings(group).map(({ name, published, values }) => (
              <tr>
                <th scope="row">{name}</th>
                <td class={published === null ? "none" : ""}>{published ?? "–"}</td>
                {values.map(({ text, differs }) => <td class={differs ? "differs" : ""}>{differs && "≠ "}{text}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function CaseTable({ result: { label, evaluation: { metrics } }, shown }: { result: Result; shown: ShownCase[] }) {
  const remark = ({ case: name, phase }: Metrics["rows"][number]) => {
    const rank = shown.find((one) => one.name === name)?.rank;
    return [phase, rank && `${rank} by Dice`].filter(Boolean).join(", ");
  };
  return (
    <details>
      <summary>Every case of {label}</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th colspan={2}></th>
              <th class="group first" colspan={2} scope="colgroup">voxels</th>
              <th class="group first" colspan={2} scope="colgroup">{unitText("ml", metrics.nominalSpacing)}</th>
              <th class="group first" colspan={4} scope="colgroup">published convention</th>
              <th class="group first" colspan={4} scope="colgroup">honest convention</th>
              <th class="group first" colspan={2} scope="colgroup">millimeters</th>
              <th></th>
            </tr>
            <tr>
              <th scope="col">case</th>
              <th scope="col">class</th>
              <th class="number first" scope="col">predicted</th>
              <th class="number" scope="col">reference</th>
              <th class="number first" scope="col">predicted</th>
              <th class="number" scope="col">reference</th>
              <NumberHeads />
              <NumberHeads />
              <MillimeterHeads nominal={metrics.nominalSpacing} />
              <th class="number first" scope="col">
                time<br />
                <small>s</small>
              </th>
            </tr>
          </thead>
          <tbody>
            {metrics.rows.map((row, i) => (
              <tr>
                {row.case !== metrics.rows[i - 1]?.case && (
                  <th
                    scope="rowgroup"
                    rowspan={metrics.rows.filter((one) => one.case === row.case).length}
                  >
                    {row.case} <small>{remark(row)}</small>
                  </th>
                )}
                <td class="word">{row.class}</td>
                <NumberCell text={row.voxels.toLocaleString("en-US")} first />
                <NumberCell text={row.referenceVoxels.toLocaleString("en-US")} />
                <NumberCell text={row.milliliters ? row.milliliters.predicted.toFixed(1) : "–"} first />
                <NumberCell text={row.milliliters ? row.milliliters.reference.toFixed(1) : "–"} />
                {NUMBERS.map((name, i) => <NumberCell text={printed(name, row.published[name])} first={!i} />)}
                {NUMBERS.map((name, i) => <NumberCell text={printed(name, row.honest[name])} first={!i} />)}
                <NumberCell text={printed("hd95", row.millimeters?.hd95)} first />
                <NumberCell text={printed("asd", row.millimeters?.asd)} />
                <NumberCell text={row.seconds.toFixed(1)} first />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** CSS classes of a view's paths, in their order. */
function pathClasses(view: typeof VIEWS[number], classes: number): string[] {
  const own = Array.from({ length: classes }, (_, k) => `class-${k}`);
  return view === "differences" ? [...own.map((name) => `right ${name}`), ...ERRORS] : own;
}

function Slice({ overlay, id, index, label }: { overlay: Overlay; id: string; index: number; label: string }) {
  const { width, height, aspect, slices, montage: { columns, tile } } = overlay;
  return (
    <svg class="slice" viewBox={`0 0 ${width} ${height * aspect}`} role="img" aria-label={label}>
      {/* Clips the neighboring tiles where the picture's box is wider than the slice, and stretches its voxels. */}
      <svg width={width} height={height * aspect} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none">
        <use href={`#${id}`} x={-(index % columns) * tile.width} y={-Math.floor(index / columns) * tile.height} />
        {VIEWS.map((view) => (
          <g class={`regions ${view}`}>
            {slices[index][view].map((path, i) => (
              <path class={pathClasses(view, slices[index].reference.length)[i]} d={path} />
            ))}
          </g>
        ))}
      </svg>
    </svg>
  );
}

/** What the viewer's script needs of a slice. */
const viewed = (slice: OverlaySlice) => ({ z: slice.z, paths: VIEWS.flatMap((view) => slice[view]) });

function CaseFigure({ shown: { name, rank, dice, rows, overlay }, id }: { shown: ShownCase; id: string }) {
  const percent = printed("dice", dice);
  const distances = rows.map(({ class: className, honest }) =>
    `${rows.length > 1 ? `${className}: Dice ${printed("dice", honest.dice)} %, ` : ""}95HD ${
      printed("hd95", honest.hd95)
    }, ASD ${printed("asd", honest.asd)} voxels`
  );
  const heading = (
    <figcaption>
      <p>
        <strong>{rank === "only" ? "Only case" : rank[0].toUpperCase() + rank.slice(1)}: Dice {percent} %</strong>{" "}
        <span>{name}{rows[0].phase && `, ${rows[0].phase}`}</span>
      </p>
      {distances.map((line) => <div>{line}</div>)}
    </figcaption>
  );
  if (!overlay) {
    return (
      <figure class="case">
        {heading}
        <p class="quiet">Its slices cannot be shown; the notes say why.</p>
      </figure>
    );
  }
  const { columns, rows: tiles, tile, png } = overlay.montage, middle = overlay.shown[1].index;
  return (
    <figure
      class="case"
      data-view="differences"
      data-columns={columns}
      data-tile-width={tile.width}
      data-tile-height={tile.height}
    >
      {heading}
      <svg class="definitions" width="0" height="0" aria-hidden="true">
        <defs>
          <image
            id={id}
            href={`data:image/png;base64,${png.toBase64()}`}
            width={columns * tile.width}
            height={tiles * tile.height}
            preserveAspectRatio="none"
          />
        </defs>
      </svg>
      <div class="viewer">
        <Slice overlay={overlay} id={id} index={middle} label={`a slice of ${name}`} />
        <div class="controls" hidden>
          <input
            type="range"
            min="0"
            max={overlay.slices.length - 1}
            value={middle}
            aria-label={`slice of ${name}`}
          />
          <output>z {overlay.slices[middle].z}</output>
          <select aria-label={`what is shown over ${name}`}>
            <option value="differences">differences</option>
            <option value="prediction">prediction</option>
            <option value="reference">reference</option>
            <option value="">image alone</option>
          </select>
        </div>
      </div>
      <div class="thumbnails">
        {overlay.shown.map(({ index, what }) => (
          <button type="button" data-index={index}>
            <Slice overlay={overlay} id={id} index={index} label={`slice z ${overlay.slices[index].z} of ${name}`} />
            z {overlay.slices[index].z}, {what}
          </button>
        ))}
      </div>
      <script
        type="application/json"
        dangerouslySetInnerHTML={{ __html: JSON.stringify(overlay.slices.map(viewed)).replaceAll("<", "\\u003c") }}
      />
    </figure>
  );
}

function RegionLegend({ classes }: { classes: readonly string[] }) {
  const several = classes.length > 1,
    words: Record<typeof ERRORS[number], string> = {
      extra: "predicted, not in the reference",
      missed: "in the reference, missed",
      confused: "another class",
    };
  const items = [
    ...classes.map((name, k) => [`right class-${k}`, several ? name : "right"]),
    ...ERRORS.filter((error) => several || error !== "confused").map((error) => [error, words[error]]),
  ];
  return (
    <ul class="legend" data-view="differences">
      {items.map(([style, text]) => (
        <li>
          <svg width="22" height="14" aria-hidden="true">
            <rect x="0" y="0" width="22" height="14" fill="#555" />
            <g class="regions differences">
              <path class={style} d="M3 2h16v10h-16z" />
            </g>
          </svg>
          {text}
        </li>
      ))}
    </ul>
  );
}

function Figures({ group, shown, prefix }: { group: Group; shown: Contents["shown"]; prefix: string }) {
  return (
    <>
      <h3>Best, median and worst case by Dice</h3>
      <p class="quiet">
        Slices in the plane of x (to the right) and y (downwards), as the case is stored; the box around both masks with
        20 voxels more on every side. Outlines run along the voxels' edges. The color of a class: where both masks
        agree; errors are filled more strongly.
      </p>
      <RegionLegend classes={group.results[0].evaluation.metrics.classes} />
      {group.results.map((result, i) => (
        <section>
          <h3>{result.label}</h3>
          <div class="cases">
            {shown.get(result)!.map((one, j) => <CaseFigure shown={one} id={`${prefix}-${i}-${j}`} />)}
          </div>
        </section>
      ))}
    </>
  );
}

function GroupSection({ group, contents, number }: { group: Group; contents: Contents; number: number }) {
  const sources = [...new Set(group.published.map(({ source }) => source))];
  const reference = group.published.find((row) => row.method === "SS-Net" && !row.class);
  const comparisons = contents.comparisons.get(group)!;
  const differing = [
    ...new Set(protocolSettings(group).filter(({ values }) => values.some((v) => v.differs)).map(({ name }) => name)),
  ];
  const mean = ({ summary, classes }: Metrics) => summary.honest[classes.length > 1 ? "mean" : classes[0]].dice.mean;
  return (
    <section>
      <h2>{group.title}, {labeledText(group)}</h2>
      <Comparisons tables={comparisons} unit={group.unit} sources={sources} />
      {comparisons.length > 0 && <h3>Every run</h3>}
      <ResultsTable group={group} sources={sources} />
      {sources.length
        ? (
          <ol class="sources" type="a">
            {sources.map((source) => <li>{contents.sources[source]}</li>)}
          </ol>
        )
        : <p>{nothingPublished(group)}</p>}
      {group.protocol && sources.length > 0 && differing.length > 0 && (
        <p>
          Our rows and the published ones are not comparable as they stand. They differ in: {differing.join("; ")}.
        </p>
      )}
      <h3>Dice of every case</h3>
      <div class="scroll">
        <DiceByCase
          rows={group.results.map(({ run, label, evaluation: { metrics } }) => ({
            place: contents.runs.indexOf(run),
            label,
            mean: mean(metrics),
            cases: casesByDice(metrics),
          }))}
          published={reference ? { name: reference.method, dice: reference.dice } : null}
        />
      </div>
      <p class="quiet">
        A dot is a case{group.results.some(({ evaluation }) => evaluation.metrics.patients.length) &&
          ", one frame of a patient"} (honest convention), the bar their mean. Point at a dot for its name.
      </p>
      {group.results.map((result) => <CaseTable result={result} shown={contents.shown.get(result)!} />)}
      <Clinical group={group} runs={contents.runs} />
      <Figures group={group} shown={contents.shown} prefix={`gray-${number}`} />
      <h3>Protocol of every row</h3>
      <ProtocolTable group={group} />
    </section>
  );
}

function CurveSection({ runs, title }: { runs: { run: Run; place: number }[]; title: string }) {
  return (
    <section>
      <h2>Learning curves{title}</h2>
      <ul class="legend">
        {runs.map(({ run, place }) => {
          const { color, dash } = seriesStyle(place);
          return (
            <li>
              <svg width="34" height="10" aria-hidden="true">
                <line x1="0" x2="34" y1="5" y2="5" stroke={color} stroke-width="2.2" stroke-dasharray={dash} />
              </svg>
              <span>
                {run.name} ({methodName(run.config.method.name)}, {run.iteration.toLocaleString("en-US")} iterations
                {run.minutes !== null && `, ${run.minutes.toFixed(1)} min`})
              </span>
            </li>
          );
        })}
      </ul>
      <LearningCurves runs={runs} />
      <p class="quiet">
        Faint: every iteration. Bold: centered mean over a fortieth of the logged iterations; schedules are drawn as
        they are. Single spikes may leave a chart. A dotted vertical line ends a run's labeled-only warm-up. Validation:
        the mean over cases and classes, published convention; the ring is the best, the checkpoint that was kept.
      </p>
    </section>
  );
}

function Page({ contents }: { contents: Contents }): ComponentChildren {
  const { title, notes, runs, groups } = contents;
  const placed = runs.map((run, place) => ({ run, place })).filter(({ run }) => Object.keys(run.curves).length);
  const datasets = [...new Set(placed.map(({ run }) => run.config.dataset))];
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        />
        <title>{title}</title>
        <style dangerouslySetInnerHTML={{ __html: css }} />
      </head>
      <body>
        <h1>{title}</h1>
        <p class="quiet">
          Made by SS-Net on Deno from {runs.map(({ folder }) => folder).join(", ")}. For research, not for clinical use.
        </p>
        {notes.length > 0 && (
          <div class="notes">
            <strong>Notes</strong>
            <ul>{notes.map((note) => <li>{note}</li>)}</ul>
          </div>
        )}
        {groups.map((group, number) => <GroupSection group={group} contents={contents} number={number} />)}
        {datasets.map((dataset) => (
          <CurveSection
            runs={placed.filter(({ run }) => run.config.dataset === dataset)}
            title={datasets.length > 1 ? `: ${dataset}` : ""}
          />
        ))}
        <section>
          <h2>Reading the numbers</h2>
          <ul>{READING.map((line) => <li>{line}</li>)}</ul>
        </section>
        <script dangerouslySetInnerHTML={{ __html: viewer }} />
      </body>
    </html>
  );
}

/** The page of a report. */
export function page(contents: Contents): string {
  return "<!DOCTYPE html>\n" + renderToString(<Page contents={contents} />) + "\n";
}
