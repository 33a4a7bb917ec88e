/**
 * NIfTI-1 volumes in one file, `.nii` or `.nii.gz` (https://nifti.nimh.nih.gov/nifti-1): 3-D, either endianness, every
 * integer and real type, values scaled by `scl_slope` and `scl_inter`. The file's first axis is fastest; arrays here have
 * the axes X, Y, Z of the file with Z fastest, or, where it is asked for, Z, Y, X with X fastest. Nothing is turned or
 * resampled: the orientation is carried along as a geometry in RAS+ millimeters.
 * @module
 */
import { NIFTI1 } from "nifti-reader-js";
import { gunzipSync, gzipSync } from "node:zlib";
import { writeAtomically } from "../runs/files.ts";
import { DataError } from "./cases.ts";
import { type AxisOrder, fromAffine, type Geometry, reverseAxes, toAffine, type Vector3 } from "./geometry.ts";
import { decodeVoxels, encodeMask, type Volume, type VoxelType } from "./voxels.ts";

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
const SFORM_OFFSET = 280;

/** Reads a file. Needs `--allow-read`. @throws {DataError} As {@linkcode decodeNifti}. */
export async function readNifti(path: string, options?: { axes?: AxisOrder }): Promise<Volume> {
  return decodeNifti(await Deno.readFile(path), path, options);
}

/**
 * Decodes a file's bytes, unpacking gzip. The place comes from the sform where its code is above 0, else from the qform,
 * else from the voxel sizes alone (the standard's method 1); meters and micrometers become millimeters, and unknown units
 * count as millimeters.
 * @param source Its name, for errors.
 * @param options Which axes the array shall have, and its geometry with it.
 * @throws {DataError} Naming what was found and what is wanted: no NIfTI-1 in one file, not 3-D, another type, truncated.
 */
