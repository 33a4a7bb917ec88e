/**
 * Command lines from one schema: types, defaults, `--help`, errors. Unknown options are refused with the nearest name.
 * The exit codes of every task.
 * @module
 */
import { Command, CommanderError, Option } from "commander";
import { z } from "zod";
import { COMPONENTS } from "../arrays/components.ts";
import { sidesOf } from "../arrays/shape.ts";
import { flagOf } from "../files/flags.ts";
import { DataError, DivergedError, isSystemError } from "../files/errors.ts";
import type { Dataset, DatasetProfile, OptionSchema } from "../datasets/dataset.ts";
import {
  allNames,
  DATASET_NAMES,
  datasetOf,
  DATASETS,
  findDatasetIfThere,
  ownNames,
  unknownDataset,
} from "../datasets/datasets.ts";
import { readRunConfigIfThere } from "../records/run.ts";
import { TensorFlowError } from "../tensorflow/library.ts";
import { nameProblem } from "../files/names.ts";
import { homePath, userPath, writeRefusal } from "../files/places.ts";
import { INTERRUPTED, Interrupted } from "../files/signals.ts";
import { unknownName, visible } from "../files/words.ts";

/** Exit codes of every task. */
export const EXIT = { done: 0, usage: 2, data: 3, environment: 4, diverged: 5, interrupted: INTERRUPTED } as const;

// Before its body a task looks at the environment, for the defaults of its options; that may be refused too.
globalThis.addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Deno.errors.NotCapable)) return;
  event.preventDefault();
  console.error(writeRefusal(event.reason));
  Deno.exit(EXIT.usage);
});

/** What every task has that computes. More threads than the limit gain nothing, and TensorFlow hangs where it starts 100,000. */
export const MACHINE = {
  threads: z.int().min(1).max(1024).default(navigator.hardwareConcurrency).describe("threads of TensorFlow"),
  device: z.enum(["cpu", "gpu"]).default("cpu").describe("where to compute"),
};

/** Which connected components are kept. @param usual Where nothing is said, in words. */
export const componentsOption = (usual: string) =>
  z.enum([...COMPONENTS, "auto"]).optional().describe(
    "connected components that are kept: all; the largest of each class; the largest of the whole foreground; auto: what " +
      `is best on the run's validation cases, which the run then stores and predict takes (default: ${usual})`,
  );

/** Which checkpoint of a run is tested. */
export const CHECKPOINT = z.enum(["last", "best"]).optional().describe(
  "best: by the validation cases of the training (default: last where the average of the weights is tested, as of --preset " +
    "fast, else the method's own choice)",
);

/** How a network is tested: what `eval` and `predict` have in common. */
export const TEST = {
  overlap: z.number().min(0).max(0.95).optional().describe(
    "share of a window that the next one overlaps, voxels weighted by a Gaussian, instead of the published stride",
  ),
  mirror: z.boolean().default(false).describe(
    "the mean over the mirrorings that the training draws; four times as long",
  ),
  components: componentsOption("the method's own"),
};

/** A patch as text, "112x112x80". */
export function patchText({ patch }: DatasetProfile) {
  return z.string().refine(
    (text) =>
      /^[1-9]\d*(x[1-9]\d*)*$/.test(text) && sidesOf(text).length === patch.length &&
      sidesOf(text).every((n) => n % 16 === 0),
    `${patch.length} multiples of 16 wanted, as in ${patch.join("x")}`,
  );
}

interface Property {
  type: string;
  /** Whether a list is an option that is given several times. */
  repeated?: boolean;
  /** A letter that stands for the option, too. */
  letter?: string;
  default?: unknown;
  description?: string;
  enum?: string[];
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  maxItems?: number;
}

/**
 * The dataset's name that a task begins with, and the arguments behind it. Where there is none it tells the names and ends,
 * after `--help` alone as after every help, else with the code of wrong usage.
 */
export function parseName(task: string, [name, ...args]: string[]): { name: string; args: string[] } {
  if (name === "--help" || name === "-h") {
    const own = ownNames().map((name) => ({ name, title: "of your own" }));
    console.log(
      `Usage: deno task ${task} DATASET [options], DATASET one of\n${
        [...Object.values(DATASETS), ...own].map(({ name, title }) => `  ${name.padEnd(8)}  ${title}`).join("\n")
      }\nor a folder of your own in "${homePath("raw")}" (docs/your_own_data.md)\n` +
        `deno task ${task} ${DATASET_NAMES[0]} --help shows the options`,
    );
    Deno.exit(EXIT.done);
  }
  if (name && !nameProblem(name) && !name.startsWith("-")) return { name, args };
  const wanted = `one of ${allNames().join(", ")} wanted first`;
  console.error(visible(`Cannot start: ${name ? unknownDataset(name) : wanted}`));
  Deno.exit(EXIT.usage);
}

