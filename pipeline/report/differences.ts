/**
 * What a training has over a labeled-only one that differs from it in one thing: the paired difference of their Dice over
 * patients, under every way to keep components. It answers whether unlabeled cases, augmentation, a norm or components pay.
 * @module
 */
import { COMPONENTS, type Components } from "../arrays/components.ts";
import { type PairedDifference, pairedDifference } from "../evaluation/statistics.ts";
import { listsKey, scheduleKey } from "./compared_methods.ts";
import type { Group } from "./groups.ts";
import { sharedSettings } from "./row_settings.ts";
import { type CheckpointScores, type SelectionRow, selectionRows } from "./selection.ts";

/** One training beside another one. */
export interface Difference {
  /** The training. */
  label: string;
  /** Its schedule and test. */
  training: string;
  /** The labeled-only training that it is compared with. */
  against: string;
  /** The schedule and test of that one. */
  againstTraining: string;
  /** The checkpoint of both. */
  checkpoint: CheckpointScores["checkpoint"];
  /** The seeds of both, in ascending order. */
  seeds: { own: number[]; against: number[] };
  /** What the two differ in; a method's schedule is its own, and left aside. */
  differsIn: string;
  /** Dice minus the other one's under the same way to keep components, and both as their validation cases chose. */
  sameComponents: Record<Components | "chosen", PairedDifference | null>;
  /** Dice as the validation cases chose minus the other one's with {@linkcode publishedComponents}. */
  chosenOverPublished: PairedDifference | null;
}

/** How to read the differences. */
export const DIFFERENCES_READING =
  "Dice minus that of a labeled-only training, in points, patient by patient, seeds averaged first: mean and 95 % interval " +
  "of the patients' differences (percentile bootstrap, 10,000 resamples). It does not hold the spread of trainings.";

/**
 * Every training of a group beside the labeled-only ones that differ from it in one thing: in the method, or, of labeled-only
 * ones, in a single setting that the other one has as published (where nothing is: that stands first), or in a shorter
 * schedule; and each labeled-only one beside itself without the components that were chosen. A method may have other
 * augmentation than the one it is compared with, which is then said.
 */
export function differences(group: Group): Difference[] {
  const rows = selectionRows(group), published = publishedComponents(group);
  return rows.filter(isLabeledOnly).flatMap((reference) =>
    rows.flatMap((row) => {
      const differsIn = whatDiffers(group, row, reference, rows.indexOf(reference) < rows.indexOf(row));
      if (differsIn === null) return [];
      const { label, training } = row, { label: against, training: againstTraining } = reference;
      return row.checkpoints.flatMap((own) => {
        const other = reference.checkpoints.find(({ checkpoint }) => checkpoint === own.checkpoint);
        if (!other) return [];
        const scores = scoresDifference(own, other, published);
        return [...Object.values(scores.sameComponents), scores.chosenOverPublished].some((one) => one)
          ? [{
            ...{ label, training, against, againstTraining, differsIn, checkpoint: own.checkpoint },
            seeds: { own: own.seeds, against: other.seeds },
            ...scores,
          }]
          : [];
      });
    })
  );
}

/** The components that the published protocol keeps; all where nothing is published. */
export const publishedComponents = ({ protocol }: Group): Components => protocol?.components ?? "all";

const isLabeledOnly = ({ example: { run: { config, method } } }: SelectionRow) =>
  config.method.name === "supervised" && !method.changed.length;

/** What tells a training from a labeled-only one, in words; null where it is not one thing. @param isLater Than that one. */
function whatDiffers(group: Group, row: SelectionRow, reference: SelectionRow, isLater: boolean): string | null {
  if (row === reference) return "components";
  if (listsKey(row.example) !== listsKey(reference.example)) return null;
  const others = new Map(sharedSettings(group, reference.example).map((setting) => [setting.name, setting]));
  const all = sharedSettings(group, row.example).filter(({ name, key }) =>
    name !== "Checkpoint" && name !== "Components" && key !== others.get(name)!.key
  );
  // Without batch norms there are no statistics of them: one thing, not two.
  const settings = all.filter(({ name }) =>
    name !== "Batch norm statistics" || !all.some((one) => one.name === "Norm")
  );
  const texts = settings.map(({ name, text }) => `${name.toLowerCase()}: ${text}, not ${others.get(name)!.text}`);
  if (!isLabeledOnly(row)) {
    return settings.every(({ name }) => name === "Augmentation") ? ["method", ...texts].join("; ") : null;
  }
  const [setting] = settings, other = setting && others.get(setting.name)!;
  const length = ({ example: { run } }: SelectionRow) => run.config.training.iterations;
  if (settings.length === 0) return length(row) > length(reference) ? "schedule" : null;
  const isAlone = settings.length === 1 && scheduleKey(row.example) === scheduleKey(reference.example);
  const isUsual = other?.publishedValue === null ? isLater : other?.text === other?.publishedValue;
  return isAlone && isUsual ? texts[0] : null;
}

function scoresDifference(
  own: CheckpointScores,
  other: CheckpointScores,
  published: Components,
): Pick<Difference, "sameComponents" | "chosenOverPublished"> {
  const between = (a: CheckpointScores["scores"][Components], b: typeof a) =>
    a && b && pairedDifference(a.dice.values, b.dice.values);
  const ways = [...COMPONENTS, "chosen"] as const;
  return {
    sameComponents: Object.fromEntries(
      ways.map((way) => [way, own === other ? null : between(own.scores[way], other.scores[way])]),
    ) as Difference["sameComponents"],
    chosenOverPublished: between(own.scores.chosen, other.scores[published]),
  };
}
