import { deepStrictEqual, match, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { TextReader, Uint8ArrayWriter, ZipWriter } from "@zip.js/zip.js";
import { quoted } from "../pipeline/files/places.ts";
import {
  bundleFor,
  cacheFolder,
  cudaFault,
  findLibrary,
  openCuda,
  openCudaLibraries,
  openLibrary,
  setUpLibrary,
  takenFiles,
  TensorFlowError,
  VERSION,
} from "../pipeline/tensorflow/library.ts";
import { takeFrom } from "../pipeline/tensorflow/installed.ts";
import type { Installed } from "../pipeline/tensorflow/pip.ts";
import { unpackWheel } from "../pipeline/tensorflow/unpack.ts";
import { CUDA_13, CUDA_FILES, type Wheel } from "../pipeline/tensorflow/wheels.ts";
import { DENO_FOLDER, withFolder } from "./with_folder.ts";

const library = findLibrary("cpu"), real = library.folder;
const FRAMEWORK = "libtensorflow_framework.so.2", RUNTIME = "libtensorflow_cc.so.2";
const [setupScript, configPath] = ["../tasks/setup.ts", "../deno.json"].map((path) =>
  fileURLToPath(new URL(path, import.meta.url))
);
const linux = { ignore: Deno.build.os !== "linux" }; // names and headers of files

/** Stands in for Python: tells the folder in FAKE_PACKAGE and the pip of FAKE_PIP, "downloads" the wheels beside it. */
const FAKE_PYTHON = `#!/bin/sh
case "$*" in
*find_spec*) echo "$FAKE_PACKAGE";;
*importlib.metadata*|*os.symlink*) test -n "$VIRTUAL_ENV" && exec /usr/bin/python3 "$@"; exit 1;;
"-m pip --version") echo "\${FAKE_PIP:-pip 20.0.2 from /usr/lib (python 3.6)}";;
*"pip download"*)
  test -z "$FAKE_PIP_ERROR" || { echo "$FAKE_PIP_ERROR" >&2; exit 1; }
  while [ "$1" != --dest ]; do shift; done
  sleep "\${FAKE_SECONDS:-0}"; cp "\${0%/*}"/*.whl "$2";;
*) exit 1;;
esac
`;

/** A home without a cache, removed in the end; the variables that name places are put back. */
async function inEmptyHome(test: (home: string) => Promise<void> | void) {
  const home = await Deno.makeTempDir();
  const names = ["HOME", "XDG_CACHE_HOME", "SSNET_TENSORFLOW"];
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  Deno.env.set("HOME", home);
  for (const name of names.slice(1)) Deno.env.delete(name);
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

/** A wheel with members of a byte each, as it would be pinned. */
async function wheelWith(path: string, members: string[]): Promise<Wheel> {
  const zip = new ZipWriter(new Uint8ArrayWriter());
  for (const member of [...members, "not/wanted"]) await zip.add(member, new TextReader("1"));
  const bytes = await zip.close();
  await Deno.writeFile(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return {
    package: basename(path, ".whl"),
    version: "1",
    platform: "any",
    file: basename(path),
    sha256,
    megabytes: 274,
    members,
  };
}

const TENSORFLOW = [FRAMEWORK, RUNTIME].map((file) => `tensorflow/${file}`);

/** What a run of `setup` differs in. */
interface SetUpRun {
  env?: Record<string, string>;
  args?: string[];
  /** Of `python3`; null: there is none. */
  python?: string | null;
  /** Fetched instead of the pinned wheels, which are not there to be had; made in the folder of `python3`. */
  wheels?: Record<string, string[]>;
}

/** Runs `tasks/setup.ts`, or the same with wheels of its own, in an empty home with a stand-in for Python on the path. */
async function setup(home: string, { env = {}, args = [], python = FAKE_PYTHON, wheels }: SetUpRun = {}) {
  const bin = await folderWith(`${home}/bin`, {}), own = `${home}/setup.ts`;
  if (python !== null && !existsSync(`${bin}/python3`)) {
    await Deno.writeTextFile(`${bin}/python3`, python, { mode: 0o755 });
  }
  if (wheels && !existsSync(own)) {
    const bundle = { tested: true, wheels: [] as Wheel[] };
    for (const [file, members] of Object.entries(wheels)) {
      bundle.wheels.push(await wheelWith(`${bin}/${file}`, members));
    }
    await Deno.writeTextFile(
      own,
      `import { setUpLibrary } from "${new URL("../pipeline/tensorflow/library.ts", import.meta.url)}";
      const progress = { say: (line) => console.error(line), fetched() {} }, bundle = ${JSON.stringify(bundle)};
      await setUpLibrary(Deno.args[0], { progress, bundle }).catch((error) => {
        console.error(error.message);
        Deno.exit(4);
      });`,
    );
  }
  const command = [
    ...[
      "deno",
      "run",
      "--config",
      configPath,
      "--no-check",
      "--no-prompt",
      "--allow-read",
      "--allow-ffi",
      "--allow-env",
    ],
    ...["--allow-run=python3", `--allow-write=${home}/.cache/ss-net`, wheels ? own : setupScript, ...args],
  ];
  // Deno's shell sets the loader's variables: the tests may start nothing with them themselves.
  const { PATH = `${bin}${python === null ? "" : ":/usr/bin:/bin"}`, ...rest } = env;
  const variables = Object.entries({ PATH, ...rest }).map(([name, value]) => `${name}=${quoted(value)}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "--eval", [...variables, ...command.map(quoted)].join(" ")],
    env: {
      ...{ HOME: home, DENO_DIR: DENO_FOLDER, NO_COLOR: "1", SSNET_TENSORFLOW: "", XDG_CACHE_HOME: "" },
      INIT_CWD: home, // one of an outer shell would be taken for where the user stands
    },
    cwd: home,
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
      match(faults[2], /\/nvidia\/.*: file too short/);
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
      strictEqual((await setup(home, { env: { FAKE_PACKAGE: folder } })).code, 0);
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
    const { code, error } = await setup(home, { env: { FAKE_PACKAGE: folder } });
    strictEqual(code, 0);
    match(error, /Python's TensorFlow is not used: .*undefined symbol/);
    strictEqual(findLibrary().source, "cache");
  }));

Deno.test("a wheel's checksum and members are checked before anything is unpacked", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.whl`, wheel = await wheelWith(path, ["a/lib/x.so", "a/lib/y_1.so", "a/lib/y_2.so", "b"]);
    const unpack = (pins: Partial<Wheel>) =>
      unpackWheel(path, { ...wheel, ...pins }, { folder: `${folder}/out`, strip: "a/" });
    await rejects(unpack({ sha256: "0".repeat(64) }), /^Error: SHA-256 is [0-9a-f]{64}, wanted 0{64}$/);
    await rejects(unpack({ members: ["b", "c", "d*"] }), /^Error: it has no c, d\*$/);
    deepStrictEqual(namesIn(folder), ["a.whl"]);
    await unpack({ members: ["a/lib/y_*", "b"] });
    deepStrictEqual(namesIn(`${folder}/out`), ["b", "lib"]);
    deepStrictEqual(namesIn(`${folder}/out/lib`), ["y_1.so", "y_2.so"]);
    strictEqual(await Deno.readTextFile(`${folder}/out/b`), "1");
    await rejects(unpackWheel(path, wheel, { folder, signal: AbortSignal.abort() }), /abort/i);
  }));

Deno.test("the cache follows XDG_CACHE_HOME, unless that is no whole path", () =>
  inEmptyHome((home) => {
    for (
      const [given, wanted] of [["/x y", "/x y/ss-net"], ["x", `${home}/.cache/ss-net`], ["", `${home}/.cache/ss-net`]]
    ) {
      Deno.env.set("XDG_CACHE_HOME", given);
      strictEqual(cacheFolder(), wanted);
    }
  }));

Deno.test(
  "two setups at once fill the cache, a folder that lacks a file included, and leave nothing else",
  linux,
  () =>
    inEmptyHome(async (home) => {
      await folderWith(cacheOf(home), { [FRAMEWORK]: stub });
      const slowly = { env: { FAKE_SECONDS: "0.5" }, args: ["cpu"], wheels: { "tf.whl": TENSORFLOW } };
      await setup(home, { ...slowly, env: { FAKE_PIP_ERROR: "not now" } }); // writes the stand-ins before the two start
      const both = await Promise.all([setup(home, slowly), setup(home, slowly)]);
      deepStrictEqual(both.map(({ code }) => code), [0, 0], both.map(({ error }) => error).join());
      deepStrictEqual(namesIn(`${home}/.cache/ss-net`), [`tensorflow-${VERSION}`]);
      deepStrictEqual(namesIn(cacheOf(home)), [RUNTIME, FRAMEWORK].sort());
    }),
);

Deno.test(
  "setup takes a wheel by its path or from its folder, which needs no Python",
  linux,
  () =>
    inEmptyHome(async (home) => {
      const path = `${home}/own.whl`,
        wheel = await wheelWith(path, TENSORFLOW),
        bundle = { wheels: [wheel], tested: true };
      const progress = { say() {}, fetched() {} };
      for (const given of [path, home]) {
        deepStrictEqual(await setUpLibrary("cpu", { progress, bundle, path: given }), {
          folder: cacheOf(home),
          source: "cache",
        });
        await Deno.remove(`${home}/.cache`, { recursive: true });
      }
      const { code, error } = await setup(home, { args: ["--wheel", "own.whl"], python: null }); // not the pinned one
      match(error, /Cannot unpack ".*own\.whl": SHA-256 is/);
      strictEqual(code, 4);
      const elsewhere = await setup(home, { args: ["--wheel", "/nowhere"], python: null });
      match(
        elsewhere.error,
        /Cannot take TensorFlow from "\/nowhere": it is no file, or a folder with tensorflow.*\.whl;/,
      );
      deepStrictEqual(namesIn(`${home}/.cache/ss-net`), []);
    }),
);

Deno.test(
  "setup removes what a killed one left, also where another has fetched the library, and nothing of a living one",
  linux,
  () =>
    inEmptyHome(async (home) => {
      const run = { args: ["cpu"], wheels: { "tf.whl": TENSORFLOW } }, cache = `${home}/.cache/ss-net`;
      const [dead, living] = [12, 13].map((pid) => `${cacheOf(home)}.${pid}.part`);
      for (const isThere of [true, false]) {
        await folderWith(dead, { [FRAMEWORK]: stub });
        await folderWith(living, {});
        if (isThere) await folderWith(cacheOf(home), stubs);
        using file = Deno.openSync(living);
        file.lockSync(false);
        const { code, error } = await setup(home, run);
        strictEqual(code, 0, error);
        deepStrictEqual(namesIn(cache), [`tensorflow-${VERSION}`, `tensorflow-${VERSION}.13.part`]);
        await Deno.remove(cache, { recursive: true });
      }
    }),
);

/** The environments that were told of as broken, and what `setup` does in them. */
const ENVIRONMENTS: Record<string, SetUpRun & { refused?: RegExp }> = {
  "any variable of the loader set": {
    env: {
      LD_PRELOAD: "/nowhere.so",
      LD_RUN_PATH: "/opt/lib",
      LD_BIND_NOW: "1",
      LD_LIBRARY_PATH: "/opt/a",
      DYLD_LIBRARY_PATH: "/b",
    },
  },
  "a Python that needs LD_LIBRARY_PATH": {
    env: { LD_LIBRARY_PATH: "/opt/pylib" },
    python: `#!/bin/sh
case ":$LD_LIBRARY_PATH:" in *:/opt/pylib:*) exit 0;; *) echo "libpython3.11.so.1.0: cannot open" >&2; exit 127;; esac`,
    refused:
      /python3 -m pip does not run: libpython3.* \((LD_\w+, )*LD_LIBRARY_PATH(, LD_\w+)* emptied for it: .*\)\nOne of these helps:\n/,
  },
  "pip of Python 3.6": {
    env: { FAKE_PIP: "pip 18.1 from /usr/lib (python 3.6)" },
    refused: /fetch TensorFlow: pip 18\.1 from .* \(python 3\.6\) is too old: 20\.0\.2 or newer is wanted;/,
  },
  "pip of a later year": { env: { FAKE_PIP: "pip 26.0b1 from /usr/lib (python 3.13)" } },
  "Python without pip": {
    python: `#!/bin/sh\necho "/usr/bin/python3: No module named pip" >&2; exit 1`,
    refused: /Cannot fetch TensorFlow: python3 has no pip\n/,
  },
  "no Python": { python: null, refused: /Cannot fetch TensorFlow: python3 is not installed\n/ },
};
for (const [name, { refused, ...run }] of Object.entries(ENVIRONMENTS)) {
  Deno.test(
    `setup ${refused ? "fetches nothing and says what helps" : "works"} with ${name}`,
    linux,
    () =>
      inEmptyHome(async (home) => {
        const { code, error } = await setup(home, { ...run, args: ["cpu"], wheels: { "tf.whl": TENSORFLOW } });
        strictEqual(code, refused ? 4 : 0, error);
        strictEqual(/fetching/.test(error), !refused, error);
        if (!refused) return;
        match(error, refused);
        match(
          error,
          /- Python 3 with pip .*\n- a folder .* SSNET_TENSORFLOW\n[^]* pip download .*\n.* setup --wheel tf\.whl\n$/,
        );
        deepStrictEqual(namesIn(`${home}/.cache/ss-net`), []);
      }),
  );
}

Deno.test(
  "setup ends with 4 and one clear message on every fault, and leaves nothing behind",
  linux,
  () =>
    inEmptyHome(async (home) => {
      const faults: [SetUpRun, RegExp][] = [
        [
          { env: { FAKE_PIP_ERROR: "No matching distribution" } },
          /pip says: No matching distribution; check the network/,
        ],
        [{ env: { HOME: "" } }, /the variable HOME is not set/],
        [{ env: { SSNET_TENSORFLOW: "/nonexistent" } }, /Cannot open TensorFlow in "\/nonexistent"/],
      ];
      for (const [run, message] of faults) {
        const { code, error } = await setup(home, run);
        match(error, message);
        strictEqual(code, 4);
        ok(!error.includes("    at "), error); // no stack
      }
      deepStrictEqual(namesIn(`${home}/.cache/ss-net`), []);
    }),
);

Deno.test(
  "setup --gpu unpacks all wheels into one tree, and opens what it fetched",
  { ignore: Deno.build.target !== "x86_64-unknown-linux-gnu" },
  () =>
    inEmptyHome(async (home) => {
      const wheels = { "tf.whl": TENSORFLOW, "cuda.whl": CUDA_FILES };
      const { code, error } = await setup(home, { args: ["gpu"], wheels, env: { FAKE_PACKAGE: `${home}/nowhere` } });
      match(error, /fetching 2 wheels, 548 MB in all/);
      match(error, /Cannot open TensorFlow in ".*": .* is no library: 1 bytes/); // the stand-ins
      strictEqual(code, 4);
      deepStrictEqual(namesIn(`${home}/.cache/ss-net`), [`tensorflow-gpu-${VERSION}`]);
      deepStrictEqual(namesIn(gpuCacheOf(home)), ["nvidia", "tensorflow"]);
      strictEqual(findLibrary("gpu").folder, `${gpuCacheOf(home)}/tensorflow`);
    }),
);

/** A package as pip installs it into a virtual environment: its files, and the list of them. */
async function install(environment: string, name: string, version: string, files: string[]) {
  const packages = `${environment}/lib/python3.99/site-packages`;
  await withCuda(packages, files, stub);
  const info = await folderWith(`${packages}/${name.replaceAll("-", "_")}-${version}.dist-info`, {});
  await Deno.writeTextFile(`${info}/METADATA`, `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`);
  await Deno.writeTextFile(`${info}/RECORD`, files.map((file) => `${file},,\n`).join(""));
  return packages;
}
/** What Python has is asked of a true one, of which the stand-in knows where it mostly is. */
const withPython = { ignore: Deno.build.target !== "x86_64-unknown-linux-gnu" || !existsSync("/usr/bin/python3") };
/** The wheels of CUDA 12 of a byte a file, and TensorFlow's, all of the version 1. */
function gpuWheels(): Record<string, string[]> {
  const byFolder = Object.groupBy(CUDA_FILES, (file) => file.split("/")[1]) as Record<string, string[]>;
  const cuda = Object.entries(byFolder).map(([name, files]) => [`nvidia-${name.replaceAll("_", "-")}-cu12.whl`, files]);
  return { "tf.whl": TENSORFLOW, ...Object.fromEntries(cuda) };
}

Deno.test(
  "setup --gpu takes what an active virtual environment has, fetches the rest, and doctor's list tells which",
  withPython,
  () =>
    inEmptyHome(async (home) => {
      const environment = `${home}/environment`, cublas = CUDA_FILES.filter((file) => file.includes("/cublas/"));
      const packages = await install(environment, "nvidia-cublas-cu12", "1.2", cublas);
      await install(environment, "nvidia-cufft-cu12", "0.9", ["nvidia/cufft/lib/libcufft.so.11"]); // too old
      await install(environment, "nvidia-cudnn-cu13", "9.19", []); // without its files
      const run = { args: ["gpu"], wheels: gpuWheels(), env: { VIRTUAL_ENV: environment } };
      const { error } = await setup(home, run);
      match(
        error,
        new RegExp(`taken: nvidia-cublas-cu12 1\\.2, ${packages}/nvidia/cublas/lib/libcublasLt\\.so\\.12\n`),
      );
      match(error, /fetching 8 wheels, /);
      ok(!/fetching nvidia-cublas/.test(error), error);
      match(error, /Cannot open TensorFlow in ".*": .* is no library: 1 bytes/); // the stand-ins
      const library = findLibrary("gpu");
      strictEqual(library.folder, `${gpuCacheOf(home)}/tensorflow`);
      deepStrictEqual({ ...takenFiles(library) }, { [packages]: cublas.map((file) => `${packages}/${file}`) });
      await Deno.remove(environment, { recursive: true });
      throws(() => findLibrary("gpu"), /run deno task setup --gpu$/);
      match((await setup(home, run)).error, /fetching 9 wheels, /);
      deepStrictEqual({ ...takenFiles(findLibrary("gpu")) }, {});
    }),
);

Deno.test(
  "setup --gpu takes CUDA 13's libraries where all are there, under the names of CUDA 12's, and fetches the runtime",
  withPython,
  () =>
    inEmptyHome(async (home) => {
      const environment = `${home}/environment`;
      for (const { package: name, files } of CUDA_13) {
        const folder = name === "nvidia-cudnn-cu13" ? "nvidia/cudnn/lib" : "nvidia/cu13/lib";
        await install(environment, name, "13", Object.values(files).map((file) => `${folder}/${file}`));
      }
      const { error } = await setup(home, { args: ["gpu"], wheels: gpuWheels(), env: { VIRTUAL_ENV: environment } });
      match(error, /taken: CUDA 13's nvidia-cublas 13, .*; note: .* it was seen to work on one machine/);
      match(error, /fetching 2 wheels, [^]*fetching tf\.whl [^]*fetching nvidia-cuda-runtime-cu12\.whl/);
      // TensorFlow looks in cuBLAS's folder for a name that it asks for, and not in cuSOLVER's own.
      const beside = (file: string) => basename(Deno.realPathSync(`${gpuCacheOf(home)}/nvidia/${file}`));
      strictEqual(beside("cusolver/lib/libcusolver.so.11"), "libcusolver.so.12");
      strictEqual(beside("cublas/lib/libcusolver.so.11"), "libcusolver.so.12");
      strictEqual(beside("cuda_runtime/lib/libcudart.so.12"), "libcudart.so.12");
    }),
);

Deno.test("of Python's packages TensorFlow's must be the pinned version, CUDA's not an older one, and no generation is mixed", () => {
  const { wheels } = bundleFor("x86_64-unknown-linux-gnu", "gpu"), byName = new Map(wheels.map((w) => [w.package, w]));
  const has = (name: string, version: string) => ({
    version,
    files: byName.get(name)!.members.map((file) => `/packages/${file}`),
  });
  const thirteen = Object.fromEntries(
    CUDA_13.map(({ package: name, files }) => [name, {
      version: "13",
      files: Object.values(files).map((file) => `/packages/nvidia/cu13/lib/${file}`),
    }]),
  );
  const taken = (packages: Record<string, Installed>) =>
    takeFrom(wheels, packages).wheels.map((wheel) => wheel.package);
  deepStrictEqual(taken({ tensorflow: has("tensorflow", VERSION) }), ["tensorflow"]);
  deepStrictEqual(taken({ tensorflow: has("tensorflow", "2.20.0") }), []);
  const cudnn = "nvidia-cudnn-cu12";
  deepStrictEqual(taken({ [cudnn]: has(cudnn, "9.10.2.21") }), [cudnn]);
  deepStrictEqual(taken({ [cudnn]: has(cudnn, "9.1.0.70") }), []);
  deepStrictEqual(taken({ [cudnn]: has(cudnn, "9.10.2.21"), ...thirteen }), [cudnn]);
  strictEqual(taken(thirteen).length, CUDA_13.length);
  const { "nvidia-cufft": _, ...incomplete } = thirteen;
  deepStrictEqual(taken(incomplete), []);
});

const forCpu = { ignore: openCuda(openLibrary(library), library).built };

Deno.test("setup --gpu refuses a named library that was built for the CPU", forCpu, () =>
  inEmptyHome(async (home) => {
    const { code, error } = await setup(home, { env: { SSNET_TENSORFLOW: real }, args: ["--gpu"] });
    match(error, /on a GPU: it was built for the CPU; unset SSNET_TENSORFLOW and run deno task setup --gpu/);
    strictEqual(code, 4);
  }));

Deno.test("setup takes no other option than its two", () =>
  inEmptyHome(async (home) => {
    for (const args of [["--cpu"], ["--gpu", "--gpu"], ["gpu"], ["--wheel"]]) {
      strictEqual((await setup(home, { args })).code, 2);
    }
    strictEqual((await setup(home, { args: ["--help"] })).code, 0);
  }));

Deno.test("gpu-check prints its JSON and ends with 4 where there is no GPU", forCpu, async () => {
  const check = async (folder: string) => {
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-read", "--allow-env", "--allow-run=deno", "tasks/tools/gpu_check.ts"],
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
