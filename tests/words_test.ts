/** Counts, lists and names in what the tasks print. */
import assert from "node:assert/strict";
import { counted, fixed, listed, unknownName, visible } from "../pipeline/files/words.ts";

Deno.test("one is no plural, nothing has no sign, a long list ends after ten, an unknown name has its nearest", () => {
  assert.deepEqual([0, 1, 2].map((n) => counted(n, "patient")), ["0 patients", "1 patient", "2 patients"]);
  assert.deepEqual([-0.04, -0.05, 0, 1.25].map((value) => fixed(value, 1)), ["0.0", "-0.1", "0.0", "1.3"]);
  const names = (n: number) => Array.from({ length: n }, (_, i) => String(i));
  assert.equal(listed(names(10)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
  assert.equal(listed(names(80)), "0, 1, 2, 3, 4, 5, 6, 7, 8 and 71 more");
  assert.equal(
    unknownName("method", "ssnt", ["ssnet", "dtc"]),
    'unknown method "ssnt"; nearest is "ssnet", known are ssnet, dtc',
  );
});

Deno.test("a terminal obeys no name: control characters but line ends and tabs stand as their codes", () => {
  assert.equal(visible("a\x1b[31m\r\x07\x7f\x9b b\n\tü"), "a\\x1b[31m\\x0d\\x07\\x7f\\x9b b\n\tü");
});
