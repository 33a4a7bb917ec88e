/** Images of all formats, and which files are meant: folders, lists, names of nnU-Net; what is no image is told. */
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { fromAffine, geometryDifferences, toAffine, type Vector3 } from "../pipeline/arrays/geometry.ts";
import { type Image, imageFiles, readImage } from "../pipeline/data/images.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { decodeMha } from "../pipeline/files/mha.ts";
import { encodeNiftiMask } from "../pipeline/files/nifti.ts";
import { encodeNrrdMask } from "../pipeline/files/nrrd.ts";
import { BARE_CASE, writeCase } from "../pipeline/records/case.ts";
import { withFolder } from "./with_folder.ts";
import values from "./predict_values.json" with { type: "json" };

const MHA = { raw: Uint8Array.fromBase64(values.mha.raw), packed: Uint8Array.fromBase64(values.mha.packed) };
/** A letter a byte; the decoder named latin1 has other letters for some. */
const text = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const bytesOf = (latin1: string) => Uint8Array.from(latin1, (letter) => letter.charCodeAt(0));

Deno.test("MetaImage as SimpleITK writes it, raw and packed: voxels Z fastest, the affine of the same image in NIfTI", () => {
  for (const bytes of [MHA.raw, MHA.packed]) {
    const { shape, data, geometry, isPlaced } = decodeMha(bytes, "a.mha");
    assert.deepEqual([shape, isPlaced], [[3, 4, 5], true]);
    const wanted = Float32Array.from({ length: 60 }, (_, i) => {
      const [x, y, z] = [Math.floor(i / 20), Math.floor(i / 5) % 4, i % 5];
      return (x + 3 * y + 12 * z) * 37 % 61 - 20;
    });
    assert.deepEqual(data, wanted);
    toAffine(geometry!).flat().forEach((value, i) => assert.ok(Math.abs(value - values.affine.flat()[i]) < 1e-6));
  }
});

Deno.test("a MetaImage that is not what is wanted is refused with what was found", () => {
  const refused = (change: [RegExp | string, string], why: RegExp, from = MHA.raw) => {
    const changed = text(from).replace(...change);
    assert.notEqual(changed, text(from));
    assert.throws(() => decodeMha(bytesOf(changed), "a.mha"), (error) => {
      assert.ok(error instanceof DataError);
      assert.match(error.message, /^Cannot read "a.mha" as MetaImage: /);
      assert.match(error.message, why);
      return true;
    });
  };
  refused(["NDims = 3", "NDims = 4"], /3 axes wanted, found "4"; save the volume/);
  refused(["NDims = 3", "NDims = 2"], /3 axes wanted, found "2"$/);
  refused(["DimSize = 3 4 5", "DimSize = 3 4"], /3 numbers wanted as its DimSize, found "3 4"/);
  refused(["DimSize = 3 4 5", "DimSize = 3 4 0"], /3 sizes wanted, found \[3,4,0\]/);
  refused(["DimSize = 3 4 5", "DimSize = 3 4 6"], /144 bytes of data wanted, 120 found/);
  refused(["DimSize = 3 4 5", "DimSize = 3 4 6"], /144 bytes of data wanted, 120 found/, MHA.packed);
  refused(["DimSize = 3 4 5", "DimSize = 3 4 4"], /96 bytes of data wanted, more are packed/, MHA.packed);
  refused(["\x78\x5e", "\x00\x00"], /it does not unpack/, MHA.packed);
  refused(["ElementSpacing = 0.5", "ElementSpacing = 0"], /3 spacings above 0 wanted, found \[0,1.25,3\]/);
  refused(["ElementSpacing = 0.5", "ElementSpacing = nan"], /3 numbers wanted as its ElementSpacing/);
  refused([/TransformMatrix = .*/, "TransformMatrix = 1 0 0 1 0 0 0 0 1"], /its directions lie in one plane/);
  refused(["MET_SHORT", "MET_SHORT_ARRAY"], /the type "MET_SHORT_ARRAY" is not read/);
  refused(["DimSize", "ElementNumberOfChannels = 3\nDimSize"], /1 channel wanted, found 3/);
  refused(["LOCAL", "a.raw"], /its voxels stand in "a.raw"/);
  refused(["BinaryData = True", "BinaryData = False"], /no binary data/);
  refused(["ElementDataFile", "DataFile"], /no header with the field ElementDataFile/);
});

