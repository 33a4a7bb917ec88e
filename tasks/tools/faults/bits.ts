/** Bits that flip and copies that end early, in every kind of file that the tasks write: refused by name, or the same content. @module */
import { stream } from "../../../pipeline/arrays/random.ts";
import { DataError } from "../../../pipeline/files/errors.ts";
import { missingIterations, readLog } from "../../../pipeline/files/log.ts";
import { readSafetensors } from "../../../pipeline/files/safetensors.ts";
import { readCase } from "../../../pipeline/records/case.ts";
import { readCellIfThere } from "../../../pipeline/records/cell.ts";
import { readChosenComponents } from "../../../pipeline/records/components.ts";
import { readMetrics } from "../../../pipeline/records/evaluation.ts";
import { readManifest } from "../../../pipeline/records/manifest.ts";
import { readPredictionIfThere } from "../../../pipeline/records/prediction.ts";
import { readRunConfig } from "../../../pipeline/records/run.ts";
import { checkCases, readSplit } from "../../../pipeline/records/split.ts";
import { add, type Count, countOf } from "./counts.ts";

/** A kind of file: where the small project has one, and what its reader says of it. */
interface Kind {
  path: string;
  read(): Promise<unknown>;
}

/** How many flips and cuts of each kind. */
const FLIPS = 150, CUTS = 20;

/** Flips bits of the files of a small project, each in its place, and puts them back. */
export async function flipBits(home: string, { seed }: { seed: number }): Promise<Count[]> {
  const counts: Count[] = [];
  for (const [name, kind] of Object.entries(await kindsOf(home))) counts.push(await flip(name, kind, seed));
  return counts;
}

async function kindsOf(home: string): Promise<Record<string, Kind>> {
  const run = `${home}/eval/run`,
    cases = `${home}/preprocess acdc/cases`,
    cell = `${home}/reproduce/grid/acdc-3/supervised/1337`;
  const log = `${run}/metrics.jsonl`,
    { training: { iterations } } = await readRunConfig(run),
    evaluations = [...Deno.readDirSync(run)].map(({ name }) => name).filter((name) => name.startsWith("evaluation-"));
  const evaluation = `${run}/${evaluations[0]}`, // its name has the components that were chosen
    manifest = await readManifest(cases),
    [first] = Object.keys(manifest.cases);
  const split = `${home}/split acdc/split.json`,
    kind = (path: string, read: () => Promise<unknown>): Kind => ({ path, read });
  return {
    checkpoint: kind(`${run}/last.safetensors`, () => readWeights(`${run}/last.safetensors`)),
    state: kind(`${run}/state.safetensors`, () => readWeights(`${run}/state.safetensors`)),
    case: kind(
      `${cases}/${first}.h5`,
      () => readCase(`${cases}/${first}.h5`, first, { expected: manifest.cases[first] }),
    ),
    manifest: kind(`${cases}/manifest.json`, async () => ({ ...await readManifest(cases), sha256: "" })),
    split: kind(split, async () => {
      const read = await readSplit(split, "acdc"), { labeled, unlabeled, validation, test } = read;
      await checkCases(read, cases, split);
      return { labeled, unlabeled, validation, test };
    }),
    config: kind(`${run}/config.json`, () => readRunConfig(run)),
    metrics: kind(`${evaluation}/metrics.json`, () => readMetrics(evaluation)),
    cell: kind(`${cell}/cell.json`, () => readCellIfThere(cell)),
    summary: kind(
      `${home}/predict/masks/summary.json`,
      () => readPredictionIfThere(`${home}/predict/masks/summary.json`),
    ),
    components: kind(`${run}/components.json`, () => readChosenComponents(run)),
    log: kind(log, async () => {
      const rows = await readLog(log), missing = missingIterations(rows, iterations);
      if (missing) throw new DataError(`"${log}" lacks iterations ${missing}`); // as the report and --resume say
      return rows;
    }),
  };
}

/** Names and metadata: the values behind them are of the checksum. */
async function readWeights(path: string): Promise<unknown> {
  const { tensors, metadata } = await readSafetensors(path);
  return [Object.keys(tensors), metadata];
}

async function flip(name: string, { path, read }: Kind, seed: number): Promise<Count> {
  const count = countOf(`bits of ${name}`), good = await Deno.readFile(path), wanted = saidBy(await read());
  const random = stream(seed, `bits ${name}`);
  const attempt = async (what: string) => {
    try {
      add(count, saidBy(await read()) === wanted ? [] : [`${path}, ${what}: not noticed`]);
    } catch (error) {
      const isTyped = error instanceof DataError && error.message.includes(path);
      add(count, isTyped ? [] : [`${path}, ${what}: ${(error as Error).stack}`]);
    }
  };
  try {
    for (let i = 0; i < FLIPS; i++) {
      // Half of them in the first kilobytes, where headers stand.
      const bit = Math.floor(random() * 8 * (i % 2 ? Math.min(good.length, 4096) : good.length)), byte = bit >> 3;
      writeAt(path, byte, Uint8Array.of(good[byte] ^ 1 << (bit & 7)));
      await attempt(`bit ${bit}`);
      writeAt(path, byte, good.subarray(byte, byte + 1));
    }
    for (let i = 0; i < CUTS; i++) {
      const length = Math.floor(random() * good.length);
      await Deno.truncate(path, length);
      await attempt(`${length} of ${good.length} bytes`);
      writeAt(path, length, good.subarray(length));
    }
  } finally {
    await Deno.writeFile(path, good);
  }
  return count;
}

function writeAt(path: string, at: number, bytes: Uint8Array) {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  for (let n = 0; n < bytes.length;) n += file.writeSync(bytes.subarray(n));
}

const saidBy = (content: unknown) =>
  JSON.stringify(content, (_, value) => ArrayBuffer.isView(value) ? Array.from(value as Uint8Array) : value);
