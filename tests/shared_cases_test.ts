/**
 * Every entry of ../shared/cases (or SSNET_CASES) does what its row in the README there asks for: files that went wrong
 * once, by their numbers.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { cinePatients, prepareCine } from "../pipeline/datasets/acdc/cardiac_cine.ts";
import { readCase, spacingOf } from "../pipeline/records/case.ts";
import { duplicatesBetween } from "../pipeline/data/duplicates.ts";
import { prepareLeftAtrium } from "../pipeline/datasets/la/left_atria.ts";
import { decodeNifti, encodeNiftiMask, readNifti } from "../pipeline/files/nifti.ts";
import { readNrrd } from "../pipeline/files/nrrd.ts";
import { fingerprintOf, imageProblems, type PreparedCase } from "../pipeline/datasets/prepared_case.ts";
import { checkRawFolder, foldersIn, leftoversIn, lostLinks } from "../pipeline/datasets/raw_folder.ts";
import { linkTo, pipeAt } from "./symbolic_links.ts";
import { withFolder } from "./with_folder.ts";
import type { Fingerprint, Manifest } from "../pipeline/records/manifest.ts";
import { drawnLists, parseList } from "../pipeline/datasets/lists.ts";

const CASES = Deno.env.get("SSNET_CASES") ?? fileURLToPath(new URL("../../shared/cases", import.meta.url));
const entries = isFolder(CASES) ? [...Deno.readDirSync(CASES)].map((f) => f.name) : [];
if (!entries.length) console.log(`skipped: there is no "${CASES}" (SSNET_CASES names another)`);

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** A test of the entry whose name begins with `number`; left out where the entry is not there. */
function entry(number: string, wanted: string, body: (path: string) => void | Promise<void>) {
  const name = entries.find((name) => name.startsWith(`${number}_`));
  Deno.test({ name: `case ${number}: ${wanted}`, ignore: !name, fn: () => body(`${CASES}/${name}`) });
}

/** The frames of all ACDC patients of a folder. */
async function cine(raw: string): Promise<PreparedCase[]> {
  const results = await Promise.all(cinePatients(raw).map((name) => prepareCine(raw, name, { nominalSpacing: false })));
  return results.flatMap((result) => {
    assert.ok(!("problems" in result), "problems" in result ? result.problems.join("\n") : "");
    return result;
  });
}
const notesOf = (frames: PreparedCase[]) => [...new Set(frames.flatMap(({ notes }) => notes ?? []))];
const byQform = "the sform's scale is not pixdim's: spacing and place are the qform's";

entry("01", "spacing and place are the qform's, and the mask has its image's header", async (raw) => {
  const frames = await cine(raw);
  assert.equal(frames.length, 4);
  assert.deepEqual(notesOf(frames), [byQform]);
  for (const { prepared, fingerprint } of frames) {
    assert.deepEqual(fingerprint.spacing, [10, 1.31579, 1.31579].map(Math.fround));
    const mask = decodeNifti(encodeNiftiMask(prepared.label!, prepared), "mask");
    assert.deepEqual(mask.header, (await readNifti(`${raw}/${fingerprint.sources[0].file}`)).header);
  }
});

entry("02", "the known spacing is for distances and volumes, the mask keeps the header's", async (raw) => {
  const options = { crop: "published", seed: 1, nominalSpacing: false } as const;
  const found = await prepareLeftAtrium(raw, "CASE0", { ...options, spacing: "known" });
  assert.ok("prepared" in found);
  assert.deepEqual([spacingOf(found.prepared), found.fingerprint.headerSpacing], [[0.625, 0.625, 0.625], [1, 1, 1]]);
  assert.match(found.notes!.join(), /a spacing of 0.625 mm instead of the header's 1 x 1 x 1 mm/);
  const mask = decodeNifti(encodeNiftiMask(found.prepared.label!, found.prepared), "mask");
  assert.deepEqual(mask.geometry!.spacing, [1, 1, 1]);
  const header = await prepareLeftAtrium(raw, "CASE0", { ...options, spacing: "header" });
  assert.deepEqual("prepared" in header && spacingOf(header.prepared), [1, 1, 1]);
});

entry("03", "without a form the mask has none either, and the voxels of its image", async (raw) => {
  for (const { prepared, fingerprint } of await cine(raw)) {
    const { header } = decodeNifti(encodeNiftiMask(prepared.label!, prepared), "mask");
    assert.deepEqual(header, (await readNifti(`${raw}/${fingerprint.sources[0].file}`)).header);
    assert.deepEqual([header.codes, header.pixdim.slice(1, 4)], [[0, 0], [1.5, 1.5, 8]]);
  }
});

entry("04", "a label that nibabel saved beside an image without a form is taken with a note", async (raw) => {
  const note = "the image does not say where it lies: the label is taken to cover its image's voxels";
  assert.ok(notesOf(await cine(raw)).includes(note));
});

entry("06", "a label that SimpleITK saved beside an image of unit sform is taken", async (raw) => {
  assert.deepEqual(notesOf(await cine(raw)), [byQform]);
});

entry("07", "the mask lies where ITK puts the image: LPS from the origin", async (raw) => {
  const options = { crop: "none", seed: 1, spacing: "known", nominalSpacing: false } as const;
  const found = await prepareLeftAtrium(raw, "C0", options);
  assert.ok("prepared" in found);
  const { geometry } = decodeNifti(encodeNiftiMask(found.prepared.label!, found.prepared), "mask");
  assert.deepEqual(geometry, {
    spacing: [0.625, 0.625, 0.625],
    origin: [0, 0, 0],
    direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1],
  });
});

