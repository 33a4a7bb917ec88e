/** What `deno task setup` asks the user's Python for: packages that it has, and wheels through its pip. @module */
import type { Wheel } from "./wheels.ts";
import { emptyLoaderVariables } from "../files/loader_variables.ts";

/** The first release of pip that takes a wheel for a platform it does not know (19.3.1 does not find it). */
const OLDEST_PIP = "20.0.2";

/** What helps where pip does not. */
export const PYTHON_WANTED = `Python 3 with pip ${OLDEST_PIP} or newer (python3 -m pip --version tells)`;

interface Answer {
  success: boolean;
  output: string;
  error: string;
}

/** Runs `python3`; nothing where there is none. */
async function python(
  args: string[],
  { env, signal }: { env?: Record<string, string>; signal?: AbortSignal },
): Promise<Answer | undefined> {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  try {
    const { success, stdout, stderr } = await new Deno.Command("python3", {
      ...{ args, signal, stdin: "null", stdout: "piped", stderr: "piped" },
      env: { ...env, ...emptyLoaderVariables() },
    }).output();
    const lines = text(stderr).split("\n"), errors = lines.filter((line) => line.startsWith("ERROR: ")); // pip's
    return { success, output: text(stdout), error: (errors.length ? errors : lines.slice(-3)).join(" ") || "nothing" };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The packages of an active virtual environment come first, whichever Python `python3` is. */
const ACTIVE = `
import glob, os, sys
environment = os.environ.get("VIRTUAL_ENV")
if environment:
    sys.path[:0] = glob.glob(glob.escape(environment) + "/lib/python3*/site-packages")
`;
const FIND = `${ACTIVE}
import importlib.util
spec = importlib.util.find_spec("tensorflow")
print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "")
`;
const LIST = `${ACTIVE}
import importlib.metadata, json
found = {}
for name in sys.argv[1:]:
    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        continue
    paths = [str(package.locate_file(file)) for file in package.files or [] if ".so" in file.name]
    found[name] = {"version": package.version, "files": [path for path in paths if os.path.isfile(path)]}
print(json.dumps(found))
`;
const LINK = `
import json, os, sys
for path, link in json.loads(sys.argv[1]):
    os.makedirs(os.path.dirname(link), exist_ok=True)
    os.symlink(os.path.realpath(path), link)
`;

/** The folder of Python's package `tensorflow`, if there is one. Needs `--allow-run=python3`, `--allow-env`. */
export async function packageFolder(signal?: AbortSignal): Promise<string | undefined> {
  const answer = await python(["-c", FIND], { signal });
  return answer?.success && answer.output || undefined;
}

/** A package that Python has. */
export interface Installed {
  /** The version of the package. */
  version: string;
  /** Paths of its libraries that are there. */
  files: string[];
}

/**
 * The versions of some packages that Python has, by name; none where there is no Python 3.8 or newer. Needs
 * `--allow-run=python3`, `--allow-env`.
 */
export async function installedPackages(names: string[], signal?: AbortSignal): Promise<Record<string, Installed>> {
  const answer = await python(["-c", LIST, ...names], { signal });
  return answer?.success ? JSON.parse(answer.output) : {};
}

/**
 * Makes symbolic links, for which Deno wants the right to write anywhere; says what was wrong. Needs
 * `--allow-run=python3`, `--allow-env`.
 * @param links Pairs of a file and its link; a link's folder is made.
 */
export async function linkFiles(
  links: [path: string, link: string][],
  signal?: AbortSignal,
): Promise<string | undefined> {
  const answer = await python(["-c", LINK, JSON.stringify(links)], { signal });
  return answer?.success ? undefined : answer?.error ?? "python3 is not installed";
}

/** Why pip cannot fetch wheels; nothing where it can. Needs `--allow-run=python3`, `--allow-env`. */
export async function pipProblem(signal?: AbortSignal): Promise<string | undefined> {
  const answer = await python(["-m", "pip", "--version"], { signal });
  if (!answer) return "python3 is not installed";
  if (!answer.success) {
    if (/No module named '?pip/.test(answer.error)) return "python3 has no pip";
    const emptied = Object.keys(emptyLoaderVariables()).join(", ");
    return `python3 -m pip does not run: ${answer.error}` +
      (emptied && ` (${emptied} emptied for it: Deno hands that on only where a task may start any program)`);
  }
  const [, version] = answer.output.match(/^pip ([\d.]+)/) ?? [];
  if (version === undefined || isOlder(version, OLDEST_PIP)) {
    return `${answer.output} is too old: ${OLDEST_PIP} or newer is wanted; python3 -m pip install --upgrade pip`;
  }
}

/** Tells by the numbers of two versions whether the first is older. */
export function isOlder(version: string, other: string): boolean {
  const [a, b] = [version, other].map((text) => text.split(".").map(Number));
  const i = b.findIndex((number, i) => number !== (a[i] ?? 0));
  return i >= 0 && (a[i] ?? 0) < b[i];
}

/** Which wheels pip downloads: by the Python and the platforms that they are for, not those it runs on. */
function choice(wheels: Wheel[]): string[] {
  const platforms = new Set(wheels.map(({ platform }) => platform));
  return [
    ...["--no-deps", "--only-binary=:all:", "--python-version", "3.11"],
    ...[...platforms].flatMap((platform) => ["--platform", platform]),
    ...wheels.map((wheel) => `${wheel.package}==${wheel.version}`),
  ];
}

/** The command that fetches wheels into the folder where it is run. */
export function downloadCommand(wheels: Wheel[]): string {
  return `python3 -m pip download ${choice(wheels).join(" ")}`;
}

/**
 * Downloads a wheel into a folder; says what was wrong. Needs `--allow-run=python3`, `--allow-env`.
 * Without pip's cache: it would keep the wheel as well, and its older releases hold all of it in memory for that.
 */
export async function download(wheel: Wheel, folder: string, signal?: AbortSignal): Promise<string | undefined> {
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir", "--dest", folder];
  const answer = await python(["-m", "pip", "download", ...quiet, ...choice([wheel])], {
    env: { TMPDIR: folder },
    signal,
  });
  return answer?.success ? undefined : answer?.error ?? "nothing";
}
