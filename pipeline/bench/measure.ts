/** Measures one kind of work in this process. @module */
import process from "node:process";
import { DATASETS } from "../datasets/datasets.ts";
import { createMethod, type Method } from "../methods/method.ts";
import { METHODS } from "../methods/methods.ts";
import { warmupOf } from "../methods/supervised.ts";
import { openTensorFlow } from "../tensorflow/device.ts";
import { type Convolutions, convolutionsOf } from "./counts.ts";
import { timeEvaluation, timeMetrics } from "./evaluation_times.ts";
import { sized } from "./inputs.ts";
import { type OptionsOf, patchProblem } from "./kinds.ts";
import { timeCases } from "./loaders.ts";
import { settingOf } from "./machine.ts";
import { type Piece, pieces } from "./micro.ts";
import { takes, timeInference, timePass, timeStep } from "./passes.ts";
import { type Figures, type Measured, type Measurement, PASSES, type PassName } from "../records/measurement.ts";
import { round, type Timing } from "./timing.ts";

/** A kind that one process measures, with its options. */
export type Request = { [K in Measured]: { kind: K; options: OptionsOf<K> } }[Measured];

const figuresOf = ({ seconds, firstSeconds }: Timing): Figures => ({ stepSeconds: seconds, firstSeconds });

const piecesWith = (text: string): Piece[] => pieces().filter(({ name }) => name.includes(text));

/** Why a request cannot be measured, before any work; null when it can. */
export function problemOf({ kind, options }: Request): string | null {
  if (kind === "micro" && !piecesWith(options.only).length) {
    return `Cannot time pieces with "${options.only}" in their name; there are\n  ${
      pieces().map(({ name }) => name).join("\n  ")
    }`;
  }
  if (kind === "step" && options.method === "bcp" && options.rows && options.rows % 2) {
    return `Cannot take ${options.rows} rows: bcp mixes one half of them with the other, an even number is wanted`;
  }
  if (kind === "step" && options.pool && options.device === "cpu") {
    return "Cannot bound the memory on a CPU: --pool is of a GPU's, with --device gpu";
  }
  const { network, dataset } = { network: undefined, dataset: "la" as const, ...options };
  if (network && !takes(network, DATASETS[dataset])) {
    return `Cannot run ${network} on ${dataset}: a network for its rows of ${
      DATASETS[dataset].patch.length
    } axes is wanted`;
  }
  return "patch" in options ? patchProblem(options) : null;
}

/** A method with another norm, on rows of another number, size, channels or classes. */
function methodOf({ method: name, dataset, norm, patch, rows, ...counts }: OptionsOf<"step">): Method {
  const profile = sized(dataset, patch, counts);
  const method = createMethod(METHODS[name as keyof typeof METHODS], profile, { norm });
  // Behind the method, which may have a batch of its own.
  return rows ? { ...method, profile: { ...method.profile, labeledPerBatch: rows, unlabeledPerBatch: rows } } : method;
}

async function figures({ kind, options }: Request): Promise<Figures> {
  if (kind === "metrics") return figuresOf(await timeMetrics(options.iterations));
  if (kind === "cases") {
    const { reading, batch } = await timeCases(sized(options.dataset, options.patch), options);
    return { ...figuresOf(batch), readSeconds: reading };
  }
  openTensorFlow(options);
  if (kind === "micro") {
    const timed = [];
    for (const piece of piecesWith(options.only)) timed.push({ name: piece.name, ...await piece.time(options) });
    return { pieces: timed };
  }
  if (kind === "end-to-end") {
    const { dataset = "la", precision = "fp32", patch, iterations } = options;
    const timing = await timeEvaluation(sized(dataset, patch), { precision, iterations });
    return { ...figuresOf(timing), casesPerMinute: round(60 / timing.seconds.median, 2) };
  }
  if (kind === "step") {
    const method = methodOf(options);
    let timing!: Timing;
    const convolutions = await convolutionsOf(async () => timing = await timeStep(method, options));
    const warmup = warmupOf(method), { lowResolution } = method.profile.fast, ownSize = options.patch !== undefined;
    const small = lowResolution && !ownSize
      ? { ...warmup, profile: { ...warmup.profile, patch: lowResolution.patch } }
      : null;
    return {
      ...figuresOf(timing),
      ...{ network: method.profile.network, convolutions },
      ...method.usesUnlabeled && { warmupSeconds: (await timeStep(warmup, options)).seconds },
      ...small && { lowResolutionSeconds: (await timeStep(small, options)).seconds },
    };
  }
  const profile = sized(options.dataset, options.patch);
  if (kind === "inference") return figuresOf(await timeInference(profile, options));
  const network = options.network ?? profile.network, timings = {} as Record<PassName, Timing>;
  const passConvolutions = {} as Record<PassName, Convolutions>;
  for (const pass of PASSES.toReversed()) {
    passConvolutions[pass] = await convolutionsOf(async () =>
      timings[pass] = await timePass(network, profile, { pass, ...options })
    );
  }
  const { all, input, forward } = timings;
  return { ...figuresOf(all), inputSeconds: input.seconds, forwardSeconds: forward.seconds, passConvolutions };
}

/**
 * Measures in this process. Needs `--allow-read`, `--allow-ffi`, `--allow-env`, `--allow-sys`, `--allow-write` of
 * the temporary folder.
 */
export async function measure(request: Request): Promise<Measurement> {
  const { json: _, ...options } = request.options, result = await figures(request);
  const peakMemoryGb = round(process.resourceUsage().maxRSS / 1e6, 2);
  // Only now, where the work did without it.
  const tensorflow = openTensorFlow("device" in options ? options : { device: "cpu" });
  return { kind: request.kind, ...options, ...result, peakMemoryGb, ...settingOf(tensorflow) };
}