entry("09", "folders behind symbolic links are cases", (path) =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, links: Record<string, string> = {};
    await Deno.mkdir(raw);
    // Where the entry came by a way that knows no links, a link became the text of its path.
    for (const name of foldersIn(`${path}/raw`)) links[`${raw}/${name}`] = Deno.realPathSync(`${path}/raw/${name}`);
    const lost = lostLinks(`${path}/raw`).map(({ name }) => name);
    for (const name of lost) links[`${raw}/${name}`] = Deno.realPathSync(`${path}/target/${name}`);
    await linkTo(links);
    const cases = await Promise.all(cinePatients(raw).map((name) => prepareCine(raw, name, { nominalSpacing: false })));
    assert.equal(cases.flatMap((found) => "problems" in found ? [] : found).length, 4);
  }));

entry("10", "X.nii/X.nii is read", async (raw) => {
  const frames = await cine(raw);
  assert.equal(frames.length, 2);
  assert.match(frames[0].fingerprint.sources[0].file, /^patient001\/patient001_frame01.nii\/patient001_frame01.nii$/);
});

entry("11", "folders that programs left are passed over and told", (path) => {
  checkRawFolder(path, /^Info\.cfg$/);
  assert.deepEqual(cinePatients(path), ["patient001"]);
  assert.deepEqual(leftoversIn(path), [".ipynb_checkpoints", "__MACOSX"]);
});

entry("12", "one case under two names is refused by the split", async (path) => {
  const options = { crop: "published", seed: 1, spacing: "header", nominalSpacing: false } as const;
  const cases: Manifest["cases"] = {};
  for (const name of foldersIn(path)) {
    const found = await prepareLeftAtrium(path, name, options);
    assert.ok("fingerprint" in found);
    cases[name] = found.fingerprint;
  }
  const lists = drawnLists({ cases, unit: "case", labeled: 1, validation: 0, test: 1, seed: 1337 });
  const [image, label] = duplicatesBetween(lists, cases);
  assert.match(image.text, /^the same image: C[02] \(\w+\), C[02] \(\w+\)$/);
  assert.match(label.text, /^the same label: C\d \(\w+\), C\d \(\w+\), C\d \(\w+\)$/);
  assert.ok(label.leaks);
});

entry("13", "NIfTI: right or refused, the pair read", async (folder) => {
  assert.ok((await readNifti(`${folder}/q_negpixdim.nii`)).geometry!.spacing.includes(1.5));
  await assert.rejects(
    () => readNifti(`${folder}/voxoffnan.nii`),
    /voxoffnan.nii" as NIfTI: its voxels begin at byte NaN/,
  );
  await assert.rejects(() => readNifti(`${folder}/slope2_internan.nii`), /its values are scaled by 2 and NaN/);
  const { shape, data } = await readNifti(`${folder}/pair.hdr`);
  assert.equal(data.length, shape[0] * shape[1] * shape[2]);
});

entry("14", "NRRD: right or refused with the reason", async (folder) => {
  const { data } = await readNrrd(`${folder}/56_endian_BIG.nrrd`);
  assert.deepEqual([...data.subarray(0, 4)], [704, -1356, 2516, -2958]); // along Z, by ITK
  assert.deepEqual((await readNrrd(`${folder}/25_longheader.nrrd`)).shape, [6, 5, 4]);
  const refused = {
    "55_missing_endian.nrrd": /endian little or big wanted/,
    "33_det_pattern.nhdr": /several files/,
    "34_det_LIST.nhdr": /several files/,
    "08_ascii.nrrd": /its encoding is "ascii"; raw or gzip wanted/,
    "09_bzip2.nrrd": /its encoding is "bzip2"; raw or gzip wanted/,
  };
  for (const [file, why] of Object.entries(refused)) await assert.rejects(() => readNrrd(`${folder}/${file}`), why);
});

