/**
 * NRRD volumes (http://teem.sourceforge.net/nrrd/format.html), as the LA challenge gives them: 3-D, raw or gzip, either
 * endianness, attached data. The file's first axis is fastest; what is returned has its axes X, Y, Z with Z fastest.
 * @module
 */
import { gunzipSync } from "node:zlib";
import { DataError } from "./cases.ts";

/** A volume with its geometry, directions in the file's own space. */
export interface NrrdVolume {
  shape: [number, number, number];
  /** Z fastest. */
  data: Float32Array;
  /** Millimetres along X, Y, Z; null where the file does not say. */
  spacing: [number, number, number] | null;
  origin: number[] | null;
  space: string | null;
}

type Reader = (view: DataView, offset: number, little: boolean) => number;
const TYPES: Record<string, [number, Reader]> = {
  uint8: [1, (v, o) => v.getUint8(o)],
  int8: [1, (v, o) => v.getInt8(o)],
  int16: [2, (v, o, l) => v.getInt16(o, l)],
  uint16: [2, (v, o, l) => v.getUint16(o, l)],
  int32: [4, (v, o, l) => v.getInt32(o, l)],
  uint32: [4, (v, o, l) => v.getUint32(o, l)],
  float: [4, (v, o, l) => v.getFloat32(o, l)],
  double: [8, (v, o, l) => v.getFloat64(o, l)],
};
const ALIASES: Record<string, string> = {
  "unsigned char": "uint8",
  uchar: "uint8",
  uint8_t: "uint8",
  "signed char": "int8",
  int8_t: "int8",
  short: "int16",
  int16_t: "int16",
  "unsigned short": "uint16",
  ushort: "uint16",
  uint16_t: "uint16",
  int: "int32",
  int32_t: "int32",
  "unsigned int": "uint32",
  uint: "uint32",
  uint32_t: "uint32",
};

const vector = (text: string): number[] => text.replace(/[()]/g, "").split(",").map(Number);

/** Decodes a file's bytes. @param source Its name, for errors. @throws {DataError} Naming what was found and what is wanted. */
export function decodeNrrd(bytes: Uint8Array, source: string): NrrdVolume {
  const refuse = (why: string) => new DataError(`Cannot read "${source}" as NRRD: ${why}`);
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 65536));
  if (!text.startsWith("NRRD000")) throw refuse(`it does not begin with "NRRD000"`);
  const end = text.match(/\r?\n\r?\n/);
  if (!end) throw refuse("its header has no end");
  const fields = Object.fromEntries(
    text.slice(0, end.index).split(/\r?\n/).slice(1).filter((line) => !line.startsWith("#") && !line.includes(":="))
      .map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
      }),
  );
  const shape = (fields.sizes ?? "").split(/\s+/).map(Number) as [number, number, number];
  if (shape.length !== 3 || shape.some((n) => !(n > 0))) throw refuse(`3 sizes wanted, found "${fields.sizes}"`);
  const type = TYPES[ALIASES[fields.type] ?? fields.type];
  if (!type) throw refuse(`the type "${fields.type}" is not known; known are ${Object.keys(TYPES).join(", ")}`);
  if (fields["data file"] ?? fields.datafile) throw refuse("its data stand in another file; attached data wanted");
  if (!["raw", "gzip", "gz"].includes(fields.encoding)) {
    throw refuse(`its encoding is "${fields.encoding}"; raw or gzip wanted`);
  }
  let data = bytes.subarray(end.index! + end[0].length);
  try {
    if (fields.encoding !== "raw") data = gunzipSync(data);
  } catch (error) {
    throw refuse(`its data do not unpack: ${(error as Error).message}`);
  }
  const [width, read] = type, [nx, ny, nz] = shape, count = nx * ny * nz;
  if (data.length < count * width) throw refuse(`${count * width} bytes of data wanted, ${data.length} found`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength), little = fields.endian !== "big";
  const values = new Float32Array(count);
  let from = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, from += width) values[(x * ny + y) * nz + z] = read(view, from, little);
    }
  }
  const directions = fields["space directions"]?.match(/\([^)]*\)/g)?.map(vector);
  const spacing = directions?.length === 3
    ? directions.map((d) => Math.hypot(...d))
    : fields.spacings?.split(/\s+/).map(Number) ?? null;
  return {
    shape,
    data: values,
    spacing: spacing as NrrdVolume["spacing"],
    origin: fields["space origin"] ? vector(fields["space origin"]) : null,
    space: fields.space ?? null,
  };
}
