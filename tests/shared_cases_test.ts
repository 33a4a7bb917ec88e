/**
 * Every entry of ../shared/cases (or SSNET_CASES) does what its row in the README there asks for: files that went wrong
 * once, by their numbers.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { cinePatients, prepareCine } from "../pipeline/data/cardiac_cine.ts";
import { decodeNifti, encodeNiftiMask, readNifti } from "../pipeline/data/nifti.ts";
import type { PreparedCase } from "../pipeline/data/prepared_case.ts";
import { withFolder } from "./with_folder.ts";

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

entry("10", "X.nii/X.nii is read", async (raw) => {
  const frames = await cine(raw);
  assert.equal(frames.length, 2);
  assert.match(frames[0].fingerprint.sources[0].file, /^patient001\/patient001_frame01.nii\/patient001_frame01.nii$/);
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

entry("23", "damaged NIfTI is refused", async (folder) => {
  await assert.rejects(() => readNifti(`${folder}/nii-voxoffset-nan.nii`), /its voxels begin at byte NaN/);
  await assert.rejects(
    () => readNifti(`${folder}/nii-code-4-bitpix-8.nii`),
    /\(int16\) has 16 bits, its bitpix says 8/,
  );
});
