/** @jsxImportSource preact */
/** Methods side by side in the page: numbers over seeds, tests, every patient; a part for each protocol. @module */
// deno-lint-ignore-file jsx-key -- rendered once, never compared with an earlier rendering
import {
  type ComparedMethod,
  type ComparedPair,
  type Comparison,
  COMPARISON_READING,
  printedPair,
  printedSummary,
  publishedApart,
  TEST_HEADS,
} from "./comparison.ts";
import { letter, type NumberName, NUMBERS, printed, UNITS } from "./results.ts";

function SummaryCell({ name, method, first }: { name: NumberName; method: ComparedMethod; first: boolean }) {
  const { mean, deviation, interval, count } = printedSummary(name, method.numbers[name]);
  return (
    <td class={`number${first ? " first" : ""}`}>
      {mean}
      {deviation && <span class="deviation">± {deviation}</span>}
      {interval && <span class="deviation">{interval}</span>}
      {count && <span class="deviation">{count}</span>}
    </td>
  );
}

function Heads({ first }: { first: boolean }) {
  return NUMBERS.map((name, i) => (
    <th class={`number${first && !i ? " first" : ""}`} scope="col">
      {UNITS[name]}
    </th>
  ));
}

function MethodTable(
  { table: { methods, convention, differsFromPublished }, sources }: { table: Comparison; sources: string[] },
) {
  const isBeside = convention !== "honest" && methods.some(({ published }) => published);
  return (
    <>
      <div class="scroll">
        <table class="results">
          <thead>
            <tr>
              <th colspan={2}></th>
              <th class="group first" colspan={4} scope="colgroup">
                this report<br />
                <small>± over seeds, [95 % interval over patients]</small>
              </th>
              {isBeside && (
                <th class="group first" colspan={4} scope="colgroup">
                  published<br />
                  <small>under their own protocol</small>
                </th>
              )}
            </tr>
            <tr>
              <th scope="col">method, schedule</th>
              <th scope="col">seeds</th>
              <Heads first />
              {isBeside && <Heads first />}
            </tr>
          </thead>
          <tbody>
            {methods.map((method) => (
              <tr>
                <th scope="row">
                  <strong>{method.label}</strong>
                  <small class="settings">
                    {method.schedule}
                    {method.minutes !== null && `, ${method.minutes.toFixed(1)} min`}
                  </small>
                </th>
                <td>{method.seeds.join(", ")}</td>
                {NUMBERS.map((name, i) => <SummaryCell name={name} method={method} first={!i} />)}
                {isBeside &&
                  NUMBERS.map((name, i) => (
                    <td class={`number${i ? "" : " first"}${method.published ? "" : " none"}`}>
                      {method.published?.[name].toFixed(2) ?? "–"}
                      {!i && method.published && <sup>{letter(sources.indexOf(method.published.source))}</sup>}
                    </td>
                  ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {isBeside && differsFromPublished.length > 0 && <p>{publishedApart(differsFromPublished)}</p>}
    </>
  );
}

function TestCells({ pair }: { pair: ComparedPair }) {
  const { patients, difference, test } = printedPair(pair);
  return (
    <>
      <th scope="row">{pair.against}</th>
      <td class="number">{patients}</td>
      <td class="number">{difference}</td>
      {"reason" in test
        ? <td class="none" colspan={TEST_HEADS.length - 2}>no test: {test.reason}</td>
        : test.map((text) => <td class="number">{text}</td>)}
    </>
  );
}

function TestTable({ tests }: { tests: Comparison["tests"] }) {
  if ("reason" in tests) return <p>{tests.reason}</p>;
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{tests.reference} against</th>
            {TEST_HEADS.map((head) => <th class="number" scope="col">{head}</th>)}
          </tr>
        </thead>
        {NUMBERS.map((name) => (
          <tbody>
            <tr class="section-row">
              <th colspan={1 + TEST_HEADS.length} scope="rowgroup">
                <span>{UNITS[name]}</span>
              </th>
            </tr>
            {tests.pairs.filter(({ number }) => number === name).map((pair) => (
              <tr>
                <TestCells pair={pair} />
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

function PatientTable({ table: { methods, patients }, name }: { table: Comparison; name: NumberName }) {
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{UNITS[name]}</th>
            {methods.map(({ label }) => <th class="number" scope="col">{label}</th>)}
          </tr>
        </thead>
        <tbody>
          {patients.map((patient) => (
            <tr>
              <th scope="row">{patient}</th>
              {methods.map(({ numbers }) => <td class="number">{printed(name, numbers[name].values[patient])}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The comparisons of a group; nothing where there are none. */
export function Comparisons(
  { tables, unit, sources }: {
    tables: Comparison[];
    /** What is counted: cases or patients. */
    unit: string;
    /** Of the published rows, in the order of their letters. */
    sources: string[];
  },
) {
  if (!tables.length) return null;
  return (
    <>
      <h3>Methods compared</h3>
      {COMPARISON_READING.map((line) => <p class="quiet">{line}</p>)}
      {tables.map((table) => (
        <section>
          {table.title && <h4>{table.title}</h4>}
          <p class="quiet">
            Protocol of every row: {table.protocol.map(({ name, text }) => `${name}: ${text}`).join(" · ")}.
          </p>
          <MethodTable table={table} sources={sources} />
          <TestTable tests={table.tests} />
          <details>
            <summary>Every one of the {unit}, mean over seeds</summary>
            {NUMBERS.map((name) => <PatientTable table={table} name={name} />)}
          </details>
        </section>
      ))}
    </>
  );
}
