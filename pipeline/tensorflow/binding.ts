// deno-lint-ignore-file no-explicit-any
/**
 * `TFJSBinding`, the one object that `@tensorflow/tfjs-node-gpu`'s kernels ask for, over TensorFlow's C API.
 * Eagerly every operation runs at once; while a trace is open it becomes a node of a graph (`trace.ts`).
 * @module
 */
import type { TFJSBinding } from "@tensorflow/tfjs-node-gpu/dist/tfjs_binding.d.ts";
import { BFLOAT16, castOf, FLOAT32 } from "./autocast.ts";
import {
  type Cuda,
  cudaFault,
  type Device,
  findLibrary,
  type Library,
  openCuda,
  openLibrary,
  type Symbols,
  tensorFloat32,
  TensorFlowError,
} from "./library.ts";
import { type Precision, type PrecisionWish, wantsTensorFloat32 } from "./precision.ts";

/** TensorFlow's data types (`tensorflow/c/tf_datatype.h`) as far as tfjs has them. */
export const DTYPE = {
  float: 1,
  uint8: 4,
  int32: 3,
  string: 7,
  complex64: 8,
  int64: 9,
  bool: 10,
  resource: 20,
} as const;
/** tfjs-node's own numbering of attribute kinds. */
export const ATTRIBUTE = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5 } as const;
const ITEM_BYTES: Record<number, number> = { 1: 4, 3: 4, 4: 1, 8: 8, 9: 8, 10: 1 };
const TSTRING_BYTES = 24; // sizeof(TF_TString)
/** TensorFlow's switch for cuDNN's norms of bfloat16 with channels last; without it each is transposed there and back: a step takes twice the time. */
const CHANNELS_LAST_NORMS = "TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT";
const LIST_INPUTS = new Set(["ConcatV2", "Pack", "AddN"]);

/** An attribute of an operation, as tfjs's kernels write it. */
export interface Attribute {
  /** TensorFlow's, for example "T" or "padding". */
  name: string;
  /** Kind of the value, one of {@linkcode ATTRIBUTE}. */
  type: number;
  /** A value of that kind, or a list; a data type is one of {@linkcode DTYPE}. */
  value: any;
}
/** What tfjs's backend wants to know about an output. */
export interface TensorMetadata {
  /** Eager tensors and nodes of a recording share one numbering. */
  id: number;
  /** The shape; in a recording a size that depends on values reads -1. */
  shape: number[];
  /** One of {@linkcode DTYPE}. */
  dtype: number;
}
/** One output of a graph's operation, `TF_Output`. */
export type Output = Uint8Array<ArrayBuffer>;
/** `TF_Output[]` */
function joined(outputs: Output[]): Output {
  const bytes = new Uint8Array(16 * outputs.length);
  outputs.forEach((output, i) => bytes.set(output, 16 * i));
  return bytes;
}
/** A graph that is being recorded. */
export interface Recording {
  /** `TF_Graph*` */
  graph: Deno.PointerObject;
  /** Operations so far; they make names unique. */
  nodes: number;
  /** Arguments of the function, then what it captured. */
  inputs: Output[];
  /** The outputs by tensor id. */
  outputs: Map<number, Output>;
  /** Whether operations are cast as `autocast.ts` says; bfloat16 comes in by it alone. */
  autocast: boolean;
  /** The output in the other one of the two types by tensor id, where that was read. */
  twins: Map<number, Output>;
  /** Ids of eager tensors that the traced code reads without receiving them. */
  captured: number[];
}

const encoder = new TextEncoder();
const names = new Map<string, Uint8Array<ArrayBuffer>>();
function cString(text: string): Uint8Array<ArrayBuffer> {
  let bytes = names.get(text);
  if (!bytes) names.set(text, bytes = encoder.encode(text + "\0"));
  return bytes;
}
const readString = (pointer: Deno.PointerValue) => new Deno.UnsafePointerView(pointer!).getCString();
const int64s = (values: number[]) => new BigInt64Array(values.map((value) => BigInt(Math.trunc(value))));

/** Protocol buffers' form of a whole number, 7 bits a byte, lowest first. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [value % 128 + 128, ...varint(Math.floor(value / 128))];
}

/** Values as TensorFlow stores them; what tfjs has in the right form is not copied. */
function numbers(dtype: number, values: any): ArrayBufferView {
  // tfjs writes an int64 as two int32, a complex64 as two float32.
  if (dtype === DTYPE.int64) return ArrayBuffer.isView(values) ? values : BigInt64Array.from(values, BigInt);
  const wanted = dtype === DTYPE.int32
    ? Int32Array
    : dtype === DTYPE.bool || dtype === DTYPE.uint8
    ? Uint8Array
    : Float32Array;
  return values instanceof wanted ? values : wanted.from(values);
}

