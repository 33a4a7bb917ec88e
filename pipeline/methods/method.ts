/**
 * What a method is to the trainer: a network, state of its own, and one pure training step that `trace` turns into one
 * TensorFlow function. The trainer owns the optimiser, the schedule, checkpoints and logging.
 * @module
 */
import type { DatasetProfile } from "../data/profiles.ts";
import type { BankWeights } from "../losses/separation.ts";
import type { NetworkSpec, Weights } from "../networks/parameters.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import type { Scalar, Tensor, Tensor1D } from "../tensorflow/tensors.ts";

/** What a training step reads. */
export interface StepInputs {
  /** Every parameter, in TensorFlow's layout. */
  weights: Weights;
  /** Running statistics. */
  buffers: Weights;
  /** The method's own state, by name (SS-Net: the feature bank). */
  memory: Weights;
  /** Batch, labeled rows first `[B, X, Y, Z, 1]` or `[B, H, W, 1]`. */
  x: Tensor;
  /** int32 labels of the labeled rows `[L, X, Y, Z]` or `[L, H, W]`. */
  label: Tensor;
  /** int32 `[2]`: all noise of the step depends on it alone; another one per iteration. */
  seed: Tensor1D;
  /** Weight of the unsupervised terms at this iteration. */
  consistencyWeight: Scalar;
}

/** What a training step gives. */
export interface StepOutputs {
  /** Named losses; `total` is the one that was differentiated. */
  losses: Record<string, Scalar>;
  /** `gradients[i]` belongs to the i-th parameter; null where none can arrive. */
  gradients: (Tensor | null)[];
  /** By the first part of a parameter's name: 1 if it took part, 0 if its gradient is absent (not zero) this time. */
  participation: Record<string, Scalar>;
  /** Running statistics after the step, all of them. */
  buffers: Weights;
  /** The method's own state after the step, all of it. */
  memory: Weights;
}

/** What a method is made for; the settings are read by some methods only. */
export interface MethodOptions {
  /** Network, classes and constants of the dataset. */
  profile: DatasetProfile;
  /** SS-Net's form of the separation loss; the others pass over it. */
  bankWeights: BankWeights;
}

/** A method; one file in this folder. */
export interface Method {
  /** Parameters and running statistics, heads included: what a checkpoint holds. */
  spec: NetworkSpec;
  /** Whether unlabeled rows are read at all. */
  usesUnlabeled: boolean;
  /** The method's own state before the first step: shapes by name, all zeros. */
  memory: Record<string, number[]>;
  /** Losses, gradients and new state of one iteration; pure, runs once per shape on symbols ({@linkcode trace}). */
  step(inputs: StepInputs): StepOutputs;
}

/** Value of a loss and its gradients by every weight, null where none can arrive. */
export function gradientsOf(loss: () => Tensor, weights: Weights): { value: Scalar; gradients: (Tensor | null)[] } {
  // tf.variableGrads wants tf.Variable, which a trace cannot hold.
  // deno-lint-ignore no-explicit-any
  const { value, grads } = (openTensorFlow().tf.engine() as any).gradients(loss, Object.values(weights), null, true);
  return { value, gradients: Object.values(weights).map((_, i) => grads[i] ?? null) };
}
