import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import {
  bundleFor,
  cudaFault,
  findLibrary,
  openCuda,
  openCudaLibraries,
  openLibrary,
  TensorFlowError,
  VERSION,
} from "../pipeline/tensorflow/library.ts";
import { CUDA_FILES } from "../pipeline/tensorflow/wheels.ts";

const library = findLibrary("cpu"), real = library.folder;
const FRAMEWORK = "libtensorflow_framework.so.2", RUNTIME = "libtensorflow_cc.so.2";
const setupScript = fileURLToPath(new URL("../tasks/setup.ts", import.meta.url));
const linux = { ignore: Deno.build.os !== "linux" }; // names and headers of files

/** Stands in for Python: prints the folder in FAKE_PACKAGE, "downloads" and "unpacks" files of a few bytes. */
const FAKE_PYTHON = `#!/bin/sh
case "$*" in
*find_spec*) echo "$FAKE_PACKAGE";;
*"pip download"*)
  test -z "$FAKE_PIP_ERROR" || { echo "$FAKE_PIP_ERROR" >&2; exit 1; }
  while [ "$1" != --dest ]; do shift; done
  sleep "\${FAKE_SECONDS:-0}"; echo wheel > "$2/${bundleFor("x86_64-unknown-linux-gnu", "cpu").wheels[0].file}";;
*) test -z "$REAL_PATH" || { PATH="$REAL_PATH" exec python3 "$@"; }
  folder="$5" strip="$6"; shift 6
  for name; do
    path="$folder/\${name#"$strip"}"; mkdir -p "\${path%/*}"; echo 1 > "$path"
  done;;
esac
`;

/** A home without a cache, removed in the end; `HOME` and `SSNET_TENSORFLOW` are put back. */
async function inEmptyHome(test: (home: string) => Promise<void> | void) {
  const home = await Deno.makeTempDir();
  const before = ["HOME", "SSNET_TENSORFLOW"].map((name) => [name, Deno.env.get(name)] as const);
  Deno.env.set("HOME", home);
  Deno.env.delete("SSNET_TENSORFLOW");
  try {
    await test(home);
  } finally {
    for (const [name, value] of before) value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    await Deno.remove(home, { recursive: true });
  }
}

/** A folder with files of these bytes, or links to these paths. */
async function folderWith(folder: string, files: Record<string, string | Uint8Array>): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === "string") await link(content, `${folder}/${name}`);
    else await Deno.writeFile(`${folder}/${name}`, content);
  }
  return folder;
}
/** In a process of its own: Deno makes symbolic links with the right to write anywhere only, which the tests do not have. */
async function link(target: string, path: string) {
  const code = `await Deno.symlink(...${JSON.stringify([target, path])})`;
  strictEqual((await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output()).code, 0);
}
const stub = new Uint8Array([1]);
const stubs = { [FRAMEWORK]: stub, [RUNTIME]: stub };
const cacheOf = (home: string) => `${home}/.cache/ss-net/tensorflow-${VERSION}`;
const gpuCacheOf = (home: string) => `${home}/.cache/ss-net/tensorflow-gpu-${VERSION}`;
/** Fills `nvidia/` with files of these bytes, or links to this path. */
async function withCuda(folder: string, files: string[], content: string | Uint8Array) {
  for (const file of files) {
    const [, parent, name] = file.match(/^(.*)\/(.*)$/)!;
    await folderWith(`${folder}/${parent}`, { [name]: content });
  }
}
const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

/** Runs `tasks/setup.ts` in a home of its own with the stand-in for Python first on the path. */
async function setup(
  home: string,
  env: Record<string, string> = {},
  ...args: string[]
): Promise<{ code: number; error: string }> {
  const bin = `${home}/bin`;
  await Deno.mkdir(bin, { recursive: true });
  await Deno.writeTextFile(`${bin}/python3`, FAKE_PYTHON, { mode: 0o755 });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-config", "--no-prompt", "--allow-read", "--allow-ffi", "--allow-env", "--allow-run=python3"],
      ...[`--allow-write=${home}/.cache/ss-net`, setupScript, ...args],
    ],
    env: { PATH: `${bin}:${Deno.env.get("PATH")}`, HOME: home, NO_COLOR: "1", ...env },
  });
  const { code, stderr } = await child.output();
  return { code, error: new TextDecoder().decode(stderr) };
}

