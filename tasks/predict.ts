/**
 * `deno task predict INPUT… --run RUN -o OUT`: images of any kind in; the mask of each on its own grid out, with
 * `summary.json` (volumes, components, seconds). What is finished is skipped; what cannot be read is told at the end and
 * leaves the others alone.
 */
import { basename, dirname, resolve } from "node:path";
import { z } from "zod";
import {
  CHECKPOINT,
  componentsOption,
  EXIT,
  MACHINE,
  parseOptions,
  pathOption,
  runTask,
  TEST,
} from "../pipeline/command/options.ts";
import type { Vector3 } from "../pipeline/arrays/geometry.ts";
import { orientationOf } from "../pipeline/arrays/orientation.ts";
import { sidesOf, sizeOf } from "../pipeline/arrays/shape.ts";
import { allNames, findDataset } from "../pipeline/datasets/datasets.ts";
import { METHOD_NAMES } from "../pipeline/methods/methods.ts";
import { isDone } from "../pipeline/records/run.ts";
import { MIRRORED_AXES } from "../pipeline/data/augment.ts";
import { fileGeometry, type Image, type ImageFile, imageFiles, readImage } from "../pipeline/data/images.ts";
import { strideOf } from "../pipeline/evaluation/evaluate_case.ts";
import { type Box, predictImage, type Prediction } from "../pipeline/evaluation/predict_image.ts";
import { windowStarts } from "../pipeline/evaluation/sliding_window.ts";
import { writeTogether } from "../pipeline/files/atomic.ts";
import { exists } from "../pipeline/files/exists.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { sha256 } from "../pipeline/files/hash.ts";
import { whileHeld } from "../pipeline/files/locks.ts";
import { encodeNiftiMask } from "../pipeline/files/nifti.ts";
import { encodeNrrdMask } from "../pipeline/files/nrrd.ts";
import { unlessStopped } from "../pipeline/files/signals.ts";
import { counted } from "../pipeline/files/words.ts";
import {
  type PredictionRow,
  type PredictionSummary,
  predictionText,
  readPredictionIfThere,
} from "../pipeline/records/prediction.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { STATISTICS } from "../pipeline/records/run.ts";
import { NORMS } from "../pipeline/tensorflow/norms.ts";
import { type Precision, PRECISIONS } from "../pipeline/tensorflow/precision.ts";
import { chooseComponents, storedComponents } from "../pipeline/training/components_choice.ts";
import {
  type LoadedRun,
  loadRun,
  type Run,
  type RunOptions,
  weightsAsRun,
  withComponents,
} from "../pipeline/training/trained_run.ts";

/** Numbers of a text; NaN for a part that is none. */
const numbersOf = (text: string, separator: string) =>
  text.split(separator).map((part) => part.trim() === "" ? NaN : Number(part));

