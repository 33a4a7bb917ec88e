/** A dataset of one's own, as its plan says: what `pipeline/datasets/la` and `acdc` are for those that are published. @module */
import { z } from "zod";
import { mapChannels } from "../../arrays/channels.ts";
import { resizedGeometry } from "../../arrays/geometry.ts";
import { minMax, normalize } from "../../arrays/intensity.ts";
import { turned, turnedGeometry, turnedShape, turnOf } from "../../arrays/orientation.ts";
import { resize, resizedShape, resizeLabel } from "../../arrays/resize.ts";
import { DataError } from "../../files/errors.ts";
import { listed } from "../../files/words.ts";
import { BARE_CASE, type Case, parseFrameName } from "../../records/case.ts";
import type { Manifest } from "../../records/manifest.ts";
import type { Plan, PlannedChannel } from "../../records/plan.ts";
import { ACDC } from "../acdc/profile.ts";
import type { Dataset, PreparationOptions } from "../dataset.ts";
import { LA } from "../la/profile.ts";
import { fingerprintOf, type PreparedCase, type Problems } from "../prepared_case.ts";
import { type CaseFiles, readLayout } from "./layout.ts";
import { readRawCase } from "./raw_case.ts";

/** The dataset of a plan. */
export function ownDataset(plan: Plan): Dataset {
  const profile = plan.network === "vnet" ? LA : ACDC, { classes, channels, patch, batch } = plan;
  const half = patch.map((n) => n / 2), { lowResolution } = profile.fast;
  const layouts = new Map<string, Promise<CaseFiles[]>>(); // a folder of raw cases is looked through once
  const casesIn = (raw: string) => {
    if (!layouts.has(raw)) layouts.set(raw, readLayout(raw, plan.dataset).then(({ cases }) => cases));
    return layouts.get(raw)!;
  };
  return {
    ...profile,
    name: plan.dataset,
    title: plan.title,
    plan,
    classes: classes.length + 1,
    classNames: classes,
    channels: channels.length,
    channelNames: channels.map(({ name }) => name),
    patch,
    stride: patch.length === 3 ? patch.map((n) => Math.max(Math.round(n * (1 - plan.overlap)), 1)) : null,
    labeledPerBatch: batch.labeled,
    unlabeledPerBatch: batch.unlabeled,
    orientation: plan.orientation,
    knownSpacing: null,
    // Nothing is known of one's own: neither that a class is one piece nor that validation cases are drawn.
    components: "all",
    checkpoint: "last",
    fast: {
      ...profile.fast,
      lowResolution: lowResolution && half.every((n) => n % 16 === 0) ? { ...lowResolution, patch: half } : null,
    },
    unit: plan.unit,
    axes: plan.network === "vnet" ? "XYZ" : "ZYX",
    labeledCounts: [],
    usualLabeledCount: null,
    lists: null,
    publishedResults: null,
    terms: null,
    preparation: {
      options: z.strictObject({}),
      intensities: (image, sample, channel = 0) => intensitiesOf(channels[channel], image, sample),
      names: async (raw) => (await casesIn(raw)).map(({ name }) => name),
      async prepare(raw, name) {
        const files = (await casesIn(raw)).find((one) => one.name === name)!;
        const result = await prepareOwn(raw, files, plan);
        return "problems" in result ? result : [result];
      },
    },
  };
}

/** Intensities as the network reads them; of `CT` by the foreground of the dataset, else by those of the sample. */
export function intensitiesOf(
  { normalization, foreground }: PlannedChannel,
  image: Float32Array,
  sample: Float32Array = image,
): Float32Array {
  const { low, high, mean, standardDeviation } = foreground;
  switch (normalization) {
    case "CT":
      return image.map((value) => (Math.min(Math.max(value, low), high) - mean) / standardDeviation);
    case "zscore":
      return normalize(image, sample);
    case "rescale_to_0_1":
      return minMax(image, sample);
    case "noNorm":
      return image;
  }
}

