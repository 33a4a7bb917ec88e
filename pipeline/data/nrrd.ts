/**
 * NRRD volumes (http://teem.sourceforge.net/nrrd/format.html), as the LA challenge gives them: 3-D, raw or gzip, either
 * endianness, data attached or in one file beside the header. The file's first axis is fastest and its space LPS as a
 * rule; what is returned has its axes X, Y, Z with Z fastest and its geometry in RAS+.
 * @module
 */
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { DataError } from "./cases.ts";
import { fromAffine, type Geometry, type Vector3 } from "./geometry.ts";
import { decodeVoxels, type Volume, type VoxelType } from "./voxels.ts";

const ALIASES: Record<VoxelType, string[]> = {
  uint8: ["uchar", "unsigned char", "uint8_t"],
  int8: ["signed char", "int8_t"],
  uint16: ["ushort", "unsigned short", "unsigned short int", "uint16_t"],
  int16: ["short", "short int", "signed short", "signed short int", "int16_t"],
  uint32: ["uint", "unsigned int", "uint32_t"],
  int32: ["int", "signed int", "int32_t"],
  uint64: ["ulonglong", "unsigned long long", "unsigned long long int", "uint64_t"],
  int64: ["longlong", "long long", "long long int", "signed long long", "signed long long int", "int64_t"],
  float32: ["float"],
  float64: ["double"],
};
const TYPES = Object.fromEntries(
  Object.entries(ALIASES).flatMap(([type, names]) => [type, ...names].map((name) => [name, type as VoxelType])),
);

/** Factors of x, y, z that turn a space into RAS+. */
const SPACES: Record<string, Vector3> = {
  "right-anterior-superior": [1, 1, 1],
  "ras": [1, 1, 1],
  "left-anterior-superior": [-1, 1, 1],
  "las": [-1, 1, 1],
  "left-posterior-superior": [-1, -1, 1],
  "lps": [-1, -1, 1],
};

const vector = (text: string): number[] => text.replace(/[()]/g, "").split(",").map(Number);

/** Reads a file, and the one that its header names. Needs `--allow-read`. @throws {DataError} As {@linkcode decodeNrrd}. */
export async function readNrrd(path: string): Promise<Volume> {
  return decodeNrrd(await Deno.readFile(path), path);
}

/**
 * Decodes a file's bytes; data that stand beside the header are read from its folder.
 * @param source Its path, for errors and for a file beside it.
 * @throws {DataError} Naming what was found and what is wanted.
 *
 * @example Two voxels along X; LPS becomes RAS+
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeNrrd } from "@ssnet/pipeline";
 *
 * const header = [
 *   "NRRD0004", "type: uchar", "dimension: 3", "sizes: 2 1 1", "encoding: raw", "space: left-posterior-superior",
 *   "space directions: (0.5,0,0) (0,1,0) (0,0,2)", "space origin: (10,20,30)", "", "",
 * ].join("\n");
 * const bytes = Uint8Array.of(...new TextEncoder().encode(header), 7, 9);
 * const { shape, data, geometry } = decodeNrrd(bytes, "case.nrrd");
 * assert.deepEqual([shape, [...data]], [[2, 1, 1], [7, 9]]);
 * assert.deepEqual([geometry?.spacing, geometry?.origin], [[0.5, 1, 2], [-10, -20, 30]]);
 * ```
 */
export function decodeNrrd(bytes: Uint8Array, source: string): Volume {
  const refuse = (why: string) => new DataError(`Cannot read "${source}" as NRRD: ${why}`);
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 65536));
  if (!text.startsWith("NRRD000")) throw refuse(`it does not begin with "NRRD000"`);
  const end = text.match(/\r?\n\r?\n/);
  const header = end ? text.slice(0, end.index) : text;
  const fields = Object.fromEntries(
    header.split(/\r?\n/).slice(1).filter((line) => !line.startsWith("#") && !line.includes(":="))
      .map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
      }),
  );
  const beside = fields["data file"] ?? fields.datafile;
  if (!end && !beside) throw refuse("its header has no end");
  const shape = (fields.sizes ?? "").split(/\s+/).map(Number) as Vector3;
  if (shape.length !== 3 || shape.some((n) => !(n > 0))) throw refuse(`3 sizes wanted, found "${fields.sizes}"`);
  const type = TYPES[fields.type];
  if (!type) throw refuse(`the type "${fields.type}" is not known; known are ${Object.keys(ALIASES).join(", ")}`);
  const compressed = ["gzip", "gz"].includes(fields.encoding);
  if (!compressed && fields.encoding !== "raw") {
    throw refuse(`its encoding is "${fields.encoding}"; raw or gzip wanted`);
  }
  for (const skip of ["line skip", "lineskip", "byte skip", "byteskip"]) {
    if (Number(fields[skip] ?? 0) !== 0) throw refuse(`it skips a part of its data ("${skip}"); whole data wanted`);
  }
  try {
    const stored = beside
      ? Deno.readFileSync(join(dirname(source), beside))
      : bytes.subarray(end!.index! + end![0].length);
    const data = decodeVoxels(compressed ? gunzipSync(stored) : stored, {
      type,
      little: fields.endian !== "big",
      shape,
    });
    return { shape, data, geometry: geometryOf(fields, refuse), isPlaced: fields["space directions"] !== undefined };
  } catch (error) {
    if (error instanceof DataError || error instanceof Deno.errors.NotCapable) throw error;
    if (error instanceof Deno.errors.NotFound) throw refuse(`its data stand in "${beside}", which is not beside it`);
    const why = (error as Error).message;
    throw refuse(error instanceof RangeError ? why : `its data do not unpack: ${why}`);
  }
}

function geometryOf(fields: Record<string, string>, refuse: (why: string) => DataError): Geometry | null {
  const directions = fields["space directions"];
  if (!directions) {
    const spacing = fields.spacings?.split(/\s+/).map(Number);
    if (!spacing?.every((width) => width > 0)) return null; // NaN says: not known
    return { spacing: spacing as Vector3, origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
  }
  const signs = SPACES[(fields.space ?? "").toLowerCase()];
  if (!signs) throw refuse(`its space is "${fields.space ?? "not named"}"; LPS, RAS or LAS wanted`);
  const columns = directions.match(/\([^)]*\)/g)?.map(vector) ?? [];
  const origin = fields["space origin"] ? vector(fields["space origin"]) : [0, 0, 0];
  if ([...columns, origin].some((v) => v.length !== 3 || !v.every(Number.isFinite)) || columns.length !== 3) {
    throw refuse(`3 space directions and an origin wanted, found "${directions}" and "${fields["space origin"]}"`);
  }
  if (columns.some((v) => Math.hypot(...v) === 0)) throw refuse(`a space direction is zero: "${directions}"`);
  return fromAffine(signs.map((sign, i) => [...columns.map((column) => sign * column[i]), sign * origin[i]]));
}
