/**
 * Finds TensorFlow's library and opens it: the folder the user names, an installed Python `tensorflow`, or the cache,
 * which may hold one for the CPU and one for NVIDIA GPUs. `setUpLibrary` (only `deno task setup` calls it) asks Python,
 * and fills the cache from pinned wheels: with the user's own pip, or from where the user has them.
 * @module
 */
import { claimTemporaryFolder, removeFolder, removeLeftovers, writeAtomically } from "../files/atomic.ts";
import { isSystemError } from "../files/errors.ts";
import { isFile } from "../files/exists.ts";
import { takeInstalled } from "./installed.ts";
import { download, downloadCommand, packageFolder, pipProblem, PYTHON_WANTED } from "./pip.ts";
import { frameworkSymbols, runtimeSymbols } from "./symbols.ts";
import { type Bundle, BUNDLES, CUDA_FILES, type Device, VERSION, type Wheel } from "./wheels.ts";

export { type Device, VERSION } from "./wheels.ts";

const SUFFIX = Deno.build.os === "darwin" ? ".2.dylib" : ".so.2";
const FRAMEWORK = `libtensorflow_framework${SUFFIX}`;
/** Python's packages name it `_cc`, the archives for C do not. */
const RUNTIMES = [`libtensorflow_cc${SUFFIX}`, `libtensorflow${SUFFIX}`];

/** Where the library stands and how it was found. */
export interface Library {
  /** The folder that holds `libtensorflow_framework` and `libtensorflow_cc` (or `libtensorflow`). */
  folder: string;
  /** How it was found: named by `SSNET_TENSORFLOW`, as an installed Python package, or in the cache, where `setup` puts it. */
  source: "named" | "python" | "cache";
}

/** What to do about a library that is broken. */
const REMEDY: Record<Library["source"], string> = {
  named: "name another folder or unset SSNET_TENSORFLOW",
  python: "repair it with python3 -m pip install --force-reinstall tensorflow, or uninstall it and run deno task setup",
  cache: "remove that folder and run deno task setup, with --gpu for GPUs",
};

/** TensorFlow could not be found, fetched, opened, or refused a call. The tasks exit with code 4. */
export class TensorFlowError extends Error {
  /** What stands in front of the message where it is printed with its stack. */
  override name = "TensorFlowError";
  /**
   * An error of this project's own, or of a status that TensorFlow gave.
   * @param message What was attempted, found, wanted.
   * @param code TensorFlow's status code (`TF_Code`), 0 when it was not a status.
   * @param op The operation that was refused, "" when it was none.
   */
  constructor(message: string, readonly code = 0, readonly op = "") {
    super(message);
  }
}

/**
 * This project's cache folder, `$XDG_CACHE_HOME/ss-net` or `$HOME/.cache/ss-net`; `tasks/places.sh` gives it to Deno.
 * Needs `--allow-env=HOME,XDG_CACHE_HOME`.
 */
export function cacheFolder(): string {
  const home = Deno.env.get("HOME"), caches = Deno.env.get("XDG_CACHE_HOME");
  if (caches?.startsWith("/")) return `${caches}/ss-net`; // a relative one does not count, by its own rules
  if (!home) throw new TensorFlowError("Cannot choose a cache folder: the variable HOME is not set; set it");
  return `${home}/.cache/ss-net`;
}

/**
 * The folder with the files of the CPU's library; of the GPUs' one with `tensorflow/` and `nvidia/`, as Python has it.
 */
const fetchedFolder = (device: Device) => `${cacheFolder()}/tensorflow-${device === "gpu" ? "gpu-" : ""}${VERSION}`;
/** Holds the folder of Python's package: only `setup` may run Python, the other tasks read what it found. */
const recordPath = () => `${cacheFolder()}/python-tensorflow`;

/** The files of the library that a folder lacks. */
function missing(folder: string): string[] {
  const absent = [FRAMEWORK].filter((file) => !isFile(`${folder}/${file}`));
  if (!RUNTIMES.some((file) => isFile(`${folder}/${file}`))) absent.unshift(RUNTIMES[0]);
  return absent;
}

