/**
 * `deno task test`: format, lint, types and the documentation's form, the tests, the examples, the golden values,
 * tfjs-core's op tests, mutated files, a short soak, killed tasks and the small grid of all methods; `deno task test:unit`:
 * the same without the last six and without {@linkcode SLOW}. Closes with one line `N passed, N failed` over all; a check counts as one.
 */
import { temporaryFolder } from "../pipeline/files/places.ts";
import { emptyLoaderVariables } from "../pipeline/files/loader_variables.ts";

/** Test files that train, take times, count many draws, take cases through whole tasks or make reports. */
const SLOW = [
  "batches",
  "bench",
  "cardiac_cine",
  "case_tasks",
  "example",
  "library_example",
  "methods",
  "own_tasks",
  "patch_sheet",
  "predict",
  "profile",
  "recomputed_statistics",
  "reference_losses",
  "report",
  "reproduce",
  "rights",
  "several_classes",
  "train",
  "training",
  "unet",
  "weights_tasks",
];

const unit = Deno.args[0] === "unit";
const native = ["--no-prompt", "--allow-read", "--allow-ffi", "--allow-env"];
/** The one folder that may be written to: all temporary files of the tests lie there. */
const folder = await temporaryFolder("ss-net-test-");

/** Files whose every export is documented: all but those of the tasks, and those that give types of packages. */
function documented(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (
      /^pipeline\/(bench|command|grid|report)$|\/(records\/components|records\/plan|evaluation|json|measurement|names|prediction|prepared_case|tfjs)\.ts$/
        .test(path)
    ) {
      return [];
    }
    return isDirectory ? documented(path) : path.endsWith(".ts") ? [path] : [];
  });
}

interface Counts {
  passed: number;
  failed: number;
}

const env = { ...emptyLoaderVariables(), NO_COLOR: "1", TMPDIR: folder, INIT_CWD: Deno.cwd(), SSNET_HOME: "" };

/**
 * A run of many tests, by its last closing line; one that has none, or ends badly without a failed test, has failed.
 * @param more Of the environment. @param isBeside Whether others run beside it: what it prints is shown when it has ended.
 */
async function tests(args: string[], { more = {}, isBeside = false } = {}): Promise<Counts> {
  const child = new Deno.Command("deno", { args, stdout: "piped", stderr: "inherit", env: { ...env, ...more } })
    .spawn();
  const [keep, show] = child.stdout.tee();
  const shown = isBeside ? show.cancel() : show.pipeTo(Deno.stdout.writable, { preventClose: true });
  const text = await new Response(keep).text();
  const [, { success }] = await Promise.all([shown, child.status]);
  if (isBeside) console.log(text);
  const [, passed, failed] = [...text.matchAll(/(\d+) passed[^\n]*?(\d+) failed/g)].at(-1) ?? [];
  if (passed === undefined) console.log(`deno ${args.join(" ")} ended without its closing line`);
  return { passed: Number(passed ?? 0), failed: Number(failed ?? 0) || Number(!success || passed === undefined) };
}

/** A run that is one test; what it prints is shown when it has ended, as tests run beside it. */
async function check(...args: string[]): Promise<Counts> {
  const { success, stdout, stderr } = await new Deno.Command("deno", { args, env }).output();
  const printed = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  console.log(`${success ? "" : printed}deno ${args[0]} ... ${success ? "ok" : "FAILED"}`);
  return { passed: Number(success), failed: Number(!success) };
}

/** Test files in a process of their own. */
function testing(files: string[], isBeside = false): Promise<Counts> {
  return tests([
    ...["test", "--no-check", ...native, `--allow-write=${folder}`, "--allow-sys=hostname"], // a lock names its machine
    `--allow-run=${Deno.execPath()}`, // the tasks themselves, and processes whose end a test watches
    ...files,
  ], { isBeside });
}

const slow = SLOW.map((name) => `tests/${name}_test.ts`);
const fast = [...Deno.readDirSync("tests")].map(({ name }) => `tests/${name}`).sort()
  .filter((file) => file.endsWith("_test.ts") && !slow.includes(file));
/** Format, lint, types, the documentation's form and its examples, one after the other. */
async function checks(): Promise<Counts[]> {
  return [
    await check("fmt", "--check"),
    await check("lint"),
    await check("check", "--quiet", "."),
    await check("doc", "--lint", "mod.ts", ...documented("pipeline")),
    await tests(["test", "--doc", ...native, "mod.ts", "pipeline/"], { isBeside: true }),
  ];
}
// Most tests leave a core free.
const counts = (await Promise.all([
  checks(),
  ...[0, 1].map(async (half) => [await testing(fast.filter((_, i) => i % 2 === half), half === 1)]),
])).flat();
if (!unit) {
  // What TensorFlow has traced stays in memory until its process ends.
  for (const file of slow) counts.push(await testing([file]));
  counts.push(
    await tests(["run", ...native, "tasks/tools/parity.ts"]),
    await tests(["run", ...native, "tasks/tools/conformance.ts"]),
    await tests([
      ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env"],
      ...["tasks/tools/fuzz.ts", "--inputs", "2000"],
    ]),
    await tests([ // memory has not settled after so few steps: what leaks a step's tensors is seen all the same
      ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env", "--allow-run=deno"],
      ...["tasks/tools/soak.ts", "--steps", "200", "--slope", "50"],
    ]),
    await tests([
      ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env", "--allow-run"],
      ...["tasks/tools/faults.ts", "--kills", "20", "--part", "kills,signals,bits"],
    ]),
    await tests([
      ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env", "--allow-run=deno"],
      ...["--allow-sys=hostname,systemMemoryInfo", "tasks/reproduce.ts", "--scale", "ci", "--out", `${folder}/grid`],
    ], { more: { TF_ENABLE_ONEDNN_OPTS: "1" } }), // by default off without AVX-512, where the grid then takes twice as long
  );
}
await Deno.remove(folder, { recursive: true });
const total = (word: keyof Counts) => counts.reduce((sum, one) => sum + one[word], 0);
console.log(`${total("passed")} passed, ${total("failed")} failed`);
Deno.exit(total("failed") ? 1 : 0);
