/** Names of cases, patients, classes and runs: they become names of files, keys of objects and lines on a terminal. @module */
import { z } from "zod";

/** Why a text cannot be such a name; null when it can. */
export function nameProblem(name: string): string | null {
  if (!name) return "a name is empty";
  const shown = JSON.stringify(name.slice(0, 80));
  if (name === "__proto__") return `${shown} cannot be a name`;
  const isUnsafe = /[/\\\p{Cc}\u2028\u2029]|\.\./u.test(name);
  return isUnsafe ? `${shown} cannot be a name: it has a slash, a backslash, ".." or a control character` : null;
}

/** A name that is none of {@linkcode nameProblem}'s. */
export const NAME: z.ZodType<string> = z.string().superRefine((name, context) => {
  const message = nameProblem(name);
  if (message) context.addIssue({ code: "custom", message });
});
