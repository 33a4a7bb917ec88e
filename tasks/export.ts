/**
 * `deno task export RUN`: a run's network for other programs, safetensors or PyTorch's `.pth`, float32 or float16, and its
 * model card in Markdown beside it. A safetensors file says of which dataset and method it is, and how it is tested, so that
 * `predict --weights` wants nothing else.
 * @module
 */
import { basename } from "node:path";
import { z } from "zod";
import { EXIT, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { writeTogether } from "../pipeline/files/atomic.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { nameProblem } from "../pipeline/files/names.ts";
import { sha256 } from "../pipeline/files/hash.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { networkMetadata } from "../pipeline/records/run.ts";
import { modelCard } from "../pipeline/report/card.ts";
import { readRuns } from "../pipeline/report/runs.ts";
import { encodeCheckpoint, readCheckpoint } from "../pipeline/training/checkpoint.ts";
import { storedComponents } from "../pipeline/training/components_choice.ts";
import { checkpointOf, readRun, statisticsOf } from "../pipeline/training/trained_run.ts";

const { run: runs, format, half, ...options } = parseOptions(
  z.strictObject({
    run: z.array(pathOption()).max(1).describe("run folder, as train wrote and eval filled it"),
    format: z.enum(["safetensors", "pth"]).default("safetensors").describe("pth: as torch.save writes a state_dict"),
    half: z.boolean().default(false).describe("numbers as float16, half the size"),
    checkpoint: z.enum(["last", "best"]).optional().describe("the method's own choice where none is named"),
    out: pathOption().optional().meta({ letter: "o" }).describe(
      "file to write; the card beside it ends with .md (default: model.safetensors or model.pth in the run folder)",
    ),
  }),
  { name: "export", description: "Write a run's network for other programs, with its model card", args: Deno.args },
);

async function exportModel() {
  const [folder] = runs;
  if (!folder) {
    console.error("Cannot start export: a run folder wanted");
    return EXIT.usage;
  }
  const problem = options.out && nameProblem(basename(options.out));
  if (problem) {
    console.error(`Cannot start export: --out: ${problem}`);
    return EXIT.usage;
  }
  const run = await readRun(folder),
    [told] = await readRuns([folder], METHODS),
    { config: { method, training }, dataset } = run;
  const { settings } = method, { patch, norm } = training;
  const { spec } = createMethod(METHODS[run.methodName], dataset, { settings, patch, norm });
  const { checkpoint, path } = checkpointOf(run, options), read = await readCheckpoint(path, spec);
  const statistics = statisticsOf(run, read), how = { folder, file: path, checkpoint, statistics, told: null };
  const chosen = await storedComponents(how) ?? { components: run.profile.components, componentsChoice: null };
  const metadata = networkMetadata({ config: { ...run.config, grid: run.grid }, ...chosen });
  const file = options.out ?? `${folder}/model.${format}`, card = file.replace(/\.[^./]+$/, "") + ".md";
  let bytes: Uint8Array;
  try {
    bytes = await encodeCheckpoint(read, spec, { format, half, metadata });
  } catch (error) {
    if (error instanceof RangeError) throw new DataError(`Cannot export "${path}": ${error.message}`, { cause: error });
    throw error;
  }
  const parameters = spec.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0), { iteration } = read;
  const model = {
    ...{ file: basename(file), format, half, sha256: sha256(bytes), parameters, checkpoint, iteration, statistics },
    ...chosen,
  };
  await writeTogether([
    { path: card, content: modelCard(told, { model, dataset }) },
    { path: file, content: [bytes] },
  ]);
  console.log(`model: ${file} (${(bytes.length / 1e6).toFixed(1)} MB)\ncard: ${card}`);
}

await runTask(exportModel);
