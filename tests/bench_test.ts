/**
 * The benchmarks: that each kind runs, here at small sizes; that what it counts and compares is what it says. Limits of
 * the tests of Binomial and of Mann and Whitney are those of their published tables.
 */
import assert from "node:assert/strict";
import {
  compared,
  type Comparison,
  CONFIDENCE,
  inTurn,
  ratioInTurn,
  ratioOfSamples,
  TOLERANCE,
  verdictOf,
} from "../pipeline/bench/baseline_comparison.ts";
import {
  type Convolutions,
  convolutionsOf,
  type Count,
  type CountedPass,
  countsOf,
  type PassConvolutions,
  passesOf,
} from "../pipeline/bench/counts.ts";
import { timeEvaluation } from "../pipeline/bench/evaluation_times.ts";
import { sized } from "../pipeline/bench/inputs.ts";
import { COUNTED_NETWORKS, type CountedNetwork, KINDS } from "../pipeline/bench/kinds.ts";
import { timeCases } from "../pipeline/bench/loaders.ts";
import { pieces } from "../pipeline/bench/micro.ts";
import { allSteps, countParts, evaluations, everything, scales } from "../pipeline/bench/parts.ts";
import { takes, timeInference, timePass, timeStep } from "../pipeline/bench/passes.ts";
import { partOf, readBaselines, seriesOf } from "../pipeline/bench/measurements.ts";
import { type Measurement, parseMeasurement, PASSES, readSteps, stepsText } from "../pipeline/records/measurement.ts";
import { comparisonText, countsText } from "../pipeline/bench/text.ts";
import { timesOf } from "../pipeline/bench/timing.ts";
import { median } from "../pipeline/arrays/quantiles.ts";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHOD_NAMES, type MethodName, METHODS } from "../pipeline/methods/methods.ts";
import { buildNetwork } from "../pipeline/networks/network.ts";
import { costsOf } from "../pipeline/grid/costs.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { syntheticLabels } from "../pipeline/training/synthetic_batch.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";

openTensorFlow({ device: "cpu" });

const SMALL = { la: "32x32x16", acdc: "32x32" } as const, ONCE = { precision: "fp32", iterations: 1 } as const;
const NAMES = Object.keys(SMALL) as (keyof typeof SMALL)[];
const ones = (n: number) => Array<number>(n).fill(1);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

/** Values of a smooth, lopsided kind: seconds of work that others disturb. */
function seconds(random: () => number, n: number, factor = 1): number[] {
  return Array.from({ length: n }, () => factor * (1 + 0.05 * random() - 0.1 * Math.log(1 - random())));
}

Deno.test("the interval of runs in turn leaves out as many ratios as the sign test allows at 99 %", () => {
  // Largest k with 2 P(Binomial(n, 1/2) < k) ≤ 0.01; 0: there is none.
  const limits = { 0: 0, 7: 0, 8: 1, 10: 1, 11: 1, 12: 2, 14: 2, 15: 3, 20: 4, 30: 8 };
  for (const [rounds, k] of Object.entries(limits)) {
    const n = Number(rounds), { low, high } = ratioInTurn(ones(n), upTo(n).reverse());
    assert.deepEqual([low, high], k ? [k, n + 1 - k] : [0, Infinity], `${n} rounds`);
  }
  assert.equal(ratioInTurn(ones(9), upTo(9)).ratio, 5);
  assert.throws(() => ratioInTurn([1], [1, 2]), /1 rounds before, 2 now/);
});

