/** `deno task dependencies`: what it reads of the lock file and of the registry's answers. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  advisoryLines,
  bulkQuestion,
  licenseOf,
  lockedPackages,
  publishedOn,
} from "../tasks/tools/dependencies/packages.ts";
import { DataError } from "../pipeline/files/errors.ts";

Deno.test("a lock file's packages: each version once, its peers aside, direct ones and install scripts told", () => {
  const lock = JSON.stringify({
    version: "5",
    specifiers: { "npm:@scope/a@1.0.0": "1.0.0_b@2.0.0", "npm:/c@3.0.0": "3.0.0", "npm:c@3": "3.0.0" },
    npm: {
      "c@3.0.0": { integrity: "x" },
      "@scope/a@1.0.0_b@2.0.0": { scripts: true },
      "@scope/a@1.0.0_b@2.1.0": { scripts: true },
      "b@2.0.0": {},
    },
  });
  const packages = lockedPackages(lock, "deno.lock");
  assert.deepEqual(packages, [
    { name: "@scope/a", version: "1.0.0", isDirect: true, hasScripts: true },
    { name: "b", version: "2.0.0", isDirect: false, hasScripts: false },
    { name: "c", version: "3.0.0", isDirect: true, hasScripts: false },
  ]);
  assert.equal(bulkQuestion(packages), '{"@scope/a":["1.0.0"],"b":["2.0.0"],"c":["3.0.0"]}');
  assert.throws(() => lockedPackages("{}", "deno.lock"), DataError);
  const path = fileURLToPath(new URL("../deno.lock", import.meta.url)),
    own = lockedPackages(Deno.readTextFileSync(path), path);
  assert.deepEqual(own.filter(({ hasScripts }) => hasScripts).map(({ name }) => name), [
    "@tensorflow/tfjs-node-gpu",
    "core-js",
  ]);
});

Deno.test("licenses in every form of npm, dates and advisories of stored answers; another answer is told", () => {
  const forms = [
    { license: "MIT" },
    { license: { type: "ISC" } },
    { licenses: [{ type: "MIT" }, { type: "X11" }] },
    {},
  ];
  assert.deepEqual(forms.map((form) => licenseOf(JSON.stringify(form), "p")), ["MIT", "ISC", "MIT or X11", null]);
  const document = '{"name":"b","time":{"created":"2015-01-01T00:00:00.000Z","2.0.0":"2024-03-02T10:11:12.000Z"}}';
  assert.deepEqual(["2.0.0", "2.0.1"].map((version) => publishedOn(document, version, "b")), ["2024-03-02", null]);
  const answer = JSON.stringify({
    b: [{
      ...{ id: 1, url: "https://github.com/advisories/GHSA-1", title: "b reads too much", severity: "high" },
      ...{ vulnerable_versions: "<2.0.1", cwe: ["CWE-1"], cvss: { score: 7.5, vectorString: "" } },
    }],
    c: [],
  });
  assert.deepEqual(advisoryLines(answer, "advisories"), [
    "high: b <2.0.1: b reads too much, https://github.com/advisories/GHSA-1",
  ]);
  assert.deepEqual(advisoryLines("{}", "advisories"), []);
  for (const other of ["<html>", '{"error":"no"}', "[1]"]) {
    assert.throws(() => advisoryLines(other, "advisories"), DataError);
  }
});