Deno.test(
  "the named folder comes before Python's package, that before the cache",
  linux,
  () =>
    inEmptyHome(async (home) => {
      throws(() => findLibrary(), /Cannot find TensorFlow in ".*": run deno task setup$/);
      await folderWith(cacheOf(home), stubs);
      deepStrictEqual(findLibrary(), { folder: cacheOf(home), source: "cache" });
      const folder = await folderWith(`${home}/site-packages/tensorflow`, stubs);
      await Deno.writeTextFile(`${home}/.cache/ss-net/python-tensorflow`, folder);
      deepStrictEqual(findLibrary(), { folder, source: "python" });
      const named = await folderWith(`${home}/named`, stubs);
      Deno.env.set("SSNET_TENSORFLOW", named);
      deepStrictEqual(findLibrary(), { folder: named, source: "named" });
      Deno.env.delete("SSNET_TENSORFLOW");
      await Deno.remove(folder, { recursive: true });
      strictEqual(findLibrary().source, "cache");
    }),
);

Deno.test(
  "a named folder without the library is an error, whatever the cache holds",
  linux,
  () =>
    inEmptyHome(async (home) => {
      await folderWith(cacheOf(home), stubs);
      Deno.env.set("SSNET_TENSORFLOW", `${home}/nowhere`);
      throws(
        () => findLibrary(),
        /libtensorflow_cc.so.2 and libtensorflow_framework.so.2 missing; name another folder or unset/,
      );
    }),
);

Deno.test(
  "a library that is broken, cut off, foreign or lacks a function says so and what to do",
  linux,
  () =>
    inEmptyHome(async (home) => {
      const head = new Uint8Array(1 << 20);
      using file = await Deno.open(`${real}/${FRAMEWORK}`);
      await file.read(head);
      const foreign = head.slice(0, 64);
      foreign.set([Deno.build.arch === "aarch64" ? 62 : 183, 0], 18); // e_machine
      const cases: [string, Record<string, string | Uint8Array>, RegExp][] = [
        ["text", { [FRAMEWORK]: stub, [RUNTIME]: stub }, /is no library: 1 bytes/],
        [
          "cut",
          { [FRAMEWORK]: head, [RUNTIME]: `${real}/${RUNTIME}` },
          /is cut off: 1048576 bytes found, \d+ wanted/,
        ],
        ["foreign", { [FRAMEWORK]: foreign, [RUNTIME]: foreign }, /is built for (aarch64|x86_64), this machine is/],
        ["other", { [FRAMEWORK]: `${real}/${FRAMEWORK}`, [RUNTIME]: `${real}/${FRAMEWORK}` }, /undefined symbol: TF/],
      ];
      for (const [name, files, message] of cases) {
        const folder = await folderWith(`${home}/${name}`, files);
        throws(() => openLibrary({ folder, source: "cache" }), (error: Error) => {
          ok(error instanceof TensorFlowError);
          match(error.message, message);
          match(error.message, /remove that folder and run deno task setup, with --gpu for GPUs$/);
          return true;
        });
      }
    }),
);

Deno.test(
  "a folder of TensorFlow's archives for C, with libtensorflow.so.2, serves as well",
  linux,
  () =>
    inEmptyHome(async (home) => {
      const files = { [FRAMEWORK]: `${real}/${FRAMEWORK}`, "libtensorflow.so.2": `${real}/${RUNTIME}` };
      Deno.env.set("SSNET_TENSORFLOW", await folderWith(`${home}/c`, files));
      ok(openLibrary(findLibrary()).TF_Version());
    }),
);

Deno.test("there are wheels for three platforms, and others are told what to do", () => {
  for (const target of ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"]) {
    match(bundleFor(target, "cpu").wheels[0].sha256, /^[0-9a-f]{64}$/);
  }
  throws(() => bundleFor("x86_64-apple-darwin", "cpu"), /there are wheels for .*; set SSNET_TENSORFLOW/);
});

Deno.test("for GPUs there are wheels for one platform: TensorFlow's and CUDA's, none twice", () => {
  const { wheels } = bundleFor("x86_64-unknown-linux-gnu", "gpu");
  strictEqual(new Set(wheels.flatMap(({ sha256 }) => sha256)).size, wheels.length);
  for (const { sha256, version, file } of wheels) {
    match(sha256, /^[0-9a-f]{64}$/);
    ok(file.includes(`-${version}-`), file);
  }
  throws(
    () => bundleFor("aarch64-apple-darwin", "gpu"),
    /Cannot fetch TensorFlow for GPUs on aarch64-apple-darwin: there are wheels for x86_64-unknown-linux-gnu;/,
  );
});