Deno.test("the interval of two samples leaves out as many quotients as the test of Mann and Whitney allows at 99 %", () => {
  // One more than the largest U that the two-sided test at 0.01 rejects; 0: it rejects none.
  const limits: [before: number, now: number, k: number][] = [
    ...[[0, 0, 0], [1, 20, 0], [4, 4, 0], [4, 6, 1], [5, 5, 1], [6, 6, 3], [7, 7, 5], [8, 8, 8]] as typeof limits,
    ...[[10, 10, 17], [5, 10, 5], [15, 15, 52], [20, 20, 106]] as typeof limits,
  ];
  for (const [m, n, k] of limits) {
    // Powers of two that are all apart: every quotient says which two it is of.
    const before = upTo(m).map((i) => 2 ** -i), now = upTo(n).map((i) => 2 ** (i * (m + 1)));
    const quotients = now.flatMap((a) => before.map((b) => a / b)).sort((a, b) => a - b);
    const wanted = k ? [quotients[k - 1], quotients[m * n - k]] : [0, Infinity];
    const { low, high } = ratioOfSamples(before, now);
    assert.deepEqual([low, high], wanted, `${m} and ${n}`);
    const turned = ratioOfSamples(now, before);
    assert.deepEqual([1 / turned.high, 1 / turned.low], wanted, `${n} and ${m}`);
  }
  assert.equal(ratioOfSamples([1, 2], [3]).ratio, 2.25);
  assert.ok(Number.isNaN(ratioOfSamples([], [1]).ratio));
});

Deno.test("a verdict wants the whole interval beyond the tolerance, and turns with the sides", () => {
  const say = (low: number, high: number) => verdictOf({ low, high });
  assert.equal(TOLERANCE, 0.02);
  assert.deepEqual([say(0.5, 0.98), say(0.5, 0.99), say(1.03, 2), say(1.01, 2), say(0, Infinity), say(0.5, 2)], [
    ...["faster", "noise", "slower", "noise", "noise", "noise"],
  ]);
  const opposite = { faster: "slower", slower: "faster", noise: "noise" }, random = stream(3, "verdict");
  for (const ratioOf of [ratioInTurn, ratioOfSamples]) {
    for (const factor of [0.8, 0.97, 1, 1.03, 1.25]) {
      const before = seconds(random, 9), now = seconds(random, 9, factor);
      const [there, back] = [ratioOf(before, now), ratioOf(now, before)];
      assert.equal(verdictOf(back), opposite[verdictOf(there)]);
      assert.ok(Math.abs(there.low * back.high - 1) < 1e-12 && Math.abs(there.ratio * back.ratio - 1) < 0.02);
      const double = (values: number[]) => values.map((value) => 2 * value);
      assert.deepEqual(ratioOf(double(before), double(now)), there);
    }
  }
});

Deno.test("intervals hold the true ratio about as often as they say, and equal versions are rarely told apart", () => {
  const trials = 2000, random = stream(5, "coverage");
  for (const ratioOf of [ratioInTurn, ratioOfSamples]) {
    for (const n of [8, 13]) {
      let held = 0, differing = 0;
      for (let trial = 0; trial < trials; trial++) {
        const now = seconds(random, n, 1.5), found = ratioOf(seconds(random, n), now);
        if (found.low <= 1.5 && 1.5 <= found.high) held++;
        if (verdictOf({ low: found.low / 1.5, high: found.high / 1.5 }) !== "noise") differing++;
      }
      // Discrete tests hold more than they promise; of 2000 trials 10 in 1000 are 20 ± 4.5.
      assert.ok(held / trials >= CONFIDENCE - 0.007, `${ratioOf.name}, ${n}: ${held} of ${trials}`);
      assert.ok(differing / trials <= 1 - CONFIDENCE, `${ratioOf.name}, ${n}: ${differing} of ${trials}`);
    }
  }
});

Deno.test("runs in turn find a difference under a drift that hides it from samples, and none where there is none", () => {
  const random = stream(7, "drift"), drift = upTo(8).map((round) => 1 + round / 4);
  const rounds = (factor: number) => drift.map((slow) => slow * factor * (1 + 0.01 * random()));
  const before = rounds(1), better = rounds(0.9), same = rounds(1);
  assert.equal(verdictOf(ratioInTurn(before, better)), "faster");
  assert.equal(verdictOf(ratioOfSamples(before, better)), "noise");
  assert.equal(verdictOf(ratioInTurn(before, same)), "noise");
});

