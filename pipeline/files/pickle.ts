/**
 * Pickles of Python's protocol 2 as `torch.save` writes them (https://docs.python.org/3/library/pickletools.html): the
 * opcodes that a dictionary of tensors is made of, and no other. Nothing of the stream is called: a global is looked up in
 * a fixed list. What a stream makes is in proportion to its length.
 *
 * Written here because npm's parser of pickles (pickleparser 0.2.1, December 2024, the last one) takes every opcode there
 * is, calls what the stream puts together, and of ten bytes with a negative length never ends.
 * @module
 */

/** What a stream makes: a dictionary is a `Map`, a tuple or list an array, a global or persistent object what it stands for. */
export type PickleValue = unknown;

/** What the names of a stream stand for. */
export interface PickleNames {
  /** The globals by "MODULE NAME": a function for what the stream may call, anything else for a mere name. */
  globals: ReadonlyMap<string, unknown>;
  /** What a persistent id stands for. @throws {RangeError} When it stands for nothing. */
  persistent(id: PickleValue): PickleValue;
}

/** Where a list of values begins on the stack. */
const MARK = Symbol("mark");
const OPCODES = {
  ".": "STOP",
  "(": "MARK",
  ")": "EMPTY_TUPLE",
  "t": "TUPLE",
  "\x85": "TUPLE1",
  "\x86": "TUPLE2",
  "\x87": "TUPLE3",
  "N": "NONE",
  "\x88": "NEWTRUE",
  "\x89": "NEWFALSE",
  "]": "EMPTY_LIST",
  "a": "APPEND",
  "e": "APPENDS",
  "}": "EMPTY_DICT",
  "s": "SETITEM",
  "u": "SETITEMS",
  "J": "BININT",
  "K": "BININT1",
  "M": "BININT2",
  "\x8a": "LONG1",
  "G": "BINFLOAT",
  "X": "BINUNICODE",
  "U": "SHORT_BINSTRING",
  "c": "GLOBAL",
  "R": "REDUCE",
  "b": "BUILD",
  "Q": "BINPERSID",
  "q": "BINPUT",
  "r": "LONG_BINPUT",
  "h": "BINGET",
  "j": "LONG_BINGET",
} as const;
const NAMES = new Map(Object.entries(OPCODES).map(([char, name]) => [char.charCodeAt(0), name]));
const PROTO = 0x80;
/** `_rebuild_tensor_v2` takes seven. */
const MOST_ARGUMENTS = 7;
/** The longest name of a module or a global, with the end of its line. */
const LONGEST_NAME = 200;

/**
 * The value of a stream.
 * @throws {RangeError} Naming the byte at which it holds an opcode or a global outside the list, ends too early, or takes
 * what is not there.
 *
 * @example A tuple of a text and a number
 * ```ts
 * import assert from "node:assert/strict";
 * import { readPickle } from "@ssnet/pipeline/files/pickle.ts";
 *
 * const bytes = Uint8Array.of(0x80, 2, 0x58, 1, 0, 0, 0, 0x61, 0x4b, 7, 0x86, 0x2e); // ("a", 7)
 * const names = { globals: new Map(), persistent: () => null };
 * assert.deepEqual(readPickle(bytes, names), ["a", 7]);
 * ```
 */
