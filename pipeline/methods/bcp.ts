/**
 * BCP (Bai et al., CVPR 2023, "Bidirectional copy-paste"): first trained on labeled images mixed with each other, then on
 * labeled and unlabeled images pasted into one another both ways; pseudo labels come from a teacher, the moving average
 * of the student, cleaned by their largest components.
 * `L = mix(x₁) + mix(x₂)`, weight 1 where the label is true, 1/2 where it is a pseudo label; no consistency ramp.
 *
 * Source of truth: DeepMed-Lab-ECNU/BCP as it is today: the ACDC Dice masks all classes, 10,000 iterations of the first
 * stage (published figures predate both).
 * Deviation: the second stage begins with the **last** network of the first, not with the one that was best on the test
 * cases (LA) or the validation cases (ACDC), so that no test case takes part and both stages are one training; on LA the
 * last student is tested. The teacher has no running statistics: it only ever runs with its batch's, whatever its code
 * does with them. The heads that its network carries and never uses are left out.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile, Protocol } from "../datasets/dataset.ts";
import { largestComponents } from "../arrays/components.ts";
import {
  boxMask,
  copyPasteLoss,
  paste,
  type Region,
  regionLinearDice,
  regionLoss,
  regionSquaredDice,
} from "../losses/copy_paste.ts";
import { oneHot } from "../losses/dice.ts";
import { Pass } from "../networks/layers.ts";
import { buildNetwork } from "../networks/network.ts";
import { initialize, toWeights, type Weights } from "../networks/parameters.ts";
import { controlDependencies, foldIn } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import {
  addGradients,
  defineMethod,
  type Method,
  type MethodDefinition,
  onePassStep,
  type StepInputs,
} from "./method.ts";
import { EMA_DECAY, recallTeacher, rememberStudent, rememberTeacher, updateTeacher } from "./teacher.ts";

const FROM_LABEL = 1, FROM_TEACHER = 0.5;
/** What the method's own code has differently from SS-Net's profile: on LA twice the rows, 4 + 4, and a first stage of its own. */
const PROTOCOL = { la: { times: 2, warmup: 2000 }, acdc: { times: 1, warmup: 10000 } } as const satisfies Record<
  Protocol,
  unknown
>;
/** Its Dice, what the box of the first mixed image shows, and what goes on unchanged when the second stage begins. */
const VARIANT = {
  la: { dice: regionLinearDice, firstBox: "unlabeled", keepsMomentum: false },
  acdc: { dice: regionSquaredDice, firstBox: "labeled", keepsMomentum: true },
} as const;

/** Images of one mix with their labels. */
interface Part extends Region {
  /** `[B, ..., C]` */
  image: Tensor;
}

/** Splits a batch into its two halves. */
function inHalves(x: Tensor): [Tensor, Tensor] {
  return tf.split(x, 2) as [Tensor, Tensor];
}

/**
 * The largest component of every class from 1 on, of every row by itself; the rest becomes background. Of equally large ones
 * the first in raster order stays.
 * @param classes int32 `[B, ...]` @param shape Its axes.
 *
 * @example The lone pixel goes
 * ```ts
 * import assert from "node:assert/strict";
 * import { cleanPseudoLabels } from "@ssnet/pipeline/methods/bcp.ts";
 *
 * assert.deepEqual([...cleanPseudoLabels(Int32Array.of(1, 1, 0, 1, 2, 0), [1, 1, 6])], [1, 1, 0, 0, 2, 0]);
 * ```
 */
export function cleanPseudoLabels(classes: Int32Array, [rows, ...size]: number[]): Int32Array {
  const cleaned = new Int32Array(classes.length), voxels = classes.length / rows;
  for (let row = 0; row < rows; row++) {
    cleaned.set(largestComponents(classes.subarray(row * voxels, (row + 1) * voxels), size), row * voxels);
  }
  return cleaned;
}

/**
 * BCP on a dataset. Its state is the teacher. Losses it reports: total, supervised (regions with a true label), pseudo
 * (regions with a pseudo label, before their weight).
 */
export const bcp: MethodDefinition = defineMethod({ title: "BCP", create });