const options = parseOptions(
  z.strictObject({
    input: z.array(pathOption()).min(1).describe(
      "images (.nii, .nii.gz, .hdr with .img, .nrrd, .nhdr, .mha, .png, or cases, .h5), folders of them, lists (.txt: a path a line)",
    ),
    run: z.array(pathOption()).default([]).meta({ repeated: true }).describe(
      "run folder of train; given several times: the mean of their probabilities",
    ),
    checkpoint: CHECKPOINT,
    weights: z.array(pathOption()).default([]).meta({ repeated: true }).describe(
      "file of weights instead of a run folder: .safetensors, or a state dict in a .pth of torch's; several as above",
    ),
    dataset: z.enum(allNames()).optional().describe(
      "with --weights, where FILE does not say it: what its network was trained on",
    ),
    method: z.enum(METHOD_NAMES).optional().describe(
      "with --weights: the method of the network (default: as FILE says, else ssnet)",
    ),
    patch: z.string().optional().describe(
      "with --weights: the network's input (default: as FILE says, else the dataset's)",
    ),
    norm: z.enum(NORMS).optional().describe(
      "with --weights: behind the network's convolutions (default: as FILE says, else batch)",
    ),
    batchNorm: z.enum(STATISTICS).optional().describe(
      "statistics of the batch norms; running: the training's; window: each window's own; recomputed: of labeled patches " +
        "of the training, whose cases must be there unless it kept them (default: those that suit the training)",
    ),
    out: pathOption().refine(
      (path) => !/\.(nii|hdr|img|nhdr|mha|png|h5)$/i.test(path),
      "a folder, .nii.gz or .nrrd wanted",
    )
      .meta({ letter: "o" }).describe(
        "folder to write NAME.nii.gz and summary.json to; of one image also a file: .nii.gz, or .nrrd",
      ),
    crop: z.string().refine(
      (text) => text === "none" || boxOf(text) !== null,
      "none, or six numbers x0,y0,z0,x1,y1,z1 wanted, the second three above the first",
    ).default("none").describe(
      "what of an image is looked at: none cuts nothing away; or a box by two corners in RAS+ mm, x0,y0,z0,x1,y1,z1",
    ),
    normalize: z.enum(["whole", "box"]).default("whole").describe(
      "whose intensities are brought to the training's range",
    ),
    ...TEST,
    components: componentsOption("what the run or the file remembers, else the method's own"),
    overlap: TEST.overlap.default(0.5),
    probabilities: z.boolean().default(false).describe("also NAME_probability_CLASS.nii.gz, of every class"),
    uncertainty: z.boolean().default(false).describe(
      "also NAME_entropy.nii.gz of the mean probabilities; of several runs NAME_mutual_information.nii.gz; in nats",
    ),
    spacing: z.string().refine(
      (text) => widthsOf(text) !== null,
      "millimeters wanted: one number, or three as in 1x1x2.5",
    )
      .optional().describe("mm between voxels along x, y, z of the file, instead of what the images say"),
    precision: z.enum(PRECISIONS).optional().describe("arithmetic; fp32 without it, on a GPU tf32"),
    overwrite: z.boolean().default(false).describe("segment again what is there already"),
    ...MACHINE,
  }),
  { name: "predict", description: "Segment images by trained networks", args: Deno.args },
);

/** A box of "x0,y0,z0,x1,y1,z1"; null for what is none. */
function boxOf(text: string): Box | null {
  const [x0, y0, z0, x1, y1, z1, ...more] = numbersOf(text, ",");
  const isBox = !more.length && x0 < x1 && y0 < y1 && z0 < z1 && [x0, y0, z0, x1, y1, z1].every(Number.isFinite);
  return isBox ? { low: [x0, y0, z0], high: [x1, y1, z1] } : null;
}

/** Widths of "0.625" or "1x1x2.5"; null for what is none. */
function widthsOf(text: string): [number, number, number] | null {
  const widths = numbersOf(text, "x"), [x, y = x, z = x] = widths;
  const isThree = widths.length === 1 || widths.length === 3;
  return isThree && [x, y, z].every((width) => width > 0 && width < Infinity) ? [x, y, z] : null;
}

/** Where the results of an image go. */
interface Target extends ImageFile {
  mask: string;
}

/** So many windows are told before the image that has them: about half a minute on LA (`docs/performance.md`). */
const MANY_WINDOWS = 32;
const MASK = /\.(nii\.gz|nrrd)$/i;
const crop = options.crop === "none" ? null : boxOf(options.crop),
  spacing = options.spacing ? widthsOf(options.spacing) : null;

/** Says which options about whose networks are taken do not go together. */
async function sourceProblem(): Promise<string | null> {
  const { run, weights, dataset, method, patch, norm } = options;
  if (run.length && weights.length) return "--run and --weights cannot stand beside one another";
  if (!run.length && !weights.length) return "a network is wanted: --run RUN, or --weights FILE";
  if (run.length && (dataset || method || patch || norm)) {
    return "--dataset, --method, --patch and --norm want --weights beside them";
  }
  if (!dataset || patch === undefined) return null;
  const { patch: wanted } = await findDataset(dataset), sides = sidesOf(patch);
  if (sides.length === wanted.length && sides.every((n) => n > 0 && n % 16 === 0)) return null;
  return `--patch "${patch}": ${wanted.length} multiples of 16 wanted, as in ${wanted.join("x")}`;
}

