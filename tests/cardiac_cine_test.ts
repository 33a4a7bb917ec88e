/** ACDC from raw files to cases, slices and splits: files made here or by nibabel, and real patients where they are there. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { cinePatients, prepareCine } from "../pipeline/datasets/acdc/cardiac_cine.ts";
import { readCase, writeCase } from "../pipeline/records/case.ts";
import { type Geometry, reverseAxes, toAffine } from "../pipeline/arrays/geometry.ts";
import { readArrays, readHdf5, writeArrays } from "../pipeline/files/hdf5.ts";
import { decodeNifti, encodeNiftiMask, type MaskPlace, writeNiftiMask } from "../pipeline/files/nifti.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";
import stored from "./nifti_files.json" with { type: "json" };
import { readManifest } from "../pipeline/records/manifest.ts";

const bytesOf = (name: keyof typeof stored.files) => Uint8Array.fromBase64(stored.files[name]);
const filesOf = (folder: string) => [...Deno.readDirSync(folder)].map((f) => f.name).sort();

/** Runs a task that may write to the folder. */
const task = (folder: string, name: string, args: string[]) =>
  runTaskFile(name, ["acdc", ...args], {
    rights: ["--allow-env", "--allow-sys=hostname", `--allow-write=${folder}`],
  });

const GEOMETRY: Geometry = { spacing: [10, 1.5, 1.25], origin: [3, 4, 5], direction: [0, 0, 1, 0, 1, 0, 1, 0, 0] };
const SHAPE = [2, 4, 3] as const, PLACE = { shape: SHAPE, geometry: GEOMETRY, axes: "ZYX" } as const;
const IMAGE = Uint8Array.from({ length: 24 }, (_, i) => 40 + 5 * i), LABEL = IMAGE.map((_, i) => i % 4);
const nifti = (voxels = IMAGE, place: MaskPlace = PLACE) => encodeNiftiMask(voxels, place);
const INFO = "ED: 1\nES: 7\n";
const CHALLENGE_INFO = "ED: 1\r\nES: 7\r\nGroup: DCM\r\nHeight: 172.5\r\nNbFrame: 30\r\nWeight: 81.0\r\n";

