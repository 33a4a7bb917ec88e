/** NIfTI and geometry against files of other programs (`nifti_files.json`: nibabel and SimpleITK), and round trips. */
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { BARE_CASE, type Case, readCase, writeCase } from "../pipeline/records/case.ts";
import { cropGeometry, fromAffine, geometryDifferences, toAffine, type Vector3 } from "../pipeline/arrays/geometry.ts";
import { inflate } from "../pipeline/files/inflate.ts";
import {
  decodeNifti,
  encodeNiftiMask,
  type NiftiForms,
  type NiftiVolume,
  readNifti,
  writeNiftiMask,
} from "../pipeline/files/nifti.ts";
import { decodeNrrd } from "../pipeline/files/nrrd.ts";
import { labelPlacement } from "../pipeline/datasets/prepared_case.ts";
import { stream } from "../pipeline/arrays/random.ts";
import { withFolder } from "./with_folder.ts";
import stored from "./nifti_files.json" with { type: "json" };
import { DataError } from "../pipeline/files/errors.ts";

const bytesOf = (name: keyof typeof stored.files) => Uint8Array.fromBase64(stored.files[name]);
const decode = (name: keyof typeof stored.files) => decodeNifti(bytesOf(name), name);
const SHAPE: Vector3 = [2, 3, 4];
/** 12 x + 4 y + z, which is the position in an array with Z fastest. */
const COUNT = Array.from({ length: 24 }, (_, i) => i);

/** Affines of the files, rounded to six digits. */
const OBLIQUE = [
  [-0.504192, -0.716971, -0.355611, 12.5],
  [0.368868, -0.962189, -0.608076, -30.25],
  [0.018762, -0.350208, 2.398705, 7],
];
const LEFT_HANDED = [
  [1.210061, 0.860365, 1.422443, -1],
  [-0.885282, 1.154627, 2.432302, 2],
  [-0.045028, 0.42025, -9.59482, 3],
];
const HALF_TURN = [[-0.625, 0, 0, 5], [0, -0.625, 0, 6], [0, 0, 0.625, 7]];

function assertAffine(found: number[][], wanted: number[][], limit = 2e-6) {
  found.flat().forEach((value, i) =>
    assert.ok(Math.abs(value - wanted.flat()[i]) <= limit, `${found} is not ${wanted}`)
  );
}

Deno.test("NIfTI of nibabel and SimpleITK: voxels Z fastest, affine in RAS+, oblique and left-handed axes kept", () => {
  for (const name of ["int16, oblique, sform", "SimpleITK nii.gz"] as const) {
    const { shape, data, geometry } = decode(name);
    assert.deepEqual(shape, SHAPE);
    assert.deepEqual([...data], COUNT.map((value) => value - 5));
    assertAffine(toAffine(geometry!), OBLIQUE);
    geometry!.spacing.forEach((width, i) => assert.ok(Math.abs(width - [0.625, 1.25, 2.5][i]) < 1e-6));
  }
  const { data, geometry } = decode("int16, big-endian, scaled, left-handed, qform");
  assert.deepEqual([...data], COUNT.map((value) => 0.5 * value - 3));
  assertAffine(toAffine(geometry!), LEFT_HANDED);
});

Deno.test("of two forms the one of pixdim's scale counts, without any the voxel sizes; meters become millimeters", () => {
  assertAffine(toAffine(decode("uint8, two forms").geometry!), HALF_TURN);
  assertAffine(toAffine(decode("uint8, two forms").otherPlaces![0]), OBLIQUE);
  const sizes = [[2, 0, 0, 0], [0, 3, 0, 0], [0, 0, 4, 0]];
  assertAffine(toAffine(decode("no form").geometry!), sizes);
  assertAffine(toAffine(decode("meters").geometry!), sizes);
});

Deno.test("every integer and real type of NIfTI gives the same voxels", () => {
  const names = Object.keys(stored.files).filter((name) => name.startsWith("type ")) as (keyof typeof stored.files)[];
  assert.equal(names.length, 9);
  for (const name of names) assert.deepEqual([...decode(name).data], COUNT.map((value) => value % 7), name);
  assert.deepEqual(decode("one frame of a cine").shape, SHAPE);
});

