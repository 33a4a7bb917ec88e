/**
 * Every entry of ../shared/cases (or SSNET_CASES) does what its row in the README there asks for: files that went wrong
 * once, by their numbers.
 */
import { fileURLToPath } from "node:url";

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