Deno.test("rounds alternate which side comes first", async () => {
  const order: string[] = [];
  const side = (name: string) => () => Promise.resolve(order.push(name));
  assert.deepEqual(await inTurn(3, { before: side("b"), now: side("n") }), { before: [1, 4, 5], now: [2, 3, 6] });
  assert.equal(order.join(""), "bnnbbn");
});

const measured = (kind: string, more: Record<string, unknown>): Measurement =>
  parseMeasurement(JSON.stringify({
    ...{ kind, peakMemoryGb: 2, cpu: "one", versions: { deno: "2", tensorflow: null }, ...more },
  }));

Deno.test("in turn the minima of the rounds are compared, of a file its repetitions; what one side lacks is named", () => {
  const of = (all: number[], more = {}) => measured("forward-backward", { stepSeconds: timesOf(all), ...more });
  const input = { inputSeconds: timesOf([3]) };
  const rounds = compared(
    { before: upTo(8).map(() => of([4, 2])), now: upTo(8).map((i) => of([1, 1 + i], input)) },
    { isInTurn: true },
  );
  assert.deepEqual(rounds, {
    series: [{
      ...{ name: "forward-backward", before: ones(8).map(() => 2), now: ones(8) },
      ...{ ratio: 0.5, low: 0.5, high: 0.5, verdict: "faster" },
    }],
    unpaired: ["back to the input"],
    peakMemoryGb: { before: 2, now: 2 },
  });
  const file = compared({ before: [of(upTo(5))], now: [of([7, 8, 9, 10, 11])] }, { isInTurn: false });
  const { low, high, verdict } = file.series[0];
  assert.deepEqual([low, high, verdict], [7 / 5, 11, "slower"]);
  const few = compared({ before: [of([1])], now: [of([9])] }, { isInTurn: false });
  assert.equal(few.series[0].verdict, "noise");
  assert.match(comparisonText(few), /too few values +noise/);
  assert.match(comparisonText(rounds), /^back to the input: one of the two lacks it/m);
});

/** Rows of the passes of a step by what stands in the methods' files, for labeled and unlabeled rows of a batch. */
const STEPS: Record<MethodName, (network: string, labeled: number, unlabeled: number) => CountedPass[]> = {
  ssnet: (network, l, u) => [
    { network, pass: "forward", rows: l + u }, // clean
    { network, pass: "input", rows: l + u }, // the probe of the power iteration
    { network, pass: "all", rows: 2 * (l + u) }, // main and perturbed
  ],
  supervised: (network, l) => [{ network, pass: "all", rows: l }],
  mean_teacher: (network, l, u) => [
    { network, pass: "forward", rows: u }, // the teacher's target
    { network, pass: "all", rows: l + u },
  ],
  ua_mt: (network, l, u) => [
    { network, pass: "forward", rows: u + 8 * u }, // the teacher's target and its uncertainty
    { network, pass: "all", rows: l + u },
  ],
  sassnet: (network, l, u) => [
    { network, pass: "forward", rows: l + u }, // what the discriminator learns from
    { network, pass: "all", rows: l + u },
    { network: "discriminator", pass: "input", rows: u },
    { network: "discriminator", pass: "all", rows: l + u },
  ],
  fixmatch: (network, l, u) => [
    { network, pass: "forward", rows: u }, // the weak view's pseudo labels
    { network, pass: "all", rows: l + u }, // the labeled rows and the strong view
  ],
  dtc: (network, l, u) => [{ network, pass: "all", rows: l + u }],
  urpc: (network, l, u) => [{ network, pass: "all", rows: l + u }],
  mc_net: (network, l, u) => [{ network, pass: "all", rows: l + u }],
  bcp: (network, l, u) => [
    { network, pass: "forward", rows: u }, // the teacher's pseudo labels
    { network, pass: "all", rows: l }, // the two mixed halves
  ],
};

