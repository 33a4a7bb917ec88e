/** Options as they stand on a command line. @module */

/** The flag of an option, of `saveEvery` `--save-every`. */
export const flagOf = (key: string): string => "--" + key.replace(/[A-Z]/g, (c) => "-" + c.toLowerCase());

/** Arguments that give these options; what is undefined or false is left out, sides are joined, "112x112x80". */
export function flagsOf(options: object): string[] {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== false);
  return given.flatMap(([key, value]) => {
    if (value === true) return [flagOf(key)];
    return [flagOf(key), Array.isArray(value) ? value.join("x") : String(value)];
  });
}