Deno.test(
  "a GPU takes the cache's library for GPUs before Python's, the CPU its own before that",
  linux,
  () =>
    inEmptyHome(async (home) => {
      throws(() => findLibrary("gpu"), /Cannot find TensorFlow for GPUs in ".*": run deno task setup --gpu$/);
      await folderWith(cacheOf(home), stubs);
      throws(() => findLibrary("gpu"), /Cannot find TensorFlow for GPUs/);
      await folderWith(`${gpuCacheOf(home)}/tensorflow`, stubs);
      throws(() => findLibrary("gpu"), /Cannot find TensorFlow for GPUs/); // it lacks CUDA
      await withCuda(gpuCacheOf(home), CUDA_FILES, stub);
      const gpu = { folder: `${gpuCacheOf(home)}/tensorflow`, source: "cache" } as const;
      deepStrictEqual(findLibrary("gpu"), gpu);
      deepStrictEqual(findLibrary(), gpu);
      strictEqual(findLibrary("cpu").folder, cacheOf(home));
      await Deno.remove(cacheOf(home), { recursive: true });
      deepStrictEqual(findLibrary("cpu"), gpu); // it computes on the CPU as well
      const folder = await folderWith(`${home}/site-packages/tensorflow`, stubs);
      await Deno.writeTextFile(`${home}/.cache/ss-net/python-tensorflow`, folder);
      deepStrictEqual([findLibrary("cpu").source, findLibrary("gpu").source], ["python", "cache"]);
      await Deno.remove(gpuCacheOf(home), { recursive: true });
      strictEqual(findLibrary("gpu").source, "python");
    }),
);

Deno.test(
  "CUDA's libraries are opened from beside TensorFlow's folder, and every one that does not open is named",
  linux,
  () =>
    inEmptyHome(async (home) => {
      const folder = await folderWith(`${home}/tensorflow`, {}), lacking = CUDA_FILES.slice(0, 2);
      await withCuda(home, CUDA_FILES.slice(2, 3), stub); // no library
      await withCuda(home, CUDA_FILES.slice(3), `${real}/${FRAMEWORK}`);
      const { faults } = openCudaLibraries(openLibrary(library), folder);
      strictEqual(faults.length, 3, faults.join());
      lacking.forEach((file, i) => match(faults[i], new RegExp(`^${file.split("/").at(-1)}: cannot open`)));
      match(faults[2], /tensorflow\/\.\.\/nvidia\/.*: file too short/);
    }),
);

Deno.test("what keeps a library from a GPU is told with what to do, by the way it was found", () => {
  const from = (source: "named" | "python" | "cache") => ({ folder: "/tf", source });
  strictEqual(cudaFault(from("cache"), { built: true, faults: [], driverFault: "no driver" }), undefined);
  strictEqual(
    cudaFault(from("cache"), { built: false, faults: [] }),
    "it was built for the CPU; run deno task setup --gpu",
  );
  strictEqual(
    cudaFault(from("named"), { built: true, faults: ["a is missing", "b is missing"] }),
    "a is missing; b is missing; unset SSNET_TENSORFLOW and run deno task setup --gpu",
  );
  match(cudaFault(from("cache"), { built: true, faults: ["a is cut off"] })!, /remove that folder .* with --gpu/);
});

Deno.test(
  "setup takes Python's package when it has every function, and forgets it when it is gone",
  linux,
  () =>
    inEmptyHome(async (home) => {
      await folderWith(cacheOf(home), stubs);
      const whole = { [FRAMEWORK]: `${real}/${FRAMEWORK}`, [RUNTIME]: `${real}/${RUNTIME}` };
      const folder = await folderWith(`${home}/site-packages/tensorflow`, whole);
      strictEqual((await setup(home, { FAKE_PACKAGE: folder })).code, 0);
      deepStrictEqual(findLibrary(), { folder, source: "python" });
      strictEqual((await setup(home)).code, 0);
      strictEqual(findLibrary().source, "cache");
    }),
);

