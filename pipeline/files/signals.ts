/** Signals that end a task: Ctrl-C, a scheduler, a terminal that is closed. @module */

/** The exit code of a task that a signal ended. */
export const INTERRUPTED = 75;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const;
/** A terminal sends a signal to every process of a command, and a parent passes its own on: within this it is one. */
const SAME_PRESS_MILLISECONDS = 1000;

/** A task that a signal ended. */
export class Interrupted extends Error {}

/**
 * Listens for the signals that end a task until it is disposed. At the first, `stop` is called; a second one ends the
 * process at once.
 * @param stop Says what is still done, and sees to it.
 */
export function onStop(stop: () => void): Disposable {
  let first: number | null = null;
  const listener = () => {
    if (first === null) {
      first = performance.now();
      stop();
    } else if (performance.now() - first > SAME_PRESS_MILLISECONDS) Deno.exit(INTERRUPTED);
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const signal of SIGNALS) Deno.removeSignalListener(signal, listener);
    },
  };
}

/** The result of work, or, as soon as a signal comes, an error: what the caller does at an error cleans up. */
export async function unlessStopped<T>(work: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  using _listening = onStop(() => reject(new Interrupted("Stopped; nothing is left behind")));
  return await Promise.race([work(), promise]);
}
