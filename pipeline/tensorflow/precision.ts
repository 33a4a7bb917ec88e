/** Precisions that a function can be recorded in. @module */

/** Arithmetic of convolutions: float32, or bfloat16 with the losses in float32. */
export const PRECISIONS = ["fp32", "bf16"] as const;

/** One of {@linkcode PRECISIONS}. */
export type Precision = typeof PRECISIONS[number];