/** Settings of the one TensorFlow context. */
export interface BindingOptions {
  /** Threads inside an operation; 0 leaves the choice to TensorFlow. */
  threads?: number;
  /** "cpu" hides every GPU; "gpu" is an error where there is none; left out: a GPU where there is one. */
  device?: Device;
  /** Bound of TensorFlow's pool of the GPU's memory, 10⁹ bytes each; left out: all of it. */
  pool?: number;
  /** The one of fp32 and tf32 that a GPU is opened for; fp32 by default. With what is wanted beside bf16 it is tf32. */
  precision?: Precision | PrecisionWish;
  /** {@linkcode findLibrary}'s for the device by default. */
  library?: Library;
}

/** `ConfigProto`'s bytes for a context. */
export function contextConfig({ threads, device, pool }: BindingOptions): Uint8Array<ArrayBuffer> {
  // intra_op_parallelism_threads (field 2), inter_op_parallelism_threads (field 5).
  const config = [0x10, ...varint(threads ?? navigator.hardwareConcurrency), 0x28, 1];
  // device_count (field 1): { "GPU": 0 }, without which TensorFlow takes a GPU that is there.
  if (device === "cpu") config.push(0x0a, 0x07, 0x0a, 0x03, ...encoder.encode("GPU"), 0x10, 0x00);
  else {
    // gpu_options (field 6) { allow_growth (field 4): true }: else TensorFlow takes all of the GPU's memory at once.
    const options = [0x20, 0x01];
    if (pool) {
      // experimental (field 9) { virtual_devices (field 1) { memory_limit_mb (field 1), floats, 2²⁰ bytes each } }: a
      // bound in bytes, which per_process_gpu_memory_fraction would be only where the memory of the GPU is known already.
      const limit = new Uint8Array(Float32Array.of(Math.floor(pool * 1e9 / 2 ** 20)).buffer);
      options.push(0x4a, 0x08, 0x0a, 0x06, 0x0a, 0x04, ...limit);
    }
    config.push(0x32, options.length, ...options);
  }
  return new Uint8Array(config);
}

/** What is missing for a GPU, and what to do. */
function whyNoGpu(library: Library, cuda: Cuda): string {
  const { driverFault } = cuda, fault = cudaFault(library, cuda);
  return [...fault ? [fault] : [], ...driverFault ? [`${driverFault}; install NVIDIA's driver`] : []].join("; ") ||
    "CUDA and a driver are there: nvidia-smi tells what the driver finds, TF_CPP_MIN_LOG_LEVEL=0 what TensorFlow does";
}

/**
 * TensorFlow's C API as tfjs-node's kernels want it; the constants have the names and values that they read. Opened by
 * `new`, closed by `[Symbol.dispose]`. Every call that TensorFlow refuses is a {@linkcode TensorFlowError} with its words.
 * @internal Code above it calls tfjs, or `ops.ts` where tfjs has no kernel.
 */
export class Binding implements Omit<TFJSBinding, "loadSavedModel" | "deleteSavedModel" | "runSavedModel"> {
  readonly TensorMetadata = class {} as TFJSBinding["TensorMetadata"];
  readonly TFEOpAttr = class {} as TFJSBinding["TFEOpAttr"];
  readonly TF_FLOAT = DTYPE.float;
  readonly TF_INT32 = DTYPE.int32;
  readonly TF_INT64 = DTYPE.int64;
  readonly TF_BOOL = DTYPE.bool;
  readonly TF_COMPLEX64 = DTYPE.complex64;
  readonly TF_STRING = DTYPE.string;
  readonly TF_RESOURCE = DTYPE.resource;
  readonly TF_UINT8 = DTYPE.uint8;
  readonly TF_ATTR_STRING = ATTRIBUTE.string;
  readonly TF_ATTR_INT = ATTRIBUTE.int;
  readonly TF_ATTR_FLOAT = ATTRIBUTE.float;
  readonly TF_ATTR_BOOL = ATTRIBUTE.bool;
  readonly TF_ATTR_TYPE = ATTRIBUTE.type;
  readonly TF_ATTR_SHAPE = ATTRIBUTE.shape;
  readonly TF_ATTR_RESOURCE = 6;
  /** The version as TensorFlow says it, for example "2.21.0". */
  readonly TF_Version: string;
  /** TensorFlow's name of the device that computes. */
  readonly device: string;
  /** What was found of CUDA; nothing where the CPU was asked for. */
  readonly cuda?: Cuda;
  /** How products of float32 are computed, in the whole process. */
  readonly single: Precision;
  /** Operations that TensorFlow has executed or recorded. */
  operations = 0;
  /** Open while a function is traced; every operation then becomes a node of it. */
  recording: Recording | null = null;
  /** Is told of every operation that was executed or recorded, with its inputs and results; null: nobody. */
  watch: ((name: string, inputs: number[], results: TensorMetadata[]) => void) | null = null;

  /** Whether what is recorded runs on the CPU, also where the rest of its function runs on a GPU. */
  onHost = false;

