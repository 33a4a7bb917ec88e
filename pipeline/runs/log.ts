/** The log of a run, `metrics.jsonl`: one JSON object a line and iteration. @module */

import { DataError } from "../data/cases.ts";

/** One line: the iteration and named numbers. */
export type LogRow = { iteration: number } & Record<string, number>;

/** All whole lines of a log; a last line that a crash cut off is left out. Needs `--allow-read`. */
export async function readLog(path: string): Promise<LogRow[]> {
  const lines = (await Deno.readTextFile(path)).split("\n").slice(0, -1);
  return lines.filter((line) => line.endsWith("}")).map((line) => JSON.parse(line));
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
  const rows = iteration === 0 ? [] : (await readLog(path)).filter((row) => row.iteration <= iteration);
  await file.truncate();
  const write = (row: LogRow) => {
    const bytes = encoder.encode(JSON.stringify(row) + "\n");
    for (let n = 0; n < bytes.length;) n += file.writeSync(bytes.subarray(n));
  };
  rows.forEach(write);
  return { write, [Symbol.dispose]: () => file.close() };
}
