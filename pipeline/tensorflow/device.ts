// deno-lint-ignore-file no-explicit-any
/**
 * Opens TensorFlow once per process and registers it as tfjs's backend.
 * Nothing is opened at import: `openTensorFlow` needs `--allow-ffi`, `--allow-read`, `--allow-env`, `--allow-sys`.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { createRequire } from "node:module";
import { ATTRIBUTE, Binding, type BindingOptions, DTYPE } from "./binding.ts";
import { TensorFlowError } from "./library.ts";
import { type Precision, settlePrecision } from "./precision.ts";
import type { Tensor } from "./tensors.ts";

/** What is under tfjs: its TensorFlow backend, and the binding under that. */
export interface TensorFlow {
  /** tfjs-node's kernel backend. */
  backend: any;
  /** The binding: recording, operations by TensorFlow's own names, version and device. */
  binding: Binding;
  /** What was asked for when it was opened, as the device has it. */
  precision: Precision;
}

let opened: TensorFlow | undefined;

/**
 * Opens TensorFlow: from now on the operations of `import * as tf from "@tensorflow/tfjs"` run in it. The first call decides
 * on threads, device and precision; every call gives the same object.
 *
 * @throws {TensorFlowError} If the library is missing, broken, `device: "gpu"` finds none, the device does not have the
 * precision, or a later call names a device or a precision that is not the open one's.
 *
 * @example Operations of tfjs run in TensorFlow
 * ```ts
 * import assert from "node:assert/strict";
 * import * as tf from "@tensorflow/tfjs";
 * import { openTensorFlow } from "@ssnet/pipeline/tensorflow/device.ts";
 *
 * const { binding } = openTensorFlow({ device: "cpu" });
 * assert.equal(tf.add(1, 2).dataSync()[0], 3);
 * assert.match(binding.device, /CPU:0/);
 * ```
 */
export function openTensorFlow(options: BindingOptions = {}): TensorFlow {
  if (opened) {
    if (options.device && (options.device === "gpu") !== opened.binding.isUsingGpuDevice()) {
      throw new TensorFlowError(
        `Cannot change to the ${options.device}: TensorFlow is open on ${opened.binding.device}`,
      );
    }
    if (options.precision) settlePrecision(opened, options.precision);
    return opened;
  }
  const binding = new Binding(options);
  const require = createRequire(import.meta.url);
  const util = require("node:util");
  // tfjs-node calls it; current runtimes no longer have it.
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  require("@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js");
  const { NodeJSKernelBackend } = require("@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js");
  const backend = new NodeJSKernelBackend(binding, "@tensorflow/tfjs-node-gpu");
  // tfjs-node leaves values in JavaScript until an operation needs them. Were that operation a traced one, they would
  // become a constant of its trace and be lost to all others; so they move to TensorFlow at once.
  const move = backend.move.bind(backend);
  backend.move = (dataId: any, values: any, shape: number[], dtype: string, references: number) => {
    move(dataId, values, shape, dtype, references);
    if (values && dtype !== "complex64" && !binding.recording) backend.getInputTensorIds([{ dataId }]);
  };
  tf.registerBackend("tensorflow", () => backend, 3);
  tf.allowOperations();
  tf.setBackend("tensorflow");
  registerReductionGradients(backend);
  opened = { backend, binding, precision: binding.single };
  opened.precision = settlePrecision(opened, options.precision ?? binding.single);
  return opened;
}

/** The open TensorFlow, for code below tfjs. @throws {TensorFlowError} Before {@linkcode openTensorFlow}. */
export function tensorflow(): TensorFlow {
  if (opened) return opened;
  throw new TensorFlowError("Cannot use TensorFlow: it is not open; call openTensorFlow() before it");
}

/**
 * Gradients of sums and means by one broadcast. tfjs multiplies by a tensor of ones as large as what was summed, which a
 * trace keeps as a constant: hundreds of megabytes for the losses of a step.
 */
function registerReductionGradients(backend: any): void {
  const types = [["T", DTYPE.float], ["Tidx", DTYPE.int32]].map(([name, value]) => ({
    name,
    type: ATTRIBUTE.type,
    value,
  }));
  for (const kernelName of ["Sum", "Mean"]) {
    const gradFunc = (dy: Tensor, [x]: Tensor[], { axis }: any) => {
      const axes: number[] = tf.util.parseAxisParam(axis, x.shape);
      const kept = x.shape.map((n, i) => axes.includes(i) ? 1 : n);
      const share = kernelName === "Mean" ? tf.div(dy, axes.reduce((count, i) => count * x.shape[i], 1)) : dy;
      const inputs = () => [tf.reshape(share, kept), tf.tensor1d(x.shape, "int32")];
      return { x: () => backend.executeSingleOutput("BroadcastTo", types, inputs()) };
    };
    tf.registerGradient({ kernelName, inputsToSave: ["x"], gradFunc: gradFunc as any });
  }
}
