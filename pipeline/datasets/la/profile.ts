/** The left atrium of the 2018 challenge: SS-Net's published protocol on it. @module */
import type { DatasetProfile } from "../dataset.ts";
import type { Shape3 } from "../../arrays/shape.ts";

/** Left atrium, 3-D. */
export const LA = {
  name: "la",
  protocol: "la",
  channels: 1,
  channelNames: ["LGE MRI"],
  classes: 2,
  classNames: ["left atrium"],
  network: "vnet",
  norm: "batch",
  patch: [112, 112, 80] as Shape3,
  stride: [18, 18, 4],
  labeledPerBatch: 2,
  unlabeledPerBatch: 2,
  orientation: "LPS",
  knownSpacing: 0.625,
  warmup: 0,
  iterations: 15000,
  learningRate: { base: 0.01, every: 2500 },
  consistency: { maximum: 1, length: 40, countsFrom: 1 },
  components: "classes",
  checkpoint: "last",
  fast: {
    iterations: 1535,
    precision: "mixed",
    warmup: 1375,
    rateSchedule: "constant",
    ema: true,
    augmentation: "published",
    statistics: "window",
    lowResolution: null,
  },
  bench: { volume: [180, 150, 88], grayLevels: 20, boxes: [{ from: [30, 30, 20], to: [80, 80, 60] }] },
} as const satisfies DatasetProfile;
