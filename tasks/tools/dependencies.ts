/**
 * `deno task dependencies`: every package of `deno.lock` with its license (as it lies in Deno's cache), install scripts (Deno
 * runs none), of those that the project asks for itself the day of publication, and the advisories that npm's registry knows
 * of any. Where the registry does not answer it says what was not checked.
 * @module
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { EXIT, parseOptions, runTask } from "../../pipeline/command/options.ts";
import { DataError } from "../../pipeline/files/errors.ts";
import { counted } from "../../pipeline/files/words.ts";
import { advisoryLines, bulkQuestion, licenseOf, lockedPackages, publishedOn } from "./dependencies/packages.ts";

const REGISTRY = "https://registry.npmjs.org", SECONDS = 20;

parseOptions(z.strictObject({}), {
  name: "dependencies",
  description: "List the packages of deno.lock: license, age, install scripts, advisories; no options",
  args: Deno.args,
});

/** The registry's answer, or why there is none. */
async function ask(path: string, init: RequestInit = {}): Promise<{ text: string } | { why: string }> {
  try {
    const response = await fetch(`${REGISTRY}/${path}`, { ...init, signal: AbortSignal.timeout(SECONDS * 1000) });
    const text = await response.text();
    return response.ok ? { text } : { why: `the registry answers ${response.status}` };
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return { why: `the registry does not answer: ${(error as Error).message}` };
  }
}

/** What is made of an answer, or of one of another form nothing. */
function readAnswer<T>(answer: Awaited<ReturnType<typeof ask>>, read: (text: string) => T): T | { why: string } {
  if ("why" in answer) return answer;
  try {
    return read(answer.text);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { why: error.message };
  }
}

/** The folder where Deno keeps packages. */
function cacheOfDeno(): string {
  const env = (name: string) => Deno.env.get(name);
  return env("DENO_DIR") ??
    (env("XDG_CACHE_HOME")
      ? `${env("XDG_CACHE_HOME")}/deno`
      : Deno.build.os === "darwin"
      ? `${env("HOME")}/Library/Caches/deno`
      : `${env("HOME")}/.cache/deno`);
}

await runTask(async () => {
  const path = fileURLToPath(new URL("../../deno.lock", import.meta.url));
  const packages = lockedPackages(await Deno.readTextFile(path), path),
    folder = `${cacheOfDeno()}/npm/${new URL(REGISTRY).host}`;
  let silent: string | null = null;
  for (const { name, version, isDirect, hasScripts } of packages) {
    const manifest = `${folder}/${name}/${version}/package.json`;
    const text = await Deno.readTextFile(manifest).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return null; // never fetched: nothing that is run needs it
      throw error;
    });
    const license = text === null ? "not fetched" : licenseOf(text, manifest) ?? "no license named";
    let age = "";
    if (isDirect && silent === null) {
      const found = readAnswer(await ask(name.replace("/", "%2f")), (text) => publishedOn(text, version, name));
      if (typeof found === "string") age = `published ${found}`;
      else if (found) silent = found.why;
    }
    const words = [
      license,
      ...age ? [age] : [],
      ...isDirect ? ["direct"] : [],
      ...hasScripts ? ["install scripts"] : [],
    ];
    console.log(`${`${name} ${version}`.padEnd(48)}${words.join(", ")}`);
  }
  const scripts = packages.filter(({ hasScripts }) => hasScripts).length;
  console.log(
    `${counted(packages.length, "package")}, ${packages.filter(({ isDirect }) => isDirect).length} of them direct; ` +
      `${scripts} with install scripts, none of which Deno runs`,
  );
  if (silent) console.log(`dates of publication were not read: ${silent}`);
  const question = { method: "POST", headers: { "content-type": "application/json" }, body: bulkQuestion(packages) };
  const answer = await ask("-/npm/v1/security/advisories/bulk", question);
  const lines = readAnswer(answer, (text) => advisoryLines(text, "advisories"));
  if ("why" in lines) console.log(`advisories were not checked: ${lines.why}`);
  else console.log(lines.length ? lines.join("\n") : "advisories: none");
  return EXIT.done;
});
