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
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const lines = text.split("\n").slice(0, -1), rows: LogRow[] = [], broken: number[] = [];
  for (const [i, line] of lines.entries()) {
    const row = rowOf(line);
    if (row) rows.push(row);
    else broken.push(i + 1);
  }
  if (!broken.length) return rows;
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

/** Bytes of the rows up to an iteration; rows stand in its order. */
async function lengthUpTo(path: string, iteration: number): Promise<number> {
  const kept = (await readLog(path)).filter((row) => row.iteration <= iteration).length;
  const bytes = await Deno.readFile(path);
  let end = 0;
  for (let n = 0; n < kept; n++) end = bytes.indexOf(10, end) + 1;
  return end;
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
  await file.truncate(iteration === 0 ? 0 : await lengthUpTo(path, iteration));
  await file.seek(0, Deno.SeekMode.End);
  const write = (row: LogRow) => {
    const bytes = encoder.encode(JSON.stringify(row) + "\n");
    for (let n = 0; n < bytes.length;) n += file.writeSync(bytes.subarray(n));
  };
  return { write, [Symbol.dispose]: () => file.close() };
}
