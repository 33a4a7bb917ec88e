/**
 * What is measured in several processes, each of its own: a process knows only the peak of memory of all that it has
 * done.
 * @module
 */
import { DATASET_NAMES, DATASETS } from "../datasets/datasets.ts";
import { createMethod } from "../methods/method.ts";
import { flagsOf } from "../files/flags.ts";
import { METHOD_NAMES, METHODS } from "../methods/methods.ts";
import type { OptionsOf } from "./kinds.ts";
import { type Measured, type Measurement, parseMeasurement } from "../records/measurement.ts";
import { emptyLoaderVariables } from "../files/loader_variables.ts";
import { precisionsOf } from "../tensorflow/precision.ts";

/** A process of its own: kind, options, and what its result is marked with. */
export interface Part {
  /** What it measures. */
  kind: Measured;
  /** The options that are not the defaults. */
  options: Record<string, string | number | undefined>;
  /** Axis and value of a scaling. */
  mark?: { axis: string; value: string | number };
}

type Each = Pick<OptionsOf<"end-to-end">, "dataset" | "precision" | "device">;
type How = Pick<OptionsOf<"all">, "iterations" | "threads" | "device">;
const howOf = ({ iterations, threads, device }: How): How => ({ iterations, threads, device });

/** All pairs of dataset and precision that are asked for. */
function pairs({ dataset, precision, device }: Each) {
  const precisions = precision ? [precision] : precisionsOf(device);
  return (dataset ? [dataset] : DATASET_NAMES).flatMap((dataset) =>
    precisions.map((precision) => ({ dataset, precision }))
  );
}

/** The processes of `step --method all`. */
export function allSteps(how: How): Part[] {
  return DATASET_NAMES.flatMap((dataset) =>
    METHOD_NAMES.flatMap((method) =>
      precisionsOf(how.device).map((precision): Part => ({
        kind: "step",
        options: { dataset, method, precision, ...howOf(how) },
      }))
    )
  );
}

/** The processes of a count: the steps, and the passes of their networks. */
export function countParts({ method, patch, ...options }: OptionsOf<"counts">): Part[] {
  const methods = method ? [method] : METHOD_NAMES, how = { patch, ...howOf(options) };
  return pairs(options).flatMap((pair) => {
    const profiles = methods.map((method) => createMethod(METHODS[method], DATASETS[pair.dataset]).profile);
    // Any of them may have a discriminator; who has none has no rows of it.
    const networks = [...new Set(profiles.map(({ network }) => network)), "discriminator"];
    return [
      ...networks.map((network): Part => ({ kind: "forward-backward", options: { ...pair, network, ...how } })),
      ...methods.map((method): Part => ({ kind: "step", options: { ...pair, method, ...how } })),
    ];
  });
}

/** The processes of an evaluation of every dataset and precision that are asked for. */
export function evaluations({ patch, ...options }: Each & How & { patch?: string }): Part[] {
  return pairs(options).map((pair): Part => ({ kind: "end-to-end", options: { ...pair, patch, ...howOf(options) } }));
}

/** The processes of a scaling: along every axis the others are as published. */
export function scales({ axis: only, dataset, method, precision, ...how }: OptionsOf<"scaling">): Part[] {
  const { patch } = DATASETS[dataset], { labeledPerBatch } = createMethod(METHODS[method], DATASETS[dataset]).profile;
  const { iterations, threads } = how, step = { dataset, method, precision, ...howOf(how) };
  const part = (share: number) => patch.map((n) => Math.max(16, Math.round(share * n / 16) * 16)).join("x");
  const powers = Array.from({ length: Math.floor(Math.log2(threads)) + 1 }, (_, i) => 2 ** i);
  const axes = {
    patch: [0.25, 0.5, 0.75, 1].map(part),
    batch: [0.5, 1, 2].map((share) => share * labeledPerBatch),
    threads: [...new Set([...powers, threads])],
    cases: [4, 8, 16, 32],
  };
  return Object.entries(axes).filter(([axis]) => !only || axis === only).flatMap(([axis, values]) =>
    values.map((value): Part =>
      axis === "cases"
        ? { kind: "cases", options: { dataset, cases: value, iterations }, mark: { axis, value } }
        : { kind: "step", options: { ...step, [axis === "batch" ? "rows" : axis]: value }, mark: { axis, value } }
    )
  );
}

/** The processes of everything. */
export function everything({ json, ...how }: OptionsOf<"all">): Part[] {
  const both = (kind: Measured) => pairs(how).map((pair): Part => ({ kind, options: { ...pair, ...how } }));
  return [
    ...precisionsOf(how.device).map((precision): Part => ({ kind: "micro", options: { precision, ...how } })),
    ...countParts({ ...how, json }),
    ...both("inference"),
    { kind: "metrics", options: { iterations: how.iterations } },
    ...evaluations(how),
    ...DATASET_NAMES.flatMap((dataset) => scales({ dataset, method: "supervised", precision: "fp32", ...how, json })),
  ];
}

/**
 * Measures a part with the bench task of a folder, as a user starts it there. Needs `--allow-run=deno`.
 * @param folder A tree of this project, this one or another checkout.
 */
export async function measureIn(folder: string, { kind, options, mark }: Part): Promise<Measurement> {
  const args = ["task", "--quiet", "bench", kind, ...flagsOf(options), "--json"];
  const command = new Deno.Command("deno", { args, cwd: folder, env: emptyLoaderVariables() });
  const { success, stdout, stderr } = await command.output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`deno ${args.join(" ")} failed in "${folder}":\n${error}`);
  return { ...parseMeasurement(out), ...mark };
}
