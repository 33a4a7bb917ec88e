/** How numbers stand in a report: with their unit, in %, with a sign; "–" where there is none. @module */
import { fixed } from "../files/words.ts";

/** The four numbers in the order of the tables. */
export const NUMBERS = ["dice", "jaccard", "hd95", "asd"] as const;
/** One of them. */
export type NumberName = typeof NUMBERS[number];
/** Their printed names with units; the spacing plays no part in the distances. */
export const UNITS: Record<NumberName, string> = {
  dice: "Dice %",
  jaccard: "Jaccard %",
  hd95: "95HD voxels",
  asd: "ASD voxels",
};

/** What stands where there is no number. */
export const NOTHING = "–";

/** Overlaps in %, distances as they are. */
export function scaled(name: NumberName, value: number): number {
  return name === "dice" || name === "jaccard" ? 100 * value : value;
}

/** One of the four as printed: two decimals. */
export function printed(name: NumberName, value: number | null | undefined): string {
  return value === null || value === undefined ? NOTHING : scaled(name, value).toFixed(2);
}

/** A volume, a mass, a time, an ejection fraction: one decimal. */
export function measured(value: number | null | undefined): string {
  return value === null || value === undefined ? NOTHING : fixed(value, 1);
}

/** A number with its sign: −1.5, +2.0, 0.0. */
export function signed(value: number | null, digits = 1): string {
  if (value === null) return NOTHING;
  const size = Math.abs(value).toFixed(digits);
  return (Number(size) === 0 ? "" : value < 0 ? "−" : "+") + size;
}

/** A whole number with its thousands apart. */
export function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

/** A unit as printed: with a nominal spacing it is marked. */
export function unitText(unit: "mm" | "ml" | "g" | "%", nominal: boolean): string {
  return nominal && unit !== "%" ? `nominal ${unit}` : unit;
}
