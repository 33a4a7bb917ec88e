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
import { readSafetensors, type StoredTensor, type TensorSource, writeSafetensors } from "../files/safetensors.ts";
import type { TrainingState } from "./training_step.ts";
import { sizeOf } from "../arrays/shape.ts";

/** The values, if all are finite. @throws {DivergedError} With the name and the first value that is not. */
function finite(values: Float32Array, name: string, told: { cannot: string; remedy: string }): Float32Array {
  const i = values.findIndex((value) => !Number.isFinite(value));
  if (i < 0) return values;
  throw new DivergedError(`${told.cannot}: ${name} holds ${values[i]}, so the training diverged; ${told.remedy}`);
}

/** A network's parameters and running statistics; `num_batches_tracked` is what PyTorch expects beside them. */
function stateDict(path: string, spec: NetworkSpec, { weights, buffers }: NetworkParameters, iteration: number) {
  const tensors: Record<string, TensorSource> = {};
  const told = { cannot: `Cannot write "${path}"`, remedy: "the checkpoint before it, if any, is kept" };
  const add = (name: string, shape: number[], tensor: Tensor) => {
    tensors[name] = { shape, dtype: "F32", values: () => finite(toPyTorch(tensor), name, told) };
  };
  for (const { name, shape } of spec.parameters) add(name, shape, weights[name]);
  for (const { name, shape, kind } of spec.buffers) {
    add(name, shape, buffers[name]);
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
 * @param options `dice` of the validation for which the checkpoint is kept goes there too.
 * @throws {DivergedError} When a weight or running statistic is not finite; what stood there is kept.
 */
export function writeCheckpoint(
  path: string,
  spec: NetworkSpec,
  parameters: NetworkParameters,
  iteration: number,
  { dice }: { dice?: number } = {},
): Promise<void> {
  const metadata = { iteration: String(iteration), ...dice !== undefined && { dice: String(dice) } };
  return writeSafetensors(path, stateDict(path, spec, parameters, iteration), metadata);
}

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

/** Refuses a file that lacks arrays or holds them in other shapes, naming them. */
function checkShapes(path: string, tensors: Record<string, StoredTensor>, wanted: { name: string; shape: number[] }[]) {
  const problems = wanted.flatMap(({ name, shape }) => {
    const found = tensors[name]?.shape;
    return found && String(found) === String(shape) && tensors[name].data.length === sizeOf(shape)
      ? []
      : [`${name}: [${shape}] wanted, ${found ? `[${found}]` : "nothing"} found`];
  });
  if (!problems.length) return;
  const names = Object.keys(tensors), first = wanted[0].name, like = names.find((name) => name.endsWith(`.${first}`));
  const prefix = like?.slice(0, -first.length);
  if (prefix && wanted.every(({ name }) => prefix + name in tensors)) {
    throw new DataError(
      `Cannot load "${path}": its names begin with "${prefix}" (${like}), those of the network do not (${first}); save it ` +
        `without, in Python {name.removeprefix("${prefix}"): value for name, value in state.items()}`,
    );
  }
  const shown = problems.slice(0, 8), rest = problems.length - shown.length;
  if (rest) shown.push(`and ${rest} more`);
  throw new DataError(`Cannot load "${path}": it is a checkpoint of another network\n${shown.join("\n")}`);
}

/**
 * Reads a checkpoint of ours or one converted from PyTorch; what the network does not have is left out of its weights.
 * Needs `--allow-read`.
 * @returns `iteration` 0 where the file does not say it.
 * @throws {DataError} Naming what is missing or of another shape, or when it is no safetensors.
 * @throws {DivergedError} When a weight or running statistic is not finite.
 */
export async function readCheckpoint(
  path: string,
  spec: NetworkSpec,
): Promise<{ state: StateDict; iteration: number }> {
  const { tensors, metadata } = await readSafetensors(path);
  checkShapes(path, tensors, [...spec.parameters, ...spec.buffers]);
  const told = { cannot: `Cannot use "${path}"`, remedy: "take another checkpoint, or train anew" };
  for (const { name } of [...spec.parameters, ...spec.buffers]) finite(tensors[name].data as Float32Array, name, told);
  const state = Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data as Float32Array]));
  return { state, iteration: Number(metadata.iteration ?? 0) };
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
  const values = (name: string) => tensors[name].data as Float32Array;
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
