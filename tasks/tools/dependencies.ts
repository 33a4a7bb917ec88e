/**
 * `deno task dependencies`: every package of `deno.lock` with its license and, of those that the project asks for itself, the
 * day of publication, both as they lie in Deno's cache; install scripts (Deno runs none); and the advisories that
 * `deno audit` finds. Where the registry does not answer that, it says that they were not checked.
 * @module
 */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { EXIT, parseOptions, runTask } from "../../pipeline/command/options.ts";
import { exists } from "../../pipeline/files/exists.ts";
import { emptyLoaderVariables } from "../../pipeline/files/loader_variables.ts";
import { counted } from "../../pipeline/files/words.ts";
import { advisoriesSaid, licenseOf, lockedPackages, publishedOn } from "./dependencies/packages.ts";

parseOptions(z.strictObject({}), {
  name: "dependencies",
  description: "List the packages of deno.lock: license, age, install scripts, advisories; no options",
  args: Deno.args,
});

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
  const packages = lockedPackages(await Deno.readTextFile(path), path), cache = `${cacheOfDeno()}/npm`;
  const registries = [...Deno.readDirSync(cache)].map(({ name }) => `${cache}/${name}`);
  for (const { name, version, isDirect, hasScripts } of packages) {
    // One that was never fetched is needed by nothing that is run.
    const folder = registries.map((registry) => `${registry}/${name}`).find((one) => exists(`${one}/${version}`));
    const read = (file: string) => Deno.readTextFile(`${folder}/${file}`);
    const manifest = `${version}/package.json`,
      license = folder ? licenseOf(await read(manifest), `${folder}/${manifest}`) ?? "no license named" : "not fetched";
    // Deno keeps it only of what it has resolved itself.
    const published = isDirect && folder && exists(`${folder}/registry.json`)
      ? publishedOn(await read("registry.json"), version, `${folder}/registry.json`)
      : null;
    const words = [
      license,
      ...published ? [`published ${published}`] : [],
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
  const env = { ...emptyLoaderVariables(), NO_COLOR: "1" };
  const { stdout, stderr } = await new Deno.Command("deno", { args: ["audit", `--lock=${path}`], env }).output();
  console.log(advisoriesSaid(...[stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string]));
  return EXIT.done;
});
