/**
 * SS-Net's ablations as a ready grid: the terms of the loss one by one (the paper's table), prototypes a class, radius of the
 * perturbation, and where paper and authors' code part (weights of the bank's rows, which scores stay in it).
 * @module
 */
import type { SSNetSettings } from "./ssnet.ts";

/** The settings that differ from SS-Net as published, by the name of a cell of the grid. */
export const ABLATIONS = {
  "ssnet-supervised-alone": { smoothnessWeight: 0, separationWeight: 0 },
  "ssnet-smoothness": { separationWeight: 0 },
  "ssnet-separation": { smoothnessWeight: 0 },
  "ssnet": {},
  "ssnet-bank-8": { bankRows: 8 },
  "ssnet-bank-16": { bankRows: 16 },
  "ssnet-bank-64": { bankRows: 64 },
  "ssnet-radius-2": { perturbationRadius: 2 },
  "ssnet-radius-20": { perturbationRadius: 20 },
  "ssnet-separation-1": { separationWeight: 1 },
  "ssnet-bank-highest": { bankKeeps: "highest" },
  "ssnet-bank-learned": { bankWeights: "learned" },
} as const satisfies Record<string, Partial<SSNetSettings>>;
/** One of them. */
export type AblationName = keyof typeof ABLATIONS;