Deno.test("a NIfTI of the wrong kind is refused with its name, what was found and what is wanted", () => {
  const refused = (bytes: Uint8Array, message: RegExp) =>
    assert.throws(() => decodeNifti(bytes, "p/f.nii.gz"), (e) => e instanceof DataError && message.test(e.message));
  refused(bytesOf("cine"), /"p\/f.nii.gz" as NIfTI: 3 axes wanted, found the sizes \[2,2,2,3\]/);
  refused(bytesOf("complex"), /data type 32 is not read; wanted is one of uint8/);
  refused(bytesOf("pair"), /it is the header of a pair: the voxels of its .img wanted beside it/);
  refused(bytesOf("NIfTI-2"), /NIfTI-2 found/);
  refused(bytesOf("type uint8").subarray(0, -20), /does not unpack: unexpected end of file/);
  const whole = gunzipSync(bytesOf("type uint8"));
  refused(whole.subarray(0, -1), /24 bytes of data wanted, 23 found/);
  refused(whole.subarray(0, 100), /100 bytes found, its header alone has 352/);
  refused(new Uint8Array(400), /no NIfTI-1 header found/);
  const flat = whole.slice();
  flat.fill(0, 280, 328); // the sform
  refused(flat, /its sform gives no place: \[0 0 0 0; 0 0 0 0; 0 0 0 0\]/);
});

Deno.test("a mask that we write has the header and the voxels that nibabel writes", () => {
  const mask = Uint8Array.from(COUNT, (value) => value % 4);
  for (
    const [name, affine] of [["oblique", OBLIQUE], ["left-handed", LEFT_HANDED], ["half turn", HALF_TURN]] as const
  ) {
    const theirs = gunzipSync(bytesOf(`mask, ${name}`)), geometry = decode(`mask, ${name}`).geometry;
    const ours = gunzipSync(encodeNiftiMask(mask, { shape: SHAPE, geometry }));
    assertAffine(toAffine(geometry!), affine);
    assert.equal(ours.length, theirs.length);
    const same = (from: number, to: number) =>
      assert.deepEqual(ours.subarray(from, to), theirs.subarray(from, to), name);
    same(0, 4); // size of the header
    same(40, 56); // sizes
    same(70, 74); // type
    same(108, 112); // where the voxels begin
    same(123, 124); // units
    same(252, 256); // codes of the forms
    same(344, 352); // magic, no extension
    same(352, theirs.length);
    const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);
    for (const [from, to] of [[76, 92], [256, 328]]) { // handedness and spacing; quaternion, offset and sform
      for (let at = from; at < to; at += 4) {
        const [a, b] = [ours, theirs].map((bytes) => view(bytes).getFloat32(at, true));
        assert.ok(Math.abs(a - b) < 1e-5, `${name}: ${a} instead of ${b} at byte ${at}`);
      }
    }
  }
});

Deno.test("any orientation survives writing and reading, by either form", async () => {
  const random = stream(5, "orientations"), folder = await Deno.makeTempDir();
  try {
    for (let i = 0; i < 50; i++) {
      const q = [0, 1, 2, 3].map((k) => i < 4 ? Number(k === i) : random() - 0.5), length = Math.hypot(...q);
      const [w, x, y, z] = q.map((part) => part / length);
      const turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
      ];
      const spacing = [0.5 + random(), 0.5 + random(), (i % 2 ? -1 : 1) * (0.5 + 5 * random())];
      const affine = turn.map((row) => [...row.map((value, j) => value * spacing[j]), 100 * (random() - 0.5)]);
      const geometry = fromAffine(affine), mask = Uint8Array.from(COUNT, () => Math.floor(4 * random()));
      await writeNiftiMask(`${folder}/m.nii.gz`, mask, { shape: SHAPE, geometry });
      const back = await readNifti(`${folder}/m.nii.gz`);
      assert.deepEqual([...back.data], [...mask]);
      assert.deepEqual(geometryDifferences(back.geometry!, geometry), []);
      const bytes = gunzipSync(await Deno.readFile(`${folder}/m.nii.gz`));
      bytes.fill(0, 254, 256); // no sform: the qform must say the same
      assertAffine(toAffine(decodeNifti(gzipSync(bytes), "qform").geometry!), affine, 1e-4);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a mask without a known place gets unit spacing, unknown units and the place that ITK assumes", () => {
  const bytes = gunzipSync(encodeNiftiMask(new Uint8Array(24), { shape: SHAPE, geometry: null }));
  assert.equal(bytes[123], 0);
  assertAffine(toAffine(decodeNifti(bytes, "m").geometry!), [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0]]);
});

