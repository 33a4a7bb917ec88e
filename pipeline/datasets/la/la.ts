/** The left atrium (LA) as a dataset: 3-D, two classes. @module */
import { z } from "zod";
import { checkRawFolder, foldersIn } from "../raw_folder.ts";
import { NOMINAL_SPACING } from "../prepared_case.ts";
import type { BuiltInDataset } from "../dataset.ts";
import { type LeftAtriumOptions, prepareLeftAtrium } from "./left_atria.ts";
import { writeRawAtria } from "./phantom.ts";
import { LA } from "./profile.ts";
import { normalize } from "../../arrays/intensity.ts";

function readSpacing(text: string, { addIssue }: z.RefinementCtx): LeftAtriumOptions["spacing"] {
  if (text === "known" || text === "header") return text;
  if (!(Number(text) > 0 && Number(text) < Infinity)) addIssue(`known, header or millimeters wanted, found "${text}"`);
  return Number(text);
}

/** LA: profile, raw files, lists, phantoms. */
export const LEFT_ATRIUM: BuiltInDataset = {
  ...LA,
  title: "Left atrium (LA)",
  unit: "case",
  axes: "XYZ",
  labeledCounts: [4, 8, 80],
  usualLabeledCount: 8,
  lists: { train: new URL("train.list", import.meta.url), test: new URL("test.list", import.meta.url) },
  publishedResults: new URL("published.json", import.meta.url),
  terms:
    "2018 Atrial Segmentation Challenge (cardiacatlas.org/atriaseg2018-challenge): its page names no licence; data of " +
    "the University of Utah and other institutes, for research; cite Xiong et al., Medical Image Analysis 67, 2021",
  preparation: {
    options: z.strictObject({
      crop: z.enum(["published", "foreground", "none"]).default("published").describe(
        "of NRRD volumes. published: by the label, as the field does, whole without one; foreground: to what is brighter " +
          "than the dark around it, for all alike; none: whole volumes. HDF5 is taken as it is",
      ),
      seed: z.int().nonnegative().default(1337).describe("seed of the crop's random widening"),
      spacing: z.string().default("known").transform(readSpacing).describe(
        `mm between voxels, for distances and volumes: a number; header: what the files say; known: ${LA.knownSpacing} ` +
          "where they say exactly 1",
      ),
      nominalSpacing: NOMINAL_SPACING,
    }),
    intensities: normalize,
    names: (raw) => {
      checkRawFolder(raw, /^(mri_norm2\.h5|lgemri\.nrrd)$/);
      return Promise.resolve(foldersIn(raw));
    },
    async prepare(raw, name, options) {
      const result = await prepareLeftAtrium(raw, name, options as unknown as LeftAtriumOptions);
      return "problems" in result ? result : [result];
    },
  },
  writePhantoms: writeRawAtria,
  ci: {
    phantoms: { seed: 1337, count: 10, shape: [48, 48, 40] },
    patch: [32, 32, 32],
    iterations: 30,
    split: { validation: 0, test: 2 },
  },
};