const SHAPE: Vector3 = [3, 4, 5];
const GRAY = Uint8Array.from({ length: 60 }, (_, i) => i * 37 % 61);
const PLACE = fromAffine([[-0.5, 0, 0, 10], [0, -1.25, 0, 20], [0, 0, 3, 30]]);

/** One image in every format. */
async function writeAll(folder: string): Promise<string[]> {
  const place = { shape: SHAPE, geometry: PLACE },
    nifti = encodeNiftiMask(GRAY, place),
    nrrd = encodeNrrdMask(GRAY, place);
  const plain = new Uint8Array(gunzipSync(nifti)), pair = plain.slice(0, 352);
  pair.set(bytesOf("ni1"), 344);
  new DataView(pair.buffer).setFloat32(108, 0, true);
  const end = text(nrrd).indexOf("\n\n") + 1, fileOrder = plain.slice(352);
  const mha = `ObjectType = Image\nNDims = 3\nBinaryData = True\nOffset = -10 -20 30\nElementSpacing = 0.5 1.25 3\n` +
    `DimSize = 3 4 5\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n${text(fileOrder)}`;
  const files: Record<string, Uint8Array> = {
    "a.nii.gz": nifti,
    "b.nii": plain,
    "c.hdr": pair,
    "c.img": fileOrder,
    "d.nrrd": nrrd,
    "e.nhdr": bytesOf(`${text(nrrd.subarray(0, end))}data file: e.raw.gz\n`),
    "e.raw.gz": nrrd.slice(end + 1),
    "f.mha": bytesOf(mha),
  };
  for (const [name, bytes] of Object.entries(files)) await Deno.writeFile(`${folder}/${name}`, bytes);
  await writeCase(`${folder}/g.h5`, {
    ...BARE_CASE,
    shape: SHAPE,
    image: Float32Array.from(GRAY),
    label: null,
    geometry: PLACE,
    preparation: "by hand",
  }, { file: "g", sha256: "" });
  return ["a.nii.gz", "b.nii", "c.hdr", "d.nrrd", "e.nhdr", "f.mha", "g.h5"].map((name) => `${folder}/${name}`);
}

Deno.test("an image is the same in every format: voxels, place, spacing", () =>
  withFolder(async (folder) => {
    const paths = await writeAll(folder), { files, problems, notes } = imageFiles([folder]);
    assert.deepEqual([files.map(({ path }) => path), problems, notes], [paths, [], []]);
    assert.deepEqual(files.map(({ name }) => name), ["a", "b", "c", "d", "e", "f", "g"]);
    assert.deepEqual(imageFiles([`${folder}/c.img`]).files, [{ name: "c", path: `${folder}/c.hdr` }]);
    for (const file of files) {
      const image = await readImage(file);
      assert.deepEqual(image.data, Float32Array.from(GRAY), file.path);
      assert.deepEqual([image.shape, image.axes, image.isPlaced, image.notes], [SHAPE, "XYZ", true, []]);
      assert.deepEqual(geometryDifferences(image.geometry!, PLACE), [], file.path);
      image.spacing!.forEach((width, i) => assert.ok(Math.abs(width - PLACE.spacing[i]) < 1e-6));
      assert.equal(image.isPrepared, file.name === "g");
    }
  }));