  readonly #c: Symbols;
  readonly #status: Deno.PointerValue;
  readonly #context: Deno.PointerValue;
  readonly #handles = new Map<number, Deno.PointerObject>();
  readonly #gpu: boolean = false;
  /** ConfigProto of the context: threads and devices. */
  readonly #config: Uint8Array<ArrayBuffer>;
  #nextId = 0;
  #functions = 0;

  /**
   * Opens the library and a context of its own.
   * @throws {TensorFlowError} When the library is missing or broken, or there is no GPU where one is wanted,
   * or its memory is not bounded as wanted.
   */
  constructor({ library, ...options }: BindingOptions = {}) {
    library ??= findLibrary(options.device);
    if (options.device !== "cpu" && Deno.env.get(CHANNELS_LAST_NORMS) === undefined) {
      Deno.env.set(CHANNELS_LAST_NORMS, "1");
    }
    const c = this.#c = openLibrary(library);
    this.#status = c.TF_NewStatus();
    this.TF_Version = readString(c.TF_Version());
    if (options.device !== "cpu") this.cuda = openCuda(c, library);
    this.#config = contextConfig(options);
    const contextOptions = c.TFE_NewContextOptions();
    c.TFE_ContextOptionsSetConfig(contextOptions, this.#config, BigInt(this.#config.length), this.#status);
    this.#check("configure TensorFlow");
    this.#context = c.TFE_NewContext(contextOptions, this.#status);
    this.#check("open a context");
    c.TFE_DeleteContextOptions(contextOptions);
    const devices = this.#devices(), gpu = devices.find(({ type }) => type === "GPU");
    this.#gpu = gpu !== undefined;
    this.device = (gpu ?? devices[0]).name;
    const rounds = this.#gpu && wantsTensorFloat32(options.precision), tf32 = tensorFloat32(library);
    this.single = rounds ? "tf32" : "fp32";
    tf32?.set(rounds);
    if (this.#gpu && !rounds && !tf32) {
      this[Symbol.dispose]();
      throw new TensorFlowError(
        `Cannot compute in fp32 on ${this.device}: TensorFlow ${this.TF_Version} in "${library.folder}" lacks the ` +
          "function that turns TF32 off; use --precision tf32, or the library of deno task setup --gpu",
      );
    }
    if (options.device === "gpu" && !gpu) {
      this[Symbol.dispose]();
      throw new TensorFlowError(
        `Cannot use a GPU: TensorFlow ${this.TF_Version} in "${library.folder}" lists only ` +
          `${devices.map(({ name }) => name).join(", ")}; ${whyNoGpu(library, this.cuda!)}`,
      );
    }
    const { pool } = options;
    if (gpu && pool && gpu.bytes > pool * 1e9) {
      this[Symbol.dispose]();
      throw new TensorFlowError(
        `Cannot bound the GPU's memory to ${pool} GB: TensorFlow ${this.TF_Version} takes up to ${gpu.bytes / 1e9} GB`,
      );
    }
  }

  #devices(): { name: string; type: string; bytes: number }[] {
    const c = this.#c, list = c.TFE_ContextListDevices(this.#context, this.#status);
    this.#check("list devices");
    try {
      return Array.from({ length: c.TF_DeviceListCount(list) }, (_, i) => {
        const name = c.TF_DeviceListName(list, i, this.#status);
        this.#check("read a device's name");
        const type = c.TF_DeviceListType(list, i, this.#status);
        this.#check("read a device's type");
        const bytes = Number(c.TF_DeviceListMemoryBytes(list, i, this.#status));
        this.#check("read a device's memory");
        return { name: readString(name), type: readString(type), bytes };
      });
    } finally {
      c.TF_DeleteDeviceList(list);
    }
  }

  #check(action: string, op = "", status = this.#status) {
    const code = this.#c.TF_GetCode(status);
    if (code === 0) return;
    const message = readString(this.#c.TF_Message(status));
    this.#c.TF_SetStatus(status, 0, cString("")); // not every function clears what it finds
    throw new TensorFlowError(`Cannot ${action}: TensorFlow says: ${message}`, code, op);
  }

  /** A `TF_Tensor` filled with `values`. */
  #makeTensor(shape: number[], dtype: number, values: any): Deno.PointerObject {
    const c = this.#c, size = shape.reduce((a, b) => a * b, 1);
    const bytes = size * (dtype === DTYPE.string ? TSTRING_BYTES : ITEM_BYTES[dtype]);
    if (!Number.isFinite(bytes)) throw new TensorFlowError(`Cannot create a tensor of the data type ${dtype}`);
    const list = dtype === DTYPE.string ? values : numbers(dtype, values);
    const found = dtype === DTYPE.string ? list.length * TSTRING_BYTES : list.byteLength;
    if (found < bytes) {
      throw new TensorFlowError(
        `Cannot fill a tensor of shape [${shape}]: ${bytes} bytes wanted, ${found} found`,
      );
    }
    const tensor = c.TF_AllocateTensor(dtype, int64s(shape), shape.length, BigInt(bytes));
    if (!tensor) throw new TensorFlowError(`Cannot allocate a tensor of ${bytes} bytes, shape [${shape}]`);
    if (bytes === 0) return tensor;
    const data = c.TF_TensorData(tensor)!;
    if (dtype !== DTYPE.string) {
      new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(data, bytes))
        .set(new Uint8Array(list.buffer, list.byteOffset, bytes));
      return tensor;
    }
    for (let i = 0; i < size; i++) {
      const item = Deno.UnsafePointer.offset(data, i * TSTRING_BYTES);
      const text = (typeof list[i] === "string" ? encoder.encode(list[i]) : list[i]) as Uint8Array<ArrayBuffer>;
      c.TF_StringInit(item);
      c.TF_StringCopy(item, text, BigInt(text.length));
    }
    return tensor;
  }

  #shapeOf(handle: Deno.PointerObject): number[] {
    const c = this.#c, rank = c.TFE_TensorHandleNumDims(handle, this.#status);
    this.#check("read a rank");
    return Array.from({ length: rank }, (_, d) => {
      const size = c.TFE_TensorHandleDim(handle, d, this.#status);
      this.#check("read a shape");
      return Number(size);
    });
  }

  /** The same tensor on the GPU, in place of the one in the host's memory; most kernels read it there. */
  #toGpu(handle: Deno.PointerObject): Deno.PointerObject {
    const c = this.#c, copy = c.TFE_TensorHandleCopyToDevice(handle, this.#context, cString(this.device), this.#status);
    c.TFE_DeleteTensorHandle(handle);
    this.#check(`copy a tensor to ${this.device}`);
    return copy!;
  }

  #keep(handle: Deno.PointerObject): TensorMetadata {
    const id = this.#nextId++;
    this.#handles.set(id, handle);
    return { id, shape: this.#shapeOf(handle), dtype: this.#c.TFE_TensorHandleDataType(handle) };
  }

  /**
   * A tensor of its own copy of the values, a constant node while a recording is open.
   * @param values Typed array or list, C order; as many as the shape wants, or more.
   * @returns Its id.
   */
  createTensor(shape: number[], dtype: number, values: any): number {
    const c = this.#c, tensor = this.#makeTensor(shape, dtype, values);
    try {
      if (this.recording) {
        const node = this.#node("Const");
        c.TF_SetAttrTensor(node, cString("value"), tensor, this.#status);
        this.#check("record a constant");
        c.TF_SetAttrType(node, cString("dtype"), dtype);
        return this.#finish(node, "Const", 1)[0].id;
      }
      const handle = c.TFE_NewTensorHandle(tensor, this.#status);
      this.#check("create a tensor");
      // int32 stays: almost every kernel wants shapes, axes and seeds in the host's memory.
      const moved = this.#gpu && dtype !== DTYPE.int32 && dtype !== DTYPE.string;
      const { id } = this.#keep(moved ? this.#toGpu(handle!) : handle!);
      if (dtype !== DTYPE.string) return id;
      // A TF_Tensor frees its strings only if nobody shares them, a handle never: it gets a copy of TensorFlow's own.
      try {
        return this.executeOp("DeepCopy", [{ name: "T", type: ATTRIBUTE.type, value: dtype }], [id], 1)[0].id;
      } finally {
        this.deleteTensor(id);
      }
    } finally {
      c.TF_DeleteTensor(tensor);
    }
  }

  /** The data type of an eager tensor; of one that is being recorded that of its node, which may be bfloat16. */
  typeOf(id: number): number {
    const recorded = this.recording?.outputs.get(id);
    if (recorded) return this.#c.TF_OperationOutputType(recorded);
    const handle = this.#handles.get(id);
    if (!handle) {
      throw new TensorFlowError("Cannot read the data type of a tensor: it is disposed or belongs to a trace");
    }
    return this.#c.TFE_TensorHandleDataType(handle);
  }

  /** The device in whose memory an eager tensor lies, by TensorFlow's name. */
  deviceOf(id: number): string {
    const handle = this.#handles.get(id);
    if (!handle) throw new TensorFlowError("Cannot tell where a tensor lies: it is disposed or belongs to a trace");
    const name = this.#c.TFE_TensorHandleDeviceName(handle, this.#status);
    this.#check("read a tensor's device");
    return readString(name);
  }

  /** Gives an eager tensor's memory back; an id that is not known is let pass, as tfjs disposes nodes of a recording too. */
  deleteTensor(id: number): void {
    const handle = this.#handles.get(id);
    // Nodes of a recording live as long as its graph: nothing to do for them.
    if (!handle) return;
    this.#c.TFE_DeleteTensorHandle(handle);
    this.#handles.delete(id);
  }

  /** A copy of an eager tensor's values; waits until they are computed. @throws {TensorFlowError} For a traced one. */
  tensorDataSync(id: number): any {
    const handle = this.#handles.get(id);
    if (!handle) {
      throw new TensorFlowError(
        "Cannot read the value of a traced tensor: inside trace() only tensor operations are allowed; " +
          "values (dataSync, arraySync, JavaScript random numbers) must come in as arguments",
      );
    }
    const c = this.#c, tensor = c.TFE_TensorHandleResolve(handle, this.#status);
    this.#check("read a tensor");
    const dtype = c.TF_TensorType(tensor), data = c.TF_TensorData(tensor);
    try {
      if (dtype === DTYPE.string) {
        return Array.from({ length: Number(c.TF_TensorElementCount(tensor)) }, (_, i) => {
          const item = Deno.UnsafePointer.offset(data!, i * TSTRING_BYTES);
          const size = Number(c.TF_StringGetSize(item));
          if (size === 0) return new Uint8Array();
          return new Uint8Array(
            Deno.UnsafePointerView.getArrayBuffer(c.TF_StringGetDataPointer(item)!, size).slice(0),
          );
        });
      }
      const bytes = Number(c.TF_TensorByteSize(tensor));
      const buffer = bytes ? Deno.UnsafePointerView.getArrayBuffer(data!, bytes).slice(0) : new ArrayBuffer(0);
      if (dtype === DTYPE.float || dtype === DTYPE.complex64) return new Float32Array(buffer);
      if (dtype === DTYPE.int32) return new Int32Array(buffer);
      if (dtype === DTYPE.int64) return new BigInt64Array(buffer);
      if (dtype === DTYPE.bool || dtype === DTYPE.uint8) return new Uint8Array(buffer);
      throw new TensorFlowError(`Cannot read a tensor of the data type ${dtype}`);
    } finally {
      c.TF_DeleteTensor(tensor);
    }
  }

  #setAttributes(op: Deno.PointerValue, attributes: Attribute[], recorded: boolean) {
    const c = this.#c;
    for (const { name: key, type, value } of attributes) {
      const name = cString(key), list = Array.isArray(value);
      if (type === ATTRIBUTE.string && list) {
        const items = value.map((v: string) => encoder.encode(v));
        const pointers = new BigUint64Array(items.map((item) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(item))));
        const lengths = new BigUint64Array(items.map((item) => BigInt(item.length)));
        (recorded ? c.TF_SetAttrStringList : c.TFE_OpSetAttrStringList)(op, name, pointers, lengths, items.length);
      } else if (type === ATTRIBUTE.string) {
        const bytes = value instanceof Uint8Array ? value as Uint8Array<ArrayBuffer> : encoder.encode(value);
        (recorded ? c.TF_SetAttrString : c.TFE_OpSetAttrString)(op, name, bytes, BigInt(bytes.length));
      } else if (type === ATTRIBUTE.int && list) {
        (recorded ? c.TF_SetAttrIntList : c.TFE_OpSetAttrIntList)(op, name, int64s(value), value.length);
      } else if (type === ATTRIBUTE.int) {
        (recorded ? c.TF_SetAttrInt : c.TFE_OpSetAttrInt)(op, name, BigInt(Math.trunc(value)));
      } else if (type === ATTRIBUTE.float && list) {
        (recorded ? c.TF_SetAttrFloatList : c.TFE_OpSetAttrFloatList)(op, name, Float32Array.from(value), value.length);
      } else if (type === ATTRIBUTE.float) {
        (recorded ? c.TF_SetAttrFloat : c.TFE_OpSetAttrFloat)(op, name, value);
      } else if (type === ATTRIBUTE.bool) {
        (recorded ? c.TF_SetAttrBool : c.TFE_OpSetAttrBool)(op, name, value ? 1 : 0);
      } else if (type === ATTRIBUTE.type) {
        (recorded ? c.TF_SetAttrType : c.TFE_OpSetAttrType)(op, name, value);
      } else if (type === ATTRIBUTE.shape && recorded) {
        c.TF_SetAttrShape(op, name, int64s(value), value.length);
      } else if (type === ATTRIBUTE.shape) {
        c.TFE_OpSetAttrShape(op, name, int64s(value), value.length, this.#status);
        this.#check(`set the attribute "${key}"`);
      } else {
        throw new TensorFlowError(`Cannot set the attribute "${key}": its kind ${type} is unknown`);
      }
    }
  }

  /**
   * Runs one operation, or records it.
   * @param name TensorFlow's, for example "BiasAdd".
   * @param outputs How many it has.
   */
  executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): TensorMetadata[] {
    this.operations++;
    const results = this.recording
      ? this.#record(name, attributes, inputs, outputs)
      : this.#execute(name, attributes, inputs, outputs);
    this.watch?.(name, inputs, results);
    return results;
  }

  #execute(name: string, attributes: Attribute[], inputs: number[], outputs: number): TensorMetadata[] {
    const c = this.#c;
    const op = this.#prepare(name, attributes, inputs);
    try {
      const handles = new BigUint64Array(outputs), count = new Int32Array([outputs]);
      c.TFE_Execute(op, handles, count, this.#status);
      this.#check(`run ${name}`, name);
      return this.#keepAll(handles, count);
    } finally {
      c.TFE_DeleteOp(op);
    }
  }

  #keepAll(handles: BigUint64Array, count: Int32Array): TensorMetadata[] {
    return [...handles.subarray(0, count[0])].map((handle) => this.#keep(Deno.UnsafePointer.create(handle)!));
  }

  #prepare(name: string, attributes: Attribute[], inputs: number[]): Deno.PointerValue {
    const c = this.#c;
    const op = c.TFE_NewOp(this.#context, cString(name), this.#status);
    this.#check(`find the operation ${name}`, name);
    try {
      for (const id of inputs) {
        const handle = this.#handles.get(id);
        if (!handle) {
          throw new TensorFlowError(
            `Cannot run ${name}: one of its inputs is disposed or belongs to a finished trace`,
            0,
            name,
          );
        }
        c.TFE_OpAddInput(op, handle, this.#status);
        this.#check(`add an input to ${name}`, name);
      }
      this.#setAttributes(op, attributes, false);
    } catch (error) {
      c.TFE_DeleteOp(op);
      throw error;
    }
    return op;
  }

  // --- recording -------------------------------------------------------------------------------------------------

  #node(name: string): Deno.PointerValue {
    const recording = this.recording!;
    return this.#c.TF_NewOperation(
      recording.graph,
      cString(name),
      encoder.encode(`${name.toLowerCase()}_${recording.nodes++}\0`),
    );
  }

