/** The log of a run, `metrics.jsonl`: one JSON object a line and iteration. @module */
import { z } from "zod";
import { DataError } from "../data/data_error.ts";

/** One line: the iteration and named numbers; null is a number that was none (NaN, infinity). */
export type LogRow = { iteration: number } & Record<string, number | null>;

const ROW = z.object({ iteration: z.number() }).catchall(z.number().nullable());

/**
 * All rows of a log, none where there is no file; a last line that a crash cut off is left out. Needs `--allow-read`.
 * @throws {DataError} Naming every other line that is no row.
 */
export async function readLog(path: string): Promise<LogRow[]> {
  return (await readLines(path)).map(({ row }) => row);
}

/** As {@linkcode readLog}, each row with its line. */
async function readLines(path: string): Promise<{ row: LogRow; line: string }[]> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const lines = text.split("\n").slice(0, -1), found: { row: LogRow; line: string }[] = [], broken: number[] = [];
  for (const [i, line] of lines.entries()) {
    const row = rowOf(line);
    if (row) found.push({ row, line });
    else broken.push(i + 1);
  }
  if (!broken.length) return found;
  throw new DataError(
    `Cannot read the log "${path}": line ${broken.join(", ")}: no JSON object of an iteration and numbers; remove ` +
      `${broken.length === 1 ? "this line" : "these lines"}`,
  );
}

function rowOf(line: string): LogRow | null {
  try {
    return ROW.parse(JSON.parse(line)) as LogRow;
  } catch {
    return null;
  }
}

/**
 * Opens a log to append to, without what stands in it behind an iteration: after a crash the log may be ahead of the
 * checkpoint that a run goes on from. The file stays locked while it is open. Needs `--allow-read`, `--allow-write`.
 * @throws {DataError} When another process has it open: two would mix their rows, and overwrite each other's checkpoints.
 */
export async function openLog(path: string, iteration: number): Promise<{ write(row: LogRow): void } & Disposable> {
  const encoder = new TextEncoder();
  const file = await Deno.open(path, { write: true, create: true });
  if (!await file.tryLock(true)) {
    file.close();
    throw new DataError(`Cannot write "${path}": another process is writing it; let that one end first`);
  }
  const kept = iteration === 0 ? [] : (await readLines(path)).filter(({ row }) => row.iteration <= iteration);
  // Rows stand in the order of their iterations: the file is cut, and not written anew.
  await file.truncate(encoder.encode(kept.map(({ line }) => line + "\n").join("")).length);
  await file.seek(0, Deno.SeekMode.End);
  const write = (row: LogRow) => {
    const bytes = encoder.encode(JSON.stringify(row) + "\n");
    for (let n = 0; n < bytes.length;) n += file.writeSync(bytes.subarray(n));
  };
  return { write, [Symbol.dispose]: () => file.close() };
}