function create(dataset: DatasetProfile): Method {
  const { times, warmup } = PROTOCOL[dataset.protocol];
  const rows = 2 * Math.ceil(times * dataset.labeledPerBatch / 2); // mixed in pairs, a labeled one with an unlabeled one
  const profile: DatasetProfile = { ...dataset, warmup, labeledPerBatch: rows, unlabeledPerBatch: rows };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, profile);
  const { dice, ...variant } = VARIANT[profile.protocol];
  const maskOf = ({ x, seed }: StepInputs) => boxMask(x.shape.slice(1, -1), foldIn(seed, "box"));

  return {
    profile,
    spec,
    usesUnlabeled: true,
    methodState: (random) => rememberTeacher({ weights: toWeights(spec, initialize(spec, random)).weights }),
    /** The labeled half mixed with itself. */
    warmup(inputs) {
      const mask = maskOf(inputs);
      const [a, b] = inHalves(inputs.x), [labelA, labelB] = inHalves(oneHot(inputs.label, classes));
      const mixed = { ...inputs, x: paste(mask, { outside: a, inside: b }), seed: foldIn(inputs.seed, "warm-up") };
      return onePassStep(mixed, forward, ({ logits }) => {
        if (profile.protocol === "la") {
          const target = paste(mask, { outside: labelA, inside: labelB });
          const total = regionLoss(logits, { target, region: tf.onesLike(mask), dice });
          return { total, supervised: total };
        }
        const whole = { outside: { target: labelA, weight: 1 }, inside: { target: labelB, weight: 1 } };
        const { total } = copyPasteLoss(logits, { mask, ...whole, dice });
        return { total, supervised: total };
      });
    },
    begin({ weights }) {
      const methodState = rememberStudent({ weights });
      return variant.keepsMomentum ? { methodState } : { methodState, momentum: "zeros" };
    },
    hostWork: {
      /** The teacher's classes, the halves in passes of their own. */
      read({ methodState, x, label, seed }) {
        const labeled = label.shape[0];
        const teacher = recallTeacher(spec, methodState);
        const [, images] = tf.split(x, [labeled, x.shape[0] - labeled]);
        const classesOf = (half: Tensor, name: string) => {
          const pass = new Pass(teacher.weights, {}, { training: true, dropoutSeed: foldIn(seed, name) });
          return tf.cast(tf.argMax(forward(pass, half).logits, -1), "int32");
        };
        const [first, second] = inHalves(images), found = classesOf(first, "teacher of the first half");
        return tf.concat([found, classesOf(controlDependencies(second, [found]), "teacher of the second half")]);
      },
      work: (values, shape) => ({ pseudo_label: { data: cleanPseudoLabels(values, shape), shape } }),
    },
    step(inputs) {
      const { x, label, seed, targets } = inputs;
      const labeled = label.shape[0], mask = maskOf(inputs);
      const [labeledX, unlabeledX] = tf.split(x, [labeled, x.shape[0] - labeled]);
      const [a, b] = inHalves(labeledX), [ua, ub] = inHalves(unlabeledX);
      const [labelA, labelB] = inHalves(oneHot(label, classes));
      const [pseudoA, pseudoB] = inHalves(oneHot(targets.pseudo_label, classes));
      /** A pass over mixed images: `box` says which of the two their box shows. */
      const mix = (
        box: "labeled" | "unlabeled",
        { labeled, unlabeled }: Record<typeof box, Part>,
        { name, buffers, before }: { name: string; buffers: Weights; before: Tensor[] },
      ) => {
        const [outside, inside] = box === "labeled" ? [unlabeled, labeled] : [labeled, unlabeled];
        const mixed = paste(mask, { outside: outside.image, inside: inside.image });
        const own = {
          ...inputs,
          buffers,
          x: before.length ? controlDependencies(mixed, before) : mixed,
          seed: foldIn(seed, name),
        };
        return onePassStep(own, forward, ({ logits }) => {
          const { total, ...losses } = copyPasteLoss(logits, { mask, outside, inside, dice });
          const [supervised, pseudo] = box === "labeled"
            ? [losses.inside, losses.outside]
            : [losses.outside, losses.inside];
          return { total, supervised, pseudo };
        });
      };
      const part = (image: Tensor, target: Tensor, weight: number): Part => ({ image, target, weight });
      const pairs = [
        { labeled: part(a, labelA, FROM_LABEL), unlabeled: part(ua, pseudoA, FROM_TEACHER) },
        { labeled: part(b, labelB, FROM_LABEL), unlabeled: part(ub, pseudoB, FROM_TEACHER) },
      ];
      const first = mix(variant.firstBox, pairs[0], { name: "first mix", buffers: inputs.buffers, before: [] });
      const before = first.gradients.filter((gradient) => gradient !== null);
      const second = mix(
        variant.firstBox === "labeled" ? "unlabeled" : "labeled",
        pairs[1],
        { name: "second mix", buffers: first.buffers, before },
      );
      const sum = (name: string) => tf.add(first.losses[name], second.losses[name]) as Scalar;
      return {
        ...second,
        losses: { total: sum("total"), supervised: sum("supervised"), pseudo: sum("pseudo") },
        gradients: addGradients(first.gradients, second.gradients),
      };
    },
    afterUpdate({ weights, methodState }) {
      const teacher = recallTeacher(spec, methodState).weights;
      return {
        losses: {},
        methodState: rememberTeacher({ weights: updateTeacher(teacher, weights, tf.scalar(EMA_DECAY)) }),
      };
    },
  };
}
