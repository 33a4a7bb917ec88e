/**
 * Runs the tests, the examples, the golden values, tfjs-core's op tests and the small grid of all methods, and closes with
 * one line `N passed, N failed` over all.
 */
import { temporaryFolder } from "../pipeline/runs/places.ts";
import { emptyLoaderVariables } from "../pipeline/runs/task_process.ts";

const native = ["--no-prompt", "--allow-read", "--allow-ffi", "--allow-env"];
/** The one folder that may be written to: all temporary files of the tests lie there. */
const folder = await temporaryFolder("ss-net-test-");

async function run(args: string[]): Promise<string> {
  const env = { ...emptyLoaderVariables(), NO_COLOR: "1", TMPDIR: folder, INIT_CWD: Deno.cwd(), SSNET_HOME: "" };
  const command = new Deno.Command("deno", { args, stdout: "piped", stderr: "inherit", env });
  const child = command.spawn();
  const [keep, show] = child.stdout.tee();
  const shown = show.pipeTo(Deno.stdout.writable, { preventClose: true });
  const text = await new Response(keep).text();
  await Promise.all([shown, child.status]);
  return text;
}
function count(text: string, word: string): number {
  return Number(text.match(new RegExp(`(\\d+) ${word}(?![\\s\\S]*\\d+ ${word})`))?.[1] ?? NaN);
}
const texts = [
  await run([
    ...["test", ...native, `--allow-write=${folder}`, "--allow-sys=hostname"], // a lock names its machine
    ...[`--allow-run=${Deno.execPath()}`, "tests/"], // the tasks themselves, and processes whose end a test watches
  ]),
  await run(["test", "--doc", ...native, "mod.ts", "pipeline/"]),
  await run(["run", ...native, "tasks/parity.ts"]),
  await run(["run", ...native, "tasks/conformance.ts"]),
  await run([
    ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env", "--allow-run=deno"],
    ...["--allow-sys=hostname,systemMemoryInfo", "tasks/reproduce.ts", "--scale", "ci", "--out", `${folder}/grid`],
  ]),
];
await Deno.remove(folder, { recursive: true });
const total = (word: string) => texts.reduce((sum, text) => sum + count(text, word), 0);
const passed = total("passed"), failed = total("failed");
if (Number.isNaN(passed + failed)) {
  console.log("A run ended without its closing line\n0 passed, 1 failed");
  Deno.exit(1);
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed ? 1 : 0);
