/** Times and memory of what feeds a training: cases from HDF5 files, batches from cases. @module */
import { assembleBatch, readTrainingItems } from "../data/batches.ts";
import type { DatasetProfile } from "../datasets/dataset.ts";
import { halves, withCaseFiles } from "./inputs.ts";
import type { Times } from "../records/measurement.ts";
import { repeat, timesOf, type Timing } from "./timing.ts";

/**
 * Reads so many cases as a training reads them, half of them labeled, and then batches of theirs. Needs
 * `--allow-write` of the temporary folder.
 */
export function timeCases(
  profile: DatasetProfile,
  { cases, iterations }: { cases: number; iterations: number },
): Promise<{ reading: Times; batch: Timing }> {
  return withCaseFiles(profile, cases, async (folder) => {
    const begun = performance.now();
    const items = await readTrainingItems(folder, halves(profile, cases), { profile, withUnlabeled: true });
    const seconds = (performance.now() - begun) / 1000;
    const { patch } = profile;
    const batch = await repeat(
      iterations,
      (i) =>
        assembleBatch(items, {
          profile,
          augmentation: "published",
          seed: 1,
          iteration: i + 1,
          patch,
          withUnlabeled: true,
        }),
    );
    // Read once, as in a training: reading again would find the memory of the first time.
    return { reading: timesOf([seconds]), batch };
  });
}
