/** The formats that `deno task fuzz` mutates: good files of each, and the reader that the pipeline reads it with. @module */
import { gunzipSync, gzipSync } from "node:zlib";
import { stream } from "../../../pipeline/arrays/random.ts";
import { sizeOf } from "../../../pipeline/arrays/shape.ts";
import { LA } from "../../../pipeline/datasets/la/profile.ts";
import { fingerprintOf } from "../../../pipeline/datasets/prepared_case.ts";
import { writeArrays } from "../../../pipeline/files/hdf5.ts";
import { recordText } from "../../../pipeline/files/json.ts";
import { decodeHdf5 } from "../../../pipeline/files/hdf5_library.ts";
import { openLog, readLog } from "../../../pipeline/files/log.ts";
import { encode } from "fast-png";
import { decodePng } from "../../../pipeline/files/png.ts";
import { readPlanIfThere } from "../../../pipeline/records/plan.ts";
import { encodeNiftiMask, readNifti } from "../../../pipeline/files/nifti.ts";
import { readMha } from "../../../pipeline/files/mha.ts";
import { decodeTorchFile, encodeTorchFile } from "../../../pipeline/files/torch_file.ts";
import { readNrrd } from "../../../pipeline/files/nrrd.ts";
import { REAL_TYPES, type StoredTensor, type TensorSource } from "../../../pipeline/files/dtypes.ts";
import { readSafetensors, writeSafetensors } from "../../../pipeline/files/safetensors.ts";
import { unreadable } from "../../../pipeline/files/hdf5.ts";
import { BARE_CASE, type Case, CASE_DATASETS, caseOf, writeCase } from "../../../pipeline/records/case.ts";
import { readMetrics } from "../../../pipeline/records/evaluation.ts";
import { type Fingerprint, readManifest } from "../../../pipeline/records/manifest.ts";
import { readRunConfig } from "../../../pipeline/records/run.ts";
import { readSplit } from "../../../pipeline/records/split.ts";

/** One kind of file. */
export interface Format {
  /** Name of the file, as its reader wants it. */
  file: string;
  /**
   * Whether a reader must notice every change of what a file says: true where a checksum or a hash guards it, false where the
   * format has room for another image.
   */
  isGuarded: boolean;
  /** Makes good files, one below the other in their order. @param folder For files that are written on the way. */
  seeds(folder: string): Promise<Uint8Array[]>;
  /** Reads the file of the folder, by its seed's number; what it says, for comparison. */
  read(folder: string, seed: number): Promise<unknown>;
}

const SHAPE = [6, 5, 4] as const, COUNT = sizeOf(SHAPE);
const text = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value, null, 2));

function nrrd(encoding: "raw" | "gzip", type: "uchar" | "short"): Uint8Array {
  const header = [
    ...["NRRD0004", "# made for a test", `type: ${type}`, "dimension: 3", `sizes: ${SHAPE.join(" ")}`],
    ...[
      "space: left-posterior-superior",
      "space directions: (0.6,0,0) (0,0.6,0) (0,0,1.25)",
      "kinds: domain domain domain",
    ],
    ...["endian: little", `encoding: ${encoding}`, "space origin: (-10.5,20,3)", "", ""],
  ].join("\n");
  const random = stream(1, encoding), values = Array.from({ length: COUNT }, () => Math.floor(200 * random()));
  const data = type === "uchar" ? Uint8Array.from(values) : new Uint8Array(Int16Array.from(values).buffer);
  const body = encoding === "gzip" ? gzipSync(data) : data;
  return Uint8Array.of(...text(header), ...body);
}

