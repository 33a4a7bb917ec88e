/** A job array for Slurm whose tasks are the cells of a grid. @module */
import { dirname, resolve } from "node:path";
import { writeAtomically } from "../files/atomic.ts";
import { quoted } from "../files/places.ts";
import { hoursOf } from "./costs.ts";
import type { PlannedCell } from "./plan.ts";
import type { Grid } from "./protocol.ts";

/** What the script holds. */
export interface SlurmOptions {
  /** Of the job. */
  name: string;
  /** Indices of the cells to do. */
  cells: number[];
  /** Of a task. */
  threads: number;
  /** Of a task, largest cell; null: the cluster's default. */
  memoryGb: number | null;
  /** Of a task, from start to end; a shorter `--time` at submission makes it go on in several allocations. */
  minutes: number;
  /** Where the log of each task goes: `slurm-CELL.log`. */
  folder: string;
  /** Folder that the command starts in. */
  directory: string;
  /** Folder of the program `deno`. */
  deno: string;
  /** Program and arguments; the cell's index is added. */
  command: string[];
}

/** Time between the signal and the end of an allocation: a step and two checkpoints. */
const NOTICE_SECONDS = 300;

/**
 * The script. Before an allocation ends Slurm signals it (`--signal`): the training stops cleanly with code 75, and the task
 * puts itself back into the queue, as Slurm does after a failed node or a preemption (`--requeue`).
 */
export function slurmScript(options: SlurmOptions): string {
  const { name, cells, threads, memoryGb, minutes, folder, directory, deno, command } = options;
  return `#!/bin/sh
#SBATCH --job-name=${name}
#SBATCH --array=${cells.join(",")}
#SBATCH --cpus-per-task=${threads}
${memoryGb === null ? "" : `#SBATCH --mem=${Math.ceil(memoryGb)}G\n`}#SBATCH --time=${Math.ceil(minutes)}
#SBATCH --requeue
#SBATCH --signal=B:USR1@${NOTICE_SECONDS}
#SBATCH --open-mode=append
#SBATCH --output="${folder}/slurm-%a.log"
# One task is one cell of the grid; options given to sbatch win over those above.
cd ${quoted(directory)} || exit 1
PATH=${quoted(deno)}:$PATH
trap 'signaled=1; kill -TERM "$!" 2>/dev/null' USR1 TERM # USR1 would open Deno's inspector
${command.map(quoted).join(" ")} --cell "$SLURM_ARRAY_TASK_ID" &
pid=$!
while :; do # a signal ends the wait, not the cell
  signaled=
  wait "$pid"
  code=$?
  [ -z "$signaled" ] && break
done
if [ "$code" -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
`;
}

/**
 * Writes the job array of the cells, which are not finished, and says how to submit it. Needs `--allow-read`, `--allow-write`.
 * @param command This task with its options.
 */
export async function writeJobArray({ scale, out, threads }: Grid, cells: PlannedCell[], command: string[]) {
  const costs = cells.flatMap(({ costs, ...cell }) => costs ? [{ hours: hoursOf(cell, costs), ...costs }] : []);
  const script = slurmScript({
    name: `ss-net-${scale}`,
    cells: cells.map(({ index }) => index),
    threads,
    memoryGb: costs.length ? 1 + 1.2 * Math.max(...costs.map(({ memoryGb }) => memoryGb)) : null,
    minutes: 60 + 72 * Math.max(0, ...costs.map(({ hours }) => hours)), // a fifth more, and an hour for the evaluation
    folder: resolve(out),
    directory: Deno.cwd(),
    deno: dirname(Deno.execPath()),
    command,
  });
  await writeAtomically(`${out}/reproduce.sbatch`, script);
  console.log(
    `sbatch ${out}/reproduce.sbatch\nWhen its tasks have ended, the same command without --slurm reports them.`,
  );
}
