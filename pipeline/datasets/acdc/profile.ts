/** Cardiac cine MRI of the ACDC challenge: SS-Net's published protocol on it. @module */
import type { DatasetProfile } from "../dataset.ts";

/** Cardiac cine MRI, 2-D: trained on slices, validated and tested on volumes `[Z, Y, X]`. */
export const ACDC = {
  name: "acdc",
  protocol: "acdc",
  channels: 1,
  channelNames: ["cine MRI"],
  classNames: ["right ventricle", "myocardium", "left ventricle"],
  classes: 4,
  network: "unet",
  norm: "batch",
  patch: [256, 256],
  stride: null,
  labeledPerBatch: 12,
  unlabeledPerBatch: 12,
  orientation: "SPL",
  knownSpacing: null,
  warmup: 0,
  iterations: 30000,
  learningRate: { base: 0.01, every: Infinity },
  consistency: { maximum: 0.1, length: 200, countsFrom: 0 },
  components: "all",
  checkpoint: "best",
  fast: {
    iterations: 3050,
    precision: "mixed",
    warmup: 2950,
    rateSchedule: "cosine",
    ema: true,
    augmentation: "strong",
    statistics: "recomputed",
    lowResolution: { patch: [128, 128], share: 0.8 },
  },
  bench: {
    volume: [10, 216, 256],
    grayLevels: 250,
    boxes: [
      { from: [60, 60], to: [100, 100] },
      { from: [100, 60], to: [140, 100] },
      { from: [140, 60], to: [180, 100] },
    ],
  },
} as const satisfies DatasetProfile;
