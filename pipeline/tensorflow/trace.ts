/**
 * `trace(fn)`: a tfjs function becomes one TensorFlow function, run by a single `StatefulPartitionedCall`.
 * What is random or changes from call to call must be an argument, or come from a stateless operation with a seed argument.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { TensorFlowError } from "./library.ts";
import { tensorflow } from "./device.ts";
import { type OperationTime, readOperationTimes } from "./operation_times.ts";
import type { Tensor } from "./tensors.ts";
import { isAutocast, type Precision } from "./precision.ts";
import { formOf, tensorsOf, withTensors } from "./tree.ts";

/**
 * ConfigProto.graph_options.rewrite_options, arithmetic_optimization = OFF: it flattens chains of additions in an order that
 * differs from process to process, and with it the last digits of a step.
 */
const CONFIG = new Uint8Array([0x52, 0x04, 0x52, 0x02, 0x38, 0x02]);

/**
 * A traced function: a tree like the one that `fn` gave, whose tensors the caller disposes. It does not block: TensorFlow
 * computes on threads of its own. Traced functions live as long as the process.
 */
export interface Traced<Inputs extends unknown[], Outputs> {
  (...inputs: Inputs): Promise<Outputs>;
  /** Times of all operations of one call on these arguments, which gives no results; the function is traced anew for it. */
  profile(...inputs: Inputs): Promise<OperationTime[]>;
}

/**
 * Traces `fn` at its first call and whenever the names, shapes or data types in its arguments change.
 * Tensors that `fn` reads without receiving them are captured by reference and must outlive the traced function.
 *
 * @param fn Trees of tensors in (a tensor, null, or lists and records of trees), one out; runs once per form, on symbols.
 * @param precision "bf16" records it with casts; another one must be what TensorFlow is open for, as it is by default.
 * @throws {TensorFlowError} When traced code reads a value, or the device does not have the precision.
 *
 * @example A function and its gradient are one call of TensorFlow
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { type Tensor } from "@ssnet/pipeline/tensorflow/tensors.ts";
 * import { trace } from "@ssnet/pipeline/tensorflow/trace.ts";
 *
 * openTensorFlow({ device: "cpu" });
 * const cube = (x: Tensor) => tf.mul(x, tf.square(x));
 * const traced = trace(({ x }: { x: Tensor }) => ({ value: cube(x), gradient: tf.grad(cube)(x) }));
 * const { value, gradient } = await traced({ x: tf.scalar(2) });
 * assert.deepEqual([value.dataSync()[0], gradient.dataSync()[0]], [8, 12]);
 * ```
 */
export function trace<Inputs extends unknown[], Outputs>(
  fn: (...inputs: Inputs) => Outputs,
  precision: Precision = tensorflow().binding.single,
): Traced<Inputs, Outputs> {
  const open = tensorflow(), { backend, binding } = open, autocast = isAutocast(open, precision);
  const functions = new Map<
    string,
    { name: string; captured: number[]; capturedTypes: number[]; outputTypes: number[]; outputs: Outputs }
  >();
  const typeOf = (tensor: Tensor): number => backend.getDTypeInteger(tensor.dtype);

  /** Runs `fn` on symbols and hands its outputs to what ends the recording. */
  function record<R>(inputs: Inputs, finish: (outputs: Outputs, tensors: Tensor[], ids: number[]) => R): R {
    const given = tensorsOf(inputs);
    // Values that live in JavaScript are moved to TensorFlow first: afterwards creating a tensor means a constant node.
    backend.getInputTensorIds(given);
    binding.startRecording({ autocast });
    try {
      const symbols: Tensor[] = given.map((input) =>
        backend.createOutputTensor(binding.placeholder(input.shape, typeOf(input)))
      );
      const outputs = tf.tidy(() => fn(...withTensors(inputs, symbols)) as tf.TensorContainer) as Outputs;
      const results = tensorsOf(outputs);
      const finished = finish(outputs, results, backend.getInputTensorIds(results));
      tf.dispose([symbols, results]);
      return finished;
    } catch (error) {
      binding.abandonRecording();
      if (error instanceof TensorFlowError) error.message += ` (while tracing ${fn.name || "a function"})`;
      throw error;
    }
  }

  const define = (inputs: Inputs) =>
    record(inputs, (outputs, results, ids) => {
      const outputTypes = results.map(typeOf), { name, captured } = binding.finishRecording(ids);
      return { name, captured, capturedTypes: captured.map((id) => binding.typeOf(id)), outputTypes, outputs };
    });

  const call = async (...inputs: Inputs) => {
    const given = tensorsOf(inputs), form = formOf(inputs);
    let traced = functions.get(form);
    if (!traced) functions.set(form, traced = define(inputs));
    const ids: number[] = [...backend.getInputTensorIds(given), ...traced.captured];
    const types = [...given.map(typeOf), ...traced.capturedTypes];
    const results = await binding.call(traced.name, { ids, types }, traced.outputTypes, CONFIG);
    return withTensors(traced.outputs, results.map((result) => backend.createOutputTensor(result)));
  };
  const profile = async (...inputs: Inputs) => {
    const ids: number[] = backend.getInputTensorIds(tensorsOf(inputs));
    return readOperationTimes(
      await record(inputs, (_, __, outputs) => binding.finishAsMeasurement(outputs, ids, CONFIG)),
    );
  };
  return Object.assign(call, { profile });
}
