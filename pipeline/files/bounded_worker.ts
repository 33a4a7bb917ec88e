/** A thread of its own for work on files that may be damaged: it is given up when it takes too long. @module */
import { Worker } from "node:worker_threads"; // can be left running without holding up the process' end

/** Runs jobs one after the other; the thread starts with the first one. It must answer each message with one. */
export class BoundedWorker<Job, Result> {
  readonly #module: URL;
  #worker: Worker | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * A thread that is not started yet.
   * @param module What it runs.
   */
  constructor(module: URL) {
    this.#module = module;
  }

  /**
   * The answer to a job.
   * @param options `transfer`: memory of the job that the thread takes over.
   * @returns Null when it did not come within `seconds`.
   */
  call(job: Job, options: { transfer: Transferable[]; seconds: number }): Promise<Result | null> {
    const answer = this.#last.then(() => this.#call(job, options));
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #call(
    job: Job,
    { transfer, seconds }: { transfer: Transferable[]; seconds: number },
  ): Promise<Result | null> {
    const worker = this.#worker ??= new Worker(this.#module),
      { promise, resolve, reject } = Promise.withResolvers<
        Result | null
      >();
    const timer = setTimeout(() => resolve(null), 1000 * seconds);
    worker.ref();
    worker.once("message", resolve).once("error", reject);
    worker.postMessage(job, transfer as ArrayBuffer[]);
    try {
      const answer = await promise;
      if (answer === null) this.end();
      return answer;
    } catch (error) {
      this.end();
      throw error;
    } finally {
      clearTimeout(timer);
      worker.removeAllListeners();
      worker.unref();
    }
  }

  /** Ends the thread; the next job starts another. One that is busy without end goes on until the process ends. */
  end(): void {
    void this.#worker?.terminate();
    this.#worker = null;
  }
}
