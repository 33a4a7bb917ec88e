/**
 * NRRD volumes (http://teem.sourceforge.net/nrrd/format.html), as the LA challenge gives them: 3-D, raw or gzip, either
 * endianness, data attached or in one file beside the header. The file's first axis is fastest and its space LPS as a
 * rule; what is returned has its axes X, Y, Z with Z fastest and its geometry in RAS+. A header that contradicts itself or
 * its data is refused; every pattern over one takes time in proportion to its length.
 * @module
 */
import { basename, dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  type AxisOrder,
  fromAffine,
  type Geometry,
  isFlat,
  toAffine,
  TOLERANCE,
  type Vector3,
} from "../arrays/geometry.ts";
import { inflate } from "./inflate.ts";
import { bytesOf, decodeVoxels, inFileOrder, type Volume, type VoxelType } from "./voxels.ts";
import { DataError } from "./errors.ts";

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

/** The fields of the format, without the spaces in their names, which are optional in most. */
const FIELDS = new Set(
  ("content dimension type blocksize encoding endian min max oldmin oldmax datafile lineskip byteskip number sampleunits " +
    "sizes spacings thicknesses axismins axismaxs centers centerings labels units kinds space spacedimension spaceunits " +
    "spaceorigin spacedirections measurementframe").split(" "),
);
/** Kinds of axes along which a volume lies in space; others hold colors, vectors or time. */
const SPATIAL_KINDS = ["domain", "space", "none", "???"];

type Fields = Record<string, string>;
type Refuse = (why: string) => DataError;

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);
/** A number of decimal digits alone; "" and "0x1" are none. */
const numberOf = (text: string): number => /^[-+.\de]+$/i.test(text) ? Number(text) : NaN;
/** The width that a text says; null for "nan": not known. */
const widthOf = (text: string): number | null => text.toLowerCase() === "nan" ? null : numberOf(text);
/** The vectors of `(1,0,0) (0,1,0)`; NaN for what is none. */
const vectorsOf = (text: string): number[][] =>
  text.split(")").map((part) => part.trim()).filter((part, i, { length }) => part || i < length - 1).map((part) =>
    part.startsWith("(") ? part.slice(1).split(",").map((number) => numberOf(number.trim())) : [NaN]
  );

/** The fields of a header that say where its voxels lie, as they stand there: numbers and names of the format, no free text. */
export type NrrdPlace = Partial<
  Record<"space" | "space directions" | "space origin" | "space units" | "spacings" | "units", string>
>;
const PLACE_FIELDS: (keyof NrrdPlace)[] = [
  ...["space", "space directions", "space origin", "space units", "spacings", "units"] as const,
];

/** A volume of a file, with what its header says of its place. */
export interface NrrdVolume extends Volume {
  /** The place as it stands in the file. */
  place: NrrdPlace;
}

/**
 * Reads an NRRD volume, and the data file that its header names. Needs `--allow-read`.
 * @throws {DataError} As {@linkcode decodeNrrd}.
 */
export async function readNrrd(path: string): Promise<NrrdVolume> {
  return decodeNrrd(await readNrrdFile(path), path);
}

/** The bytes of a file. Needs `--allow-read`. @throws {DataError} When it is no regular file: a pipe or a device may have no end. */
export async function readNrrdFile(path: string): Promise<Uint8Array> {
  const { isFile, isDirectory } = await Deno.stat(path), found = isDirectory ? "a folder" : "a pipe or a device";
  if (!isFile) throw new DataError(`Cannot read "${path}" as NRRD: it is ${found}, where a file is wanted`);
  return await Deno.readFile(path);
}

