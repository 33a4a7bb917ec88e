/** What is said of JSON files and logs that are missing, broken, or hold something else. */
import assert from "node:assert/strict";
import { z } from "zod";
import { readJson, readJsonIfThere, recordText, writeRecord } from "../pipeline/files/json.ts";
import { takeLock } from "../pipeline/files/locks.ts";
import { readLog } from "../pipeline/files/log.ts";
import { withFolder } from "./with_folder.ts";
import { DataError } from "../pipeline/files/errors.ts";

const SCHEMA = z.strictObject({ name: z.string(), rows: z.array(z.int()) });
const FILE = { what: "the list", remedy: "write it anew" };
const refuses = (promise: Promise<unknown>, message: string) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof DataError, String(error));
    assert.equal(error.message, message);
    return true;
  });

Deno.test("a JSON file is read by its schema; what is wrong with it, and what to do, is said in the same words", () =>
  withFolder(async (folder) => {
    const path = `${folder}/list.json`, read = () => readJson(path, SCHEMA, FILE);
    await refuses(read(), `Cannot read the list "${path}": there is no such file; write it anew`);
    assert.equal(await readJsonIfThere(path, SCHEMA, FILE), null);
    await Deno.writeTextFile(path, `{"name": "a", "rows": [1, 2]}`);
    assert.deepEqual(await read(), { name: "a", rows: [1, 2] });
    assert.deepEqual(await readJsonIfThere(path, SCHEMA, FILE), { name: "a", rows: [1, 2] });
    await refuses(
      readJson(`${path}/deeper.json`, SCHEMA, FILE),
      `Cannot read the list "${path}/deeper.json": there is no such file; write it anew`,
    );
    for (const name of ["b", "a"]) await Deno.mkdir(`${folder}/deep/${name}`, { recursive: true });
    for (const name of ["a", "b"]) await Deno.writeTextFile(`${folder}/deep/${name}/list.json`, "");
    await refuses(
      readJson(`${folder}/deep/list.json`, SCHEMA, FILE),
      `Cannot read the list "${folder}/deep/list.json": there is no such file, but "${path}", "${folder}/deep/a/list.json", ` +
        `"${folder}/deep/b/list.json"; write it anew`,
    );
    await Deno.writeTextFile(path, `{"name": "a"`);
    const broken = /^Cannot read the list ".*": it is no JSON: .* position 12.*; write it anew$/;
    for (const reading of [read(), readJsonIfThere(path, SCHEMA, FILE)]) {
      await assert.rejects(reading, (error) => error instanceof DataError && broken.test(error.message));
    }
    await Deno.writeTextFile(path, `{"name": "a", "rows": [], "__proto__": {}}`);
    await assert.rejects(read(), /it is no JSON: "__proto__" cannot be a key; write it anew$/);
    await Deno.writeTextFile(path, `{"name": 1, "rows": [1.5], "more": 0}`);
    await assert.rejects(read(), (error) => {
      assert.ok(error instanceof DataError);
      assert.match(error.message, /^Cannot read the list ".*": it is not as wanted:\n[^]*\nwrite it anew$/);
      for (const said of ["→ at name", "→ at rows[0]", `"more"`]) assert.ok(error.message.includes(said), said);
      return true;
    });
  }));

Deno.test("a log is read up to a line that a crash cut off; all other lines that are no row are named", () =>
  withFolder(async (folder) => {
    const path = `${folder}/metrics.jsonl`;
    assert.deepEqual(await readLog(path), []);
    await Deno.writeTextFile(path, `{"iteration": 1, "total": 0.5}\n{"iteration": 2, "total": null}\n{"iteration": 3}`);
    assert.deepEqual(await readLog(path), [{ iteration: 1, total: 0.5 }, { iteration: 2, total: null }]);
    await Deno.writeTextFile(
      path,
      `{"iteration": 1}\n{"iter\n{"total": 1}\n{"iteration": 2}\n{"iteration": 3, "note": "x"}\n`,
    );
    await refuses(
      readLog(path),
      `Cannot read the log "${path}": line 2, 3, 5: no JSON object of an iteration and numbers; remove these lines`,
    );
  }));

Deno.test("a lock that does not say who has it is no lock to wait for: it is named", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/lock-1`, `{"pid": 1}\n`);
    await assert.rejects(takeLock(folder), (error) => {
      assert.ok(error instanceof DataError, String(error));
      assert.match(
        error.message,
        /^Cannot read the lock ".*lock-1": it is not as wanted:[^]*→ at host[^]*remove it when/,
      );
      return true;
    });
  }));

Deno.test("a bit that flips in a record is refused or changes nothing; without a checksum it is a file by hand", () =>
  withFolder(async (folder) => {
    const path = `${folder}/list.json`,
      record = { name: "a", rows: [1, 20] },
      read = () => readJson(path, SCHEMA, FILE);
    await writeRecord(path, record);
    assert.deepEqual(await read(), record);
    const good = await Deno.readFile(path);
    assert.equal(new TextDecoder().decode(good), recordText(record));
    for (let bit = 0; bit < 8 * good.length; bit++) {
      const bad = good.slice();
      bad[bit >> 3] ^= 1 << (bit & 7);
      await Deno.writeFile(path, bad);
      try {
        assert.deepEqual(await read(), record, `bit ${bit}`); // a blank that is another one
      } catch (error) {
        assert.ok(error instanceof DataError && error.message.includes(path), `bit ${bit}: ${error}`);
      }
    }
    await Deno.writeTextFile(path, recordText(record).replace("20", "21"));
    await refuses(
      read(),
      `Cannot read the list "${path}": its checksum is another: it was changed after it was written; restore it, or, where ` +
        'the change is meant, take "checksum" out of it',
    );
    await Deno.writeTextFile(path, JSON.stringify({ ...record, rows: [1, 21] }));
    assert.deepEqual(await read(), { name: "a", rows: [1, 21] });
  }));
