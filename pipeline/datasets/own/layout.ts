/**
 * Which files of a raw folder make which case. Three layouts: nnU-Net's (`dataset.json`, `imagesTr/NAME_0000.nii.gz`,
 * `labelsTr/NAME.nii.gz`, `imagesTs/`, `labelsTs/`, and `imagesUn/` for more images without a label), the Medical Decathlon's
 * with its older `dataset.json` (`modality`, lists `training` and `test`), and `images/` with `labels/` without any.
 * @module
 */
import { z } from "zod";
import { DataError } from "../../files/errors.ts";
import { isFolder } from "../../files/exists.ts";
import { readJsonIfThere } from "../../files/json.ts";
import { nameProblem } from "../../files/names.ts";
import { VOLUME_FILE, VOLUME_FORMATS } from "../../files/volume_file.ts";
import { counted, listed } from "../../files/words.ts";
import { NORMALIZATIONS, type PlannedChannel } from "../../records/plan.ts";
import { entriesOf } from "../raw_folder.ts";

/** The files of a case, their paths from the raw folder on. */
export interface CaseFiles {
  /** The name of the case. */
  name: string;
  /** A file a channel. */
  channels: string[];
  /** The file of its label; null where there is none. */
  label: string | null;
  /** Whether the folder sets it apart for the test. */
  isTest: boolean;
}

/** What a raw folder holds. */
export interface Layout {
  /** The dataset's name by `dataset.json`; else the name that was given. */
  title: string;
  /** The channels in the order of their numbers. */
  channels: Pick<PlannedChannel, "name" | "normalization">[];
  /** Names of the labels from 1 on; null where no file names them. */
  classes: string[] | null;
  /** The cases in the order of their names. */
  cases: CaseFiles[];
  /** What was left out, a line each. */
  notes: string[];
}

const NAMES = z.union([z.record(z.string(), z.string()), z.array(z.string())]);
const LISTED = z.object({ image: z.string(), label: z.string() });
const DESCRIPTION = z.looseObject({
  name: z.string().optional(),
  channel_names: NAMES.optional(),
  modality: NAMES.optional(),
  labels: z.record(z.string(), z.union([z.int(), z.string(), z.array(z.int())])),
  file_ending: z.string().optional(),
  numTraining: z.int().optional(),
  training: z.array(LISTED).optional(),
});
type Description = z.infer<typeof DESCRIPTION>;

/** The folders in which images and their labels may stand. */
const FOLDERS = [
  { images: "imagesTr", labels: "labelsTr", isTest: false },
  { images: "imagesTs", labels: "labelsTs", isTest: true },
  { images: "imagesUn", labels: null, isTest: false },
  { images: "images", labels: "labels", isTest: false },
] as const;
/** nnU-Net's number of a channel. */
const CHANNEL = /_(\d{4})$/;

/** A file of a folder. */
interface Found {
  /** Its name without what says its format. */
  stem: string;
  /** Its path from the raw folder on. */
  file: string;
}

/**
 * Finds the cases of a raw folder. Needs `--allow-read`.
 * @param name Of the dataset.
 * @throws {DataError} Naming all that is wrong with the names of files and with `dataset.json`.
 */
