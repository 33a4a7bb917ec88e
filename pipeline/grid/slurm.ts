/** A job array for Slurm whose tasks are the cells of a grid. @module */
import { dirname, resolve } from "node:path";
import { quoted } from "../files/places.ts";
import { hoursOf } from "./costs.ts";
import type { PlannedCell } from "./plan.ts";
import type { Grid } from "./protocol.ts";

/** Time between the signal and the end of an allocation: a step and two checkpoints. */
const NOTICE_SECONDS = 300;

/**
 * The script. Before an allocation ends Slurm signals it (`--signal`): the training stops cleanly with code 75, and the task
 * puts itself back into the queue, as Slurm does after a failed node or a preemption (`--requeue`). A task has memory and
 * time for the largest cell, where they were measured, and a fifth more.
 *
 * @param cells What is to do. @param command Program and arguments; the cell's index is added.
 */
export function slurmScript(
  { scale, out, threads }: Pick<Grid, "scale" | "out" | "threads">,
  { cells, command }: { cells: PlannedCell[]; command: string[] },
): string {
  const folder = resolve(out), measured = cells.flatMap(({ costs, ...cell }) => costs ? [{ ...cell, costs }] : []);
  const memoryGb = 1 + 1.2 * Math.max(...measured.map(({ costs }) => costs.memoryGb));
  const minutes = 60 + 72 * Math.max(0, ...measured.map((cell) => hoursOf(cell, cell.costs))); // an hour for the evaluation
  return `#!/bin/sh
#SBATCH --job-name=ss-net-${scale}
#SBATCH --array=${cells.map(({ index }) => index).join(",")}
#SBATCH --cpus-per-task=${threads}
${measured.length ? `#SBATCH --mem=${Math.ceil(memoryGb)}G\n` : ""}#SBATCH --time=${Math.ceil(minutes)}
#SBATCH --requeue
#SBATCH --signal=B:USR1@${NOTICE_SECONDS}
#SBATCH --open-mode=append
#SBATCH --output="${folder}/slurm-%a.log"
# One task is one cell of the grid; options given to sbatch win over those above.
cd ${quoted(Deno.cwd())} || exit 1
PATH=${quoted(dirname(Deno.execPath()))}:$PATH
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
