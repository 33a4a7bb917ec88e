/**
 * Runs the tests, the examples, the golden values, tfjs-core's op tests and the small grid of all methods, and closes with
 * one line `N passed, N failed` over all.
 */
async function run(args: string[]): Promise<string> {
  const command = new Deno.Command("deno", { args, stdout: "piped", stderr: "inherit", env: { NO_COLOR: "1" } });
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
const rights = ["--no-prompt", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys"];
const more = ["--allow-write", `--allow-run=${Deno.execPath()}`]; // some tests watch a process end
const grid = ["--no-prompt", "--allow-read", "--allow-write=/tmp", "--allow-env", "--allow-run=deno"];
const folder = await Deno.makeTempDir({ dir: "/tmp" });
const texts = [
  await run(["test", ...rights, ...more, "tests/"]),
  await run(["test", "--doc", ...rights, "mod.ts", "pipeline/"]),
  await run(["run", ...rights, "tasks/parity.ts"]),
  await run(["run", ...rights, "tasks/conformance.ts"]),
  await run([
    ...["run", ...grid, "--allow-sys=hostname,systemMemoryInfo", "tasks/reproduce.ts", "--scale", "ci"],
    ...["--out", folder],
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
