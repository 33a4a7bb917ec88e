/**
 * Files of `torch.save` (`.pth`, `.pt`) in the zip format that torch writes since 1.6: a pickle that names tensors, and their
 * storages as stored bytes beside it. Written is what `torch.load(path, weights_only=True)` reads. Dictionaries of tensors alone are read; nothing of a file is run or unpacked, so what
 * is in memory is at most the file a few times over.
 *
 * Source: torch 2.15, `torch/serialization.py` (`_save`, `persistent_id`), `torch/_utils.py` (`_rebuild_tensor_v2`).
 * @module
 */
import { configure, type FileEntry, Uint8ArrayReader, Uint8ArrayWriter, ZipReader, ZipWriter } from "@zip.js/zip.js";
import { sizeOf } from "../arrays/shape.ts";
import { realValues, type StoredTensor, type TensorSource, valuesOf, WIDTHS } from "./dtypes.ts";
import { DataError } from "./errors.ts";
import { readPickle, UnknownGlobal } from "./pickle.ts";

/** The classes of storages, which name a type. */
const STORAGES = new Map(
  Object.entries({
    FloatStorage: "F32",
    DoubleStorage: "F64",
    HalfStorage: "F16",
    BFloat16Storage: "BF16",
    LongStorage: "I64",
    IntStorage: "I32",
    ShortStorage: "I16",
    CharStorage: "I8",
    ByteStorage: "U8",
    BoolStorage: "BOOL",
  }).map(([name, dtype]) => [`torch ${name}`, { dtype }]),
);

/** A storage of a file. */
interface Storage {
  dtype: string;
  /** How many values it holds. */
  count: number;
  bytes: Uint8Array;
}

const PROTO = 0x80, NEWFALSE = 0x89; // opcodes
const MOST_AXES = 16, DEEPEST = 8, LONGEST_NAME = 400;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MOST_AXES && value.every(isCount);

/** Whether bytes are a file of torch's of any age. */
export function isTorchFile(bytes: Uint8Array): boolean {
  return startsWith(bytes, ZIP) || startsWith(bytes, OLD);
}

const ZIP = [0x50, 0x4b, 0x03, 0x04], OLD = [0x80, 2, 0x8a, 0x0a]; // a pickled number of ten bytes
const startsWith = (bytes: Uint8Array, start: number[]) => start.every((byte, i) => bytes[i] === byte);

/**
 * The tensors of a file by their names; those of a dictionary within another behind its name and a dot, as
 * `state_dict.head.weight`. What is no tensor (an epoch, the settings of an optimizer) is left out.
 * @param source Its path, for errors.
 * @throws {DataError} Naming what was found and what is wanted, and how to save it so: torch's older format, TorchScript, an
 * object of a class of Python's, a tensor outside its storage, a storage that is packed or of another length.
 */
export async function decodeTorchFile(bytes: Uint8Array, source: string): Promise<Record<string, StoredTensor>> {
  const refuse = (why: string, cause?: unknown) =>
    new DataError(`Cannot read "${source}" as a file of torch's: ${why}`, { cause });
  if (startsWith(bytes, OLD)) {
    throw refuse(
      "it has the format of torch before 1.6; save it again in Python: " +
        'torch.save(torch.load(OLD, map_location="cpu"), NEW)',
    );
  }
  try {
    const members = await readMembers(bytes), pickle = members.get("data.pkl");
    if (!pickle) throw new RangeError("it has no data.pkl");
    const order = members.get("byteorder");
    if (order && new TextDecoder().decode(order) !== "little") {
      throw new RangeError("its numbers are not little-endian");
    }
    const names = { globals: globals(), persistent: (id: unknown) => storageOf(id, members) };
    return tensorsOf(readPickle(pickle, names), pickle.length);
  } catch (error) {
    if (error instanceof UnknownGlobal) {
      throw refuse(
        `it holds ${error.message}, a class or function of Python's, where a dictionary of tensors is wanted; save that ` +
          'alone, where its class is: torch.save(model.state_dict(), "weights.pth")',
      );
    }
    throw refuse((error as Error).message, error);
  }
}

/**
 * The files of an archive, without the folder around them.
 * @throws When it is damaged, or not stored byte for byte as torch does: packed ones might unpack to any length.
 */
