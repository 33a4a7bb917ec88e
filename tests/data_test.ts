/** Readers, writers and the preparation of LA; on real cases where ../shared/data (or SSNET_DATA) is there. */
import assert from "node:assert/strict";
import { fileURLToPath, pathToFileURL as toFileUrl } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { BoundedWorker } from "../pipeline/files/bounded_worker.ts";
import { BARE_CASE, type Case, readCase, writeCase } from "../pipeline/records/case.ts";
import type { Geometry, Vector3 } from "../pipeline/arrays/geometry.ts";
import { readHdf5, writeArrays } from "../pipeline/files/hdf5.ts";
import { decodeNrrd, readNrrd } from "../pipeline/files/nrrd.ts";
import { cropped } from "../pipeline/arrays/part.ts";
import { planePart, publishedCrop } from "../pipeline/datasets/crop.ts";
import { fingerprintOf } from "../pipeline/datasets/prepared_case.ts";
import { stream } from "../pipeline/arrays/random.ts";
import FILES from "./hdf5_files.json" with { type: "json" };
import { linkTo, pipeAt } from "./symbolic_links.ts";
import { withFolder } from "./with_folder.ts";
import { normalize } from "../pipeline/arrays/intensity.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { type Fingerprint, hashesOf, preparedHashesOf } from "../pipeline/records/manifest.ts";

const DIRECTIONS = "space directions: (0.5,0,0) (0,0.5,0) (0,0,2)\nspace origin: (1,2,3)";
const LPS_PLACE = `space: left-posterior-superior\n${DIRECTIONS}`;
/** Direction of axes that run to the left and to the back, in RAS+. */
const LPS = [-1, 0, 0, 0, -1, 0, 0, 0, 1];

/** A NRRD of 2 × 3 × 2 voxels holding 0 … 11 in the file's order (X fastest). */
function nrrd(
  { type = "short", axes = "dimension: 3\nsizes: 2 3 2", endian = "little", encoding = "raw", place = LPS_PLACE, more }:
    {
      type?: string;
      axes?: string;
      /** Null: not said. */
      endian?: string | null;
      encoding?: string;
      place?: string;
      /** Lines of the header, or bytes behind the data. */
      more?: string | Uint8Array;
    },
): Uint8Array {
  const data = new DataView(new ArrayBuffer(24)), isLittle = endian?.toLowerCase() !== "big";
  for (let i = 0; i < 12; i++) data.setInt16(2 * i, i, isLittle);
  const body = [...new Uint8Array(data.buffer), ...(typeof more === "object" ? more : [])];
  const header = `NRRD0004\n# made for a test\ntype: ${type}\n${axes}\n${place}\n` +
    `${endian === null ? "" : `endian: ${endian}\n`}encoding: ${encoding}\n${typeof more === "string" ? more : ""}\n`;
  return new Uint8Array([
    ...new TextEncoder().encode(header),
    ...(/gz/i.test(encoding) ? gzipSync(Uint8Array.from(body)) : body),
  ]);
}

/** That such a NRRD is refused. */
function refused(bytes: Uint8Array, message: RegExp) {
  assert.throws(() => decodeNrrd(bytes, "case/x.nrrd"), (e) => e instanceof DataError && message.test(e.message));
}