Deno.test("the passes of a step are found in the convolutions that it records", async () => {
  for (const dataset of NAMES) {
    const profile = sized(dataset, SMALL[dataset]), known: Record<string, PassConvolutions> = {};
    const networkOf = async (network: CountedNetwork) => {
      const convolutions = {} as PassConvolutions["convolutions"];
      for (const pass of PASSES) {
        convolutions[pass] = await convolutionsOf(() => timePass(network, profile, { pass, ...ONCE }));
      }
      return { network, convolutions };
    };
    for (const method of METHOD_NAMES) {
      const made = createMethod(METHODS[method], profile),
        { network, labeledPerBatch, unlabeledPerBatch } = made.profile;
      const networks = [];
      for (const name of [network, "discriminator"] as const) networks.push(known[name] ??= await networkOf(name));
      const found = passesOf(await convolutionsOf(() => timeStep(made, ONCE)), networks);
      assert.deepEqual(found, STEPS[method](network, labeledPerBatch, unlabeledPerBatch), `${dataset} ${method}`);
    }
  }
});

Deno.test("a step that is not made of the passes of its networks is refused with what is left", () => {
  const convolutions = { forward: { Conv: 2 }, input: { Conv: 2, Input: 2 }, all: { Conv: 2, Filter: 2 } };
  const networks = [{ network: "net", convolutions }];
  assert.deepEqual(passesOf({ Conv: 2 }, networks), [{ network: "net", pass: "forward", rows: 1 }]);
  for (const step of [{ Conv: 3 }, { Other: 1 }, { Filter: 2 }] as Convolutions[]) {
    assert.throws(() => passesOf(step, networks), /Cannot count the step in passes of net/);
  }
});

Deno.test("forward-backward goes back to every convolution of every network but the unused one of URPC's U-Net", async () => {
  for (const dataset of NAMES) {
    const profile = sized(dataset, SMALL[dataset]), { classes } = profile;
    for (const network of COUNTED_NETWORKS.filter((network) => takes(network, profile))) {
      const convolutions = network === "discriminator"
        ? 5
        : buildNetwork(network, { channels: 1, classes }).spec.parameters
          .filter(({ kind }) => kind.startsWith("conv")).length;
      const rows = await convolutionsOf(() => timePass(network, profile, { pass: "all", ...ONCE }));
      const back = Object.entries(rows).filter(([name]) => name.includes("Filter")).reduce((sum, [, n]) => sum + n, 0);
      assert.equal(back, network === "unet_pyramid" ? convolutions - 1 : convolutions, `${network} on ${dataset}`);
    }
  }
  const slices = COUNTED_NETWORKS.filter((network) => takes(network, DATASETS.acdc));
  assert.deepEqual(slices, ["unet", "unet_distance", "unet_mutual", "unet_pyramid", "discriminator"]);
});

Deno.test("a count is the rows of every pass at their measured seconds, and the ratio the step over their sum", () => {
  const pass = (network: string, [all, input, forward]: number[]) =>
    measured("forward-backward", {
      ...{ dataset: "la", precision: "bf16", network, stepSeconds: timesOf([9, all]) },
      ...{ inputSeconds: timesOf([input, 9]), forwardSeconds: timesOf([forward]) },
      passConvolutions: {
        forward: { [`${network} Conv`]: 1 },
        input: { [`${network} Conv`]: 1, [`${network} Input`]: 1 },
        all: { [`${network} Conv`]: 1, [`${network} Filter`]: 1 },
      },
    });
  const step = measured("step", {
    ...{ dataset: "la", precision: "bf16", method: "sassnet", network: "vnet_distance" },
    stepSeconds: timesOf([30, 9]),
    convolutions: {
      ...{ "vnet_distance Conv": 8, "vnet_distance Filter": 4 },
      ...{ "discriminator Conv": 6, "discriminator Input": 2, "discriminator Filter": 4 },
    },
  });
  const [count, ...others] = countsOf([
    pass("vnet_distance", [1, 0.5, 0.25]),
    pass("discriminator", [0.5, 0.25, 9]),
    step,
  ]);
  const wanted: Count = {
    ...{ dataset: "la", method: "sassnet", precision: "bf16", stepSeconds: 9, passSeconds: 7.5, ratio: 1.2 },
    passes: [
      { network: "vnet_distance", pass: "forward", rows: 4, seconds: 1 },
      { network: "vnet_distance", pass: "all", rows: 4, seconds: 4 },
      { network: "discriminator", pass: "input", rows: 2, seconds: 0.5 },
      { network: "discriminator", pass: "all", rows: 4, seconds: 2 },
    ],
  };
  assert.deepEqual([count, others], [wanted, []]);
  assert.match(
    countsText([count]),
    /^la sassnet bf16 +9\.00 +7\.50 +1\.200 +4 vnet_distance forward, 4 vnet_distance to all, 2/m,
  );
});

