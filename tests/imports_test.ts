/**
 * Which way the files of the project import one another. {@linkcode ORDER} decides; `docs/architecture.md`, which shows
 * what each folder holds, is held to it.
 */
import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The folders of `pipeline/`, and `tasks/`: a file imports from its own folder and from those before it, types too. A
 * total order leaves no cycle of folders. A task is a file of `tasks/` or `tasks/tools/`, with a folder of its name beside
 * it where it has parts; the tasks do not import one another.
 */
const ORDER = [
  ...["arrays", "files", "tensorflow", "records", "networks", "losses", "datasets", "data", "methods", "evaluation"],
  ...["training", "grid", "report", "command", "bench", "tasks"],
];
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The project's files that a file imports, with whether it is for their types alone. */
function importsOf(path: string, text: string): { path: string; types: boolean }[] {
  const found = [
    ...text.matchAll(/^(?:import|export)\s+([^"'`;()]*?)\bfrom\s*"([^"]+)"/gm),
    ...text.matchAll(/^import\s*()"([^"]+)"/gm),
    ...text.matchAll(/\bimport\(()\s*"([^"]+)"/g),
    ...text.matchAll(/\bnew URL\(()\s*"([^"]+\.[jt]sx?)",\s*import\.meta\.url/g), // a worker
  ];
  return found.map(([, names, module]) => ({
    path: join(module.startsWith("@ssnet/") ? "." : dirname(path), module.replace("@ssnet/", "")),
    types: /^type\b/.test(names) || /^\{.*\}\s*$/s.test(names) && names.match(/\w[^,}]*/g)!.every(isType),
    own: /^(\.|@ssnet\/).*\.[jt]sx?$/.test(module), // neither a package nor a style sheet
  })).filter(({ own }) => own);
}

/** Whether a name between an import's braces is a type's. */
const isType = (name: string) => /^type\s+\w/.test(name);

/** The folder of a file as {@linkcode ORDER} names it. */
const folderOf = (path: string) => path.split("/")[path.startsWith("pipeline/") ? 1 : 0];

/** The task that a file belongs to; undefined for one of `pipeline/`. */
const taskOf = (path: string) => path.match(/^tasks\/(?:tools\/)?(\w+)/)?.[1];

/** What is wrong with how these files, by their paths in the project, import one another. */
function problems(files: ReadonlyMap<string, string>): string[] {
  const bad: string[] = [], values = new Map<string, string[]>();
  for (const [path, text] of files) {
    const place = ORDER.indexOf(folderOf(path)), imports = importsOf(path, text);
    if (place < 0) bad.push(`${path}: its folder has no place in the order`);
    for (const { path: other } of imports) {
      if (!files.has(other)) bad.push(`${path} imports ${other}, which is not in pipeline/ or tasks/`);
      else if (ORDER.indexOf(folderOf(other)) > place) bad.push(`${path} imports upwards: ${other}`);
      else if (taskOf(other) !== undefined && taskOf(other) !== taskOf(path)) {
        bad.push(`${path} imports another task: ${other}`);
      }
    }
    values.set(path, imports.filter(({ types }) => !types).map(({ path }) => path));
  }
  const done = new Set<string>();
  function visit(path: string, way: string[]) {
    if (way.includes(path)) bad.push(`a circle of values: ${[...way.slice(way.indexOf(path)), path].join(" > ")}`);
    else if (!done.has(path)) { for (const other of values.get(path) ?? []) visit(other, [...way, path]); }
    done.add(path);
  }
  for (const path of values.keys()) visit(path, []);
  return bad;
}

/** The scripts in a folder and those below it. */
function* scripts(folder: string): Iterable<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* scripts(join(folder, name));
    else if (/\.[jt]sx?$/.test(name)) yield join(folder, name);
  }
}

Deno.test("every file imports from its own folder and from those before it, and none in a circle of values", async () => {
  const paths = ["pipeline", "tasks"].flatMap((folder) => [...scripts(join(ROOT, folder))]);
  const files = await Promise.all(
    paths.map(async (path) => [relative(ROOT, path), await Deno.readTextFile(path)] as const),
  );
  assert.deepEqual(problems(new Map(files)), []);
  assert.deepEqual(new Set(paths.map((path) => folderOf(relative(ROOT, path)))), new Set(ORDER), "none is empty");
  const document = await Deno.readTextFile(join(ROOT, "docs/architecture.md"));
  const told = [...document.matchAll(/^\| `(?:pipeline\/(\w+)|(tasks)\/)`/gm)].map(([, folder, tasks]) =>
    folder ?? tasks
  );
  assert.deepEqual(told, ORDER, "docs/architecture.md tells them in this order");
});

Deno.test("an import upwards is found in each of its forms, also of a type, of a worker and through the import map", () => {
  const forms = {
    value: 'import { save } from "../records/case.ts";',
    type: 'import type { Case } from "../records/case.ts";',
    lines: 'import {\n  readCase,\n  type Case,\n} from "../records/case.ts";',
    all: 'export * from "../records/case.ts";',
    again: 'export { type Case } from "../records/case.ts";',
    effect: 'import "../records/case.ts";',
    later: 'const { readCase } = await import("../records/case.ts");',
    worker: 'new Worker(new URL("../records/case.ts", import.meta.url), { type: "module" });',
    map: 'import { readCase } from "@ssnet/pipeline/records/case.ts";',
  };
  for (const [form, text] of Object.entries(forms)) {
    const files = new Map([["pipeline/files/nrrd.ts", text], ["pipeline/records/case.ts", ""]]);
    assert.deepEqual(problems(files), ["pipeline/files/nrrd.ts imports upwards: pipeline/records/case.ts"], form);
  }
  const down = new Map([["pipeline/records/case.ts", forms.value.replace("records/case", "files/nrrd")]]);
  assert.deepEqual(problems(down.set("pipeline/files/nrrd.ts", ' * import { x } from "../records/case.ts";')), []);
});

Deno.test("tasks that import one another, a folder without a place, a file of the tests and circles of values are found", () => {
  const files = (texts: Record<string, string>) => new Map(Object.entries(texts));
  assert.deepEqual(problems(files({ "tasks/tools/bench.ts": 'import "../train.ts";', "tasks/train.ts": "" })), [
    "tasks/tools/bench.ts imports another task: tasks/train.ts",
  ]);
  assert.deepEqual(
    problems(files({ "tasks/tools/bench.ts": 'import "./bench/rows.ts";', "tasks/tools/bench/rows.ts": "" })),
    [],
  );
  assert.deepEqual(problems(files({ "pipeline/helpers/text.ts": "" })), [
    "pipeline/helpers/text.ts: its folder has no place in the order",
  ]);
  assert.deepEqual(problems(files({ "tasks/train.ts": 'import "../tests/golden_numbers.ts";' })), [
    "tasks/train.ts imports tests/golden_numbers.ts, which is not in pipeline/ or tasks/",
  ]);
  const circle = (last: string) =>
    files({
      "pipeline/files/a.ts": 'import { b } from "./b.ts";',
      "pipeline/files/b.ts": 'import { c } from "./c.ts";',
      "pipeline/files/c.ts": last,
    });
  assert.deepEqual(problems(circle('import { a, type A } from "./a.ts";')), [
    "a circle of values: pipeline/files/a.ts > pipeline/files/b.ts > pipeline/files/c.ts > pipeline/files/a.ts",
  ]);
  for (const types of ['import type { A } from "./a.ts";', 'import { type A, type B } from "./a.ts";']) {
    assert.deepEqual(problems(circle(types)), [], "types may go in a circle");
  }
});
