/**
 * Resuming is exact: every method on both datasets, in both precisions, with a warm-up, and a short training that begins
 * with smaller slices, killed once its first state is there. Beside it: how far other threads lead.
 * @module
 */
import { stream } from "../../../pipeline/arrays/random.ts";
import { DATASETS } from "../../../pipeline/datasets/datasets.ts";
import { removeFolder } from "../../../pipeline/files/atomic.ts";
import { exists } from "../../../pipeline/files/exists.ts";
import { flagsOf } from "../../../pipeline/files/flags.ts";
import { readSafetensors } from "../../../pipeline/files/safetensors.ts";
import { METHOD_NAMES } from "../../../pipeline/methods/methods.ts";
import { add, type Count, countOf, inLanes, type Lanes, wait } from "./counts.ts";
import { TARGETS } from "./processes.ts";
import type { Stage } from "./stages.ts";
import { disturb, runUndisturbed, type Undisturbed } from "./trials.ts";

const LENGTH = { iterations: 6, warmup: 2, validateEvery: 3, saveEvery: 2 };
const PRECISIONS = ["fp32", "bf16"];

/** The trainings of the small project in `home`, as stages. */
function trainings(home: string): Stage[] {
  const stage = (name: string, dataset: string, more: Record<string, string | number>): Stage => ({
    name,
    command: (folder) => ({
      task: "train",
      args: [
        dataset,
        ...flagsOf({
          ...{ cases: `${home}/preprocess ${dataset}/cases`, split: `${home}/split ${dataset}/split.json` },
          ...{ run: `${folder}/run`, preset: "fast", threads: 1, ...LENGTH, ...more },
        }),
      ],
    }),
  });
  const all = Object.values(DATASETS).flatMap(({ name: dataset, ci }) =>
    METHOD_NAMES.flatMap((method) =>
      PRECISIONS.map((precision) =>
        stage(`${method} on ${dataset} in ${precision}`, dataset, {
          ...{ method, precision, patch: ci.patch.map((side) => side / 2).join("x") },
        })
      )
    )
  );
  const smaller = { method: "ssnet", precision: "fp32", iterations: 4, warmup: 3 };
  return [...all, stage("ssnet on acdc with smaller slices", "acdc", smaller)];
}

/** Kills every training once behind its first state. */
export async function resumeTrainings(
  home: string,
  { seed, lanes }: { seed: number; lanes: Lanes },
): Promise<Count[]> {
  return await inLanes(trainings(home), lanes, async (stage) => {
    const count = countOf(`resume ${stage.name}`), random = stream(seed, stage.name);
    let one: Undisturbed;
    try {
      one = await runUndisturbed(home, stage);
    } catch (error) {
      const { message } = error as Error;
      if (/Cannot compute in /.test(message)) return { ...count, note: "skipped: not this processor" };
      add(count, [message]);
      return count;
    }
    const hasState = async (folder: string, isOver: () => boolean) => {
      while (!isOver() && !exists(`${folder}/run/state.safetensors`)) await wait(0.01);
      await wait(random() * one.seconds / 4);
    };
    const target = () => TARGETS[Math.floor(random() * TARGETS.length)];
    const { injected, faults } = await disturb(home, one, {
      ...{ name: `resume ${stage.name}`, moments: [hasState], signal: "SIGKILL", target },
    });
    add(count, faults, injected);
    await removeFolder(`${home}/${stage.name}`); // a hundred megabytes
    return count;
  });
}

/** The largest difference of a weight after a training on one thread and on several, in parts of the largest weight. */
export async function threadSpread(home: string, threads: readonly number[]): Promise<string[]> {
  const [stage] = trainings(home).filter(({ name }) => name === "ssnet on acdc in fp32"), weights: Float32Array[] = [];
  for (const count of [1, ...threads]) {
    const command = (folder: string) => {
      const { task, args } = stage.command(folder);
      return { task, args: [...args, "--threads", `${count}`] };
    };
    await runUndisturbed(home, { name: `threads ${count}`, command });
    const { tensors } = await readSafetensors(`${home}/threads ${count}/run/last.safetensors`);
    weights.push(
      Float32Array.from(
        Object.values(tensors).filter(({ dtype }) => dtype === "F32").flatMap((one) => [...one.values()]),
      ),
    );
  }
  const [one, ...others] = weights, largest = one.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return others.map((other, i) => {
    const apart = one.reduce((most, value, k) => Math.max(most, Math.abs(value - other[k])), 0);
    return `${threads[i]} threads: weights within ${
      (apart / largest).toExponential(1)
    } of the largest after ${LENGTH.iterations} iterations`;
  });
}
