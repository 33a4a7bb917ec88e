/**
 * UA-MT (Yu et al., MICCAI 2019, "Uncertainty-aware self-ensembling model"): a teacher, the moving average of the student,
 * gives targets on noisy unlabeled images where its own uncertainty over eight noisy passes is low.
 * `L = (CE + Dice) / 2 + w Σ M (p - p_T)² / (2 Σ M)`, M = [uncertainty < H].
 *
 * Source of truth: yulequan/UA-MT (LA) and HiLab-git/SSL4MIS (ACDC). As there: ln 2 in the threshold and the 2 in the
 * denominator also for four classes; the target is a pass of its own, not the mean of the eight; teacher and student both
 * in training mode; the student is tested, on LA without a component filter.
 * Deviation: 15,000 iterations on LA as for every method of SS-Net's table, where UA-MT's own code has 6000.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile, Protocol } from "../datasets/dataset.ts";
import { certainMask, maskedSquaredError, predictiveEntropy } from "../losses/consistency.ts";
import { comparedSupervised, oneHot } from "../losses/dice.ts";
import { buildNetwork } from "../networks/network.ts";
import { initialize, toWeights } from "../networks/parameters.ts";
import { controlDependencies, foldIn, softmax } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import { defineMethod, type Method, type MethodDefinition, onePassStep } from "./method.ts";
import { emaDecay, followStudent, recallTeacher, rememberTeacher, teach } from "./teacher.ts";
import { uncertaintyThreshold } from "../losses/ramps.ts";

/** What the method's own code has differently from SS-Net's profile. */
export const UA_MT_PROTOCOL = {
  la: {
    learningRate: { base: 0.01, every: 2500 },
    consistency: { maximum: 0.1, length: 40, countsFrom: 0 },
    components: "all",
  },
  acdc: { learningRate: { base: 0.01, power: 0.9 }, consistency: { maximum: 0.1, length: 200, countsFrom: 0 } },
} as const satisfies Record<Protocol, Partial<DatasetProfile>>;
const CALLS = 4;

/**
 * UA-MT on a dataset. Its state is the teacher. Losses it reports: total, supervised, consistency before its weight,
 * certain_share (of the unlabeled voxels, those that count).
 */
export const uaMt: MethodDefinition = defineMethod({ title: "UA-MT", create });

function create(dataset: DatasetProfile): Method {
  const profile: DatasetProfile = { ...dataset, ...UA_MT_PROTOCOL[dataset.protocol] };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, profile);
  return {
    profile,
    spec,
    usesUnlabeled: true,
    methodState: (random) => rememberTeacher(toWeights(spec, initialize(spec, random))),
    scheduled: (iteration, share) => ({
      teacher_decay: emaDecay(iteration),
      uncertainty_threshold: uncertaintyThreshold(share, 1),
    }),
    step(inputs) {
      const { methodState, x, label, consistencyWeight, scheduled } = inputs;
      const labeled = label.shape[0], unlabeled = x.shape[0] - labeled;
      const halves = (t: Tensor) => tf.split(t, [labeled, unlabeled]);
      const teacher = recallTeacher(spec, methodState), [, images] = halves(x);
      const taught = (name: string, x: Tensor) => teach(forward, teacher, { x, seed: foldIn(inputs.seed, name) });
      const target = taught("target", images);
      // One call behind the other: else the activations of all exist at once.
      const twice = tf.concat([images, images]), passes: Tensor[] = [];
      for (let call = 0; call < CALLS; call++) {
        passes.push(
          ...tf.split(taught(`uncertainty ${call}`, controlDependencies(twice, [passes.at(-1) ?? target])), 2),
        );
      }
      const mean = tf.div(tf.addN(passes), passes.length);
      const certain = certainMask(predictiveEntropy(mean), scheduled.uncertainty_threshold);

      const student = {
        ...inputs,
        x: controlDependencies(x, [certain]),
        seed: foldIn(inputs.seed, "student"),
        methodState: rememberTeacher(teacher),
      };
      return onePassStep(student, forward, ({ logits }) => {
        const [labeledLogits, unlabeledLogits] = halves(logits);
        const supervised = comparedSupervised(labeledLogits, oneHot(label, classes), profile.protocol);
        const consistency = maskedSquaredError(softmax(unlabeledLogits), target, certain);
        const total = tf.add(supervised, tf.mul(consistencyWeight, consistency)) as Scalar;
        return { total, supervised, consistency, certain_share: tf.mean(certain) as Scalar };
      });
    },
    afterUpdate: (inputs) => ({ losses: {}, methodState: followStudent(spec, inputs) }),
  };
}
