/** Progress of a training: one line that is rewritten on a terminal, plain lines every half minute elsewhere. @module */

/** Shows where a training is. */
export interface Progress {
  /** Called after every iteration; prints when it is time. @param text What else the line says, for example the loss. */
  show(iteration: number, text: string): void;
}

/** The clock begins with this call. @param first Iterations that were done before. @param total Iterations at the end. */
export function startProgress(first: number, total: number): Progress {
  const terminal = Deno.stdout.isTerminal(), encoder = new TextEncoder(), started = performance.now();
  let shown = -Infinity;
  return {
    show(iteration, text) {
      const now = performance.now();
      if (!terminal && now - shown < 30_000 && iteration !== total) return;
      shown = now;
      const perSecond = (iteration - first) / ((now - started) / 1000);
      const minutes = (total - iteration) / perSecond / 60;
      const line = `iteration ${iteration}/${total}  ${text}  ${perSecond.toFixed(3)} iterations/s  ` +
        `${minutes.toFixed(1)} min left`;
      Deno.stdout.writeSync(encoder.encode(terminal ? `\r${line}\x1b[K` : `${line}\n`));
      if (terminal && iteration === total) Deno.stdout.writeSync(encoder.encode("\n"));
    },
  };
}
