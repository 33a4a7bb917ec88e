/**
 * Finds libtensorflow: the folder the user names, then an installed Python `tensorflow`, then the cache;
 * `fetchLibrary` (only `deno task setup` calls it) fills the cache from the pinned wheel with the user's own pip.
 * @module
 */
const VERSION = "2.21.0";
const WHEEL = `tensorflow_cpu-${VERSION}-cp311-cp311-manylinux_2_27_x86_64.whl`;
const SHA256 = "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c";
/** The two files that together export the C API. */
export const LIBRARY_FILES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"] as const;

/** Where the library stands and how it was found. */
export interface Library {
  folder: string;
  source: "named" | "cache";
}

/** TensorFlow could not be found, fetched, opened, or refused a call. */
export class TensorFlowError extends Error {
  override name = "TensorFlowError";
  /** @param message What was attempted, found, wanted. @param code TensorFlow's status code, 0 when it was not a status. @param op The operation. */
  constructor(message: string, readonly code = 0, readonly op = "") {
    super(message);
  }
}

/** The cache folder, `$HOME/.cache/ss-net/tensorflow-<version>`. */
export function cacheFolder(): string {
  const home = Deno.env.get("HOME");
  if (!home) throw new TensorFlowError("Cannot choose a cache folder: the variable HOME is not set");
  return `${home}/.cache/ss-net/tensorflow-${VERSION}`;
}

function missing(folder: string): string[] {
  return LIBRARY_FILES.filter((file) => {
    try {
      return !Deno.statSync(`${folder}/${file}`).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return true;
      throw error;
    }
  });
}

/**
 * The library's folder.
 *
 * @param named A folder the user names (variable `SSNET_TENSORFLOW`); nothing else is tried then.
 * @throws {TensorFlowError} If no folder holds both files; the message says what to do.
 */
export function findLibrary(named: string | undefined = Deno.env.get("SSNET_TENSORFLOW")): Library {
  if (named) {
    const absent = missing(named);
    if (absent.length) {
      throw new TensorFlowError(
        `Cannot open TensorFlow in "${named}": ${
          absent.join(" and ")
        } missing; name another folder or unset SSNET_TENSORFLOW`,
      );
    }
    return { folder: named, source: "named" };
  }
  const folder = cacheFolder();
  if (missing(folder).length === 0) return { folder, source: "cache" };
  throw new TensorFlowError(`Cannot find TensorFlow in "${folder}": run deno task setup`);
}

/**
 * Fetches the pinned wheel with pip, checks its SHA-256, unpacks the two files under a temporary name, renames.
 * Two processes may do so at once: the later rename finds the folder there and discards its own copy.
 *
 * Needs `--allow-run=python3`, `--allow-read`, `--allow-write` of the cache, `--allow-env=HOME`.
 *
 * @throws {TensorFlowError} Without Python or network, on a wrong checksum, on an unsupported platform.
 */
export async function fetchLibrary(say: (line: string) => void): Promise<Library> {
  if (Deno.build.os === "windows") {
    throw new TensorFlowError("Cannot fetch TensorFlow for Windows: run this project inside WSL");
  }
  if (Deno.build.target !== "x86_64-unknown-linux-gnu") {
    throw new TensorFlowError(
      `Cannot fetch TensorFlow for ${Deno.build.target}: only Linux x86-64 is tested; install Python's tensorflow ${VERSION} and set SSNET_TENSORFLOW to its folder`,
    );
  }
  const folder = cacheFolder();
  const parent = folder.slice(0, folder.lastIndexOf("/"));
  await Deno.mkdir(parent, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: parent, prefix: "fetch-" });
  try {
    say(`fetching ${WHEEL} (274 MB) with pip`);
    const download = await run([
      ...["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"],
      ...["--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_27_x86_64"],
      ...["--dest", temporary, `tensorflow-cpu==${VERSION}`],
    ]);
    if (!download.success) throw new TensorFlowError(`Cannot fetch TensorFlow: pip said: ${download.error}`);
    // Python checks and unpacks: it is there anyway, and streams an archive that is larger than a JavaScript buffer should be.
    const unpack = await run(["-c", UNPACK, `${temporary}/${WHEEL}`, SHA256, temporary, ...LIBRARY_FILES]);
    if (!unpack.success) throw new TensorFlowError(`Cannot unpack ${WHEEL}: ${unpack.error}`);
    await Deno.remove(`${temporary}/${WHEEL}`);
    try {
      await Deno.rename(temporary, folder);
    } catch (error) {
      if (missing(folder).length) throw error;
    }
    say(`TensorFlow ${VERSION} is in ${folder}`);
    return { folder, source: "cache" };
  } finally {
    await Deno.remove(temporary, { recursive: true }).catch(() => {}); // gone after the rename
  }
}

const UNPACK = `
import hashlib, shutil, sys, zipfile
wheel, wanted, folder, *files = sys.argv[1:]
digest = hashlib.sha256()
with open(wheel, "rb") as stream:
    while block := stream.read(1 << 20):
        digest.update(block)
if digest.hexdigest() != wanted:
    sys.exit(f"SHA-256 is {digest.hexdigest()}, wanted {wanted}")
with zipfile.ZipFile(wheel) as archive:
    for name in files:
        with archive.open("tensorflow/" + name) as source, open(folder + "/" + name, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
`;

async function run(args: string[]): Promise<{ success: boolean; error: string }> {
  try {
    const { success, stderr } = await new Deno.Command("python3", { args, stdout: "null", stderr: "piped" }).output();
    return { success, error: new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join(" ") };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TensorFlowError(
      "Cannot fetch TensorFlow: python3 is not installed; install it with pip, or set SSNET_TENSORFLOW to a folder with libtensorflow",
    );
  }
}
