/** Progress of a training: one line that is rewritten on a terminal, plain lines every half minute elsewhere. @module */
import { writeAll } from "../files/write_all.ts";

/** Shows where a training is. */
export interface Progress {
  /**
   * Is called after every iteration; prints when it is time.
   * @param text What else the line says, for example the loss.
   */
  show(iteration: number, text: string): void;
  /** Ends the line that is rewritten: what is printed next has one of its own. */
  endLine(): void;
}

/** The clock begins with this call. @param first Iterations that were done before. @param total Iterations at the end. */
export function startProgress(first: number, total: number): Progress {
  const terminal = Deno.stdout.isTerminal(), started = performance.now();
  let shown = -Infinity, isOpen = false;
  const print = (text: string) => {
    try {
      writeAll(Deno.stdout, text);
    } catch {
      // The terminal may be closed, or what the output was piped into: the training goes on.
    }
  };
  const endLine = () => {
    if (isOpen) print("\n");
    isOpen = false;
  };
  return {
    show(iteration, text) {
      const now = performance.now();
      if (!terminal && now - shown < 30_000 && iteration !== total) return;
      shown = now;
      const perSecond = (iteration - first) / ((now - started) / 1000);
      const minutes = (total - iteration) / perSecond / 60;
      const line = `iteration ${iteration}/${total}  ${text}  ${perSecond.toFixed(3)} iterations/s  ` +
        `${minutes.toFixed(1)} min left`;
      print(terminal ? `\r${line}\x1b[K` : `${line}\n`);
      isOpen = terminal;
      if (iteration === total) endLine();
    },
    endLine,
  };
}