export function decodeNifti(
  bytes: Uint8Array,
  source: string,
  { axes = "XYZ" }: { axes?: AxisOrder } = {},
): Volume {
  const refuse = (why: string) => new DataError(`Cannot read "${source}" as NIfTI: ${why}`);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      bytes = gunzipSync(bytes);
    } catch (error) {
      throw refuse(`it does not unpack: ${(error as Error).message}`);
    }
  }
  if (bytes.length < HEADER_BYTES) throw refuse(`${bytes.length} bytes found, its header alone has ${HEADER_BYTES}`);
  const magic = new TextDecoder("latin1").decode(bytes.subarray(344, 347));
  if (magic !== "n+1") {
    const other = magic === "ni1" ? "a pair of .hdr and .img" : bytes[4] === 0x6e ? "NIfTI-2" : "no NIfTI-1 header";
    throw refuse(`${other} found; NIfTI-1 in one file wanted`);
  }
  const header = new NIFTI1();
  try { // its extensions, which nothing here uses, stand behind the header
    header.readHeader(bytes.slice(0, HEADER_BYTES).buffer);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const [rank, ...sizes] = header.dims, shape = [1, 2, 3].map((i) => i <= rank ? sizes[i - 1] : 1) as Vector3;
  const found = sizes.slice(0, rank);
  if (!(rank >= 1 && rank <= 7) || found.some((n) => !(n > 0)) || found.slice(3).some((n) => n !== 1)) {
    throw refuse(`3 axes wanted, found the sizes [${found}]`);
  }
  const type = TYPES[header.datatypeCode];
  if (!type) {
    throw refuse(
      `the data type ${header.datatypeCode} is not read; wanted is one of ${Object.values(TYPES).join(", ")}`,
    );
  }
  const offset = Math.max(header.vox_offset, HEADER_BYTES);
  let data: Float32Array;
  try {
    data = decodeVoxels(bytes.subarray(offset), { type, little: header.littleEndian, shape, axes });
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const { scl_slope: slope, scl_inter: intercept } = header;
  // Slope 0 means that the values are not scaled.
  if (slope && Number.isFinite(slope) && Number.isFinite(intercept) && (slope !== 1 || intercept)) {
    data = data.map((value) => slope * value + intercept);
  }
  const geometry = geometryOf(header, bytes, refuse), isPlaced = header.sform_code > 0 || header.qform_code > 0;
  if (axes === "XYZ") return { shape, data, geometry, isPlaced };
  return { shape: shape.toReversed() as Vector3, data, geometry: reverseAxes(geometry), isPlaced };
}

function geometryOf(header: NIFTI1, bytes: Uint8Array, refuse: (why: string) => DataError): Geometry {
  const { pixDims, littleEndian } = header, view = new DataView(bytes.buffer, bytes.byteOffset + SFORM_OFFSET);
  let rows: number[][];
  if (header.sform_code > 0) { // from the bytes: the library keeps only one of the two forms, and may prefer the other
    rows = [0, 1, 2].map((i) => [0, 1, 2, 3].map((j) => view.getFloat32(4 * (4 * i + j), littleEndian)));
  } else if (header.qform_code > 0) rows = header.getQformMat().slice(0, 3);
  else rows = [0, 1, 2].map((i) => [0, 1, 2, 3].map((j) => i === j ? Math.abs(pixDims[i + 1]) : 0));
  const unit = header.xyzt_units & NIFTI1.SPATIAL_UNITS_MASK;
  const scale = unit === NIFTI1.UNITS_METER ? 1000 : unit === NIFTI1.UNITS_MICRON ? 0.001 : 1;
  const geometry = fromAffine(rows.map((row) => row.map((value) => scale * value)));
  if (
    ![...geometry.spacing, ...geometry.origin].every(Number.isFinite) || !geometry.spacing.every((width) => width > 0)
  ) {
    throw refuse(`its affine gives the spacing [${geometry.spacing}] and the origin [${geometry.origin}]`);
  }
  return geometry;
}

/** Shape and place of a mask; a case has all of it. */
export interface MaskPlace {
  /** Along the array's axes, as the geometry. */
  shape: readonly number[];
  /** Null where it is not known. */
  geometry: Geometry | null;
  /** "XYZ" where they are not given. */
  axes?: AxisOrder;
}

/**
 * Bytes of a mask as uint8 NIfTI-1, gzipped, with the place as sform and as qform (no qform where the axes are not at
 * right angles, which a qform cannot hold). Without a geometry: unit spacing, units unknown.
 * @param mask With the axes that it says, the last one fastest; the file has them in its own order, X first.
 *
 * @example A mask comes back where it was
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeNifti, encodeNiftiMask, fromAffine } from "@ssnet/pipeline";
 *
 * const mask = Uint8Array.of(1, 0, 0, 1, 1, 0), shape = [1, 2, 3];
 * const geometry = fromAffine([[-0.5, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 2, 30]]);
 * const read = decodeNifti(encodeNiftiMask(mask, { shape, geometry }), "mask.nii.gz");
 * assert.deepEqual([read.shape, [...read.data]], [shape, [...mask]]);
 * assert.deepEqual(read.geometry, geometry);
 * ```
 */
export function encodeNiftiMask(
  mask: Uint8Array,
  { shape, geometry, axes = "XYZ" }: MaskPlace,
): Uint8Array {
  if (axes === "ZYX") {
    shape = shape.toReversed();
    geometry = geometry && reverseAxes(geometry);
  }
  const place = geometry ?? { spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
  const code = geometry ? NIFTI1.XFORM_SCANNER_ANAT : NIFTI1.XFORM_ALIGNED_ANAT;
  const rotation = quaternion(place.direction), header = new NIFTI1();
  header.littleEndian = true;
  header.dims = [3, ...shape, 1, 1, 1, 1];
  header.pixDims = [rotation?.handedness ?? 1, ...place.spacing, 0, 0, 0, 0];
  header.datatypeCode = NIFTI1.TYPE_UINT8;
  header.numBitsPerVoxel = 8;
  header.vox_offset = HEADER_BYTES;
  header.xyzt_units = geometry ? NIFTI1.UNITS_MM : NIFTI1.UNITS_UNKNOWN;
  header.cal_max = mask.reduce((a, b) => Math.max(a, b), 1);
  header.sform_code = code;
  header.affine = toAffine(place);
  if (rotation) {
    header.qform_code = code;
    [header.quatern_b, header.quatern_c, header.quatern_d] = rotation.vector;
  }
  [header.qoffset_x, header.qoffset_y, header.qoffset_z] = place.origin;
  header.magic = "n+1";
  const bytes = new Uint8Array(HEADER_BYTES + mask.length);
  bytes.set(new Uint8Array(header.toArrayBuffer()));
  bytes.set(encodeMask(mask, shape, axes), HEADER_BYTES);
  return gzipSync(bytes);
}

/** Writes {@linkcode encodeNiftiMask}. Needs `--allow-read`, `--allow-write`. */
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
