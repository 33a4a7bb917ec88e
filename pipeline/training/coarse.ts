/**
 * The coarse stage of a short training: its first labeled-only iterations see slices resized to a smaller patch, which
 * costs less. What a preset says of it, what a run has of it, and what follows from it.
 * @module
 */
import type { Preset } from "../datasets/dataset.ts";
import type { CoarseStage } from "../records/run.ts";

/** The stage of a run with so many labeled-only iterations; null where the preset has none, or they are too few. */
export function coarseStage(preset: Preset["coarse"], labeledOnly: number): CoarseStage | null {
  const iterations = preset ? Math.round(preset.share * labeledOnly) : 0;
  return preset && iterations ? { patch: [...preset.patch], iterations } : null;
}

/** The patch of an iteration, counted from 1. */
export function patchAt(
  iteration: number,
  { coarse, patch }: { coarse: CoarseStage | null; patch: number[] },
): number[] {
  return coarse && iteration <= coarse.iterations ? coarse.patch : patch;
}

/** Seconds of a labeled-only iteration on the average: of the coarse ones by their share. */
export function meanSeconds(preset: Preset["coarse"], { full, coarse }: { full: number; coarse?: number }): number {
  return preset ? preset.share * coarse! + (1 - preset.share) * full : full;
}

/** "1,000 of 128x128"; null where there is none. @param join Between count and size. */
export function coarseText(stage: CoarseStage | null, join: string): string | null {
  return stage && `${stage.iterations.toLocaleString("en-US")}${join}${stage.patch.join("x")}`;
}