Deno.test("a NRRD of SimpleITK (LPS) lies where the NIfTI of the same image lies (RAS+)", () => {
  const nrrd = decodeNrrd(bytesOf("SimpleITK nrrd"), "s.nrrd"), nifti = decode("SimpleITK nii.gz");
  assert.deepEqual(nrrd.data, nifti.data);
  assert.deepEqual(geometryDifferences(nrrd.geometry!, nifti.geometry!), []);
});

Deno.test("geometry: a crop moves the origin along the axes; differences beyond the tolerance are named", () => {
  const geometry = fromAffine(LEFT_HANDED), cropped = cropGeometry(geometry, [1, 2, 3]);
  // Voxel (1, 2, 3) of the whole is voxel (0, 0, 0) of the crop.
  const place = LEFT_HANDED.map(([a, b, c, offset]) => a + 2 * b + 3 * c + offset);
  cropped.origin.forEach((value, i) => assert.ok(Math.abs(value - place[i]) < 1e-12));
  assert.deepEqual(cropped.spacing, geometry.spacing);
  const moved = (by: number) => ({ ...geometry, origin: geometry.origin.map((value) => value + by) as Vector3 });
  assert.deepEqual(geometryDifferences(moved(9e-4), geometry), []);
  assert.match(geometryDifferences(moved(2e-3), geometry).join(), /^origin \[.*\] found, \[-1,2,3\] wanted$/);
  const turned = { ...geometry, direction: geometry.direction.map((value) => value + 2e-4) };
  assert.match(geometryDifferences(turned, geometry).join(), /^direction/);
});

/** Millimeters of the challenge's voxels, as 32-bit numbers. */
const WIDTHS = [1.31579, 1.31579, 10].map(Math.fround);
const UNIT_SFORM = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0];
const HALF_TURN_QFORM = [0, 0, 1, 0, 0, 0];
/** Forms of a header as the challenge's are; what is changed. */
const forms = (change: Partial<NiftiForms> = {}): NiftiForms => ({
  pixdim: [1, ...WIDTHS, 0, 0, 0, 0],
  units: [10], // millimeters, seconds
  codes: [1, 2],
  qform: HALF_TURN_QFORM,
  sform: UNIT_SFORM,
  ...change,
});
/** A file of these forms, not packed, and some numbers of its header changed. */
function file(header: NiftiForms, change: [at: number, type: "Int16" | "Float32", value: number][] = []): Uint8Array {
  const voxels = Uint8Array.from(COUNT, (value) => value % 4);
  const bytes = Uint8Array.from(gunzipSync(encodeNiftiMask(voxels, { shape: SHAPE, geometry: null, header })));
  change.forEach(([at, type, value]) => new DataView(bytes.buffer)[`set${type}`](at, value, true));
  return bytes;
}
const read = (header: NiftiForms): NiftiVolume => decodeNifti(file(header), "f.nii");
const [VOX_OFFSET, SLOPE, INTERCEPT, BITPIX] = [108, 112, 116, 72];

