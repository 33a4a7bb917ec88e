/** Validation while a training goes on: its log, `validation.jsonl`, and which checkpoint was the best so far. @module */
import type { Case } from "../data/cases.ts";
import { evaluateCase, type Segment } from "../evaluation/evaluate_case.ts";
import { summarize } from "../evaluation/summary.ts";
import { openLog, readLog } from "./log.ts";

/** What is validated and how. */
export interface ValidationOptions {
  /** Log to write. */
  path: string;
  /** Done so far: later rows of the log are dropped. */
  iteration: number;
  /** Whole volumes with their labels. */
  cases: Case[];
  /** The dataset's way from an image to a mask, with the weights that are being trained. */
  segment: Segment;
  /** Of the classes from 1 on. */
  classNames: readonly string[];
  /** Called when a network is better than all before. */
  keepBest: () => Promise<void>;
}

/** Opens a validation; `run` takes the mean Dice over cases and classes, as published. */
export async function openValidation(
  { path, iteration, cases, segment, classNames, keepBest }: ValidationOptions,
): Promise<{ run(iteration: number): Promise<void> } & Disposable> {
  const log = await openLog(path, iteration);
  let best = (await readLog(path)).at(-1)?.best ?? 0;
  const run = async (iteration: number) => {
    const rows = [];
    for (const one of cases) rows.push(...(await evaluateCase(one, { segment, classNames })).rows);
    const dice = summarize(rows).published.mean.dice.mean!;
    if (dice > best) {
      best = dice;
      await keepBest();
    }
    log.write({ iteration, dice, best });
  };
  return { run, [Symbol.dispose]: () => log[Symbol.dispose]() };
}
