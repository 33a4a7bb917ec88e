/** NIfTI and geometry against files of other programs (`nifti_files.json`: nibabel and SimpleITK), and round trips. */
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { DataError } from "../pipeline/data/cases.ts";
import { cropGeometry, fromAffine, geometryDifferences, toAffine, type Vector3 } from "../pipeline/data/geometry.ts";
import { decodeNifti, encodeNiftiMask, readNifti, writeNiftiMask } from "../pipeline/data/nifti.ts";
import { decodeNrrd } from "../pipeline/data/nrrd.ts";
import { stream } from "../pipeline/runs/random.ts";
import stored from "./nifti_files.json" with { type: "json" };

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

Deno.test("of two forms the sform counts, without any the voxel sizes; meters become millimeters", () => {
  assertAffine(toAffine(decode("uint8, two forms").geometry!), OBLIQUE);
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
  refused(bytesOf("pair"), /a pair of .hdr and .img found; NIfTI-1 in one file wanted/);
  refused(bytesOf("NIfTI-2"), /NIfTI-2 found/);
  refused(bytesOf("type uint8").subarray(0, -20), /does not unpack: unexpected end of file/);
  const whole = gunzipSync(bytesOf("type uint8"));
  refused(whole.subarray(0, -1), /24 bytes of data wanted, 23 found/);
  refused(whole.subarray(0, 100), /100 bytes found, its header alone has 352/);
  refused(new Uint8Array(400), /no NIfTI-1 header found/);
  const flat = whole.slice();
  flat.fill(0, 280, 328); // the sform
  refused(flat, /its affine gives the spacing \[0,0,0\]/);
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

Deno.test("a mask without a known place gets unit spacing and unknown units", () => {
  const bytes = gunzipSync(encodeNiftiMask(new Uint8Array(24), { shape: SHAPE, geometry: null }));
  assert.equal(bytes[123], 0);
  assertAffine(toAffine(decodeNifti(bytes, "m").geometry!), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]);
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

Deno.test("inflate() unpacks what is announced, of all members, and refuses what is more, less or impossible", () => {
  const packed = gzipSync(COUNT_BYTES), two = Uint8Array.of(...packed, ...packed);
  assert.deepEqual(inflate(packed, 24), Buffer.from(COUNT_BYTES));
  assert.equal(inflate(two, 48).length, 48);
  assert.equal(inflate(packed, 25).length, 24);
  const refused = (bytes: Uint8Array, limit: number, message: RegExp) =>
    assert.throws(() => inflate(bytes, limit), (e) => e instanceof RangeError && message.test(e.message));
  refused(packed, 23, /^23 bytes of data wanted, more are packed in it$/);
  refused(two, 24, /more are packed/);
  refused(packed, 1e9, new RegExp(`^1000000000 bytes of data wanted, ${packed.length} bytes of gzip hold`));
  refused(packed.subarray(0, -1), 24, /^it does not unpack: unexpected end of file$/);
});
