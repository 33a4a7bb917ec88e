/**
 * The card of a network that is handed on (Mitchell et al., Model Cards for Model Reporting, 2019), in Markdown, made of its
 * run: what it was trained on and how, how it was tested, what it is for and what not.
 * @module
 */
import { basename } from "node:path";
import type { Dataset } from "../datasets/dataset.ts";
import { sha256 } from "../files/hash.ts";
import { counted, fixed } from "../files/words.ts";
import { type ChosenComponents, componentsText } from "../records/components.ts";
import type { Metrics, Spread, Summary } from "../records/evaluation.ts";
import { countCases, countPatients } from "../records/split.ts";
import { planText } from "./row_settings.ts";
import { quoted } from "../files/places.ts";
import { plain } from "./markdown.ts";
import type { Run } from "./runs.ts";

/** The file that is handed on. */
export interface ExportedModel extends ChosenComponents {
  /** Its name. */
  file: string;
  /** "safetensors" or "pth". */
  format: "safetensors" | "pth";
  /** Whether its numbers are float16. */
  half: boolean;
  /** SHA-256 of its bytes. */
  sha256: string;
  /** How many numbers a training moves. */
  parameters: number;
  /** Which one of the run's. */
  checkpoint: string;
  /** The iteration after which it was written. */
  iteration: number;
  /** Statistics of the batch norms that suit it. */
  statistics: string;
}

/** A card. @param run With its evaluations. */
export function modelCard(
  { config, method: { title }, minutes, evaluations, notes }: Run,
  { model, dataset }: { model: ExportedModel; dataset: Dataset },
): string {
  const { method, training, split, versions, commit } = config, { lists, units, labeled } = listsOf(dataset, split);
  const settings = Object.entries(method.settings).map(([name, value]) => `${name} ${value}`).join(", ");
  const computed = training.computedOn,
    tested = evaluations.filter(({ metrics }) => metrics.checkpoint === model.checkpoint);
  const load = model.format === "pth"
    ? ["import torch", `model.load_state_dict(torch.load(${JSON.stringify(model.file)}, weights_only=True))`]
    : ["from safetensors.torch import load_file", `model.load_state_dict(load_file(${JSON.stringify(model.file)}))`];
  return [
    `# ${plain(title)}: ${dataset.title}`,
    "",
    "**Not for clinical use.** For research on segmentation with few labels.",
    "",
    "## The network",
    "",
    ...table([
      ["file", `${plain(model.file)}, ${model.half ? "float16" : "float32"}`],
      ["SHA-256", model.sha256],
      ["parameters", model.parameters.toLocaleString("en-US")],
      ["input", `${training.patch.join(" x ")}, ${counted(dataset.channels, "channel")}`],
      ["classes", ["background", ...dataset.classNames].map((name, i) => `${i} ${name}`).join(", ")],
      ["checkpoint", `${model.checkpoint}, after iteration ${model.iteration}`],
      ["used with", `${model.statistics} statistics, ${componentsText(model.components, model.componentsChoice)}`],
    ]),
    "Its names and layouts are those of the authors' `state_dict`. In Python, with their class:",
    "",
    ...load.map((line) => `    ${line}`),
    "",
    "Here:",
    "",
    `    deno task predict IMAGE --weights ${quoted(model.file)} -o OUT${
      model.format === "pth"
        ? ` --dataset ${config.dataset} --method ${method.name} --patch ${training.patch.join("x")}` +
          (training.norm === "batch" ? "" : ` --norm ${training.norm}`)
        : ""
    }`,
    "",
    "## Training",
    "",
    ...table([
      ["dataset", dataset.title],
      [units, lists],
      [
        "split",
        `${split.source}; SHA-256 of its lists ${
          hashOf([split.labeled, split.unlabeled, split.validation, split.test])
        }`,
      ],
      [
        "data",
        split.hashes ? `SHA-256 of its cases' hashes ${hashOf(split.hashes)}` : split.manifest ?? "no fingerprint",
      ],
      ["method", `${title}${settings && ` (${settings})`}`],
      ...config.plan ? [["plan", planText(config.plan)] as [string, string]] : [],
      [
        "schedule",
        `${training.preset}: ${training.iterations} iterations${
          training.warmup ? `, ${training.warmup} of them on the labeled half alone` : ""
        }`,
      ],
      ["norm", training.norm],
      ["tested weights", training.ema ? "moving average" : "as trained"],
      [
        "began with",
        training.init ? `${basename(training.init.file)} (SHA-256 ${training.init.sha256})` : "random weights",
      ],
      ["precision", training.precision],
      ["seed", `${training.seed}`],
      ["time", minutes === null ? "not logged" : `${minutes.toFixed(1)} min`],
      ["computed on", typeof computed === "string" ? computed : JSON.stringify(computed ?? training.device)],
      [
        "versions",
        Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ") || "not recorded",
      ],
      ["commit", commit ?? "not recorded"],
    ]),
    "## Results",
    "",
    ...tested.length ? tested.flatMap(({ name, metrics }) => resultsOf(name, metrics)) : ["Not evaluated.", ""],
    "## Intended use, limits",
    "",
    `- For images as those of its training: ${dataset.title}, prepared by \`deno task preprocess ${config.dataset}\`. On other scanners, ` +
    "protocols or patients nothing is known of it.",
    `- ${labeled} labeled ${units} are few; another seed or split gives other numbers.`,
    "- A mask may be empty or wrong without any sign of it; each has to be looked at.",
    `- The terms of the data it was trained on hold for it too${dataset.terms ? `: ${dataset.terms}` : ""}.`,
    ...notes.map((note) => `- ${plain(note)}`),
    "",
  ].join("\n");
}