async function predict() {
  const misplaced = await sourceProblem();
  if (misplaced) {
    console.error(`Cannot start predict: ${misplaced}`);
    return EXIT.usage;
  }
  const { files, problems, notes } = imageFiles(options.input);
  for (const note of notes) console.log(`note: ${note}`);
  if (!files.length) throw new DataError(problems.join("\n"));
  for (const problem of problems) console.error(problem);
  const isFile = MASK.test(options.out);
  if (isFile && files.length > 1) {
    console.error(
      `Cannot write ${counted(files.length, "image")} to the one file "${options.out}"; name a folder by -o`,
    );
    return EXIT.usage;
  }
  const folder = isFile ? dirname(options.out) : options.out;
  const summaryPath = isFile ? `${options.out.replace(MASK, "")}.json` : `${folder}/summary.json`;
  const targets = files.map((file): Target => ({
    ...file,
    mask: isFile ? options.out : `${folder}/${file.name}.nii.gz`,
  }));
  for (const { path, mask } of targets) {
    if (resolve(path) !== resolve(mask)) continue;
    throw new DataError(`Cannot write the mask of "${path}" in its own place; name another folder by -o`);
  }
  await Deno.mkdir(folder, { recursive: true }); // before anything is computed: whether it may be written to
  const { threads, device, precision: wanted = "single" } = options;
  const { binding, precision } = openTensorFlow({ threads, device, precision: wanted });
  const runs = await loadRuns(precision);
  const summary: PredictionSummary = {
    runs: runs.map((run) => ({
      run: run.folder,
      dataset: run.dataset.name,
      method: run.methodName,
      checkpoint: run.checkpoint,
      iteration: run.iteration,
      sha256: sha256(Deno.readFileSync(run.file)),
      statistics: run.statistics,
    })),
    options: {
      crop,
      normalize: options.normalize,
      overlap: options.overlap,
      mirror: options.mirror,
      components: runs[0].components,
      componentsChoice: runs[0].componentsChoice,
      spacing,
      probabilities: options.probabilities,
      uncertainty: options.uncertainty,
      precision,
    },
    device: binding.device,
    versions: { deno: Deno.version.deno, tensorflow: binding.TF_Version },
    images: [],
  };
  const work = () => segmentAll(targets, { runs, summary, summaryPath, problems });
  const told = { cannot: "write masks to", instead: "name another folder by -o" };
  return isFile ? await work() : await whileHeld(folder, told, work);
}

/** Segments what is not done yet; of a folder one process at a time, since all rows stand in one summary. */
async function segmentAll(
  targets: Target[],
  { runs, summary, summaryPath, problems }: {
    runs: LoadedRun[];
    summary: PredictionSummary;
    summaryPath: string;
    problems: string[];
  },
) {
  const [{ profile, dataset, grid }] = runs;
  const finished = await finishedRows(summaryPath, summary);
  const isDone = ({ name, path, mask }: Target) =>
    exists(mask) && resolve(finished.get(name)?.image ?? "") === resolve(path);
  const todo = targets.filter((target) => options.overwrite || !isDone(target));
  const foreign = options.overwrite ? [] : todo.filter(({ mask }) => exists(mask));
  if (foreign.length) {
    throw new DataError(
      `Cannot write ${
        foreign.map(({ mask }) => `"${mask}"`).join(", ")
      }: it is there, and not of this image, these networks and ` +
        "options; name another place by -o, or --overwrite",
    );
  }
  if (todo.length < targets.length) {
    console.log(
      `${counted(targets.length - todo.length, "image")} done before, skipped; --overwrite segments them again`,
    );
  }
  const predictor = {
    dataset: { ...dataset, ...profile },
    grid,
    networks: runs.map(({ probabilities }) => probabilities),
    components: runs[0].components,
  };
  const begun = performance.now(), bad = [...problems];
  for (const [i, target] of todo.entries()) {
    const started = performance.now(), head = `${i + 1}/${todo.length}  ${target.name}`;
    const begins = (seen: Vector3) => {
      const windows = runs.reduce((sum, run) => sum + windowCount(run, seen), 0);
      if (windows >= MANY_WINDOWS) console.log(`${head}  up to ${windows} windows`);
    };
    try {
      const { image, prediction } = await unlessStopped(async () => {
        const image = withSpacing(await readImage(target));
        return { image, prediction: await predictImage(image, predictor, { ...options, crop, begins }) };
      });
      const seconds = (performance.now() - started) / 1000;
      const row = rowOf(target, { image, prediction, classNames: profile.classNames, seconds });
      finished.set(target.name, row);
      const images = [...finished.values()].sort((a, b) => a.name < b.name ? -1 : 1);
      await write(target, { image, prediction, classNames: profile.classNames }, {
        path: summaryPath,
        text: predictionText({ ...summary, images }),
      });
      const left = (performance.now() - begun) / (i + 1) * (todo.length - i - 1) / 1000;
      console.log(`${head}  ${textOf(row)}${left ? `  about ${durationOf(left)} left` : ""}`);
      for (const note of row.notes) console.log(`    note: ${note}`);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      bad.push(`${target.name}  ${error.message}`);
      console.log(`${head}  not segmented, see below`);
    }
  }
  console.log(
    `${counted(todo.length + problems.length - bad.length, "mask")} in ${dirname(summaryPath)}, ${summaryPath}`,
  );
  if (!bad.length) return EXIT.done;
  console.error(`Cannot segment ${bad.length} of ${counted(todo.length + problems.length, "image")}:`);
  for (const one of bad) console.error(`  ${one}`);
  return EXIT.data;
}

