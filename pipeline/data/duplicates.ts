/** Cases that are one case under two names: one of them may be trained on and the other tested. @module */
import { listed } from "../files/words.ts";
import { patientOf } from "../records/case.ts";
import type { Lists } from "../records/split.ts";
import type { Manifest } from "../records/manifest.ts";

/** Cases that have the same image, or the same label. */
export interface Duplicates {
  /** What is equal, voxel for voxel, before any preparation. */
  what: "image" | "label";
  /** Two cases or more. */
  names: string[];
}

/**
 * The cases of a manifest that have the same image, and those of the same label where it is not empty; one group a reason,
 * and not the labels of cases whose images are the same already. None is seen in a manifest without hashes.
 */
export function duplicatesIn(cases: Manifest["cases"]): Duplicates[] {
  const names = Object.keys(cases);
  const groups = (key: "sourceImage" | "sourceLabel", among: string[]) =>
    [...Map.groupBy(among, (name) => cases[name].hashes?.[key])]
      .filter(([hash, names]) => hash && names.length > 1)
      .map(([, names]) => names);
  const images = groups("sourceImage", names).map((names) => ({ what: "image", names }) as const);
  const isLabeled = (name: string) => Object.values(cases[name].labelVoxels ?? {}).some((count) => count > 0);
  const labels = groups("sourceLabel", names.filter(isLabeled)).map((names) => ({ what: "label", names }) as const);
  const isKnown = ({ names }: Duplicates) => images.some((image) => names.every((name) => image.names.includes(name)));
  return [...images, ...labels.filter((label) => !isKnown(label))];
}

/** Duplicates among the lists of a split. */
export interface SplitDuplicates {
  /** What is equal, and in which part of the split each of them stands. */
  text: string;
  /** Whether one is tested or validated while another stands in another part: a score would be of what was trained on. */
  leaks: boolean;
}

/** {@linkcode duplicatesIn} the lists of a split; frames of one patient stay together. */
export function duplicatesBetween(lists: Lists, cases: Manifest["cases"]): SplitDuplicates[] {
  const roles = new Map(Object.entries(lists).flatMap(([role, names]) => names.map((name) => [name, role])));
  return duplicatesIn(Object.fromEntries([...roles.keys()].map((name) => [name, cases[name]])))
    .filter(({ names }) => new Set(names.map(patientOf)).size > 1)
    .map(({ what, names }) => {
      const parts = new Set(names.map((name) => roles.get(name)!));
      return {
        text: `the same ${what}: ${listed(names.map((name) => `${name} (${roles.get(name)})`))}`,
        leaks: parts.size > 1 && (parts.has("test") || parts.has("validation")),
      };
    });
}
