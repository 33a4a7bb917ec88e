/**
 * MetaImage volumes in one file, `.mha` (https://itk.org/Wiki/ITK/MetaIO/Documentation), as ITK writes them: 3-D, one
 * channel, raw or packed by zlib, either endianness. The file's first axis is fastest and its space LPS; what is returned
 * has its axes X, Y, Z with Z fastest and its geometry in RAS+.
 * @module
 */
import { fromAffine, isFlat, type Vector3 } from "../arrays/geometry.ts";
import { inflate } from "./inflate.ts";
import { bytesOf, decodeVoxels, type Volume, type VoxelType } from "./voxels.ts";
import { DataError } from "./errors.ts";

const TYPES: Record<string, VoxelType> = {
  MET_UCHAR: "uint8",
  MET_CHAR: "int8",
  MET_USHORT: "uint16",
  MET_SHORT: "int16",
  MET_UINT: "uint32",
  MET_INT: "int32",
  MET_ULONG_LONG: "uint64",
  MET_LONG_LONG: "int64",
  MET_FLOAT: "float32",
  MET_DOUBLE: "float64",
};
/** The field whose value says where the voxels are; it is the header's last. */
const LAST_FIELD = /^ElementDataFile[ \t]*=[ \t]*(.*?)\r?\n/m;
/** Far above any header. */
const HEAD_BYTES = 2 ** 16;

/** Reads a file. Needs `--allow-read`. @throws {DataError} As {@linkcode decodeMha}. */
export async function readMha(path: string): Promise<Volume> {
  if (!(await Deno.stat(path)).isFile) throw new DataError(`Cannot read "${path}" as MetaImage: it is no file`);
  return decodeMha(await Deno.readFile(path), path);
}

/**
 * Decodes a file's bytes.
 * @param source Its name, for errors.
 * @throws {DataError} Naming what was found and what is wanted: another header, not 3-D, several channels, another type, a
 * spacing or a direction that is none, more or fewer bytes than its sizes want.
 */
export function decodeMha(bytes: Uint8Array, source: string): Volume {
  const refuse = (why: string) => new DataError(`Cannot read "${source}" as MetaImage: ${why}`);
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, HEAD_BYTES)), last = LAST_FIELD.exec(head);
  if (!last) throw refuse("it has no header with the field ElementDataFile");
  const fields: Record<string, string> = Object.fromEntries(
    head.slice(0, last.index).split("\n").map((line) => line.split("=").map((part) => part.trim())),
  );
  const isTrue = (field: string) => fields[field]?.toLowerCase() === "true";
  const numbers = (names: string[], count: number, usual: number[] | null): number[] => {
    const name = names.find((name) => Object.hasOwn(fields, name)), text = name && fields[name];
    const found = text?.split(/\s+/).map((part) => part ? Number(part) : NaN) ?? usual;
    if (found?.length === count && found.every(Number.isFinite)) return found;
    throw refuse(`${count} numbers wanted as its ${name ?? names[0]}, found "${text ?? "none"}"`);
  };
  if (last[1] !== "LOCAL") throw refuse(`its voxels stand in "${last[1]}"; one file with its voxels (.mha) wanted`);
  if (fields.NDims !== "3") {
    const several = Number(fields.NDims) > 3 ? "; save the volume that is meant as a file of its own" : "";
    throw refuse(`3 axes wanted, found "${fields.NDims ?? "none"}"${several}`);
  }
  if ((fields.ElementNumberOfChannels ?? "1") !== "1") {
    throw refuse(`1 channel wanted, found ${fields.ElementNumberOfChannels}`);
  }
  if (!isTrue("BinaryData")) throw refuse("its voxels are no binary data; BinaryData = True wanted");
  const type = TYPES[fields.ElementType];
  if (!type) {
    throw refuse(`the type "${fields.ElementType}" is not read; wanted is one of ${Object.keys(TYPES).join(", ")}`);
  }
  const shape = numbers(["DimSize"], 3, null) as Vector3, spacing = numbers(["ElementSpacing"], 3, [1, 1, 1]);
  if (!shape.every((n) => Number.isInteger(n) && n > 0)) throw refuse(`3 sizes wanted, found [${shape}]`);
  if (!spacing.every((width) => width > 0)) throw refuse(`3 spacings above 0 wanted, found [${spacing}]`);
  const [ax, ay, az, bx, by, bz, cx, cy, cz] = numbers(["TransformMatrix", "Rotation", "Orientation"], 9, [
    ...[1, 0, 0],
    ...[0, 1, 0],
    ...[0, 0, 1],
  ]);
  const [x, y, z] = numbers(["Offset", "Position", "Origin"], 3, [0, 0, 0]), [dx, dy, dz] = spacing;
  const geometry = fromAffine([ // LPS to RAS+
    [-ax * dx, -bx * dy, -cx * dz, -x],
    [-ay * dx, -by * dy, -cy * dz, -y],
    [az * dx, bz * dy, cz * dz, z],
  ]);
  if (isFlat(geometry)) throw refuse(`its directions lie in one plane: "${fields.TransformMatrix}"`);
  const wanted = bytesOf(type, shape), stored = bytes.subarray(last.index + last[0].length);
  try {
    const data = isTrue("CompressedData") ? inflate(stored, wanted, "zlib") : stored;
    if (data.length !== wanted) throw new RangeError(`${wanted} bytes of data wanted, ${data.length} found`);
    const little = !isTrue("BinaryDataByteOrderMSB") && !isTrue("ElementByteOrderMSB");
    return { shape, data: decodeVoxels(data, { type, little, shape }), geometry, isPlaced: true };
  } catch (error) {
    throw error instanceof RangeError ? refuse(error.message) : error;
  }
}