/** What a manifest says of a plan: where it says otherwise, cases have to be made anew. */
export function manifestOptions(plan: Plan): PreparationOptions {
  return { preparation: preparationText(plan), classes: plan.classes.length + 1 };
}

/** What was done to the cases of a plan, in words: another preparation has others. */
function preparationText({ orientation, spacing, channels }: Plan): string {
  const normalized = channels.map(({ normalization, foreground: { low, high, mean, standardDeviation } }) =>
    normalization === "CT" ? `CT ${[low, high, mean, standardDeviation].join(" ")}` : normalization
  );
  return `${normalized.join(", ")}; ${orientation}${spacing ? `; ${spacing.join(" x ")} mm` : ""}`;
}

/** Reads, checks, turns, normalizes and resamples a case, in this order, which is that of `predict`. Needs `--allow-read`. */
async function prepareOwn(raw: string, files: CaseFiles, plan: Plan): Promise<PreparedCase | Problems> {
  const read = await readRawCase(raw, files, plan.classes.length + 1);
  if ("problems" in read) return read;
  const { shape, geometry, isPlaced, sources, notes } = read, spacing = geometry?.spacing ?? null;
  const axes = plan.network === "vnet" ? "XYZ" as const : "ZYX" as const;
  const turn = turnOf({ geometry, isPlaced, axes: "XYZ", spacing }, { ...plan, axes });
  const whole = turnedShape(shape, turn);
  const to = resizedShape(whole, spacing && turnedShape(spacing, turn), plan.spacing);
  const isResized = String(to) !== String(whole);
  const image = mapChannels(
    read.image,
    plan.channels.length,
    (channel, c) => resize(intensitiesOf(plan.channels[c], turned(channel, shape, turn)), whole, to, 3),
  );
  const label = read.label && resizeLabel(turned(read.label, shape, turn), whole, to);
  const isFileOrder = turn.flips.every((flip) => !flip) && String(turn.axes) === (axes === "XYZ" ? "0,1,2" : "2,1,0");
  const subject = parseFrameName(files.name);
  const prepared: Case = {
    ...BARE_CASE,
    ...subject,
    name: files.name,
    axes,
    shape: to,
    image,
    label,
    geometry: geometry && resizedGeometry(turnedGeometry(geometry, shape, turn), whole, to),
    header: isFileOrder && !isResized ? read.header : null, // it says where the file's voxels lie
    preparation: preparationText(plan),
  };
  notes.push(...lostClasses(read.label, label, plan));
  return {
    prepared,
    fingerprint: fingerprintOf(prepared, read, { sources, classes: plan.classes.length + 1 }),
    notes,
  };
}

/** Classes that the resampling has left nothing of. */
function lostClasses(before: Uint8Array | null, after: Uint8Array | null, { classes }: Plan): string[] {
  if (!before || !after || before.length === after.length) return [];
  return classes.filter((_, k) => before.includes(k + 1) && !after.includes(k + 1))
    .map((name) => `${name} has no voxel left in the plan's spacing`);
}

/** Refuses a plan that leaves nothing of a class in any case that is trained on. @throws {DataError} Naming the classes. */
export function checkClassesLeft({ dataset, classes, spacing, test }: Plan, cases: Manifest["cases"]): void {
  const labels = Object.keys(cases).filter((name) => !test.includes(name)).map((name) => cases[name].labelVoxels);
  const lost = classes.filter((_, k) => labels.every((voxels) => !voxels?.[k + 1]));
  if (!lost.length) return;
  const why = `${spacing?.join(" x ")} mm leaves no voxel of ${listed(lost)} in any case that is trained on`;
  throw new DataError(
    `Cannot prepare ${dataset} by plan.json; nothing was written:\n  spacing: ${why}; a finer one wanted\n` +
      "Change what is named in plan.json",
  );
}
