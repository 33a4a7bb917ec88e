// deno-lint-ignore-file no-explicit-any
/**
 * Operations on feature rows `[N, F]`, also where N depends on values (the voxels of one class). While a step is traced
 * such an N is not known and reads -1; so these operations and their gradients never use it as a number.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { ATTRIBUTE, type Attribute, DTYPE } from "./binding.ts";
import { tensorflow } from "./device.ts";
import { addBias, channelSums, controlDependencies, float, inTypeOf, leakyRelu, relu, runOp } from "./ops.ts";
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

/** A linear layer. */
export interface Linear {
  /** `[F, G]` */
  weight: Tensor2D;
  /** `[G]` */
  bias: Tensor1D;
}

/** `h` where positive, else `slope h`, for `h = x W + b`. */
function hiddenRows(x: Tensor2D, { weight, bias }: Linear, slope: number): Tensor2D {
  const h = addBias(product(x, weight), bias);
  return slope ? leakyRelu(h, slope) : relu(h);
}

/** Gradient of {@linkcode hiddenRows} by h. @param hidden What it gave. */
function hiddenGradient(dHidden: Tensor2D, hidden: Tensor2D, slope: number): Tensor2D {
  const alpha = { name: "alpha", type: ATTRIBUTE.float, value: slope };
  const [name, attributes] = slope
    ? ["LeakyReluGrad", [float("T"), alpha]] as const
    : ["ReluGrad", [float("T")]] as const;
  return runOp(name, [...attributes], [dHidden, hidden]) as Tensor2D;
}

/**
 * Two linear layers and the rectifier between them: `act(x W + b) V + c`, `act(h) = h` where positive, else `slope h`. The
 * hidden rows are not kept for the gradient but computed again.
 * @param x `[N, F]`
 */
export function twoLayers(
  x: Tensor2D,
  { first, second, slope }: { first: Linear; second: Linear; slope: number },
): Tensor2D {
  const op = tf.customGrad((x: any, w: any, b: any, v: any, c: any, save: any) => {
    save([x, w, b, v]);
    return {
      value: addBias(product(hiddenRows(x, { weight: w, bias: b }, slope), v), c),
      gradFunc: (dy: any, [x, w, b, v]: any[]) => {
        // Behind the incoming gradient: else TensorFlow merges this with the forward pass and keeps its rows.
        const hidden = hiddenRows(controlDependencies(x, [dy]), { weight: w, bias: b }, slope);
        const d = hiddenGradient(product(dy, v, { transposeB: true }), hidden, slope);
        return [
          product(d, w, { transposeB: true }),
          product(x, d, { transposeA: true }),
          channelSums(d),
          product(hidden, dy, { transposeA: true }),
          channelSums(dy),
        ];
      },
    };
  });
  return op(x, first.weight, first.bias, second.weight, second.bias) as Tensor2D;
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

/** Rows that are handled at once: a map of all of them would be the largest of a training step. */
export const BLOCK_ROWS = 1 << 18;

/**
 * What `each` makes of blocks of rows, one block after the other, so that the memory of one is free before the next
 * begins. Rows whose number is not known are one block.
 * @param each Its first result is what the next block waits for.
 */
function inBlocks<T extends [Tensor, ...unknown[]]>(x: Tensor2D, each: (block: Tensor2D, rows: number) => T): T[] {
  const [rows, width] = x.shape, results: T[] = [];
  if (rows <= BLOCK_ROWS) return [each(x, rows)];
  for (let from = 0; from < rows; from += BLOCK_ROWS) {
    const count = Math.min(BLOCK_ROWS, rows - from), before = results.at(-1)?.[0];
    const block = tf.slice(before ? controlDependencies(x, [before]) : x, [from, 0], [count, width]);
    results.push(each(block, count));
  }
  return results;
}

/**
 * `[F + 1, F]`: the mean above the covariance `Σ (y - m) (y - m)ᵀ / n` of y, what `rowsOf` makes of x; no gradient of its
 * own. Blocks by their own means: `Σ (y - m_b) (y - m_b)ᵀ + n_b (m_b - m) (m_b - m)ᵀ` (Chan, Golub & LeVeque 1983).
 */
function packedMoments(x: Tensor2D, n: Scalar, rowsOf = (block: Tensor2D) => block): {
  packed: Tensor2D;
  mean: Tensor1D;
} {
  const blocks = inBlocks(x, (block, count): [Tensor2D, Tensor1D, number] => {
    const y = rowsOf(block), mean = tf.div(channelSums(y), count <= 0 || count === x.shape[0] ? n : count) as Tensor1D;
    // `Σ y yᵀ / n - m mᵀ` would lose what a few rows that are nearly the same differ in.
    const centered = addBias(y, tf.neg(mean));
    return [product(centered, centered, { transposeA: true }), mean, count];
  });
  let [squares, mean] = blocks[0];
  if (blocks.length > 1) {
    const counts = tf.tensor2d(blocks.map(([, , count]) => [count]));
    const means = tf.stack(blocks.map(([, mean]) => mean)) as Tensor2D; // [B, F]
    mean = tf.div(tf.sum(tf.mul(means, counts), 0), n);
    const apart = tf.mul(tf.sub(means, mean), tf.sqrt(counts)) as Tensor2D;
    squares = tf.addN([...blocks.map(([squares]) => squares), product(apart, apart, { transposeA: true })]);
  }
  return { packed: tf.concat([tf.expandDims(mean, 0), tf.div(squares, n)], 0) as Tensor2D, mean };
}

/** Gradient of `packedMoments` by y, of any rows of it: `dy = ((y - m) (dC + dCᵀ) + dm) / n`. */
function momentsGradient(d: Tensor, { n, mean }: { n: Scalar; mean: Tensor1D }): (y: Tensor2D) => Tensor2D {
  const dMean = tf.div(tf.reshape(tf.slice(d, [0, 0], [1, -1]), [-1]), n) as Tensor1D;
  const dCovariance = tf.slice(d, [1, 0], [-1, -1]);
  const symmetric = tf.div(tf.add(dCovariance, tf.transpose(dCovariance)), n); // [F, F]
  return (y) => addBias(product(addBias(y, tf.neg(mean)), symmetric), dMean);
}

/** Rows of all blocks. */
function joinBlocks(blocks: Tensor2D[]): Tensor2D {
  return blocks.length === 1 ? blocks[0] : tf.concat(blocks, 0);
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
      gradFunc: (d: any, [x, n, mean]: any[]) => {
        const toRows = momentsGradient(d, { n, mean });
        const blocks = inBlocks(x, (block): [Tensor2D] => [inTypeOf(x, toRows(block))]);
        return [joinBlocks(blocks.map(([dx]) => dx)), tf.zerosLike(n)];
      },
    };
  });
  return unpack(op(x, tf.maximum(count, 1)) as Tensor2D, count);
}

