/**
 * Single pieces of the work, each at the size that it has in a training or an evaluation: convolutions of every level
 * of V-Net and U-Net, norms, losses, distance transforms, metrics, loaders.
 *
 * A piece of TensorFlow is traced by itself. One number of every result is read: a GPU is waited for, and nothing large
 * is copied. In bf16 a piece contains the casts of its inputs, which a network has once for many.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import { assembleBatch, readTrainingItems, type TrainingItems } from "../data/batches.ts";
import { readCase } from "../records/case.ts";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { DATASETS } from "../datasets/datasets.ts";
import { largestComponent } from "../arrays/components.ts";
import { surfaceMetrics } from "../evaluation/surface_distance.ts";
import {
  certainMask,
  maskedSquaredError,
  mutualConsistency,
  predictiveEntropy,
  pyramidConsistency,
} from "../losses/consistency.ts";
import { linearDice, oneHot, squaredDice, SUPERVISED_DICE } from "../losses/dice.ts";
import { type FeatureBank, updateBank } from "../losses/feature_bank.ts";
import { separationLoss } from "../losses/separation.ts";
import { signedDistanceMaps } from "../losses/signed_distance.ts";
import { gradientsOf } from "../methods/method.ts";
import { heads, PROJECTED } from "../networks/heads.ts";
import { Pass } from "../networks/layers.ts";
import { initialize, toWeights, type Weights } from "../networks/parameters.ts";
import { build } from "../networks/scope.ts";
import { type Augmentation, AUGMENTATIONS } from "../records/run.ts";
import { stream } from "../arrays/random.ts";
import { syntheticLabels } from "../training/synthetic_batch.ts";
import { batchNormTrain, GROUP_CHANNELS, sampleNorm } from "../tensorflow/norms.ts";
import { imageConvolution, softmax, statelessNormal, upConvolution } from "../tensorflow/ops.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D, Tensor5D } from "../tensorflow/tensors.ts";
import { trace } from "../tensorflow/trace.ts";
import { tensorsOf } from "../tensorflow/tree.ts";
import { balls, halves, withCaseFiles } from "./inputs.ts";
import type { How } from "./passes.ts";
import { repeat, type Timing } from "./timing.ts";

/** One piece. */
export interface Piece {
  /** What is printed, compared and chosen by. */
  name: string;
  /** Makes its inputs and times it. */
  time(how: How): Promise<Timing>;
}

/** Filters of the levels of both networks, the finest first. */
const WIDTHS = [16, 32, 64, 128, 256];

/** Files that a batch is drawn from; of what a batch costs their number says nothing. */
const CASES = 8;

/** Normal numbers, made on the device. */
function normal(shape: number[], seed = 1): Tensor {
  return statelessNormal(shape, tf.tensor1d([seed, 0], "int32") as Tensor1D);
}

/**
 * A piece of TensorFlow.
 * @param make Its inputs, and what is traced with them; what that reads besides is constant.
 */
function traced<Inputs>(
  name: string,
  make: () => { inputs: Inputs; run: (inputs: Inputs) => (Tensor | null)[] },
): Piece {
  return {
    name,
    async time({ precision, iterations }) {
      const { inputs, run } = make();
      const piece = trace((given: Inputs) => {
        const results = run(given).filter((result) => result !== null);
        return tf.concat(results.map((result) => tf.cast(tf.slice(tf.reshape(result, [-1]), 0, 1), "float32")));
      }, precision);
      const timing = await repeat(iterations, async () => {
        const numbers = await piece(inputs);
        numbers.dataSync();
        numbers.dispose();
      });
      tensorsOf(inputs).forEach((input) => input.dispose());
      return timing;
    },
  };
}

/** A piece of the host. @param make Its inputs; gives what is timed. */
function onHost(name: string, make: () => () => unknown): Piece {
  return { name, time: ({ iterations }) => repeat(iterations, make()) };
}