/**
 * Decodes a file's bytes; data that stand beside the header are read from its folder. Without space directions the voxels
 * lie where ITK puts them: LPS from the origin, and the volume is not `isPlaced`.
 * @param source Its path, for errors and for a file beside it.
 * @throws {DataError} Naming what was found and what is wanted.
 *
 * @example Two voxels along X; LPS becomes RAS+
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeNrrd } from "@ssnet/pipeline/files/nrrd.ts";
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
export function decodeNrrd(bytes: Uint8Array, source: string): NrrdVolume {
  const refuse = (why: string) => { // what it quotes of the file may be long, or no text
    const told = why.slice(0, 300).replace(/\p{Cc}/gu, "?") + (why.length > 300 ? "…" : "");
    return new DataError(`Cannot read "${source}" as NRRD: ${told}`);
  };
  const latin1 = (part: Uint8Array) => new TextDecoder("latin1").decode(part);
  if (!/^NRRD000\d/.test(latin1(bytes.subarray(0, 8)))) throw refuse(`it does not begin with "NRRD000"`);
  const end = endOfHeader(bytes), fields = fieldsOf(latin1(bytes.subarray(0, end?.header)), refuse);
  const beside = fields.datafile;
  if (!end && beside === undefined) throw refuse("its header has no end");
  if (fields.dimension !== "3") {
    const several = Number(fields.dimension) > 3 ? "; save the volume that is meant as a file of its own" : "";
    throw refuse(`dimension 3 wanted, found "${fields.dimension ?? "none"}"${several}`);
  }
  const shape = words(fields.sizes ?? "").map((size) => /^\d+$/.test(size) ? Number(size) : NaN) as Vector3;
  if (shape.length !== 3 || !shape.every((n) => n > 0)) throw refuse(`3 sizes wanted, found "${fields.sizes}"`);
  const kinds = words(fields.kinds?.toLowerCase() ?? "domain domain domain");
  if (kinds.length !== 3 || !kinds.every((kind) => SPATIAL_KINDS.includes(kind))) {
    throw refuse(`3 axes in space wanted, found the kinds "${fields.kinds}"`);
  }
  const type = TYPES[fields.type?.toLowerCase()];
  if (!type) throw refuse(`the type "${fields.type}" is not known; known are ${Object.keys(ALIASES).join(", ")}`);
  const encoding = fields.encoding?.toLowerCase(), isGzip = encoding === "gzip" || encoding === "gz";
  if (!isGzip && encoding !== "raw") throw refuse(`its encoding is "${fields.encoding}"; raw or gzip wanted`);
  const wanted = bytesOf(type, shape), endian = fields.endian?.toLowerCase();
  if (endian === undefined ? bytesOf(type, [1]) > 1 : endian !== "little" && endian !== "big") {
    throw refuse(`endian little or big wanted for voxels of the type "${fields.type}", found "${fields.endian ?? ""}"`);
  }
  for (const skip of ["lineskip", "byteskip"]) {
    if (Number(fields[skip] ?? 0) !== 0) throw refuse(`it skips a part of its data ("${skip}"); whole data wanted`);
  }
  const geometry = geometryOf(fields, refuse);
  try {
    // What gzip cannot shrink grows by less than a hundredth.
    const stored = beside === undefined
      ? bytes.subarray(end!.data)
      : readBeside(source, beside, { limit: isGzip ? 65536 + 1.01 * wanted : wanted, refuse });
    const data = isGzip ? inflate(stored, wanted) : stored;
    if (data.length !== wanted) throw new RangeError(`${wanted} bytes of data wanted, ${data.length} found`);
    const voxels = decodeVoxels(data, { type, little: endian !== "big", shape });
    const place = Object.fromEntries(
      PLACE_FIELDS.map((field) => [field, fields[field.replaceAll(" ", "")]]).filter(([, text]) => text !== undefined),
    );
    return { shape, data: voxels, geometry, isPlaced: fields.spacedirections !== undefined, place };
  } catch (error) {
    if (error instanceof RangeError) throw refuse(error.message);
    if (error instanceof Deno.errors.NotFound) throw refuse(`its data stand in "${beside}", which is not beside it`);
    throw error;
  }
}

/** Where the header ends and its data begin: behind the first empty line; null without one. */
function endOfHeader(bytes: Uint8Array): { header: number; data: number } | null {
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, end + 1)) {
    const next = end + (bytes[end + 1] === 13 ? 2 : 1);
    if (bytes[next] === 10) return { header: end, data: next + 1 };
  }
  return null;
}

