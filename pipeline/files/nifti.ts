/**
 * NIfTI-1 volumes, `.nii` or `.nii.gz`, or a pair `.hdr` and `.img` (https://nifti.nimh.nih.gov/nifti-1): 3-D, either
 * endianness, every integer and real type, values scaled by `scl_slope` and `scl_inter`. The file's first axis is fastest;
 * arrays here have the axes X, Y, Z of the file with Z fastest, or, where it is asked for, Z, Y, X with X fastest. Nothing
 * is turned or resampled: the orientation is carried along as a geometry in RAS+ millimeters, and as the header has it.
 * @module
 */
import { NIFTI1 } from "nifti-reader-js";
import { gzipSync } from "node:zlib";
import { writeAtomically } from "./atomic.ts";
import { DataError } from "./errors.ts";
import {
  type AxisOrder,
  fromAffine,
  type Geometry,
  isFlat,
  reverseAxes,
  toAffine,
  type Vector3,
} from "../arrays/geometry.ts";
import { inflate, inflateHead } from "./inflate.ts";
import { bytesOf, decodeVoxels, inFileOrder, type Volume, type VoxelType } from "./voxels.ts";

const TYPES: Record<number, VoxelType> = {
  [NIFTI1.TYPE_UINT8]: "uint8",
  [NIFTI1.TYPE_INT8]: "int8",
  [NIFTI1.TYPE_UINT16]: "uint16",
  [NIFTI1.TYPE_INT16]: "int16",
  [NIFTI1.TYPE_UINT32]: "uint32",
  [NIFTI1.TYPE_INT32]: "int32",
  [NIFTI1.TYPE_UINT64]: "uint64",
  [NIFTI1.TYPE_INT64]: "int64",
  [NIFTI1.TYPE_FLOAT32]: "float32",
  [NIFTI1.TYPE_FLOAT64]: "float64",
};
/** Header, and the 4 bytes that say "no extension". */
const HEADER_BYTES = 352;
/** What the header of a file is looked for in, packed or not. */
const HEAD_BYTES = 2 ** 16;
/** The most that a pair's header has with its extensions, and packing adds to small data. */
const MARGIN_BYTES = 2 ** 20;
/** How far the columns of an sform may differ from `pixdim`, of its value: what programs lose by rounding. */
const SCALE_TOLERANCE = 1e-3;
/** The largest square of a quaternion's vector part that a rounded unit quaternion has. */
const LONGEST_QUATERNION = 1 + 1e-5;

/** What a NIfTI header says of the place of its voxels, number for number. */
export interface NiftiForms {
  /** Handedness of the qform, then the widths of the voxels; 8 numbers. */
  pixdim: number[];
  /** `xyzt_units`; one number. */
  units: number[];
  /** `qform_code`, `sform_code`. */
  codes: number[];
  /** `quatern_b`, `_c`, `_d`, `qoffset_x`, `_y`, `_z`. */
  qform: number[];
  /** `srow_x`, `srow_y`, `srow_z`; 12 numbers. */
  sform: number[];
}

/** Where they stand in a header, how many they are, and of what type. */
const FORMS: Record<keyof NiftiForms, [offset: number, count: number, type: "Float32" | "Int16" | "Uint8"]> = {
  pixdim: [76, 8, "Float32"],
  units: [123, 1, "Uint8"],
  codes: [252, 2, "Int16"],
  qform: [256, 6, "Float32"],
  sform: [280, 12, "Float32"],
};
const BYTES = { Float32: 4, Int16: 2, Uint8: 1 };

/** A volume of a file, with what its header says of its place. */
export interface NiftiVolume extends Volume {
  /** What stands in the file: along X, Y, Z, in the file's units. */
  header: NiftiForms;
  /** What the header contradicts itself in, or lacks, and what counts therefore; null for an ordinary header. */
  note: string | null;
}

type Refuse = (why: string) => DataError;
const refuser = (source: string): Refuse => (why) => new DataError(`Cannot read "${source}" as NIfTI: ${why}`);
const isPacked = (bytes: Uint8Array) => bytes[0] === 0x1f && bytes[1] === 0x8b;

/**
 * Reads a NIfTI volume. Needs `--allow-read`.
 * @param path Of a pair, the `.hdr`.
 * @throws {DataError} As {@linkcode decodeNifti}.
 */
