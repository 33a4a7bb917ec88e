/** `deno task dependencies`: what it reads of the lock file, of Deno's cache and of what `deno audit` prints. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { advisoriesSaid, licenseOf, lockedPackages, publishedOn } from "../tasks/tools/dependencies/packages.ts";
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
  assert.throws(() => lockedPackages("{}", "deno.lock"), DataError);
  const path = fileURLToPath(new URL("../deno.lock", import.meta.url)),
    own = lockedPackages(Deno.readTextFileSync(path), path);
  assert.deepEqual(own.filter(({ hasScripts }) => hasScripts).map(({ name }) => name), [
    "@tensorflow/tfjs-node-gpu",
    "core-js",
  ]);
});

Deno.test("licenses in every form of npm, dates of the cache, what the audit says or why it says nothing", () => {
  const forms = [
    { license: "MIT" },
    { license: { type: "ISC" } },
    { licenses: [{ type: "MIT" }, { type: "X11" }] },
    {},
  ];
  assert.deepEqual(forms.map((form) => licenseOf(JSON.stringify(form), "p")), ["MIT", "ISC", "MIT or X11", null]);
  const document = '{"name":"b","time":{"created":"2015-01-01T00:00:00.000Z","2.0.0":"2024-03-02T10:11:12.000Z"}}';
  assert.deepEqual(["2.0.0", "2.0.1"].map((version) => publishedOn(document, version, "b")), ["2024-03-02", null]);
  for (const other of ["<html>", '{"error":"no"}', "[1]"]) {
    assert.throws(() => publishedOn(other, "2.0.0", "b"), DataError);
  }
  assert.equal(advisoriesSaid("No known vulnerabilities found\n", ""), "advisories: No known vulnerabilities found");
  assert.match(advisoriesSaid("╭ t\n│ Severity:   high\n\nFound 1 vulnerabilities\n", ""), /^advisories: ╭ t\n.*high/);
  assert.equal(
    advisoriesSaid("", "error: client error (Connect)\n\nStack backtrace:\n   0: <unknown>\n"),
    "advisories were not checked: error: client error (Connect)",
  );
});
