/**
 * tfjs's types of tensors under names of this project's own: its public interface is complete without tfjs's.
 * A type says how many axes there are; their order and sizes stand beside every argument.
 * @module
 */
import type * as tfjs from "@tensorflow/tfjs";

/** Any number of axes. */
export type Tensor = tfjs.Tensor;
/** A single number. */
export type Scalar = tfjs.Scalar;
/** A vector: `[C]`, `[F]`, or one value a row `[N]`. */
export type Tensor1D = tfjs.Tensor1D;
/** Feature rows `[N, F]`, or the weight of a linear layer `[F, G]`. */
export type Tensor2D = tfjs.Tensor2D;
/** Slices `[B, H, W, C]`. */
export type Tensor4D = tfjs.Tensor4D;
/** Volumes `[B, X, Y, Z, C]`. */
export type Tensor5D = tfjs.Tensor5D;
