/** Command lines: what a task answers before it opens anything. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

/** Runs a task that may not open TensorFlow. */
async function task(name: string, args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys=systemMemoryInfo"],
      ...[fileURLToPath(new URL(`../tasks/${name}.ts`, import.meta.url)), ...args],
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, error };
}

Deno.test("parity answers --help, unknown options and folders that are not there without TensorFlow", async () => {
  const help = await task("tools/parity", ["--help"]);
  assert.equal(help.code, 0, help.error);
  assert.match(help.out, /^Usage: deno task parity \[options\] \[folder...\]/);
  const unknown = await task("tools/parity", ["--folder", "a"]);
  assert.deepEqual([unknown.code, unknown.error], [2, "error: unknown option '--folder'\n"]);
  const two = await task("tools/parity", ["a", "b"]);
  assert.equal(two.code, 2);
  assert.equal(two.error, "Cannot start parity:\n  folder: 2 given, 1 at most wanted\n");
  const missing = await task("tools/parity", ["/no/golden/files"]);
  assert.equal(missing.code, 3, missing.error);
  assert.match(missing.error, /\/no\/golden\/files\/cases\.json/);
  const good = await task("tools/parity", []);
  assert.equal(good.code, 2, "only then does it open TensorFlow");
  assert.match(good.error, /--allow-ffi/);
});

Deno.test("every option that is not as wanted is told at once, each with what was wanted, with code 2", async () => {
  const wrong = {
    ...{ run: "", method: "ssnt", seed: "1.5", threads: "100000", iterations: "ten", "save-every": "" },
    ...{ "bank-rows": "1e7", patch: "32x32", "separation-weight": "-1", "perturbation-radius": "0x1" },
  };
  const { code, error } = await task("train", ["la", ...Object.entries(wrong).flatMap(([k, v]) => [`--${k}`, v])]);
  assert.equal(code, 2);
  assert.deepEqual(error.trimEnd().split("\n").toSorted(), [
    '  --bank-rows "10000000": a whole number from 2 to 65536 wanted',
    '  --iterations "ten": a whole number from 0 on wanted',
    '  --method: unknown choice "ssnt"; nearest is "ssnet", known are ssnet, supervised, mean_teacher, ua_mt, ' +
    "sassnet, fixmatch, dtc, urpc, mc_net, bcp",
    '  --patch "32x32": 3 multiples of 16 wanted, as in 112x112x80',
    '  --perturbation-radius "0x1": a number above 0 wanted',
    "  --run is empty: a name wanted",
    "  --save-every is empty: a whole number from 1 on wanted",
    '  --seed "1.5": a whole number from 0 on wanted',
    '  --separation-weight "-1": a number from 0 on wanted',
    '  --threads "100000": a whole number from 1 to 1024 wanted',
    "Cannot start train la:",
  ]);
});

Deno.test("a dataset that is none has its nearest; a file in a folder's place and names with escapes are told", async () => {
  const dataset = await task("evaluate", ["adc"]);
  assert.equal(dataset.code, 2);
  assert.match(
    dataset.error,
    /^Cannot start: unknown dataset "adc"; nearest is "acdc", known are la, acdc.*; one of your own is a folder/,
  );
  const folder = await task("train", ["la", "--patch", "32x32x32", "--split", "tests"]);
  assert.deepEqual([folder.code, folder.error], [3, 'Cannot read the split "tests": it is a folder; name a file\n']);
  const escape = await task("evaluate", ["la", "--run", "\x1b[31mred"]);
  assert.equal(escape.code, 3);
  assert.ok(escape.error.includes('"\\x1b[31mred/config.json"'), escape.error);
});

/** What a module and its static imports load, from first to last. */
async function loadedBy(module: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", module] }).output();
  const { roots, modules } = JSON.parse(new TextDecoder().decode(stdout));
  const found: string[] = [...roots];
  for (const at of found) {
    const { dependencies = [] } = modules.find(({ specifier }: { specifier: string }) => specifier === at) ?? {};
    for (const { code, isDynamic } of dependencies) {
      if (code?.specifier && !isDynamic && !found.includes(code.specifier)) found.push(code.specifier);
    }
  }
  return found;
}

Deno.test("reading options, a checkpoint or a case does not load the library of HDF5 into the task", async () => {
  for (const name of ["command/options", "training/checkpoint", "training/trained_run", "records/case"]) {
    const loaded = await loadedBy(fileURLToPath(new URL(`../pipeline/${name}.ts`, import.meta.url)));
    assert.ok(loaded.length > 3 && loaded.every((module) => !module.includes("h5wasm")), name);
  }
  const library = await loadedBy(fileURLToPath(new URL("../pipeline/files/hdf5_library.ts", import.meta.url)));
  assert.ok(library.some((module) => module.startsWith("npm:h5wasm")));
});