/** All runs, with what is to be said of them. @throws {DataError} When they do not go together. */
async function loadRuns(precision: Precision): Promise<LoadedRun[]> {
  const { checkpoint, batchNorm, overlap, mirror, method, patch, norm } = options, runs: LoadedRun[] = [];
  const dataset = options.dataset === undefined ? undefined : await findDataset(options.dataset);
  const said = { method, patch: patch ? sidesOf(patch) : undefined, norm, dataset };
  const files = await Promise.all(
    options.weights.map((path) => weightsAsRun(path, said)),
  );
  for (const source of [...options.run, ...files]) {
    const how = { checkpoint, batchNorm, overlap, mirror, precision };
    const run = await unlessStopped(() => loadWithComponents(source, how));
    const { folder, config, iteration, prefix } = run;
    runs.push(run);
    if (prefix) console.log(`names in "${folder}": behind "${prefix}"`);
    if (typeof source === "string" && iteration && !isDone(folder)) {
      const of = config.training.iterations ? ` of ${config.training.iterations}` : "";
      console.log(
        `note: the training of "${folder}" has not ended: its ${run.checkpoint} checkpoint is of iteration ${iteration}${of}`,
      );
    }
  }
  const kindOf = ({ dataset, grid, profile, components }: LoadedRun) =>
    JSON.stringify({ dataset: dataset.name, classes: profile.classNames, ...grid, components });
  const others = runs.filter((run) => kindOf(run) !== kindOf(runs[0]));
  if (!others.length) return runs;
  throw new DataError(
    `Cannot take the mean of these runs: ${others.map(({ folder }) => `"${folder}"`).join(", ")} differ from ` +
      `"${runs[0].folder}" in dataset, classes, orientation, spacing or components (--components says them for all):\n${
        [runs[0], ...others].map(kindOf).join("\n")
      }`,
  );
}

/** A run with the components that were asked for, else those that were chosen for it before, else its method's. */
async function loadWithComponents(source: string | Run, how: RunOptions): Promise<LoadedRun> {
  const { components } = options;
  if (components && components !== "auto") return await loadRun(source, { ...how, components });
  const run = await loadRun(source, how);
  if (components) return await chooseComponents(run, { cases: run.config.training.cases, say: console.log });
  const stored = await storedComponents(run);
  return stored ? withComponents(run, stored) : run;
}

/** Rows of images that the same networks and options have segmented before. @throws {DataError} When others have. */
async function finishedRows(
  path: string,
  { runs, options: now }: PredictionSummary,
): Promise<Map<string, PredictionRow>> {
  const before = await readPredictionIfThere(path);
  if (!before) return new Map();
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const withoutFolder = (all: PredictionSummary["runs"]) => all.map(({ run: _, ...rest }) => rest);
  if (same(withoutFolder(before.runs), withoutFolder(runs)) && same(before.options, now)) {
    return new Map(before.images.map((row) => [row.name, row]));
  }
  if (options.overwrite) return new Map();
  throw new DataError(
    `Cannot go on in "${path}": its masks are of other networks or options; name another place by -o, or --overwrite`,
  );
}

/** An image with the spacing that --spacing says. */
function withSpacing(image: Image): Image {
  if (spacing) return { ...image, spacing: image.axes === "ZYX" ? spacing.toReversed() as typeof spacing : spacing };
  if (!image.spacing?.every((width) => width === 1)) return image;
  const note = "its header says a spacing of exactly 1 mm along every axis, as files do that do not know theirs; " +
    "--spacing takes another";
  return { ...image, notes: [...image.notes, note] };
}