async function readMembers(archive: Uint8Array): Promise<Map<string, Uint8Array>> {
  configure({ useWebWorkers: false });
  const entries: FileEntry[] = [];
  let stored = 0;
  for await (const entry of new ZipReader(new Uint8ArrayReader(archive)).getEntriesGenerator()) {
    if (entry.directory) continue;
    const { filename, compressionMethod, compressedSize, uncompressedSize, encrypted } = entry;
    if (filename.includes("/code/")) {
      throw new RangeError("it is TorchScript; its weights wanted: torch.save(torch.jit.load(OLD).state_dict(), NEW)");
    }
    stored += compressedSize;
    if (compressionMethod !== 0 || encrypted || compressedSize !== uncompressedSize) {
      throw new RangeError(`${filename} is packed; torch stores its files as they are`);
    }
    if (stored > archive.length) {
      throw new RangeError(`its files have more bytes than itself, which are ${archive.length}`);
    }
    entries.push(entry);
  }
  const members = new Map<string, Uint8Array>();
  for (const entry of entries) {
    const bytes = await entry.getData(new Uint8ArrayWriter(), { checkSignature: true });
    members.set(entry.filename.slice(entry.filename.indexOf("/") + 1), bytes);
  }
  return members;
}

/** What the pickles of tensors name; everything else is refused. */
function globals(): Map<string, unknown> {
  return new Map<string, unknown>([
    ...STORAGES,
    ["collections OrderedDict", (...pairs: unknown[]) => {
      if (!pairs.length) return new Map();
      throw new RangeError("an ordered dictionary with arguments; an empty one wanted");
    }],
    ["torch._utils _rebuild_tensor_v2", rebuiltTensor],
    ["torch._utils _rebuild_parameter", (tensor: unknown) => {
      if (tensor instanceof Tensor) return tensor;
      throw new RangeError("a parameter that is no tensor");
    }],
  ]);
}

/** `("storage", class, key, device, count)`. */
function storageOf(id: unknown, members: Map<string, Uint8Array>): Storage {
  const [kind, type, key, , count] = Array.isArray(id) ? id : [];
  const dtype = [...STORAGES.values()].find((storage) => storage === type)?.dtype;
  if (kind !== "storage" || !dtype || typeof key !== "string" || !isCount(count)) {
    throw new RangeError("a persistent object that is no storage of numbers");
  }
  const bytes = members.get(`data/${key}`);
  if (bytes?.length === count * WIDTHS[dtype]) return { dtype, count, bytes };
  const found = bytes ? `${bytes.length} bytes` : "no such file";
  throw new RangeError(`storage ${key.slice(0, 40)} of ${count} ${dtype} wanted, ${found} found`);
}

/** A tensor as a part of its storage. */
class Tensor implements StoredTensor {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: number[],
    readonly strides: number[],
  ) {}

  get dtype(): string {
    return this.storage.dtype;
  }

  values(): Float32Array {
    const { storage: { dtype, bytes }, offset, shape, strides } = this, count = sizeOf(shape), width = WIDTHS[dtype];
    const isWhole = strides.every((stride, i) => shape[i] === 1 || stride === sizeOf(shape.slice(i + 1)));
    if (isWhole) return realValues(bytes.subarray(offset * width, (offset + count) * width), dtype);
    const all = realValues(bytes, dtype), values = new Float32Array(count), index = shape.map(() => 0);
    for (let i = 0, from = offset; i < count; i++) {
      values[i] = all[from];
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        from += strides[axis];
        if (++index[axis] < shape[axis]) break;
        from -= strides[axis] * shape[axis];
        index[axis] = 0;
      }
    }
    return values;
  }
}

