/**
 * Every entry of ../shared/cases (or SSNET_CASES) does what its row in the README there asks for: files that went wrong
 * once, by their numbers.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { cinePatients, prepareCine } from "../pipeline/data/cardiac_cine.ts";
import type { Manifest } from "../pipeline/data/cases.ts";
import { duplicatesBetween } from "../pipeline/data/duplicates.ts";
import { prepareLeftAtrium } from "../pipeline/data/left_atria.ts";
import { checkRawFolder, foldersIn, leftoversIn, lostLinks } from "../pipeline/data/raw_folder.ts";
import { drawnLists, parseList } from "../pipeline/data/splits.ts";
import { linkTo } from "./symbolic_links.ts";
import { withFolder } from "./with_folder.ts";

const CASES = Deno.env.get("SSNET_CASES") ?? fileURLToPath(new URL("../../shared/cases", import.meta.url));
const entries = isFolder(CASES) ? [...Deno.readDirSync(CASES)].map((f) => f.name) : [];
if (!entries.length) console.log(`skipped: there is no "${CASES}" (SSNET_CASES names another)`);

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** A test of the entry whose name begins with `number`; left out where the entry is not there. */
function entry(number: string, wanted: string, body: (path: string) => void | Promise<void>) {
  const name = entries.find((name) => name.startsWith(`${number}_`));
  Deno.test({ name: `case ${number}: ${wanted}`, ignore: !name, fn: () => body(`${CASES}/${name}`) });
}

entry("09", "folders behind symbolic links are cases", (path) =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, links: Record<string, string> = {};
    await Deno.mkdir(raw);
    // Where the entry came by a way that knows no links, a link became the text of its path.
    for (const name of foldersIn(`${path}/raw`)) links[`${raw}/${name}`] = Deno.realPathSync(`${path}/raw/${name}`);
    const lost = lostLinks(`${path}/raw`).map(({ name }) => name);
    for (const name of lost) links[`${raw}/${name}`] = Deno.realPathSync(`${path}/target/${name}`);
    await linkTo(links);
    const cases = await Promise.all(cinePatients(raw).map((name) => prepareCine(raw, name, { nominalSpacing: false })));
    assert.equal(cases.flatMap((found) => "problems" in found ? [] : found).length, 4);
  }));

entry("11", "folders that programs left are passed over and told", (path) => {
  checkRawFolder(path, /^Info\.cfg$/);
  assert.deepEqual(cinePatients(path), ["patient001"]);
  assert.deepEqual(leftoversIn(path), [".ipynb_checkpoints", "__MACOSX"]);
});

entry("12", "one case under two names is refused by the split", async (path) => {
  const options = { crop: "published", seed: 1, spacing: "header", nominalSpacing: false } as const;
  const cases: Manifest["cases"] = {};
  for (const name of foldersIn(path)) {
    const found = await prepareLeftAtrium(path, name, options);
    assert.ok("fingerprint" in found);
    cases[name] = found.fingerprint;
  }
  const lists = drawnLists({ cases, unit: "case", labeled: 1, validation: 0, test: 1, seed: 1337 });
  const [image, label] = duplicatesBetween(lists, cases);
  assert.match(image, /^the same image: C[02] \(\w+\), C[02] \(\w+\)$/);
  assert.match(label, /^the same label: C\d \(\w+\), C\d \(\w+\), C\d \(\w+\)$/);
});

entry("17", "lists with CRLF are those with LF", async (path) => {
  for (const { name } of Deno.readDirSync(path)) {
    const ours = await Deno.readTextFile(new URL(`../data/splits/${name}`, import.meta.url));
    const theirs = await Deno.readTextFile(`${path}/${name}`);
    assert.ok(theirs.includes("\r\n"));
    assert.deepEqual(parseList(theirs), parseList(ours));
  }
});