function recordedFolder(): string | undefined {
  try {
    return Deno.readTextFileSync(recordPath());
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The folder that the user names, or nothing. @throws {TensorFlowError} If it is named and lacks a file. */
function namedLibrary(): Library | undefined {
  const folder = Deno.env.get("SSNET_TENSORFLOW");
  if (!folder) return;
  const absent = missing(folder);
  if (absent.length) {
    throw new TensorFlowError(
      `Cannot open TensorFlow in "${folder}": ${absent.join(" and ")} missing; ${REMEDY.named}`,
    );
  }
  return { folder, source: "named" };
}

function pythonLibraryOnRecord(): Library | undefined {
  const folder = recordedFolder();
  return folder && missing(folder).length === 0 ? { folder, source: "python" } : undefined;
}

function cachedLibrary(device: Device): Library | undefined {
  const fetched = fetchedFolder(device), folder = device === "gpu" ? `${fetched}/tensorflow` : fetched;
  const cuda = device === "gpu" ? CUDA_FILES : [];
  const whole = missing(folder).length === 0 && cuda.every((file) => isFile(`${fetched}/${file}`));
  return whole ? { folder, source: "cache" } : undefined;
}

/**
 * The library's folder: the one in the variable `SSNET_TENSORFLOW` (nothing else is tried then); for a GPU the cache's
 * library for GPUs, then the Python package that `setup` found; for the CPU that package, the cache's library for the
 * CPU, the one for GPUs. Needs `--allow-read`, `--allow-env=HOME,XDG_CACHE_HOME,SSNET_TENSORFLOW`.
 *
 * @param device Left out: as for a GPU, and then the cache's library for the CPU.
 * @throws {TensorFlowError} If no folder holds the library; the message says what to do.
 */
export function findLibrary(device?: Device): Library {
  const library = namedLibrary() ??
    (device === "cpu"
      ? pythonLibraryOnRecord() ?? cachedLibrary("cpu") ?? cachedLibrary("gpu")
      : cachedLibrary("gpu") ?? pythonLibraryOnRecord() ?? (device ? undefined : cachedLibrary("cpu")));
  if (library) return library;
  throw new TensorFlowError(
    device === "gpu"
      ? `Cannot find TensorFlow for GPUs in "${fetchedFolder("gpu")}": run deno task setup --gpu`
      : `Cannot find TensorFlow in "${fetchedFolder("cpu")}": run deno task setup`,
  );
}

/** The functions of an open library. */
export type Symbols =
  & Deno.DynamicLibrary<typeof frameworkSymbols>["symbols"]
  & Deno.DynamicLibrary<typeof runtimeSymbols>["symbols"];

/**
 * Opens the library; this is also the check that it has every function the binding calls. It stays open as long as the
 * process lives: TensorFlow's threads do not survive its being unloaded. TensorFlow's own log lines are switched off
 * unless the variable `TF_CPP_MIN_LOG_LEVEL` says otherwise. Needs `--allow-ffi`, `--allow-read`, `--allow-env`.
 *
 * @throws {TensorFlowError} If a file is broken, of another architecture, or of a version that lacks a function.
 */
export function openLibrary({ folder, source }: Library): Symbols {
  const runtimeFile = RUNTIMES.find((file) => isFile(`${folder}/${file}`)) ?? RUNTIMES[0];
  const files = [FRAMEWORK, runtimeFile].map((file) => `${folder}/${file}`);
  const refuse = (reason: string) =>
    new TensorFlowError(`Cannot open TensorFlow in "${folder}": ${reason}; ${REMEDY[source]}`);
  const faults = files.flatMap((file) => elfFault(file) ?? []);
  if (faults.length) throw refuse(faults.join("; "));
  try {
    // The first file prints a notice before it looks at the variable.
    const framework = silently(() => Deno.dlopen(files[0], frameworkSymbols).symbols);
    const runtime = Deno.dlopen(files[1], runtimeSymbols).symbols;
    // Deno closes what it opened when it ends; a second reference, never given back, keeps the code in memory.
    const [fault] = files.flatMap((file) => load(framework, file) ?? []);
    if (fault) throw new Error(fault);
    exitWithoutDestructors();
    return { ...framework, ...runtime };
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) throw error;
    throw refuse((error as Error).message);
  }
}

/**
 * Makes the process end from here on with its exit code at once, without the destructors that TensorFlow has
 * registered: they take down what its threads are still computing with, and the process would end by a signal (a second
 * Ctrl-C, an error while a step runs). glibc's `on_exit` calls what was registered last first, and gives it the code;
 * it is told when the end comes, since TensorFlow registers destructors while it computes, too.
 */
function exitWithoutDestructors() {
  if (Deno.build.os !== "linux") return;
  const { dlsym, on_exit } = Deno.dlopen("libc.so.6", {
    dlsym: { parameters: ["pointer", "buffer"], result: "pointer" },
    on_exit: { parameters: ["pointer", "pointer"], result: "i32" },
  }).symbols;
  const exit = dlsym(null, new TextEncoder().encode("_exit\0"));
  for (const end of exit ? ["unload", "error", "unhandledrejection"] : []) {
    addEventListener(end, () => void on_exit(exit, null));
  }
}

/** Opens a library as TensorFlow does, for as long as the process lives; says what was wrong. */
function load(c: Deno.DynamicLibrary<typeof frameworkSymbols>["symbols"], file: string): string | undefined {
  const status = c.TF_NewStatus();
  c.TF_LoadSharedLibrary(new TextEncoder().encode(file + "\0"), status);
  const code = c.TF_GetCode(status), message = new Deno.UnsafePointerView(c.TF_Message(status)!).getCString();
  c.TF_DeleteStatus(status);
  return code ? message : undefined;
}

/** NVIDIA's driver as a library. It comes with the driver alone. */
const DRIVER = "libcuda.so.1";

/** What keeps a library from computing on NVIDIA GPUs. */
export interface Cuda {
  /** Whether it was built for them: its own answer, which no function of its C API gives. */
  built: boolean;
  /** The reason of each CUDA library that did not open. */
  faults: string[];
  /** Why NVIDIA's driver did not open; nothing where it did. */
  driverFault?: string;
}

/** Opens what a library needs of CUDA, where it was built for that. @param c Of the library, which is open. */
export function openCuda(c: Symbols, { folder }: Library): Cuda {
  const built = Deno.build.os === "linux" && Deno.dlopen(`${folder}/${FRAMEWORK}`, {
        built: { name: "_ZN10tensorflow19IsGoogleCudaEnabledEv", parameters: [], result: "bool", optional: true },
      }).symbols.built?.() === true;
  return built ? { built, ...openCudaLibraries(c, folder) } : { built, faults: [] };
}

/**
 * Opens the CUDA libraries, so that TensorFlow finds them when it looks for a GPU: it asks for them by name, and a name is
 * known once its file is open. Those in `nvidia/` beside TensorFlow's folder come first; without them the system's are
 * taken, as far as the loader finds them.
 */
export function openCudaLibraries(c: Symbols, folder: string): Omit<Cuda, "built"> {
  const faults = CUDA_FILES.flatMap((file) => {
    const beside = `${folder}/../${file}`;
    // Where a link leads: a library looks for its parts in its own folder, by the path under which it was opened.
    return load(c, isFile(beside) ? Deno.realPathSync(beside) : file.slice(file.lastIndexOf("/") + 1)) ?? [];
  });
  return { faults, driverFault: load(c, DRIVER) };
}

/**
 * The files of the library for GPUs in the cache that `setup` did not fetch, by the folder of packages that they were
 * taken from.
 */
export function takenFiles({ folder, source }: Library): Record<string, string[]> {
  if (source !== "cache" || folder !== `${fetchedFolder("gpu")}/tensorflow`) return {};
  const own = `${Deno.realPathSync(fetchedFolder("gpu"))}/`;
  const paths = [FRAMEWORK, ...CUDA_FILES.map((file) => `../${file}`)].map((file) =>
    Deno.realPathSync(`${folder}/${file}`)
  );
  const taken = paths.filter((path) => !path.startsWith(own));
  return Object.groupBy(taken, (path) => path.replace(/\/(nvidia|tensorflow)\/.*$/, "")) as Record<string, string[]>;
}

/** What keeps a library from GPUs, the driver aside, and what to do; nothing where all is there. */
export function cudaFault({ source }: Library, { built, faults }: Cuda): string | undefined {
  if (built && faults.length === 0) return;
  const remedies: Record<Library["source"], string> = {
    named: "unset SSNET_TENSORFLOW and run deno task setup --gpu",
    python: "run deno task setup --gpu",
    cache: built ? REMEDY.cache : "run deno task setup --gpu",
  };
  return `${built ? faults.join("; ") : "it was built for the CPU"}; ${remedies[source]}`;
}

/**
 * TensorFlow's switch of TF32, for the whole process: whether products of float32 on a GPU may round their factors to 10
 * bits. Its C API has none; this is `tsl::enable_tensor_float_32_execution(bool)` by its name in the library.
 * @returns The switch, and whether it is on; nothing where the library lacks it.
 */
export function tensorFloat32({ folder }: Library): { set(on: boolean): void; isOn(): boolean } | undefined {
  const { set, isOn } = Deno.dlopen(`${folder}/${FRAMEWORK}`, {
    set: { name: "_ZN3tsl32enable_tensor_float_32_executionEb", parameters: ["bool"], result: "void", optional: true },
    isOn: { name: "_ZN3tsl33tensor_float_32_execution_enabledEv", parameters: [], result: "bool", optional: true },
  }).symbols;
  return set && isOn ? { set, isOn } : undefined;
}

/** Compute capability of the GPU that computes, as [8, 0], by NVIDIA's driver, which is open. */
export function computeCapability(): [major: number, minor: number] {
  const { cuDeviceGetAttribute } = Deno.dlopen(DRIVER, {
    cuDeviceGetAttribute: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  }).symbols;
  const FIRST = 0, MAJOR = 75, MINOR = 76; // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
  const number = new Int32Array(1);
  const attribute = (which: number) => (cuDeviceGetAttribute(number, which, FIRST), number[0]);
  return [attribute(MAJOR), attribute(MINOR)];
}

/**
 * What is wrong with a file of Linux's format, which the loader does not tell: for a foreign architecture it says "No
 * such file or directory", and reading past the end of a file that is cut off ends the process.
 */
function elfFault(path: string): string | undefined {
  if (Deno.build.os !== "linux") return;
  using file = Deno.openSync(path);
  const head = new DataView(new ArrayBuffer(64)), size = file.statSync().size;
  if (file.readSync(new Uint8Array(head.buffer)) !== 64 || head.getUint32(0) !== 0x7f454c46) {
    return `"${path}" is no library: ${size} bytes that do not begin as one`;
  }
  const MACHINES: Record<number, string> = { 3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64" };
  const machine = head.getUint16(18, true), name = MACHINES[machine] ?? `machine ${machine}`;
  if (name !== Deno.build.arch) return `"${path}" is built for ${name}, this machine is ${Deno.build.arch}`;
  // The table of sections comes last: its place, the size of an entry, their number.
  const wanted = Number(head.getBigUint64(40, true)) + head.getUint16(58, true) * head.getUint16(60, true);
  if (size < wanted) return `"${path}" is cut off: ${size} bytes found, ${wanted} wanted`;
}

/** Runs `open` without the notice that TensorFlow prints then, unless the user asks for notices (level 0). */
function silently<T>(open: () => T): T {
  const LEVEL = "TF_CPP_MIN_LOG_LEVEL";
  if (Deno.env.get(LEVEL) === undefined) Deno.env.set(LEVEL, "3"); // what goes wrong comes back as a status
  if (Deno.build.os !== "linux" || Number(Deno.env.get(LEVEL)) === 0) return open();
  const { dup, dup2, open: openFile, close } = Deno.dlopen("libc.so.6", {
    dup: { parameters: ["i32"], result: "i32" },
    dup2: { parameters: ["i32", "i32"], result: "i32" },
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  }).symbols;
  const STDERR = 2, WRITE_ONLY = 1;
  const kept = dup(STDERR), nowhere = openFile(new TextEncoder().encode("/dev/null\0"), WRITE_ONLY);
  if (kept < 0 || nowhere < 0) return open(); // no descriptor left: a notice is better than an error
  try {
    dup2(nowhere, STDERR);
    return open();
  } finally {
    dup2(kept, STDERR);
    close(kept);
    close(nowhere);
  }
}

// --- setup -------------------------------------------------------------------------------------------------------

/** Where `setUpLibrary` tells of its progress. */
export interface Progress {
  /** A line that stays. */
  say(line: string): void;
  /** Megabytes on the disk so far, several times a minute. */
  fetched(megabytes: number, total: number): void;
}

/** How `setUpLibrary` fetches. */
export interface SetUp {
  /** Progress of what it does. */
  progress: Progress;
  /** The wheel, or the folder with the wheels, that the user has already; pip fetches them without it. */
  path?: string;
  /** Ends a fetch; nothing of it is left behind. */
  signal?: AbortSignal;
  /** What is fetched, instead of what is pinned for this platform. */
  bundle?: Bundle;
}

/**
 * Looks for the library as `findLibrary` does, and fetches its wheels when there is none. For the CPU Python's package
 * serves, for a GPU what stands in the cache, with all of CUDA, where that is made of what Python has installed
 * ({@linkcode takeInstalled}) and of wheels for the rest; that there is no driver is said, and no error.
 *
 * Needs `--allow-run=python3`, `--allow-read`, `--allow-ffi`, `--allow-env`, `--allow-write` of the cache.
 *
 * @throws {TensorFlowError} Without Python, pip or network, on a wrong checksum, on an unsupported platform; for a GPU when
 * a CUDA library does not open.
 */
export async function setUpLibrary(device: Device, setUp: SetUp): Promise<Library> {
  if (Deno.build.os === "windows") {
    throw new TensorFlowError("Cannot set up TensorFlow on Windows: run this project inside WSL");
  }
  const library = namedLibrary() ?? await setUpCache(device, setUp);
  if (library.source === "named" || device === "gpu") {
    const symbols = openLibrary(library);
    if (device === "gpu") checkCuda(library, openCuda(symbols, library), setUp.progress);
  }
  return library;
}

async function setUpCache(device: Device, setUp: SetUp): Promise<Library> {
  await Deno.mkdir(cacheFolder(), { recursive: true });
  removeLeftovers(fetchedFolder(device)); // another process may have fetched it: then nothing is written here
  if (device === "gpu" || setUp.path) return cachedLibrary(device) ?? await fetchLibrary(device, setUp);
  return await pythonLibrary(setUp) ?? cachedLibrary("cpu") ?? cachedLibrary("gpu") ?? await fetchLibrary("cpu", setUp);
}

function checkCuda(library: Library, cuda: Cuda, { say }: Progress) {
  const fault = cudaFault(library, cuda);
  if (fault) throw new TensorFlowError(`Cannot use TensorFlow in "${library.folder}" on a GPU: ${fault}`);
  say(`TensorFlow in ${library.folder} finds all of CUDA`);
  if (cuda.driverFault) say(`note: without NVIDIA's driver it finds no GPU: ${cuda.driverFault}`);
}

/** The installed Python package `tensorflow`, if its library has every function; written down for the other tasks. */
async function pythonLibrary({ progress: { say }, signal }: SetUp): Promise<Library | undefined> {
  const folder = await packageFolder(signal);
  const library: Library | undefined = folder && missing(folder).length === 0
    ? { folder, source: "python" }
    : undefined;
  if (library && recordedFolder() === folder) return library;
  try {
    if (library) {
      openLibrary(library);
      await writeAtomically(recordPath(), library.folder);
      say(`TensorFlow of Python's package: ${folder}`);
      return library;
    }
  } catch (error) {
    if (!(error instanceof TensorFlowError)) throw error;
    say(`Python's TensorFlow is not used: ${error.message}`);
  }
  await Deno.remove(recordPath()).catch(() => {}); // mostly there is none
}

/** The wheels for a platform, `Deno.build.target`. @throws {TensorFlowError} If there are none. */
export function bundleFor(target: string, device: Device): Bundle {
  const bundle = BUNDLES[device][target];
  if (bundle) return bundle;
  throw new TensorFlowError(
    `Cannot fetch TensorFlow for ${device === "gpu" ? "GPUs on " : ""}${target}: there are wheels for ` +
      `${Object.keys(BUNDLES[device]).join(", ")}; set SSNET_TENSORFLOW to a folder with TensorFlow's C library`,
  );
}

/** An error of fetching, with every way around it. */
function fetchError(reason: string, device: Device, { wheels }: Bundle): TensorFlowError {
  const [option, given] = device === "gpu" ? [" --gpu", "FOLDER_OF_THE_WHEELS"] : ["", wheels[0].file];
  const library = `${RUNTIMES.join(" or ")}, ${FRAMEWORK}`;
  return new TensorFlowError(
    `Cannot fetch TensorFlow: ${reason}\nOne of these helps:\n` +
      `- ${PYTHON_WANTED} and a network\n` +
      `- a folder with TensorFlow's C library (${library}), named in the variable SSNET_TENSORFLOW\n` +
      `- what this fetches where pip works, on another machine too, given by its path:\n` +
      `    ${downloadCommand(wheels)}\n    deno task setup${option} --wheel ${given}`,
  );
}

/**
 * Takes the wheels from the user's folder or, but for what Python has installed of a library for GPUs, fetches them with
 * pip, checks their SHA-256, unpacks what is needed under a temporary name, renames. Two processes may do so at once: the
 * later one finds the folder there and discards its own copy.
 */
async function fetchLibrary(device: Device, setUp: SetUp): Promise<Library> {
  const bundle = setUp.bundle ?? bundleFor(Deno.build.target, device), { wheels, tested } = bundle;
  const { progress: { say }, path, signal } = setUp, folder = fetchedFolder(device);
  const archiveOf = path === undefined ? undefined : ownArchives(wheels, path);
  using claimed = claimTemporaryFolder(folder);
  const { path: temporary } = claimed;
  try {
    const taken = device === "gpu" && !archiveOf
      ? await takeInstalled(wheels, { folder: temporary, signal })
      : { wheels: [], notes: [] };
    const wanted = wheels.filter((wheel) => !taken.wheels.includes(wheel));
    const problem = archiveOf || !wanted.length ? undefined : await pipProblem(signal);
    if (problem) throw fetchError(problem, device, bundle);
    taken.notes.forEach((note) => say(note));
    if (!tested) {
      say(
        device === "gpu"
          ? "note: on GPUs this project was tried on one H100, with CUDA 13's libraries"
          : `note: this project is untested on ${Deno.build.target} with its wheel`,
      );
    }
    const total = wanted.reduce((sum, { megabytes }) => sum + megabytes, 0);
    if (wanted.length > 1 && !archiveOf) say(`fetching ${wanted.length} wheels, ${total} MB in all`);
    for (const wheel of wanted) {
      const target = { folder: temporary, strip: device === "gpu" ? "" : "tensorflow/" };
      if (archiveOf) await unpack(wheel, archiveOf(wheel), { ...target, ...setUp });
      else await fetchWheel(wheel, { ...target, ...setUp }, (reason) => fetchError(reason, device, bundle));
    }
    if (!cachedLibrary(device)) {
      await removeFolder(folder); // one that lacks a file
      // Where another process was quicker its folder stays.
      await Deno.rename(temporary, folder).catch((error) => {
        if (!cachedLibrary(device)) throw error;
      });
    }
    say(`TensorFlow ${VERSION} is in ${folder}`);
    return cachedLibrary(device)!;
  } finally {
    await removeFolder(temporary);
  }
}

/** The user's own wheels: a file is the one there is, of a folder those of their names. @throws {TensorFlowError} */
function ownArchives(wheels: Wheel[], path: string): (wheel: Wheel) => string {
  if (wheels.length === 1 && isFile(path)) return () => path;
  const absent = wheels.filter(({ file }) => !isFile(`${path}/${file}`)).map(({ file }) => file);
  if (!absent.length) return ({ file }) => `${path}/${file}`;
  throw new TensorFlowError(
    `Cannot take TensorFlow from "${path}": it is ${wheels.length === 1 ? "no file, or a folder" : "no folder"} with ` +
      `${absent.join(", ")}; fetch what is missing with\n  ${downloadCommand(wheels)}`,
  );
}

type Target = SetUp & { folder: string; strip: string };

/** Adds one wheel's files to a folder; the archive is gone afterwards, so that never two lie there. */
async function fetchWheel(wheel: Wheel, target: Target, refuse: (reason: string) => TensorFlowError) {
  const archive = `${target.folder}/archive`, { progress: { say, fetched }, signal } = target;
  await Deno.mkdir(archive);
  const clock = setInterval(() => fetched(Math.round(bytesIn(archive) / 1e6), wheel.megabytes), 1000);
  try {
    say(`fetching ${wheel.file} (${wheel.megabytes} MB) with pip`);
    const problem = await download(wheel, archive, signal);
    if (problem) {
      throw refuse(`pip says: ${problem}; check the network (HTTPS_PROXY names a proxy, PIP_INDEX_URL a mirror)`);
    }
    clearInterval(clock);
    await unpack(wheel, `${archive}/${wheel.file}`, target);
  } finally {
    clearInterval(clock);
    await removeFolder(archive);
  }
}

async function unpack(wheel: Wheel, archive: string, { progress: { say }, ...target }: Target) {
  say(`unpacking ${wheel.file}`);
  const { unpackWheel } = await import("./unpack.ts"); // only where it is needed: setup runs before most tasks
  await unpackWheel(archive, wheel, target).catch((error: unknown) => {
    if (isSystemError(error)) throw error;
    throw new TensorFlowError(`Cannot unpack "${archive}": ${(error as Error).message}`);
  });
}

/** Bytes of all files below a folder, in which another process is writing. */
function bytesIn(folder: string): number {
  try {
    return [...Deno.readDirSync(folder)].reduce((sum, { name, isDirectory }) => {
      const path = `${folder}/${name}`;
      return sum + (isDirectory ? bytesIn(path) : Deno.statSync(path).size);
    }, 0);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0; // gone since it was listed
    throw error;
  }
}
