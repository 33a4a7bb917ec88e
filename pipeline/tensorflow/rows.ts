// deno-lint-ignore-file no-explicit-any
/**
 * Operations on feature rows `[N, F]`, also where N depends on values (the voxels of one class). While a step is traced
 * such an N is not known and reads -1; so these operations and their gradients never use it as a number.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { ATTRIBUTE, type Attribute, DTYPE } from "./binding.ts";
import { tensorflow } from "./device.ts";
import { addBias, channelSums, controlDependencies, float, relu, runOp } from "./ops.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D } from "./tensors.ts";

const int32 = (name: string): Attribute => ({ name, type: ATTRIBUTE.type, value: DTYPE.int32 });

/** `op(a) op(b)`, each transposed or not; no gradient of its own. */
function product(a: Tensor, b: Tensor, { transposeA = false, transposeB = false } = {}): Tensor2D {
  return runOp("MatMul", [
    float("T"),
    { name: "transpose_a", type: ATTRIBUTE.bool, value: transposeA },
    { name: "transpose_b", type: ATTRIBUTE.bool, value: transposeB },
  ], [a, b]) as Tensor2D;
}

/** `x W`. @param x `[N, F]` @param weight `[F, G]` */
export function matMul(x: Tensor2D, weight: Tensor2D): Tensor2D {
  const op = tf.customGrad((x: any, weight: any, save: any) => {
    save([x, weight]);
    return {
      value: product(x, weight),
      gradFunc: (dy: any, [x, weight]: Tensor[]) => [
        product(dy, weight, { transposeB: true }),
        product(x, dy, { transposeA: true }),
      ],
    };
  });
  return op(x, weight) as Tensor2D;
}

/** `x W + b`. @param x `[N, F]` @param weight `[F, G]` @param bias `[G]` */
export function linear(x: Tensor2D, weight: Tensor2D, bias: Tensor1D): Tensor2D {
  return addBias(matMul(x, weight), bias);
}

/** First and second moments of rows; both carry gradients. */
export interface Moments {
  /** `[F]` */
  mean: Tensor1D;
  /** `[F, F]`, biased (N in the denominator). */
  covariance: Tensor2D;
  /** N, as a tensor: it may depend on values. */
  count: Scalar;
}

/** `[F + 1, F]`: the mean above the covariance `Σ (x - m) (x - m)ᵀ / n`; no gradient of its own. */
function packedMoments(x: Tensor2D, n: Scalar): { packed: Tensor2D; mean: Tensor1D } {
  const mean = tf.div(channelSums(x), n) as Tensor1D;
  // `Σ x xᵀ / n - m mᵀ` would lose what a few rows that are nearly the same differ in.
  const centered = addBias(x, tf.neg(mean));
  const covariance = tf.div(product(centered, centered, { transposeA: true }), n);
  return { packed: tf.concat([tf.expandDims(mean, 0), covariance], 0) as Tensor2D, mean };
}

/** Gradient of `packedMoments`: `dx = (x (dC + dCᵀ) + dm - m (dC + dCᵀ)) / n`. */
function momentsGradient(dy: Tensor, { x, n, mean }: { x: Tensor2D; n: Scalar; mean: Tensor1D }): Tensor2D {
  const dMean = tf.slice(dy, [0, 0], [1, -1]), dCovariance = tf.slice(dy, [1, 0], [-1, -1]);
  const symmetric = tf.div(tf.add(dCovariance, tf.transpose(dCovariance)), n); // [F, F]
  const shift = tf.sub(tf.div(dMean, n), tf.matMul(tf.expandDims(mean, 0), symmetric)); // [1, F]
  return addBias(product(x, symmetric), tf.reshape(shift, [-1]) as Tensor1D);
}

function unpack(packed: Tensor2D, count: Scalar): Moments {
  const width = packed.shape[1];
  return {
    mean: tf.reshape(tf.slice(packed, [0, 0], [1, width]), [width]) as Tensor1D,
    covariance: tf.slice(packed, [1, 0], [width, width]) as Tensor2D,
    count,
  };
}

/**
 * Mean and covariance of rows. With them the statistics of `x W + b` are `mean W + b` and `diag(Wᵀ covariance W)`, so that
 * a batch norm behind a linear layer needs no map of its own.
 *
 * @param x `[N, F]` @param count N; 0 gives zeros.
 */
export function moments(x: Tensor2D, count: Scalar): Moments {
  const op = tf.customGrad((x: any, n: any, save: any) => {
    const { packed, mean } = packedMoments(x, n);
    save([x, n, mean]);
    return {
      value: packed,
      gradFunc: (dy: any, [x, n, mean]: any[]) => [momentsGradient(dy, { x, n, mean }), tf.zerosLike(n)],
    };
  });
  return unpack(op(x, tf.maximum(count, 1)) as Tensor2D, count);
}

/**
 * Moments of the hidden rows `relu(x W + b)`. These are not kept for the gradient but computed again: they are the
 * largest map of a head.
 *
 * @param x `[N, F]` @param weight `[F, G]` @param bias `[G]` @param count N
 */
