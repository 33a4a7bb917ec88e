/**
 * What every row of a report depends on, setting by setting, the published protocol beside it; and which of the
 * settings the rows of one comparison have in common.
 * @module
 */
import { basename } from "node:path";
import { counted } from "../files/words.ts";
import { componentsText } from "../records/components.ts";
import { correctedSpacingText, type Metrics } from "../records/evaluation.ts";
import type { Plan } from "../records/plan.ts";
import { lowResolutionText } from "../training/low_resolution.ts";
import { countsOf, type Group, type PublishedResults, type Result } from "./groups.ts";
import { grouped } from "./numbers.ts";

/** One setting of a row. */
interface RowSetting {
  /** First column of the table. */
  name: string;
  /** The value of the published protocol; null where it is not known, or means nothing there. */
  publishedValue: string | null;
  /**
   * Whether rows of different values never share a comparison; else a seed or a method changes it, or no score depends
   * on it.
   */
  isShared: boolean;
  /** What results are told apart by. */
  valueOf(result: Result): unknown;
  /** What is printed. */
  textOf(result: Result): string;
}

/** Statistics of the batch norms, "none" where there are no such norms. */
const batchNormOf = ({ run, evaluation }: Result) =>
  run.config.training.norm === "batch" ? evaluation.metrics.batchNorm : "none";

const setting = (isShared: boolean) =>
<Value>(
  name: string,
  publishedValue: string | null,
  valueOf: (result: Result) => Value,
  text: (value: Value) => string = String,
): RowSetting => ({ name, publishedValue, isShared, valueOf, textOf: (result) => text(valueOf(result)) });
const shared = setting(true), own = setting(false);

/** Pairs in words, of the options that are not as published, or of the versions of programs. */
const pairs = (entries: [string, unknown][]) => entries.map((pair) => pair.join(" ")).join(", ");

/** What a plan decides that nothing else says. */
export const planText = ({ protocol, network, batch: { labeled, unlabeled } }: Plan): string =>
  `${network}, schedule and settings of ${protocol.toUpperCase()}, ${labeled} + ${unlabeled} rows a batch`;

function rowSettings({ protocol, labeled, unit, results }: Group): RowSetting[] {
  const side = (sizes: readonly number[] | null) => sizes?.join(" × ") ?? "whole slices";
  const mirrorings = (mirror: boolean) => mirror ? "averaged" : "none";
  const weights = (ema: boolean) => ema ? "moving average" : "the checkpoint's iteration";
  return [
    own("Method", null, ({ run }) => run.method.title),
    own("Options of the method", null, ({ run }) => run.method.changed, (changed) => pairs(changed) || "none"),
    ...results.some(({ run }) => run.config.plan)
      ? [shared("Plan", null, ({ run }) => run.config.plan ? planText(run.config.plan) : "none")]
      : [],
    shared("Preset", null, ({ run }) => run.config.training.preset),
    own("Iterations", protocol && grouped(protocol.iterations), ({ run }) => run.config.training.iterations, grouped),
    own(
      "Warm-up, labeled only",
      protocol && grouped(protocol.warmup),
      ({ run }) => run.config.training.warmup,
      grouped,
    ),
    own(
      "Low-resolution iterations",
      protocol && "none",
      ({ run }) => run.config.training.lowResolution,
      (stage) => lowResolutionText(stage, ", ") ?? "none",
    ),
    shared("Rate schedule", protocol && "published", ({ run }) => run.config.training.rateSchedule),
    shared("Augmentation", protocol && "published", ({ run }) => run.config.training.augmentation),
    shared("Norm", protocol && "batch", ({ run }) => run.config.training.norm),
    {
      // The same file may lie in two places.
      ...shared("First weights", protocol && "random", ({ run }) => run.config.training.init?.sha256 ?? null),
      textOf: ({ run: { config: { training: { init } } } }) =>
        init ? `${basename(init.file)} (SHA-256 ${init.sha256.slice(0, 8)}…)` : "random",
    },
    shared("Tested weights", protocol && weights(false), ({ run }) => run.config.training.ema, weights),
    own("Training, minutes", null, ({ run }) => run.minutes, (minutes) => minutes?.toFixed(1) ?? "not logged"),
    shared("Training precision", protocol && protocol.trainingPrecision, ({ run }) => run.config.training.precision),
    shared("Patch", protocol && side(protocol.patch), ({ evaluation }) => evaluation.metrics.patch, side),
    own("Seed", null, ({ run }) => run.config.training.seed),
    shared("Split", protocol && protocol.split, ({ evaluation }) => evaluation.metrics.split.source),
    shared(
      `Training ${unit}, labeled + unlabeled`,
      protocol && `${labeled} + ${protocol.unlabeled[labeled] ?? "?"}`,
      ({ evaluation: { metrics } }) => [countsOf(metrics).labeled, countsOf(metrics).unlabeled],
      (counts) => counts.join(" + "),
    ),
    shared(
      `Validation ${unit}`,
      protocol && String(protocol.validation),
      ({ evaluation }) => countsOf(evaluation.metrics).validation,
    ),
    shared(`Test ${unit}`, protocol && String(protocol.test), ({ evaluation }) => countsOf(evaluation.metrics).test),
    shared(
      "Preparation",
      protocol && protocol.preparation,
      ({ evaluation }) => evaluation.metrics.preparations,
      (all) => all.join("; "),
    ),
    shared("Checkpoint", protocol && protocol.checkpoint, checkpointText),
    own("Checkpoint's iteration", null, ({ evaluation }) => evaluation.metrics.iteration, grouped),
    shared("Batch norm statistics", protocol && protocol.batchNorm, batchNormOf),
    shared("Inference precision", protocol && protocol.precision, ({ evaluation }) => evaluation.metrics.precision),
    shared(
      "Window stride",
      protocol && side(protocol.stride),
      ({ evaluation: { metrics: { stride, overlap } } }) => ({ stride, overlap }),
      ({ stride, overlap }) => side(stride) + (overlap === null ? "" : ", Gaussian weights"),
    ),
    shared(
      "Mirrorings",
      protocol && mirrorings(false),
      ({ evaluation }) => evaluation.metrics.mirror,
      mirrorings,
    ),
    shared(
      "Components",
      protocol && componentsText(protocol.components),
      ({ evaluation }) => evaluation.metrics.components,
      (components) => componentsText(components),
    ),
    own(
      "Components chosen on",
      protocol && "nothing",
      ({ evaluation }) => evaluation.metrics.componentsChoice,
      (choice) => choice ? counted(choice.cases, "validation case") : "nothing",
    ),
    own("Spacing", null, ({ evaluation }) => spacing(evaluation.metrics)),
    own("Versions", null, ({ evaluation }) => Object.entries(evaluation.metrics.versions), pairs),
    own(
      "Trained on",
      null,
      ({ run }) => run.config.training.computedOn ?? "not recorded",
      (machine) => typeof machine === "string" ? machine : JSON.stringify(machine),
    ),
  ];
}