  /** The first output of a node that is complete. */
  #output(node: Deno.PointerValue, name: string): Output {
    const operation = this.#c.TF_FinishOperation(node, this.#status);
    this.#check(`trace ${name}`, name);
    const output = new Uint8Array(16);
    new DataView(output.buffer).setBigUint64(0, Deno.UnsafePointer.value(operation), true);
    return output;
  }

  /** @param gives What the outputs are cast to. */
  #finish(node: Deno.PointerValue, name: string, outputs: number, gives?: number): TensorMetadata[] {
    const c = this.#c, recording = this.recording!, first = this.#output(node, name);
    return Array.from({ length: outputs }, (_, index) => {
      const output = first.slice();
      new DataView(output.buffer).setInt32(8, index, true);
      const shape = this.#shapeOfOutput(output), type = c.TF_OperationOutputType(output);
      recording.outputs.set(this.#nextId, gives === undefined ? output : this.#cast(output, type, gives));
      // To tfjs a tensor of bfloat16 is one of float32.
      return { id: this.#nextId++, shape, dtype: type === BFLOAT16 ? FLOAT32 : type };
    });
  }

  /** A size that depends on values (how many rows a class has) reads -1. */
  #shapeOfOutput(output: Output): number[] {
    const c = this.#c, { graph } = this.recording!;
    const rank = c.TF_GraphGetTensorNumDims(graph, output, this.#status), dims = new BigInt64Array(Math.max(rank, 0));
    // A rank of -1 is "not known" (the reserve space of FusedBatchNormV3): such outputs only travel to their gradient.
    if (rank > 0) c.TF_GraphGetTensorShape(graph, output, dims, rank, this.#status);
    this.#check("read the shape of a node");
    return [...dims].map(Number);
  }

  #cast(output: Output, from: number, to: number): Output {
    if (from === to) return output;
    const c = this.#c, node = this.#node("Cast");
    c.TF_AddInput(node, output);
    c.TF_SetAttrType(node, cString("SrcT"), from);
    c.TF_SetAttrType(node, cString("DstT"), to);
    return this.#output(node, "Cast");
  }

  /** A tensor's output, of real numbers in the type that is wanted: its own, or its one twin's. */
  #outputAs(id: number, wanted = FLOAT32): Output {
    const own = this.#outputOf(id), type = this.#c.TF_OperationOutputType(own), { twins } = this.recording!;
    if (type === wanted || type !== FLOAT32 && type !== BFLOAT16) return own;
    if (!twins.has(id)) twins.set(id, this.#cast(own, type, wanted));
    return twins.get(id)!;
  }

  #outputOf(id: number): Output {
    const recording = this.recording!;
    const known = recording.outputs.get(id);
    if (known) return known;
    const handle = this.#handles.get(id);
    if (!handle) throw new TensorFlowError("Cannot trace: a tensor is disposed or belongs to another trace");
    const c = this.#c;
    const input = this.placeholder(this.#shapeOf(handle), c.TFE_TensorHandleDataType(handle));
    const output = recording.outputs.get(input.id)!;
    recording.outputs.set(id, output);
    recording.captured.push(id);
    return output;
  }

  #record(name: string, attributes: Attribute[], inputs: number[], outputs: number): TensorMetadata[] {
    const c = this.#c;
    const types = inputs.map((id) => c.TF_OperationOutputType(this.#outputOf(id)));
    const cast = this.recording!.autocast
      ? castOf(name, types, () => this.#shapeOfOutput(this.#outputOf(inputs[0])))
      : { type: FLOAT32, inputs: types, gives: undefined };
    const sources = inputs.map((id, i) => this.#outputAs(id, cast.inputs[i])), node = this.#node(name);
    if (this.onHost) c.TF_SetDevice(node, cString("/device:CPU:0"));
    // ConcatV2 ends with its axis, which is no member of the list.
    const listed = !LIST_INPUTS.has(name) ? 0 : name === "ConcatV2" ? sources.length - 1 : sources.length;
    if (listed) {
      const bytes = new Uint8Array(16 * listed);
      for (let i = 0; i < listed; i++) bytes.set(sources[i], 16 * i);
      c.TF_AddInputList(node, bytes, listed);
    }
    for (const source of sources.slice(listed)) c.TF_AddInput(node, source);
    const set = attributes.filter((a) => !(LIST_INPUTS.has(name) && a.name === "N")).map((a) =>
      a.type === ATTRIBUTE.type && a.value === FLOAT32 && a.name !== "U" ? { ...a, value: cast.type } : a
    );
    this.#setAttributes(node, set, true);
    return this.#finish(node, name, outputs, cast.gives);
  }

  /** The same tensor, computed only when all of `before` are: orders parts of a step that do not need one another. */
  controlDependencies(id: number, before: number[]): TensorMetadata {
    const c = this.#c;
    if (!this.recording) {
      return this.executeOp("Identity", [{ name: "T", type: ATTRIBUTE.type, value: this.typeOf(id) }], [id], 1)[0];
    }
    const source = this.#outputOf(id), node = this.#node("Identity");
    c.TF_AddInput(node, source);
    for (const output of before.map((id) => this.#outputOf(id))) {
      // The first half of a TF_Output is its operation.
      c.TF_AddControlInput(node, Deno.UnsafePointer.create(new DataView(output.buffer).getBigUint64(0, true)));
    }
    return this.#finish(node, "Identity", 1)[0];
  }

  /** A tensor of real numbers as another one's node has them: float32, or bfloat16 where a recording is cast. */
  inTypeOf(like: number, id: number): TensorMetadata {
    const { recording } = this;
    if (!recording) return this.controlDependencies(id, []);
    const output = this.#outputAs(id, this.#c.TF_OperationOutputType(this.#outputOf(like)));
    recording.outputs.set(this.#nextId, output);
    return { id: this.#nextId++, shape: this.#shapeOfOutput(output), dtype: FLOAT32 };
  }

  /**
   * Opens a recording; every operation until `finishRecording` or `abandonRecording` becomes a node.
   * @param autocast Whether in mixed precision.
   */
  startRecording({ autocast = false } = {}): void {
    if (this.recording) throw new TensorFlowError("Cannot trace inside a trace");
    const graph = this.#c.TF_NewGraph()!;
    this.recording = { graph, nodes: 0, inputs: [], outputs: new Map(), captured: [], autocast, twins: new Map() };
  }

  /** Adds an argument of the function being recorded. */
  placeholder(shape: number[], dtype: number): TensorMetadata {
    const c = this.#c, node = this.#node("Placeholder");
    c.TF_SetAttrType(node, cString("dtype"), dtype);
    c.TF_SetAttrShape(node, cString("shape"), int64s(shape), shape.length);
    const [input] = this.#finish(node, "Placeholder", 1);
    this.recording!.inputs.push(this.recording!.outputs.get(input.id)!);
    return input;
  }

  /** Ends the recording and registers it as a function; returns its name and the tensors it captured. */
  finishRecording(outputs: number[]): { name: string; captured: number[]; nodes: number } {
    const c = this.#c, { graph, inputs, captured, nodes } = this.recording!;
    const results = joined(outputs.map((id) => this.#outputAs(id)));
    const name = `traced_${this.#functions++}`;
    const fn = c.TF_GraphToFunction(
      graph,
      cString(name),
      0,
      -1,
      null,
      inputs.length,
      joined(inputs),
      outputs.length,
      results,
      null,
      null,
      cString("SS-Net on Deno"),
      this.#status,
    );
    this.#check("turn the trace into a function");
    c.TFE_ContextAddFunction(this.#context, fn, this.#status);
    c.TF_DeleteFunction(fn); // the context holds its own reference
    this.#check("register the traced function");
    this.abandonRecording();
    return { name, captured, nodes };
  }

  /** Drops the recording, if one is open. */
  abandonRecording(): void {
    if (this.recording) this.#c.TF_DeleteGraph(this.recording.graph);
    this.recording = null;
  }

  /**
   * Calls a registered function without blocking the event loop.
   * @param inputs Arguments, then what was captured, with their data types.
   * @param config A serialized `ConfigProto` for this call.
   */
  async call(
    name: string,
    inputs: { ids: number[]; types: number[] },
    outputTypes: number[],
    config?: Uint8Array<ArrayBuffer>,
  ): Promise<TensorMetadata[]> {
    this.operations++;
    const c = this.#c;
    const op = this.#prepare("StatefulPartitionedCall", [], inputs.ids);
    const inputTypes = new Int32Array(inputs.types), resultTypes = new Int32Array(outputTypes);
    c.TFE_OpSetAttrTypeList(op, cString("Tin"), inputTypes, inputTypes.length);
    c.TFE_OpSetAttrTypeList(op, cString("Tout"), resultTypes, resultTypes.length);
    const bytes = encoder.encode(name);
    c.TFE_OpSetAttrFunctionName(op, cString("f"), bytes, BigInt(bytes.length));
    if (config) c.TFE_OpSetAttrString(op, cString("config_proto"), config, BigInt(config.length));
    const handles = new BigUint64Array(outputTypes.length), count = new Int32Array([outputTypes.length]);
    const status = c.TF_NewStatus(); // its own: other calls go on meanwhile
    try {
      await this.#c.TFE_ExecuteElsewhere(op, handles, count, status);
      this.#check(`run ${name}`, name, status);
      return this.#keepAll(handles, count);
    } finally {
      c.TF_DeleteStatus(status);
      c.TFE_DeleteOp(op);
    }
  }

  /**
   * Ends the recording and runs its graph twice as a session, whose second run TensorFlow times operation by operation:
   * a function's call cannot be timed so. What the graph gives is dropped.
   * @param outputs As for `finishRecording`.
   * @param inputs Values of the arguments; what was captured follows by itself.
   * @param config As for `call`.
   * @returns A serialized `RunMetadata`.
   */
  async finishAsMeasurement(
    outputs: number[],
    inputs: number[],
    config: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const c = this.#c, { graph, captured, inputs: placeholders } = this.recording!;
    // A session refuses to give back what it was fed: outputs that are arguments are left out.
    const wanted = outputs.map((id) => this.#outputAs(id)).filter((output) => !placeholders.includes(output));
    const fed = joined(placeholders), fetched = joined(wanted);
    this.recording = null;
    const status = c.TF_NewStatus(), sessionOptions = c.TF_NewSessionOptions();
    const SOFTWARE_TRACE = new Uint8Array([0x08, 0x01]); // RunOptions.trace_level (field 1)
    const runOptions = c.TF_NewBufferFromString(SOFTWARE_TRACE, BigInt(SOFTWARE_TRACE.length));
    const metadata = c.TF_NewBuffer();
    let session: Deno.PointerValue = null;
    const tensors: Deno.PointerValue[] = [];
    try {
      const both = new Uint8Array([...this.#config, ...config]); // protocol buffers merge by being joined
      c.TF_SetConfig(sessionOptions, both, BigInt(both.length), status);
      this.#check("configure a session", "", status);
      session = c.TF_NewSession(graph, sessionOptions, status);
      this.#check("open a session", "", status);
      for (const id of [...inputs, ...captured]) {
        tensors.push(c.TFE_TensorHandleResolve(this.#handles.get(id)!, status));
        this.#check("read an argument", "", status);
      }
      const values = new BigUint64Array(tensors.map((tensor) => Deno.UnsafePointer.value(tensor)));
      for (const measured of [false, true]) {
        const results = new BigUint64Array(wanted.length);
        await c.TF_SessionRun(
          session,
          measured ? runOptions : null,
          fed,
          values,
          values.length,
          fetched,
          results,
          results.length,
          null,
          0,
          measured ? metadata : null,
          status,
        );
        this.#check("run the trace in a session", "", status);
        results.forEach((result) => c.TF_DeleteTensor(Deno.UnsafePointer.create(result)));
      }
      // TF_Buffer { const void* data; size_t length; … }
      const view = new Deno.UnsafePointerView(metadata!), length = Number(view.getBigUint64(8));
      return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(view.getPointer(0)!, length).slice(0));
    } finally {
      tensors.forEach((tensor) => tensor && c.TF_DeleteTensor(tensor));
      if (session) c.TF_DeleteSession(session, status);
      c.TF_DeleteSessionOptions(sessionOptions);
      c.TF_DeleteBuffer(runOptions);
      c.TF_DeleteBuffer(metadata);
      c.TF_DeleteGraph(graph);
      c.TF_DeleteStatus(status);
    }
  }

  /** Whether TensorFlow lists a GPU; it then computes there. */
  isUsingGpuDevice = (): boolean => this.#gpu;
  /** Eager tensors that are alive. */
  getNumOfTensors = (): number => this.#handles.size;
  /** tfjs asks for it; saved models are not read. */
  getNumOfSavedModels = (): number => 0;

  /** Frees every tensor and the context; the library stays open. */
  [Symbol.dispose](): void {
    for (const handle of this.#handles.values()) this.#c.TFE_DeleteTensorHandle(handle);
    this.#handles.clear();
    this.#c.TFE_DeleteContext(this.#context);
    this.#c.TF_DeleteStatus(this.#status);
  }
}