Deno.test("every piece runs at a small size, in both precisions, under a name of its own", async () => {
  const all = pieces(NAMES.map((dataset) => sized(dataset, SMALL[dataset])));
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  assert.deepEqual(new Set(pieces().map(({ name }) => name)).size, all.length);
  for (const precision of ["fp32", "bf16"] as const) {
    for (const { name, time } of all) {
      const { seconds } = await time({ precision, iterations: 2 });
      assert.ok(seconds.all.length === 2 && seconds.minimum > 0, name);
    }
  }
});

Deno.test("inference, a whole case, and cases from files run at a small size", async () => {
  for (const dataset of NAMES) {
    const profile = sized(dataset, SMALL[dataset]),
      { reading, batch } = await timeCases(profile, { cases: 4, iterations: 1 });
    const times = [reading, batch.seconds];
    for (const time of [timeInference, timeEvaluation]) times.push((await time(profile, ONCE)).seconds);
    assert.ok(times.every(({ minimum }) => minimum > 0), JSON.stringify(times));
  }
});

Deno.test("synthetic labels of another patch have the same boxes in its own size", () => {
  const published = syntheticLabels(DATASETS.la, 1), [nx, ny, nz] = DATASETS.la.patch;
  const inside = (i: number, n: number, [from, to]: number[]) => i % n >= from && i % n < to;
  for (let i = 0; i < published.length; i++) {
    const [x, y] = [Math.floor(i / (ny * nz)), Math.floor(i / nz)];
    const wanted = inside(x, nx, [30, 80]) && inside(y, ny, [30, 80]) && inside(i, nz, [20, 60]);
    assert.equal(published[i], Number(wanted));
  }
  const half = syntheticLabels(sized("la", "56x56x40"), 2), one = half.length / 2;
  assert.equal(half.reduce((sum, value) => sum + value, 0), 2 * 25 * 25 * 20);
  assert.deepEqual(half.subarray(0, one), half.subarray(one));
  const slice = syntheticLabels(sized("acdc", "64x64"), 1);
  assert.deepEqual([0, 1, 2, 3].map((c) => slice.filter((value) => value === c).length), [
    64 * 64 - 300,
    100,
    100,
    100,
  ]);
});

Deno.test("every process that a kind starts has options of its kind; together they are what the kind says", () => {
  const how = { iterations: 1, threads: 2, device: "cpu", json: true } as const;
  const steps = allSteps(how), everyPart = everything(how);
  for (const { kind, options } of [...steps, ...everyPart]) KINDS[kind].parse(options);
  const titles = steps.map(({ options: { dataset, method, precision } }) => `${dataset} ${method} ${precision}`);
  assert.equal(new Set(titles).size, 2 * METHOD_NAMES.length * 2);
  const kinds = new Set(everyPart.map(({ kind }) => kind));
  assert.deepEqual([...kinds].sort(), [
    "cases",
    "end-to-end",
    "forward-backward",
    "inference",
    "metrics",
    "micro",
    "step",
  ]);
  assert.deepEqual(evaluations({ ...how, dataset: "la" }).map(({ options }) => options.precision), ["fp32", "bf16"]);
  const counted = countParts({ ...how, dataset: "acdc", precision: "bf16", method: "sassnet" });
  assert.deepEqual(counted.map(({ options }) => options.network ?? options.method), [
    ...["unet_distance", "discriminator", "sassnet"],
  ]);
  const scaled = scales({ ...how, dataset: "la", method: "bcp", precision: "fp32", threads: 3 });
  assert.deepEqual(scaled.map(({ mark }) => `${mark!.axis} ${mark!.value}`), [
    ...["patch 32x32x16", "patch 64x64x48", "patch 80x80x64", "patch 112x112x80", "batch 2", "batch 4", "batch 8"],
    ...["threads 1", "threads 2", "threads 3", "cases 4", "cases 8", "cases 16", "cases 32"],
  ]);
});