/** One setting of the protocol over all rows of a table. */
export interface Setting extends Pick<RowSetting, "name" | "publishedValue" | "isShared"> {
  /** One value a result; `differs` where the published value is known and another. */
  values: { text: string; differs: boolean }[];
}

/** Every setting that a row of the table depends on, the published one beside it. */
export function protocolSettings(group: Group): Setting[] {
  return rowSettings(group).map(({ name, publishedValue, isShared, textOf }) => ({
    name,
    publishedValue,
    isShared,
    values: group.results.map((result) => {
      const text = textOf(result);
      // "as published" is a preparation that a case of the field's own files has, whatever was done to it.
      return { text, differs: publishedValue !== null && text !== publishedValue && text !== "as published" };
    }),
  }));
}

/** The settings in which any row differs from the published protocol. */
export function differing(settings: Setting[]): string[] {
  return settings.filter(({ values }) => values.some(({ differs }) => differs)).map(({ name }) => name);
}

/** A setting of one result that the rows of a comparison have in common. */
export interface SharedSetting extends Pick<RowSetting, "name" | "publishedValue"> {
  /** The same text for the same value. */
  key: string;
  /** What is printed. */
  text: string;
}

/** The settings of a result that the rows of one comparison have in common. */
export function sharedSettings(group: Group, result: Result): SharedSetting[] {
  return rowSettings(group).filter(({ isShared }) => isShared).map(({ name, publishedValue, valueOf, textOf }) => ({
    ...{ name, publishedValue },
    key: JSON.stringify(valueOf(result) ?? null),
    text: textOf(result),
  }));
}

/**
 * The values that the rows of one comparison have in common: the same text for the same ones.
 * @param except Names of settings that it does not look at.
 */
export function protocolKey(group: Group, result: Result, except: readonly string[] = []): string {
  return sharedSettings(group, result).filter(({ name }) => !except.includes(name)).map(({ key }) => key).join();
}

/** The settings that matter most, in one line. */
export function shortProtocol(result: Result): string {
  const { run: { config: { training }, minutes }, evaluation: { metrics } } = result;
  const warmup = training.warmup ? `, ${training.warmup} of them labeled only` : "";
  return [
    `preset ${training.preset}`,
    `${grouped(training.iterations)} iterations${warmup}`,
    ...(minutes === null ? [] : [`${minutes.toFixed(1)} min`]),
    `training ${training.precision}`,
    `seed ${training.seed}`,
    `checkpoint ${checkpointText(result)}`,
    `batch norm ${metrics.batchNorm}`,
    `inference ${metrics.precision}`,
    ...metrics.overlap === null ? [] : [`overlap ${metrics.overlap}, Gaussian weights`],
    ...metrics.mirror ? ["mirrorings averaged"] : [],
    componentsText(metrics.components, metrics.componentsChoice),
    `${countsOf(metrics).test} test ${metrics.split.patients ? "patients" : "cases"}, ${metrics.split.source}`,
  ].join(" · ");
}

/** The protocol of the published rows in a few words. */
export function shortPublishedProtocol(protocol: PublishedResults["protocol"], unit: string): string {
  return [
    `${grouped(protocol.iterations)} iterations`,
    `training ${protocol.trainingPrecision}`,
    `checkpoint ${protocol.checkpoint}`,
    `batch norm ${protocol.batchNorm}`,
    componentsText(protocol.components),
    `${protocol.test} test ${unit}`,
  ].join(" · ");
}

/** Training keeps a best checkpoint only where there is a validation list. */
function checkpointText(
  { run: { config: { training: { validateEvery } } }, evaluation: { metrics: { checkpoint } } }: Result,
): string {
  return checkpoint === "best" ? `best of the validation list, every ${validateEvery} iterations` : checkpoint;
}

function spacing({ summary, nominalSpacing, correctedSpacings }: Metrics): string {
  if (!summary.millimeters) return "unknown, no mm";
  const told = nominalSpacing ? "nominal, so are mm, ml and g" : "from the images";
  return [told, ...correctedSpacings.map(correctedSpacingText)].join("; ");
}
