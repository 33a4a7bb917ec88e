/**
 * Batches made beside the training's step, on threads of their own and ahead of it. A batch is a pure function of seed and
 * iteration: what is made ahead and not taken is simply made again by a run that is resumed.
 * @module
 */
import { Worker } from "node:worker_threads";
import type { BatchJob } from "./batch_worker.ts";
import type { BatchArrays, BatchOptions, TrainingItems } from "./batches.ts";

/**
 * The number of threads beyond which more have never been needed: eight cores leave four for TensorFlow, which computes
 * on a GPU then.
 */
const MOST_WORKERS = 4;

/** Batches in the order of iterations. */
export interface BatchMaker extends Disposable {
  /** The batch of an iteration; the next ones are begun. Iterations must follow one another. */
  take(iteration: number): Promise<BatchArrays>;
}

/**
 * Starts the threads. All items are shared with them where they lie in shared memory, as `readTrainingItems` leaves them.
 * @param optionsOf What the batch of an iteration is made of; null behind the last one.
 */
export function openBatches(
  items: TrainingItems,
  optionsOf: (iteration: number) => BatchOptions | null,
): BatchMaker {
  const count = Math.max(1, Math.min(MOST_WORKERS, Math.floor(navigator.hardwareConcurrency / 2)));
  const threads = Array.from({ length: count }, () => startThread(items)),
    begun = new Map<number, Promise<BatchArrays>>();
  let turn = 0;
  const begin = (iteration: number) => {
    const options = optionsOf(iteration);
    if (options && !begun.has(iteration)) begun.set(iteration, threads[turn++ % count].make(options));
    return begun.get(iteration)!;
  };
  return {
    take(iteration) {
      const batch = begin(iteration);
      for (let ahead = 1; ahead < count; ahead++) begin(iteration + ahead);
      begun.delete(iteration);
      return batch;
    },
    [Symbol.dispose]: () => threads.forEach(({ end }) => end()),
  };
}

/** A thread answers each job with one message, in their order. */
function startThread(items: TrainingItems) {
  const worker = new Worker(new URL("./batch_worker.ts", import.meta.url));
  const waiting: PromiseWithResolvers<BatchArrays | null>[] = [];
  worker.on("message", (answer: BatchArrays | null) => waiting.shift()!.resolve(answer));
  worker.on("error", (error) => waiting.splice(0).forEach(({ reject }) => reject(error)));
  const ask = (job: BatchJob) => {
    const answer = Promise.withResolvers<BatchArrays | null>();
    answer.promise.catch(() => {}); // told where it is awaited
    waiting.push(answer);
    worker.postMessage(job);
    return answer.promise;
  };
  void ask({ items });
  return {
    make: (options: BatchOptions) => ask({ options }) as Promise<BatchArrays>,
    end: () => void worker.terminate(),
  };
}
