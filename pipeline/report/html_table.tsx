/** @jsxImportSource preact */
/** A table of the report in its page. @module */
// deno-lint-ignore-file jsx-key -- rendered once, never compared with an earlier rendering
import { NOTHING } from "./numbers.ts";
import type { Cell, Column, Row, Table } from "./tables.ts";

/** A column of the page; the first one of a group stands apart from the one before it. */
type Shown = Column & { at: number; isFirst: boolean };

const classes = (...names: (string | false | undefined)[]) => names.filter(Boolean).join(" ") || undefined;
/** Letter of a source: a number would be taken for an exponent. */
const letter = (source: number) => String.fromCharCode(97 + source);

function Content({ cell }: { cell: Cell }) {
  const { text, details = [], source, differs } = typeof cell === "string" ? { text: cell } : cell;
  return (
    <>
      {differs && "≠ "}
      {text}
      {source !== undefined && (
        <>
          &nbsp;<sup>{letter(source)}</sup>
        </>
      )}
      {details.map((detail) => <small>{detail}</small>)}
    </>
  );
}

function Heads({ shown, name }: { shown: Shown[]; name: string }) {
  return (
    <thead>
      {shown.some(({ group }) => group) && (
        <tr>
          {shown.map(({ group, isFirst }) =>
            group
              ? isFirst && (
                <th
                  class="group first"
                  colspan={shown.filter((one) => one.group === group).length}
                  scope="colgroup"
                >
                  {group.title}
                  {group.detail && <small>{group.detail}</small>}
                </th>
              )
              : <th></th>
          )}
        </tr>
      )}
      <tr>
        {shown.map((column) => (
          <th class={classes(column.isNumber && "number", column.isFirst && "first")} scope="col">
            {column.at ? column.head ?? column.name : name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Line({ row: { cells, partOf, isBold }, shown, beneath }: { row: Row; shown: Shown[]; beneath: Cell[] }) {
  const here = shown.filter(({ at }) => at < cells.length);
  return (
    <tr class={classes(partOf && "part", isBold && "bold")}>
      <th scope="row">
        {beneath.length
          ? (
            <strong>
              <Content cell={cells[0]} />
            </strong>
          )
          : <Content cell={cells[0]} />}
        {beneath.map((cell) => (
          <small>
            <Content cell={cell} />
          </small>
        ))}
      </th>
      {here.slice(1).map(({ at, isNumber, isFirst }, i) => {
        const { text, differs } = typeof cells[at] === "string" ? { text: cells[at] } : cells[at];
        const span = i === here.length - 2 ? 1 + shown.length - here.length : 1, isNone = span > 1 || text === NOTHING;
        const style = classes(
          isNumber && span === 1 && "number",
          isFirst && "first",
          isNone && "none",
          differs && "differs",
        );
        return (
          <td class={style} colspan={span > 1 ? span : undefined}>
            <Content cell={cells[at]} />
          </td>
        );
      })}
    </tr>
  );
}

/** Any table; folded where it has a title. */
export function HtmlTable({ table: { title, caption, columns, sections, note } }: { table: Table }) {
  const shown = columns.map((column, at) => ({ ...column, at })).filter(({ isBeneath }) => !isBeneath)
    .map((column, i, all): Shown => ({ ...column, isFirst: i > 0 && column.group !== all[i - 1].group }));
  const under = columns.flatMap(({ isBeneath }, at) => isBeneath ? [at] : []);
  const all = (
    <>
      {caption && <p class="quiet">{caption}</p>}
      {sections.length > 0 && (
        <div class="scroll">
          <table>
            <Heads shown={shown} name={[0, ...under].map((at) => columns[at].name).join(", ")} />
            {sections.map(({ title, detail, rows }) => (
              <tbody>
                {sections.length > 1 && (
                  <tr class="section-row">
                    <th colspan={shown.length} scope="rowgroup">
                      <span>{title}{detail && <small>{detail}</small>}</span>
                    </th>
                  </tr>
                )}
                {rows.map((row) => (
                  <Line
                    row={row}
                    shown={shown}
                    beneath={row.partOf || detail ? [] : under.map((at) => row.cells[at])}
                  />
                ))}
              </tbody>
            ))}
          </table>
        </div>
      )}
      {note && <p>{note}</p>}
    </>
  );
  return title
    ? (
      <details>
        <summary>{title}</summary>
        {all}
      </details>
    )
    : all;
}
