/**
 * The components that suit a run: those by which the validation cases of its split have the best mean Dice, as nnU-Net
 * chooses (Isensee et al. 2021, "Postprocessing"). The choice is stored in the run.
 * @module
 */
import { COMPONENTS, type Components, keptComponents } from "../arrays/components.ts";
import { diceByClass } from "../evaluation/overlap.ts";
import { classesOf } from "../evaluation/sliding_window.ts";
import { DataError } from "../files/errors.ts";
import { sha256 } from "../files/hash.ts";
import { counted } from "../files/words.ts";
import { type Case, readCase } from "../records/case.ts";
import {
  componentsText,
  readChosenComponents,
  type StoredComponents,
  writeChosenComponents,
} from "../records/components.ts";
import { checkCases } from "../records/split.ts";
import { type LoadedRun, withComponents } from "./run.ts";

/** As {@linkcode chooseComponents} stored it for this checkpoint and these statistics; null where it has not. */
export async function withStoredComponents(run: LoadedRun): Promise<LoadedRun | null> {
  if (isFile(run)) return null;
  const hash = sha256(await Deno.readFile(run.file)), all = await readChosenComponents(run.folder);
  const stored = all.find((one) => one.sha256 === hash && isOf(one, run));
  return stored ? withComponents(run, stored.components, { cases: stored.cases, dice: stored.dice }) : null;
}

/** Whether it is a file of weights, in which nothing can be stored. */
const isFile = ({ folder, file }: LoadedRun) => folder === file;

/** Of the same checkpoint, whatever its weights, and the same statistics. */
const isOf = ({ checkpoint, statistics }: StoredComponents, run: LoadedRun) =>
  checkpoint === run.checkpoint && statistics === run.statistics;

/** Mean Dice over cases and classes of every way to keep components. */
export async function diceByComponents(
  names: readonly string[],
  read: (name: string) => Promise<Case>,
  { probabilities, profile: { classes } }: Pick<LoadedRun, "probabilities" | "profile">,
): Promise<Record<Components, number>> {
  const sums = { all: 0, classes: 0, foreground: 0 };
  for (const name of names) {
    const one = await read(name), found = classesOf(await probabilities(one), classes);
    for (const way of COMPONENTS) {
      const prediction = keptComponents(found, one.shape, way);
      const dice = diceByClass({ prediction, reference: one.label! }, classes);
      sums[way] += dice.reduce((a, b) => a + b) / dice.length / names.length;
    }
  }
  return sums;
}

/**
 * The way with the best Dice; of equal ones the one that leaves out least.
 *
 * @example Of a single class both largest ones are the same
 * ```ts
 * import assert from "node:assert/strict";
 * import { bestComponents } from "@ssnet/pipeline/training/components_choice.ts";
 *
 * assert.equal(bestComponents({ all: 0.8, classes: 0.9, foreground: 0.9 }), "classes");
 * ```
 */
export function bestComponents(dice: Record<Components, number>): Components {
  return COMPONENTS.reduce((best, way) => dice[way] > dice[best] ? way : best);
}

/**
 * A run with the components that suit it: as they are stored, or chosen and stored now. TensorFlow must be open. Needs
 * `--allow-read`, `--allow-write`.
 * @param options `cases`: folder of the cases; `say`: called with a line before the validation cases are segmented, and with
 * what was chosen.
 * @throws {DataError} When the run is a file of weights, its split has no validation case, or one has no label.
 */
export async function chooseComponents(
  run: LoadedRun,
  { cases: folder, say = () => {} }: { cases: string; say?: (line: string) => void },
): Promise<LoadedRun> {
  const stored = await withStoredComponents(run);
  if (stored) {
    say(chosenText(stored));
    return stored;
  }
  const { split } = run.config, cannot = `Cannot choose components for "${run.folder}"`;
  const remedy = "--components all, classes or foreground says them";
  if (isFile(run)) throw new DataError(`${cannot}: it is a file of weights, a run folder wanted; ${remedy}`);
  if (!split.validation.length) {
    throw new DataError(
      `${cannot}: its split (${split.source}) has no validation case; split --validation-cases N draws some before a ` +
        `training, ${remedy}`,
    );
  }
  const manifest = await checkCases(split, folder, `${run.folder}/config.json`);
  const read = async (name: string) => {
    const one = await readCase(`${folder}/${name}.h5`, name, { expected: manifest.cases[name] });
    if (one.label) return one;
    throw new DataError(`${cannot}: the validation case "${name}" has no label; ${remedy}`);
  };
  say(`components: ${counted(split.validation.length, "validation case")} are segmented to choose them`);
  const dice = await diceByComponents(split.validation, read, run), components = bestComponents(dice);
  const choice = { cases: split.validation, dice };
  const others = (await readChosenComponents(run.folder)).filter((one) => !isOf(one, run));
  await writeChosenComponents(run.folder, [...others, {
    ...choice,
    components,
    checkpoint: run.checkpoint,
    sha256: sha256(await Deno.readFile(run.file)),
    statistics: run.statistics,
    overlap: run.overlap,
    mirror: run.mirror,
  }]);
  const chosen = withComponents(run, components, choice);
  say(chosenText(chosen));
  return chosen;
}

/** What was chosen, by what. */
function chosenText({ folder, components, componentsChoice }: LoadedRun): string {
  const dice = COMPONENTS.map((way) => `${componentsChoice!.dice[way].toFixed(4)} ${way}`).join(", ");
  return `components: ${componentsText(components, componentsChoice)}: Dice ${dice}; in "${folder}/components.json"`;
}