Deno.test("19.2: where the sform's scale is not pixdim's, qform and pixdim count, unless the voxels are 1 x 1 x 1", () => {
  const turned = (spacing: number[]) =>
    fromAffine([[-spacing[0], 0, 0, 0], [0, -spacing[1], 0, 0], [0, 0, spacing[2], 0]]);
  const challenge = read(forms());
  assert.deepEqual([challenge.geometry, challenge.otherPlaces], [turned(WIDTHS), [turned([1, 1, 1]), turned(WIDTHS)]]);
  assert.equal(challenge.note, "the sform's scale is not pixdim's: spacing and place are the qform's");
  const scaled = [-2, 0, 0, 5, 0, -2, 0, 6, 0, 0, 3, 7],
    place = fromAffine([[-2, 0, 0, 5], [0, -2, 0, 6], [0, 0, 3, 7]]);
  const ones = read(forms({ pixdim: [1, 1, 1, 1, 0, 0, 0, 0], sform: scaled }));
  assert.deepEqual([ones.geometry, ones.otherPlaces?.[0]], [place, turned([1, 1, 1])]);
  assert.equal(ones.note, "the sform's scale is not pixdim's: spacing and place are the sform's");
  const alone = read(forms({ codes: [0, 2] }));
  assert.deepEqual([alone.geometry, alone.otherPlaces, alone.note], [turned([1, 1, 1]), [turned(WIDTHS)], ones.note]);
  const both = read(forms({ pixdim: [1, 2.001, 2, 3, 0, 0, 0, 0], sform: scaled })); // rounded, another place
  assert.deepEqual([both.geometry, both.note, both.isPlaced], [place, null, true]);
  assert.equal(
    read(forms({ pixdim: [1, 2.01, 2, 3, 0, 0, 0, 0], sform: scaled })).geometry!.spacing[0],
    Math.fround(2.01),
  );
  const meters = read(forms({ units: [1], pixdim: [1, 0.5, 0.5, 2, 0, 0, 0, 0] }));
  assert.deepEqual(meters.geometry, turned([500, 500, 2000]));
  assert.equal(meters.note, challenge.note);
});

/** Headers of every kind: codes, scales that disagree, signs of pixdim, mirrored forms, units. */
const HEADERS: NiftiForms[] = [0, 1, 2, 3, 4].flatMap((q) =>
  [0, 1, 2, 3, 4].flatMap((s) =>
    [1, 0, -1].flatMap((handedness) =>
      [UNIT_SFORM, OBLIQUE.flat(), LEFT_HANDED.flat()].map((sform) =>
        forms({
          codes: [q, s],
          pixdim: [handedness, -WIDTHS[0], ...WIDTHS.slice(1), 1, 2, NaN, 0],
          qform: [0.1, -0.2, 0.3, 4, 5, 6].map(Math.fround),
          sform: sform.map(Math.fround),
          units: [q],
        })
      )
    )
  )
);

