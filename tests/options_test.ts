/** Command lines: what a task answers before it opens anything. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

/** Runs a task that may not open TensorFlow. */
async function task(name: string, args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-env"],
      ...[fileURLToPath(new URL(`../tasks/${name}.ts`, import.meta.url)), ...args],
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, error };
}

Deno.test("parity answers --help, unknown options and folders that are not there without TensorFlow", async () => {
  const help = await task("parity", ["--help"]);
  assert.equal(help.code, 0, help.error);
  assert.match(help.out, /^Usage: deno task parity \[options\] \[folder...\]/);
  const unknown = await task("parity", ["--folder", "a"]);
  assert.deepEqual([unknown.code, unknown.error], [2, "error: unknown option '--folder'\n"]);
  const two = await task("parity", ["a", "b"]);
  assert.equal(two.code, 2);
  assert.match(two.error, /Cannot start parity:[^]*at folder/);
  const missing = await task("parity", ["/no/golden/files"]);
  assert.equal(missing.code, 3, missing.error);
  assert.match(missing.error, /\/no\/golden\/files\/cases\.json/);
  const good = await task("parity", []);
  assert.equal(good.code, 2, "only then does it open TensorFlow");
  assert.match(good.error, /--allow-ffi/);
});