export async function readLayout(raw: string, name: string): Promise<Layout> {
  const present = FOLDERS.filter(({ images }) => isFolder(`${raw}/${images}`));
  const training = present.filter(({ isTest }) => !isTest);
  if (!training.length) {
    const found = listed(entriesOf(raw).map((entry) => entry.name));
    throw new DataError(
      `Cannot find cases in "${raw}": imagesTr/ with labelsTr/ and dataset.json, or images/ with labels/ wanted, found ${
        isFolder(raw) ? found || "nothing" : "no such folder"
      }`,
    );
  }
  const description = await readJsonIfThere(`${raw}/dataset.json`, DESCRIPTION, {
    what: "the description of the dataset",
    remedy: "write it as nnU-Net has it: channel_names, labels, file_ending, numTraining",
  });
  const problems: string[] = [], notes: string[] = [];
  const classes = description && classesOf(description, problems), named = description && channelsOf(description);
  const cases: CaseFiles[] = [];
  for (const { images, labels, isTest } of present) {
    const of = { raw, problems, notes, ending: description?.file_ending };
    const found = filesIn(images, of), masks = labels ? filesIn(labels, of) : [];
    const own = casesOf(found, masks, { count: named?.length, images, problems });
    for (const { stem, file } of masks.filter(({ stem }) => !own.some((one) => one.name === stem))) {
      problems.push(`${file}: there is no image "${stem}" in ${images}/`);
    }
    const bare = isTest ? own.filter(({ label }) => !label) : [];
    if (bare.length) {
      notes.push(
        `left out: ${counted(bare.length, "image")} of ${images}/ without a label in ${labels}/, which predict takes`,
      );
    }
    cases.push(...own.filter((one) => !bare.includes(one)).map((one) => ({ ...one, isTest })));
  }
  const names = cases.map((one) => one.name);
  for (const twice of new Set(names.filter((one, i) => names.indexOf(one) !== i))) {
    problems.push(
      `the name "${twice}" stands in two folders: ${
        cases.filter((one) => one.name === twice).map(({ channels: [file] }) => file).join(" and ")
      }`,
    );
  }
  if (description) problems.push(...countProblems(description, { raw, cases }));
  if (!cases.some(({ label, isTest }) => label && !isTest)) {
    problems.push(`no case has a label: files in ${training[0].labels ?? "labelsTr"}/ of the images' names wanted`);
  }
  if (problems.length) throw new DataError(`Cannot prepare "${raw}"; nothing was written:\n  ${problems.join("\n  ")}`);
  const count = named?.length ?? Math.max(...cases.map(({ channels }) => channels.length));
  return {
    title: description?.name ?? name,
    channels: named ?? Array.from({ length: count }, (_, i) => ({ name: `channel ${i}`, normalization: "zscore" })),
    classes,
    cases: cases.sort((a, b) => a.name < b.name ? -1 : 1),
    notes,
  };
}

/** Names of the labels from 1 on, in nnU-Net's form (`"liver": 1`) or the Decathlon's (`"1": "liver"`). */
function classesOf({ labels }: Description, problems: string[]): string[] {
  const isOld = Object.values(labels).every((value) => typeof value === "string"), names: string[] = [];
  for (const [key, value] of Object.entries(labels)) {
    const [name, number] = isOld ? [value as string, Number(key)] : [key, value], at = `dataset.json: labels.${key}`;
    if (name === "ignore") problems.push(`${at}: labels to be ignored are not known here; leave the label out`);
    else if (Array.isArray(number)) problems.push(`${at}: one number wanted, found the region [${number}]`);
    else if (typeof number !== "number" || !Number.isInteger(number) || number < 0) {
      problems.push(`${at}: a whole number from 0 on wanted, found ${JSON.stringify(number)}`);
    } else if (names[number] !== undefined) problems.push(`${at}: ${number} is "${names[number]}" already`);
    else if (nameProblem(name)) problems.push(`${at}: ${nameProblem(name)}`);
    else names[number] = name;
  }
  const missing = Array.from(names, (name, i) => name === undefined ? i : -1).filter((i) => i >= 0);
  if (missing.length) {
    problems.push(`dataset.json: labels from 0 on without a gap wanted, ${listed(missing.map(String))} missing`);
  }
  if (names.length < 2) problems.push(`dataset.json: labels: background and at least one more wanted`);
  return names.slice(1);
}

/** Names of the channels with the normalization that a name asks for: nnU-Net's `CT`, `noNorm` and the like; else z-scores. */
function channelsOf({ channel_names, modality }: Description): Layout["channels"] | null {
  const names = channel_names ?? modality;
  return names
    ? Object.values(names).map((name) => {
      const known = NORMALIZATIONS.find((one) => one.toLowerCase() === name.toLowerCase());
      return { name, normalization: known ?? "zscore" };
    })
    : null;
}