export function hiddenMoments(
  x: Tensor2D,
  { weight, bias, count }: { weight: Tensor2D; bias: Tensor1D; count: Scalar },
): Moments {
  const hidden = (x: Tensor2D, weight: Tensor2D, bias: Tensor1D) => relu(addBias(product(x, weight), bias));
  const op = tf.customGrad((x: any, weight: any, bias: any, save: any) => {
    const { packed, mean } = packedMoments(hidden(x, weight, bias), count);
    save([x, weight, bias, mean]);
    return {
      value: packed,
      gradFunc: (dy: any, [x, weight, bias, mean]: any[]) => {
        // Behind the incoming gradient: else TensorFlow merges this with the forward pass and keeps its rows.
        const again = hidden(controlDependencies(x, [dy]), weight, bias);
        const dHidden = momentsGradient(dy, { x: again, n: count, mean });
        const d = runOp("ReluGrad", [float("T")], [dHidden, again]) as Tensor2D;
        return [product(d, weight, { transposeB: true }), product(x, d, { transposeA: true }), channelSums(d)];
      },
    };
  });
  return unpack(op(x, weight, bias) as Tensor2D, count);
}

/** Sum of every column `[F]`. @param x `[N, F]` */
export function sumRows(x: Tensor2D): Tensor1D {
  const op = tf.customGrad((x: any, save: any) => {
    save([x]);
    return { value: channelSums(x), gradFunc: (dy: any, [x]: any[]) => addBias(tf.zerosLike(x), dy) };
  });
  return op(x) as Tensor1D;
}

/** `Σ_i weight_i x_i`, `[F]`. @param weights `[N, 1]` @param x `[N, F]` */
export function weightedSum(weights: Tensor2D, x: Tensor2D): Tensor1D {
  const op = tf.customGrad((weights: any, x: any, save: any) => {
    save([weights, x]);
    return {
      value: product(weights, x, { transposeA: true }),
      gradFunc: (dy: any, [weights, x]: Tensor[]) => [product(x, dy, { transposeB: true }), product(weights, dy)],
    };
  });
  return tf.reshape(op(weights, x), [-1]) as Tensor1D;
}

/** Rows divided by their L2 norm (at least 1e-12). @param x `[N, F]` */
export function unitRows(x: Tensor2D): Tensor2D {
  const op = tf.customGrad((x: any, save: any) => {
    const norm = tf.maximum(tf.sqrt(tf.sum(tf.square(x), 1, true)), 1e-12); // [N, 1]
    const unit = tf.div(x, norm);
    save([unit, norm]);
    return {
      value: unit,
      gradFunc: (dy: any, [unit, norm]: any[]) =>
        tf.div(tf.sub(dy, tf.mul(unit, tf.sum(tf.mul(unit, dy), 1, true))), norm),
    };
  });
  return op(x) as Tensor2D;
}

/** A condition as 1 or 0. */
export function asNumber(condition: Tensor): Scalar {
  return tf.cast(condition, "float32") as Scalar;
}

/** How often a condition holds. */
export function countOf(condition: Tensor1D): Scalar {
  return tf.sum(asNumber(condition));
}

/** Positions where a condition holds, ascending, int32. @param condition bool `[N]` */
export function positions(condition: Tensor1D): Tensor1D {
  const { backend, binding } = tensorflow();
  const run = (op: string, attributes: Attribute[], inputs: number[]) => {
    const [{ id, ...output }] = binding.executeOp(op, attributes, inputs, 1);
    return { id, ...output };
  };
  // Where gives int64, which tfjs does not have: these steps stay below it.
  const where = run("Where", [{ name: "T", type: ATTRIBUTE.type, value: DTYPE.bool }], [
    backend.getInputTensorIds([condition])[0],
  ]);
  const narrow = run("Cast", [{ name: "SrcT", type: ATTRIBUTE.type, value: DTYPE.int64 }, int32("DstT")], [where.id]);
  const flat = run("Squeeze", [int32("T"), { name: "squeeze_dims", type: ATTRIBUTE.int, value: [1] }], [narrow.id]);
  for (const { id } of [where, narrow]) binding.deleteTensor(id);
  return backend.createOutputTensor(flat);
}

/** The rows at some positions. @param x `[N, F]` with N known @param at int32 `[M]` */
export function gatherRows(x: Tensor2D, at: Tensor1D): Tensor2D {
  const op = tf.customGrad((x: any, save: any) => {
    save([at]);
    return {
      value: runOp("GatherV2", [float("Tparams"), int32("Tindices"), int32("Taxis")], [x, at, tf.scalar(0, "int32")]),
      gradFunc: (dy: any, [at]: Tensor[]) =>
        runOp("UnsortedSegmentSum", [float("T"), int32("Tindices"), int32("Tnumsegments")], [
          dy,
          at,
          tf.scalar(x.shape[0], "int32"),
        ]),
    };
  });
  return op(x) as Tensor2D;
}

/** Positions of the `count` smallest values, ascending; of equal ones the first come first. No gradient. @param x `[N]` */
export function smallest(x: Tensor1D, count: number): Tensor1D {
  const { backend } = tensorflow();
  const [, at] = backend.executeMultipleOutputs(
    "TopKV2",
    [
      float("T"),
      { name: "sorted", type: ATTRIBUTE.bool, value: true },
      int32("Tk"),
      int32("index_type"),
    ],
    [tf.neg(x), tf.scalar(count, "int32")],
    2,
  );
  return at;
}

/** `a` where the condition holds, else `b`, whose values cannot pass; no gradient. @param condition bool `[]` @param a `[N]` @param b `[N]` */
export function either(condition: Tensor, a: Tensor1D, b: Tensor1D): Tensor1D {
  return runOp("SelectV2", [float("T")], [condition, a, b]) as Tensor1D;
}

/** Rows of `b` behind those of `a`; no gradient. */
export function append<T extends Tensor>(a: T, b: T): T {
  const two: Attribute = { name: "N", type: ATTRIBUTE.int, value: 2 };
  return runOp("ConcatV2", [two, float("T"), int32("Tidx")], [a, b, tf.scalar(0, "int32")]) as T;
}