Deno.test("19.4: a mask has the codes, forms, sizes and units of its image, by way of its case", () =>
  withFolder(async (folder) => {
    for (const [i, header] of HEADERS.entries()) {
      const image = file(header), volume = decodeNifti(image, "f.nii", { axes: "ZYX" });
      assert.deepEqual(volume.header, header);
      let place: Parameters<typeof encodeNiftiMask>[1] = { ...volume, axes: "ZYX" };
      if (i % 25 === 0) {
        const one: Omit<Case, "name"> = {
          ...BARE_CASE,
          ...volume,
          axes: "ZYX",
          image: volume.data,
          label: null,
          preparation: "",
        };
        await writeCase(`${folder}/c.h5`, one, { file: "f", sha256: "" });
        place = await readCase(`${folder}/c.h5`, "c");
        assert.deepEqual(place.header, header);
      }
      const mask = gunzipSync(encodeNiftiMask(Uint8Array.from(volume.data), place));
      for (const [from, to] of [[40, 56], [76, 108], [123, 124], [252, 328], [352, 376]]) {
        assert.deepEqual(
          mask.subarray(from, to),
          Buffer.from(image.subarray(from, to)),
          `byte ${from} of ${header.codes}`,
        );
      }
    }
    const big = read(forms()).header, bytes = file(forms()).slice(0, 0);
    assert.deepEqual([big, bytes.length], [forms(), 0]);
    const none = read(forms({ codes: [0, 0] }));
    assert.deepEqual([none.geometry!.spacing, none.isPlaced], [WIDTHS, false]);
    assert.match(none.note!, /^neither qform nor sform: the spacing is pixdim's, the place is not known$/);
  }));

Deno.test("19.5: a label that another program saved again is taken with a note; one that lies elsewhere is refused", () => {
  const SAME = OBLIQUE.flat(), placed = (sform: number[]) => forms({ codes: [0, 1], sform });
  const compare = (label: NiftiForms, image: NiftiForms) => labelPlacement(read(label), read(image), "l.nii");
  const none = { problems: [], notes: [] }, nowhere = forms({ codes: [0, 0] });
  const cover = "where it lies: the label is taken to cover its image's voxels";
  assert.deepEqual(compare(nowhere, nowhere), none);
  assert.deepEqual(compare(placed(SAME), placed(SAME)), none);
  assert.deepEqual(compare(placed(SAME), nowhere), { problems: [], notes: [`the image does not say ${cover}`] });
  assert.deepEqual(compare(nowhere, placed(SAME)), { problems: [], notes: [`the label does not say ${cover}`] });
  assert.deepEqual(compare(forms({ codes: [0, 0], pixdim: [1, 1, 1, 1, 0, 0, 0, 0] }), nowhere), {
    problems: [],
    notes: [`neither image nor label says ${cover}`],
  });
  // The challenge's header: its label by a program that takes the qform, and by one that takes the sform.
  const [w, h, d] = WIDTHS, byQform = [-w, 0, 0, 0, 0, -h, 0, 0, 0, 0, d, 0];
  assert.deepEqual(compare(forms({ codes: [1, 1], sform: byQform }), forms()), none);
  const other = {
    problems: [],
    notes: ["the label lies where its image does only by the form of a header that is not taken"],
  };
  assert.deepEqual(compare(placed(UNIT_SFORM), forms()), other);
  assert.deepEqual(compare(forms(), placed(UNIT_SFORM)), other);
  assert.deepEqual(compare(forms({ codes: [1, 1], sform: byQform }), forms({ codes: [0, 2] })), other);
  const shifted = (by: number) => SAME.map((value, i) => value + (i % 4 === 3 ? by : 0));
  const turned = (by: number) => [1, by, 0, 0, -by, 1, 0, 0, 0, 0, 1, 0], straight = placed(turned(0));
  assert.deepEqual(compare(placed(shifted(9e-4)), placed(SAME)), none);
  assert.match(
    compare(placed(shifted(2e-3)), placed(SAME)).problems.join(),
    /^l.nii: not where its image is: origin \[/,
  );
  assert.deepEqual(compare(placed(turned(1e-5)), straight), none);
  assert.match(
    compare(placed(turned(1.3e-4)), straight).problems.join(),
    /^l.nii: not where its image is: direction \[/,
  );
  for (const axis of [0, 1, 2]) {
    const mirrored = byQform.map((value, i) => i % 4 === axis ? -value : value);
    for (const image of [forms(), placed(byQform)]) {
      assert.match(compare(placed(mirrored), image).problems.join(), /^l.nii: not where its image is: direction/);
    }
  }
  const small = decodeNifti(encodeNiftiMask(new Uint8Array(6), { shape: [1, 2, 3], geometry: null }), "l.nii");
  assert.match(
    labelPlacement(small, read(nowhere), "l.nii").problems.join(),
    /^l.nii: the shape of its image \[2,3,4\] wanted/,
  );
});

Deno.test("19.7: a negative pixdim counts without its sign, a slope of NaN not at all, and a pair is read", () =>
  withFolder(async (folder) => {
    const negative = read(forms({ codes: [1, 0], pixdim: [1, -1.5, 2, -3, 0, 0, 0, 0] }));
    assert.deepEqual(negative.geometry!.spacing, [1.5, 2, 3]);
    assert.deepEqual(negative.geometry!.direction, [-1, 0, 0, 0, -1, 0, 0, 0, 1]);
    const values = COUNT.map((value) => value % 4);
    for (const intercept of [NaN, 5]) {
      const unscaled = file(forms(), [[SLOPE, "Float32", NaN], [INTERCEPT, "Float32", intercept]]);
      assert.deepEqual([...decodeNifti(unscaled, "f.nii").data], values);
    }
    const whole = file(forms()), header = whole.slice(0, 348), voxels = whole.slice(352);
    header.set([0x6e, 0x69, 0x31, 0], 344);
    for (const offset of [0, 16]) {
      new DataView(header.buffer).setFloat32(VOX_OFFSET, offset, true);
      const image = Uint8Array.of(...new Uint8Array(offset), ...voxels);
      await Deno.writeFile(`${folder}/p.hdr`, header);
      await Deno.writeFile(`${folder}/p.img`, image);
      await Deno.writeFile(`${folder}/q.hdr.gz`, gzipSync(header));
      await Deno.writeFile(`${folder}/q.img.gz`, gzipSync(image));
      for (const name of ["p.hdr", "q.hdr.gz"]) {
        const pair = await readNifti(`${folder}/${name}`);
        assert.deepEqual([[...pair.data], pair.geometry], [values, read(forms()).geometry]);
      }
    }
    const likeGzip = Uint8Array.of(0x1f, 0x8b, ...voxels.subarray(2));
    new DataView(header.buffer).setFloat32(VOX_OFFSET, 0, true);
    assert.deepEqual([...decodeNifti(header, "p.hdr", { voxels: likeGzip }).data].filter((v) => v > 4), [0x1f, 0x8b]);
    await Deno.remove(`${folder}/p.img`);
    await assert.rejects(
      () => readNifti(`${folder}/p.hdr`),
      /p.hdr" as NIfTI: its voxels are wanted in ".*p.img", which is not/,
    );
    assert.throws(() => decodeNifti(whole, "f.nii", { voxels }), /it holds its voxels itself/);
  }));

Deno.test("19.13: a header that contradicts itself or its data is refused with what was found and what is wanted", () => {
  const refused = (bytes: Uint8Array, message: RegExp) => {
    for (const packed of [bytes, gzipSync(bytes)]) {
      assert.throws(
        () => decodeNifti(packed, "p/f.nii"),
        (e) =>
          e instanceof DataError && message.test(e.message) && e.message.startsWith('Cannot read "p/f.nii" as NIfTI: '),
      );
    }
  };
  const changed = (...change: Parameters<typeof file>[1] & object) => file(forms(), change);
  refused(changed([VOX_OFFSET, "Float32", NaN]), /its voxels begin at byte NaN; a whole number from 352 wanted/);
  refused(changed([VOX_OFFSET, "Float32", 348]), /begin at byte 348/);
  refused(changed([VOX_OFFSET, "Float32", 352.5]), /begin at byte 352.5/);
  refused(changed([VOX_OFFSET, "Float32", 368]), /24 bytes of data wanted, 8 found/);
  refused(changed([42, "Int16", 1]), /12 bytes of data wanted, 24 found|364 bytes of data wanted, more are packed/);
  refused(changed([BITPIX, "Int16", 16]), /its data type 2 \(uint8\) has 8 bits, its bitpix says 16/);
  refused(changed([70, "Int16", 4]), /its data type 4 \(int16\) has 16 bits, its bitpix says 8/);
  refused(
    changed([SLOPE, "Float32", 2], [INTERCEPT, "Float32", NaN]),
    /its values are scaled by 2 and NaN; finite numbers/,
  );
  refused(changed([SLOPE, "Float32", Infinity]), /scaled by Infinity and 0/);
  refused(changed([80, "Float32", NaN]), /its pixdim is \[1,NaN,/);
  refused(changed([76, "Float32", NaN]), /its pixdim is \[NaN,/);
  refused(
    file(forms({ pixdim: [1, 0, 1, 1, 0, 0, 0, 0], codes: [1, 0] })),
    /its pixdim is \[1,0,1,1\]; widths above 0 wanted/,
  );
  refused(file(forms({ qform: [NaN, 0, 0, 0, 0, 0] })), /its quaternion is \(NaN,0,0\); a unit one wanted/);
  refused(file(forms({ qform: [1, 1, 0, 0, 0, 0] })), /its quaternion is \(1,1,0\)/);
  refused(file(forms({ qform: [1, 0, 0, 0, 0, Infinity] })), /its qform gives no place/);
  refused(file(forms({ sform: [1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0] })), /its sform gives no place: \[1 0 1 0; /);
  refused(file(forms({ sform: UNIT_SFORM.map((value, i) => i === 5 ? NaN : value) })), /its sform gives no place/);
});

Deno.test("19.15: inflate() unpacks what is announced, of all members, and refuses what is more, less or impossible", () => {
  const data = Uint8Array.from(COUNT), packed = gzipSync(data), two = Uint8Array.of(...packed, ...packed);
  assert.deepEqual([...inflate(packed, 24)], COUNT);
  assert.equal(inflate(two, 48).length, 48);
  assert.equal(inflate(packed, 25).length, 24);
  const refused = (bytes: Uint8Array, limit: number, message: RegExp) =>
    assert.throws(() => inflate(bytes, limit), (e) => e instanceof RangeError && message.test(e.message));
  refused(packed, 23, /^23 bytes of data wanted, more are packed in it$/);
  refused(two, 24, /more are packed/);
  refused(packed, 1e9, new RegExp(`^1000000000 bytes of data wanted, ${packed.length} bytes of gzip hold`));
  refused(packed.subarray(0, -1), 24, /^it does not unpack: unexpected end of file$/);
});

Deno.test("19.15: a NIfTI takes no more memory than its header justifies, and what is no file is not waited for", () =>
  withFolder(async (folder) => {
    const bytes = file(forms()), values = COUNT.map((value) => value % 4);
    // Beginnings that end anywhere, also within a checksum, are looked at for the header.
    const noise = Uint8Array.from({ length: 700 }, (_, i) => (i * 7919) ^ (i * i >> 3));
    const long = Uint8Array.of(...bytes.subarray(0, 352), ...noise, ...bytes.subarray(352));
    new DataView(long.buffer).setFloat32(VOX_OFFSET, 1052, true);
    const members = (at: number) => Uint8Array.of(...gzipSync(long.subarray(0, at)), ...gzipSync(long.subarray(at)));
    for (let at = 1; at < long.length; at += 9) {
      assert.deepEqual([...decodeNifti(members(at), "f.nii.gz").data], values);
    }
    const packed = gzipSync(bytes), bomb = Uint8Array.of(...packed, ...gzipSync(new Uint8Array(5e7)));
    assert.throws(() => decodeNifti(bomb, "b.nii.gz"), /376 bytes of data wanted, more are packed/);
    const announced = file(forms(), [[42, "Int16", 32767], [44, "Int16", 32767], [46, "Int16", 32767]]);
    assert.throws(() => decodeNifti(gzipSync(announced), "a.nii.gz"), /bytes of gzip hold \d+ at the most/);
    assert.throws(() => decodeNifti(announced, "a.nii"), /35181150961663 bytes of data wanted, 24 found/);
    for (const [name, content] of Object.entries({ "s.nii": bytes, "s.nii.gz": packed })) {
      await Deno.writeFile(`${folder}/${name}`, content);
      assert.deepEqual([...(await readNifti(`${folder}/${name}`)).data], values);
      await Deno.truncate(`${folder}/${name}`, 2 ** 40); // a sparse file
      await assert.rejects(
        () => readNifti(`${folder}/${name}`),
        /its header wants \d+ bytes at the most, .* has 1099511627776/,
      );
    }
    for (const path of ["/dev/zero", folder]) await assert.rejects(() => readNifti(path), /as NIfTI: it is no file/);
  }));
