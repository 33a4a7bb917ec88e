/**
 * Checkpoints: `*.safetensors` with the names and layouts of the authors' `state_dict`, and `state.safetensors` beside
 * them with what resuming needs (weights, momentum, running statistics, the method's own state, iteration).
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { DataError, DivergedError } from "../files/errors.ts";
import type { NetworkParameters } from "../evaluation/inference.ts";
import type { Method } from "../methods/method.ts";
import { type NetworkSpec, type StateDict, toPyTorch, toTensorFlow } from "../networks/parameters.ts";
import { DRAWS } from "../tensorflow/ops.ts";
import type { Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { asHalf, type StoredTensor, type TensorSource } from "../files/dtypes.ts";
import { encodeTorchFile } from "../files/torch_file.ts";
import { readSafetensors, safetensorsParts, writeSafetensors } from "../files/safetensors.ts";
import { listed } from "../files/words.ts";
import { matchWeights, mismatch } from "../networks/matching.ts";
import type { TrainingState } from "./training_step.ts";

/** The values, if all are finite. @throws {DivergedError} With the name and the first value that is not. */
function finite(values: Float32Array, name: string, told: { cannot: string; remedy: string }): Float32Array {
  const i = values.findIndex((value) => !Number.isFinite(value));
  if (i < 0) return values;
  throw new DivergedError(`${told.cannot}: ${name} holds ${values[i]}, so the training diverged; ${told.remedy}`);
}

/** A network's parameters and running statistics; `num_batches_tracked` is what PyTorch expects beside them. */
function stateDict(path: string, spec: NetworkSpec, { weights, buffers }: NetworkParameters, iteration: number) {
  const told = { cannot: `Cannot write "${path}"`, remedy: "the checkpoint before it, if any, is kept" };
  return stateSources(spec, iteration, (name, shape) => ({
    shape,
    dtype: "F32",
    values: () => finite(toPyTorch(weights[name] ?? buffers[name]), name, told),
  }));
}

/** Parameters and running statistics in the order of PyTorch's `state_dict`, with its counters. */
function stateSources(
  spec: NetworkSpec,
  iteration: number,
  sourceOf: (name: string, shape: number[]) => TensorSource,
): Record<string, TensorSource> {
  const tensors: Record<string, TensorSource> = {};
  for (const { name, shape } of spec.parameters) tensors[name] = sourceOf(name, shape);
  for (const { name, shape, kind } of spec.buffers) {
    tensors[name] = sourceOf(name, shape);
    if (kind === "running_var") {
      const counter = name.replace("running_var", "num_batches_tracked");
      tensors[counter] = { shape: [], dtype: "I64", values: () => new BigInt64Array([BigInt(iteration)]) };
    }
  }
  return tensors;
}

function asPyTorchHasIt(shape: number[], tensor: Tensor): TensorSource {
  return { shape, dtype: "F32", values: () => toPyTorch(tensor) };
}

function asItIs(tensor: Tensor): TensorSource {
  return { shape: tensor.shape, dtype: "F32", values: () => tensor.dataSync() as Float32Array };
}

/**
 * Writes a checkpoint that Python's `load_state_dict` reads; under a temporary name, then renamed. The parameters must
 * stay as they are until then: one array after the other is read from them. Needs `--allow-read`, `--allow-write`.
 * @param iteration The last one that the state has seen; in the file's metadata.
 * @param options `dice` of the validation for which the checkpoint is kept goes there too, and that its statistics are
 * `recomputed`, not those that the training collected.
 * @throws {DivergedError} When a weight or running statistic is not finite; what stood there is kept.
 */
export function writeCheckpoint(
  path: string,
  spec: NetworkSpec,
  parameters: NetworkParameters,
  iteration: number,
  { dice, recomputed = false }: { dice?: number; recomputed?: boolean } = {},
): Promise<void> {
  const metadata = {
    iteration: String(iteration),
    ...dice !== undefined && { dice: String(dice) },
    ...recomputed && { statistics: "recomputed" },
  };
  return writeSafetensors(path, stateDict(path, spec, parameters, iteration), metadata);
}

/** Whether the statistics in a checkpoint are recomputed ones, by the file's metadata. */
const isRecomputed = ({ statistics }: Record<string, string>): boolean => statistics === "recomputed";

/**
 * The validation Dice of a checkpoint that was kept for it; 0 where there is none. Needs `--allow-read`.
 * @throws {DataError} When the file does not say it.
 */
