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
import { COMPARISON_READING } from "./compared_methods.ts";
import { type Contents, READING, type ShownCase } from "./contents.ts";
import { ERRORS, type Overlay, type OverlaySlice, VIEWS } from "./overlays.ts";
import { casesByDice, type Group, labeledText, noPublishedResults, publishedRowOf } from "./groups.ts";
import { HtmlTable } from "./html_table.tsx";
import { grouped, printed } from "./numbers.ts";
import css from "./page.css" with { type: "text" };
import { type PatchSheet, SHEET_PATCHES, type ShownSheet } from "./patch_sheet.ts";
import type { Run } from "./runs.ts";
import {
  casesTable,
  comparisonTables,
  differencesTable,
  protocolTable,
  resultsTable,
  selectionTable,
} from "./tables.ts";
import viewer from "./viewer.js" with { type: "text" };
import type { Metrics } from "../records/evaluation.ts";

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
  const reference = publishedRowOf(group, "ssnet"), comparisons = contents.comparisons.get(group)!;
  const beside = differencesTable(group);
  const mean = ({ summary, classes }: Metrics) => summary.honest[classes.length > 1 ? "mean" : classes[0]].dice.mean;
  return (
    <section>
      <h2>{group.title}, {labeledText(group)}</h2>
      {comparisons.length > 0 && <h3>Methods compared</h3>}
      {comparisons.length > 0 && COMPARISON_READING.map((line) => <p class="quiet">{line}</p>)}
      {comparisons.map((one) => (
        <section>
          {one.title && <h4>{one.title}</h4>}
          {comparisonTables(one, group).map((table) => <HtmlTable table={table} />)}
        </section>
      ))}
      {comparisons.length > 0 && <h3>Every run</h3>}
      <HtmlTable table={resultsTable(group)} />
      {group.sources.length
        ? (
          <ol class="sources" type="a">
            {group.sources.map((source) => <li>{contents.sources[source]}</li>)}
          </ol>
        )
        : <p>{noPublishedResults(group)}</p>}
      <h3>Checkpoints and components</h3>
      <HtmlTable table={selectionTable(group, contents)} />
      {beside && (
        <>
          <h3>Beside labeled-only training</h3>
          <HtmlTable table={beside} />
        </>
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
          publishedMean={reference && { name: reference.title, dice: reference.dice }}
        />
      </div>
      <p class="quiet">
        A dot is a case{group.results.some(({ evaluation }) => evaluation.metrics.patients.length) &&
          ", one frame of a patient"} (honest convention), the bar their mean. Point at a dot for its name.
      </p>
      {group.results.map((result) => <HtmlTable table={casesTable(result, contents.shown.get(result)!)} />)}
      <Clinical group={group} runs={contents.runs} />
      <Figures group={group} shown={contents.shown} prefix={`gray-${number}`} />
      <h3>Protocol of every row</h3>
      <HtmlTable table={protocolTable(group)} />
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
                {run.name} ({run.method.title}, {grouped(run.iteration)} iterations
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

function SheetSection({ sheets }: { sheets: ShownSheet[] }) {
  return (
    <section>
      <h2>Augmented patches</h2>
      <p class="quiet">
        The first {SHEET_PATCHES}{" "}
        labeled patches that the training draws, its labels as outlines; of a volume the plane of x (to the right) and y
        (downwards) with most of the foreground. All on one scale of grays.
      </p>
      {sheets.map(({ run: { name, dataset, config: { training } }, sheet, problem }) => (
        <figure class="sheet" data-view="reference">
          <figcaption>
            {dataset.title}, augmentation {training.augmentation}, patch {training.patch.join(" × ")}, seed{" "}
            {training.seed} ({name})
          </figcaption>
          {sheet ? <Sheet sheet={sheet} /> : <p class="quiet">{problem}</p>}
        </figure>
      ))}
    </section>
  );
}

function Sheet({ sheet: { width, height, montage: { png, columns, rows, tile }, outlines } }: { sheet: PatchSheet }) {
  return (
    <svg class="slice" viewBox={`0 0 ${columns * width} ${rows * height}`} role="img" aria-label="augmented patches">
      <image
        href={`data:image/png;base64,${png.toBase64()}`}
        width={columns * tile.width}
        height={rows * tile.height}
        preserveAspectRatio="none"
      />
      {outlines.map((paths, k) => (
        <g
          class="regions reference"
          transform={`translate(${(k % columns) * tile.width} ${Math.floor(k / columns) * tile.height})`}
        >
          {paths.map((path, c) => <path class={`class-${c}`} d={path} />)}
        </g>
      ))}
    </svg>
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
        <SheetSection sheets={contents.sheets} />
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