entry("16", "what nothing needs in Info.cfg is a warning", (folder) =>
  withFolder(async (raw) => {
    const patient = `${folder}/../01_acdc_unit_sform/patient001`;
    await Deno.mkdir(`${raw}/patient001`);
    for (const { name } of Deno.readDirSync(patient)) {
      await Deno.copyFile(`${patient}/${name}`, `${raw}/patient001/${name}`);
    }
    for (
      const [file, size, note] of [
        ["Info.comma.cfg", [184, 95.5], /^(Height|Weight) in Info.cfg has a decimal comma, read as a point$/],
        ["Info.h0.cfg", [null, null], /^(Height|Weight) in Info.cfg is no number above 0, and left out$/],
      ] as const
    ) {
      await Deno.remove(`${raw}/patient001/Info.cfg`);
      await Deno.copyFile(`${folder}/${file}`, `${raw}/patient001/Info.cfg`);
      const frames = await cine(raw), { height, weight, group } = frames[0].prepared;
      assert.deepEqual([[height, weight], group], [size, "DCM"]);
      assert.equal(
        notesOf(frames).filter((said) => note.test(said)).length,
        2,
      );
    }
  }));

entry("17", "lists with CRLF are those with LF", async (path) => {
  const { la: { lists: la }, acdc: { lists: acdc } } = DATASETS;
  const named: Record<string, URL> = {
    ...{ la_train: la!.train, la_test: la!.test },
    ...{ acdc_train_patients: acdc!.train, acdc_val_patients: acdc!.validation!, acdc_test_patients: acdc!.test },
  };
  for (const { name } of Deno.readDirSync(path)) {
    const ours = await Deno.readTextFile(named[name.replace(".list", "")]);
    const theirs = await Deno.readTextFile(`${path}/${name}`);
    assert.ok(theirs.includes("\r\n"));
    assert.deepEqual(parseList(theirs), parseList(ours));
  }
});

entry("23", "damaged NIfTI is refused", async (folder) => {
  await assert.rejects(() => readNifti(`${folder}/nii-voxoffset-nan.nii`), /its voxels begin at byte NaN/);
  await assert.rejects(
    () => readNifti(`${folder}/nii-code-4-bitpix-8.nii`),
    /\(int16\) has 16 bits, its bitpix says 8/,
  );
});

entry("23", "damaged NRRD is refused, and what only looks so read right", (folder) =>
  withFolder(async (copies) => {
    const sound = await readNrrd(`${folder}/nrrd-a.nrrd`);
    assert.deepEqual(await readNrrd(`${folder}/nrrd-b.nrrd`), sound);
    const refused = {
      "nrrd-f": /no field of the format: "space directionz/,
      "nrrd-g": /has the field "sizes" twice/,
      "nrrd-h": /the plain name of a file beside it wanted/,
      "nrrd-devzero": /the plain name of a file beside it wanted/,
      "nrrd-fifo": /its data stand in "fifo", which is no regular file/,
    };
    await pipeAt(`${copies}/fifo`);
    for (const [name, why] of Object.entries(refused)) {
      await Deno.copyFile(`${folder}/${name}.nrrd`, `${copies}/${name}.nrrd`);
      await assert.rejects(() => readNrrd(`${copies}/${name}.nrrd`), why);
    }
  }));

entry("15", "the filter or type that is not read is named", async (folder) => {
  const published = async (kind: string) => {
    const result = await prepareLeftAtrium(`${folder}/${kind}`, "C1", {
      crop: "none",
      seed: 1,
      spacing: "known",
      nominalSpacing: false,
    });
    return "problems" in result ? result.problems.join() : "read";
  };
  assert.match(await published("lzf"), /its dataset "image" is compressed by the filter "lzf" \(32000\)/);
  assert.match(await published("float16"), /its dataset "image" is float16; whole numbers, float32 or float64 wanted/);
});

entry("23", "damaged HDF5 is refused, by itself or by its manifest", async (folder) => {
  const read = (name: string, expected?: Fingerprint) => readCase(`${folder}/${name}.h5`, name, { expected });
  await assert.rejects(read("attr-spacing-nan"), /its attributes are not as wanted:[^]*spacing/);
  await assert.rejects(read("shape-empty"), /its image has no voxels: its shape is \[0,0,0\]/);
  await assert.rejects(read("type-V4"), /its dataset "image" is of opaque values of 4 bytes/);
  // As they were prepared: with attributes, and other voxels than these.
  const whole = { ...await read("image-all-zero"), image: Float32Array.from({ length: 4 * 48 * 40 }, (_, i) => i) };
  const expected = fingerprintOf(whole, whole, { sources: [{ file: "", sha256: "" }], classes: 4 });
  await assert.rejects(read("attributes-lost", expected), /it has lost its attributes/);
  await assert.rejects(read("image-all-zero", expected), /its image has another hash/);
  await assert.rejects(read("label-all-zero", expected), /its label has another hash/);
  await assert.rejects(read("chunk-unpacks-to-half", expected), /it has lost its attributes/);
  for (const name of ["image-all-zero", "never-written"]) {
    assert.match(imageProblems((await read(name)).image, "x").join(), /all its voxels are 0/);
  }
});
