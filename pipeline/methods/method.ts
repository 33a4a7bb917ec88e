/**
 * What a method is to the trainer: a network, state of its own, and one pure training step that `trace` turns into one
 * TensorFlow function. The trainer owns the optimiser, the schedule, checkpoints and logging.
 * @module
 */
import type { Scalar, Tensor, Tensor1D, Tensor4D, Tensor5D } from "@tensorflow/tfjs";
import type { BankWeights } from "../losses/separation.ts";
import type { NetworkSpec, Weights } from "../networks/parameters.ts";

/** What a training step reads. */
export interface StepInputs {
  weights: Weights;
  /** Running statistics. */
  buffers: Weights;
  /** The method's own state, by name (SS-Net: the feature bank). */
  memory: Weights;
  /** Batch, labeled rows first `[B, X, Y, Z, 1]`. */
  x: Tensor5D;
  /** int32 labels of the labeled rows `[L, X, Y, Z]`. */
  label: Tensor4D;
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
  buffers: Weights;
  memory: Weights;
}

/** Settings that only some methods read. */
export interface MethodOptions {
  classes: number;
  bankWeights: BankWeights;
}

/** A method; one file in this folder. */
export interface Method {
  spec: NetworkSpec;
  /** Whether unlabeled rows are read at all. */
  usesUnlabeled: boolean;
  /** The method's own state before the first step: shapes by name, all zeros. */
  memory: Record<string, number[]>;
  step(inputs: StepInputs): StepOutputs;
}
