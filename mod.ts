/**
 * SS-Net on Deno: the public interface. TensorFlow opens at the first call of `openTensorFlow`, never at import.
 * @module
 */
export * from "./pipeline/data/augment.ts";
export * from "./pipeline/data/cases.ts";
export * from "./pipeline/data/hdf5.ts";
export * from "./pipeline/data/nrrd.ts";
export * from "./pipeline/data/phantom.ts";
export * from "./pipeline/data/preparation.ts";
export * from "./pipeline/data/profiles.ts";
export * from "./pipeline/data/sampler.ts";
export * from "./pipeline/data/splits.ts";
export * from "./pipeline/evaluation/case_metrics.ts";
export * from "./pipeline/evaluation/components.ts";
export * from "./pipeline/evaluation/overlap.ts";
export * from "./pipeline/evaluation/sliding_window.ts";
export * from "./pipeline/evaluation/surface_distance.ts";
export * from "./pipeline/losses/dice.ts";
export * from "./pipeline/losses/separation.ts";
export * from "./pipeline/losses/smoothness.ts";
export * from "./pipeline/methods/method.ts";
export * from "./pipeline/methods/methods.ts";
export * from "./pipeline/methods/ssnet.ts";
export * from "./pipeline/methods/supervised.ts";
export * from "./pipeline/networks/heads.ts";
export * from "./pipeline/networks/layers.ts";
export * from "./pipeline/networks/network.ts";
export * from "./pipeline/networks/parameters.ts";
export * from "./pipeline/networks/vnet.ts";
export * from "./pipeline/runs/checkpoint.ts";
export * from "./pipeline/runs/random.ts";
export * from "./pipeline/runs/safetensors.ts";
export * from "./pipeline/runs/schedule.ts";
export * from "./pipeline/runs/training_step.ts";
export * from "./pipeline/tensorflow/device.ts";
export * from "./pipeline/tensorflow/library.ts";
export * from "./pipeline/tensorflow/trace.ts";