export function readPickle(bytes: Uint8Array, { globals, persistent }: PickleNames): PickleValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), text = new TextDecoder();
  const stack: PickleValue[] = [], memo = new Map<number, PickleValue>();
  let at = 0, begin = 0; // of the opcode that is read
  const refuse = (why: string) => new RangeError(`byte ${begin} of its pickle: ${why}`);
  const take = (length: number): number => {
    if (length > bytes.length - at) throw refuse(`${length} bytes wanted, ${bytes.length - at} are left`);
    return (at += length) - length;
  };
  const pop = (): PickleValue => {
    const value = stack.pop();
    if (value === undefined || value === MARK) throw refuse("a value wanted on the stack, found none");
    return value;
  };
  const popped = (count: number): PickleValue[] => Array.from({ length: count }, pop).reverse();
  const popMark = (): PickleValue[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) throw refuse("a mark wanted on the stack, found none");
    return stack.splice(mark).slice(1);
  };
  const top = <Kind>(kind: new () => Kind): Kind => {
    const value = stack.at(-1);
    if (value instanceof kind) return value;
    throw refuse(`a ${kind === Map as unknown ? "dictionary" : "list"} wanted on the stack`);
  };
  const setItems = (items: PickleValue[]) => {
    if (items.length % 2) throw refuse("a key without a value");
    const dictionary = top<Map<PickleValue, PickleValue>>(Map);
    for (let i = 0; i < items.length; i += 2) dictionary.set(items[i], items[i + 1]);
  };
  const remember = (key: number) => {
    const value = pop();
    memo.set(key, value);
    stack.push(value);
  };
  const recall = (key: number) => {
    if (!memo.has(key)) throw refuse(`number ${key} of its memo wanted, which is not there`);
    stack.push(memo.get(key));
  };
  const line = (): string => {
    const length = bytes.subarray(at, at + LONGEST_NAME).indexOf(10);
    if (length < 0) throw refuse("a name and the end of its line wanted");
    const from = take(length + 1);
    return text.decode(bytes.subarray(from, from + length));
  };
  const long = (length: number): number => {
    if (length > 8) throw refuse(`a whole number of ${length} bytes; 8 at the most wanted`);
    const from = take(length);
    let value = 0n;
    for (let i = 0; i < length; i++) value |= BigInt(bytes[from + i]) << BigInt(8 * i);
    const signed = Number(BigInt.asIntN(8 * length, value));
    if (!Number.isSafeInteger(signed)) throw refuse(`the whole number ${value}, which is too large`);
    return signed;
  };
  const called = (global: PickleValue, args: PickleValue): PickleValue => {
    if (typeof global === "function" && Array.isArray(args) && args.length <= MOST_ARGUMENTS) return global(...args);
    throw refuse("a call of what cannot be called");
  };

  if (bytes[0] !== PROTO || bytes[1] !== 2) {
    throw refuse(`protocol 2 wanted, as torch.save has it unless it is told another, found bytes ${bytes.slice(0, 2)}`);
  }
  take(2);
  for (;;) {
    begin = at;
    const code = bytes[take(1)];
    switch (NAMES.get(code)) {
      case "STOP": {
        const value = pop();
        if (stack.length) throw refuse(`it ends with ${stack.length} values too many`);
        return value;
      }
      case "MARK":
        stack.push(MARK);
        break;
      case "EMPTY_TUPLE":
      case "EMPTY_LIST":
        stack.push([]);
        break;
      case "TUPLE":
        stack.push(popMark());
        break;
      case "TUPLE1":
      case "TUPLE2":
      case "TUPLE3":
        stack.push(popped(code - 0x84));
        break;
      case "NONE":
        stack.push(null);
        break;
      case "NEWTRUE":
      case "NEWFALSE":
        stack.push(code === 0x88);
        break;
      case "APPEND": {
        const value = pop();
        top(Array).push(value);
        break;
      }
      case "APPENDS": {
        const values = popMark(), list = top(Array);
        for (const value of values) list.push(value);
        break;
      }
      case "EMPTY_DICT":
        stack.push(new Map());
        break;
      case "SETITEM":
        setItems(popped(2));
        break;
      case "SETITEMS":
        setItems(popMark());
        break;
      case "BININT":
        stack.push(view.getInt32(take(4), true));
        break;
      case "BININT1":
        stack.push(bytes[take(1)]);
        break;
      case "BININT2":
        stack.push(view.getUint16(take(2), true));
        break;
      case "LONG1":
        stack.push(long(bytes[take(1)]));
        break;
      case "BINFLOAT":
        stack.push(view.getFloat64(take(8)));
        break;
      case "BINUNICODE":
      case "SHORT_BINSTRING": {
        const length = code === 0x58 ? view.getUint32(take(4), true) : bytes[take(1)], from = take(length);
        stack.push(text.decode(bytes.subarray(from, from + length)));
        break;
      }
      case "GLOBAL": {
        const name = `${line()} ${line()}`;
        if (!globals.has(name)) throw new UnknownGlobal(name);
        stack.push(globals.get(name));
        break;
      }
      case "REDUCE": {
        const [global, args] = popped(2);
        stack.push(called(global, args));
        break;
      }
      case "BUILD": // attributes of a dictionary, as the versions of modules, which nothing here uses
        pop();
        top(Map);
        break;
      case "BINPERSID":
        stack.push(persistent(pop()));
        break;
      case "BINPUT":
        remember(bytes[take(1)]);
        break;
      case "LONG_BINPUT":
        remember(view.getUint32(take(4), true));
        break;
      case "BINGET":
        recall(bytes[take(1)]);
        break;
      case "LONG_BINGET":
        recall(view.getUint32(take(4), true));
        break;
      default:
        throw refuse(`the opcode 0x${code.toString(16)}, which no dictionary of tensors has`);
    }
  }
}

/** A global that is not on the list: an object of a class of Python's, whose code would have to run. */
export class UnknownGlobal extends RangeError {
  /** "MODULE NAME". */
  readonly global: string;

  /**
   * Names what is refused.
   * @param global "MODULE NAME".
   */
  constructor(global: string) {
    super(`the object ${global.replace(" ", ".")}`);
    this.global = global;
  }
}