/**
 * Moments of the hidden rows `relu(x W + b)`. These are not kept for the gradient but computed again, and never all at
 * once: they are the largest map of a head.
 *
 * @param x `[N, F]` @param weight `[F, G]` @param bias `[G]` @param count N
 */
export function hiddenMoments(
  x: Tensor2D,
  { weight, bias, count }: Linear & { count: Scalar },
): Moments {
  const op = tf.customGrad((x: any, weight: any, bias: any, save: any) => {
    const { packed, mean } = packedMoments(x, count, (block) => hiddenRows(block, { weight, bias }, 0));
    save([x, weight, bias, mean]);
    return {
      value: packed,
      gradFunc: (dy: any, [x, weight, bias, mean]: any[]) => {
        const toRows = momentsGradient(dy, { n: count, mean });
        // Behind the incoming gradient: else TensorFlow merges this with the forward pass and keeps its rows.
        const blocks = inBlocks(controlDependencies(x, [dy]), (block): [Tensor2D, Tensor1D, Tensor2D] => {
          const again = hiddenRows(block, { weight, bias }, 0), d = hiddenGradient(toRows(again), again, 0);
          const dWeight = product(block, d, { transposeA: true });
          return [dWeight, channelSums(d), inTypeOf(x, product(d, weight, { transposeB: true }))];
        });
        const sum = <T extends Tensor>(parts: T[]) => parts.length === 1 ? parts[0] : tf.addN(parts);
        return [
          joinBlocks(blocks.map(([, , dx]) => dx)),
          sum(blocks.map(([dWeight]) => dWeight)),
          sum(blocks.map(([, dBias]) => dBias)),
        ];
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

/** L2 norm of every row, at least 1e-12, `[N, 1]`. */
function rowNorms(x: Tensor2D): Tensor2D {
  return tf.maximum(tf.sqrt(tf.sum(tf.square(x), 1, true)), 1e-12);
}

/**
 * `Σ_i weight_i x_i / ‖x_i‖`, `[F]`: {@linkcode weightedSum} of {@linkcode unitRows}, of which no map is made or kept.
 * @param weights `[N, 1]` @param x `[N, F]`
 */
export function weightedUnitSum(weights: Tensor2D, x: Tensor2D): Tensor1D {
  const op = tf.customGrad((weights: any, x: any, save: any) => {
    const norms = rowNorms(x), shares = tf.div(weights, norms) as Tensor2D;
    save([x, norms, shares]);
    return {
      value: product(shares, x, { transposeA: true }),
      gradFunc: (dy: any, [x, norms, shares]: any[]) => {
        const along = tf.div(product(x, dy, { transposeB: true }), norms); // of dy along every unit row, [N, 1]
        const dx = tf.sub(product(shares, dy), tf.mul(x, tf.div(tf.mul(shares, along), norms)));
        return [along, dx];
      },
    };
  });
  return tf.reshape(op(weights, x), [-1]) as Tensor1D;
}

/** Rows divided by their L2 norm (at least 1e-12). @param x `[N, F]` */
export function unitRows(x: Tensor2D): Tensor2D {
  const op = tf.customGrad((x: any, save: any) => {
    const norm = rowNorms(x);
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
  // In this order: on a GPU TensorFlow keeps int64 there, but takes int32 to the host for a new shape.
  const int64: Attribute = { name: "T", type: ATTRIBUTE.type, value: DTYPE.int64 };
  const flat = run("Squeeze", [int64, { name: "squeeze_dims", type: ATTRIBUTE.int, value: [1] }], [where.id]);
  const narrow = run("Cast", [{ ...int64, name: "SrcT" }, int32("DstT")], [flat.id]);
  for (const { id } of [where, flat]) binding.deleteTensor(id);
  return backend.createOutputTensor(narrow);
}

/** The rows at some positions. @param x `[N, F]` with N known @param at int32 `[M]` */
export function gatherRows(x: Tensor2D, at: Tensor1D): Tensor2D {
  const op = tf.customGrad((x: any, save: any) => {
    save([at, x]);
    return {
      value: runOp("GatherV2", [float("Tparams"), int32("Tindices"), int32("Taxis")], [x, at, tf.scalar(0, "int32")]),
      gradFunc: (dy: any, [at, x]: Tensor[]) =>
        runOp("UnsortedSegmentSum", [float("T"), int32("Tindices"), int32("Tnumsegments")], [
          inTypeOf(x, dy),
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
