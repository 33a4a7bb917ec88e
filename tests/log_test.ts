/** The log of a run: what a crash, an editor or another process does to it. */
import assert from "node:assert/strict";
import { type LogRow, missingIterations, openLog, readLog, writerOf } from "../pipeline/files/log.ts";
import { withFolder } from "./with_folder.ts";

const rows = (...iterations: number[]): LogRow[] => iterations.map((iteration) => ({ iteration }));
const text = (rows: object[]) => rows.map((row) => JSON.stringify(row) + "\n").join("");

Deno.test("a gap is named, at the beginning, within and at the end", () => {
  assert.equal(missingIterations(rows(1, 2, 3)), "");
  assert.equal(missingIterations([]), "");
  assert.equal(missingIterations(rows(3, 4, 4, 6, 9), 12), "1 to 2, 5, 7 to 8, 10 to 12");
});

Deno.test("what follows an iteration is cut off where it begins, in whatever order the rows stand", () =>
  withFolder(async (folder) => {
    const path = `${folder}/metrics.jsonl`;
    await Deno.writeTextFile(path, text(rows(1, 2, 5, 3, 4)) + '{"iteration": 6, "to');
    {
      using log = await openLog(path, 4);
      assert.deepEqual(log.rows, rows(1, 2));
      log.write({ iteration: 5, total: 0.5 });
      await log.sync();
    }
    assert.deepEqual(await readLog(path), [...rows(1, 2), { iteration: 5, total: 0.5 }]);
  }));

Deno.test("a bit that flips in a log is noticed, wherever it lies; lines of earlier versions are read", () =>
  withFolder(async (folder) => {
    const path = `${folder}/metrics.jsonl`, written = { iteration: 1, total: 0.5, skipped: 1 };
    {
      using log = await openLog(path, 0);
      log.write(written);
      log.write({ iteration: 2, total: null });
    }
    const good = await Deno.readFile(path), rows = await readLog(path);
    assert.deepEqual(rows, [written, { iteration: 2, total: null }]);
    const first = good.indexOf(10); // behind it the end of the second line would cut it off
    for (let bit = 0; bit < 8 * first; bit++) {
      const bytes = good.slice();
      bytes[bit >> 3] ^= 1 << (bit & 7);
      await Deno.writeFile(path, bytes);
      await assert.rejects(readLog(path), /Cannot read the log ".*": line 1: /, `bit ${bit}`);
    }
    await Deno.writeTextFile(
      path,
      new TextDecoder().decode(good).replace("0.5", "0.6") + text([{ iteration: 3 }]) + "-\n",
    );
    await assert.rejects(
      readLog(path),
      /line 4: no JSON object of an iteration and numbers; line 1, 3: not what was written, by crc32; remove these lines/,
    );
    const earlier = [{ iteration: 1, total: 0.5 }, { iteration: 2, total: 0.25 }];
    await Deno.writeTextFile(path, text(earlier));
    assert.deepEqual(await readLog(path), earlier);
    {
      using log = await openLog(path, 1); // it goes on without
      log.write({ iteration: 2, total: 0.125 });
    }
    assert.equal(await Deno.readTextFile(path), text([earlier[0], { iteration: 2, total: 0.125 }]));
  }));

Deno.test("who writes a log is known while it is open, and nothing of it is left behind", () =>
  withFolder(async (folder) => {
    const path = `${folder}/metrics.jsonl`;
    assert.equal(await writerOf(path), null);
    {
      using log = await openLog(path, 0);
      log.write({ iteration: 1, total: 0.5 });
      const other = new Deno.Command(Deno.execPath(), {
        args: [
          "eval",
          `import { openLog, writerOf } from "${new URL("../pipeline/files/log.ts", import.meta.url)}";
          await openLog("${path}", 0).catch((error) => console.log(error.message));
          console.log(await writerOf("${path}"));`,
        ],
      });
      const said = new TextDecoder().decode((await other.output()).stdout).trim().split("\n");
      assert.deepEqual(said, [
        `Cannot write "${path}": process ${Deno.pid} is writing it; let that one end first`,
        `process ${Deno.pid}`,
      ]);
    }
    assert.deepEqual(await readLog(path), [{ iteration: 1, total: 0.5 }]);
    assert.equal(await writerOf(path), null);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["metrics.jsonl"]);
  }));

Deno.test("numbers that no training has are no rows: their sums would be infinite", () =>
  withFolder(async (folder) => {
    const path = `${folder}/metrics.jsonl`;
    await Deno.writeTextFile(path, text([{ iteration: 1, total: 1e308 }, { iteration: -1 }, { iteration: 2.5 }]));
    await assert.rejects(readLog(path), /line 1, 2, 3: no JSON object of an iteration and numbers/);
  }));
