/** What `deno task bench` times, and the options of each kind. @module */
import { closest } from "fastest-levenshtein";
import { z } from "zod";
import { DATASET_NAMES, DATASETS } from "../datasets/datasets.ts";
import { METHOD_NAMES } from "../methods/methods.ts";
import { NETWORK_NAMES } from "../networks/network.ts";
import { MACHINE, patchText, pathOption } from "../command/options.ts";
import { NORMS } from "../tensorflow/norms.ts";
import { PRECISIONS } from "../tensorflow/precision.ts";

/** What a forward and backward pass is timed of: the segmentation networks, and SASSNet's discriminator. */
export const COUNTED_NETWORKS = [...NETWORK_NAMES, "discriminator"] as const;
/** One of {@linkcode COUNTED_NETWORKS}. */
export type CountedNetwork = typeof COUNTED_NETWORKS[number];

const datasets = z.enum(DATASET_NAMES), precisions = z.enum(PRECISIONS);
const dataset = datasets.default("la").describe("whose shapes");
const precision = precisions.default("fp32").describe("arithmetic");
const iterations = z.int().positive().default(3).describe("repetitions after a first one that is not counted");
const json = z.boolean().default(false).describe("one JSON line");
const patch = z.string().optional().describe("size of a row, multiples of 16 as in 112x112x80, not the dataset's");
const each = {
  dataset: datasets.optional().describe("whose shapes; both without it"),
  precision: precisions.optional().describe("arithmetic; every one of the device without it"),
  patch,
};

/** Kinds that time something; each has its schema of options. */
export const KINDS = {
  step: z.strictObject({
    dataset,
    method: z.enum([...METHOD_NAMES, "all"]).default("ssnet").describe("whose step"),
    norm: z.enum(NORMS).optional().describe("behind the convolutions (default: batch)"),
    precision,
    patch,
    rows: z.int().positive().optional().describe("labeled rows of a batch, and as many unlabeled ones"),
    channels: z.int().positive().optional().describe("of an image, not the dataset's"),
    classes: z.int().min(2).optional().describe("background included, not the dataset's"),
    iterations,
    ...MACHINE,
    pool: z.number().positive().optional().describe("GB of the GPU's memory for TensorFlow, all of it without this"),
    json,
  }),
  "forward-backward": z.strictObject({
    dataset,
    network: z.enum(COUNTED_NETWORKS).optional().describe("whose passes, not the dataset's network's"),
    precision,
    patch,
    iterations,
    ...MACHINE,
    json,
  }),
  counts: z.strictObject({
    ...each,
    method: z.enum(METHOD_NAMES).optional().describe("whose step; all without it"),
    iterations,
    ...MACHINE,
    json,
  }),
  inference: z.strictObject({ dataset, precision, patch, iterations, ...MACHINE, json }),
  metrics: z.strictObject({ iterations, json }),
  micro: z.strictObject({
    only: z.string().default("").describe("pieces that have this text in their name"),
    precision,
    iterations: iterations.default(10),
    ...MACHINE,
    json,
  }),
  "end-to-end": z.strictObject({ ...each, iterations, ...MACHINE, json }),
  cases: z.strictObject({
    dataset,
    cases: z.int().min(4).default(16).describe("files to read, half of them labeled"),
    patch,
    iterations,
    json,
  }),
  scaling: z.strictObject({
    axis: z.enum(["patch", "batch", "threads", "cases"]).optional().describe("what is changed; all without it"),
    dataset,
    method: z.enum(METHOD_NAMES).default("supervised").describe("whose step"),
    precision,
    iterations,
    ...MACHINE,
    json,
  }),
  all: z.strictObject({ iterations: iterations.default(5), ...MACHINE, json }),
  compare: z.strictObject({
    baselines: z.array(pathOption()).min(1).describe("files that --json of the other kinds wrote"),
    with: pathOption().optional().describe("folder of another checkout, which is run in turn with this one"),
    rounds: z.int().min(8).default(8).describe("with --with: times that each of the two is run"),
    json,
  }),
};

/** Name of a kind. */
export type Kind = keyof typeof KINDS;
/** Options of a kind. */
export type OptionsOf<K extends Kind> = z.infer<typeof KINDS[K]>;

/** What each kind is, in a line. */
export const DESCRIPTIONS: Record<Kind, string> = {
  step: "One training step of a method; --method all: every method on both datasets in every precision",
  "forward-backward":
    "One patch (LA) or slice (ACDC) through a network and back: forward alone, back to the input, to all",
  counts: "Every method's step against the passes that it is made of, at their measured times",
  inference: "One window (LA), or a volume of 10 slices with its zooms (ACDC)",
  metrics: "Dice, Jaccard, 95HD and ASD of one LA-sized pair of masks",
  micro: "Single convolutions, norms, losses, distance transforms, metrics, loaders",
  "end-to-end": "Cases a minute of an evaluation, from the image to the scores",
  cases: "Reading so many cases as a training does, their memory, and a batch of them",
  scaling: "A method's step by patch, batch and threads, and reading by cases",
  all: "Everything above in one JSON, a baseline to compare with",
  compare: "Files of --json against this tree: faster, slower or noise",
};

const NAMES = Object.keys(KINDS) as Kind[];

/** Whether something is a kind. */
export const isKind = (name: string | undefined): name is Kind => NAMES.includes(name as Kind);

/** All kinds with what they are, a line each. */
export function kindsText(): string {
  return Object.entries(DESCRIPTIONS).map(([kind, text]) => `  ${kind.padEnd(18)}${text}`).join("\n");
}

/** What is wrong with a name that is no kind. */
export function unknownKind(name: string | undefined): string {
  const near = name && ` did you mean ${closest(name, NAMES)}?`;
  return `Cannot time "${name ?? ""}":${near ?? ""} one of these is wanted:\n${kindsText()}`;
}

/** Why a patch cannot be one of the datasets that are asked for; null when it can. */
export function patchProblem({ dataset, patch }: { dataset?: keyof typeof DATASETS; patch?: string }): string | null {
  for (const name of patch === undefined ? [] : dataset ? [dataset] : DATASET_NAMES) {
    const { error } = patchText(DATASETS[name]).safeParse(patch);
    if (error) return `Cannot take the patch "${patch}" for ${name}: ${error.issues[0].message}`;
  }
  return null;
}
