/**
 * `deno task bench KIND`: times one kind of work on synthetic inputs of the real shapes and prints the figures, with
 * `--json` as one JSON line. Peak memory is the process's own (its largest resident set), so every figure of memory
 * comes from a process of its own.
 *
 * step               one whole training step of a method: losses, gradients, update; beside it its warm-up's step.
 *                    `--method all`: every method on both datasets in every precision
 * forward-backward   one patch (LA) or slice (ACDC) through a network: forward and back to every parameter; beside it
 *                    forward alone, and back to the input alone
 * counts             the step of every method against the passes that it is made of
 * inference          one window (LA) or a volume of 10 slices of 216 x 256 (ACDC), resampling included
 * metrics            Dice, Jaccard, 95HD and ASD of one LA-sized mask pair
 * micro              single convolutions, norms, losses, distance transforms, metrics and loaders
 * end-to-end         a phantom case from the image to its scores, as cases a minute
 * cases              phantom cases read from files as a training reads them, and a batch of them
 * scaling            a method's step by patch, batch and threads; `cases` by their number
 * all                everything: `bench all --json > baseline.json`
 * compare            FILE… of `--json`: what they hold is measured again, in turn with another checkout (`--with`) or
 *                    beside the file's own figures
 */
import { compared, inTurn } from "../../pipeline/bench/baseline_comparison.ts";
import { countsOf } from "../../pipeline/bench/counts.ts";
import {
  DESCRIPTIONS,
  isKind,
  type Kind,
  KINDS,
  kindsText,
  type OptionsOf,
  patchProblem,
  unknownKind,
} from "../../pipeline/bench/kinds.ts";
import { ROOT } from "../../pipeline/bench/machine.ts";
import { measure, problemOf, type Request } from "../../pipeline/bench/measure.ts";
import {
  allSteps,
  countParts,
  evaluations,
  everything,
  measureIn,
  type Part,
  scales,
} from "../../pipeline/bench/parts.ts";
import { type Baseline, partOf, readBaselines, titleOf } from "../../pipeline/bench/measurements.ts";
import { axisText, comparisonText, countsText, measurementText, RULE, settingText } from "../../pipeline/bench/text.ts";
import { EXIT, parseOptions, runTask } from "../../pipeline/command/options.ts";
import { type Measurement, stepsText } from "../../pipeline/records/measurement.ts";
import { isFile } from "../../pipeline/files/exists.ts";

const [name, ...args] = Deno.args;

function optionsFor<K extends Kind>(kind: K): OptionsOf<K> {
  return parseOptions(KINDS[kind], { name: `bench ${kind}`, description: DESCRIPTIONS[kind], args }) as OptionsOf<K>;
}

function refuse(problem: string): number {
  console.error(problem);
  return EXIT.usage;
}

/** Processes one after the other; without `--json` each is told when it is done. */
async function measureAll(parts: Part[], json: boolean): Promise<Measurement[]> {
  const results: Measurement[] = [];
  for (const part of parts) {
    const result = await measureIn(ROOT, part);
    results.push(result);
    if (!json) console.log(measurementText(result));
  }
  if (!json) console.log(settingText(results[0]));
  return results;
}

async function steps(options: OptionsOf<"step">) {
  const steps = await measureAll(allSteps(options), options.json);
  if (options.json) console.log(stepsText(steps));
}

async function rows(kind: "end-to-end" | "counts" | "scaling" | "all", parts: Part[], { json }: { json: boolean }) {
  const rows = await measureAll(parts, json), isScale = ({ axis }: Measurement) => axis !== undefined;
  const counts = kind === "counts" || kind === "all" ? countsOf(rows.filter((row) => !isScale(row))) : null;
  if (json) return console.log(JSON.stringify({ kind, rows, ...counts && { counts } }));
  if (counts) console.log(`\n${countsText(counts)}`);
  const axes = Object.groupBy(rows.filter(isScale), ({ kind, dataset, axis }) => `${kind} ${dataset} by ${axis}`);
  for (const [title, axis] of Object.entries(axes)) console.log(`\n${title}\n${axisText(axis!)}`);
}

async function here(request: Request): Promise<number> {
  const problem = problemOf(request);
  if (problem) return refuse(problem);
  const result = await measure(request);
  console.log(request.options.json ? JSON.stringify(result) : `${measurementText(result)}\n${settingText(result)}`);
  return EXIT.done;
}

/** All of a baseline file. @returns As `--json` prints it. */
async function compareFile({ path, measurements }: Baseline, { with: other, rounds, json }: OptionsOf<"compare">) {
  const comparisons: object[] = [];
  for (const file of measurements) {
    const part = partOf(file), now = () => measureIn(ROOT, part);
    const sides = other
      ? await inTurn(rounds, { before: () => measureIn(other, part), now })
      : { before: [file], now: [await now()] };
    const result = compared(sides, { isInTurn: other !== undefined });
    const settingOf = ({ cpu, machine, versions }: Measurement) => ({ cpu, machine, versions });
    const [before, own] = [sides.before[0], sides.now[0]];
    comparisons.push({ title: titleOf(file), ...result, settings: { before: settingOf(before), now: settingOf(own) } });
    if (json) continue;
    console.log(`\n${titleOf(file)}\n${comparisonText(result)}`);
    console.log(`before: ${settingText(before)}\nnow: ${settingText(own)}`);
  }
  return { path, comparisons };
}

async function compare(options: OptionsOf<"compare">): Promise<number> {
  const { baselines, with: other, rounds, json } = options, files = [];
  if (other && !isFile(`${other}/deno.json`)) {
    return refuse(`Cannot compare with "${other}": a folder of this project is wanted, with its deno.json`);
  }
  const read = await readBaselines(baselines);
  if (!json) {
    const how = other
      ? `${rounds} rounds in turn with ${other}`
      : "not interleaved: what the machine did between the file and now is in every ratio";
    console.log(`${how}\n${RULE}`);
  }
  for (const baseline of read) files.push(await compareFile(baseline, options));
  if (json) console.log(JSON.stringify({ kind: "comparison", interleaved: other !== undefined, files }));
  return EXIT.done;
}

await runTask(async () => {
  if (name === "--help") {
    return console.log(`Usage: deno task bench KIND [options]; bench KIND --help shows them\n\n${kindsText()}`);
  }
  if (!isKind(name)) return refuse(unknownKind(name));
  if (name === "compare") return await compare(optionsFor(name));
  if (name === "all") {
    const options = optionsFor(name);
    return await rows(name, everything(options), options);
  }
  if (name === "scaling") {
    const options = optionsFor(name);
    return await rows(name, scales(options), options);
  }
  if (name === "counts") {
    const options = optionsFor(name), problem = patchProblem(options);
    return problem ? refuse(problem) : await rows(name, countParts(options), options);
  }
  const request = { kind: name, options: optionsFor(name) } as Request;
  if (request.kind === "step" && request.options.method === "all") return await steps(request.options);
  if (request.kind === "end-to-end" && !(request.options.dataset && request.options.precision)) {
    const { options } = request, problem = patchProblem(options);
    return problem ? refuse(problem) : await rows(request.kind, evaluations(options), options);
  }
  return await here(request);
});