Deno.test("a baseline file is one result or a list; all that is wrong with several files is told at once", () =>
  withFolder(async (folder) => {
    const write = (name: string, content: unknown) =>
      Deno.writeTextFile(`${folder}/${name}`, typeof content === "string" ? content : JSON.stringify(content));
    const one = measured("metrics", { iterations: 2, stepSeconds: timesOf([2, 1, 3]) });
    await write("one", one);
    await write("rows", { kind: "end-to-end", rows: [one, one] });
    await write("steps", { kind: "steps", steps: [one] });
    const paths = ["one", "rows", "steps"].map((name) => `${folder}/${name}`);
    assert.deepEqual((await readBaselines(paths)).map(({ measurements }) => measurements.length), [1, 2, 1]);
    assert.deepEqual(partOf(one), { kind: "metrics", options: { iterations: 2 } });
    assert.deepEqual(seriesOf(one), [{ name: "metrics", minimum: 1, all: [2, 1, 3] }]);
    await write("text", "no JSON");
    await write("other", { kind: "report" });
    await write("options", { ...one, iterations: 0 });
    const bad = ["missing", "text", "other", "options"].map((name) => `${folder}/${name}`);
    await assert.rejects(readBaselines([...bad, ...paths]), ({ name, message }) => {
      assert.equal(name, "DataError");
      for (const path of bad) assert.ok(message.includes(`"${path}"`), message);
      return !message.includes(`"${folder}/one"`);
    });
  }));

Deno.test("median and minimum of repetitions keep their order beside them", () => {
  assert.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
  assert.deepEqual(timesOf([0.3, 0.1]), { minimum: 0.1, median: 0.2, all: [0.3, 0.1] });
});

/** The task as a user starts it, with what it may do. */
const bench = (folder: string, ...args: string[]) =>
  runTaskFile("tools/bench", args, {
    rights: [`--allow-write=${folder}`, "--allow-ffi", "--allow-env", "--allow-sys", "--allow-run=deno"],
    env: { TMPDIR: folder },
  });

Deno.test("a step's JSON names machine and versions and feeds the costs of a grid", () =>
  withFolder(async (folder) => {
    const options = ["--dataset", "acdc", "--method", "bcp", "--patch", "32x32", "--iterations", "2", "--json"];
    const { code, out, error } = await bench(folder, "step", ...options);
    assert.equal(code, 0, error);
    const step = parseMeasurement(out), { machine, versions, stepSeconds } = step;
    assert.ok(step.cpu && machine!.cores >= 1 && machine!.memoryGb > 1 && step.peakMemoryGb > 0.2, out);
    assert.ok(versions.deno === Deno.version.deno && /^2\./.test(versions.tensorflow!) && "commit" in versions, out);
    assert.equal(stepSeconds!.all.length, 2);
    await Deno.writeTextFile(`${folder}/costs.json`, stepsText([{ ...step, patch: undefined }]));
    const key = { dataset: "acdc", method: "bcp", precision: "fp32", device: "cpu", lowResolution: null } as const;
    const costs = costsOf(await readSteps(`${folder}/costs.json`), key)!;
    assert.equal(costs.stepSeconds, stepSeconds!.median);
    assert.ok(Math.abs(costs.memoryGb - step.peakMemoryGb) < 1e-9);
    assert.equal(costs.warmupSeconds, step.warmupSeconds!.median);
  }));

