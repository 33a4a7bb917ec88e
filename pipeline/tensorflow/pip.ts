/** What `deno task setup` asks the user's Python for: its `tensorflow`, and wheels through its pip. @module */
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

const FIND = `
import importlib.util
spec = importlib.util.find_spec("tensorflow")
print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "")
`;

/** The folder of Python's package `tensorflow`, if there is one. Needs `--allow-run=python3`, `--allow-env`. */
export async function packageFolder(signal?: AbortSignal): Promise<string | undefined> {
  const answer = await python(["-c", FIND], { signal });
  return answer?.success && answer.output || undefined;
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

function isOlder(version: string, other: string): boolean {
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
