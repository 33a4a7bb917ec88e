/**
 * Voxels between the file and the array: NRRD and NIfTI hold X fastest, the arrays here are `[X, Y, Z]` with Z fastest,
 * or `[Z, Y, X]` with X fastest.
 * @module
 */
import type { AxisOrder, Geometry, Vector3 } from "../arrays/geometry.ts";

/** A volume of a file and its place. */
export interface Volume {
  /** Voxels along the array's axes, the last one fastest. */
  shape: Vector3;
  /** The last axis fastest. */
  data: Float32Array;
  /** Place of the voxels; null where the file does not say how large a voxel is. */
  geometry: Geometry | null;
  /** Whether the file says where its voxels lie; else the geometry is where programs put such a file. */
  isPlaced: boolean;
  /** What other programs may take for the place from the same header, where it says several. */
  otherPlaces?: Geometry[];
}

/** Number types of voxels in files. */
export type VoxelType =
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "float32"
  | "float64";

type Reader = (view: DataView, offset: number, little: boolean) => number;
const TYPES: Record<VoxelType, [bytes: number, read: Reader]> = {
  uint8: [1, (v, o) => v.getUint8(o)],
  int8: [1, (v, o) => v.getInt8(o)],
  uint16: [2, (v, o, l) => v.getUint16(o, l)],
  int16: [2, (v, o, l) => v.getInt16(o, l)],
  uint32: [4, (v, o, l) => v.getUint32(o, l)],
  int32: [4, (v, o, l) => v.getInt32(o, l)],
  uint64: [8, (v, o, l) => Number(v.getBigUint64(o, l))],
  int64: [8, (v, o, l) => Number(v.getBigInt64(o, l))],
  float32: [4, (v, o, l) => v.getFloat32(o, l)],
  float64: [8, (v, o, l) => v.getFloat64(o, l)],
};

/** Bytes of a volume in a file. */
export function bytesOf(type: VoxelType, shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, TYPES[type][0]);
}

/** How far neighbors along X, Y, Z lie apart in an array. */
function strides([nx, ny, nz]: readonly number[], axes: AxisOrder): Vector3 {
  return axes === "XYZ" ? [ny * nz, nz, 1] : [1, nx, nx * ny];
}

/**
 * Voxels of a file, X fastest there, as an array.
 * @param bytes As many as the shape and the type want, or more.
 * @throws {RangeError} When there are fewer.
 */
export function decodeVoxels(
  bytes: Uint8Array,
  { type, little, shape, axes = "XYZ" }: {
    type: VoxelType;
    little: boolean;
    shape: readonly number[];
    axes?: AxisOrder;
  },
): Float32Array {
  const [nx, ny, nz] = shape, [dx, dy, dz] = strides(shape, axes);
  const [width, read] = TYPES[type], wanted = nx * ny * nz * width;
  if (bytes.length < wanted) throw new RangeError(`${wanted} bytes of data wanted, ${bytes.length} found`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(nx * ny * nz);
  let from = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, from += width) values[x * dx + y * dy + z * dz] = read(view, from, little);
    }
  }
  return values;
}

/** The voxels of a volume in the order of files, X fastest. @param shape Along X, Y, Z, whatever the order of the axes. */
export function inFileOrder<T extends Uint8Array | Float32Array>(
  volume: T,
  shape: readonly number[],
  axes: AxisOrder = "XYZ",
): T {
  const [nx, ny, nz] = shape, [dx, dy, dz] = strides(shape, axes);
  const values = new (volume.constructor as new (length: number) => T)(volume.length);
  let to = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) values[to++] = volume[x * dx + y * dy + z * dz];
    }
  }
  return values;
}
