/** Locks of folders that nobody living holds, though it looks so. */
import assert from "node:assert/strict";
import { DataError } from "../pipeline/files/errors.ts";
import { DEAD_AFTER_SECONDS, type Holder, holderText, takeLock, whileHeld } from "../pipeline/files/locks.ts";
import { withFolder } from "./with_folder.ts";

const line = (host: string) => JSON.stringify({ pid: 7, host, taken: "2026-01-01T00:00:00.000Z", released: null });
const touched = (path: string, seconds: number) => {
  const then = new Date(Date.now() + 1000 * seconds);
  return Deno.utime(path, then, then);
};

Deno.test("a lock that is empty, half written or dated in the future is taken over after the stated time", () =>
  withFolder(async (folder) => {
    for (const [i, text] of ["", line("elsewhere").slice(0, 30), line("elsewhere") + "\n"].entries()) {
      const path = `${folder}/${i}`, lock = `${path}/lock-1`;
      await Deno.mkdir(path);
      await Deno.writeTextFile(lock, text);
      await touched(lock, 1e6);
      assert.ok("holder" in await takeLock(path), "it may have been made just now");
      const { mtime } = await Deno.stat(lock);
      assert.ok(Math.abs(mtime!.getTime() - Date.now()) < 60_000, "the time runs from the first look on");
      await touched(lock, -DEAD_AFTER_SECONDS - 5);
      const taken = await takeLock(path);
      assert.ok("lock" in taken, text);
      await taken.lock[Symbol.asyncDispose]();
    }
  }));

Deno.test("a file with a number that no lock ever has is no lock", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/lock-99999999999999999999`, line("elsewhere") + "\n");
    const taken = await takeLock(folder);
    assert.ok("lock" in taken);
    assert.equal(taken.lock.lost(), false);
    await taken.lock[Symbol.asyncDispose]();
  }));

Deno.test("who is waited for is told once, with the time after which the lock is free", () =>
  withFolder(async (folder) => {
    const told: Holder[] = [];
    const wait = () => takeLock(folder, { waitSeconds: 1.5, onWait: (holder) => told.push(holder) });
    await Deno.writeTextFile(`${folder}/lock-1`, line("elsewhere") + "\n");
    await wait();
    assert.deepEqual(told.map(holderText), [
      "process 7 on elsewhere since 2026-01-01T00:00:00.000Z; its lock is free 600 s after its last sign of life",
    ]);
    await Deno.writeTextFile(`${folder}/lock-1`, "");
    await takeLock(folder, { waitSeconds: 0.1, onWait: (holder) => told.push(holder) });
    assert.match(holderText(told[1]), /^a process that has not written its name; its lock is free 600 s after/);
  }));

Deno.test("here no clock decides: a living holder keeps its lock however old it looks, a dead one's is taken at any date", () =>
  withFolder(async (folder) => {
    const mine = await takeLock(folder);
    assert.ok("lock" in mine);
    for (const seconds of [-1e7, -DEAD_AFTER_SECONDS - 5, 1e6]) {
      await touched(mine.lock.path, seconds);
      const other = await takeLock(folder);
      assert.ok("holder" in other && other.holder.pid === Deno.pid, `dated ${seconds} s from now`);
    }
    await mine.lock[Symbol.asyncDispose]();
    for (const [i, seconds] of [-1e7, 0, 1e6].entries()) {
      const path = `${folder}/${i}`;
      await Deno.mkdir(path);
      await Deno.writeTextFile(`${path}/lock-3`, line(Deno.hostname()) + "\n");
      await touched(`${path}/lock-3`, seconds);
      const taken = await takeLock(path);
      assert.ok("lock" in taken, `dated ${seconds} s from now`);
      await taken.lock[Symbol.asyncDispose]();
    }
  }));

Deno.test("who holds a folder is told to the next, and nothing of it stays when it ends, well or badly", () =>
  withFolder(async (folder) => {
    const told = { cannot: "write masks to", instead: "name another" };
    const inside = () => whileHeld(folder, told, () => whileHeld(folder, told, () => Promise.resolve()));
    await assert.rejects(inside, (error) => {
      assert.ok(error instanceof DataError);
      const wanted =
        `Cannot write masks to "${folder}": it is taken by process ${Deno.pid} on ${Deno.hostname()} since `;
      assert.ok(error.message.startsWith(wanted), error.message);
      assert.match(error.message, /Z; wait for its end, or name another$/);
      return true;
    });
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    assert.equal(await whileHeld(folder, told, () => Promise.resolve(7)), 7);
  }));

Deno.test("a lock that a full disk has no room for is told with its name, and does not stay to be waited for", () =>
  withFolder(async (folder) => {
    const { writeSync } = Deno.FsFile.prototype, path = `${folder}/lock-1`;
    Deno.FsFile.prototype.writeSync = () => {
      throw new Error("File too large (os error 27)");
    };
    try {
      await assert.rejects(takeLock(folder), { message: `Cannot write "${path}": File too large (os error 27)` });
    } finally {
      Deno.FsFile.prototype.writeSync = writeSync;
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    const taken = await takeLock(folder);
    assert.ok("lock" in taken);
    await taken.lock[Symbol.asyncDispose]();
  }));
