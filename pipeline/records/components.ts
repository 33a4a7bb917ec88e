/**
 * `components.json` of a run: which connected components of its masks are best on the validation cases of its split, by
 * checkpoint and statistics of the batch norms. One schema for who writes and who reads it.
 * @module
 */
import { z } from "zod";
import { COMPONENTS, type Components } from "../arrays/components.ts";
import { type JsonFile, readJsonIfThere, writeRecord } from "../files/json.ts";
import { counted } from "../files/words.ts";

/** Which components are kept. */
export const COMPONENTS_SCHEMA: z.ZodType<Components> = z.enum(COMPONENTS);

/** A record of an earlier version, which said whether the largest of each class was kept, as the present form. */
export function withPresentComponents(content: unknown): unknown {
  const earlier = z.looseObject({ largestComponent: z.boolean() }).safeParse(content);
  if (!earlier.success) return content;
  const { largestComponent, ...rest } = earlier.data;
  return { ...rest, components: largestComponent ? "classes" : "all" };
}

/** What a choice was made by. */
export interface ComponentsChoice {
  /** How many validation cases. */
  cases: number;
  /** Mean Dice over cases and classes, of every way. */
  dice: Record<Components, number>;
}

/** Which components are kept, and by which choice. */
export interface ChosenComponents {
  /** The components of masks that are kept. */
  components: Components;
  /** What chose them; null: the method, or who asked. */
  componentsChoice: ComponentsChoice | null;
}

/** A choice as the file has it. */
export interface StoredComponents extends ComponentsChoice {
  /** What was chosen. */
  components: Components;
  /** The checkpoint of the run that was chosen for. */
  checkpoint: "last" | "best";
  /** SHA-256 of the checkpoint's file: of another one the choice says nothing. */
  sha256: string;
  /** Statistics of the batch norms. */
  statistics: string;
  /** Overlap of the windows; null: the published stride. */
  overlap: number | null;
  /** Whether mirrorings were averaged. */
  mirror: boolean;
}

const DICE = z.number().min(0).max(1);
const CHOSEN_BY = {
  cases: z.int().positive(),
  dice: z.strictObject({ all: DICE, classes: DICE, foreground: DICE }),
};
/** The schema of a {@linkcode ComponentsChoice}. */
export const CHOICE: z.ZodType<ComponentsChoice> = z.strictObject(CHOSEN_BY);
const STORED: z.ZodType<StoredComponents> = z.strictObject({
  ...CHOSEN_BY,
  components: COMPONENTS_SCHEMA,
  checkpoint: z.enum(["last", "best"]),
  sha256: z.string(),
  statistics: z.string(),
  overlap: z.number().nullable(),
  mirror: z.boolean(),
});

/** A list without a name is an earlier version's. */
const CONTENT = z.union([z.strictObject({ choices: z.array(STORED) }), z.array(STORED)]);
const FILE: JsonFile = { what: "the chosen components", remedy: "delete it, and eval --components auto chooses anew" };
const pathOf = (folder: string) => `${folder}/components.json`;

/** All choices of a run; none where it has no such file. Needs `--allow-read`. @throws {DataError} When it is none. */
export async function readChosenComponents(folder: string): Promise<StoredComponents[]> {
  const content = await readJsonIfThere(pathOf(folder), CONTENT, FILE) ?? [];
  return Array.isArray(content) ? content : content.choices;
}

/** Writes them as a record. Needs `--allow-read`, `--allow-write`. */
export function writeChosenComponents(folder: string, all: StoredComponents[]): Promise<void> {
  return writeRecord(pathOf(folder), { choices: all });
}

const WORDS: Record<Components, string> = {
  all: "all components",
  classes: "largest component of each class",
  foreground: "largest component of the foreground",
};

/**
 * Which components were kept, in words.
 * @param choice Null: not chosen by validation cases.
 *
 * @example As the method has it, and as two cases chose
 * ```ts
 * import assert from "node:assert/strict";
 * import { componentsText } from "@ssnet/pipeline/records/components.ts";
 *
 * assert.equal(componentsText("all"), "all components");
 * const choice = { cases: 2, dice: { all: 0.8, classes: 0.9, foreground: 0.85 } };
 * assert.equal(componentsText("classes", choice), "largest component of each class (chosen on 2 validation cases)");
 * ```
 */
export function componentsText(components: Components, choice: ComponentsChoice | null = null): string {
  return WORDS[components] + (choice ? ` (chosen on ${counted(choice.cases, "validation case")})` : "");
}
