/** Raw folders as people have them. */
import assert from "node:assert/strict";
import { DataError } from "../pipeline/files/errors.ts";
import { checkRawFolder, entriesOf, foldersIn, leftoversIn, lostLinks } from "../pipeline/datasets/raw_folder.ts";
import { linkTo } from "./symbolic_links.ts";
import { withFolder } from "./with_folder.ts";

const refused = (raw: string, message: string) =>
  assert.throws(() => checkRawFolder(raw, /^image\.nrrd$/), (error) => {
    assert.ok(error instanceof DataError);
    assert.equal(error.message, `Cannot find cases in "${raw}": ${message}`);
    return true;
  });

async function rawCase(folder: string) {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/image.nrrd`, "");
}

Deno.test("a link counts as what it leads to, also through other links; one that leads nowhere, or became a text, is told", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`;
    await rawCase(`${folder}/elsewhere/b`);
    await rawCase(`${raw}/a`);
    await linkTo({ [`${raw}/b`]: "../elsewhere/b", [`${raw}/c`]: "b", [`${raw}/d`]: "../gone" });
    await Deno.writeTextFile(`${raw}/e`, "../elsewhere/b\n");
    for (const text of ["", "../gone", "text\n".repeat(1000)]) await Deno.writeTextFile(`${raw}/f${text.length}`, text);
    assert.deepEqual(foldersIn(raw), ["a", "b", "c"]);
    assert.deepEqual(lostLinks(raw), [
      { name: "d", problem: 'a symbolic link to "../gone", which is not there' },
      {
        name: "e",
        problem: 'a file that holds the path "../elsewhere/b" instead of a symbolic link to it; make the link',
      },
    ]);
    assert.deepEqual(entriesOf(`${raw}/c`).map((f) => [f.name, f.isFile]), [["image.nrrd", true]]);
    assert.deepEqual(entriesOf(`${folder}/gone`), []);
    checkRawFolder(raw, /^image\.nrrd$/);
  }));

Deno.test("what systems and editors leave is passed over, and told by its kind", () =>
  withFolder(async (raw) => {
    await rawCase(`${raw}/a`);
    for (const name of ["__MACOSX", ".ipynb_checkpoints", ".git"]) await rawCase(`${raw}/${name}`);
    for (const name of [".DS_Store", "Thumbs.db", "._a", "._b", "notes.txt"]) {
      await Deno.writeTextFile(`${raw}/${name}`, "");
    }
    assert.deepEqual(
      entriesOf(raw).map(({ name }) => name),
      ["a", "notes.txt"],
    );
    assert.deepEqual(leftoversIn(raw), [".DS_Store", "._*", ".git", ".ipynb_checkpoints", "Thumbs.db", "__MACOSX"]);
  }));

Deno.test("a folder one level too high or too low is answered with the one that was meant", () =>
  withFolder(async (folder) => {
    for (const name of ["train ing/a", "train ing/b", "testing/c"]) await rawCase(`${folder}/${name}`);
    await Deno.mkdir(`${folder}/code`);
    refused(folder, `they lie a level deeper; give --raw ${folder}/testing or "${folder}/train ing"`);
    refused(`${folder}/testing/c`, `it is a folder in the folder of raw cases; give --raw ${folder}/testing`);
    refused(`${folder}/code`, "it has no folders, found nothing");
    refused(`${folder}/none`, "there is no such folder");
    await Deno.writeTextFile(`${folder}/code/main.py`, "");
    refused(`${folder}/code`, "it has no folders, found main.py");
    refused(`${folder}/code/main.py`, "there is no such folder");
    await Deno.mkdir(`${folder}/code/other`);
    checkRawFolder(`${folder}/code`, /^image\.nrrd$/); // its folders are told one by one
  }));
