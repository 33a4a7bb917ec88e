/**
 * SS-Net on Deno as a library: a chosen list in six sections, each with the types that its functions speak in. Every other
 * function is reached by its file, as `@ssnet/pipeline/losses/copy_paste.ts`; `docs/architecture.md` shows the folders.
 *
 * - **Runs**: {@linkcode openTensorFlow}, then {@linkcode loadRun} gives a trained run and what it makes of a volume.
 * - **Datasets and methods**: {@linkcode createMethod} makes one of {@linkcode METHODS}, or one of your own
 *   ({@linkcode defineMethod}), for one of {@linkcode DATASETS}; {@linkcode trainingStep} trains it.
 * - **Networks**: {@linkcode NETWORKS} by name ({@linkcode buildNetwork}) or of your own ({@linkcode build}), and the
 *   {@linkcode Pass} that runs one.
 * - **Losses**: SS-Net's own terms and the supervised ones.
 * - **Metrics**: overlap and surface distances of masks, by case and as means.
 * - **Files**: cases, masks, splits, manifests, results, checkpoints.
 *
 * Nothing is opened at import: TensorFlow at the first call of {@linkcode openTensorFlow}, files when a function is given
 * their path. Axes everywhere: volumes `[B, X, Y, Z, C]`, slices `[B, H, W, C]`, feature rows `[N, F]`, the last one
 * fastest.
 * @module
 */

// Runs: what a training left, and what it makes of a volume.
export { openTensorFlow, type TensorFlow } from "./pipeline/tensorflow/device.ts";
export type { BindingOptions } from "./pipeline/tensorflow/binding.ts";
export type { Library } from "./pipeline/tensorflow/library.ts";
export type { Device } from "./pipeline/tensorflow/wheels.ts";
export { type Precision, PRECISIONS, type PrecisionWish } from "./pipeline/tensorflow/precision.ts";
export { type Norm, NORMS } from "./pipeline/tensorflow/norms.ts";
export type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor5D } from "./pipeline/tensorflow/tensors.ts";
export { type LoadedRun, loadRun, readRun, type Run, type RunOptions } from "./pipeline/training/trained_run.ts";
export {
  type Augmentation,
  AUGMENTATIONS,
  type LowResolutionStage,
  type RunConfig,
  STATISTICS,
  type Statistics,
  type TrainedGrid,
  type Training,
} from "./pipeline/records/run.ts";
export type { InferenceOptions, NetworkParameters } from "./pipeline/evaluation/inference.ts";
export type { Probabilities, Segment, SegmentOptions } from "./pipeline/evaluation/evaluate_case.ts";
export { COMPONENTS, type Components, keptComponents, largestComponents } from "./pipeline/arrays/components.ts";
export type { ChosenComponents, ComponentsChoice } from "./pipeline/records/components.ts";

// Datasets and methods: the two seams, and a training step of their own.
export { DATASETS, findDataset } from "./pipeline/datasets/datasets.ts";
export {
  type DatasetFingerprint,
  type Foreground,
  type Normalization,
  NORMALIZATIONS,
  type Plan,
  type PlannedChannel,
  type Range,
} from "./pipeline/records/plan.ts";
export type {
  BenchShapes,
  BuiltInDataset,
  Dataset,
  DatasetProfile,
  OptionSchema,
  PhantomSet,
  Preparation,
  PreparationOptions,
  Preset,
  Protocol,
  Rate,
  SmallTraining,
  Unit,
} from "./pipeline/datasets/dataset.ts";
export type { PreparedCase, Problems, PublishedIntensities } from "./pipeline/datasets/prepared_case.ts";
export { type MethodName, METHODS } from "./pipeline/methods/methods.ts";
export {
  createMethod,
  defineMethod,
  gradientsOf,
  type HostArray,
  type Method,
  type MethodDefinition,
  type MethodOptions,
  onePassStep,
  type StepInputs,
  type StepOutputs,
} from "./pipeline/methods/method.ts";
export {
  type Batch,
  startState,
  toBatch,
  type TrainingState,
  type TrainingStep,
  trainingStep,
} from "./pipeline/training/training_step.ts";
export type { OperationTime } from "./pipeline/tensorflow/operation_times.ts";

