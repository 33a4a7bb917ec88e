/**
 * Where tasks read and write: paths as the user means them, the home of raw files, cases and runs, temporary files.
 * `tasks/places.sh` gives the same places to Deno as rights.
 * @module
 */
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isSystemError } from "./errors.ts";

const PROJECT = resolve(fileURLToPath(new URL("../../", import.meta.url)));
/** Where the user stands: `deno task` goes to the project's folder, and leaves this name behind. */
const standing = () => Deno.env.get("INIT_CWD") || Deno.cwd();

/** A path as the user gives it: one that is relative begins where the user stands. Needs `--allow-env`, `--allow-read`. */
export function userPath(path: string): string {
  return standing() === Deno.cwd() ? path : resolve(standing(), path);
}

/**
 * A place of raw files, cases and runs: in the folder that `SSNET_HOME` names, else in the project's `data`; short where
 * that names it too. Needs `--allow-env`, `--allow-read`.
 */
export function homePath(path: string): string {
  const home = Deno.env.get("SSNET_HOME"), isHere = [Deno.cwd(), standing()].every((folder) => folder === PROJECT);
  return `${home ? resolve(standing(), home) : isHere ? "data" : `${PROJECT}/data`}/${path}`;
}

/** What must stand before a command for another shell, so that its home is this one's. */
export function namedHome(): string[] {
  return Deno.env.get("SSNET_HOME") ? [`SSNET_HOME=${quoted(dirname(homePath(".")))}`] : [];
}

const temporaryPlace = () => Deno.env.get("TMPDIR") || "/tmp";

/** Makes a folder for temporary files, in `TMPDIR` or `/tmp`. Needs `--allow-env`, `--allow-write` there. */
export async function temporaryFolder(prefix: string): Promise<string> {
  const dir = temporaryPlace();
  try {
    return await Deno.makeTempDir({ dir, prefix });
  } catch (error) {
    if (isSystemError(error)) {
      error.message = `Cannot make a temporary folder in "${dir}": ${error.message}; name another place in TMPDIR`;
    }
    throw error;
  }
}

/** An argument as a shell reads it. */
export const quoted = (text: string): string =>
  /^[\w./=,:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * The rights of the task whose script this is, as its command in `deno.json` names them; its places to write are for the
 * shell to name. Needs `--allow-read`.
 * @param script From the project's folder, `tasks/train.ts`.
 * @returns Null for one that is no task's.
 */
export function rightsOf(script: string): string[] | null {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${PROJECT}/deno.json`)) as {
    tasks: Record<string, { command: string }>;
  };
  const lines = Object.values(tasks).map(({ command }) => command.split("deno run ").at(-1)!);
  const [rights] = lines.find((line) => line.includes(` ${script}`))?.split(` ${script}`) ?? [];
  return rights?.match(/--[\w-]+(=("[^"]*"|\S+))?/g) ?? null;
}

/**
 * What to do about a path that Deno's rights leave out: this task as a command that may write there.
 * @param error Deno's own, which names the path.
 */
export function writeRefusal(error: Error): string {
  const [, path] = error.message.match(/^Requires write access to "(.*)", run again/s) ?? [];
  if (path === undefined) return error.message;
  const place = path.endsWith(".part") ? dirname(path) : path; // written beside its final place
  const home = dirname(homePath(".")), script = relative(PROJECT, fileURLToPath(Deno.mainModule));
  const rights = rightsOf(script);
  if (rights === null) return error.message;
  if ([home, place].some((path) => path.includes(","))) {
    return `Cannot write to "${place}": Deno's rights cannot name a path with a comma; choose another`;
  }
  const writes = quoted(`--allow-write=${[home, temporaryPlace(), resolve(place)]}`);
  const elsewhere = standing() === PROJECT ? [] : [`cd ${quoted(PROJECT)} &&`, `INIT_CWD=${quoted(standing())}`];
  // npx leaves no deno behind for the user's shell.
  const deno = Deno.env.get("npm_command") === "exec" ? `npx -y deno@${Deno.version.deno}` : "deno";
  const command = [
    ...[...elsewhere, ...namedHome(), deno, "run"],
    ...[...rights.map((right) => right.startsWith("--allow-write") ? writes : right), script],
    ...Deno.args.map(quoted),
  ];
  return `Cannot write to "${place}": this task writes to "${home}" and temporary files only (SSNET_HOME names ` +
    `another place for raw files, cases and runs). It may write there too as\n  ${command.join(" ")}`;
}