const mask = Uint8Array.from({ length: COUNT }, (_, i) => i % 7 === 0 ? 1 : 0);
const nifti = encodeNiftiMask(mask, {
  shape: SHAPE,
  geometry: { spacing: [0.6, 0.6, 1.25], origin: [1, 2, 3], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
});

const random = stream(2, "case");
const one: Case = {
  ...BARE_CASE,
  name: "case",
  shape: [...SHAPE],
  image: Float32Array.from({ length: COUNT }, () => Math.floor(40 * random()) / 10 - 2),
  label: mask,
  geometry: { spacing: [0.6, 0.6, 1.25], origin: [1, 2, 3], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
  patient: "p1",
  frame: 1,
  phase: "ED",
  preparation: "none",
};
const fingerprint: Fingerprint = fingerprintOf(one, one, {
  sources: [{ file: "case.nrrd", sha256: "0".repeat(64) }],
  classes: 2,
});

const split = {
  ...{ profile: LA.name, source: "test", labeled: ["a"], unlabeled: ["b"], validation: [], test: ["c"] },
  counts: { labeled: 1, unlabeled: 1, validation: 0, test: 1 },
};
const config = {
  dataset: LA.name,
  method: { name: "ssnet", settings: { bankRows: 32 } },
  training: {
    ...{ preset: "fast", iterations: 4, warmup: 2, precision: "fp32", rateSchedule: "published", ema: false },
    ...{
      lowResolution: null,
      patch: [32, 32, 32],
      seed: 1,
      validateEvery: 2,
      saveEvery: 2,
      threads: 1,
      device: "cpu",
      cases: "c",
    },
  },
  split,
  versions: { deno: "2", tensorflow: null },
  commit: null,
};
const spread = { mean: 0.5, standardDeviation: null, cases: 1 },
  scores = { dice: 0.5, jaccard: 0.4, hd95: 3, asd: null };
const summary = Object.fromEntries(["dice", "jaccard", "hd95", "asd"].map((name) => [name, spread]));
const summaries = { published: { mean: summary }, honest: { mean: summary }, millimeters: null };
const metrics = {
  ...{ dataset: LA.name, method: "ssnet", checkpoint: "last", iteration: 4, batchNorm: "running", precision: "fp32" },
  ...{ patch: [32, 32, 32], stride: [8, 8, 8], components: "classes", preparations: ["none"], nominalSpacing: false },
  split: { ...split.counts, source: "test", patients: null },
  ...{ cases: "c", seconds: 1, versions: {}, classes: ["left atrium"] },
  rows: [{
    ...{ case: "c", patient: null, phase: null, class: "left atrium", voxels: 3, referenceVoxels: 4 },
    ...{ milliliters: null, seconds: 1, published: scores, honest: scores, millimeters: null },
  }],
  ...{ summary: summaries, patientSummary: null, patients: [], clinical: null, volumes: null },
};
const TENSORS: Record<string, TensorSource> = {
  "conv.weight": { shape: [2, 3], dtype: "F32", values: () => Float32Array.of(1, 2, 3, 4, 5, 6) },
  "bn.num_batches_tracked": { shape: [], dtype: "I64", values: () => BigInt64Array.of(7n) },
};
const mha = Uint8Array.of(
  ...text([
    ...[
      "ObjectType = Image",
      "NDims = 3",
      "BinaryData = True",
      "BinaryDataByteOrderMSB = False",
      "CompressedData = False",
    ],
    ...["TransformMatrix = 1 0 0 0 1 0 0 0 1", "Offset = 1 2 3", "ElementSpacing = 0.6 0.6 1.25"],
    ...[`DimSize = ${SHAPE.join(" ")}`, "ElementType = MET_UCHAR", "ElementDataFile = LOCAL", ""],
  ].join("\n")),
  ...mask,
);
const range = { lowest: [1, 1, 1], median: [1, 1, 2], highest: [1, 2, 3] };
const plan = {
  ...{ dataset: "own", title: "Own", unit: "case", classes: ["a", "b"], network: "vnet", protocol: "la" },
  channels: [{ name: "CT", normalization: "CT", foreground: { low: 0, high: 9, mean: 4, standardDeviation: 2 } }],
  ...{ orientation: "LPS", spacing: [1, 1, 2], patch: [32, 32, 16], batch: { labeled: 2, unlabeled: 2 }, overlap: 0.5 },
  ...{ test: ["c"], memory: 8 },
  fingerprint: {
    ...{ labeled: 4, unlabeled: 2, orientations: { LPS: 6 }, spacing: range, shape: range, voxels: { a: 7, b: 8 } },
  },
};
const png = (depth: 8 | 16) =>
  encode({
    ...{ width: 6, height: 5, channels: 1, depth },
    data: Uint16Array.from({ length: 30 }, (_, i) => 7 * i).map((value) => depth === 8 ? value : 256 * value),
  });
const manifest = { dataset: LA.name, options: { crop: "none" }, cases: { case: fingerprint } };
const log = Array.from({ length: 5 }, (_, i) => ({ iteration: i + 1, total: 1 / (i + 1), learning_rate: 0.01 }));

async function written(folder: string, name: string, write: (path: string) => Promise<void>): Promise<Uint8Array> {
  const path = `${folder}/${name}`;
  await write(path);
  const bytes = await Deno.readFile(path);
  await Deno.remove(path);
  return bytes;
}

/** Reads as `readCase`, on this thread: its own worker is what a hang is watched from. */
async function readHere(folder: string, expected?: Fingerprint): Promise<Case> {
  const path = `${folder}/case.h5`, bytes = await Deno.readFile(path);
  const content = await decodeHdf5(bytes, CASE_DATASETS).catch((error) => {
    throw unreadable(path, error.message);
  });
  return caseOf(content, { path, name: "case", expected });
}

/** A JSON file of one good content. @param isRecord Whether it has a checksum. */
const json = (
  file: string,
  content: object,
  { read, isRecord }: { read: (folder: string) => Promise<unknown>; isRecord: boolean },
): Format => ({
  file,
  isGuarded: isRecord,
  seeds: () => Promise.resolve([text(isRecord ? recordText(content) : content)]),
  read,
});

/** The formats by name. */
export const FORMATS: Record<string, Format> = {
  nrrd: {
    file: "a.nrrd",
    isGuarded: false,
    seeds: () => Promise.resolve([nrrd("raw", "uchar"), nrrd("raw", "short"), nrrd("gzip", "short")]),
    read: async (folder) => sized(await readNrrd(`${folder}/a.nrrd`)),
  },
  nifti: {
    file: "a.nii",
    isGuarded: false,
    seeds: () => Promise.resolve([new Uint8Array(gunzipSync(nifti)), nifti]),
    read: async (folder) => sized(await readNifti(`${folder}/a.nii`)),
  },
  mha: {
    file: "a.mha",
    isGuarded: false,
    seeds: () => Promise.resolve([mha]),
    read: async (folder) => sized(await readMha(`${folder}/a.mha`)),
  },
  png: {
    file: "a.png",
    isGuarded: false,
    seeds: () => Promise.resolve([8, 16].map((depth) => png(depth as 8 | 16))),
    read: async (folder) => sized(decodePng(await Deno.readFile(`${folder}/a.png`), "a.png")),
  },
  hdf5: {
    file: "case.h5",
    isGuarded: true,
    seeds: async (folder) => [
      await written(folder, "a.h5", (path) => writeCase(path, one, { file: "case.nrrd", sha256: "0".repeat(64) })),
    ],
    read: (folder) => readHere(folder, fingerprint),
  },
  published: {
    file: "case.h5",
    isGuarded: false,
    seeds: async (folder) => [
      await written(
        folder,
        "b.h5",
        (path) =>
          writeArrays(path, {
            image: { data: one.image, shape: [...SHAPE] },
            label: { data: mask, shape: [...SHAPE] },
          }),
      ),
    ],
    read: (folder) => readHere(folder),
  },
  safetensors: {
    file: "last.safetensors",
    isGuarded: true,
    seeds: async (folder) => [
      await written(folder, "a.safetensors", (path) => writeSafetensors(path, TENSORS, { iteration: "12" })),
    ],
    read: async (folder) => {
      const { tensors, metadata } = await readSafetensors(`${folder}/last.safetensors`);
      return [listed(tensors), metadata];
    },
  },
  torch: {
    file: "a.pth",
    isGuarded: false,
    seeds: async () => [await encodeTorchFile(TENSORS)],
    read: async (folder) => listed(await decodeTorchFile(await Deno.readFile(`${folder}/a.pth`), "a.pth")),
  },
  split: json("split.json", split, { read: (folder) => readSplit(`${folder}/split.json`, LA.name), isRecord: false }),
  config: json("config.json", config, { read: readRunConfig, isRecord: true }),
  manifest: json("manifest.json", manifest, {
    read: async (folder) => ({ ...await readManifest(folder), sha256: "" }),
    isRecord: true,
  }),
  plan: json("plan.json", plan, { read: (folder) => readPlanIfThere(folder, "own"), isRecord: false }),
  metrics: json("metrics.json", metrics, { read: readMetrics, isRecord: true }),
  log: {
    file: "metrics.jsonl",
    isGuarded: true,
    seeds: async (folder) => [
      await written(folder, "a.jsonl", async (path) => {
        using open = await openLog(path, 0);
        log.forEach(open.write);
      }),
    ],
    // Rows may be missing or stand twice, which their iterations tell; none may say what was not written, unless no line
    // has a checksum any more, as in an earlier version's log.
    read: async (folder) => {
      const path = `${folder}/metrics.jsonl`,
        rows = await readLog(path),
        written = log.map((row) => JSON.stringify(row));
      const isSealed = (await Deno.readTextFile(path)).includes('"crc32":');
      return isSealed ? rows.filter((row) => !written.includes(JSON.stringify(row))) : [];
    },
  },
};

/** Arrays by name, with the values of those that can be read. */
function listed(tensors: Record<string, StoredTensor>): unknown[] {
  return Object.entries(tensors).map(([name, tensor]) => [
    ...[name, tensor.shape, tensor.dtype],
    REAL_TYPES.includes(tensor.dtype) ? Array.from(tensor.values(), String) : null,
  ]).sort();
}

/** A volume whose parts agree; an error that no reader throws where they do not. */
function sized<
  V extends { shape: readonly number[]; data: { length: number }; geometry: { spacing: number[] } | null },
>(
  volume: V,
): V {
  const { shape, data, geometry } = volume;
  if (data.length !== sizeOf(shape)) throw new RangeError(`${data.length} voxels of shape [${shape}]`);
  if (geometry && !geometry.spacing.every((width) => width > 0 && width < Infinity)) {
    throw new RangeError(`spacing ${geometry.spacing}`);
  }
  return volume;
}
