/**
 * What a result owes to its checkpoint and to the components that are kept: every training with its last and its best
 * checkpoint, under every way to keep components, over its seeds.
 * @module
 */
import { COMPONENTS, type Components } from "../arrays/components.ts";
import { overSeeds, patientScores, type SeedSummary } from "../evaluation/statistics.ts";
import { spread } from "../evaluation/summary.ts";
import { componentsText } from "../records/components.ts";
import type { ResultRow, Spread } from "../records/evaluation.ts";
import { groupsBy, listsKey, rowKey, scheduleKey, scheduleText, unfinishedAt } from "./compared_methods.ts";
import type { Group, Result } from "./groups.ts";
import { protocolKey } from "./row_settings.ts";
import type { Run } from "./runs.ts";

/** The checkpoints of a run that are tested; best: by the validation cases of its training. */
const CHECKPOINTS = ["last", "best"] as const;

/** One checkpoint of a training, over its seeds. */
export interface CheckpointScores {
  /** Which one. */
  checkpoint: typeof CHECKPOINTS[number];
  /** The seeds in ascending order. */
  seeds: number[];
  /**
   * Dice and 95HD (honest convention) by the components that are kept, and with those that each seed's validation cases chose;
   * null where not every seed has them.
   */
  scores: Record<Components | "chosen", Record<"dice" | "hd95", SeedSummary> | null>;
  /** What the validation cases chose, in words, by seed where not all chose the same; null where they chose nothing for one. */
  chosen: string | null;
}

/** One training over its seeds. */
export interface SelectionRow {
  /** Method, options that are not as published, strong augmentation. */
  label: string;
  /** Schedule, first weights where they are given, norm and its statistics, overlap and mirrorings where the test has any. */
  training: string;
  /** One of its results: the others differ from it in seed, checkpoint and components alone. */
  example: Result;
  /** The tested ones. */
  checkpoints: CheckpointScores[];
  /**
   * Dice of the best checkpoint minus that of the last one, over the seeds: on the validation cases, which chose it (null: fewer
   * than two validations), and on the test cases with the components of the best one's evaluation (null: not both are tested).
   */
  gap: Record<"validation" | "test", Spread | null>;
}

/** The trainings of a group that have ended, in the order of their methods. */
export function selectionRows(group: Group): SelectionRow[] {
  const ended = group.results.filter((result) => unfinishedAt(result) === null);
  const key = (result: Result) =>
    JSON.stringify([
      protocolKey(group, result, ["Checkpoint", "Components"]),
      ...[rowKey, scheduleKey, listsKey].map((of) => of(result)),
    ]);
  const place = ([{ run: { method } }]: Result[]) => [method.place, method.changed.length];
  return groupsBy(ended, key)
    .map(onePerSeed)
    .sort((a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1])
    .map((results) => {
      const [{ run: { config: { training }, method }, evaluation: { metrics } }] = results;
      const isStrong = training.augmentation === "strong";
      return {
        label: [
          method.title,
          ...method.changed.map((pair) => pair.join(" ")),
          ...isStrong ? ["strong augmentation"] : [],
        ].join(", "),
        training: [
          scheduleText(results[0]),
          ...training.init ? ["from given weights"] : [],
          training.norm === "batch" ? `batch norm ${metrics.batchNorm}` : `${training.norm} norm`,
          ...metrics.overlap === null ? [] : [`overlap ${metrics.overlap}`],
          ...metrics.mirror ? ["mirrorings averaged"] : [],
        ].join(", "),
        example: results[0],
        checkpoints: CHECKPOINTS.flatMap((checkpoint) => {
          const own = bySeed(results.filter(({ evaluation }) => evaluation.metrics.checkpoint === checkpoint));
          return own.length ? [checkpointScores(checkpoint, own)] : [];
        }),
        gap: { validation: validationGap(results), test: testGap(results) },
      };
    });
}

