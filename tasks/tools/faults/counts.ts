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

/** How much is done at once. */
export interface Lanes {
  /** Pieces beside one another. */
  count: number;
  /** Whether nothing more is to be begun. */
  isStopped(): boolean;
}

/** Does all work that may be begun; the order of the results is that of the pieces. */
export async function inLanes<T, R>(pieces: readonly T[], lanes: Lanes, work: (piece: T) => Promise<R>): Promise<R[]> {
  const results = new Map<number, R>(), left = [...pieces.entries()];
  const lane = async () => {
    while (left.length && !lanes.isStopped()) {
      const [i, piece] = left.shift()!;
      try {
        results.set(i, await work(piece));
      } catch (error) {
        left.length = 0; // the other lanes end what they have begun: it writes where the caller cleans up
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: lanes.count }, lane));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return [...results].sort(([a], [b]) => a - b).map(([, result]) => result);
}

/** Returns after so many seconds. */
export const wait = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
