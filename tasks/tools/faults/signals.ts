/** Signals that ask a task to end: its state is saved, it leaves with 75 and says how to go on. @module */
import { exists } from "../../../pipeline/files/exists.ts";
import { INTERRUPTED } from "../../../pipeline/files/signals.ts";
import { add, type Count, countOf, inLanes, type Lanes, wait } from "./counts.ts";
import { disturb, type Undisturbed } from "./trials.ts";

const SIGNALS: Deno.Signal[] = ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"];
/** What a task that was asked to end says last, and what is there once it listens. */
const SAID: Record<string, { wanted: RegExp; isAtWork: (folder: string) => boolean }> = {
  "train acdc": { wanted: /go on with --resume\n$/, isAtWork: (folder) => hasRow(`${folder}/run`) },
  "train la": { wanted: /go on with --resume\n$/, isAtWork: (folder) => hasRow(`${folder}/run`) },
  "preprocess acdc": { wanted: /Stopped; nothing is left behind\n$/, isAtWork: (folder) => hasPart(`${folder}/cases`) },
  eval: { wanted: /Stopped; nothing is left behind\n$/, isAtWork: (folder) => hasPart(`${folder}/run`) },
  reproduce: {
    wanted: /the same command goes on\n$/,
    isAtWork: (folder) => hasRow(`${folder}/grid/acdc-3/supervised/1337`),
  },
};

const hasRow = (run: string) => exists(`${run}/metrics.jsonl`) && Deno.statSync(`${run}/metrics.jsonl`).size > 0;
const hasPart = (folder: string) =>
  exists(folder) && [...Deno.readDirSync(folder)].some(({ name }) => name.endsWith(".part"));

/** Sends every signal to every task that listens, at the first sign of its work. */
export async function signalStages(
  home: string,
  undisturbed: Undisturbed[],
  { lanes }: { lanes: Lanes },
): Promise<Count[]> {
  const counts = undisturbed.filter(({ stage }) => stage.name in SAID).map((one) => ({
    one,
    count: countOf(`signal ${one.stage.name}`),
  }));
  const pairs = counts.flatMap((pair) =>
    SIGNALS.slice(0, pair.one.stage.name === "train acdc" ? SIGNALS.length : 1).map((signal) => ({ ...pair, signal }))
  );
  await inLanes(pairs, lanes, async ({ one, count, signal }) => {
    const { wanted, isAtWork } = SAID[one.stage.name];
    const atWork = async (folder: string, isOver: () => boolean) => {
      while (!isOver() && !isAtWork(folder)) await wait(0.005);
    };
    const { injected, answers: [{ code, said }], faults } = await disturb(home, one, {
      name: `${signal} ${one.stage.name}`,
      ...{ moments: [atWork], signal, target: () => one.stage.name === "reproduce" ? "parent" : "process" },
    });
    if (!injected || code === 0) return; // it had ended
    const isGood = code === INTERRUPTED && wanted.test(said);
    add(count, isGood ? faults : [...faults, `${signal}: it ends with ${code}:\n${said}`]);
  });
  return counts.map(({ count }) => count);
}
