/** What every part of `deno task faults` counts. @module */

/** Faults of one kind. */
export interface Count {
  /** What was done to what. */
  what: string;
  /** How often. */
  injected: number;
  /** How often all was well behind it. */
  survived: number;
  /** Otherwise: what was wrong, in words. */
  faults: string[];
  /** Why it was not tried here, or what was seen beside it. */
  note?: string;
}

/** A count of nothing yet. */
export const countOf = (what: string): Count => ({ what, injected: 0, survived: 0, faults: [] });

/** Adds trials with what was wrong in them. */
export function add(count: Count, faults: string[], injected = 1): void {
  count.injected += injected;
  if (faults.length) count.faults.push(faults.join("; "));
  else count.survived += injected;
}

/** Does all work, so many pieces beside one another; the order of the results is that of the pieces. */
export async function inLanes<T, R>(pieces: readonly T[], lanes: number, work: (piece: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [], left = [...pieces.entries()];
  const lane = async () => {
    for (let next = left.shift(); next; next = left.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

/** Returns after so many seconds. */
export const wait = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