/** The volumes of a folder; two files of one name in two formats are a problem. */
function filesIn(
  folder: string,
  { raw, ending, problems, notes }: { raw: string; ending?: string; problems: string[]; notes: string[] },
): Found[] {
  const names = entriesOf(`${raw}/${folder}`).filter(({ isDirectory }) => !isDirectory).map(({ name }) => name);
  const volumes = names.filter((name) => VOLUME_FILE.test(name));
  const others = names.filter((name) => !VOLUME_FILE.test(name) && !/\.img(\.gz)?$/i.test(name));
  if (others.length) notes.push(`left out of ${folder}/, none of ${VOLUME_FORMATS}: ${listed(others)}`);
  const found = volumes.map((name) => ({ stem: name.replace(VOLUME_FILE, ""), file: `${folder}/${name}` }));
  for (const [stem, same] of Map.groupBy(found, ({ stem }) => stem)) {
    if (same.length === 1) continue;
    problems.push(`${folder}/${stem}: one file wanted, found ${same.map(({ file }) => file).join(" and ")}`);
  }
  const odd = ending ? volumes.filter((name) => !name.endsWith(ending)) : [];
  if (odd.length) {
    problems.push(`dataset.json: file_ending is "${ending}", and ${folder}/ has ${listed(odd)}`);
  }
  return found;
}

/** Images with their channels and labels. @param count Of the channels, where it is known. */
function casesOf(
  found: Found[],
  masks: Found[],
  { count, images, problems }: { count?: number; images: string; problems: string[] },
): Omit<CaseFiles, "isTest">[] {
  // A number at the end may belong to a name, as a slice's, where nothing says that it is a channel's.
  const areChannels = (count ?? 1) > 1 ||
    found.some(({ stem }) => stem.endsWith("_0000")) && !masks.some(({ stem }) => CHANNEL.test(stem));
  const nameOf = ({ stem }: Found) => areChannels ? stem.replace(CHANNEL, "") : stem;
  const groups = Map.groupBy(found, nameOf), numbers = [...groups.values()].map((files) => files.length);
  const wanted = count ?? (areChannels ? Math.max(0, ...numbers) : 1);
  return [...groups].map(([name, files]) => {
    const problem = nameProblem(name);
    if (problem) problems.push(`${images}/: ${problem}`);
    const numbered = areChannels && (wanted > 1 || CHANNEL.test(files[0].stem));
    const channels = numbered
      ? Array.from({ length: wanted }, (_, c) => `${name}_${String(c).padStart(4, "0")}`)
      : [name];
    const missing = channels.filter((stem) => !files.some((file) => file.stem === stem));
    const more = files.filter(({ stem }) => !channels.includes(stem));
    if (missing.length || more.length) {
      problems.push(
        `${images}/${name}: ${counted(wanted, "channel")} wanted${
          missing.length ? `, missing ${listed(missing)}` : ""
        }${more.length ? `, beyond them ${listed(more.map(({ file }) => file))}` : ""}`,
      );
    }
    const fileOf = (stem: string, among: Found[]) => among.find((file) => file.stem === stem)?.file;
    return {
      name,
      channels: channels.map((stem) => fileOf(stem, files) ?? files[0].file),
      label: fileOf(name, masks) ?? null,
    };
  });
}

/** Whether `numTraining` and the Decathlon's list `training` say what is there. */
function countProblems(
  { numTraining, training }: Description,
  { raw, cases }: { raw: string; cases: CaseFiles[] },
): string[] {
  const problems: string[] = [], own = cases.filter(({ channels: [file] }) => file.startsWith("imagesTr/"));
  const labeled = own.filter(({ label }) => label);
  if (numTraining !== undefined && numTraining !== labeled.length && numTraining !== own.length) {
    problems.push(
      `dataset.json: numTraining is ${numTraining}, and imagesTr/ has ${
        counted(own.length, "image")
      }, ${labeled.length} ` +
        "of them with a label in labelsTr/",
    );
  }
  for (const { image, label } of training ?? []) {
    const [file, mask] = [image, label].map((path) => path.replace(/^\.\//, ""));
    const one = own.find(({ channels }) => channels.includes(file));
    if (!one) problems.push(`dataset.json: training names ${image}, which is not in "${raw}"`);
    else if (one.label !== mask) {
      problems.push(`dataset.json: training names the label ${label} of ${image}, found ${one.label ?? "none"}`);
    }
  }
  return problems;
}
