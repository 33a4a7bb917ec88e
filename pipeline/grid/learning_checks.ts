/** Checks of a grid at the scale ci: that its trainings have learned something. @module */
import { readLog } from "../files/log.ts";
import type { Cell } from "./cells.ts";
import { type Grid, pathOf, readTest, untrainedOf } from "./protocol.ts";

/** Means of the first and the last third of a course. */
export function thirds(values: number[]): { first: number; last: number } {
  const n = Math.floor(values.length / 3), mean = (part: number[]) => part.reduce((sum, v) => sum + v, 0) / part.length;
  return { first: mean(values.slice(0, n)), last: mean(values.slice(values.length - n)) };
}

/**
 * Checks of every cell whether training lowered the supervised loss, and whether it predicts better than an untrained
 * network; each is printed, and their numbers at the end. Needs `--allow-read`.
 */
export async function checkCells(grid: Grid, cells: Cell[]): Promise<boolean> {
  const passed = { true: 0, false: 0 };
  const tell = (isGood: boolean, text: string) => {
    passed[`${isGood}`]++;
    console.log(`${isGood ? "ok" : "FAILED"}  ${text}`);
  };
  for (const cell of cells) {
    const folders = [pathOf(grid, cell), untrainedOf(grid, cell)];
    const rows = await readLog(`${folders[0]}/metrics.jsonl`).catch((error: Error) => {
      console.error(error.message); // the check of this cell fails, the others are made
      return [];
    });
    const { first, last } = thirds(rows.map((row) => row.supervised ?? NaN));
    const lossText = `supervised loss ${first.toFixed(4)} in the first third, ${last.toFixed(4)} in the last`;
    tell(last < first, `${cell.folder}: ${lossText}`);
    const evaluations = await Promise.all(folders.map((folder) => readTest(grid, cell, { folder })));
    const [trained, untrained] = evaluations.map((one) => one?.summary.honest.mean.dice.mean ?? NaN);
    tell(trained > untrained, `${cell.folder}: Dice ${trained.toFixed(4)}, untrained ${untrained.toFixed(4)}`);
  }
  console.log(`${passed.true} passed, ${passed.false} failed`);
  return passed.false === 0;
}
