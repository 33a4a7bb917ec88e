/**
 * tfjs, whose operations are errors until `openTensorFlow()`: as published they would run on tfjs's own slow backend
 * without a word. The import map has this file as "@tensorflow/tfjs".
 *
 * Files of the pipeline import it by `import defer`: it is loaded (0.2 s) by the first operation, not by a task that only
 * wants a method's name or its options.
 * @module
 */
import { engine } from "tfjs";
import { TensorFlowError } from "./library.ts";

export * from "tfjs";

// Every operation asks the engine for its backend. Own property over the class's: `allowOperations` takes it away.
Object.defineProperty(engine(), "backend", {
  configurable: true,
  get() {
    throw new TensorFlowError(
      "Cannot run an operation of tfjs: TensorFlow is not open; call openTensorFlow() of pipeline/tensorflow/device.ts " +
        "before it",
    );
  },
});

/** Ends the errors, when a backend is there. */
export function allowOperations(): void {
  // deno-lint-ignore no-explicit-any
  delete (engine() as any).backend;
}