/** A loss and its gradients by every input. @param read What it only reads. */
const thereAndBack = <Names extends string>(
  inputs: Record<Names, Tensor>,
  loss: (inputs: Record<Names, Tensor>, ...read: Tensor[]) => Tensor,
  read: Tensor[] = [],
) => ({
  inputs: { by: inputs, read },
  run: ({ by, read }: { by: Record<Names, Tensor>; read: Tensor[] }) => {
    const { value, gradients } = gradientsOf(() => loss(by, ...read), by);
    return [value, ...gradients];
  },
});

/**
 * Forward, input gradient and filter gradient of convolutions: that of the image, that of every level, and those
 * between the two finest levels.
 */
function convolutions({ name, patch, labeledPerBatch }: DatasetProfile): Piece[] {
  const at = (level: number) => patch.map((n) => n / 2 ** level);
  const convolve = (stride: number) => (x: Tensor, weight: Tensor): Tensor => {
    const padding = stride === 1 ? "same" : "valid";
    return patch.length === 3
      ? tf.conv3d(x as Tensor5D, weight as Tensor5D, stride, padding)
      : tf.conv2d(x as Tensor4D, weight as Tensor4D, stride, padding);
  };
  const levels = WIDTHS.map((width, level) => ({
    name: `${name} convolution 3, ${width} to ${width}, ${at(level).join("x")}`,
    input: [...at(level), width],
    weight: [...patch.map(() => 3), width, width],
    output: [...at(level), width],
    apply: convolve(1),
  }));
  const [narrow, wide] = WIDTHS, size = at(0).join("x");
  const first = {
    name: `${name} convolution 3 of the image, 1 to ${narrow}, ${size}`,
    input: [...at(0), 1],
    weight: [...patch.map(() => 3), 1, narrow],
    output: [...at(0), narrow],
    apply: patch.length === 3
      ? (x: Tensor, weight: Tensor) => imageConvolution(x as Tensor5D, weight as Tensor5D)
      : convolve(1),
  };
  const between = patch.length === 3
    ? [{
      name: `${name} convolution 2 down, ${narrow} to ${wide}, ${size}`,
      input: [...at(0), narrow],
      weight: [2, 2, 2, narrow, wide],
      output: [...at(1), wide],
      apply: convolve(2),
    }, {
      name: `${name} convolution 2 up, ${wide} to ${narrow}, ${size}`,
      input: [...at(1), wide],
      weight: [2, 2, 2, narrow, wide],
      output: [...at(0), narrow],
      apply: (x: Tensor, weight: Tensor) => upConvolution(x, weight),
    }]
    : [{
      name: `${name} convolution 3 behind a skip, ${wide} to ${narrow}, ${size}`,
      input: [...at(0), wide],
      weight: [3, 3, wide, narrow],
      output: [...at(0), narrow],
      apply: convolve(1),
    }];
  return [first, ...levels, ...between].flatMap(({ name, input, weight, output, apply }) => {
    const inputs = () => ({ x: normal([labeledPerBatch, ...input]), weight: normal(weight, 2) });
    const gradient = (which: number) => () => ({
      inputs: { ...inputs(), dy: normal([labeledPerBatch, ...output], 3) },
      run: ({ x, weight, dy }: Record<"x" | "weight" | "dy", Tensor>) => [
        tf.grads(apply as (...given: Tensor[]) => Tensor)([x, weight], dy)[which],
      ],
    });
    return [
      traced(`${name}, forward`, () => ({ inputs: inputs(), run: ({ x, weight }) => [apply(x, weight)] })),
      traced(`${name}, input gradient`, gradient(0)),
      traced(`${name}, filter gradient`, gradient(1)),
    ];
  });
}