/**
 * What a task begins with: its dataset, and the arguments behind it. One's own is that of the run that goes on or is tested,
 * else that of the cases in --cases. It ends as {@linkcode parseName} does, where there is no such dataset too.
 */
export async function parseDataset(task: string, given: string[]): Promise<{ dataset: Dataset; args: string[] }> {
  const { name, args } = parseName(task, given),
    [run, cases] = ["--run", "--cases"].map((flag) => givenOption(args, flag));
  if (Object.hasOwn(DATASETS, name)) return { dataset: DATASETS[name], args };
  try {
    const isRunUsed = task === "eval" || args.includes("--resume");
    const config = isRunUsed ? await readRunConfigIfThere(runFolderOf(name, args)) : null;
    if (config?.plan && config.dataset === name) return { dataset: datasetOf(config, run ?? ""), args };
    const dataset = await findDatasetIfThere(name, cases && userPath(cases));
    if (dataset) return { dataset, args };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    console.error(visible(error.message));
    Deno.exit(EXIT.data);
  }
  console.error(visible(`Cannot start: ${unknownDataset(name)}`));
  Deno.exit(EXIT.usage);
}

/** The value of one option on a command line, before the others are parsed; undefined where it does not stand there. */
export function givenOption(args: readonly string[], flag: string): string | undefined {
  const at = args.findLastIndex((arg) => arg === flag || arg.startsWith(`${flag}=`));
  return at < 0 ? undefined : args[at] === flag ? args[at + 1] : args[at].slice(flag.length + 1);
}

/** The run folder that arguments name, else `runs/DATASET-METHOD`; SS-Net's where they name no method. */
export function runFolderOf(dataset: string, args: readonly string[]): string {
  const named = givenOption(args, "--run");
  return named ? userPath(named) : homePath(`runs/${dataset}-${givenOption(args, "--method") ?? "ssnet"}`);
}

/** A schema's fields as options that tell their default and do not take it: what was not given stays undefined. */
export function withoutDefaults(schema: OptionSchema): Record<string, z.ZodOptional> {
  return Object.fromEntries(
    Object.entries(schema.shape).map(([key, field]) => {
      const { def: { defaultValue }, description } = field as z.ZodDefault;
      const inner = (field as z.ZodDefault).unwrap() as z.ZodType;
      return [key, inner.optional().describe(`${description} (default: ${defaultValue})`)];
    }),
  );
}

/** An option that is a path; one that is relative begins where the user stands. */
export function pathOption() {
  return z.string().overwrite(userPath);
}

/**
 * Parses `args` by `schema` (a flat zod object with descriptions); prints help or every error and exits where it must. A
 * list of strings in the schema, one at most, takes the arguments that belong to no option; others, whose meta says
 * `repeated`, are options that can be given several times. A `letter` in an option's meta stands for it, too.
 */
