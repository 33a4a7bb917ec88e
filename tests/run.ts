/**
 * Runs the tests, the examples, the golden values, tfjs-core's op tests and the small grid of all methods, and closes with
 * one line `N passed, N failed` over all.
 */
import { temporaryFolder } from "../pipeline/files/places.ts";
import { emptyLoaderVariables } from "../pipeline/files/loader_variables.ts";

const native = ["--no-prompt", "--allow-read", "--allow-ffi", "--allow-env"];
/** The one folder that may be written to: all temporary files of the tests lie there. */
const folder = await temporaryFolder("ss-net-test-");

/** What a run printed, and whether its exit code was 0. */
async function run(args: string[], more = {}): Promise<{ text: string; success: boolean }> {
  const env = {
    ...emptyLoaderVariables(),
    NO_COLOR: "1",
    TMPDIR: folder,
    INIT_CWD: Deno.cwd(),
    SSNET_HOME: "",
    ...more,
  };
  const command = new Deno.Command("deno", { args, stdout: "piped", stderr: "inherit", env });
  const child = command.spawn();
  const [keep, show] = child.stdout.tee();
  const shown = show.pipeTo(Deno.stdout.writable, { preventClose: true });
  const text = await new Response(keep).text();
  const [, { success }] = await Promise.all([shown, child.status]);
  return { text, success };
}
function count(text: string, word: string): number {
  return Number(text.match(new RegExp(`(\\d+) ${word}(?![\\s\\S]*\\d+ ${word})`))?.[1] ?? NaN);
}
const runs = [
  await run([
    ...["test", ...native, `--allow-write=${folder}`, "--allow-sys=hostname"], // a lock names its machine
    ...[`--allow-run=${Deno.execPath()}`, "tests/"], // the tasks themselves, and processes whose end a test watches
  ]),
  await run(["test", "--doc", ...native, "mod.ts", "pipeline/"]),
  await run(["run", ...native, "tasks/tools/parity.ts"]),
  await run(["run", ...native, "tasks/tools/conformance.ts"]),
  await run([
    ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env", "--allow-run=deno"],
    ...["--allow-sys=hostname,systemMemoryInfo", "tasks/reproduce.ts", "--scale", "ci", "--out", `${folder}/grid`],
  ], { TF_ENABLE_ONEDNN_OPTS: "1" }), // by default off without AVX-512, where the grid then takes twice as long
];
await Deno.remove(folder, { recursive: true });
const total = (word: string) => runs.reduce((sum, { text }) => sum + count(text, word), 0);
// A run that ends badly without a failed test, as by a leak or a crash behind its closing line, counts as one.
const silent = runs.filter(({ text, success }) => !success && count(text, "failed") === 0).length;
const passed = total("passed"), failed = total("failed") + silent;
if (Number.isNaN(passed + failed)) {
  console.log("A run ended without its closing line\n0 passed, 1 failed");
  Deno.exit(1);
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed ? 1 : 0);