/** The norms at the finest level, where they cost most. */
function norms({ name, patch, labeledPerBatch }: DatasetProfile): Piece[] {
  const [width] = WIDTHS, shape = [labeledPerBatch, ...patch, width];
  const rectified = patch.length === 3; // V-Net has its ReLU in the same kernel, U-Net a leaky one behind it
  const batchNorm = (x: Tensor, gamma: Tensor, beta: Tensor) => {
    const bias = tf.zeros([width]) as Tensor1D;
    const parameters = { gamma: gamma as Tensor1D, beta: beta as Tensor1D, bias };
    const { y, mean, variance } = batchNormTrain(x, parameters, { rectified });
    mean.dispose();
    variance.dispose();
    return y;
  };
  const inputs = () => [normal(shape), normal([width], 2), normal([width], 3)];
  const ofSamples = (channels: number) => (x: Tensor, gamma: Tensor, beta: Tensor) => {
    const parameters = { gamma: gamma as Tensor1D, beta: beta as Tensor1D, bias: tf.zeros([width]) as Tensor1D };
    return sampleNorm(x, parameters, { channels, rectified });
  };
  const both = (inputs: Tensor[], apply: (...given: Tensor[]) => Tensor) => ({
    inputs: { dy: normal(shape, 4), given: inputs },
    run: ({ dy, given }: { dy: Tensor; given: Tensor[] }) => tf.grads(apply)(given, dy),
  });
  const place = `${width} channels, ${patch.join("x")}`,
    kind = (norm: string) => rectified ? `${norm} with ReLU` : norm;
  return [
    traced(`${name} ${kind("batch norm")}, ${place}, forward`, () => ({
      inputs: inputs(),
      run: ([x, gamma, beta]) => [batchNorm(x, gamma, beta)],
    })),
    traced(
      `${name} ${kind("batch norm")}, ${place}, there and back`,
      () => both(inputs(), (x, gamma, beta) => batchNorm(x, gamma, beta)),
    ),
    ...([["instance norm", 1], ["group norm", GROUP_CHANNELS]] as const).map(([norm, channels]) =>
      traced(`${name} ${kind(norm)}, ${place}, there and back`, () => both(inputs(), ofSamples(channels)))
    ),
  ];
}

/** The losses of a step of SS-Net, and the consistencies of the methods it is compared with; each there and back. */
function losses(profile: DatasetProfile): Piece[] {
  const { name, patch, classes, labeledPerBatch: labeled, unlabeledPerBatch } = profile;
  const rows = labeled + unlabeledPerBatch;
  const logits = (rows: number, seed: number) => normal([rows, ...patch, classes], seed);
  const probabilities = (rows: number, seed: number) => {
    return tf.tidy(() => softmax(logits(rows, seed)));
  };
  const target = () => {
    return tf.tidy(() => oneHot(tf.tensor(syntheticLabels(profile, labeled), [labeled, ...patch], "int32"), classes));
  };
  const dice = SUPERVISED_DICE[profile.protocol], distance = patch.length === 3 ? linearDice : squaredDice;
  const certain = (q: Tensor) => certainMask(predictiveEntropy(q), tf.scalar(0.5) as Scalar);
  return [
    traced(`${name} softmax`, () => thereAndBack({ z: logits(rows, 1) }, ({ z }) => tf.sum(softmax(z)))),
    traced(
      `${name} Dice`,
      () => thereAndBack({ p: probabilities(labeled, 1) }, ({ p }, target) => dice(p, target), [target()]),
    ),
    traced(
      `${name} smoothness distance`,
      () => thereAndBack({ p: probabilities(rows, 1) }, ({ p }, clean) => distance(p, clean), [probabilities(rows, 2)]),
    ),
    ...separation(profile),
    traced(`${name} consistency of ua_mt`, () => {
      const of = (seed: number) => probabilities(unlabeledPerBatch, seed);
      return thereAndBack({ p: of(1) }, ({ p }, taught) => maskedSquaredError(p, taught, certain(taught)), [of(2)]);
    }),
    traced(`${name} consistency of urpc`, () => {
      const [a, b, c, d] = [1, 2, 3, 4].map((seed) => logits(unlabeledPerBatch, seed));
      return thereAndBack({ a, b, c, d }, ({ a, b, c, d }) => pyramidConsistency([a, b, c, d]));
    }),
    traced(
      `${name} consistency of mc_net`,
      () =>
        thereAndBack({ p: probabilities(rows, 1), q: probabilities(rows, 2) }, ({ p, q }) => mutualConsistency([p, q])),
    ),
  ];
}