Deno.test("NRRD is read raw and gzip, in both endiannesses, into Z fastest", () => {
  for (const endian of ["little", "big", "Big", "BIG", "Little"]) {
    for (const encoding of ["raw", "gzip", "Raw", "GZ"]) {
      const { shape, data, geometry } = decodeNrrd(nrrd({ endian, encoding }), "t.nrrd");
      assert.deepEqual(shape, [2, 3, 2]);
      assert.deepEqual([...data], [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
      assert.deepEqual(geometry, { spacing: [0.5, 0.5, 2], origin: [-1, -2, 3], direction: LPS });
    }
  }
});

Deno.test("a NRRD of the wrong kind is refused with its name, what was found and what is wanted", () => {
  refused(new Uint8Array(10), /"case\/x.nrrd".*does not begin with/);
  refused(nrrd({ type: "block" }), /the type "block" is not known/);
  refused(nrrd({ encoding: "bzip2" }), /encoding is "bzip2"; raw or gzip wanted/);
  refused(nrrd({}).subarray(0, -2), /24 bytes of data wanted, 22 found/);
  refused(nrrd({ encoding: "gzip" }).subarray(0, -12), /does not unpack/);
  refused(nrrd({ place: `space: scanner-xyz\n${DIRECTIONS}` }), /its space is "scanner-xyz"; LPS, RAS or LAS wanted/);
  refused(nrrd({ place: LPS_PLACE.replace("(0,0,2)", "none") }), /3 space directions and an origin wanted/);
  refused(nrrd({ place: LPS_PLACE.replace("(0,0,2)", "(0,0,0)") }), /a space direction is zero/);
  refused(nrrd({ more: "byte skip: 4\n" }), /it skips a part of its data/);
  refused(nrrd({ more: "data file: x.raw\n" }), /its data stand in "x.raw", which is not beside it/);
});

Deno.test("every space of a NRRD becomes RAS+; without directions only the spacing is known, or nothing", () => {
  const place = (text: string) => decodeNrrd(nrrd({ place: text }), "t.nrrd").geometry;
  const spacing = [0.5, 0.5, 2];
  for (const space of ["right-anterior-superior", "RAS"]) {
    const direction = [1, 0, 0, 0, 1, 0, 0, 0, 1];
    assert.deepEqual(place(`space: ${space}\n${DIRECTIONS}`), { spacing, origin: [1, 2, 3], direction });
  }
  const las = { spacing, origin: [-1, 2, 3], direction: [-1, 0, 0, 0, 1, 0, 0, 0, 1] };
  assert.deepEqual(place(`space: LAS\n${DIRECTIONS}`), las);
  assert.deepEqual(place(`space: LPS\n${DIRECTIONS}`), { spacing, origin: [-1, -2, 3], direction: LPS });
  assert.equal(place("spacings: nan nan nan"), null);
  assert.equal(place("content: nothing"), null);
});

Deno.test("a NRRD with spacings alone lies where ITK puts it, LPS from the origin, and says that it has no place", () => {
  const { geometry, isPlaced } = decodeNrrd(nrrd({ place: "spacings: 1 2 3" }), "t.nrrd");
  assert.deepEqual([geometry, isPlaced], [{ spacing: [1, 2, 3], origin: [0, 0, 0], direction: LPS }, false]);
  assert.ok(decodeNrrd(nrrd({}), "t.nrrd").isPlaced);
});

Deno.test("a NRRD whose voxels have several bytes says in which order; one of bytes need not", () => {
  refused(nrrd({ endian: null }), /endian little or big wanted for voxels of the type "short", found ""/);
  refused(nrrd({ endian: "middle" }), /endian little or big wanted .* found "middle"/);
  const bytes = nrrd({ type: "uchar", axes: "dimension: 3\nsizes: 2 3 4", endian: null });
  assert.deepEqual(decodeNrrd(bytes, "t.nrrd").shape, [2, 3, 4]);
});

Deno.test("a NRRD header that contradicts itself, the format or the length of its data is refused", () => {
  const axes = (text: string) => nrrd({ axes: text }), place = (text: string) => nrrd({ place: text });
  refused(nrrd({ more: Uint8Array.of(1, 2) }), /24 bytes of data wanted, 26 found/);
  refused(axes("dimension: 3\nsizes: 2 2 2"), /16 bytes of data wanted, 24 found/);
  refused(nrrd({ axes: "dimension: 3\nsizes: 2 2 2", encoding: "gzip" }), /16 bytes of data wanted, more are packed/);
  refused(nrrd({ more: "sizes: 3 2 2\n" }), /has the field "sizes" twice/);
  refused(nrrd({ more: "datafile: a\ndata file: b\n" }), /has the field "data file" twice/);
  refused(place(LPS_PLACE.replace("directions", "directionz")), /no field of the format: "space directionz: \(0.5/);
  refused(nrrd({ more: "no field\n" }), /no field of the format: "no field"/);
  refused(axes("sizes: 2 3 2"), /dimension 3 wanted, found "none"/);
  refused(axes("dimension: 4\nsizes: 2 3 2 1"), /dimension 3 wanted, found "4"/);
  for (const sizes of ["2.5 3 2", "2 3", "2 3 -2", "2 3 0", "2 3 0x2", "2 3 2 1", "2 3 1e0"]) {
    refused(axes(`dimension: 3\nsizes: ${sizes}`), /3 sizes wanted, found/);
  }
  refused(
    nrrd({ more: "kinds: domain domain list\n" }),
    /3 axes in space wanted, found the kinds "domain domain list"/,
  );
  refused(nrrd({ more: 'space units: "cm" "cm" "cm"\n' }), /mm wanted as its spaceunits, found "cm" "cm" "cm"/);
  refused(place('spacings: 1 1 1\nunits: "um" "um" "um"'), /mm wanted as its units/);
  refused(place("spacings: 1 1 1\naxis mins: 5 5 5"), /its place is told by axismins/);
  for (const spacings of ["1 1", "-1 1 1", "0 1 1", "1 1 inf", "1 1 mm"]) {
    refused(place(`spacings: ${spacings}`), /3 spacings above 0 wanted/);
  }
  refused(place("space: LPS\nspace origin: (1,2,3)"), /a space origin without space directions/);
  refused(place(LPS_PLACE + "\nspacings: 1 1 1"), /its spacings "1 1 1" are not those of its space directions/);
  const directions = (text: string) => place(`space: LPS\nspace directions: ${text}`);
  refused(directions("(1,0,0) (0,1,0) (1,1,0)"), /lie in one plane/);
  refused(directions("(1,0,0) (0,1,0) (,,1)"), /3 space directions and an origin wanted/);
  refused(directions("(1,0,0) (0,1,0) (0,0,1) 5"), /3 space directions and an origin wanted/);
  refused(directions("(1,0,0) (0,1,0) (0,0,0x1)"), /3 space directions and an origin wanted/);
  refused(place(LPS_PLACE.replace("(1,2,3)", "(1,2)")), /3 space directions and an origin wanted/);
  refused(place(LPS_PLACE.replace("(1,2,3)", "(1,2,nan)")), /3 space directions and an origin wanted/);
  // What programs write beside it is no contradiction.
  for (
    const more of ['space units: "mm" "mm" "mm"', "spacings: nan nan nan", "kinds: domain space ???", "a:b:=c", "X:=1"]
  ) {
    const { place: _, ...found } = decodeNrrd(nrrd({ more: `${more}\n` }), "t.nrrd");
    assert.deepEqual({ ...decodeNrrd(nrrd({}), "t.nrrd"), ...found }, decodeNrrd(nrrd({}), "t.nrrd"));
  }
});

Deno.test("a long NRRD header is read, and one of hostile text refused, in a time that grows with its length", () => {
  const long = "x".repeat(200_000), begun = performance.now();
  assert.deepEqual(decodeNrrd(nrrd({ more: `Segment0_Tags:=${long}\n` }), "t.nrrd"), decodeNrrd(nrrd({}), "t.nrrd"));
  for (const text of ["(", " ", "(1,", "1", ".", '"', "e", ")", "(0,0,0) ", "%", "\t\v"]) {
    const many = text.repeat(100_000 / text.length);
    refused(nrrd({ place: `space: LPS\nspace directions: ${many}` }), /as NRRD/);
    refused(nrrd({ place: `space: LPS\nspace directions: ${many}x` }), /as NRRD/);
    refused(nrrd({ place: `spacings: ${many}x` }), /as NRRD/);
    refused(nrrd({ axes: `dimension: 3\nsizes: ${many}x` }), /as NRRD/);
    refused(nrrd({ more: `data file: ${many}x\n` }), /as NRRD/);
    refused(nrrd({ more: `${many}x\n` }), /as NRRD/);
  }
  assert.ok(performance.now() - begun < 5000, `${performance.now() - begun} ms`);
});

Deno.test("a NRRD's data file is a regular file of the length wanted, by its plain name; lists and patterns are refused", () =>
  withFolder(async (folder) => {
    const header = (file: string, encoding = "raw") =>
      nrrd({ more: `data file: ${file}\n`, encoding }).subarray(0, -24);
    const refuses = (file: string, message: RegExp, encoding?: string) =>
      assert.throws(
        () => decodeNrrd(header(file, encoding), `${folder}/in/x.nhdr`),
        (e) => e instanceof DataError && message.test(e.message),
      );
    await Deno.mkdir(`${folder}/in/folder`, { recursive: true });
    for (const name of ["out.raw", "in/x.raw"]) await Deno.writeFile(`${folder}/${name}`, nrrd({}).subarray(-24));
    await Deno.writeFile(`${folder}/in/long.raw`, new Uint8Array(100_000));
    await linkTo({ [`${folder}/in/zero.raw`]: "/dev/zero" });
    await pipeAt(`${folder}/in/fifo`);
    for (const file of ["fifo", "zero.raw"]) {
      await assert.rejects(
        () => readNrrd(`${folder}/in/${file}`),
        /as NRRD: it is a (folder|pipe or a device), where a file is wanted/,
      );
    }
    for (const file of ["x.raw", "./x.raw"]) {
      const read = decodeNrrd(header(file), `${folder}/in/x.nhdr`);
      assert.deepEqual(read, decodeNrrd(nrrd({}), "whole"));
    }
    const outside = [
      "../out.raw",
      `${folder}/out.raw`,
      "folder/x.raw",
      "../../../../../dev/zero",
      "/dev/zero",
      "..",
      "a\\b",
    ];
    for (const file of outside) refuses(file, /the plain name of a file beside it wanted/);
    for (const file of ["zero.raw", "fifo", "folder", "."]) refuses(file, /which is no regular file|plain name/);
    refuses("gone.raw", /which is not beside it/);
    refuses("long.raw", /at most 24 bytes of data wanted, 100000 found in "long.raw"/);
    refuses("long.raw", /at most 65560 bytes of data wanted/, "gzip");
    refuses("LIST", /several files/);
    refuses("sl%03d.raw 1 4 1", /several files/);
  }));

Deno.test("a NRRD header reads the data that stand in a file beside it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const whole = nrrd({}), end = new TextDecoder("latin1").decode(whole).indexOf("\n\n") + 2;
    await Deno.writeFile(`${folder}/x.raw`, whole.subarray(end));
    await Deno.writeFile(`${folder}/x.nhdr`, nrrd({ more: "data file: x.raw\n" }).subarray(0, -24));
    assert.deepEqual(await readNrrd(`${folder}/x.nhdr`), decodeNrrd(whole, "whole"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a case survives writing and reading; bad files are named", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const image = Float32Array.from({ length: 24 }, (_, i) => i / 3), label = new Uint8Array(24).fill(1, 5, 9);
    await writeArrays(`${folder}/a.h5`, {
      image: { data: image, shape: [2, 3, 4] },
      label: { data: label, shape: [2, 3, 4] },
    });
    const bare = { ...BARE_CASE, name: "a", shape: [2, 3, 4], image, label, preparation: "as published" };
    assert.deepEqual(await readCase(`${folder}/a.h5`, "a"), bare);
    const geometry = { spacing: [0.625, 0.625, 1], origin: [-1, 2.5, 3], direction: LPS } as Geometry;
    const whole: Case = { ...bare, shape: [2, 3, 4], geometry, preparation: "made for a test" };
    await writeCase(`${folder}/g.h5`, whole, { file: "g/lgemri.nrrd", sha256: "0a" });
    assert.deepEqual(await readCase(`${folder}/g.h5`, "a"), whole);
    const { attributes } = await readHdf5(`${folder}/g.h5`);
    assert.deepEqual(attributes, {
      axes: "XYZ",
      ...geometry,
      source: "g/lgemri.nrrd",
      source_sha256: "0a",
      preparation: "made for a test",
    });
    await writeArrays(`${folder}/u.h5`, { image: { data: image, shape: [2, 3, 4] } });
    assert.equal((await readCase(`${folder}/u.h5`, "u")).label, null);
    await writeArrays(`${folder}/s.h5`, {
      image: { data: image, shape: [2, 3, 4] },
      label: { data: label, shape: [4, 3, 2] },
    });
    await assert.rejects(
      readCase(`${folder}/s.h5`, "s"),
      /must have the shape of its image \[2,3,4\], found \[4,3,2\]/,
    );
    const bytes = await Deno.readFile(`${folder}/a.h5`);
    await Deno.writeFile(`${folder}/t.h5`, bytes.subarray(0, bytes.length / 2));
    await Deno.writeTextFile(`${folder}/n.h5`, "no HDF5");
    for (const bad of ["t", "n", "missing"]) {
      await assert.rejects(
        readCase(`${folder}/${bad}.h5`, bad),
        (e: Error) => e instanceof DataError && e.message.includes(`${folder}/${bad}.h5`),
      );
    }
    await assert.rejects(
      writeArrays(`${folder}/none/a.h5`, { image: { data: image, shape: [2, 3, 4] } }),
      Deno.errors.NotFound,
    );
    assert.deepEqual([...Deno.readDirSync(folder)].filter((f) => f.name.endsWith(".part")), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a case's hashes are those of the case read back, and say which part of it is another", () =>
  withFolder(async (folder) => {
    const image = Float32Array.from({ length: 24 }, (_, i) => i / 3), label = new Uint8Array(24).fill(1, 5, 9);
    const geometry = { spacing: [0.625, 0.625, 1], origin: [-1, 2.5, 1 / 3], direction: LPS } as Geometry;
    const known = { group: "Größe", height: 170.5, phase: "ED", patient: "p", frame: 1, nominalSpacing: true } as const;
    const one: Case = {
      ...BARE_CASE,
      ...known,
      name: "a",
      shape: [2, 3, 4],
      image,
      label,
      geometry,
      preparation: "test",
    };
    const hashes = hashesOf(one, { image: image.map((value) => 7 * value), label });
    await writeCase(`${folder}/a.h5`, one, { file: "a", sha256: "0" });
    const { sourceImage, sourceLabel, ...prepared } = hashes;
    assert.deepEqual(preparedHashesOf(await readCase(`${folder}/a.h5`, "b")), prepared);
    assert.ok(sourceImage !== hashes.image && sourceLabel === hashes.label);
    const changed = (change: Partial<Case>) => {
      const other = preparedHashesOf({ ...one, ...change });
      return Object.keys(prepared).filter((key) =>
        other[key as keyof typeof prepared] !== prepared[key as keyof typeof prepared]
      );
    };
    assert.deepEqual(changed({ image: image.with(3, 0) }), ["image"]);
    assert.deepEqual(changed({ label: null }), ["label"]);
    assert.deepEqual(changed({ shape: [2, 4, 3] }), ["geometry"]);
    assert.deepEqual(changed({ geometry: { ...geometry, origin: [-1, 2.5, 0] } }), ["geometry"]);
    assert.deepEqual(changed({ axes: "ZYX" }), ["geometry"]);
    assert.deepEqual(changed({ patient: "q" }), ["subject"]);
    const { spacing, origin, direction } = geometry;
    assert.deepEqual(changed({ name: "c", geometry: { direction, origin, spacing } }), []);
  }));

/** A case's file as `writeCase` makes it, and what its manifest says. */
async function writtenCase(path: string, change: Partial<Case> = {}): Promise<Fingerprint> {
  const image = Float32Array.from({ length: 24 }, (_, i) => i / 3), label = new Uint8Array(24).fill(1, 5, 9);
  const geometry: Geometry = { spacing: [1, 2, 3], origin: [0, 0, 0], direction: LPS };
  const known = { name: "a", shape: [2, 3, 4] as Vector3, image, label, geometry, patient: "p", preparation: "test" };
  const one: Case = { ...BARE_CASE, ...known, ...change }, source = { file: "a", sha256: "0" };
  await writeCase(path, one, source);
  return fingerprintOf(one, one, { sources: [source], classes: 256 });
}
const refusedCase = (path: string, expected: Fingerprint | undefined, why: RegExp) =>
  assert.rejects(readCase(path, "a", { expected }), (error) => {
    assert.ok(error instanceof DataError, String(error));
    assert.match(error.message, why);
    assert.ok(error.message.includes(path));
    return true;
  });

Deno.test("a case that is not as its manifest says is refused, part by part; of a manifest without hashes as far as it tells", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.h5`, expected = await writtenCase(path), { hashes: _, ...older } = expected;
    for (const manifest of [expected, older]) {
      assert.equal((await readCase(path, "a", { expected: manifest })).patient, "p");
    }
    const image = Float32Array.from({ length: 24 }, (_, i) => i / 3), label = new Uint8Array(24).fill(1, 5, 9);
    const parts: [Partial<Case>, RegExp, RegExp | null][] = [
      [{ image: image.with(7, 0) }, /its image has another hash/, null],
      [{ image: image.with(7, NaN) }, /its image has another hash/, /a voxel of its image is NaN/],
      [{ image: image.map(() => 0) }, /its image has another hash/, /all voxels of its image are 0/],
      [
        { label: label.with(2, 255) },
        /its label has another hash/,
        /its voxels by label is \{"1":4,"255":1\}, \{"1":4\} wan/,
      ],
      [{ label: null }, /its label has another hash/, /its voxels by label is null/],
      [{ shape: [2, 4, 3] }, /its geometry has another hash/, /its shape is \[2,4,3\], \[2,3,4\] wanted/],
      [{ geometry: null }, /its geometry has another hash/, /its spacing is null/],
      [{ patient: null }, /its subject has another hash/, null],
    ];
    for (const [change, why, olderWhy] of parts) {
      await writtenCase(path, change);
      await refusedCase(path, expected, why);
      if (olderWhy) await refusedCase(path, older, olderWhy);
    }
    // As a file whose attributes are lost, which the library does not tell from one that has none.
    await writeArrays(path, { image: { data: image, shape: [2, 3, 4] }, label: { data: label, shape: [2, 3, 4] } });
    await refusedCase(path, expected, /it has lost its attributes/);
    await refusedCase(path, older, /it has lost its attributes/);
    assert.equal((await readCase(path, "a")).preparation, "as published");
  }));

Deno.test("attributes that are none, a channel and another name for the image are told", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.h5`, shape = [2, 3, 4], data = Float32Array.from({ length: 24 }, (_, i) => i);
    const withAttributes = async (attributes: Record<string, string | number[]>, why: RegExp) => {
      await writeArrays(path, { image: { data, shape } }, attributes);
      await refusedCase(path, undefined, why);
    };
    const place = { origin: [0, 0, 0], direction: [...LPS] };
    await withAttributes({ ...place, spacing: [1, NaN, 1] }, /its attributes are not as wanted:[^]*spacing\[1\]/);
    await withAttributes({ ...place, spacing: [1, 0, 1] }, /spacing\[1\]/);
    await withAttributes({ axes: "XZY" }, /axes/);
    await withAttributes({ patient: "../p" }, /"..\/p" cannot be a name/);
    await writeArrays(path, { image: { data, shape: [1, ...shape] } });
    await refusedCase(
      path,
      undefined,
      /3 axes, found shape \[1,2,3,4\]; an axis of length 1, the channel, must be left out/,
    );
    await writeArrays(path, { data: { data, shape }, mask: { data: new Uint8Array(24), shape } });
    await refusedCase(path, undefined, /it has no dataset "image", found data, mask/);
    await writeArrays(path, { image: { data: data.slice(0, 1), shape: [1] } });
    await refusedCase(path, undefined, /3 axes, found shape \[1\]$/);
  }));

Deno.test("files of h5py: what cannot be read says its filter, type or room; no file names another one of the disk", () =>
  withFolder(async (folder) => {
    // h5py 3.16, `create_dataset("image", …)` with the option of its name; "never written" is of shape (2 ** 28, 3, 4).
    const files: Record<string, RegExp> = {
      "lzf":
        /its dataset "image" is compressed by the filter "lzf" \(32000\), which is not known here; save it anew with/,
      "float16": /its dataset "image" is float16; whole numbers, float32 or float64 wanted/,
      "text": /its dataset "image" is of text values of 4 bytes; whole numbers/,
      "never written": /announces \[268435456,3,4\], 12884901888 bytes, for which a file of \d+ bytes has no room/,
      "large chunk": /announces \[1048576,300,4\] in chunks of \[1048576,64,4\], \d+ bytes, for which a file of/,
      "virtual": /the data of its dataset "image" stand in other files/,
      "external": /as HDF5: /,
      "channels first": /3 axes, found shape \[1,2,3,4\]; an axis of length 1, the channel, must be left out/,
    };
    assert.deepEqual(Object.keys(FILES).sort(), Object.keys(files).sort());
    for (const [name, why] of Object.entries(files)) {
      const path = `${folder}/${name}.h5`;
      await Deno.writeFile(path, gunzipSync(Uint8Array.fromBase64(FILES[name as keyof typeof FILES])));
      await refusedCase(path, undefined, why);
    }
  }));

Deno.test("a path that is written anew after a read that failed, or did not, is read anew", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.h5`, shape = [2, 3, 4];
    const write = (value: number) =>
      writeArrays(path, { image: { data: new Float32Array(24).fill(value, 3), shape } }, {
        preparation: "as published",
      });
    await write(1);
    const bytes = await Deno.readFile(path);
    const damaged = bytes.with(bytes.indexOf(0x78, 2000), 0); // the head of what was packed
    await Deno.writeFile(path, damaged);
    await assert.rejects(readHdf5(path), DataError);
    for (const value of [2, 3]) {
      await write(value);
      assert.equal((await readCase(path, "a")).image[5], value);
    }
  }));

Deno.test("what is no file is not waited for, and what takes too long is given up", () =>
  withFolder(async (folder) => {
    for (const path of ["/dev/zero", folder]) await refusedCase(path, undefined, /it is no file/);
    const module = `${folder}/busy.mjs`;
    await Deno.writeTextFile(
      module,
      `import { parentPort } from "node:worker_threads";
       const busy = (until) => { while (performance.now() < until); };
       parentPort.on("message", (seconds) => { busy(performance.now() + 1000 * seconds); parentPort.postMessage("done"); });`,
    );
    const worker = new BoundedWorker<number, string>(toFileUrl(module)), limits = { transfer: [], seconds: 4 };
    const answers = await Promise.all([0, 8, 0].map((seconds) => worker.call(seconds, limits)));
    assert.deepEqual(answers, ["done", null, "done"], "the one behind it gets a thread of its own");
    worker.end();
  }));

Deno.test("the published crop keeps the label, at least the patch, and 10 to 19 voxels a side", () => {
  const shape = [60, 50, 2] as const, label = new Uint8Array(6000);
  for (let x = 20; x < 40; x++) for (let y = 22; y < 25; y++) label[(x * 50 + y) * 2] = 1;
  const { x, y } = publishedCrop(label, shape, { patch: [16, 16, 2], random: stream(1, "crop") });
  assert.ok(x[0] >= 1 && x[0] <= 10 && x[1] >= 50 && x[1] <= 59, `${x}`);
  assert.ok(y[1] - y[0] >= 16 && y[0] <= 12 && y[1] >= 35, `${y}`);
  const inside = cropped(label, planePart([...shape], { x, y }));
  assert.equal(inside.reduce((a, b) => a + b, 0), 60);
  assert.throws(() => publishedCrop(new Uint8Array(6000), shape, { patch: [16, 16, 2], random: () => 0 }), /empty/);
  const normal = normalize(Float32Array.of(1, 2, 3, 4));
  assert.ok(
    Math.abs(normal.reduce((a, b) => a + b)) < 1e-6 && Math.abs(normal.reduce((a, b) => a + b * b, 0) - 4) < 1e-5,
  );
});

const DATA = Deno.env.get("SSNET_DATA") ?? fileURLToPath(new URL("../../shared/data", import.meta.url));
const here = await Deno.stat(`${DATA}/la-raw`).then(() => true, () => false);
if (!here) console.log(`skipped: real LA cases, there is no folder "${DATA}/la-raw" (SSNET_DATA names another)`);

Deno.test(
  { name: "raw LA volumes hold the published labels, intensities related by an affine map", ignore: !here },
  async () => {
    for (const { name } of [...Deno.readDirSync(`${DATA}/la-raw`)].slice(0, 2)) {
      const read = async (file: string) => decodeNrrd(await Deno.readFile(`${DATA}/la-raw/${name}/${file}`), file);
      const mri = await read("lgemri.nrrd"), mask = await read("laendo.nrrd");
      const published = await readCase(`${DATA}/la/2018LA_Seg_Training Set/${name}/mri_norm2.h5`, name);
      // The label's first voxel along X and along Y aligns the two crops.
      const corner = (values: ArrayLike<number>, [nx, ny, nz]: readonly number[]) => {
        let x0 = nx, y0 = ny;
        for (let i = 0; i < values.length; i++) {
          if (!values[i]) continue;
          x0 = Math.min(x0, Math.floor(i / (ny * nz)));
          y0 = Math.min(y0, Math.floor(i / nz) % ny);
        }
        return [x0, y0];
      };
      const raw = corner(mask.data, mask.shape), ours = corner(published.label!, published.shape);
      const [nx, ny, nz] = published.shape;
      let n = 0, sumA = 0, sumB = 0, sumAA = 0, sumAB = 0, sumBB = 0, different = 0;
      for (let x = 0; x < nx; x++) {
        for (let y = 0; y < ny; y++) {
          const X = x - ours[0] + raw[0], Y = y - ours[1] + raw[1];
          if (X < 0 || Y < 0 || X >= mri.shape[0] || Y >= mri.shape[1]) continue;
          for (let z = 0; z < nz; z++) {
            const i = (x * ny + y) * nz + z, j = (X * mri.shape[1] + Y) * nz + z;
            different += Number((mask.data[j] === 255) !== (published.label![i] === 1));
            const a = mri.data[j], b = published.image[i];
            [n, sumA, sumB, sumAA, sumAB, sumBB] = [
              n + 1,
              sumA + a,
              sumB + b,
              sumAA + a * a,
              sumAB + a * b,
              sumBB + b * b,
            ];
          }
        }
      }
      assert.equal(different, 0);
      const correlation = (n * sumAB - sumA * sumB) / Math.sqrt((n * sumAA - sumA ** 2) * (n * sumBB - sumB ** 2));
      assert.ok(correlation > 1 - 1e-6, `${name}: correlation ${correlation}`);
    }
  },
);
