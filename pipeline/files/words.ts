/** How counts, numbers, long lists and names stand in what the tasks print. @module */
import { closest } from "fastest-levenshtein";

/** "1 case", "2 cases". */
export function counted(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

/** Names with commas; of more than ten the first ones, and how many more there are. */
export function listed(names: readonly string[]): string {
  return names.length > 10 ? `${names.slice(0, 9).join(", ")} and ${names.length - 9} more` : names.join(", ");
}

/** A number with so many digits behind the point; one that rounds to nothing has no sign. */
export function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/** What is said of a name that is not among the known ones. @param kind "method". */
export function unknownName(
  kind: string,
  name: string,
  known: readonly string[],
  nearest: string = closest(name, known),
): string {
  return `unknown ${kind} "${name}"; nearest is "${nearest}", known are ${known.join(", ")}`;
}

/** A text whose control characters, line ends and tabs aside, stand as \xNN: a terminal would obey them. */
export function visible(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, (c) => "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"));
}
