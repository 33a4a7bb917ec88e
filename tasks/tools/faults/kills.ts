/** SIGKILL at random moments: the process, its parent, or the whole group. @module */
import { stream } from "../../../pipeline/arrays/random.ts";
import { add, type Count, countOf, type Lanes, wait } from "./counts.ts";
import { TARGETS } from "./processes.ts";
import { disturb, type Undisturbed } from "./trials.ts";

/** How often a stage's turn comes; others: 2. */
const TURNS: Record<string, number> = { "train acdc": 4, "train la": 1, reproduce: 1 };

/** Kills stages so many times in all, a third of them twice before they are left in peace. */
export async function killStages(
  home: string,
  undisturbed: Undisturbed[],
  { kills, seed, lanes }: { kills: number; seed: number; lanes: Lanes },
): Promise<Count[]> {
  const counts = new Map(undisturbed.map((one) => [one, countOf(`kill ${one.stage.name}`)]));
  const turns = undisturbed.flatMap((one) => new Array<Undisturbed>(TURNS[one.stage.name] ?? 2).fill(one));
  let left = kills, trial = 0;
  const lane = async () => {
    while (left > 0 && !lanes.isStopped()) {
      const number = trial++, one = turns[number % turns.length], random = stream(seed, one.stage.name, number);
      const wanted = Math.min(left, random() < 1 / 3 ? 2 : 1);
      left -= wanted;
      const { injected, faults } = await disturb(home, one, {
        name: `trial ${number}`,
        moments: Array.from({ length: wanted }, () => () => wait(one.seconds * random())),
        signal: "SIGKILL",
        target: () => TARGETS[Math.floor(random() * TARGETS.length)],
      });
      left += wanted - injected; // it had ended, or not begun
      add(counts.get(one)!, faults, injected);
    }
  };
  do await Promise.all(Array.from({ length: lanes.count }, lane)); while (left > 0 && !lanes.isStopped());
  return [...counts.values()];
}