/** Without the runs that repeat another one's seed, which the comparison of methods names. */
function onePerSeed(results: Result[]): Result[] {
  const seedOf = ({ config: { training: { seed } } }: Run) => seed;
  const first = new Map(results.toReversed().map(({ run }) => [seedOf(run), run]));
  return results.filter(({ run }) => first.get(seedOf(run)) === run);
}

/** The evaluations of one checkpoint, a list a seed, seeds in ascending order. */
const bySeed = (results: Result[]): Result[][] =>
  groupsBy(results, ({ run }) => String(run.config.training.seed))
    .sort(([a], [b]) => a.run.config.training.seed - b.run.config.training.seed);

/** The rows of a way to keep components, from the first evaluation that has them. */
function rowsOf(results: Result[], way: Components): ResultRow[] | null {
  for (const { evaluation: { metrics } } of results) {
    if (metrics.components === way) return metrics.rows;
    const other = metrics.otherComponents.find(({ components }) => components === way);
    if (other) return other.rows;
  }
  return null;
}

function checkpointScores(checkpoint: CheckpointScores["checkpoint"], results: Result[][]): CheckpointScores {
  const seeds = results.map(([{ run }]) => run.config.training.seed);
  const choices = results.map((own) =>
    own.find(({ evaluation: { metrics } }) => metrics.componentsChoice)?.evaluation.metrics.components ?? null
  );
  const scoresOf = (wayOf: (i: number) => Components | null) => {
    const all = results.map((own, i) => {
      const way = wayOf(i);
      return way && rowsOf(own, way);
    });
    if (all.includes(null)) return null;
    const patients = all.map((rows) => Object.entries(patientScores(rows!, "honest")));
    const over = (number: "dice" | "hd95") =>
      overSeeds(patients.map((own) => Object.fromEntries(own.map(([patient, of]) => [patient, of[number]]))));
    return { dice: over("dice"), hd95: over("hd95") };
  };
  return {
    checkpoint,
    seeds,
    scores: {
      ...Object.fromEntries(COMPONENTS.map((way) => [way, scoresOf(() => way)])) as Record<
        Components,
        ReturnType<typeof scoresOf>
      >,
      chosen: scoresOf((i) => choices[i]),
    },
    chosen: choices.includes(null) ? null : choicesText(seeds, choices as Components[]),
  };
}

/** The components that were chosen; where seeds differ, which seeds chose them. */
function choicesText(seeds: number[], choices: Components[]): string {
  const byChoice = [...Map.groupBy(seeds, (_, i) => choices[i])];
  if (byChoice.length === 1) return componentsText(choices[0]);
  return byChoice.map(([way, own]) => `${componentsText(way)} (${own.join(", ")})`).join(", ");
}

function validationGap(results: Result[]): Spread | null {
  const gapOf = ({ validation, config }: Run) => {
    const last = validation.at(-1);
    if (validation.length < 2 || last!.iteration < config.training.iterations) return null;
    return Math.max(...validation.map(({ value }) => value)) - last!.value;
  };
  const { mean, ...rest } = spread(bySeed(results).map(([{ run }]) => gapOf(run)));
  return mean === null ? null : { mean, ...rest };
}

function testGap(results: Result[]): Spread | null {
  const gaps = bySeed(results).map((own) => {
    const [last, best] = CHECKPOINTS.map((one) =>
      own.filter(({ evaluation }) => evaluation.metrics.checkpoint === one)
    );
    if (!best.length) return null;
    const way = best[0].evaluation.metrics.components;
    const [before, after] = [last, best].map((of) => rowsOf(of, way)).map((rows) =>
      rows && spread(Object.values(patientScores(rows, "honest")).map(({ dice }) => dice)).mean
    );
    return before === null || after === null ? null : after - before;
  });
  const { mean, ...rest } = spread(gaps);
  return mean === null ? null : { mean, ...rest };
}
