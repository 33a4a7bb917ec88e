/** The checks by the name of their golden file. @module */
import { ACDC } from "../../../pipeline/datasets/acdc/profile.ts";
import { LA } from "../../../pipeline/datasets/la/profile.ts";
import { consistencies } from "./consistency.ts";
import { checkDiscriminator } from "./discriminator.ts";
import type { Golden } from "./golden.ts";
import { losses } from "./losses.ts";
import { metrics } from "./metrics.ts";
import { forward, gradients } from "./networks.ts";
import { resampling } from "./resample.ts";
import { schedules } from "./schedules.ts";
import { prototypes } from "./separation.ts";
import { signedDistances } from "./signed_distance.ts";
import { adversarial } from "./smoothness.ts";
import { teachers } from "./teacher.ts";
import { iterations } from "./training_step.ts";
import { slices, windows } from "./volumes.ts";

/** Every golden file that this implementation can check. */
export const CHECKS: Record<string, (golden: Golden) => void | Promise<void>> = {
  vnet_forward: (golden) => forward(golden, "vnet"),
  unet_forward: (golden) => forward(golden, "unet"),
  vnet_grad: (golden) => gradients(golden, "vnet"),
  unet_grad: (golden) => gradients(golden, "unet"),
  vat3d: (golden) => adversarial(golden, "vnet"),
  vat2d: (golden) => adversarial(golden, "unet"),
  prototypes_c2: prototypes,
  prototypes_c4: prototypes,
  ssnet_step3d: (golden) => iterations(golden, LA),
  ssnet_step2d: (golden) => iterations(golden, ACDC),
  ramps: schedules,
  losses,
  consistency: consistencies,
  ema: teachers,
  metrics,
  sdf_dtc_sassnet: (golden) => {
    signedDistances(golden);
    checkDiscriminator(golden);
  },
  resample: resampling,
  sliding_window: windows,
  acdc_volume: slices,
};
