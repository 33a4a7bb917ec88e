/** Bits that flip and copies that end early, in every kind of file that the tasks write: refused by name, or the same content. @module */
import { stream } from "../../../pipeline/arrays/random.ts";
import { DataError } from "../../../pipeline/files/errors.ts";
import { readLog } from "../../../pipeline/files/log.ts";
import { readSafetensors } from "../../../pipeline/files/safetensors.ts";
import { readCase } from "../../../pipeline/records/case.ts";
import { readCellIfThere } from "../../../pipeline/records/cell.ts";
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
  /** Whether every change of what it says must be noticed; else those are counted apart. */
  isGuarded: boolean;
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
  const evaluation = `${run}/evaluation-running`,
    manifest = await readManifest(cases),
    [first] = Object.keys(manifest.cases);
  const split = `${home}/split acdc/split.json`,
    guarded = (path: string, read: () => Promise<unknown>) => ({ path, read, isGuarded: true });
  return {
    checkpoint: guarded(`${run}/last.safetensors`, () => readWeights(`${run}/last.safetensors`)),
    state: guarded(`${run}/state.safetensors`, () => readWeights(`${run}/state.safetensors`)),
    case: guarded(
      `${cases}/${first}.h5`,
      () => readCase(`${cases}/${first}.h5`, first, { expected: manifest.cases[first] }),
    ),
    manifest: guarded(`${cases}/manifest.json`, async () => ({ ...await readManifest(cases), sha256: "" })),
    split: guarded(split, async () => {
      const read = await readSplit(split, "acdc"), { labeled, unlabeled, validation, test } = read;
      await checkCases(read, cases, split);
      return { labeled, unlabeled, validation, test };
    }),
    config: guarded(`${run}/config.json`, () => readRunConfig(run)),
    metrics: guarded(`${evaluation}/metrics.json`, () => readMetrics(evaluation)),
    cell: guarded(`${cell}/cell.json`, () => readCellIfThere(cell)),
    summary: guarded(
      `${home}/predict/masks/summary.json`,
      () => readPredictionIfThere(`${home}/predict/masks/summary.json`),
    ),
    log: { path: `${run}/metrics.jsonl`, read: () => readLog(`${run}/metrics.jsonl`), isGuarded: false },
  };
}

/** Names and metadata: the values behind them are of the checksum. */
async function readWeights(path: string): Promise<unknown> {
  const { tensors, metadata } = await readSafetensors(path);
  return [Object.keys(tensors), metadata];
}

async function flip(name: string, { path, read, isGuarded }: Kind, seed: number): Promise<Count> {
  const count = countOf(`bits of ${name}`), good = await Deno.readFile(path), wanted = saidBy(await read());
  const random = stream(seed, `bits ${name}`);
  let others = 0;
  const attempt = async (what: string) => {
    try {
      if (saidBy(await read()) === wanted) add(count, []);
      else if (isGuarded) add(count, [`${path}, ${what}: not noticed`]);
      else others += 1;
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
  if (!isGuarded) count.note = `${others} more say something else: nothing guards its numbers`;
  return count;
}

function writeAt(path: string, at: number, bytes: Uint8Array) {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  for (let n = 0; n < bytes.length;) n += file.writeSync(bytes.subarray(n));
}

const saidBy = (content: unknown) =>
  JSON.stringify(content, (_, value) => ArrayBuffer.isView(value) ? Array.from(value as Uint8Array) : value);