/** SS-Net's bank and separation, of one half of a batch. */
function separation(profile: DatasetProfile): Piece[] {
  const { name, classes, labeledPerBatch: labeled } = profile, bankRows = 32;
  const make = () => {
    const { spec, forward } = build((at) => heads(at, { classes, features: WIDTHS[0] }));
    const { weights, buffers } = toWeights(spec, initialize(spec, stream(1, "weights")));
    const labels = tf.tensor1d(syntheticLabels(profile, labeled), "int32");
    const bank: FeatureBank = {
      rows: Array.from({ length: classes }, (_, c) => normal([bankRows, PROJECTED], c) as Tensor2D),
      counts: Array.from({ length: classes }, () => tf.scalar(bankRows) as Scalar),
    };
    const features = normal([labels.shape[0], WIDTHS[0]]) as Tensor2D;
    const headsOf = (weights: Weights) =>
      forward(new Pass(weights, { ...buffers }, { training: true, updateStatistics: true }));
    return { bank, labels, features, headsOf, weights };
  };
  return [
    traced(`${name} separation`, () => {
      const { bank, labels, features, headsOf, weights } = make();
      return thereAndBack(
        { features, ...weights } as Weights,
        ({ features, ...weights }) =>
          separationLoss(headsOf(weights), bank, { features: features as Tensor2D, labels, bankWeights: "ones" }).loss,
      );
    }),
    traced(`${name} bank update`, () => {
      const { bank, labels, features, headsOf, weights } = make();
      return {
        inputs: features,
        run: (features) => {
          const correct = tf.greater(labels, 0) as Tensor1D;
          const inputs = { features, labels, correct, keeps: "lowest" } as const;
          return updateBank(headsOf(weights), bank, inputs).rows.slice(1);
        },
      };
    }),
  ];
}

/** What the host computes: targets of SASSNet and DTC, and what an evaluation does behind the network. */
function hostWork(profiles: DatasetProfile[]): Piece[] {
  const maps = profiles.map((profile) => {
    const { name, patch, classes } = profile, what = patch.length === 3 ? "patch" : "slice";
    return onHost(`${name} signed distance maps of a ${what}`, () => {
      const labels = syntheticLabels(profile, 1);
      return () => signedDistanceMaps(labels, { shape: [1, ...patch], classes });
    });
  });
  return [
    ...maps,
    onHost("95HD and ASD of an LA case", () => {
      const { prediction, reference, shape } = balls();
      return () => surfaceMetrics(prediction, reference, shape);
    }),
    onHost("largest component of an LA case", () => {
      const { prediction, shape } = balls();
      return () => largestComponent(prediction, shape);
    }),
  ];
}

/** A case from its file, and a batch from cases, as SS-Net takes them. Need `--allow-write` of the temporary folder. */
function loaders(profile: DatasetProfile): Piece[] {
  const { name, patch, labeledPerBatch, unlabeledPerBatch } = profile, withUnlabeled = true;
  const batches = (items: TrainingItems, augmentation: Augmentation) => (i: number) =>
    assembleBatch(items, { profile, augmentation, seed: 1, iteration: i + 1, patch, withUnlabeled });
  return [
    {
      name: `${name} case from HDF5`,
      time: ({ iterations }) =>
        withCaseFiles(profile, 1, (folder) => repeat(iterations, () => readCase(`${folder}/0.h5`, "0"))),
    },
    ...AUGMENTATIONS.map((augmentation): Piece => ({
      name: `${name} batch of ${labeledPerBatch + unlabeledPerBatch} rows${
        augmentation === "strong" ? ", strong" : ""
      }`,
      time: ({ iterations }) =>
        withCaseFiles(profile, CASES, async (folder) => {
          const items = await readTrainingItems(folder, halves(profile, CASES), { profile, withUnlabeled });
          return await repeat(iterations, batches(items, augmentation));
        }),
    })),
  ];
}

/** All pieces, in the order in which they are timed. @param profiles Whose sizes. */
export function pieces(profiles: DatasetProfile[] = Object.values(DATASETS)): Piece[] {
  return [
    ...profiles.flatMap((profile) => [...convolutions(profile), ...norms(profile), ...losses(profile)]),
    ...hostWork(profiles),
    ...profiles.flatMap(loaders),
  ];
}
