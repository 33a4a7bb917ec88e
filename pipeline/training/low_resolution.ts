/**
 * The low-resolution stage of a short training: its first labeled-only iterations see slices resized to a smaller patch, which
 * costs less. What a preset says of it, what a run has of it, and what follows from it.
 * @module
 */
import type { Preset } from "../datasets/dataset.ts";
import type { LowResolutionStage } from "../records/run.ts";

/** The stage of a run with so many labeled-only iterations; null where the preset has none, or they are too few. */
export function lowResolutionStage(preset: Preset["lowResolution"], labeledOnly: number): LowResolutionStage | null {
  const iterations = preset ? Math.round(preset.share * labeledOnly) : 0;
  return preset && iterations ? { patch: [...preset.patch], iterations } : null;
}

/** The patch of an iteration, counted from 1. */
export function patchAt(
  iteration: number,
  { lowResolution, patch }: { lowResolution: LowResolutionStage | null; patch: number[] },
): number[] {
  return lowResolution && iteration <= lowResolution.iterations ? lowResolution.patch : patch;
}

/** The seconds of a labeled-only iteration on the average, those at low resolution counted by their share. */
export function meanSeconds(
  preset: Preset["lowResolution"],
  { full, lowResolution }: { full: number; lowResolution?: number },
): number {
  return preset ? preset.share * lowResolution! + (1 - preset.share) * full : full;
}

/** "1,000 of 128x128"; null where there is none. @param join Between count and size. */
export function lowResolutionText(stage: LowResolutionStage | null, join: string): string | null {
  return stage && `${stage.iterations.toLocaleString("en-US")}${join}${stage.patch.join("x")}`;
}