/** The fields of a header by their names in lower case, without spaces. */
function fieldsOf(header: string, refuse: Refuse): Fields {
  const fields: Fields = {};
  for (const line of header.split("\n").slice(1).map((line) => line.trim())) {
    if (!line || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase(), key = name.replaceAll(" ", "");
    if (!FIELDS.has(key) || line[colon + 1] === "=") {
      if (line.includes(":=")) continue; // a key of the user's own with its value
      throw refuse(`its header has a line that is no field of the format: "${line}"`);
    }
    if (Object.hasOwn(fields, key)) throw refuse(`its header has the field "${name}" twice`);
    fields[key] = line.slice(colon + 1).trim();
    if (key === "datafile" && /^LIST\b|%\d*d/.test(fields[key])) {
      throw refuse(`its data stand in several files ("${line}"); one file wanted, as any program saves it`);
    }
  }
  return fields;
}

/** The data that stand in a file of the header's folder. @param options `limit`: bytes that the header justifies. */
function readBeside(source: string, name: string, { limit, refuse }: { limit: number; refuse: Refuse }): Uint8Array {
  const plain = name.replace(/^\.\//, "");
  if (plain !== basename(plain) || plain === ".." || plain.length > 255 || plain.includes("\\")) {
    throw refuse(`its data stand in "${name}"; the plain name of a file beside it wanted`);
  }
  const path = join(dirname(source), plain), { isFile, size } = Deno.statSync(path);
  if (!isFile) throw refuse(`its data stand in "${name}", which is no regular file`);
  if (size > limit) {
    throw new RangeError(`at most ${Math.floor(limit)} bytes of data wanted, ${size} found in "${name}"`);
  }
  return Deno.readFileSync(path);
}

function geometryOf(fields: Fields, refuse: Refuse): Geometry | null {
  for (const field of ["spaceunits", "units"]) {
    const units = words((fields[field] ?? "").replaceAll('"', " "));
    if (!units.every((unit) => unit === "mm")) throw refuse(`mm wanted as its ${field}, found ${fields[field]}`);
  }
  for (const field of ["axismins", "axismaxs"]) {
    if (words(fields[field] ?? "").some((bound) => bound.toLowerCase() !== "nan")) {
      throw refuse(`its place is told by ${field}; space directions and an origin wanted`);
    }
  }
  const { spacings, spacedirections: directions } = fields, widths = words(spacings ?? "nan nan nan").map(widthOf);
  if (widths.length !== 3 || widths.some((width) => width !== null && !(width > 0 && width < Infinity))) {
    throw refuse(`3 spacings above 0 wanted, found "${spacings}"`);
  }
  if (directions === undefined) {
    if (fields.spaceorigin !== undefined) throw refuse("it has a space origin without space directions");
    if (widths.includes(null)) return null;
    return { spacing: widths as Vector3, origin: [0, 0, 0], direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1] };
  }
  const signs = SPACES[(fields.space ?? "").toLowerCase()];
  if (!signs) throw refuse(`its space is "${fields.space ?? "not named"}"; LPS, RAS or LAS wanted`);
  const columns = vectorsOf(directions), [origin, ...others] = vectorsOf(fields.spaceorigin ?? "(0,0,0)");
  if (
    [...columns, origin ?? []].some((v) => v.length !== 3 || !v.every(Number.isFinite)) || columns.length !== 3 ||
    others.length
  ) {
    throw refuse(`3 space directions and an origin wanted, found "${directions}" and "${fields.spaceorigin}"`);
  }
  if (columns.some((v) => Math.hypot(...v) === 0)) throw refuse(`a space direction is zero: "${directions}"`);
  const geometry = fromAffine(
    signs.map((sign, i) => [...columns.map((column) => sign * column[i]), sign * origin[i]]),
  );
  if (isFlat(geometry)) throw refuse(`its space directions lie in one plane: "${directions}"`);
  if (widths.some((width, i) => width !== null && !(Math.abs(width - geometry.spacing[i]) <= TOLERANCE.millimeters))) {
    throw refuse(`its spacings "${spacings}" are not those of its space directions "${directions}"`);
  }
  return geometry;
}

/**
 * Bytes of a mask as uint8 NRRD, gzipped.
 * @param mask With the axes that it says ("XYZ" where it does not), the last one fastest.
 * @param options `shape` and `geometry` along X, Y, Z; null: not known; `place`: what the header of its image says instead.
 *
 * @example A mask comes back where it was
 * ```ts
 * import assert from "node:assert/strict";
 * import { fromAffine } from "@ssnet/pipeline/arrays/geometry.ts";
 * import { decodeNrrd, encodeNrrdMask } from "@ssnet/pipeline/files/nrrd.ts";
 *
 * const geometry = fromAffine([[-0.5, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 2, 30]]);
 * const read = decodeNrrd(encodeNrrdMask(Uint8Array.of(1, 0), { shape: [1, 2, 1], geometry }), "mask.nrrd");
 * assert.deepEqual([read.geometry, [...read.data]], [geometry, [1, 0]]);
 * ```
 */
export function encodeNrrdMask(
  mask: Uint8Array,
  { shape, geometry, place, axes = "XYZ" }: {
    shape: readonly number[];
    geometry: Geometry | null;
    place?: NrrdPlace;
    axes?: AxisOrder;
  },
): Uint8Array {
  const fields = { ...place ?? placeOf(geometry), kinds: "domain domain domain", encoding: "gzip" };
  const header = ["NRRD0004", "type: uint8", "dimension: 3", `sizes: ${shape.join(" ")}`].concat(
    Object.entries(fields).map(([field, text]) => `${field}: ${text}`),
  ).join("\n");
  const head = new TextEncoder().encode(`${header}\n\n`), packed = gzipSync(inFileOrder(mask, shape, axes));
  const bytes = new Uint8Array(head.length + packed.length);
  bytes.set(head);
  bytes.set(packed, head.length);
  return bytes;
}

/** The fields that say a geometry. */
function placeOf(geometry: Geometry | null): NrrdPlace {
  if (!geometry) return {};
  const [x, y, z] = toAffine(geometry), lps = [x.map((n) => -n + 0), y.map((n) => -n + 0), z];
  const [a, b, c, origin] = [0, 1, 2, 3].map((column) => `(${lps.map((row) => row[column])})`);
  return { space: "left-posterior-superior", "space directions": `${a} ${b} ${c}`, "space origin": origin };
}