// Networks: said once, with their parameters under the authors' names, and run by a pass.
export { buildNetwork, type Network, type NetworkName, NETWORKS } from "./pipeline/networks/network.ts";
export {
  build,
  type Built,
  type Convolution,
  type EncoderOptions,
  type Forward,
  type Layer,
  type LayerAndNorm,
  type Linear,
  type NetworkOptions,
  type NetworkOutputs,
  Scope,
  type Width,
} from "./pipeline/networks/scope.ts";
export type { BufferSpec, NetworkSpec, ParameterSpec, StateDict, Weights } from "./pipeline/networks/parameters.ts";
export { type NormalizedLayer, Pass, type PassOptions } from "./pipeline/networks/layers.ts";
export type { Moments } from "./pipeline/tensorflow/rows.ts";

// Losses: SS-Net's smoothness and separation with its heads, and the supervised terms.
export { crossEntropy, foregroundDice, linearDice, oneHot, squaredDice } from "./pipeline/losses/dice.ts";
export { adversarialDirection, type SmoothnessInputs, smoothnessLoss } from "./pipeline/losses/smoothness.ts";
export { type Head, type Heads, heads, type Selection } from "./pipeline/networks/heads.ts";
export { type BankOrder, emptyBank, type FeatureBank, updateBank } from "./pipeline/losses/feature_bank.ts";
export { type BankWeights, type Separation, separationLoss } from "./pipeline/losses/separation.ts";
export { consistencyWeight } from "./pipeline/losses/ramps.ts";

// Metrics: of two masks, of a case, and their means.
export { dice, jaccard, type MaskPair } from "./pipeline/evaluation/overlap.ts";
export { type SurfaceMetrics, surfaceMetrics } from "./pipeline/evaluation/surface_distance.ts";
export { type CaseMetrics, caseMetrics, type CaseScores } from "./pipeline/evaluation/case_metrics.ts";
export { evaluateCase } from "./pipeline/evaluation/evaluate_case.ts";
export { type IntervalOf, summarize } from "./pipeline/evaluation/summary.ts";

// Files: readers and writers, and what they throw.
export { DataError, DivergedError } from "./pipeline/files/errors.ts";
export { type Case, readCase, writeCase } from "./pipeline/records/case.ts";
export type { AxisOrder, Geometry, Vector3 } from "./pipeline/arrays/geometry.ts";
export {
  type MaskPlace,
  type NiftiForms,
  type NiftiVolume,
  readNifti,
  writeNiftiMask,
} from "./pipeline/files/nifti.ts";
export { type NrrdPlace, type NrrdVolume, readNrrd } from "./pipeline/files/nrrd.ts";
export type { Volume } from "./pipeline/files/voxels.ts";
export { readSafetensors, type SafetensorsContent, writeSafetensors } from "./pipeline/files/safetensors.ts";
export type { StoredTensor, TensorSource } from "./pipeline/files/dtypes.ts";
export { type Checkpoint, readCheckpoint, writeCheckpoint } from "./pipeline/training/checkpoint.ts";
export { type CaseHashes, type Fingerprint, type Manifest, readManifest } from "./pipeline/records/manifest.ts";
export type { Intensity } from "./pipeline/arrays/intensity.ts";
export { type Lists, readSplit, type Role, type Split } from "./pipeline/records/split.ts";
export {
  type Agreement,
  CLINICAL_UNITS,
  type ClinicalName,
  type ClinicalValue,
  type CorrectedSpacing,
  type Counts,
  type Distances,
  type Metrics,
  type PatientValues,
  readMetrics,
  type ResultRow,
  type ScoreRow,
  type Scores,
  type Spread,
  type Summaries,
  type Summary,
} from "./pipeline/records/evaluation.ts";
