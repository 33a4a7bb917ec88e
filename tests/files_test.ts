/** Files and folders that are whole or not there, and what is left of processes that were killed while they wrote. */
import assert from "node:assert/strict";
import { removeLeftovers, replaceFolder, writeAtomically, writeJson, writeTogether } from "../pipeline/files/atomic.ts";
import { isSystemError } from "../pipeline/files/errors.ts";
import { withFolder } from "./with_folder.ts";

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const bytes = (text: string) => [new TextEncoder().encode(text)];
function* failing() {
  yield* bytes("half");
  throw new Error("on the way");
}

Deno.test("writeTogether() puts no file in its place before all are written, and leaves nothing of a failure", () =>
  withFolder(async (folder) => {
    const [a, b] = [`${folder}/a`, `${folder}/b`];
    await writeTogether([{ path: a, content: "old a" }, { path: b, content: bytes("old b") }]);
    const again = writeTogether([{ path: a, content: bytes("new a") }, { path: b, content: failing() }]);
    await assert.rejects(again, /^Error: on the way$/);
    assert.deepEqual([namesIn(folder), await Deno.readTextFile(a)], [["a", "b"], "old a"]);
  }));

Deno.test("writers remove what killed processes left of the same file, and nothing that a living one writes", () =>
  withFolder(async (folder) => {
    const path = `${folder}/state.json`, run = `${folder}/run`;
    for (const name of ["state.json.12.part", "state.json.13.part", "other.json.12.part", "state.json.x.part"]) {
      await Deno.writeTextFile(`${folder}/${name}`, "half");
    }
    for (const name of ["run.12.part", "run.13.part"]) await Deno.mkdir(`${folder}/${name}/deep`, { recursive: true });
    const living = ["state.json.13.part", "run.13.part"];
    using open = new DisposableStack();
    for (const name of living) open.use(Deno.openSync(`${folder}/${name}`)).lockSync(false);
    await writeJson(path, 1);
    await replaceFolder(run, async (temporary) => await Deno.writeTextFile(`${temporary}/x`, "whole"));
    const kept = ["other.json.12.part", "run", ...living, "state.json", "state.json.x.part"];
    assert.deepEqual(namesIn(folder), kept.sort());
  }));

Deno.test("replaceFolder() puts back what a killed process had moved aside, before it fails itself", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/run.12.old.part`);
    await Deno.writeTextFile(`${folder}/run.12.old.part/x`, "whole");
    await assert.rejects(replaceFolder(`${folder}/run`, () => Promise.reject(new Error("full"))), /full/);
    assert.deepEqual([namesIn(folder), namesIn(`${folder}/run`)], [["run"], ["x"]]);
  }));

Deno.test("while a file or folder is written, a second writer in another process leaves its temporary one alone", () =>
  withFolder(async (folder) => {
    const path = `${folder}/run`;
    await replaceFolder(path, async (temporary) => {
      using folder = Deno.openSync(temporary);
      assert.equal(folder.tryLockSync(true), false);
      await writeAtomically(
        `${temporary}/x`,
        function* () {
          using file = Deno.openSync(`${temporary}/x.${Deno.pid}.part`, { write: true });
          assert.equal(file.tryLockSync(true), false);
          yield* bytes("whole");
        }(),
      );
    });
    assert.deepEqual(namesIn(path), ["x"]);
  }));

Deno.test("a full disk and a quota are told with the file's name, which the system's error lacks", () =>
  withFolder(async (folder) => {
    const path = `${folder}/x`, full = new Error("No space left on device (os error 28)");
    const quota = new Error("Disk quota exceeded (os error 122)"); // Deno gives it no code
    for (const error of [Object.assign(full, { code: "ENOSPC" }), quota]) {
      const { message } = error,
        content = function* () {
          yield* bytes("half");
          throw error;
        };
      await assert.rejects(writeAtomically(path, content()), { message: `Cannot write "${path}": ${message}` });
      assert.ok(isSystemError(error));
      assert.deepEqual(namesIn(folder), []);
    }
    assert.equal(isSystemError(new Error("on the way")), false);
  }));

Deno.test("a temporary file that is put in its place while it is looked at is no leftover, nor is the next one of its name", () =>
  withFolder((folder) => {
    const path = `${folder}/file`, temporary = `${path}.${Deno.pid}.part`, { openSync } = Deno;
    Deno.writeTextFileSync(temporary, "first");
    // Its process renames it behind our back, is no longer holding it, and has begun the next one.
    Deno.openSync = (of, options) => {
      const file = openSync(of, options);
      Deno.renameSync(temporary, path);
      Deno.writeTextFileSync(temporary, "second");
      return file;
    };
    try {
      removeLeftovers(path);
    } finally {
      Deno.openSync = openSync;
    }
    assert.deepEqual([path, temporary].map((one) => Deno.readTextFileSync(one)), ["first", "second"]);
    removeLeftovers(path);
    assert.deepEqual(namesIn(folder), ["file"]);
    return Promise.resolve();
  }));

Deno.test("processes that write the same place at once never take one another's temporary files for leftovers", () =>
  withFolder(async (folder) => {
    const code = `import { claimTemporaryFolder, writeAtomically } from "${new URL(
      "../pipeline/files/atomic.ts",
      import.meta.url,
    )}";
      for (let i = 0; i < 500; i++) {
        {
          using claimed = claimTemporaryFolder(${JSON.stringify(`${folder}/x`)});
          Deno.mkdirSync(claimed.path + "/archive");
          Deno.removeSync(claimed.path, { recursive: true });
        }
        await writeAtomically(${JSON.stringify(`${folder}/file`)}, "whole");
      }`;
    const ends = await Promise.all(
      [1, 2, 3].map(() => new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output()),
    );
    for (const { success, stderr } of ends) assert.ok(success, new TextDecoder().decode(stderr));
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["file"]);
  }));