export async function readBestDice(path: string): Promise<number> {
  let metadata: Record<string, string>;
  try {
    ({ metadata } = await readSafetensors(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
  const dice = Number(metadata.dice);
  if (dice >= 0 && dice <= 1) return dice;
  throw new DataError(
    `Cannot tell how good "${path}" is: it does not say its validation Dice; move it away, and the next validation keeps ` +
      `its own`,
  );
}

/** The first lines, and how many more there are. */
function firstOf(lines: string[]): string {
  const shown = lines.slice(0, 8), rest = lines.length - shown.length;
  return [...shown, ...rest ? [`and ${rest} more`] : []].join("\n");
}

/** Refuses a file that lacks arrays or holds them in other shapes, naming them. */
function checkShapes(path: string, tensors: Record<string, StoredTensor>, wanted: { name: string; shape: number[] }[]) {
  const problems = wanted.flatMap(({ name, shape }) => mismatch(tensors[name], { name, shape }) ?? []);
  if (problems.length) throw otherNetwork(path, problems);
}

function checkFinite(path: string, state: StateDict) {
  const told = { cannot: `Cannot use "${path}"`, remedy: "take another checkpoint, or train anew" };
  for (const [name, values] of Object.entries(state)) finite(values, name, told);
}

const otherNetwork = (path: string, problems: string[]) =>
  new DataError(`Cannot load "${path}": it is a checkpoint of another network\n${firstOf(problems)}`);

/** A checkpoint's arrays. */
export interface Checkpoint {
  /** All of the network's, and nothing else. */
  state: StateDict;
  /** The iteration after which it was written; 0 where the file does not say it. */
  iteration: number;
  /** What stood in front of the names; "" as a rule. */
  prefix: string;
  /** Whether the statistics of its batch norms are recomputed ones. */
  recomputed: boolean;
}

/**
 * Reads a checkpoint of ours or a state dict of PyTorch's, as {@linkcode matchWeights} does; what the network does not have is
 * left out. Needs `--allow-read`.
 * @throws {DataError} Naming what is missing or of another shape, or when it is no file of weights.
 * @throws {DivergedError} When a weight or running statistic is not finite.
 */
export async function readCheckpoint(path: string, spec: NetworkSpec): Promise<Checkpoint> {
  const { state, lacking, others, prefix, metadata } = await matchWeights(path, spec);
  if (lacking.length) throw otherNetwork(path, lacking);
  // Instance and group norm have the parameters of batch norm: that alone has statistics.
  const norms = new Set(spec.parameters.map(({ name }) => `${prefix}${name.replace(/weight$/, "running_mean")}`));
  const statistics = others.filter((name) => norms.has(name));
  if (statistics.length) {
    throw otherNetwork(path, statistics.map((name) => `${name}: nothing wanted, statistics of a batch norm found`));
  }
  checkFinite(path, state);
  return { state, iteration: Number(metadata.iteration ?? 0), prefix, recomputed: isRecomputed(metadata) };
}

/**
 * A checkpoint for other programs: the bytes of a safetensors or of a file of torch's, whose names and layouts
 * `load_state_dict` reads. PyTorch's names, layouts and order are ours already.
 * @param options `half`: the numbers as float16; `metadata`: of a safetensors file, beside the iteration.
 * @throws {RangeError} When a value is beyond float16.
 */
export async function encodeCheckpoint(
  { state, iteration, recomputed }: Pick<Checkpoint, "state" | "iteration" | "recomputed">,
  spec: NetworkSpec,
  { format, half, metadata }: {
    format: "safetensors" | "pth";
    half: boolean;
    metadata: Record<string, string>;
  },
): Promise<Uint8Array> {
  const tensors = stateSources(
    spec,
    iteration,
    (name, shape) =>
      half
        ? { shape, dtype: "F16", values: () => asHalf(name, state[name]) }
        : { shape, dtype: "F32", values: () => state[name] },
  );
  if (format === "pth") return await encodeTorchFile(tensors);
  const all = { ...metadata, iteration: `${iteration}`, ...recomputed && { statistics: "recomputed" } };
  return new Uint8Array(await new Blob([...safetensorsParts(tensors, all)] as BlobPart[]).arrayBuffer());
}

/**
 * What a training can begin with of a file: all of the network's arrays that are there in its shapes. Needs `--allow-read`.
 * @returns `lines`: in words, what was taken, and by name what was not.
 * @throws {DataError} When nothing matches, or it is no file of weights.
 * @throws {DivergedError} When a weight or running statistic is not finite.
 */
export async function readInitial(path: string, spec: NetworkSpec): Promise<{ state: StateDict; lines: string[] }> {
  const { state, prefix, lacking, others } = await matchWeights(path, spec), taken = Object.keys(state).length;
  if (!taken) throw otherNetwork(path, lacking);
  checkFinite(path, state);
  return {
    state,
    lines: [
      `${taken} of ${taken + lacking.length} arrays are those of "${path}"${prefix && `, there behind "${prefix}"`}`,
      ...lacking.length ? [`these begin anew:\n${lacking.map((line) => `  ${line}`).join("\n")}`] : [],
      ...others.length ? [`not of this network: ${listed(others)}`] : [],
    ],
  };
}

/**
 * Writes what resuming needs, after the iteration named: a checkpoint's arrays, then `momentum.NAME`, `methodState.NAME` and
 * `hadGradient`; under a temporary name, then renamed. The state must stay as it is until then. Needs `--allow-read`,
 * `--allow-write`.
 * @throws {DivergedError} As {@linkcode writeCheckpoint}.
 */
export async function writeState(
  path: string,
  spec: NetworkSpec,
  state: TrainingState,
  iteration: number,
): Promise<void> {
  const tensors = stateDict(path, spec, state, iteration);
  for (const { name, shape } of spec.parameters) {
    tensors[`momentum.${name}`] = asPyTorchHasIt(shape, state.momentum[name]);
  }
  for (const [name, tensor] of Object.entries(state.methodState)) tensors[`methodState.${name}`] = asItIs(tensor);
  tensors.hadGradient = asItIs(state.hadGradient);
  await writeSafetensors(path, tensors, { iteration: String(iteration), draws: DRAWS });
}

/** The name of a state's array, by that which versions up to 0.1 wrote. */
function presentName(stored: string): string {
  return stored === "touched" ? "hadGradient" : stored.replace(/^memory\./, "methodState.");
}

/**
 * Reads what {@linkcode writeState} wrote. Needs `--allow-read`.
 * @throws {DataError} When it belongs to another method or network, naming what is missing or of another shape; when it
 * does not say after which iteration it was written; when its training drew other noise than this program.
 */
export async function readState(
  path: string,
  { spec, methodState }: Pick<Method, "spec" | "methodState">,
): Promise<{ state: TrainingState; iteration: number }> {
  const { tensors: stored, metadata } = await readSafetensors(path);
  const tensors = Object.fromEntries(Object.entries(stored).map(([name, tensor]) => [presentName(name), tensor]));
  if (!/^\d{1,15}$/.test(metadata.iteration)) {
    throw new DataError(
      `Cannot resume from "${path}": its iteration is ${
        JSON.stringify(metadata.iteration) ?? "missing"
      }, a whole number ` +
        `wanted; it is damaged, begin the run anew`,
    );
  }
  if (metadata.draws !== DRAWS) {
    throw new DataError(
      `Cannot resume from "${path}": its training drew the noise of version ${
        metadata.draws ?? "1"
      }, this program draws ` +
        `version ${DRAWS}, so the run would go on as another one; begin it anew, or go on with the program it was begun with`,
    );
  }
  const named = (list: { name: string; shape: number[] }[], prefix: string) =>
    list.map(({ name, shape }) => ({ name: prefix + name, shape }));
  const ownState = Object.entries(methodState(() => 0)).map(([name, tensor]) => {
    tensor.dispose(); // only its shape is wanted
    return { name, shape: tensor.shape };
  });
  checkShapes(path, tensors, [
    ...spec.parameters,
    ...spec.buffers,
    ...named(spec.parameters, "momentum."),
    ...named(ownState, "methodState."),
    { name: "hadGradient", shape: [spec.parameters.length] },
  ]);
  const values = (name: string) => tensors[name].values();
  const load = (list: { name: string; shape: number[] }[], prefix = ""): Record<string, Tensor> =>
    Object.fromEntries(list.map(({ name, shape }) => [name, toTensorFlow(values(prefix + name), shape)]));
  const state = {
    weights: load(spec.parameters),
    momentum: load(spec.parameters, "momentum."),
    buffers: load(spec.buffers),
    methodState: Object.fromEntries(
      ownState.map(({ name, shape }) => [name, tf.tensor(values(`methodState.${name}`), shape)]),
    ),
    hadGradient: tf.tensor1d(values("hadGradient")) as Tensor1D,
  };
  return { state, iteration: Number(metadata.iteration) };
}
