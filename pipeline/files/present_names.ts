/** Names of fields that were others in files of earlier versions. @module */

/**
 * What was read of a file with the present names of its fields; anything but an object as it is. Where both names are
 * there the present one counts.
 *
 * @param renamed Present names by the earlier ones.
 *
 * @example A field of an earlier version
 * ```ts
 * import assert from "node:assert/strict";
 * import { withPresentNames } from "@ssnet/pipeline/files/present_names.ts";
 *
 * assert.deepEqual(withPresentNames({ deviation: 2 }, { deviation: "standardDeviation" }), { standardDeviation: 2 });
 * ```
 */
export function withPresentNames<T>(content: T, renamed: Record<string, string>): T {
  if (typeof content !== "object" || content === null || Array.isArray(content)) return content;
  const isOlder = (name: string) => Object.hasOwn(renamed, name);
  const fields = Object.entries(content).filter(([name]) => !isOlder(name) || !Object.hasOwn(content, renamed[name]));
  return Object.fromEntries(fields.map(([name, value]) => [isOlder(name) ? renamed[name] : name, value])) as T;
}
