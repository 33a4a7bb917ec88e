/**
 * DTC (Luo et al., AAAI 2021, "Semi-supervised medical image segmentation through dual-task consistency"): a second head
 * regresses signed distance maps s, and both heads are to tell the same mask on all rows.
 * `L = Dice + 0.3 MSE(s, sdf) + w mean((sigmoid(-1500 s) - p)²)`; gradients flow into both heads.
 *
 * Source of truth: HiLab-git/DTC (LA); for several classes a contributor's pull request to HiLab-git/SSL4MIS (ACDC; never merged).
 * Deviations: 15,000 iterations on LA, where DTC's own code has 6000. On ACDC one map for each foreground class, and none for
 * the background; a class that is absent from a slice has no distance loss there, else its map would be driven to 0,
 * which says "everywhere on the boundary".
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile, Protocol } from "../datasets/dataset.ts";
import { COMPARED_DICE, oneHot } from "../losses/dice.ts";
import { distanceToMask, meanSquaredError, signedDistanceMaps } from "../losses/signed_distance.ts";
import { buildNetwork } from "../networks/network.ts";
import type { NetworkOutputs } from "../networks/scope.ts";
import { softmax } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import {
  defineMethod,
  type HostArray,
  type Method,
  type MethodDefinition,
  onePassStep,
  type StepInputs,
} from "./method.ts";
import { labeledStep } from "./supervised.ts";

/** What the method's own code has differently from SS-Net's profile. */
const PROTOCOL = {
  la: {
    network: "vnet_distance",
    learningRate: { base: 0.01, every: 2500 },
    consistency: { maximum: 1, length: 40, countsFrom: 0 },
  },
  acdc: {
    network: "unet_distance",
    learningRate: { base: 0.01, power: 0.9 },
    consistency: { maximum: 0.1, length: 200, countsFrom: 0 },
  },
} as const satisfies Record<Protocol, Partial<DatasetProfile>>;
const DISTANCE_WEIGHT = 0.3;

/**
 * The labeled terms of DTC and SASSNet: Dice of the segmentation head, `supervised` the sum with 0.3 of the distance loss.
 * @param outputs Of all rows, the labeled ones first, or of these alone.
 */
export function labeledTerms(
  { logits, distance }: NetworkOutputs,
  { label, targets }: StepInputs,
  profile: DatasetProfile,
): { supervised: Scalar; dice: Scalar; distance: Scalar } {
  const labeled = (t: Tensor) => tf.slice(t, 0, label.shape[0]);
  const dice = COMPARED_DICE[profile.protocol](softmax(labeled(logits)), oneHot(label, profile.classes));
  // LA's code trains an empty patch's map towards 0; with several classes absent ones are the rule.
  const present = profile.classes === 2 ? undefined : targets.present;
  const error = meanSquaredError(labeled(distance!), targets.distance, present);
  return { supervised: tf.add(dice, tf.mul(error, DISTANCE_WEIGHT)) as Scalar, dice, distance: error };
}

/** Signed distance maps of a batch's labels `[L, ..., K - 1]` as `distance`, and which of them exist as `present` `[L, K - 1]`. */
export function distanceTargets(label: Int32Array, shape: number[], classes: number): Record<string, HostArray> {
  const { maps, present } = signedDistanceMaps(label, { shape, classes });
  return {
    distance: { data: maps, shape: [...shape, classes - 1] },
    present: { data: present, shape: [shape[0], classes - 1] },
  };
}

/** DTC on a dataset. Losses it reports: total, supervised, dice, distance and consistency before their weights. */
export const dtc: MethodDefinition = defineMethod({ title: "DTC", create });

function create(dataset: DatasetProfile): Method {
  const profile: DatasetProfile = { ...dataset, ...PROTOCOL[dataset.protocol] };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, profile);
  return {
    profile,
    spec,
    usesUnlabeled: true,
    methodState: () => ({}),
    targets: (label, shape) => distanceTargets(label, shape, classes),
    warmup: (inputs) => labeledStep(inputs, forward, (outputs) => labeledTerms(outputs, inputs, profile)),
    step: (inputs) =>
      onePassStep(inputs, forward, (outputs) => {
        const { logits, distance } = outputs;
        const terms = labeledTerms(outputs, inputs, profile);
        const foreground = tf.slice(softmax(logits), [...inputs.x.shape.slice(0, -1).fill(0), 1]);
        const consistency = meanSquaredError(distanceToMask(distance!), foreground);
        const total = tf.add(terms.supervised, tf.mul(inputs.consistencyWeight, consistency)) as Scalar;
        return { total, ...terms, consistency };
      }),
  };
}
