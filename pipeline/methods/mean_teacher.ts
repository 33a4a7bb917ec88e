/**
 * Mean teacher (Tarvainen & Valpola, NeurIPS 2017, "Mean teachers are better role models"): a teacher, the moving average of
 * the student, gives targets on noisy unlabeled images, which the student meets without that noise.
 * `L = (CE + Dice) / 2 + w mean((p - p_T)²)`, the mean over unlabeled rows, voxels and classes. UA-MT without its mask.
 *
 * Source of truth: HiLab-git/SSL4MIS (`train_mean_teacher_2D.py`, `train_mean_teacher_3D.py`); noise, decay, ramp, rate and
 * component filter are UA-MT's; the student is tested.
 * Deviations: the teacher begins as the student, not at random, so that what it says counts from the first step on, where that
 * code leaves it out for 1,000 steps; on LA the step of the rate and 15,000 iterations as for every method of SS-Net's table.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { comparedSupervised, oneHot } from "../losses/dice.ts";
import { buildNetwork } from "../networks/network.ts";
import { initialize, toWeights } from "../networks/parameters.ts";
import { controlDependencies, foldIn, softmax } from "../tensorflow/ops.ts";
import type { Scalar, Tensor } from "../tensorflow/tensors.ts";
import { defineMethod, type Method, type MethodDefinition, onePassStep } from "./method.ts";
import { emaDecay, followStudent, recallTeacher, rememberStudent, rememberTeacher, teach } from "./teacher.ts";
import { UA_MT_PROTOCOL } from "./ua_mt.ts";

/**
 * Mean teacher on a dataset. Its state is the teacher. Losses it reports: total, supervised, consistency before its weight.
 */
export const meanTeacher: MethodDefinition = defineMethod({ title: "Mean Teacher", create });

function create(dataset: DatasetProfile): Method {
  const profile: DatasetProfile = { ...dataset, ...UA_MT_PROTOCOL[dataset.protocol] };
  const { classes } = profile, { spec, forward } = buildNetwork(profile.network, profile);
  return {
    profile,
    spec,
    usesUnlabeled: true,
    methodState: (random) => rememberTeacher(toWeights(spec, initialize(spec, random))),
    begin: (student) => ({ methodState: rememberStudent(student) }),
    scheduled: (iteration) => ({ teacher_decay: emaDecay(iteration) }),
    step(inputs) {
      const { methodState, x, label, seed, consistencyWeight } = inputs;
      const labeled = label.shape[0], halves = (t: Tensor) => tf.split(t, [labeled, x.shape[0] - labeled]);
      const teacher = recallTeacher(spec, methodState), [, images] = halves(x);
      const target = teach(forward, teacher, { x: images, seed: foldIn(seed, "target") });
      const student = {
        ...inputs,
        x: controlDependencies(x, [target]),
        seed: foldIn(seed, "student"),
        methodState: rememberTeacher(teacher),
      };
      return onePassStep(student, forward, ({ logits }) => {
        const [labeledLogits, unlabeledLogits] = halves(logits);
        const supervised = comparedSupervised(labeledLogits, oneHot(label, classes), profile.protocol);
        const consistency = tf.mean(tf.square(tf.sub(softmax(unlabeledLogits), target))) as Scalar;
        const total = tf.add(supervised, tf.mul(consistencyWeight, consistency)) as Scalar;
        return { total, supervised, consistency };
      });
    },
    afterUpdate: (inputs) => ({ losses: {}, methodState: followStudent(spec, inputs) }),
  };
}
