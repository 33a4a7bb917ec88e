/**
 * Mixed precision (Micikevicius et al., ICLR 2018) by casting while a function is recorded, as PyTorch's autocast does:
 * convolutions and what stands between them compute in bfloat16, all else in float32, to which optimizer and weights
 * belong. tfjs knows nothing of it: a tensor of either type is "float32" to it.
 * @module
 */

/** TensorFlow's numbers of the two types (`tensorflow/c/tf_datatype.h`). */
export const FLOAT32 = 1, BFLOAT16 = 14;

/** The condition on which an operation computes in bfloat16, and what of it is float32 all the same. */
export interface AutocastRow {
  /**
   * "always"; the position of the input that decides: the operation takes its type; or "all": where all real inputs are
   * bfloat16, so that mixed ones give float32.
   */
  by: "always" | "all" | number;
  /** Positions of inputs that stay float32. */
  keeps?: number[];
  /** What its outputs leave as, where that is not what TensorFlow gives. */
  gives?: number;
  /** Which shapes of its first input are float32 all the same; of an unknown size -1. */
  excludes?(shape: readonly number[]): boolean;
}

const convolution: AutocastRow = { by: "always" };
/** The gradients of parameters, which are float32; the kernel adds in float32 and rounds once. */
const filterGradient: AutocastRow = { by: "always", gives: FLOAT32 };
/** Wrong are two planes, with 32 channels and more; three have never been. */
const LEAST_PLANES = 3;
const ofFirst: AutocastRow = { by: 0 };
/** A gradient's inputs: what comes in, and the kept activation, whose type it follows. */
const ofActivation: AutocastRow = { by: 1 };
const ofAll: AutocastRow = { by: "all" };

/**
 * The table, by the names that tfjs and `ops.ts` emit; an operation that is not in it computes in float32. Sums
 * (`BiasAddGrad`, `Sum`, `Mean`) are not: the CPU's `BiasAddGrad` adds in bfloat16, where a million ones are 512.
 */
export const AUTOCAST: Readonly<Record<string, AutocastRow>> = {
  Conv2D: convolution,
  Conv2DBackpropInput: convolution,
  Conv2DBackpropFilter: filterGradient,
  Conv3D: convolution,
  Conv3DBackpropInputV2: convolution,
  // Of few planes along the first axis a CPU's kernel (oneDNN's in TensorFlow 2.21) adds memory that nothing was written to.
  Conv3DBackpropFilterV2: { ...filterGradient, excludes: ([, planes]) => planes < LEAST_PLANES },
  // Scale, offset and statistics are float32 ("U") at every T.
  FusedBatchNormV3: { by: 0, keeps: [1, 2, 3, 4] },
  FusedBatchNormGradV3: { by: 1, keeps: [2, 3, 4, 5] },
  BiasAdd: ofFirst,
  Relu: ofFirst,
  ReluGrad: ofActivation,
  LeakyRelu: ofFirst,
  LeakyReluGrad: ofActivation,
  MaxPool: ofFirst,
  MaxPoolGrad: ofFirst,
  MaxPool3D: ofFirst,
  MaxPool3DGrad: ofFirst,
  // It gives float32 at every T.
  ResizeBilinear: { by: 0, gives: BFLOAT16 },
  ResizeBilinearGrad: { by: 1, keeps: [0] },
  Add: ofAll,
  AddN: ofAll,
  ConcatV2: ofAll,
  Mul: ofFirst, // dropout's: x by what is kept
  PadV2: ofFirst,
  SplitV: ofFirst,
  Slice: ofFirst,
  GatherV2: ofFirst,
  UnsortedSegmentSum: ofFirst, // the gradient of gathering rows, each once: nothing is added
  Transpose: ofFirst,
  Reshape: ofFirst,
};

const isReal = (type: number) => type === FLOAT32 || type === BFLOAT16;

/** How an operation is recorded. */
export interface Cast {
  /** Its "T", where that is one of the two types. */
  type: number;
  /** Type of every input; whole numbers and truth values have their own. */
  inputs: number[];
  /** What its outputs are cast to; left out: they stay what they are. */
  gives?: number;
}

/**
 * The types in which an operation is recorded.
 * @param types Of its inputs as they are.
 * @param shape Gives the first one's, where that decides.
 *
 * @example Two activations are added in bfloat16, a float32 beside one makes it float32
 * ```ts
 * import assert from "node:assert/strict";
 * import { BFLOAT16, castOf, FLOAT32 } from "@ssnet/pipeline/tensorflow/autocast.ts";
 *
 * assert.deepEqual(castOf("Add", [BFLOAT16, BFLOAT16]), { type: BFLOAT16, inputs: [BFLOAT16, BFLOAT16] });
 * assert.deepEqual(castOf("Add", [BFLOAT16, FLOAT32]), { type: FLOAT32, inputs: [FLOAT32, FLOAT32] });
 * ```
 */
export function castOf(operation: string, types: number[], shape: () => readonly number[] = () => []): Cast {
  const row = AUTOCAST[operation], real = types.filter(isReal);
  const isHalf = row !== undefined && real.length > 0 && !row.excludes?.(shape()) &&
    (row.by === "always" || (row.by === "all" ? real.every((type) => type === BFLOAT16) : types[row.by] === BFLOAT16));
  const type = isHalf ? BFLOAT16 : FLOAT32;
  const inputs = types.map((own, i) => !isReal(own) ? own : row?.keeps?.includes(i) ? FLOAT32 : type);
  return { type, inputs, ...isHalf && row.gives !== undefined && { gives: row.gives } };
}
