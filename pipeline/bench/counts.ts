/**
 * Of what forward and backward passes a method's step consists, read in the method's file; and the step's time against
 * the sum of theirs. `tests/bench_test.ts` holds the counts against the convolutions that the steps record.
 * @module
 */
import { type DatasetName, type DatasetProfile, PROFILES } from "../data/profiles.ts";
import { type MethodName, METHODS } from "../methods/methods.ts";
import type { CountedNetwork } from "./kinds.ts";
import type { Measurement } from "./results.ts";
import { round } from "./timing.ts";

/** A pass: forward alone, forward and back to the input alone, forward and back to every parameter. */
export type PassName = "forward" | "input" | "all";

/** Passes of one network over some rows. */
export interface CountedPass {
  /** Whose. */
  network: CountedNetwork;
  /** How far it goes. */
  pass: PassName;
  /** Rows of one of them. */
  rows: number;
  /** How many of them; 1 without it. */
  times?: number;
}

/** Of one step, with the method's own network and batch. */
const COUNTS: Record<MethodName, (profile: DatasetProfile) => CountedPass[]> = {
  ssnet: ({ network, labeledPerBatch, unlabeledPerBatch }) => {
    const rows = labeledPerBatch + unlabeledPerBatch;
    return [
      { network, pass: "forward", rows }, // clean
      { network, pass: "input", rows }, // the probe of the power iteration
      { network, pass: "all", rows, times: 2 }, // main and perturbed
    ];
  },
  supervised: ({ network, labeledPerBatch }) => [{ network, pass: "all", rows: labeledPerBatch }],
  ua_mt: ({ network, labeledPerBatch, unlabeledPerBatch }) => [
    { network, pass: "forward", rows: unlabeledPerBatch }, // the teacher's target
    { network, pass: "forward", rows: 2 * unlabeledPerBatch, times: 4 }, // its uncertainty
    { network, pass: "all", rows: labeledPerBatch + unlabeledPerBatch },
  ],
  sassnet: (profile) => {
    const { network, labeledPerBatch, unlabeledPerBatch } = profile, rows = labeledPerBatch + unlabeledPerBatch;
    return [
      ...onePass(profile),
      { network: "discriminator", pass: "input", rows: unlabeledPerBatch },
      { network, pass: "forward", rows }, // what the discriminator learns from
      { network: "discriminator", pass: "all", rows },
    ];
  },
  dtc: onePass,
  urpc: onePass,
  mc_net: onePass,
  bcp: ({ network, labeledPerBatch, unlabeledPerBatch }) => [
    { network, pass: "forward", rows: unlabeledPerBatch / 2, times: 2 }, // the teacher's pseudo labels
    { network, pass: "all", rows: labeledPerBatch / 2, times: 2 }, // the two mixed halves
  ],
};

function onePass({ network, labeledPerBatch, unlabeledPerBatch }: DatasetProfile): CountedPass[] {
  return [{ network, pass: "all", rows: labeledPerBatch + unlabeledPerBatch }];
}

/** The passes of a method's step on a dataset. */
export function passesOf(method: MethodName, dataset: DatasetName): CountedPass[] {
  return COUNTS[method](METHODS[method]({ profile: PROFILES[dataset] }).profile);
}

/** A method's step against its passes. */
export interface Count {
  /** Whose shapes. */
  dataset: string;
  /** Whose step. */
  method: string;
  /** Of the convolutions. */
  precision: string;
  /** The fastest step. */
  stepSeconds: number;
  /** Each with its seconds: of the fastest one over one row, times rows, times number. */
  passes: (CountedPass & { seconds: number })[];
  /** Of all passes. */
  passSeconds: number;
  /** Step over passes. */
  ratio: number;
}

const SECONDS_OF = { forward: "forwardSeconds", input: "inputSeconds", all: "stepSeconds" } as const;

/** Every step among the measurements against its passes, which must be among them too. */
export function countsOf(measurements: Measurement[]): Count[] {
  const networks = measurements.filter(({ kind }) => kind === "forward-backward");
  return measurements.filter(({ kind }) => kind === "step").map(({ dataset, method, precision, stepSeconds }) => {
    const passes = passesOf(method as MethodName, dataset as DatasetName).map((counted) => {
      const { network, pass, rows, times = 1 } = counted;
      const measured = networks.find((one) =>
        one.network === network && one.dataset === dataset && one.precision === precision
      )!;
      return { ...counted, seconds: round(rows * times * measured[SECONDS_OF[pass]]!.minimum, 4) };
    });
    const passSeconds = passes.reduce((sum, { seconds }) => sum + seconds, 0), { minimum } = stepSeconds!;
    return {
      ...{ dataset: String(dataset), method: String(method), precision: String(precision) },
      ...{ stepSeconds: minimum, passes, passSeconds: round(passSeconds, 4), ratio: round(minimum / passSeconds, 3) },
    };
  });
}
