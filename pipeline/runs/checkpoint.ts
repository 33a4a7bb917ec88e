/**
 * Checkpoints: `*.safetensors` with the names and layouts of the authors' `state_dict`, and `state.safetensors` beside
 * them with what resuming needs (weights, momentum, running statistics, the method's memory, iteration).
 * @module
 */
import { DataError } from "../data/cases.ts";
import type { Method } from "../methods/method.ts";
import { type NetworkSpec, sizeOf, type StateDict, toPyTorch, toTensorFlow } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Tensor, Tensor1D } from "../tensorflow/tensors.ts";
import { readSafetensors, type StoredTensor, writeSafetensors } from "./safetensors.ts";
import type { TrainingState } from "./training_step.ts";

/** A network's parameters and running statistics, as stored arrays; `num_batches_tracked` is what PyTorch expects beside them. */
function stateDict(spec: NetworkSpec, { weights, buffers }: TrainingState, iteration: number) {
  const tensors: Record<string, StoredTensor> = {};
  for (const { name, shape } of spec.parameters) tensors[name] = { shape, data: toPyTorch(weights[name]) };
  for (const { name, shape, kind } of spec.buffers) {
    tensors[name] = { shape, data: toPyTorch(buffers[name]) };
    if (kind === "running_var") {
      const counter = name.replace("running_var", "num_batches_tracked");
      tensors[counter] = { shape: [], data: new BigInt64Array([BigInt(iteration)]) };
    }
  }
  return tensors;
}

/**
 * Writes a checkpoint that Python's `load_state_dict` reads; under a temporary name, then renamed. Needs `--allow-read`,
 * `--allow-write`.
 * @param iteration The last one that the state has seen; the file's metadata.
 */
export function writeCheckpoint(
  path: string,
  spec: NetworkSpec,
  state: TrainingState,
  iteration: number,
): Promise<void> {
  return writeSafetensors(path, stateDict(spec, state, iteration), { iteration: String(iteration) });
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
  const shown = problems.slice(0, 8), rest = problems.length - shown.length;
  if (rest) shown.push(`and ${rest} more`);
  throw new DataError(`Cannot load "${path}": it is a checkpoint of another network\n${shown.join("\n")}`);
}

/**
 * Reads a checkpoint of ours or one converted from PyTorch; what the network does not have is left out of its weights.
 * Needs `--allow-read`.
 * @returns `iteration` 0 where the file does not say it.
 * @throws {DataError} Naming what is missing or of another shape, or when it is no safetensors.
 */
export async function readCheckpoint(
  path: string,
  spec: NetworkSpec,
): Promise<{ state: StateDict; iteration: number }> {
  const { tensors, metadata } = await readSafetensors(path);
  checkShapes(path, tensors, [...spec.parameters, ...spec.buffers]);
  const state = Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data as Float32Array]));
  return { state, iteration: Number(metadata.iteration ?? 0) };
}

/**
 * Writes what resuming needs, after the iteration named: a checkpoint's arrays, then `momentum.NAME`, `memory.NAME` and
 * `touched`; under a temporary name, then renamed. Needs `--allow-read`, `--allow-write`.
 */
export async function writeState(
  path: string,
  spec: NetworkSpec,
  state: TrainingState,
  iteration: number,
): Promise<void> {
  const tensors = stateDict(spec, state, iteration);
  for (const { name, shape } of spec.parameters) {
    tensors[`momentum.${name}`] = { shape, data: toPyTorch(state.momentum[name]) };
  }
  for (const [name, tensor] of Object.entries(state.memory)) {
    tensors[`memory.${name}`] = { shape: tensor.shape, data: tensor.dataSync() as Float32Array };
  }
  tensors.touched = { shape: state.touched.shape, data: state.touched.dataSync() as Float32Array };
  await writeSafetensors(path, tensors, { iteration: String(iteration) });
}

/**
 * Reads what {@linkcode writeState} wrote. Needs `--allow-read`.
 * @throws {DataError} When it belongs to another method or network, naming what is missing or of another shape.
 */
export async function readState(
  path: string,
  { spec, memory }: Pick<Method, "spec" | "memory">,
): Promise<{ state: TrainingState; iteration: number }> {
  const { tensors, metadata } = await readSafetensors(path);
  const { tf } = openTensorFlow();
  const named = (list: { name: string; shape: number[] }[], prefix: string) =>
    list.map(({ name, shape }) => ({ name: prefix + name, shape }));
  const memories = Object.entries(memory(() => 0)).map(([name, tensor]) => {
    tensor.dispose(); // only its shape is wanted
    return { name, shape: tensor.shape };
  });
  checkShapes(path, tensors, [
    ...spec.parameters,
    ...spec.buffers,
    ...named(spec.parameters, "momentum."),
    ...named(memories, "memory."),
    { name: "touched", shape: [spec.parameters.length] },
  ]);
  const values = (name: string) => tensors[name].data as Float32Array;
  const load = (list: { name: string; shape: number[] }[], prefix = ""): Record<string, Tensor> =>
    Object.fromEntries(list.map(({ name, shape }) => [name, toTensorFlow(values(prefix + name), shape)]));
  const state = {
    weights: load(spec.parameters),
    momentum: load(spec.parameters, "momentum."),
    buffers: load(spec.buffers),
    memory: Object.fromEntries(memories.map(({ name, shape }) => [name, tf.tensor(values(`memory.${name}`), shape)])),
    touched: tf.tensor1d(values("touched")) as Tensor1D,
  };
  return { state, iteration: Number(metadata.iteration) };
}
