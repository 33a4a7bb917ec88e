/**
 * Validation while a training goes on: its log, `validation.jsonl`, and which network is kept. How good the kept one is stands
 * in its own file (`readBestDice`), since a log loses what a crash left behind the checkpoint that a run goes on from.
 * @module
 */
import type { Case } from "../records/case.ts";
import type { Segment } from "../evaluation/evaluate_case.ts";
import { diceByClass } from "../evaluation/overlap.ts";
import { openLog } from "../files/log.ts";

/** What is validated and how. */
export interface ValidationOptions {
  /** Log to write. */
  path: string;
  /** The iterations that are done so far: later rows of the log are dropped. */
  iteration: number;
  /** Whole volumes with their labels. */
  cases: Case[];
  /** The dataset's way from an image to a mask, with the weights that are being trained. */
  segment: Segment;
  /** Background included. */
  classes: number;
  /** Dice of the network kept so far; 0 where there is none. */
  best: number;
  /** Is called with the Dice of a network that is better than all before. */
  keepBest: (dice: number) => Promise<void>;
}

/**
 * Opens a validation; `run` takes the mean Dice over cases and classes, as published, and no distance: they cost more than
 * the network. It returns the Dice, and whether the network was kept.
 */
export async function openValidation(
  { path, iteration, cases, segment, classes, best, keepBest }: ValidationOptions,
): Promise<{ run(iteration: number): Promise<{ dice: number; kept: boolean }> } & Disposable> {
  const log = await openLog(path, iteration);
  const run = async (iteration: number) => {
    let sum = 0;
    for (const one of cases) {
      const overlaps = diceByClass({ prediction: await segment(one), reference: one.label! }, classes);
      sum += overlaps.reduce((a, b) => a + b, 0) / overlaps.length;
    }
    const dice = sum / cases.length, kept = dice > best;
    if (kept) {
      await keepBest(dice);
      best = dice;
    }
    log.write({ iteration, dice });
    await log.sync();
    return { dice, kept };
  };
  return { run, [Symbol.dispose]: () => log[Symbol.dispose]() };
}