export async function readNifti(path: string, options?: { axes?: AxisOrder }): Promise<NiftiVolume> {
  const [header, voxels] = await readNiftiFiles(path);
  return decodeNifti(header.bytes, path, { ...options, voxels: voxels?.bytes });
}

/**
 * The bytes of a volume: of its one file, or of a pair's header and then of its voxels. Needs `--allow-read`.
 * @throws {DataError} When the header is none, or a file is none or larger than the header justifies.
 */
export async function readNiftiFiles(path: string): Promise<{ path: string; bytes: Uint8Array }[]> {
  const refuse = refuser(path), voxels = path.replace(/\.hdr(\.gz)?$/, ".img$1");
  if (!(await Deno.stat(path)).isFile) throw refuse("it is no file"); // a pipe or a device may have no end
  const head = new Uint8Array(HEAD_BYTES), file = await Deno.open(path);
  const length = await file.read(head).finally(() => file.close());
  const layout = layoutOf(head.subarray(0, length ?? 0), refuse), end = layout.offset + layout.length;
  const readWithin = async (path: string, most: number) => {
    const { size } = await Deno.stat(path);
    if (size > most) throw refuse(`its header wants ${most} bytes at the most, "${path}" has ${size}`);
    return { path, bytes: await Deno.readFile(path) };
  };
  if (!layout.isPair || voxels === path) return [await readWithin(path, isPacked(head) ? 2 * end + MARGIN_BYTES : end)];
  try {
    if (!(await Deno.stat(voxels)).isFile) throw refuse(`its voxels are wanted in "${voxels}", which is no file`);
    return [await readWithin(path, MARGIN_BYTES), await readWithin(voxels, 2 * end + MARGIN_BYTES)];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw refuse(`its voxels are wanted in "${voxels}", which is not there`);
  }
}

/**
 * Decodes a file's bytes, unpacking gzip no further than its header announces. The place comes from the sform where its
 * code is above 0, else from the qform, else from the voxel sizes alone (the standard's method 1); where the sform's scale
 * is not that of `pixdim`, qform and `pixdim` count, as long as there is a qform and the voxels are not 1 x 1 x 1. Negative
 * sizes count without their sign; meters and micrometers become millimeters, and unknown units count as millimeters.
 * @param source Its name, for errors.
 * @param options Which axes the array shall have, and its geometry with it; `voxels`: of a pair, the bytes of its `.img`.
 * @throws {DataError} Naming what was found and what is wanted: no NIfTI-1, not 3-D, another type, data shorter or longer
 * than the header says, a header that contradicts itself or holds a number that is none.
 */
export function decodeNifti(
  bytes: Uint8Array,
  source: string,
  { axes = "XYZ", voxels }: { axes?: AxisOrder; voxels?: Uint8Array } = {},
): NiftiVolume {
  const refuse = refuser(source), layout = layoutOf(bytes, refuse), { header, shape, type, offset, length } = layout;
  if (layout.isPair && !voxels) throw refuse(`it is the header of a pair: the voxels of its .img wanted beside it`);
  if (!layout.isPair && voxels) throw refuse("it holds its voxels itself, and those of an .img were given");
  let stored = voxels ?? bytes, data: Float32Array;
  try {
    // Of a pair, voxels of the announced length may begin as gzip does.
    if (isPacked(stored) && stored.length !== offset + length) stored = inflate(stored, offset + length);
    if (stored.length > offset + length) {
      throw new RangeError(`${length} bytes of data wanted, ${stored.length - offset} found`);
    }
    data = decodeVoxels(stored.subarray(offset), { type, little: header.littleEndian, shape, axes });
  } catch (error) {
    throw error instanceof RangeError ? refuse(error.message) : error;
  }
  const { scl_slope: slope, scl_inter: intercept } = header;
  if (slope && !Number.isNaN(slope)) { // 0 or NaN: the values are not scaled
    if (!Number.isFinite(slope) || !Number.isFinite(intercept)) {
      throw refuse(`its values are scaled by ${slope} and ${intercept}; finite numbers wanted`);
    }
    if (slope !== 1 || intercept) data = data.map((value) => slope * value + intercept);
  }
  const { geometry, otherPlaces, ...rest } = placeOf(layout.forms, refuse),
    found = { data, header: layout.forms, ...rest };
  if (axes === "XYZ") return { shape, geometry, otherPlaces, ...found };
  return {
    shape: shape.toReversed() as Vector3,
    geometry: reverseAxes(geometry),
    otherPlaces: otherPlaces.map(reverseAxes),
    ...found,
  };
}

