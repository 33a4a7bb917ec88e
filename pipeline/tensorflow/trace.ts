// deno-lint-ignore-file no-explicit-any
/**
 * `trace(fn)`: a tfjs function becomes one TensorFlow function, run by a single `StatefulPartitionedCall`.
 * What is random or changes from call to call must be an argument, or come from a stateless operation with a seed argument.
 * @module
 */
import { TensorFlowError } from "./library.ts";
import { openTensorFlow } from "./device.ts";
import { type OperationTime, readOperationTimes } from "./operation_times.ts";
import type { Tensor } from "./tensors.ts";
import { isAutocast, type Precision } from "./precision.ts";

/**
 * ConfigProto.graph_options.rewrite_options, arithmetic_optimization = OFF: it flattens chains of additions in an order that
 * differs from process to process, and with it the last digits of a step.
 */
const CONFIG = new Uint8Array([0x52, 0x04, 0x52, 0x02, 0x38, 0x02]);

/**
 * A traced function: as many results as `fn` gave, which the caller disposes. It does not block: TensorFlow computes on
 * threads of its own. Traced functions live as long as the process.
 */
export interface Traced {
  (...inputs: Tensor[]): Promise<Tensor[]>;
  /** Times of all operations of one call on these arguments, which gives no results; the function is traced anew for it. */
  profile(...inputs: Tensor[]): Promise<OperationTime[]>;
}

/**
 * Traces `fn` at its first call and whenever the shapes or data types of its arguments change.
 * Tensors that `fn` reads without receiving them are captured by reference and must outlive the traced function.
 *
 * @param fn Tensors in, tensors out; runs once per shape, on symbols.
 * @param precision "bf16" records it with casts; another one must be what TensorFlow is open for, as it is by default.
 * @throws {TensorFlowError} When traced code reads a value, or the device does not have the precision.
 *
 * @example A function and its gradient are one call of TensorFlow
 * ```ts
 * import assert from "node:assert/strict";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 * import { type Tensor } from "@ssnet/pipeline/tensorflow/tensors.ts";
 * import { trace } from "@ssnet/pipeline/tensorflow/trace.ts";
 *
 * const { tf } = openTensorFlow({ device: "cpu" });
 * const cube = trace((x: Tensor) => [tf.mul(x, tf.square(x)), tf.grad((x) => tf.mul(x, tf.square(x)))(x)]);
 * const [value, gradient] = await cube(tf.scalar(2));
 * assert.deepEqual([value.dataSync()[0], gradient.dataSync()[0]], [8, 12]);
 * ```
 */
export function trace(
  fn: (...inputs: any[]) => Tensor[],
  precision: Precision = openTensorFlow().binding.single,
): Traced {
  const tensorflow = openTensorFlow(), { tf, backend, binding } = tensorflow;
  const autocast = isAutocast(tensorflow, precision);
  const functions = new Map<
    string,
    { name: string; captured: number[]; capturedTypes: number[]; outputTypes: number[] }
  >();
  const typeOf = (tensor: Tensor): number => backend.getDTypeInteger(tensor.dtype);

  /** Runs `fn` on symbols and hands its outputs to what ends the recording. */
  function record<R>(inputs: Tensor[], finish: (outputs: Tensor[], ids: number[]) => R): R {
    // Values that live in JavaScript are moved to TensorFlow first: afterwards creating a tensor means a constant node.
    backend.getInputTensorIds(inputs);
    binding.startRecording({ autocast });
    try {
      const symbols = inputs.map((input) =>
        backend.createOutputTensor(binding.placeholder(input.shape, typeOf(input)))
      );
      const outputs = tf.tidy(() => fn(...symbols)) as Tensor[];
      const finished = finish(outputs, backend.getInputTensorIds(outputs));
      symbols.forEach((symbol) => symbol.dispose());
      outputs.forEach((output) => output.dispose());
      return finished;
    } catch (error) {
      binding.abandonRecording();
      if (error instanceof TensorFlowError) error.message += ` (while tracing ${fn.name || "a function"})`;
      throw error;
    }
  }

  const define = (inputs: Tensor[]) =>
    record(inputs, (outputs, outputIds) => {
      const outputTypes = outputs.map(typeOf), { name, captured } = binding.finishRecording(outputIds);
      return { name, captured, capturedTypes: captured.map((id) => binding.typeOf(id)), outputTypes };
    });

  const call = async (...inputs: Tensor[]) => {
    const key = inputs.map((input) => `${input.dtype}[${input.shape}]`).join();
    let traced = functions.get(key);
    if (!traced) functions.set(key, traced = define(inputs));
    const ids: number[] = [...backend.getInputTensorIds(inputs), ...traced.captured];
    const types = [...inputs.map(typeOf), ...traced.capturedTypes];
    const results = await binding.call(traced.name, { ids, types }, traced.outputTypes, CONFIG);
    return results.map((result) => backend.createOutputTensor(result));
  };
  const profile = async (...inputs: Tensor[]) => {
    const ids: number[] = backend.getInputTensorIds(inputs);
    return readOperationTimes(
      await record(inputs, (_, outputs) => binding.finishAsMeasurement(outputs, ids, CONFIG)),
    );
  };
  return Object.assign(call, { profile });
}
