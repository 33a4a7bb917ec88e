/** `ssnet_step3d`, `ssnet_step2d`: two whole iterations with momentum SGD. @module */
import * as tf from "@tensorflow/tfjs";
import type { Tensor1D } from "@tensorflow/tfjs";
import type { DatasetProfile } from "../../../pipeline/datasets/dataset.ts";
import { createMethod } from "../../../pipeline/methods/method.ts";
import { networkWithHeads, ssnet, ssnetSettings, ssnetStep } from "../../../pipeline/methods/ssnet.ts";
import { toWeights, type Weights } from "../../../pipeline/networks/parameters.ts";
import { updateParameters } from "../../../pipeline/training/training_step.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { goldenState } from "./golden_numbers.ts";
import { channelsLast, type Golden, norms, numbers } from "./golden.ts";
import { checkParameters } from "./networks.ts";
import { noiseOf } from "./smoothness.ts";
import { consistencyWeight } from "../../../pipeline/losses/ramps.ts";

openTensorFlow();
export function iterations(golden: Golden, dataset: DatasetProfile): void {
  const { weightSet, labeled, iterations, directionStreams } = golden.cases;
  const classes = golden.shape("memory_count")[1], profile = { ...dataset, classes };
  const { spec, methodState: startState } = createMethod(ssnet, profile);
  const network = networkWithHeads(profile.network, profile);
  const x = golden.image("input"), label = tf.slice(golden.labels("label"), 0, labeled);
  const start = toWeights(spec, goldenState(spec, weightSet));
  let buffers = start.buffers;
  let methodState: Weights = startState(() => 0);
  const zeros = Object.fromEntries(spec.parameters.map(({ name }) => [name, tf.zerosLike(start.weights[name])]));
  let state = {
    weights: start.weights,
    momentum: zeros as Weights,
    hadGradient: tf.zeros([spec.parameters.length]) as Tensor1D,
  };
  iterations.forEach((iteration, step) => {
    const consistency = consistencyWeight(iteration, profile.consistency);
    const { losses, gradients, participation, ...after } = ssnetStep(network.forward, {
      weights: state.weights,
      buffers,
      methodState,
      x,
      label,
      seed: tf.tensor1d([0, 0], "int32"),
      direction: channelsLast(noiseOf(directionStreams[step], golden.shape("input"))),
      consistencyWeight: tf.scalar(consistency),
      settings: ssnetSettings(profile).parse({}),
      profile,
      dropout: false,
    });
    const of = (key: string) => ({ expected: golden.row(key, step) });
    const kinds = ["total", "cross_entropy", "supervised", "smoothness", "separation_labeled", "separation_unlabeled"];
    const values = [...kinds.map((name) => numbers(losses[name])[0]), consistency];
    golden.check(`losses step ${step + 1}`, values, { limit: 1e-4, ...of("losses") });
    const zero = "grad_is_zero", names = Object.keys(state.weights);
    // Of a head that took no part there is a zero here and no gradient there.
    const rests = names.map((name) => participation[name.slice(0, name.indexOf("."))]).map((took) =>
      took && numbers(took)[0] === 0
    );
    const found = norms(gradients).map((norm, i) => rests[i] ? null : norm);
    golden.checkNorms(`grad_l2 step ${step + 1}`, found, { limit: 2e-2, zero, ...of("grad_l2") });
    state = updateParameters({ ...state, buffers, methodState }, {
      gradients,
      participation,
      learningRate: tf.scalar(0.01),
    });
    ({ buffers, methodState } = after);
    const indices = Array.from({ length: classes }, (_, c) => c);
    const counts = indices.map((c) => c ? numbers(methodState[`bank.${c}.count`])[0] : 0);
    golden.check(`memory_count step ${step + 1}`, counts, { limit: 0, ...of("memory_count") });
    const bank = indices.slice(1).flatMap((c) => [...numbers(methodState[`bank.${c}.rows`])]);
    checkRows(golden, { name: `memory step ${step + 1}`, found: bank, expected: golden.row("memory", step) });
  });
  checkParameters(golden, { ...state, start: start.weights }, {
    prefix: "",
    limits: { param_sum: 1e-3, momentum_l2: 2e-2, delta_l2: 1e-1 },
  });
  golden.checkStatistics(spec, buffers);
}

/** The bank as a set of rows: near-equal scores may change places. The background's rows are stored as zeros. */
function checkRows(
  golden: Golden,
  { name, found, expected }: { name: string; found: number[]; expected: ArrayLike<number> },
): void {
  const width = golden.shape("memory").at(-1)!;
  const rowsOf = (values: ArrayLike<number>) =>
    Array.from({ length: values.length / width }, (_, i) => Array.from(values).slice(i * width, (i + 1) * width));
  const ours = [...rowsOf(found), Array(width).fill(0)];
  const distance = (a: number[], b: number[]) => Math.max(...a.map((v, i) => Math.abs(v - b[i])));
  const nearest = rowsOf(expected).map((row) => Math.min(...ours.map((other) => distance(row, other))));
  golden.check(name, [Math.max(...nearest)], { limit: 1e-4, expected: [0] });
}
