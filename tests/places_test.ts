/** Where tasks read and write: the home of cases and runs, the user's own folder, temporary files; and what Deno lets them. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { writeRawAtria } from "../pipeline/datasets/la/phantom.ts";
import { quoted } from "../pipeline/files/places.ts";
import { DENO_FOLDER, withFolder } from "./with_folder.ts";

const configPath = fileURLToPath(new URL("../deno.json", import.meta.url)), project = dirname(configPath);
/** Of what the tests are run with nothing else: other variables name places too. */
const HERE = { PATH: Deno.env.get("PATH")!, HOME: Deno.env.get("HOME")!, DENO_DIR: DENO_FOLDER, NO_COLOR: "1" };

/** Runs a command in Deno's shell, or a task from its configuration, where the user stands. */
async function inShell(args: string[], { cwd, env = {} }: { cwd: string; env?: Record<string, string> }) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...args],
    cwd,
    env: { ...HERE, ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, error };
}
const inTask = (name: string, args: string[], where: { cwd: string; env?: Record<string, string> }) =>
  inShell(["--config", configPath, name, ...args], where);

Deno.test("the rights to write follow the places that the variables name, and are never wider", async () => {
  const wanted: [string, string, string][] = [
    ["", "", "data,/tmp"],
    ["SSNET_HOME='/a b/ü' TMPDIR=/c", "", "/a b/ü,/c"],
    ["SSNET_HOME=../x INIT_CWD=/where", "", "/where/../x,/tmp"],
    ["SSNET_HOME=/a,/etc", "", "/tmp"],
    ["SSNET_HOME=/a TMPDIR=/c", "temporary", "/c"],
    ["TMPDIR=/a,/etc", "temporary", "/dev/null"],
    ["HOME=/h SSNET_HOME=/a TMPDIR=/c", "cache", "/h/.cache/ss-net"],
    ["HOME=/h XDG_CACHE_HOME='/x y'", "cache", "/x y/ss-net"],
    ["HOME=/h XDG_CACHE_HOME=x", "cache", "/h/.cache/ss-net"],
  ];
  const command = wanted.map(([variables, kind]) => `${variables} sh tasks/places.sh ${kind} && echo`).join(" && ");
  const { out, error } = await inShell(["--eval", command], { cwd: project });
  assert.deepEqual(out.trimEnd().split("\n"), wanted.map(([, , places]) => places), error);
});

Deno.test("SSNET_HOME holds raw files and cases, and a path is taken from where the user stands", () =>
  withFolder(async (folder) => {
    const home = `${folder}/ein Prüfstand`, env = { SSNET_HOME: home, TMPDIR: `${folder}/tmp` };
    await writeRawAtria(`${home}/raw/la`, { seed: 1, count: 4, shape: [20, 20, 16] });
    const prepared = await inTask("preprocess:la", [], { cwd: folder, env });
    assert.equal(prepared.code, 0, prepared.error);
    const usual = await inTask("preprocess:la", ["--help"], { cwd: folder });
    assert.ok(usual.out.replace(/\s/g, "").includes(`default:"${project}/data/raw/la"`.replace(/\s/g, "")), usual.out);
    const split = ["--cases", "../cases/la", "--labeled", "1", "--test-cases", "1"];
    const chosen = await inTask("split:la", split, { cwd: `${home}/raw`, env: { ...env, SSNET_HOME: ".." } });
    assert.equal(chosen.code, 0, chosen.error);
    assert.ok((await Deno.stat(`${home}/cases/la/split.json`)).isFile);
    const outside = await inTask("split:la", [...split, "--split", "../../there/split.json"], {
      cwd: `${home}/raw`,
      env,
    });
    assert.equal(outside.code, 2, outside.error);
    assert.match(outside.error, /^Cannot write to ".*\/there": this task writes to ".*ein Prüfstand" and temporary/);
    const [, command] = outside.error.match(/as\n {2}(.*)\n$/)!;
    await Deno.mkdir(`${folder}/there`);
    const allowed = await inShell(["--eval", command], { cwd: `${home}/raw`, env: { TMPDIR: `${folder}/tmp` } });
    assert.equal(allowed.code, 0, allowed.error);
    assert.ok((await Deno.stat(`${folder}/there/split.json`)).isFile);
    // A stand-in without TensorFlow: the split is read before it is opened.
    const training = [
      ...["run", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys", `${project}/tasks/train.ts`],
      ...["la", "--cases", `${folder}/none`],
    ];
    const trained = await inShell(["--eval", ["deno", ...training].map(quoted).join(" ")], { cwd: folder });
    assert.match(trained.error, /\/none\/split\.json/, "the split lies with its cases");
  }));

Deno.test("a place for temporary files that cannot be written to says which variable names another", () =>
  withFolder(async (folder) => {
    const code = `const { temporaryFolder } = await import("${new URL(
      "../pipeline/files/places.ts",
      import.meta.url,
    )}");
      await temporaryFolder("a-").catch((error) => console.log(error.message));`;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", code],
      env: { TMPDIR: `${folder}/none` },
    }).output();
    assert.match(
      new TextDecoder().decode(stdout),
      /^Cannot make a temporary folder in ".*\/none": .*; name another place in TMPDIR\n$/,
    );
  }));
