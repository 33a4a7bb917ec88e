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
  type ChosenComponents,
  componentsText,
  readChosenComponents,
  type StoredComponents,
  writeChosenComponents,
} from "../records/components.ts";
import { checkCases } from "../records/split.ts";
import { type LoadedRun, withComponents } from "./trained_run.ts";

/** A checkpoint as it is tested. */
export type Tested = Pick<LoadedRun, "folder" | "file" | "checkpoint" | "statistics" | "told">;

/** Whether a choice is of the same checkpoint, whatever its weights, and the same statistics. */
const isOf = ({ checkpoint, statistics }: StoredComponents, run: Tested) =>
  checkpoint === run.checkpoint && statistics === run.statistics;

/**
 * What {@linkcode chooseComponents} stored for a checkpoint and its statistics, or what its file of weights says; null where
 * there is nothing. Needs `--allow-read`.
 */
export async function storedComponents(run: Tested): Promise<ChosenComponents | null> {
  if (run.told) return run.told;
  const hash = sha256(await Deno.readFile(run.file)), all = await readChosenComponents(run.folder);
  const stored = all.find((one) => one.sha256 === hash && isOf(one, run));
  return stored
    ? { components: stored.components, componentsChoice: { cases: stored.cases, dice: stored.dice } }
    : null;
}

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
 * @throws {DataError} When the run is a file of weights that does not say them, its split has no validation case, or one has no label.
 */
export async function chooseComponents(
  run: LoadedRun,
  { cases: folder, say = () => {} }: { cases: string; say?: (line: string) => void },
): Promise<LoadedRun> {
  const stored = await storedComponents(run);
  if (stored) {
    if (stored.componentsChoice) say(chosenText(run, stored));
    return withComponents(run, stored);
  }
  const { split } = run.config, cannot = `Cannot choose components for "${run.folder}"`;
  const remedy = "--components all, classes or foreground says them";
  if (run.folder === run.file) {
    throw new DataError(`${cannot}: a run folder wanted, found a file of weights; ${remedy}`);
  }
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
  const chosen = { components, componentsChoice: { cases: split.validation.length, dice } };
  const others = (await readChosenComponents(run.folder)).filter((one) => !isOf(one, run));
  const { checkpoint, statistics, overlap, mirror } = run, hash = sha256(await Deno.readFile(run.file));
  await writeChosenComponents(run.folder, [
    ...others,
    { components, ...chosen.componentsChoice, checkpoint, sha256: hash, statistics, overlap, mirror },
  ]);
  say(chosenText(run, chosen));
  return withComponents(run, chosen);
}

/** What was chosen, by what. */
function chosenText({ folder, file }: LoadedRun, { components, componentsChoice }: ChosenComponents): string {
  const dice = COMPONENTS.map((way) => `${componentsChoice!.dice[way].toFixed(4)} ${way}`).join(", ");
  const place = folder === file ? file : `${folder}/components.json`;
  return `components: ${componentsText(components, componentsChoice)}: Dice ${dice}; in "${place}"`;
}
