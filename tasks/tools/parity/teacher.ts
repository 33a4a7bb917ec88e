/** `ema`: the decay and six updates of a teacher. @module */
import * as tf from "@tensorflow/tfjs";
import { emaDecay, updateTeacher } from "../../../pipeline/methods/teacher.ts";
import type { Weights } from "../../../pipeline/networks/parameters.ts";
import { openTensorFlow } from "../../../pipeline/tensorflow/device.ts";
import { type Golden, numbers } from "./golden.ts";

openTensorFlow();
/** Single precision, vectors up to 2. */
const LIMIT = 1e-6;

export function teachers(golden: Golden): void {
  golden.check("alpha", Array.from(golden.values("iteration"), emaDecay), { limit: 1e-12 });
  const [first] = golden.values("first_iteration"), students = tf.unstack(golden.tensor("student"));
  let teacher: Weights = { w: golden.tensor("teacher_start") };
  students.forEach((w, i) => {
    teacher = updateTeacher(teacher, { w }, tf.scalar(emaDecay(first + i)));
    golden.check(`teacher_after update ${i + 1}`, numbers(teacher.w), {
      limit: LIMIT,
      expected: golden.row("teacher_after", i),
    });
  });
}
