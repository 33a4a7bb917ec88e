/**
 * Command lines from one schema: types, defaults, `--help`, errors. Unknown options are refused with the nearest name.
 * The exit codes of every task.
 * @module
 */
import { Command, CommanderError, Option } from "commander";
import { z } from "zod";
import { DataError } from "../data/cases.ts";
import { TensorFlowError } from "../tensorflow/library.ts";
import { userPath, writeRefusal } from "./places.ts";

/** Exit codes of every task. */
export const EXIT = { done: 0, usage: 2, data: 3, environment: 4, diverged: 5, interrupted: 75 } as const;

/** An option that is a path; one that is relative begins where the user stands. */
export function pathOption() {
  return z.string().overwrite(userPath);
}

/**
 * Parses `args` by `schema` (a flat zod object with descriptions); prints help or the error and exits where it must. A
 * list of strings in the schema, one at most, takes the arguments that belong to no option.
 */
export function parseOptions<S extends z.ZodObject>(
  schema: S,
  { name, description, args }: { name: string; description: string; args: string[] },
): z.infer<S> {
  const command = new Command(`deno task ${name}`).description(description).exitOverride();
  const { properties, required } = z.toJSONSchema(schema, { io: "input" }) as unknown as {
    properties: Record<string, { type: string; default?: unknown; description?: string; enum?: string[] }>;
    required?: string[];
  };
  for (const [key, { type, default: value, description, enum: choices }] of Object.entries(properties)) {
    if (type === "array") {
      command.argument(required?.includes(key) ? `<${key}...>` : `[${key}...]`, description);
      continue;
    }
    const flag = "--" + key.replace(/[A-Z]/g, (c) => "-" + c.toLowerCase());
    const option = new Option(type === "boolean" ? flag : `${flag} <${choices ? "choice" : type}>`, description);
    if (choices) option.choices(choices);
    if (value !== undefined && value !== false) option.default(value);
    if (type === "number" || type === "integer") option.argParser(Number);
    if (required?.includes(key)) option.makeOptionMandatory();
    command.addOption(option);
  }
  try {
    command.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    Deno.exit(error.exitCode === 0 ? EXIT.done : EXIT.usage);
  }
  const list = Object.keys(properties).find((key) => properties[key].type === "array");
  const result = schema.safeParse({ ...command.opts(), ...(list && { [list]: command.args }) });
  if (result.success) return result.data;
  console.error(`Cannot start ${name}:\n${z.prettifyError(result.error)}`);
  Deno.exit(EXIT.usage);
}

/** Runs a task's body and leaves the process with its exit code; known errors are told in one message, others with their stack. */
export async function runTask(body: () => Promise<number | void>): Promise<never> {
  let code: number;
  try {
    code = await body() ?? EXIT.done;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Errors of the file system carry a code: a full disk, a read-only folder, a missing one.
    const known = error instanceof DataError || error instanceof TensorFlowError ||
      error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.WriteZero || "code" in error;
    const isRefused = error instanceof Deno.errors.NotCapable;
    console.error(isRefused ? writeRefusal(error) : known ? error.message : error);
    if (isRefused) code = EXIT.usage;
    else if (error instanceof DataError || error instanceof Deno.errors.NotFound) code = EXIT.data;
    else code = known ? EXIT.environment : 1;
  }
  Deno.exit(code);
}
