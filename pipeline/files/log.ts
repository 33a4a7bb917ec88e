/**
 * The log of a run, `metrics.jsonl`: one JSON object a line and iteration. The last number of a line, `crc32`, is the CRC-32
 * of the line without it, so that no digit of a curve changes unseen. Either all lines have it or, of an earlier version's log, none.
 * @module
 */
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { z } from "zod";
import { DataError } from "./errors.ts";
import { named } from "./atomic.ts";
import { withPresentNames } from "./present_names.ts";
import { listed } from "./words.ts";
import { writeAll } from "./write_all.ts";

/** One line: the iteration and named numbers; null is a number that was none (NaN, infinity). */
export type LogRow = { iteration: number } & Record<string, number | null>;

/** What TensorFlow computes with has no larger number; sums of such numbers are finite. */
const FLOAT32_MAX = 3.4028234663852886e38;
const ROW = z.object({ iteration: z.int().nonnegative() })
  .catchall(z.number().min(-FLOAT32_MAX).max(FLOAT32_MAX).nullable());

const CHECKSUM = "crc32", SEALED = new RegExp(`^(.+),"${CHECKSUM}":(\\d+)}$`);

/** A row as its line, with its checksum. */
function sealed(row: LogRow): string {
  const line = JSON.stringify(row);
  return `${line.slice(0, -1)},"${CHECKSUM}":${crc32(line)}}`;
}

/** A line without its checksum; null when it has none, or another. */
function unsealed(line: string): string | null {
  const [, before, checksum] = SEALED.exec(line) ?? [], content = `${before}}`;
  return before !== undefined && crc32(content) === Number(checksum) ? content : null;
}

/**
 * All rows of a log, none where there is no file; a last line that a crash cut off is left out. Needs `--allow-read`.
 * @throws {DataError} Naming every other line that is no row, or another one than was written.
 */
export async function readLog(path: string): Promise<LogRow[]> {
  return (await readLines(path)).found.map(({ row }) => row);
}

/** Reads as {@linkcode readLog}, each row with its line, and says whether they have checksums: all of a log, or none. */
async function readLines(path: string): Promise<{ found: { row: LogRow; line: string }[]; isSealed: boolean }> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { found: [], isSealed: true };
    throw error;
  }
  const lines = text.split("\n").slice(0, -1), found: { row: LogRow; line: string }[] = [];
  const isSealed = !lines.length || text.includes(`"${CHECKSUM}":`);
  const broken: string[] = [], changed: string[] = [];
  for (const [i, line] of lines.entries()) {
    const content = isSealed ? unsealed(line) : line, row = content && rowOf(content);
    if (row) found.push({ row, line });
    else (rowOf(line) ? changed : broken).push(`${i + 1}`);
  }
  const count = broken.length + changed.length;
  if (!count) return { found, isSealed };
  const problems = [
    ...broken.length ? [`line ${listed(broken)}: no JSON object of an iteration and numbers`] : [],
    ...changed.length ? [`line ${listed(changed)}: not what was written, by ${CHECKSUM}`] : [],
  ];
  throw new DataError(
    `Cannot read the log "${path}": ${problems.join("; ")}; remove ${count === 1 ? "this line" : "these lines"}`,
  );
}

function rowOf(line: string): LogRow | null {
  try {
    return withPresentNames(ROW.parse(JSON.parse(line)) as LogRow, { rate: "learning_rate" }); // up to 0.2
  } catch {
    return null;
  }
}

/** The iterations that a log lacks up to its last one, "3, 7 to 9"; empty where it has all. @param last If there are more. */
export function missingIterations(
  rows: readonly LogRow[],
  last = Math.max(0, ...rows.map((row) => row.iteration)),
): string {
  const here = [...new Set(rows.map(({ iteration }) => iteration)), last + 1].sort((a, b) => a - b),
    gaps: string[] = [];
  let wanted = 1;
  for (const iteration of here) {
    if (iteration > wanted) gaps.push(iteration - 1 === wanted ? `${wanted}` : `${wanted} to ${iteration - 1}`);
    wanted = iteration + 1;
  }
  return listed(gaps);
}

/**
 * How many steps up to an iteration were computed and not taken, as not all in them was finite: their rows say `skipped`.
 */
export function skippedSteps(rows: readonly LogRow[], last: number): number {
  return new Set(rows.filter(({ iteration, skipped }) => skipped && iteration <= last).map((row) => row.iteration))
    .size;
}

/** A log that is open to append to. */
export interface Log extends Disposable {
  /** What stood in it when it was opened. */
  rows: readonly LogRow[];
  /** Appends a row. */
  write(row: LogRow): void;
  /** Returns when all rows are on the disk: before a checkpoint that was written behind them. */
  sync(): Promise<void>;
}

/** The file in which who has a log open writes its process. */
const writerFile = (path: string) => `${path}.pid`;

/** The process that has a log open, for readers; null where none has. Needs `--allow-read`, `--allow-write`. */
export async function writerOf(path: string): Promise<string | null> {
  try {
    using file = await Deno.open(path, { write: true });
    if (await file.tryLock(true)) return null;
    const pid = await Deno.readTextFile(writerFile(path)).catch(() => ""); // it is written after the lock was taken
    return pid ? `process ${pid.trim()}` : "another process";
  } catch (error) {
    // What is no file nobody writes; the training says what is wrong with it.
    if (error instanceof Deno.errors.NotFound || (error as { code?: string }).code === "EISDIR") return null;
    throw error;
  }
}

/**
 * Opens a log to append to, without what stands in it behind an iteration: after a crash the log may be ahead of the
 * checkpoint that a run goes on from. The file stays locked while it is open. Needs `--allow-read`, `--allow-write`.
 * @throws {DataError} When another process has it open: two would mix their rows, and overwrite each other's checkpoints.
 */
export async function openLog(path: string, iteration: number): Promise<Log> {
  const file = await Deno.open(path, { write: true, create: true });
  if (!await file.tryLock(true)) {
    file.close();
    throw new DataError(
      `Cannot write "${path}": ${await writerOf(path) ?? "another process"} is writing it; let that one end first`,
    );
  }
  const kept: { row: LogRow; line: string }[] = [];
  let isSealed = true;
  try {
    const before = iteration === 0 ? { found: [], isSealed } : await readLines(path);
    isSealed = before.isSealed; // an earlier version's goes on as it is
    for (const one of before.found) {
      if (one.row.iteration > iteration) break;
      kept.push(one);
    }
    // Rows stand in the order of their iterations: the file is cut, and not written anew.
    await file.truncate(Buffer.byteLength(kept.map(({ line }) => line + "\n").join("")));
    await file.seek(0, Deno.SeekMode.End);
    await Deno.writeTextFile(writerFile(path), `${Deno.pid}\n`);
  } catch (error) {
    file.close();
    throw error;
  }
  return {
    rows: kept.map(({ row }) => row),
    write(row) {
      try {
        writeAll(file, (isSealed ? sealed(row) : JSON.stringify(row)) + "\n");
      } catch (error) {
        throw named(error, path);
      }
    },
    sync: () => file.sync(),
    [Symbol.dispose]() {
      file.close();
      try {
        Deno.removeSync(writerFile(path));
      } catch {
        // The folder may be gone: nothing is left to remove.
      }
    },
  };
}
