/** SS-Net's heads on feature rows in double precision, row by row as PyTorch computes them: what the fast ones are measured by. */

/** `[N, F]` */
export type Rows = number[][];
/** Mean and biased variance of every column. */
function statistics(x: Rows) {
  const n = x.length, mean = new Float64Array(x[0].length), variance = new Float64Array(x[0].length);
  for (const row of x) row.forEach((v, j) => mean[j] += v / n);
  for (const row of x) row.forEach((v, j) => variance[j] += (v - mean[j]) ** 2 / n);
  return { mean, variance };
}

/** The heads in double precision, of the rows that are there and of no others. */
export function plainHeads(weights: Record<string, Float64Array>) {
  const linear = (x: Rows, name: string): Rows => {
    const weight = weights[`${name}.weight`], bias = weights[`${name}.bias`], outputs = bias.length;
    return x.map((row) => {
      const y = Array.from(bias);
      for (let i = 0; i < row.length; i++) for (let j = 0; j < outputs; j++) y[j] += row[i] * weight[i * outputs + j];
      return y;
    });
  };
  const normalized = (x: Rows, name: string): Rows => {
    const gamma = weights[`${name}.weight`], beta = weights[`${name}.bias`], { mean, variance } = statistics(x);
    const scale = gamma.map((g, j) => g / Math.sqrt(variance[j] + 1e-5));
    return x.map((row) => row.map((v, j) => (v - mean[j]) * scale[j] + beta[j]));
  };
  const head = (x: Rows, name: string, slope: number): Rows =>
    linear(
      normalized(linear(x, `${name}.0`), `${name}.1`).map((row) => row.map((v) => v > 0 ? v : slope * v)),
      `${name}.3`,
    );
  return {
    /**
     * What the prediction head's batch norm sees of these rows: mean, and variance as running statistics take it. `slopes`:
     * how far these move at most, per column, when every entry x of the projected rows is changed by a share of its size:
     * `E Σ_i |w_i x_i|` times that share, and `2 E (Σ_i |w_i x_i|) (Σ_k |w_k (x_k - m_k)|)` times it.
     */
    predictionStatistics(x: Rows) {
      const projected = head(x, "projection_head", 0), n = x.length, center = statistics(projected).mean;
      const { mean, variance } = statistics(linear(projected, "prediction_head.0"));
      const sizes = Float64Array.from(weights["prediction_head.0.weight"], Math.abs), none = mean.map(() => 0);
      const slopes = { mean: [...none], variance: [...none] };
      const absolute = plainHeads({ "sizes.weight": sizes, "sizes.bias": none }).linear;
      const own = absolute(projected.map((row) => row.map(Math.abs)), "sizes");
      const apart = absolute(projected.map((row) => row.map((v, i) => Math.abs(v - center[i]))), "sizes");
      own.forEach((row, r) =>
        row.forEach((size, j) => {
          slopes.mean[j] += size / n;
          slopes.variance[j] += 2 * size * apart[r][j] / (n - 1);
        })
      );
      return { mean, variance: variance.map((v) => v * n / (n - 1)), slopes };
    },
    linear,
    predict: (x: Rows) => head(head(x, "projection_head", 0), "prediction_head", 0),
    select: (x: Rows, name: string) =>
      head(x, `contrastive_class_selector_${name}`, 0.2).map(([v]) => 1 / (1 + Math.exp(-v))),
  };
}

/** A flat `[N, F]` as rows. */
export const toRows = (flat: ArrayLike<number>, width: number): Rows =>
  Array.from({ length: flat.length / width }, (_, i) => Array.from({ length: width }, (_, j) => flat[i * width + j]));
