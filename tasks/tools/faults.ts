/**
 * `deno task faults`: a small project whose tasks are killed at random moments, signaled, run on full and read-only disks,
 * and whose files lose bits. Behind each fault the same command must end as it would have ended undisturbed, or the file is
 * refused by its name. Ends with the counts and `N passed, N failed`.
 * @module
 */
import { z } from "zod";
import { EXIT, parseOptions, runTask } from "../../pipeline/command/options.ts";
import { removeFolder } from "../../pipeline/files/atomic.ts";
import { temporaryFolder } from "../../pipeline/files/places.ts";
import { onStop } from "../../pipeline/files/signals.ts";
import { unknownName } from "../../pipeline/files/words.ts";
import { flipBits } from "./faults/bits.ts";
import type { Count, Lanes } from "./faults/counts.ts";
import { disturbDisks } from "./faults/disk.ts";
import { killStages } from "./faults/kills.ts";
import { resumeTrainings, threadSpread } from "./faults/resume.ts";
import { signalStages } from "./faults/signals.ts";
import { smallProject } from "./faults/stages.ts";
import { runUndisturbed, type Undisturbed } from "./faults/trials.ts";

const PARTS = ["kills", "signals", "disk", "bits", "resume"];

await runTask(async () => {
  const { kills, seed, part, json } = parseOptions(
    z.strictObject({
      kills: z.int().nonnegative().default(200).describe("SIGKILLs over all tasks"),
      seed: z.int().nonnegative().default(1).describe("of the moments, bits and sizes"),
      part: z.string().default(PARTS.join(",")).describe("what is tried, with commas"),
      json: z.boolean().default(false).describe("print the counts as JSON instead of a table"),
    }),
    {
      name: "faults",
      description: "Disturb every task of a small project and count what comes of it",
      args: Deno.args,
    },
  );
  const parts = part.split(","), unknown = parts.filter((name) => !PARTS.includes(name));
  if (unknown.length) {
    unknown.forEach((name) => console.error(unknownName("part", name, PARTS)));
    return EXIT.usage;
  }
  const home = await temporaryFolder("ss-net-faults-"), count = Math.max(1, navigator.hardwareConcurrency);
  const counts: Count[] = [], notes: string[] = [], undisturbed: Undisturbed[] = [];
  let isStopped = false;
  using _listening = onStop(() => {
    isStopped = true;
    console.error("Ending what is tried just now; the counts up to here follow");
  });
  const lanes: Lanes = { count, isStopped: () => isStopped },
    isWanted = (name: string) => parts.includes(name) && !isStopped;
  const tell = (told: Count[]) => {
    counts.push(...told);
    if (!json) told.forEach((count) => console.log(lineOf(count)));
  };
  try {
    if (!json) console.log(`${"".padEnd(52)}injected  survived`);
    for (const stage of await smallProject(home)) {
      if (!isStopped) undisturbed.push(await runUndisturbed(home, stage));
    }
    if (isWanted("kills")) tell(await killStages(home, undisturbed, { kills, seed, lanes }));
    if (isWanted("signals")) tell(await signalStages(home, undisturbed, { lanes }));
    if (isWanted("disk")) tell(await disturbDisks(home, undisturbed, { seed, times: 3, lanes }));
    if (isWanted("bits")) tell(await flipBits(home, { seed }));
    if (isWanted("resume")) {
      tell(await resumeTrainings(home, { seed, lanes }));
      if (!isStopped) notes.push(...await threadSpread(home, [2, 4]));
    }
  } finally {
    await removeFolder(home);
  }
  const [injected, survived] = (["injected", "survived"] as const).map((key) =>
    counts.reduce((sum, one) => sum + one[key], 0)
  );
  if (json) console.log(JSON.stringify({ seed, counts, notes, injected, survived }, null, 2));
  else for (const note of notes) console.log(note);
  for (const { what, faults } of counts) faults.forEach((fault) => console.error(`${what}: ${fault}`));
  if (!json) console.log(`${survived} passed, ${injected - survived} failed`);
  return injected > survived ? 1 : isStopped ? EXIT.interrupted : EXIT.done;
});

function lineOf({ what, injected, survived, note }: Count): string {
  const numbers = [injected, survived].map((number) => String(number).padStart(8)).join("  ");
  return `${what.padEnd(52)}${numbers}${note ? `  ${note}` : ""}`;
}