export function parseOptions<S extends z.ZodObject>(
  schema: S,
  { name, description, args }: { name: string; description: string; args: string[] },
): z.infer<S> {
  tameConsole();
  const command = new Command(`deno task ${name}`).description(description).exitOverride().configureOutput({
    writeErr: (text) => console.error(text.trimEnd()),
  });
  const { properties, required } = z.toJSONSchema(schema, { io: "input" }) as unknown as {
    properties: Record<string, Property>;
    required?: string[];
  };
  for (const [key, property] of Object.entries(properties)) {
    const { type, default: value, description, enum: choices, repeated, letter } = property;
    if (type === "array" && !repeated) {
      command.argument(required?.includes(key) ? `<${key}...>` : `[${key}...]`, description);
      continue;
    }
    const flag = `${letter ? `-${letter}, ` : ""}${flagOf(key)}`,
      kind = choices ? "choice" : repeated ? "string" : type;
    const option = new Option(type === "boolean" ? flag : `${flag} <${kind}>`, description);
    if (repeated) option.argParser((text, before: string[] = []) => [...before, text]);
    // Named in the help; an unknown one is told below, with all else that is wrong.
    if (choices) option.choices(choices).argParser((text) => text);
    const isNone = Array.isArray(value) && !value.length;
    if (value !== undefined && value !== false) option.default(value, isNone ? "none" : undefined);
    if (isNumber(type)) option.argParser(numberOrText);
    if (required?.includes(key)) option.makeOptionMandatory();
    command.addOption(option);
  }
  try {
    command.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    Deno.exit(error.exitCode === 0 ? EXIT.done : EXIT.usage);
  }
  const list = Object.keys(properties).find((key) => properties[key].type === "array" && !properties[key].repeated);
  const given: Record<string, unknown> = { ...command.opts(), ...(list && { [list]: command.args }) };
  const result = schema.safeParse(given), issues = result.error?.issues ?? [];
  const problems = Object.entries(given).flatMap(([key, value]) => problemsOf(key, value, properties[key], issues));
  if (result.success && !problems.length) return result.data;
  console.error(`Cannot start ${name}:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  Deno.exit(EXIT.usage);
}

/**
 * Makes control characters in what is printed from here on stand as \xNN, since names of files and cases may hold any,
 * and what cannot be printed, as the terminal was closed, is no error.
 */
function tameConsole() {
  for (const stream of ["log", "error"] as const) {
    const print = console[stream];
    console[stream] = (...values) => {
      try {
        print(...values.map((value) => typeof value === "string" ? visible(value) : value));
      } catch {
        // Nobody is there to read it.
      }
    };
  }
}

const isNumber = (type: string) => type === "number" || type === "integer";
/** Number() takes "" for 0, and other bases. */
const numberOrText = (text: string) => /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;

/** What is wrong with the value of an option. */
function problemsOf(key: string, value: unknown, property: Property, issues: z.core.$ZodIssue[]): string[] {
  const { type, enum: choices, maxItems } = property, flag = type === "array" && !property.repeated ? key : flagOf(key);
  const wanted = isNumber(type) ? `${numberText(property)} wanted` : "a name wanted";
  if ([value].flat().includes("") && value !== property.default) return [`${flag} is empty: ${wanted}`];
  const own = issues.filter(({ path }) => path[0] === key);
  if (!own.length) return [];
  if (type === "array") return [`${flag}: ${(value as string[]).length} given, ${maxItems} at most wanted`];
  if (choices) return [`${flag}: ${unknownName("choice", String(value), choices)}`];
  if (isNumber(type)) return [`${flag} "${value}": ${wanted}`];
  return own.map(({ message }) => `${flag} "${value}": ${message}`);
}

/** "a whole number from 1 on"; of those that are not bounded upwards JavaScript's largest is no bound to tell. */
function numberText({ type, minimum, exclusiveMinimum, maximum }: Property): string {
  const kind = type === "integer" ? "a whole number" : "a number",
    isOpen = (maximum ?? Infinity) >= Number.MAX_SAFE_INTEGER;
  const least = type === "integer" && exclusiveMinimum !== undefined ? exclusiveMinimum + 1 : minimum;
  if (least === undefined) return `${kind} above ${exclusiveMinimum}${isOpen ? "" : `, ${maximum} at most`}`;
  return `${kind} from ${least} ${isOpen ? "on" : `to ${maximum}`}`;
}

/** Runs a task's body and leaves the process with its exit code; known errors are told in one message, others with their stack. */
export async function runTask(body: () => Promise<number | void>): Promise<never> {
  let code: number;
  try {
    code = await body() ?? EXIT.done;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Errors of the file system carry a code: a full disk, a read-only folder, a missing one.
    const known = error instanceof DataError || error instanceof DivergedError || error instanceof TensorFlowError ||
      error instanceof Interrupted || error instanceof Deno.errors.NotCapable ||
      error instanceof Deno.errors.WriteZero || isSystemError(error);
    const isFile = error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotADirectory;
    const isRefused = error instanceof Deno.errors.NotCapable;
    const message = isFile ? `${error.message}: a file is where a folder is wanted` : error.message;
    console.error(!known ? error : isRefused ? writeRefusal(error) : message);
    if (error instanceof Interrupted) code = EXIT.interrupted;
    else if (error instanceof DivergedError) code = EXIT.diverged;
    else if (isRefused || isFile) code = EXIT.usage;
    else if (error instanceof DataError || error instanceof Deno.errors.NotFound) code = EXIT.data;
    else code = known ? EXIT.environment : 1;
  }
  Deno.exit(code);
}
