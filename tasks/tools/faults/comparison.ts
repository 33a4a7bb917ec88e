/** What a folder says, whenever it was written: all its files, without times, dates and its own place. @module */
import { sha256 } from "../../../pipeline/files/hash.ts";
import { readHdf5 } from "../../../pipeline/files/hdf5.ts";

/**
 * What differs from run to run in a record: seconds and dates, the commit that wrote it, the checksums over all of it.
 */
const TIMES = ["seconds", "taken", "released", "pid", "commit", "checksum", "crc32"];

/** Files by name, each with what it says. Locks that were given back count as one. */
export async function contentOf(folder: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  const walk = async (under: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${under}`)) {
      const path = under ? `${under}/${name}` : name;
      if (isDirectory) await walk(path);
      else content[path.replace(/lock-\d+$/, "lock")] = await saidBy(`${folder}/${path}`, folder);
    }
  };
  await walk("");
  return content;
}

async function saidBy(path: string, folder: string): Promise<string> {
  if (path.endsWith(".h5")) { // its library dates what it writes
    const { arrays, attributes } = await readHdf5(path);
    const hashes = Object.entries(arrays).map(([name, { shape, data }]) => [
      ...[name, shape],
      sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    ]);
    return JSON.stringify([hashes.sort(), Object.entries(attributes).sort()]).replaceAll(folder, ".");
  }
  const bytes = Deno.readFileSync(path), text = () => new TextDecoder().decode(bytes).replaceAll(folder, ".");
  if (/\.json$|\/lock-\d+$/.test(path)) return withoutTimes(text());
  if (path.endsWith(".jsonl")) return text().split("\n").filter(Boolean).map(withoutTimes).join("\n");
  if (!/\.(md|html|csv)$/.test(path)) return sha256(bytes);
  return path.includes("/grid/") ? text().replaceAll(/\d+/g, "#") : text(); // a grid's report tells its seconds
}

function withoutTimes(json: string): string {
  return JSON.stringify(JSON.parse(json, (key, value) => TIMES.includes(key) ? undefined : value));
}

/** What two folders differ in, in words; empty where they say the same. */
export function differences(found: Record<string, string>, wanted: Record<string, string>): string[] {
  return [
    ...Object.keys(wanted).filter((name) => !(name in found)).map((name) => `${name} is missing`),
    ...Object.keys(found).filter((name) => !(name in wanted)).map((name) => `${name} is left over`),
    ...Object.keys(wanted).filter((name) => name in found && found[name] !== wanted[name]).map((name) =>
      `${name} says something else${firstDifference(found[name], wanted[name])}`
    ),
  ];
}

function firstDifference(a: string, b: string): string {
  const at = [...a].findIndex((letter, i) => letter !== b[i]), near = (text: string) => text.slice(at, at + 60);
  return `, at ${at}: "${near(a)}", "${near(b)}" wanted`;
}