/** `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`, within the bounds of its storage. */
function rebuiltTensor(storage: unknown, offset: unknown, shape: unknown, strides: unknown): Tensor {
  const { count, bytes } = (storage ?? {}) as Partial<Storage>;
  if (count === undefined || !bytes || !isCount(offset) || !isCounts(shape) || !isCounts(strides)) {
    throw new RangeError("a tensor wanted of a storage, a place in it, a shape and strides");
  }
  const told = `a tensor of shape [${shape}] and strides [${strides}] from ${offset} on`;
  if (shape.length !== strides.length) throw new RangeError(`${told}: as many strides as axes wanted`);
  const last = shape.reduce((at, n, i) => at + (n - 1) * strides[i], offset), size = sizeOf(shape);
  if (size && !(last < count)) throw new RangeError(`${told} leaves its storage of ${count} values`);
  // As `expand` makes them: what is in memory would follow from the shape, not from the file.
  if (!(size <= count)) throw new RangeError(`${told} repeats values of its storage; save TENSOR.contiguous()`);
  return new Tensor(storage as Storage, offset, shape, strides);
}

/** The tensors of nested dictionaries. @param most Entries that a pickle of so many bytes can have without repeating any. */
function tensorsOf(value: unknown, most: number): Record<string, StoredTensor> {
  const tensors: Record<string, StoredTensor> = Object.create(null);
  let seen = 0;
  const add = (value: unknown, name: string, depth: number) => {
    if (++seen > most || depth > DEEPEST) throw new RangeError("its dictionaries hold one another");
    if (name.length > LONGEST_NAME) throw new RangeError(`a name of ${name.length} characters`);
    if (value instanceof Tensor) tensors[name] = value;
    if (value instanceof Map) {
      for (const [key, inner] of value) {
        if (typeof key === "string" || typeof key === "number") {
          add(inner, name ? `${name}.${key}` : `${key}`, depth + 1);
        }
      }
    }
  };
  if (!(value instanceof Map)) throw new RangeError("a dictionary of tensors wanted, found another value");
  add(value, "", 0);
  return tensors;
}

/** The class of a storage by the type of its numbers. */
const CLASSES = { F32: "FloatStorage", F16: "HalfStorage", I64: "LongStorage" } as const;
const NO_TIME = new Date(1980, 0, 1); // the same tensors are the same bytes

/**
 * A dictionary of tensors as `torch.save` writes it, which `torch.load(path, weights_only=True)` and `load_state_dict` read.
 * @throws {RangeError} Naming the array whose values do not fill its shape.
 */
export async function encodeTorchFile(tensors: Record<string, TensorSource>): Promise<Uint8Array> {
  configure({ useWebWorkers: false });
  const zip = new ZipWriter(new Uint8ArrayWriter(), {
    ...{ level: 0, dataDescriptor: false, extendedTimestamp: false, lastModDate: NO_TIME },
  });
  const add = (name: string, bytes: Uint8Array) => zip.add(`archive/${name}`, new Uint8ArrayReader(bytes));
  const text = (value: string) => new TextEncoder().encode(value);
  await add("data.pkl", pickleOf(tensors));
  await add("byteorder", text("little"));
  for (const [key, [name, source]] of Object.entries(tensors).entries()) {
    await add(`data/${key}`, valuesOf(name, source));
  }
  await add("version", text("3\n"));
  return await zip.close();
}

/** The pickle of {@linkcode encodeTorchFile}; storages are named by their place. */
function pickleOf(tensors: Record<string, TensorSource>): Uint8Array {
  const parts: number[] = [];
  const opcodes = (text: string) => parts.push(...new TextEncoder().encode(text));
  const number = (code: string, value: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    opcodes(code);
    parts.push(...bytes);
  };
  const string = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    number("X", bytes.length);
    parts.push(...bytes);
  };
  const tuple = (values: number[]) => {
    opcodes("(");
    for (const value of values) number("J", value);
    opcodes("t");
  };
  parts.push(PROTO, 2);
  opcodes("}(");
  for (const [key, [name, { shape, dtype }]] of Object.entries(tensors).entries()) {
    string(name);
    opcodes("ctorch._utils\n_rebuild_tensor_v2\n((");
    string("storage");
    opcodes(`ctorch\n${CLASSES[dtype]}\n`);
    string(`${key}`);
    string("cpu");
    number("J", sizeOf(shape));
    opcodes("tQ");
    number("J", 0);
    tuple(shape);
    tuple(shape.map((_, axis) => sizeOf(shape.slice(axis + 1))));
    parts.push(NEWFALSE);
    opcodes("ccollections\nOrderedDict\n)RtR");
  }
  opcodes("u.");
  return Uint8Array.from(parts);
}
