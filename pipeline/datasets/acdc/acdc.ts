/** Cardiac cine MRI (ACDC) as a dataset: 2-D, four classes, two frames a patient. @module */
import { z } from "zod";
import { NOMINAL_SPACING } from "../prepared_case.ts";
import type { BuiltInDataset } from "../dataset.ts";
import { type CardiacCineOptions, cinePatients, prepareCine, writeSlices } from "./cardiac_cine.ts";
import { writeRawHearts } from "./phantom.ts";
import { checkRawFolder } from "../raw_folder.ts";
import { ACDC } from "./profile.ts";
import { minMax } from "../../arrays/intensity.ts";

/** ACDC: profile, raw files, lists, phantoms. */
export const CARDIAC_CINE: BuiltInDataset = {
  ...ACDC,
  title: "Cardiac cine MRI (ACDC)",
  unit: "patient",
  axes: "ZYX",
  labeledCounts: [3, 7, 70],
  usualLabeledCount: 7,
  lists: {
    train: new URL("train.list", import.meta.url),
    validation: new URL("validation.list", import.meta.url),
    test: new URL("test.list", import.meta.url),
  },
  publishedResults: new URL("published.json", import.meta.url),
  terms:
    "Automated Cardiac Diagnosis Challenge (humanheart-project.creatis.insa-lyon.fr): every use cites Bernard et al., IEEE " +
    "Transactions on Medical Imaging 37(11), 2018; handed on under CC BY-NC-SA 4.0, so not for commercial use",
  preparation: {
    options: z.strictObject({
      nominalSpacing: NOMINAL_SPACING,
      slices: z.boolean().default(false).describe(
        "beside the cases, in slices/, every plane of a labeled one as the field's slice files",
      ),
    }),
    intensities: minMax,
    names: (raw) => {
      checkRawFolder(raw, /^info\.cfg$|_frame\d+.*\.(nii|hdr|h5)(\.gz)?$/i);
      return Promise.resolve(cinePatients(raw));
    },
    prepare: (raw, name, options) => prepareCine(raw, name, options as unknown as CardiacCineOptions),
    async exportCase(folder, one, { slices }) {
      if (!slices || !one.label) return;
      await Deno.mkdir(`${folder}/slices`, { recursive: true });
      await writeSlices(`${folder}/slices`, { ...one, label: one.label });
    },
    exports: ["slices"],
  },
  writePhantoms: writeRawHearts,
  ci: {
    phantoms: { seed: 1337, count: 9, shape: [4, 64, 56] },
    patch: [64, 64],
    iterations: 24,
    split: { validation: 1, test: 2 },
  },
};