Deno.test("counts measures a step and the passes of its networks in processes of their own", () =>
  withFolder(async (folder) => {
    const options = ["--dataset", "acdc", "--precision", "fp32", "--patch", "32x32", "--method", "sassnet"];
    const { code, out, error } = await bench(folder, "counts", ...options, "--iterations", "1", "--json");
    assert.equal(code, 0, error);
    const { rows, counts } = JSON.parse(out);
    assert.deepEqual(rows.map(({ kind }: Measurement) => kind), ["forward-backward", "forward-backward", "step"]);
    assert.deepEqual(counts, countsOf(rows));
    assert.equal(counts[0].ratio, Number((rows[2].stepSeconds.minimum / counts[0].passSeconds).toFixed(3)));
  }));

Deno.test("compare runs another checkout in turn with this one, or takes a file's own figures and says so", () =>
  withFolder(async (folder) => {
    const small = ["--dataset", "acdc", "--cases", "4", "--patch", "32x32"];
    const { out: baseline } = await bench(folder, "cases", ...small, "--json");
    const file = `${folder}/baseline.json`, other = `${folder}/other`;
    await Deno.writeTextFile(file, baseline);
    const alone = await bench(folder, "compare", file);
    assert.equal(alone.code, 0, alone.error);
    assert.match(alone.out, /^not interleaved/);
    assert.match(alone.out, /^cases .*too few values +noise$/m);
    // A version that needs an hour for a batch and nothing for reading.
    await Deno.mkdir(`${other}/tasks/tools`, { recursive: true });
    const slow = { ...JSON.parse(baseline), stepSeconds: timesOf([3600]), readSeconds: timesOf([1e-6]) };
    await Deno.writeTextFile(`${other}/tasks/tools/bench.ts`, `console.log(${JSON.stringify(JSON.stringify(slow))});`);
    await Deno.writeTextFile(`${other}/deno.json`, '{ "tasks": { "bench": "deno run tasks/tools/bench.ts" } }');
    const both = await bench(folder, "compare", file, "--with", other, "--json");
    assert.equal(both.code, 0, both.error);
    const { interleaved, files: [{ comparisons: [{ series }] }] } = JSON.parse(both.out);
    assert.equal(interleaved, true);
    const verdicts = (series as Comparison["series"]).map(({ name, verdict, now }) => [name, verdict, now.length]);
    assert.deepEqual(verdicts, [["cases", "faster", 8], ["reading", "slower", 8]]);
  }));

Deno.test("what cannot be measured is refused before any work, with code 2, and a bad file with 3", () =>
  withFolder(async (folder) => {
    const refused: [args: string[], error: RegExp][] = [
      [["stap"], /Cannot time "stap": did you mean step\?/],
      [[], /Cannot time ""/],
      [["step", "--patch", "30x32x16"], /Cannot take the patch "30x32x16" for la: 3 multiples of 16/],
      [["counts", "--patch", "32x32"], /Cannot take the patch "32x32" for la/],
      [["step", "--method", "bcp", "--rows", "3"], /an even number is wanted/],
      [["step", "--pool", "4"], /--pool is of a GPU's, with --device gpu/],
      [["forward-backward", "--network", "unet"], /Cannot run unet on la/],
      [["micro", "--only", "nothing like it"], /Cannot time pieces with "nothing like it"/],
      [["metrics", "--dataset", "la"], /unknown option '--dataset'/],
      [["compare", "file", "--with", folder], /a folder of this project is wanted/],
      [["compare", "file", "--rounds", "7"], /--rounds "7": a whole number from 8 on wanted/],
    ];
    const runs = await Promise.all(refused.map(([args]) => bench(folder, ...args)));
    runs.forEach(({ code, error }, i) => {
      assert.equal(code, 2, error);
      assert.match(error, refused[i][1]);
    });
    const { code, error } = await bench(folder, "compare", `${folder}/missing`);
    assert.equal(code, 3, error);
  }));