Deno.test("folders, folders of folders, lists and nnU-Net's names: masks are left out, equal names told apart", () =>
  withFolder(async (folder) => {
    const write = async (...paths: string[]) => {
      for (const path of paths) {
        await Deno.mkdir(`${folder}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
        await Deno.writeFile(`${folder}/${path}`, new Uint8Array());
      }
    };
    const named = (...inputs: string[]) => {
      const { files, problems, notes } = imageFiles(inputs.map((input) => `${folder}/${input}`));
      const short = (lines: string[]) => lines.map((line) => line.replaceAll(folder, "."));
      return { names: files.map(({ name }) => name), problems: short(problems), notes: short(notes) };
    };
    await write("la/P1/lgemri.nrrd", "la/P1/laendo.nrrd", "la/P2/lgemri.nrrd");
    const la = named("la");
    assert.deepEqual(la.names, ["P1_lgemri", "P2_lgemri"]);
    assert.deepEqual(la.notes, ['left out of "./la", by their names no images: laendo.nrrd']);
    await write(
      "acdc/p_4d.nii.gz",
      "acdc/p_frame01.nii.gz",
      "acdc/p_frame01_gt.nii.gz",
      "acdc/Info.cfg",
      "acdc/._x.nii",
    );
    assert.deepEqual(named("acdc").names, ["p_frame01"]);
    assert.deepEqual(named("acdc/p_frame01_gt.nii.gz").names, ["p_frame01_gt"], "what is named is taken");
    await write("nnunet/A_0000.nii.gz", "nnunet/B_0000.nii.gz", "nnunet/B_0001.nii.gz");
    await write("nnunet/C_0000.nii.gz", "nnunet/C_0002.nii.gz", "nnunet/D_0001.nii.gz");
    assert.deepEqual(named("nnunet"), {
      names: ["A", "B"],
      problems: [
        'Cannot segment "./nnunet/C": its channels from _0000 on wanted, each a file, found _0000, _0002',
        'Cannot segment "./nnunet/D": its channels from _0000 on wanted, each a file, found _0001',
      ],
      notes: [],
    });
    const [, { path, otherChannels }] = imageFiles([`${folder}/nnunet`]).files;
    assert.deepEqual([path, otherChannels], [`${folder}/nnunet/B_0000.nii.gz`, [`${folder}/nnunet/B_0001.nii.gz`]]);
    await Deno.writeTextFile(`${folder}/some.txt`, "la/P1/lgemri.nrrd\r\n\nnnunet/A_0000.nii.gz\ngone.nii\n");
    const list = named("some.txt");
    assert.deepEqual(list.names, ["lgemri", "A"]);
    assert.deepEqual(list.problems, ['Cannot find "./gone.nii", which "./some.txt" names']);
    await Deno.mkdir(`${folder}/empty/deeper`, { recursive: true });
    await Deno.writeTextFile(`${folder}/empty.list`, "\n");
    const { names, problems } = named("empty", "gone", "empty.list");
    assert.deepEqual(names, []);
    assert.match(problems[0], /^Cannot find images in "\.\/empty": none in it or in the folders in it; one of \.nii, /);
    assert.equal(problems[1], 'Cannot find "./gone": there is no such file or folder');
    assert.equal(problems[2], 'Cannot find images in "./empty.list": the list is empty');
    await write("x/P/a.nii", "y/P/a.nii");
    assert.match(named("x/P/a.nii", "y/P/a.nii").problems[0], /apart: all would be named "P_a"; one of them wanted$/);
    assert.deepEqual(named("x/P/a.nii", "x/P").names, ["a"], "the same file twice is one");
    // DICOM: by its mark or its names; the command names the folder, as a shell takes it.
    const dicom = new Uint8Array(140);
    dicom.set(bytesOf("DICM"), 128);
    await Deno.mkdir(`${folder}/a series`);
    await Deno.writeFile(`${folder}/a series/IM0001`, dicom);
    const [problem] = named("a series").problems;
    assert.match(
      problem,
      /^Cannot read ".\/a series": it holds DICOM files, as "IM0001"; .*\n {4}dcm2niix -z y -o '.\/a series-nifti' '.\/a series'$/,
    );
    await write("study/series/1.dcm");
    assert.match(named("study").problems[0], /^Cannot read "\.\/study\/series": it holds DICOM files, as "1\.dcm"/);
    await assert.rejects(readImage({ name: "1", path: `${folder}/study/series/1.dcm` }), /dcm2niix -z y/);
  }));

Deno.test("an image that cannot be segmented is refused: file, found, wanted", () =>
  withFolder(async (folder) => {
    const refused = async (name: string, bytes: Uint8Array, why: RegExp) => {
      await Deno.writeFile(`${folder}/${name}`, bytes);
      await assert.rejects(readImage({ name: "a", path: `${folder}/${name}` }), (error) => {
        assert.ok(error instanceof DataError, String(error));
        assert.ok(error.message.includes(`${folder}/${name}`), error.message);
        assert.match(error.message, why);
        return true;
      });
    };
    const nifti = (values: Uint8Array | Float32Array, change: (header: DataView) => void = () => {}) => {
      const bytes = new Uint8Array(gunzipSync(encodeNiftiMask(values, { shape: SHAPE, geometry: PLACE })));
      change(new DataView(bytes.buffer));
      return new Uint8Array(gzipSync(bytes));
    };
    await refused("a.nii.gz", nifti(new Uint8Array(60).fill(7)), /all its voxels are 7$/);
    await refused("a.nii.gz", nifti(Float32Array.from(GRAY).fill(NaN, 3, 5)), /2 of 60 voxels are no finite number$/);
    await refused(
      "a.nii.gz",
      nifti(GRAY, (header) => {
        header.setInt16(252, 0, true); // the sform alone
        header.setFloat32(280 + 4, 0.5, true);
      }),
      /not at right angles: .* directions of a rotation wanted$/,
    );
    await refused("a.nii.gz", nifti(GRAY, (header) => header.setFloat32(280, NaN, true)), /its sform gives no place/);
    await refused(
      "a.nii.gz",
      nifti(GRAY, (header) => {
        for (const at of [252, 254]) header.setInt16(at, 0, true); // no forms
        header.setFloat32(80, 0, true); // a width of 0
      }),
      /widths above 0 wanted/,
    );
    await refused(
      "a.nii.gz",
      nifti(GRAY, (header) => {
        header.setInt16(40, 4, true);
        header.setInt16(46, 1, true);
        header.setInt16(48, 5, true);
      }),
      /3 axes wanted, found the sizes \[3,4,1,5\]; save the volume that is meant as a file of its own$/,
    );
    await refused("a.nii.gz", nifti(GRAY, (header) => header.setInt16(70, 128, true)), /the data type 128 is not read/);
    await refused("a.nrrd", bytesOf("NRRD0004\ndimension: 4\n\n"), /dimension 3 wanted, found "4"; save the volume/);
    await refused("a.mhd", bytesOf("NDims = 3"), /its format is not known by its name; one of .nii, .nii.gz, /);
    await refused("a.h5", bytesOf("none"), /as HDF5/);
    await Deno.mkdir(`${folder}/b.nii`);
    await assert.rejects(readImage({ name: "b", path: `${folder}/b.nii` }), /it is no file/);
    await assert.rejects(readImage({ name: "c", path: `${folder}/c.nii` }), /Cannot read ".*c.nii": /);
  }));

Deno.test("a header without a place is told, and one that contradicts itself", () =>
  withFolder(async (folder) => {
    const read = async (name: string, bytes: Uint8Array): Promise<Image> => {
      await Deno.writeFile(`${folder}/${name}`, bytes);
      return await readImage({ name: "a", path: `${folder}/${name}` });
    };
    const bytes = new Uint8Array(gunzipSync(encodeNiftiMask(GRAY, { shape: SHAPE, geometry: PLACE })));
    const header = new DataView(bytes.buffer);
    for (const at of [252, 254]) header.setInt16(at, 0, true);
    const { isPlaced, spacing, notes } = await read("a.nii", bytes);
    assert.deepEqual([isPlaced, spacing], [false, PLACE.spacing]);
    assert.match(notes[0], /says no place: its axes are taken as those of the training$/);
    const nrrd = await read(
      "a.nrrd",
      encodeNrrdMask(GRAY, { shape: SHAPE, geometry: null, place: { spacings: "1 2 3" } }),
    );
    assert.deepEqual([nrrd.isPlaced, nrrd.spacing, nrrd.notes.length], [false, [1, 2, 3], 1]);
    assert.deepEqual(nrrd.nrrdPlace, { spacings: "1 2 3" });
  }));