/** What a header says of the file. */
interface Layout {
  header: NIFTI1;
  forms: NiftiForms;
  /** Whether the voxels stand in a file of their own. */
  isPair: boolean;
  shape: Vector3;
  type: VoxelType;
  /** Where the voxels begin in their file, and how many bytes they are. */
  offset: number;
  length: number;
}

/** Reads a header. @param bytes Of a file, or of its beginning. */
function layoutOf(bytes: Uint8Array, refuse: Refuse): Layout {
  let head: Uint8Array;
  try {
    head = isPacked(bytes) ? inflateHead(bytes, HEADER_BYTES) : bytes.subarray(0, HEADER_BYTES);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const magic = new TextDecoder("latin1").decode(head.subarray(344, 347)), isPair = magic === "ni1";
  const wanted = isPair ? HEADER_BYTES - 4 : HEADER_BYTES; // without extensions, a pair may do without the word that says so
  if (head.length < wanted) throw refuse(`${head.length} bytes found, its header alone has ${wanted}`);
  if (!isPair && magic !== "n+1") {
    throw refuse(`${head[4] === 0x6e ? "NIfTI-2" : "no NIfTI-1 header"} found; NIfTI-1 wanted`);
  }
  const header = new NIFTI1();
  try { // its extensions, which nothing here uses, stand behind the header
    header.readHeader(Uint8Array.from(head).buffer);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const [rank, ...sizes] = header.dims, shape = [1, 2, 3].map((i) => i <= rank ? sizes[i - 1] : 1) as Vector3;
  const found = sizes.slice(0, rank);
  if (!(rank >= 1 && rank <= 7) || found.some((n) => !(n > 0)) || found.slice(3).some((n) => n !== 1)) {
    const series = rank > 3 ? "; save the volume that is meant as a file of its own" : "";
    throw refuse(`3 axes wanted, found the sizes [${found}]${series}`);
  }
  const { datatypeCode, numBitsPerVoxel, vox_offset } = header, type = TYPES[datatypeCode];
  if (!type) {
    throw refuse(`the data type ${datatypeCode} is not read; wanted is one of ${Object.values(TYPES).join(", ")}`);
  }
  const width = bytesOf(type, [1]);
  if (numBitsPerVoxel !== 8 * width) {
    throw refuse(`its data type ${datatypeCode} (${type}) has ${8 * width} bits, its bitpix says ${numBitsPerVoxel}`);
  }
  const offset = isPair || vox_offset !== 0 ? vox_offset : HEADER_BYTES; // 0: where they begin at the earliest
  if (!Number.isInteger(offset) || offset < (isPair ? 0 : HEADER_BYTES)) {
    throw refuse(`its voxels begin at byte ${vox_offset}; a whole number from ${isPair ? 0 : HEADER_BYTES} wanted`);
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const forms = Object.fromEntries(
    Object.entries(FORMS).map(([key, [at, count, type]]) => [
      key,
      Array.from({ length: count }, (_, i) => view[`get${type}`](at + BYTES[type] * i, header.littleEndian)),
    ]),
  ) as unknown as NiftiForms;
  return { header, forms, isPair, shape, type, offset, length: bytesOf(type, shape) };
}

/** What a header's forms mean, in millimeters along X, Y, Z. */
function placeOf(
  { pixdim, units: [units], codes, qform, sform }: NiftiForms,
  refuse: Refuse,
): { geometry: Geometry; isPlaced: boolean; otherPlaces: Geometry[]; note: string | null } {
  const unit = units & NIFTI1.SPATIAL_UNITS_MASK;
  const millimeters = unit === NIFTI1.UNITS_METER ? 1000 : unit === NIFTI1.UNITS_MICRON ? 0.001 : 1;
  const [handedness, ...widths] = pixdim.slice(0, 4).map((width, i) => i ? Math.abs(width) : width);
  const geometryOf = (rows: number[][], form: string): Geometry => {
    const geometry = fromAffine(rows.map((row) => row.map((value) => millimeters * value)));
    if (![...geometry.spacing, ...geometry.origin].every(Number.isFinite) || isFlat(geometry)) {
      throw refuse(`its ${form} gives no place: [${rows.map((row) => row.join(" ")).join("; ")}]`);
    }
    return geometry;
  };
  const [bySform, byQform] = [codes[1] > 0, codes[0] > 0];
  if (![handedness, ...widths].every(Number.isFinite)) throw refuse(`its pixdim is [${pixdim.slice(0, 4)}]`);
  const isSized = widths.every((width) => width > 0);
  if (!isSized && !bySform) throw refuse(`its pixdim is [${pixdim.slice(0, 4)}]; widths above 0 wanted`);
  const sized = [0, 1, 2].map((i) => [0, 1, 2, 3].map((j) => i === j ? widths[i] : 0));
  const s = bySform ? geometryOf([0, 4, 8].map((row) => sform.slice(row, row + 4)), "sform") : null;
  let q: Geometry | null = null;
  if (byQform && isSized) {
    const [b, c, d, ...offset] = qform;
    if (!(Math.hypot(b, c, d) <= LONGEST_QUATERNION)) {
      throw refuse(`its quaternion is (${[b, c, d]}); a unit one wanted`);
    }
    const [w, h, l] = widths, [x, y, z] = offset;
    q = geometryOf(
      new NIFTI1().convertNiftiQFormToNiftiSForm(b, c, d, x, y, z, w, h, l, handedness).slice(0, 3),
      "qform",
    );
  }
  if (!s) {
    if (q) return { geometry: q, isPlaced: true, otherPlaces: [], note: null };
    const note = "neither qform nor sform: the spacing is pixdim's, the place is not known";
    return { geometry: geometryOf(sized, "pixdim"), isPlaced: false, otherPlaces: [], note };
  }
  const agrees = s.spacing.every((scale, i) =>
    Math.abs(scale - millimeters * widths[i]) <= SCALE_TOLERANCE * millimeters * widths[i]
  );
  const contradicted = "the sform's scale is not pixdim's: spacing and place are the ";
  // ITK may take the sform's origin and direction with pixdim's spacing.
  const mixed = { ...s, spacing: widths.map((width) => millimeters * width) as Vector3 }, places = q ? [q] : [];
  if (agrees) return { geometry: s, isPlaced: true, otherPlaces: places, note: null };
  if (q && widths.some((width) => width !== 1)) {
    return { geometry: q, isPlaced: true, otherPlaces: [s, mixed], note: `${contradicted}qform's` };
  }
  return { geometry: s, isPlaced: true, otherPlaces: [...places, mixed], note: `${contradicted}sform's` };
}

/** Shape and place of a mask; a case has all of it. */
export interface MaskPlace {
  /** Voxels along the array's axes, which the geometry has too. */
  shape: readonly number[];
  /** Place of the voxels; null where it is not known. */
  geometry: Geometry | null;
  /** What the header of the image says, which is then the mask's; null or absent where it was no NIfTI. */
  header?: NiftiForms | null;
  /** "XYZ" where they are not given. */
  axes?: AxisOrder;
}

/**
 * Bytes of a mask as uint8 NIfTI-1, of a map of real numbers as float32, gzipped, with the header's forms of its image, so
 * that whatever a program makes of the image's place it makes of the mask's. Nothing else of the image's header is there. Without them the geometry is written as sform and as qform (no qform where the axes
 * are not at right angles, which a qform cannot hold); without a geometry: unit spacing, units unknown.
 * @param mask With the axes that it says, the last one fastest; the file has them in its own order, X first.
 *
 * @example A mask comes back where it was
 * ```ts
 * import assert from "node:assert/strict";
 * import { fromAffine } from "@ssnet/pipeline/arrays/geometry.ts";
 * import { decodeNifti, encodeNiftiMask } from "@ssnet/pipeline/files/nifti.ts";
 *
 * const mask = Uint8Array.of(1, 0, 0, 1, 1, 0), shape = [1, 2, 3];
 * const geometry = fromAffine([[-0.5, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 2, 30]]);
 * const read = decodeNifti(encodeNiftiMask(mask, { shape, geometry }), "mask.nii.gz");
 * assert.deepEqual([read.shape, [...read.data]], [shape, [...mask]]);
 * assert.deepEqual(read.geometry, geometry);
 * ```
 */
export function encodeNiftiMask(
  mask: Uint8Array | Float32Array,
  { shape, geometry, header: forms, axes = "XYZ" }: MaskPlace,
): Uint8Array {
  if (axes === "ZYX") {
    shape = shape.toReversed();
    geometry = geometry && reverseAxes(geometry);
  }
  const header = new NIFTI1(), voxels = inFileOrder(mask, shape, axes);
  header.littleEndian = true;
  header.dims = [3, ...shape, 1, 1, 1, 1];
  header.datatypeCode = mask instanceof Uint8Array ? NIFTI1.TYPE_UINT8 : NIFTI1.TYPE_FLOAT32;
  header.numBitsPerVoxel = 8 * mask.BYTES_PER_ELEMENT;
  header.vox_offset = HEADER_BYTES;
  header.cal_max = 1;
  for (const value of mask) if (value > header.cal_max) header.cal_max = value;
  header.magic = "n+1";
  const bytes = new Uint8Array(HEADER_BYTES + mask.byteLength), view = new DataView(bytes.buffer);
  bytes.set(new Uint8Array(header.toArrayBuffer()));
  for (const [key, values] of Object.entries(forms ?? formsOf(geometry))) {
    const [at, , type] = FORMS[key as keyof NiftiForms];
    values.forEach((value: number, i: number) => view[`set${type}`](at + BYTES[type] * i, value, true));
  }
  bytes.set(new Uint8Array(voxels.buffer), HEADER_BYTES);
  return gzipSync(bytes);
}

/** The forms that say a geometry along X, Y, Z. */
function formsOf(geometry: Geometry | null): NiftiForms {
  // Without one: where ITK puts what says no place.
  const place = geometry ?? { spacing: [1, 1, 1], origin: [0, 0, 0], direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] };
  const code = geometry ? NIFTI1.XFORM_SCANNER_ANAT : NIFTI1.XFORM_ALIGNED_ANAT, rotation = quaternion(place.direction);
  return {
    pixdim: [rotation?.handedness ?? 1, ...place.spacing, 0, 0, 0, 0],
    units: [geometry ? NIFTI1.UNITS_MM : NIFTI1.UNITS_UNKNOWN],
    codes: [rotation ? code : 0, code],
    qform: [...rotation?.vector ?? [0, 0, 0], ...place.origin],
    sform: toAffine(place).flat(),
  };
}

/** Writes a mask as gzipped NIfTI, where its image lies ({@linkcode encodeNiftiMask}). Needs `--allow-read`, `--allow-write`. */
export function writeNiftiMask(path: string, mask: Uint8Array, place: MaskPlace): Promise<void> {
  return writeAtomically(path, [encodeNiftiMask(mask, place)]);
}

/**
 * A direction matrix as the standard's qform: the vector part of a unit quaternion whose scalar part is not negative, and
 * ±1 for the third axis, which turns left-handed axes into a rotation. Null where the axes are not at right angles.
 */
function quaternion(direction: number[]): { vector: Vector3; handedness: number } | null {
  const [a, b, c, d, e, f, g, h, i] = direction;
  const dots = [a * b + d * e + g * h, a * c + d * f + g * i, b * c + e * f + h * i];
  if (dots.some((dot) => Math.abs(dot) > 1e-4)) return null;
  const handedness = Math.sign(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g));
  const [x, y, z] = [c, f, i].map((value) => value * handedness);
  // 4 times the products of the quaternion's parts; the row of the largest part is the safe one.
  const rows = [
    [1 + a + e + z, h - y, x - g, d - b],
    [h - y, 1 + a - e - z, b + d, x + g],
    [x - g, b + d, 1 - a + e - z, y + h],
    [d - b, x + g, y + h, 1 - a - e + z],
  ];
  const largest = [0, 1, 2, 3].reduce((p, q) => rows[q][q] > rows[p][p] ? q : p), row = rows[largest];
  const length = Math.hypot(...row) * (row[0] < 0 ? -1 : 1);
  return { vector: row.slice(1).map((part) => part / length) as Vector3, handedness };
}
