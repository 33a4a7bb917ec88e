/**
 * SS-Net on Deno: the public interface. Nothing is opened at import: TensorFlow at the first call of
 * {@linkcode openTensorFlow}, files when a function is given their path. Left out is what only the tasks need: options,
 * logs, reports, setting up the library.
 *
 * Axes everywhere: volumes `[B, X, Y, Z, C]`, slices `[B, H, W, C]`, feature rows `[N, F]`, the last axis fastest.
 * @module
 */
export * from "./pipeline/data/augment.ts";
export * from "./pipeline/data/batches.ts";
export * from "./pipeline/datasets/acdc/cardiac_cine.ts";
export * from "./pipeline/records/case.ts";
export * from "./pipeline/data/coded_voxels.ts";
export { distanceTransform } from "./pipeline/arrays/distance_transform.ts";
export * from "./pipeline/arrays/geometry.ts";
export * from "./pipeline/files/hdf5.ts";
export * from "./pipeline/files/inflate.ts";
export * from "./pipeline/datasets/la/left_atria.ts";
export * from "./pipeline/files/nifti.ts";
export * from "./pipeline/files/nrrd.ts";
export * from "./pipeline/datasets/acdc/phantom.ts";
export * from "./pipeline/datasets/la/phantom.ts";
export * from "./pipeline/datasets/crop.ts";
export type { PreparedCase, Problems, PublishedIntensities } from "./pipeline/datasets/prepared_case.ts";
export * from "./pipeline/datasets/acdc/profile.ts";
export * from "./pipeline/datasets/dataset.ts";
export * from "./pipeline/datasets/datasets.ts";
export * from "./pipeline/datasets/la/profile.ts";
export * from "./pipeline/arrays/resample.ts";
export * from "./pipeline/data/sampler.ts";
export * from "./pipeline/records/split.ts";
export * from "./pipeline/files/voxels.ts";
export * from "./pipeline/evaluation/case_metrics.ts";
export * from "./pipeline/evaluation/clinical.ts";
export * from "./pipeline/arrays/components.ts";
export * from "./pipeline/evaluation/evaluate_case.ts";
export * from "./pipeline/evaluation/inference.ts";
export * from "./pipeline/evaluation/overlap.ts";
export * from "./pipeline/evaluation/slices.ts";
export * from "./pipeline/evaluation/sliding_window.ts";
export * from "./pipeline/evaluation/statistics.ts";
export * from "./pipeline/evaluation/summary.ts";
export * from "./pipeline/evaluation/surface_distance.ts";
export * from "./pipeline/losses/consistency.ts";
export * from "./pipeline/losses/copy_paste.ts";
export * from "./pipeline/losses/dice.ts";
export * from "./pipeline/losses/separation.ts";
export * from "./pipeline/losses/signed_distance.ts";
export * from "./pipeline/losses/smoothness.ts";
export * from "./pipeline/methods/ablations.ts";
export * from "./pipeline/methods/adam.ts";
export * from "./pipeline/methods/bcp.ts";
export * from "./pipeline/methods/dtc.ts";
export * from "./pipeline/methods/mc_net.ts";
export * from "./pipeline/methods/method.ts";
export * from "./pipeline/methods/methods.ts";
export * from "./pipeline/methods/sassnet.ts";
export * from "./pipeline/methods/ssnet.ts";
export * from "./pipeline/methods/supervised.ts";
export * from "./pipeline/methods/teacher.ts";
export * from "./pipeline/methods/ua_mt.ts";
export * from "./pipeline/methods/urpc.ts";
export * from "./pipeline/training/weight_average.ts";
export * from "./pipeline/networks/discriminator.ts";
export * from "./pipeline/networks/distance_heads.ts";
export * from "./pipeline/networks/heads.ts";
export * from "./pipeline/networks/layers.ts";
export * from "./pipeline/networks/mcnet.ts";
export * from "./pipeline/networks/network.ts";
export * from "./pipeline/networks/parameters.ts";
export * from "./pipeline/networks/unet.ts";
export * from "./pipeline/networks/urpc_unet.ts";
export * from "./pipeline/networks/urpc_unet3d.ts";
export * from "./pipeline/networks/vnet.ts";
export * from "./pipeline/training/checkpoint.ts";
export * from "./pipeline/arrays/random.ts";
export * from "./pipeline/files/safetensors.ts";
export * from "./pipeline/training/schedule.ts";
export * from "./pipeline/training/training_step.ts";
export {
  ATTRIBUTE,
  type Attribute,
  type Binding,
  type BindingOptions,
  DTYPE,
  type TensorMetadata,
} from "./pipeline/tensorflow/binding.ts";
export * from "./pipeline/tensorflow/device.ts";
export {
  cacheFolder,
  type Cuda,
  type Device,
  findLibrary,
  type Library,
  TensorFlowError,
  VERSION,
} from "./pipeline/tensorflow/library.ts";
export * from "./pipeline/tensorflow/operation_times.ts";
export * from "./pipeline/tensorflow/ops.ts";
export * as rows from "./pipeline/tensorflow/rows.ts";
export { type Precision, PRECISIONS, type PrecisionWish } from "./pipeline/tensorflow/precision.ts";
export type { Linear, Moments } from "./pipeline/tensorflow/rows.ts";
export * from "./pipeline/tensorflow/tensors.ts";
export * from "./pipeline/tensorflow/trace.ts";