function rowOf(
  { name, path, mask }: Target,
  { image, prediction, classNames, seconds }: {
    image: Image;
    prediction: Prediction;
    classNames: readonly string[];
    seconds: number;
  },
): PredictionRow {
  const counts = new Array<number>(classNames.length + 1).fill(0), { isPrepared, geometry, isPlaced } = image;
  for (const value of prediction.mask) counts[value]++;
  const voxel = image.spacing && sizeOf(image.spacing) / 1000, what = crop ? "a box of the image" : "the whole image";
  const direction = isPlaced ? fileGeometry({ ...image, geometry })?.direction : undefined;
  return {
    name,
    image: path,
    mask: basename(mask),
    shape: image.shape,
    spacing: image.spacing,
    orientation: direction ? orientationOf(direction) : null,
    preparation: isPrepared
      ? `${what}, prepared before`
      : `${what}, intensities by those of the ${crop && options.normalize === "box" ? "box" : "whole"}`,
    seen: prediction.seen,
    classes: classNames.map((className, k) => ({
      class: className,
      voxels: counts[k + 1],
      milliliters: voxel && counts[k + 1] * voxel,
      components: prediction.found[k],
    })),
    seconds,
    notes: counts.slice(1).every((count) => !count) ? [...image.notes, "its mask is empty"] : image.notes,
  };
}

/** Writes all of an image: its mask last, so that one that is there is finished. */
async function write(
  { name, mask }: Target,
  { image, prediction, classNames }: { image: Image; prediction: Prediction; classNames: readonly string[] },
  summary: { path: string; text: string },
) {
  const stem = `${dirname(mask)}/${MASK.test(options.out) ? basename(mask).replace(MASK, "") : name}`;
  const { entropy, mutualInformation } = prediction,
    maps: [string, Float32Array | null][] = [
      ...prediction.probabilities.map((values, k): [string, Float32Array] => [
        `probability_${classNames[k].replaceAll(" ", "_")}`,
        values,
      ]),
      ["entropy", entropy],
      ["mutual_information", mutualInformation],
    ];
  /** The bytes, made when it is their turn. */
  function* bytesOf(values: Uint8Array | Float32Array, path: string): Generator<Uint8Array, void> {
    if (!path.toLowerCase().endsWith(".nrrd")) {
      yield encodeNiftiMask(values, image);
      return;
    }
    const shape = image.axes === "ZYX" ? image.shape.toReversed() : image.shape, geometry = fileGeometry(image);
    const place = image.nrrdPlace ??
      (geometry && !image.isPlaced ? { spacings: geometry.spacing.join(" ") } : undefined);
    yield encodeNrrdMask(values as Uint8Array, { shape, axes: image.axes, geometry, place });
  }
  await writeTogether([
    ...maps.filter(([, values]) => values).map(([kind, values]) => {
      const path = `${stem}_${kind}.nii.gz`;
      return { path, content: bytesOf(values!, path) };
    }),
    { path: summary.path, content: summary.text },
    { path: mask, content: bytesOf(prediction.mask, mask) },
  ]);
}

/** The windows of a run over an image, those of one value among them, which are left out; of slices none. */
function windowCount({ profile, config: { training: { patch } }, overlap }: LoadedRun, seen: Vector3): number {
  if (patch.length === 2) return 0;
  const stride = strideOf(profile, { patch, overlap: overlap ?? undefined });
  const along = seen.map((n, axis) => windowStarts(Math.max(n, patch[axis]), patch[axis], stride[axis]).length);
  return sizeOf(along as Vector3) * (options.mirror ? 2 ** MIRRORED_AXES.length : 1);
}

const durationOf = (seconds: number) =>
  seconds < 90
    ? `${Math.ceil(seconds)} s`
    : seconds < 5400
    ? `${Math.ceil(seconds / 60)} min`
    : `${(seconds / 3600).toFixed(1)} h`;

const textOf = ({ classes, seconds }: PredictionRow) =>
  classes.map(({ class: name, voxels, milliliters, components }) =>
    `${name} ${milliliters === null ? counted(voxels, "voxel") : `${milliliters.toFixed(1)} ml`} in ${
      counted(components, "component")
    }`
  ).join(", ") + `  ${seconds.toFixed(1)} s`;

await runTask(predict);