Deno.test("setup passes over a Python package that lacks a function", linux, () =>
  inEmptyHome(async (home) => {
    await folderWith(cacheOf(home), stubs);
    const lacking = { [FRAMEWORK]: `${real}/${FRAMEWORK}`, [RUNTIME]: `${real}/${FRAMEWORK}` };
    const folder = await folderWith(`${home}/site-packages/tensorflow`, lacking);
    const { code, error } = await setup(home, { FAKE_PACKAGE: folder });
    strictEqual(code, 0);
    match(error, /Python's TensorFlow is not used: .*undefined symbol/);
    strictEqual(findLibrary().source, "cache");
  }));

Deno.test(
  "two setups at once fill the cache, a folder that lacks a file included, and leave nothing else",
  linux,
  () =>
    inEmptyHome(async (home) => {
      await folderWith(cacheOf(home), { [FRAMEWORK]: stub });
      await setup(home, { FAKE_PIP_ERROR: "not now" }); // writes the stand-in before the two start
      const slowly = { FAKE_SECONDS: "0.5" };
      const both = await Promise.all([setup(home, slowly), setup(home, slowly)]);
      deepStrictEqual(both.map(({ code }) => code), [0, 0], both.map(({ error }) => error).join());
      deepStrictEqual(namesIn(`${home}/.cache/ss-net`), [`tensorflow-${VERSION}`]);
      deepStrictEqual(namesIn(cacheOf(home)), [RUNTIME, FRAMEWORK].sort());
    }),
);

Deno.test(
  "setup ends with 4 and one clear line on every fault, and leaves nothing behind",
  linux,
  () =>
    inEmptyHome(async (home) => {
      const faults: [Record<string, string>, RegExp][] = [
        [{ FAKE_PIP_ERROR: "No matching distribution" }, /pip says: No matching distribution; check the network/],
        [{ REAL_PATH: Deno.env.get("PATH")! }, /Cannot unpack .*: SHA-256 is [0-9a-f]{64}, wanted [0-9a-f]{64}/],
        [{ PATH: "/nonexistent" }, /python3 is not installed/],
        [{ HOME: "" }, /the variable HOME is not set/],
        [{ SSNET_TENSORFLOW: "/nonexistent" }, /Cannot open TensorFlow in "\/nonexistent"/],
      ];
      for (const [env, message] of faults) {
        const { code, error } = await setup(home, env);
        match(error, message);
        strictEqual(code, 4);
        ok(!error.includes("    at "), error); // no stack
      }
      deepStrictEqual(namesIn(`${home}/.cache/ss-net`), []);
    }),
);

Deno.test(
  "setup --gpu fetches nine wheels into one tree, and opens what it fetched",
  { ignore: Deno.build.target !== "x86_64-unknown-linux-gnu" },
  () =>
    inEmptyHome(async (home) => {
      const { code, error } = await setup(home, { FAKE_PACKAGE: `${home}/nowhere` }, "--gpu");
      match(error, /fetching 9 wheels, 2100 MB in all/);
      match(error, /Cannot open TensorFlow in ".*": .* is no library: 2 bytes/); // the stand-ins
      strictEqual(code, 4);
      deepStrictEqual(namesIn(`${home}/.cache/ss-net`), [`tensorflow-gpu-${VERSION}`]);
      deepStrictEqual(namesIn(gpuCacheOf(home)), ["nvidia", "tensorflow"]);
      strictEqual(findLibrary("gpu").folder, `${gpuCacheOf(home)}/tensorflow`);
    }),
);

const forCpu = { ignore: openCuda(openLibrary(library), library).built };

Deno.test("setup --gpu refuses a named library that was built for the CPU", forCpu, () =>
  inEmptyHome(async (home) => {
    const { code, error } = await setup(home, { SSNET_TENSORFLOW: real }, "--gpu");
    match(error, /on a GPU: it was built for the CPU; unset SSNET_TENSORFLOW and run deno task setup --gpu/);
    strictEqual(code, 4);
  }));

Deno.test("setup takes no other option", () =>
  inEmptyHome(async (home) => {
    for (const args of [["--cpu"], ["--gpu", "--gpu"], ["gpu"]]) strictEqual((await setup(home, {}, ...args)).code, 2);
    strictEqual((await setup(home, {}, "--help")).code, 0);
  }));

Deno.test("gpu-check prints its JSON and ends with 4 where there is no GPU", forCpu, async () => {
  const check = async (folder: string) => {
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-read", "--allow-env", "--allow-run=deno", "tasks/gpu_check.ts"],
      cwd: new URL("..", import.meta.url),
      env: { SSNET_TENSORFLOW: folder, PATH: `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}` },
    }).output();
    strictEqual(code, 4);
    const { kind, passed, parts: { doctor, ...rest } } = JSON.parse(new TextDecoder().decode(stdout));
    deepStrictEqual({ kind, passed, rest }, { kind: "gpu-check", passed: false, rest: {} });
    return doctor;
  };
  match((await check("/nonexistent")).problem, /^Cannot open TensorFlow in "\/nonexistent": .* missing/);
  const { passed, problem, machine: { library: found } } = await check(real);
  strictEqual(passed, false);
  match(
    problem,
    /^Cannot use a GPU: .*; it was built for the CPU; unset SSNET_TENSORFLOW and run deno task setup --gpu$/,
  );
  strictEqual(found, `${real} (SSNET_TENSORFLOW)`);
});