/** Writes a patient: the frames 1 and 7 with masks, and what is changed; null leaves a file out. */
async function patient(raw: string, name: string, change: Record<string, Uint8Array | string | null> = {}) {
  const files: typeof change = {
    "Info.cfg": INFO,
    "frame01.nii.gz": nifti(),
    "frame01_gt.nii.gz": nifti(LABEL),
    "frame07.nii.gz": nifti(),
    "frame07_gt.nii.gz": nifti(LABEL),
    ...change,
  };
  await Deno.mkdir(`${raw}/${name}`, { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    const path = `${raw}/${name}/${file === "Info.cfg" ? file : `${name}_${file}`}`;
    if (typeof content === "string") await Deno.writeTextFile(path, content);
    else if (content) await Deno.writeFile(path, content);
  }
}

async function good(raw: string, name: string, nominalSpacing = false) {
  const result = await prepareCine(raw, name, { nominalSpacing });
  assert.ok(!("problems" in result), "problems" in result ? result.problems.join("\n") : "");
  return result;
}
async function problems(raw: string, name: string): Promise<string[]> {
  const result = await prepareCine(raw, name, { nominalSpacing: false });
  assert.ok("problems" in result, "nothing was found");
  return result.problems;
}

Deno.test("frames become volumes Z, Y, X between 0 and 1, with what Info.cfg says of the patient", () =>
  withFolder(async (raw) => {
    await patient(raw, "p1", { "Info.cfg": CHALLENGE_INFO, "frame07_gt.nii.gz": null, "4d.nii.gz": "of no concern" });
    await patient(raw, "p2", { "frame01.nii.gz": null, "frame01.nii": gunzipSync(nifti()) });
    assert.deepEqual(cinePatients(raw), ["p1", "p2"]);
    const [ED, ES] = await good(raw, "p1");
    assert.deepEqual(ED.prepared, {
      ...{ name: "p1_frame01", patient: "p1", frame: 1, phase: "ED", group: "DCM", height: 172.5, weight: 81 },
      ...{ shape: [...SHAPE], axes: "ZYX", geometry: GEOMETRY, correctedSpacing: null, nominalSpacing: false },
      image: Float32Array.from({ length: 24 }, (_, i) => i / 23),
      label: LABEL,
      header: decodeNifti(nifti(), "f").header,
      source: null,
      preparation: "min-max to [0, 1] per volume",
    });
    assert.deepEqual(ED.fingerprint.labelVoxels, { 1: 6, 2: 6, 3: 6 });
    assert.deepEqual([ED.fingerprint.intensity.minimum, ED.fingerprint.intensity.maximum], [40, 155]);
    assert.deepEqual(ED.fingerprint.sources.map(({ file }) => file), [
      "p1/p1_frame01.nii.gz",
      "p1/p1_frame01_gt.nii.gz",
    ]);
    assert.deepEqual([ES.prepared.name, ES.prepared.phase, ES.prepared.label], ["p1_frame07", "ES", null]);
    const [plain] = await good(raw, "p2", true);
    assert.deepEqual(plain.prepared, {
      ...ED.prepared,
      ...{ name: "p2_frame01", patient: "p2", group: null, height: null, weight: null, nominalSpacing: true },
    });
    await writeCase(`${raw}/c.h5`, plain.prepared, plain.fingerprint.sources[0]);
    assert.deepEqual(await readCase(`${raw}/c.h5`, "p2_frame01"), plain.prepared);
    await writeCase(`${raw}/c.h5`, ED.prepared, ED.fingerprint.sources[0]);
    assert.deepEqual(await readCase(`${raw}/c.h5`, "p1_frame01"), ED.prepared);
  }));

Deno.test("oblique, scaled and left-handed files of nibabel: voxels, affine and mask come back where they were", () =>
  withFolder(async (raw) => {
    await patient(raw, "p", {
      "frame01.nii.gz": bytesOf("int16, oblique, sform"),
      "frame01_gt.nii.gz": bytesOf("mask, oblique"),
      "frame07.nii.gz": bytesOf("int16, big-endian, scaled, left-handed, qform"),
      "frame07_gt.nii.gz": bytesOf("mask, left-handed"),
    });
    const frames = await good(raw, "p");
    for (const [i, name] of (["mask, oblique", "mask, left-handed"] as const).entries()) {
      const { prepared, fingerprint } = frames[i], { shape: [nz, ny, nx], image } = prepared;
      assert.deepEqual([nx, ny, nz], [2, 3, 4]);
      for (let z = 0; z < nz; z++) {
        for (let y = 0; y < ny; y++) {
          // The files count 12 x + 4 y + z, in steps of 1 or of 0.5 from another zero.
          for (let x = 0; x < nx; x++) {
            assert.equal(image[(z * ny + y) * nx + x], Math.fround((12 * x + 4 * y + z) / 23));
          }
        }
      }
      await writeCase(`${raw}/c.h5`, prepared, fingerprint.sources[0]);
      const back = await readCase(`${raw}/c.h5`, prepared.name);
      await writeNiftiMask(`${raw}/m.nii.gz`, back.label!, back);
      const [ours, theirs] = [gunzipSync(await Deno.readFile(`${raw}/m.nii.gz`)), gunzipSync(bytesOf(name))];
      assert.deepEqual(ours.subarray(352), theirs.subarray(352), "voxels in the order of the file");
      assert.deepEqual(ours.subarray(40, 56), theirs.subarray(40, 56), "sizes, X first");
      const affines = [ours, theirs].map((bytes) => toAffine(decodeNifti(bytes, name).geometry!).flat());
      affines[0].forEach((value, k) => assert.ok(Math.abs(value - affines[1][k]) < 2e-6, `${name}: ${affines}`));
      // The place along the case's own axes is the same place.
      const [along, own] = [toAffine(reverseAxes(back.geometry!)).flat(), affines[1]];
      along.forEach((value, k) => assert.ok(Math.abs(value - own[k]) < 2e-6, `${name}: ${along}`));
    }
  }));

Deno.test("all that is wrong with a patient is named, also where its Info.cfg is", () =>
  withFolder(async (raw) => {
    const cases: [change: Parameters<typeof patient>[2], ...wanted: RegExp[]][] = [
      [
        { "Info.cfg": null, "frame07.nii": nifti() },
        /^p0\/Info.cfg: it is not there/,
        /frame07: one file wanted, found/,
      ],
      [{ "Info.cfg": "ED: first\n" }, /ED wanted as the number of a frame, found first$/, /ES wanted .* found none$/],
      [{ "Info.cfg": "ED: 7\nES: 7\n" }, /two frames wanted, ED and ES are both 7$/],
      [{ "Info.cfg": "ED:\nES: 7,0\n" }, /ED wanted .* found none$/, /ES wanted as the number of a frame, found 7,0$/],
      [{ "Info.cfg": "ED: 1\nES: 12\n" }, /^p4\/p4_frame12.nii.gz or .nii: ES in Info.cfg wants it/],
      [
        { "frame01_gt.nii": nifti(LABEL) },
        /^p5\/p5_frame01_gt: one file wanted, found p5_frame01_gt.nii.gz and p5_fra/,
      ],
      [
        { "frame01.nii.gz": bytesOf("cine"), "frame07_gt.nii.gz": nifti().subarray(0, -20) },
        /p6_frame01.nii.gz" as NIfTI: 3 axes wanted, found the sizes \[2,2,2,3\]; save the volume that is meant as/,
        /p6_frame07_gt.nii.gz" as NIfTI: it does not unpack: unexpected end of file$/,
      ],
      [
        { "frame01_gt.nii.gz": nifti(LABEL.map((value) => 2 * value)), "frame07.nii.gz": nifti(IMAGE.map(() => 9)) },
        /^p7\/p7_frame01_gt.nii.gz: a label of 0 to 3 wanted, found 0, 2, 4, 6$/,
        /^p7\/p7_frame07.nii.gz: all its voxels are 9$/,
      ],
      [
        {
          "frame01_gt.nii.gz": nifti(LABEL, { ...PLACE, shape: [2, 3, 4] }),
          "frame07_gt.nii.gz": nifti(LABEL.map(() => 0)),
        },
        /_frame01_gt.nii.gz: the shape of its image \[2,4,3\] wanted, found \[2,3,4\]$/,
        /_frame07_gt.nii.gz: its label is empty; leave it out if there is none$/,
      ],
    ];
    for (const [i, [change, ...wanted]] of cases.entries()) {
      await patient(raw, `p${i}`, change);
      const found = await problems(raw, `p${i}`);
      assert.equal(found.length, wanted.length, found.join("\n"));
      wanted.forEach((message, k) => assert.match(found[k], message));
    }
  }));

Deno.test("20.5: what nothing needs in Info.cfg is left out with a note; its spelling and encoding may be any", () =>
  withFolder(async (raw) => {
    const read = async (info: string | Uint8Array, name = "Info.cfg") => {
      await patient(raw, "p", { "Info.cfg": null });
      for (const file of filesOf(`${raw}/p`).filter((file) => file.endsWith(".cfg"))) {
        await Deno.remove(`${raw}/p/${file}`);
      }
      await Deno.writeFile(`${raw}/p/${name}`, typeof info === "string" ? new TextEncoder().encode(info) : info);
      const [{ prepared: { group, height, weight, phase }, notes }] = await good(raw, "p");
      assert.equal(phase, "ED");
      return { group, height, weight, notes };
    };
    const left = ["Height", "Weight"].map((key) => `${key} in Info.cfg is no number above 0, and left out`);
    const comma = ["Height", "Weight"].map((key) => `${key} in Info.cfg has a decimal comma, read as a point`);
    const none = { group: null, height: null, weight: null }, all = { group: "DCM", height: 184, weight: 95.5 };
    assert.deepEqual(await read(INFO), { ...none, notes: [] });
    assert.deepEqual(await read(`${INFO}Height: 184,0\nWeight: 95,5\nGroup: DCM`), { ...all, notes: comma });
    for (const wrong of ["0.0", "nan", "-3", "tall", "inf", "1,2,3"]) {
      assert.deepEqual(await read(`${INFO}Height: ${wrong}\nWeight: ${wrong}\n`), { ...none, notes: left }, wrong);
    }
    const info = "ed : 1\r\n ES=7\r\nHEIGHT:184\r\nweight: 95.5 \r\nGroup:\tDCM\r\nName: Müller\r\n";
    const latin1 = Uint8Array.from(info, (letter) => letter.charCodeAt(0));
    for (const text of [info, `\ufeff${info}`, latin1]) assert.deepEqual(await read(text), { ...all, notes: [] });
    assert.deepEqual(await read(info, "info.CFG"), { ...all, notes: [] });
  }));

Deno.test("20.4: a folder in the place of a file is looked into, a pair is read, and what is no volume is named", () =>
  withFolder(async (raw) => {
    await patient(raw, "p", { "frame01.nii.gz": null, "frame01_gt.nii.gz": null, "frame07.nii.gz": null });
    const voxels = gunzipSync(nifti()), header = Uint8Array.from(voxels.subarray(0, 352));
    header.set([0x6e, 0x69, 0x31], 344);
    await Deno.mkdir(`${raw}/p/p_frame01.nii`);
    await Deno.writeFile(`${raw}/p/p_frame01.nii/p_frame01.nii`, voxels);
    await Deno.mkdir(`${raw}/p/p_frame01_gt.nii.gz`);
    await Deno.writeFile(`${raw}/p/p_frame01_gt.nii.gz/any.nii.gz`, nifti(LABEL));
    await Deno.writeTextFile(`${raw}/p/p_frame01_gt.nii.gz/._any.nii.gz`, "a program's own");
    await Deno.writeFile(`${raw}/p/p_frame07.hdr`, header);
    await Deno.writeFile(`${raw}/p/p_frame07.img`, voxels); // the header says that the voxels begin at byte 352
    const [ED, ES] = await good(raw, "p");
    assert.deepEqual(ED.fingerprint.sources.map(({ file }) => file), [
      "p/p_frame01.nii/p_frame01.nii",
      "p/p_frame01_gt.nii.gz/any.nii.gz",
    ]);
    assert.deepEqual(ES.fingerprint.sources.map(({ file }) => file), [
      "p/p_frame07.hdr",
      "p/p_frame07.img",
      "p/p_frame07_gt.nii.gz",
    ]);
    assert.deepEqual([ED.prepared.image, ED.prepared.label], [ES.prepared.image, ES.prepared.label]);
    await Deno.remove(`${raw}/p/p_frame01.nii/p_frame01.nii`);
    await Deno.remove(`${raw}/p/p_frame07.img`);
    await Deno.remove(`${raw}/p/Info.cfg`);
    await Deno.mkdir(`${raw}/p/Info.cfg`);
    const found = await problems(raw, "p");
    assert.equal(found.length, 3, found.join("\n"));
    assert.match(found[0], /^p\/Info.cfg: it is not there/);
    assert.ok(found.some((problem) => /p_frame01.nii" as NIfTI: it is no file$/.test(problem)), found.join("\n"));
    assert.ok(
      found.some((problem) => /p_frame07.hdr" as NIfTI: its voxels are wanted in/.test(problem)),
      found.join("\n"),
    );
  }));

Deno.test("19.2, 19.4, 19.5: a header that contradicts itself or says no place is told with its case, and given to its mask", () =>
  withFolder(async (raw) => {
    const widths = [1.25, 1.5, 10], unit = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0], turn = [0, 0, 1, 0, 0, 0];
    const header = { pixdim: [1, ...widths, 0, 0, 0, 0], units: [10], codes: [1, 2], qform: turn, sform: unit };
    const saved = (voxels: typeof IMAGE, change: Partial<typeof header> = {}) =>
      nifti(voxels, { ...PLACE, header: { ...header, ...change } });
    const nowhere = { codes: [0, 0] };
    await patient(raw, "p", {
      "frame01.nii.gz": saved(IMAGE),
      "frame01_gt.nii.gz": saved(LABEL, { codes: [0, 2] }), // by a program that takes the sform alone
      "frame07.nii.gz": saved(IMAGE, nowhere),
    });
    const [ED, ES] = await good(raw, "p");
    const preparation = "min-max to [0, 1] per volume; ";
    for (
      const [{ prepared, fingerprint, notes }, note, other] of [
        [
          ED,
          /^the sform's scale is not pixdim's: spacing and place are the qform's$/,
          /^the label lies where its image does only/,
        ],
        [ES, /^neither qform nor sform: the spacing is pixdim's/, /^the image does not say where it lies/],
      ] as const
    ) {
      assert.equal(notes!.length, 2);
      assert.match(notes![0], note);
      assert.match(notes![1], other);
      assert.equal(fingerprint.preparation, preparation + notes![0]);
      assert.deepEqual(fingerprint.spacing, widths.toReversed());
      await writeCase(`${raw}/c.h5`, prepared, fingerprint.sources[0]);
      await writeNiftiMask(`${raw}/m.nii.gz`, prepared.label!, await readCase(`${raw}/c.h5`, prepared.name));
      const mask = decodeNifti(await Deno.readFile(`${raw}/m.nii.gz`), "m");
      assert.deepEqual(mask.header, { ...header, ...prepared === ES.prepared && nowhere });
    }
  }));

Deno.test("image and mask may lie apart by less than the tolerance only", () =>
  withFolder(async (raw) => {
    const moved = (change: Partial<Geometry>) => ({
      "frame01_gt.nii.gz": nifti(LABEL, { ...PLACE, geometry: { ...GEOMETRY, ...change } }),
    });
    const turned = (by: number) => ({ direction: [by, 0, 1, 0, 1, 0, 1, 0, -by] });
    for (const change of [{ origin: [3, 4.0009, 5] }, { spacing: [10, 1.5009, 1.25] }, turned(9e-5)]) {
      await patient(raw, "p", moved(change as Partial<Geometry>));
      await good(raw, "p");
    }
    const refused = [["origin", { origin: [3, 4.002, 5] }], ["spacing", { spacing: [10, 1.502, 1.25] }], [
      "direction",
      turned(2e-4),
    ]] as const;
    for (const [key, change] of refused) {
      await patient(raw, "p", moved(change as unknown as Partial<Geometry>));
      const found = await problems(raw, "p");
      assert.match(found.join(), new RegExp(`^p/p_frame01_gt.nii.gz: not where its image is: ${key} \\[`));
    }
  }));

Deno.test("the field's HDF5 is taken as it is, with or without a scribble; what is amiss in it is named", () =>
  withFolder(async (raw) => {
    const shape = [...SHAPE], image = Float32Array.from(IMAGE, (value) => value / 155);
    const volume = { image: { data: image, shape }, label: { data: LABEL, shape } };
    await Deno.mkdir(`${raw}/data/slices`, { recursive: true });
    await writeArrays(`${raw}/data/a_frame12.h5`, { ...volume, scribble: { data: LABEL, shape } });
    await writeArrays(`${raw}/data/a_frame01.h5`, volume);
    await writeArrays(`${raw}/data/slices/a_frame01_slice_0.h5`, { image: { data: image.slice(12), shape: [4, 3] } });
    assert.deepEqual(cinePatients(raw), ["a"]);
    const frames = await good(raw, "a", true);
    assert.deepEqual(frames.map(({ prepared }) => prepared.name), ["a_frame01", "a_frame12"]);
    assert.deepEqual(frames[1].prepared, {
      ...{ name: "a_frame12", patient: "a", frame: 12, phase: null, group: null, height: null, weight: null },
      ...{ shape, axes: "ZYX", image, label: LABEL, geometry: null, correctedSpacing: null, nominalSpacing: false },
      header: null,
      source: null,
      preparation: "as published",
    });
    await writeArrays(`${raw}/data/slices/b_frame01_slice_0.h5`, { image: { data: image.slice(12), shape: [4, 3] } });
    await writeArrays(`${raw}/data/c.h5`, volume);
    await writeArrays(`${raw}/data/a_frame13.h5`, { ...volume, label: { data: LABEL.map((v) => 3 * v), shape } });
    assert.deepEqual(cinePatients(raw), ["a", "b", "c"]);
    assert.match((await problems(raw, "a")).join(), /^data\/a_frame13.h5: a label of 0 to 3 wanted, found 0, 3, 6, 9$/);
    assert.match((await problems(raw, "b")).join(), /data\/b_frame01.h5/);
    assert.match((await problems(raw, "c")).join(), /^data\/c.h5: a name of the form PATIENT_frameNN.h5 wanted$/);
    await Deno.mkdir(`${raw}/patient001`);
    assert.throws(() => cinePatients(raw), /it has data\/\*.h5 and 1 other folders/);
  }));

Deno.test("preprocess:acdc and split:acdc: cases, slices, parts by patient; or one table of all problems and nothing", () =>
  withFolder(async (folder) => {
    const raw = `${folder}/raw`, cases = `${folder}/cases`;
    for (const name of ["a", "b", "c", "d"]) await patient(raw, name, { "Info.cfg": `${INFO}Height: 0\n` });
    await patient(raw, "e", { "frame01_gt.nii.gz": null, "frame07_gt.nii.gz": null });
    const preprocess = () =>
      task(folder, "preprocess", ["--raw", raw, "--cases", cases, "--nominal-spacing", "--slices"]);
    const { code, out, error } = await preprocess();
    assert.equal(code, 0, error);
    assert.match(
      out,
      /^note: Height in Info.cfg is no number above 0, and left out \(8 cases: a_frame01, a_frame07, b_/m,
    );
    assert.match(out, /^e_frame07 {2}\[2,4,3\] {2}without a label {2}min-max/m);
    assert.match(out, /^10 cases in /m);
    assert.match(out, /^warning: the same image, voxel for voxel: a_frame01, a_frame07, b_frame01, /m);
    const frames = ["a", "b", "c", "d", "e"].flatMap((name) => [`${name}_frame01`, `${name}_frame07`]);
    assert.deepEqual(filesOf(cases), [...frames.map((name) => `${name}.h5`), "manifest.json", "slices"]);
    assert.deepEqual(filesOf(`${cases}/slices`).slice(-2), ["d_frame07_slice_0.h5", "d_frame07_slice_1.h5"]);
    assert.equal(filesOf(`${cases}/slices`).length, 16, "of labeled frames only");
    const slice = await readArrays(`${cases}/slices/a_frame01_slice_1.h5`);
    const whole = await readCase(`${cases}/a_frame01.h5`, "a_frame01");
    assert.deepEqual([slice.image.shape, [...slice.image.data]], [[4, 3], [...whole.image.subarray(12)]]);
    assert.deepEqual([slice.label.shape, [...slice.label.data]], [[4, 3], [...whole.label!.subarray(12)]]);
    const { attributes } = await readHdf5(`${cases}/a_frame07.h5`), { source_sha256, ...rest } = attributes;
    const said = Object.fromEntries(Object.entries(rest).filter(([key]) => !key.startsWith("nifti_")));
    assert.match(source_sha256 as string, /^[0-9a-f]{64}$/);
    assert.deepEqual(said, {
      ...{ axes: "ZYX", ...GEOMETRY, nominal_spacing: [1], patient: "a", frame: [7], phase: "ES" },
      ...{ source: "a/a_frame07.nii.gz", preparation: "min-max to [0, 1] per volume" },
    });

    const drawn = ["--cases", cases, "--test-cases", "1", "--validation-cases", "1", "--allow-duplicates"];
    assert.equal((await task(folder, "split", [...drawn, "--labeled", "2"])).code, 0);
    const split = JSON.parse(await Deno.readTextFile(`${cases}/split.json`));
    assert.deepEqual(split.counts, { labeled: 4, unlabeled: 2, validation: 2, test: 2 });
    assert.deepEqual(split.patients, { labeled: 2, unlabeled: 1, validation: 1, test: 1 });
    assert.deepEqual([split.labeledSlices, split.unlabeled], [8, ["e_frame01", "e_frame07"]]);
    const few = await task(folder, "split", [...drawn, "--labeled", "3"]);
    assert.deepEqual([few.code, /draw 3 labeled patients: 2 patients with a label are left/.test(few.error)], [
      3,
      true,
    ]);
    const both = await task(folder, "split", ["--cases", cases, "--validation-cases", "1"]);
    assert.deepEqual([both.code, /beside a published validation list/.test(both.error)], [2, true]);

    const before = (await readManifest(cases)).sha256;
    await patient(raw, "b", { "frame07.nii": nifti(), "frame01_gt.nii.gz": nifti().subarray(0, 99) });
    await patient(raw, "f", { "Info.cfg": null });
    const bad = await preprocess();
    assert.equal(bad.code, 3);
    const table = bad.error.split("\n").filter((line) => line.startsWith("  "));
    assert.match(bad.error, /Cannot prepare 2 of 6 patients in .*; nothing was written:/);
    assert.deepEqual(table.map((line) => line.trim()[0]), ["b", "b", "f"]);
    assert.equal((await readManifest(cases)).sha256, before);
    assert.deepEqual(filesOf(cases), [...frames.map((name) => `${name}.h5`), "manifest.json", "slices", "split.json"]);
    assert.equal(filesOf(`${cases}/slices`).length, 16);
  }));

const DATA = Deno.env.get("SSNET_DATA") ?? fileURLToPath(new URL("../../shared/data", import.meta.url));
const here = [`${DATA}/acdc-raw`, `${DATA}/acdc-published`].every((path) => {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
});
if (!here) console.log(`skipped: real ACDC, "${DATA}" has no acdc-raw or acdc-published (SSNET_DATA names another)`);

Deno.test({
  name: "real patients: volumes and slices are the published ones, three labeled patients are 68 slices",
  ignore: !here,
  fn: () =>
    withFolder(async (folder) => {
      const raw = `${folder}/raw`, cases = `${folder}/cases`, published = `${DATA}/acdc-published/data`;
      for (const name of ["patient031", "patient063", "patient099", "patient038", "patient050", "patient028"]) {
        await Deno.mkdir(`${raw}/${name}`, { recursive: true });
        for (const file of filesOf(`${DATA}/acdc-raw/${name}`)) {
          await Deno.copyFile(`${DATA}/acdc-raw/${name}/${file}`, `${raw}/${name}/${file}`);
        }
      }
      const options = ["--nominal-spacing", "--slices"];
      const { code, error } = await task(folder, "preprocess", ["--raw", raw, "--cases", cases, ...options]);
      assert.equal(code, 0, error);
      let compared = 0;
      for (const sub of [".", "slices"]) {
        for (const file of filesOf(`${published}/${sub}`).filter((name) => name.endsWith(".h5"))) {
          const [ours, theirs] = [
            await readArrays(`${cases}/${sub}/${file}`),
            await readArrays(`${published}/${sub}/${file}`),
          ];
          assert.deepEqual([ours.image.shape, ours.label.shape], [theirs.image.shape, theirs.label.shape], file);
          let farthest = 0;
          ours.image.data.forEach((v, i) => farthest = Math.max(farthest, Math.abs(v - theirs.image.data[i])));
          assert.ok(farthest <= 1e-6, `${file}: ${farthest}`);
          assert.ok(ours.label.data.every((value, i) => value === theirs.label.data[i]), file);
          compared++;
        }
      }
      assert.equal(compared, 40, "4 volumes, 36 slices");
      const chosen = await task(folder, "split", ["--cases", cases, "--labeled", "3"]);
      assert.equal(chosen.code, 0, chosen.error);
      const split = JSON.parse(await Deno.readTextFile(`${cases}/split.json`));
      assert.deepEqual([split.labeledSlices, split.counts], [
        68,
        { labeled: 6, unlabeled: 4, validation: 2, test: 0 },
      ]);
      // A mask of the case as NIfTI has the voxels of the source's mask, in the source's own order.
      const one = await readCase(`${cases}/patient031_frame01.h5`, "patient031_frame01");
      const source = gunzipSync(await Deno.readFile(`${raw}/patient031/patient031_frame01_gt.nii.gz`));
      const [ours, theirs] = [encodeNiftiMask(one.label!, one), source].map((bytes) => decodeNifti(bytes, "mask"));
      assert.deepEqual(ours, theirs);
    }),
});
