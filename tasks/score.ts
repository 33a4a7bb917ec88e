/**
 * `deno task score MASKS REFERENCES`: masks of any program, a file or a folder of them, against references, images or cases;
 * every metric of `eval` by the code of `eval`, as `scores.json` and `scores.csv`.
 * @module
 */
import { basename, dirname, resolve } from "node:path";
import { z } from "zod";
import type { Vector3 } from "../pipeline/arrays/geometry.ts";
import { EXIT, parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";
import { allNames, findDataset } from "../pipeline/datasets/datasets.ts";
import { messageOf, Notes } from "../pipeline/datasets/prepared_case.ts";
import { rowText, scoreCase, SURFACE_TOLERANCE } from "../pipeline/evaluation/evaluate_case.ts";
import {
  classesFrom,
  classNumbers,
  type LabelVolume,
  type MaskFiles,
  pairMasks,
  placementOf,
  readLabel,
} from "../pipeline/evaluation/masks.ts";
import { bootstrapInterval } from "../pipeline/evaluation/statistics.ts";
import { patientRows, summarize } from "../pipeline/evaluation/summary.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { homePath, userPath } from "../pipeline/files/places.ts";
import { counted, listed } from "../pipeline/files/words.ts";
import { parseFrameName } from "../pipeline/records/case.ts";
import type { ResultRow } from "../pipeline/records/evaluation.ts";
import { writeScores } from "../pipeline/records/score.ts";

const { inputs, spacing, tolerance, dataset, shapeOnly, ...options } = parseOptions(
  z.strictObject({
    inputs: z.array(z.string()).max(2).describe("MASKS and REFERENCES: two folders, or two files"),
    out: pathOption().optional().describe(
      `folder of scores.json and scores.csv (default: ${
        homePath("scores")
      }/FOLDER-MASKS, by the names of the masks' folder)`,
    ),
    spacing: z.string().optional().describe(
      'mm between voxels instead of the headers\': a number, or three along X, Y, Z of the files, "1.5x1.5x10"',
    ),
    tolerance: z.number().positive().default(SURFACE_TOLERANCE).describe("mm, of the normalized surface distance"),
    dataset: z.enum(allNames()).optional().describe("whose class names to take (default: the numbers in the files)"),
    shapeOnly: z.boolean().default(false).describe(
      "compare shapes, not places: for masks of a program that does not keep the place",
    ),
  }),
  { name: "score", description: "Score masks of any program against references", args: Deno.args },
);

async function score() {
  const widths = spacing?.split("x").map(Number) ?? [];
  const isSpacing = [0, 1, 3].includes(widths.length) && widths.every((width) => width > 0 && width < Infinity);
  if (inputs.length !== 2 || !isSpacing) {
    if (inputs.length !== 2) console.error("Cannot start score: MASKS and REFERENCES wanted, two folders or two files");
    if (!isSpacing) {
      console.error(`Cannot start score: --spacing: one number of mm or three wanted, found "${spacing}"`);
    }
    return EXIT.usage;
  }
  const given = widths.length ? [0, 1, 2].map((axis) => widths[axis] ?? widths[0]) as Vector3 : null;
  const [masks, references] = inputs.map(userPath), { pairs, unscored } = pairMasks(masks, references);
  const read = async ({ mask, reference }: MaskFiles) => {
    const wanted = await readLabel(reference);
    return { wanted, found: await readLabel(mask, wanted.axes) };
  };

  // All are read before anything is scored: what is wrong is told at once, and classes are those of all.
  const notes = new Notes(),
    problems: string[] = [],
    values = { masks: new Set<number>(), references: new Set<number>() };
  const unmeasured: string[] = [], unit: string[] = [], nominal: string[] = [];
  for (const pair of pairs) {
    try {
      const { found, wanted } = await read(pair);
      const placement = placementOf(found, wanted, { file: pair.mask, placesCompared: !shapeOnly });
      problems.push(...placement.problems);
      notes.add(pair.name, placement.notes);
      for (const value of found.label) values.masks.add(value);
      for (const value of wanted.label) values.references.add(value);
      if (!given && !wanted.geometry && !wanted.correctedSpacing) unmeasured.push(pair.name);
      else if (!given && !wanted.correctedSpacing && wanted.geometry!.spacing.every((width) => width === 1)) {
        unit.push(pair.name);
      }
      if (wanted.nominalSpacing) nominal.push(pair.name);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (problems.length) throw new DataError(`Cannot score, and nothing was written:\n${problems.join("\n")}`);
  const classes = classesFrom(values, dataset === undefined ? undefined : (await findDataset(dataset)).classNames);
  const lines = [
    ...notes.lines(),
    ...unscored.length ? [`note: ${counted(unscored.length, "reference")} without a mask: ${listed(unscored)}`] : [],
    ...unmeasured.length
      ? [
        `note: the spacing of ${counted(unmeasured.length, "case")} is not known, so nothing is in mm: ${
          listed(unmeasured)
        }`,
      ]
      : [],
    ...unit.length
      ? [
        `note: ${
          counted(unit.length, "reference")
        } of a spacing of exactly 1 mm, which programs also write where they know ` +
        `none; --spacing names another: ${listed(unit)}`,
      ]
      : [],
    ...nominal.length ? [`note: the mm of ${counted(nominal.length, "case")} are nominal: ${listed(nominal)}`] : [],
  ];
  lines.forEach((line) => console.error(line));

  const rows: ResultRow[] = [];
  for (const pair of pairs) {
    const begun = performance.now(), { found, wanted } = await read(pair);
    const label = classNumbers(wanted.label, classes.ofReference), { name } = pair;
    const patient = wanted.patient ?? parseFrameName(name)?.patient ?? null, one = { ...wanted, name, patient, label };
    const own = scoreCase(classNumbers(found.label, classes.ofMask), measuredBy(one, given), {
      ...{ classNames: classes.names, tolerance, seconds: 0 },
    });
    const seconds = (performance.now() - begun) / 1000;
    for (const row of own) console.log(rowText({ ...row, seconds }, { nominal: wanted.nominalSpacing, tolerance }));
    rows.push(...own.map((row) => ({ ...row, seconds })));
  }
  const isOfPatients = rows.every((row) => row.patient !== null);
  const summary = summarize(rows, isOfPatients ? undefined : bootstrapInterval);
  const patientSummary = isOfPatients ? summarize(patientRows(rows), bootstrapInterval) : null;
  const named = `${basename(dirname(resolve(masks)))}-${basename(resolve(masks))}`;
  const output = options.out ?? homePath(`scores/${named}`);
  await Deno.mkdir(output, { recursive: true });
  await writeScores(output, {
    masks,
    references,
    tolerance,
    spacing: given,
    placesCompared: !shapeOnly,
    classes: classes.names,
    notes: lines,
    rows,
    summary,
    patientSummary,
    versions: { deno: Deno.version.deno },
  });
  const { mean, interval, cases } = (patientSummary ?? summary).honest.mean.dice;
  const around = interval ? ` (95 % interval ${interval.map((bound) => bound.toFixed(4)).join(" to ")})` : "";
  console.log(
    `Dice ${mean!.toFixed(4)}${around} over ${
      counted(cases, patientSummary ? "patient" : "case")
    }, ${output}/scores.json`,
  );
}

/** A case with the spacing that was given along X, Y, Z of its file. */
function measuredBy<One extends LabelVolume>(one: One, spacing: Vector3 | null): One {
  if (!spacing) return one;
  return { ...one, correctedSpacing: one.axes === "ZYX" ? spacing.toReversed() as Vector3 : spacing };
}

await runTask(score);
