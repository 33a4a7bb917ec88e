/** Split files: case names under `labeled`, `unlabeled`, `validation`, `test`; no case stands twice. @module */
import { z } from "zod";
import { DataError } from "./cases.ts";

const SPLIT = z.strictObject({
  profile: z.string(),
  source: z.string().describe("published list, or seed"),
  labeled: z.array(z.string()).min(1),
  unlabeled: z.array(z.string()),
  validation: z.array(z.string()),
  test: z.array(z.string()),
});
/** Who is trained on, with and without labels, and who is tested. */
export type Split = z.infer<typeof SPLIT>;

/** Refuses a case that stands twice. @throws {DataError} Naming every such case. */
export function checkSplit(split: Split, source: string): Split {
  const all = [...split.labeled, ...split.unlabeled, ...split.validation, ...split.test];
  const twice = [...new Set(all.filter((name, i) => all.indexOf(name) !== i))];
  if (twice.length) {
    throw new DataError(`Cannot use the split "${source}": these cases stand in it twice: ${twice.join(", ")}`);
  }
  return split;
}

/** Reads a split. Needs `--allow-read`. @throws {DataError} When it is missing, no JSON, or not of the form above. */
export async function readSplit(path: string): Promise<Split> {
  let content: unknown;
  try {
    content = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    throw new DataError(
      `Cannot read the split "${path}": ${(error as Error).message}; write one with deno task split:la`,
    );
  }
  const result = SPLIT.safeParse(content);
  if (!result.success) throw new DataError(`Cannot read the split "${path}":\n${z.prettifyError(result.error)}`);
  return checkSplit(result.data, path);
}