const hashOf = (value: unknown) => sha256(JSON.stringify(value));

function table(rows: [string, string][]): string[] {
  return ["| | |", "| --- | --- |", ...rows.map(([name, value]) => `| ${name} | ${plain(value)} |`), ""];
}

function listsOf({ unit }: Dataset, split: Run["config"]["split"]): { units: string; labeled: number; lists: string } {
  const { labeled, unlabeled, validation } = unit === "patient" ? countPatients(split) : countCases(split);
  return {
    units: unit === "patient" ? "patients" : "cases",
    labeled,
    lists: `${labeled} labeled, ${unlabeled} unlabeled, ${validation} for validation`,
  };
}

/** The table of an evaluation with its protocol. */
function resultsOf(name: string, { summary, patientSummary, ...metrics }: Metrics): string[] {
  const { published, honest, millimeters } = patientSummary ?? summary;
  const number = ({ mean, standardDeviation }: Spread, scale: number) =>
    mean === null
      ? "–"
      : fixed(scale * mean, 2) + (standardDeviation === null ? "" : ` ± ${fixed(scale * standardDeviation, 2)}`);
  const overlaps = (of: Summary<"dice" | "jaccard">, key: string) =>
    [of[key].dice, of[key].jaccard].map((one) => number(one, 100));
  const rows = ["mean", ...metrics.classes].filter((_, i) => i || metrics.classes.length > 1).map((key) => [
    key,
    ...overlaps(published, key),
    ...[published[key].hd95, published[key].asd].map((one) => number(one, 1)),
    ...overlaps(honest, key),
    ...[honest[key].hd95, honest[key].asd].map((one) => number(one, 1)),
    ...(millimeters ? [millimeters[key].hd95, millimeters[key].asd].map((one) => number(one, 1)) : ["–", "–"]),
  ]);
  const head = [
    ...["class", "Dice %", "Jaccard %", "95HD voxels", "ASD voxels"],
    ...["honest: Dice %", "Jaccard %", "95HD voxels", "ASD voxels", "95HD mm", "ASD mm"],
  ];
  const { patients, test, source } = metrics.split;
  return [
    `${plain(name)}: ${counted(patients?.test ?? test, patients ? "patient" : "case")} of ${
      plain(source)
    }; batch norm ${plain(metrics.batchNorm)}, ` +
    `${componentsText(metrics.components, metrics.componentsChoice)}, ${plain(metrics.precision)}` +
    `${
      metrics.nominalSpacing ? ", nominal mm" : ""
    }. First as published (an empty mask scores 0 throughout), then honest ` +
    "(an empty mask has no distance); means ± sample standard deviations.",
    "",
    ...[head, head.map(() => "---"), ...rows].map((line) => `| ${line.map(plain).join(" | ")} |`),
    "",
  ];
}
