/**
 * Locks of folders that several processes and machines share, without a server: `lock-1`, `lock-2`, … in the folder, of
 * which the highest number says who has it. A number is created exclusively and never used again, so two that find the same
 * dead lock cannot both take it over. On one machine the system tells whether the holder lives, since it keeps its file
 * locked; elsewhere, and where the file does not say who has it, the heartbeat does, the time when it was last touched.
 * @module
 */
import { z } from "zod";
import { named, writeAtomically } from "./atomic.ts";
import { DataError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { writeAll } from "./write_all.ts";

/** A holder touches its lock so often. */
export const HEARTBEAT_SECONDS = 30;
/** A lock untouched for longer belongs to a dead process. */
export const DEAD_AFTER_SECONDS = 600;

/** The process that took a lock; the content of its file. */
export interface Holder {
  /** Process. */
  pid: number;
  /** Machine. */
  host: string;
  /** ISO time. */
  taken: string;
  /** ISO time; null while it works. */
  released: string | null;
}
const HOLDER = z.strictObject({
  pid: z.int(),
  host: z.string(),
  taken: z.string(),
  released: z.string().nullable(),
}) satisfies z.ZodType<Holder>;

/** A taken lock; released at the end of an `await using`. */
export interface Lock extends AsyncDisposable {
  /** Its file. */
  readonly path: string;
  /** Whether another process has taken it over, as this one looked dead. */
  lost(): boolean;
}

/** Tells a lock from the holder that stands in its way. */
export type Taken = { lock: Lock } | { holder: Holder };

const UNKNOWN: Holder = { pid: 0, host: "", taken: "", released: null };
/** Higher ones are not ours: nobody takes a lock so often, and from some number on there is no next one. */
const HIGHEST = 1e9;

/** Says who has a lock, and what becomes of it when they are dead. */
export function holderText({ pid, host, taken }: Holder): string {
  const who = pid ? `process ${pid} on ${host} since ${taken}` : "a process that has not written its name";
  if (host === Deno.hostname()) return who; // the system tells when it has ended
  return `${who}; its lock is free ${DEAD_AFTER_SECONDS} s after its last sign of life`;
}

/**
 * Takes the lock of a folder, which must exist, or tells who holds it. A lock is free when it was released, when its process
 * on this machine is gone, or when it has not been touched for {@linkcode DEAD_AFTER_SECONDS}. Needs `--allow-read`,
 * `--allow-write`, `--allow-sys=hostname`.
 *
 * @param waitSeconds How long to wait for a holder. @param isStopped Asked while waiting: true ends it.
 * @param onLost Called once when another process takes the lock over. @param onWait Called before a holder is waited for.
 */
export async function takeLock(
  folder: string,
  { waitSeconds = 0, isStopped = () => false, onLost, onWait }: {
    waitSeconds?: number;
    isStopped?: () => boolean;
    onLost?: () => void;
    onWait?: (holder: Holder) => void;
  } = {},
): Promise<Taken> {
  const until = performance.now() + 1000 * waitSeconds;
  let told: Holder | null = null;
  while (true) {
    const highest = Math.max(0, ...numbers(folder));
    const holder = highest ? await livingHolder(`${folder}/lock-${highest}`) : null;
    if (!holder) {
      const lock = await create(folder, highest + 1, onLost);
      if (lock) return { lock };
    } else if (performance.now() >= until || isStopped()) return { holder };
    else {
      if (JSON.stringify(holder) !== JSON.stringify(told)) onWait?.(holder);
      told = holder;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

/**
 * Holds a folder, which must exist, while work goes on in it, and leaves no lock there. Needs the rights of
 * {@linkcode takeLock}.
 * @param told `cannot`: what is attempted, "write masks to"; `instead`: what else the user can do than wait.
 * @throws {DataError} Saying who holds it.
 */
export async function whileHeld<T>(
  folder: string,
  { cannot, instead }: { cannot: string; instead: string },
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const taken = await takeLock(folder);
  if ("holder" in taken) {
    throw new DataError(
      `Cannot ${cannot} "${folder}": it is taken by ${holderText(taken.holder)}; wait for its end, or ${instead}`,
    );
  }
  try {
    await using lock = taken.lock;
    return await work(lock);
  } finally {
    await Deno.remove(taken.lock.path).catch(() => {}); // who takes the next lock may have removed it
  }
}

const numbers = (folder: string) =>
  [...Deno.readDirSync(folder)].flatMap(({ name }) => /^lock-\d+$/.test(name) ? [Number(name.slice(5))] : [])
    .filter((number) => number < HIGHEST);

async function livingHolder(path: string): Promise<Holder | null> {
  try {
    const text = await Deno.readTextFile(path), lastBeat = (await Deno.stat(path)).mtime!.getTime();
    const isOld = Date.now() - lastBeat > 1000 * DEAD_AFTER_SECONDS;
    // A date in the future would hold for as long. Who lives touches its lock again, by its own clock.
    if (lastBeat > Date.now() + 1000 * HEARTBEAT_SECONDS) {
      await Deno.utime(path, new Date(), new Date()).catch(() => {}); // it may be another user's
    }
    if (!text.endsWith("}\n")) return isOld ? null : UNKNOWN; // created, not locked and written yet
    const holder = parseJson(text, HOLDER, { what: "the lock", path, remedy: "remove it when no process has it" });
    if (holder.released) return null;
    // Here no clock is asked: it may have jumped, or the machine have slept.
    return (holder.host === Deno.hostname() ? isLocked(path) : !isOld) ? holder : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return UNKNOWN; // who took a higher number has just removed it
    throw error;
  }
}

/** Whether the process that created the file is there; its end, however it came, unlocked the file. */
function isLocked(path: string): boolean {
  using file = Deno.openSync(path, { write: true });
  return !file.tryLockSync(false); // shared: two that ask at once do not take each other for the holder
}

/** Creates a lock; null when another process was first. */
async function create(folder: string, number: number, onLost?: () => void): Promise<Lock | null> {
  const path = `${folder}/lock-${number}`;
  const holder: Holder = { pid: Deno.pid, host: Deno.hostname(), taken: new Date().toISOString(), released: null };
  const line = () => JSON.stringify(holder) + "\n";
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return null;
    throw error;
  }
  try {
    file.lockSync(true); // before there is a text that others could judge it by
    writeAll(file, line());
  } catch (error) { // without its text the lock of nobody would hold: the disk may be full
    file.close();
    await Deno.remove(path).catch(() => {});
    throw named(error, path);
  }
  const lost = () => numbers(folder).some((n) => n > number);
  if (lost()) { // while this number was chosen, others took and freed higher ones
    file.close();
    await Deno.remove(path).catch(() => {});
    return null;
  }
  for (const older of numbers(folder).filter((n) => n < number)) {
    await Deno.remove(`${folder}/lock-${older}`).catch(() => {}); // it no longer counts
  }
  const beat = setInterval(() => {
    try {
      if (!lost()) return Deno.utimeSync(path, new Date(), new Date());
    } catch {
      return; // a shared file system may fail for a moment: the next beat tries again
    }
    clearInterval(beat);
    onLost?.();
  }, 1000 * HEARTBEAT_SECONDS);
  Deno.unrefTimer(beat);
  return {
    path,
    lost,
    async [Symbol.asyncDispose]() {
      clearInterval(beat);
      using _file = file;
      if (lost()) return;
      holder.released = new Date().toISOString();
      await writeAtomically(path, line()).catch(() => {}); // on a full disk its end frees it, elsewhere the time
    },
  };
}
