/** The worker of `openBatches`: makes one batch after the other, as it is asked, on a thread of its own. @module */
import { parentPort } from "node:worker_threads";
import { assembleBatch, type BatchOptions, type TrainingItems } from "./batches.ts";

/** What a batch is drawn from, sent once before any other job; or what a batch is made of. */
export type BatchJob = { items: TrainingItems } | { options: BatchOptions };

let items: TrainingItems | null = null;

parentPort!.on("message", (job: BatchJob) => {
  if ("items" in job) {
    ({ items } = job);
    parentPort!.postMessage(null);
    return;
  }
  const batch = assembleBatch(items!, job.options);
  parentPort!.postMessage(batch, [batch.image.buffer, batch.label.buffer] as ArrayBuffer[]);
});
