/**
 * Weights of other programs: what PyTorch writes (`golden/torch`, made by it) is read with its values, what could run, reach
 * outside its storage or grow beyond its file is refused.
 */
import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { Uint8ArrayReader, Uint8ArrayWriter, ZipReader, ZipWriter } from "@zip.js/zip.js";
import { stream } from "../pipeline/arrays/random.ts";
import { sizeOf } from "../pipeline/arrays/shape.ts";
import { asHalf, REAL_TYPES, type TensorSource } from "../pipeline/files/dtypes.ts";
import { DataError } from "../pipeline/files/errors.ts";
import { decodeSafetensors } from "../pipeline/files/safetensors.ts";
import { decodeTorchFile, encodeTorchFile } from "../pipeline/files/torch_file.ts";
import { readWeightsFile } from "../pipeline/files/weights_file.ts";
import { matchWeights } from "../pipeline/networks/matching.ts";
import { build } from "../pipeline/networks/scope.ts";
import { readCheckpoint, readInitial } from "../pipeline/training/checkpoint.ts";
import { withFolder } from "./with_folder.ts";

const golden = (name: string) => fileURLToPath(new URL(`golden/torch/${name}`, import.meta.url));
/** As `make.py` has it. */
const eighths = (count: number, first = 0) => Float32Array.from({ length: count }, (_, i) => (first + i) / 8);
const spec = (outputs: number) =>
  build((at) => {
    at.convNorm(["block", "norm"], { kernel: [2, 2, 2], in: 1, out: 2 });
    at.linear("head", { in: 2, out: outputs });
  }).spec;
const refused = async (promise: Promise<unknown>, why: RegExp) =>
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof DataError, String(error));
    assert.match(error.message, why);
    return true;
  });

Deno.test("every type and every way of lying in a storage that torch saves has its values, in safetensors too", async () => {
  const transposed = Float32Array.from({ length: 24 }, (_, i) => (6 * (i % 4) + Math.floor(i / 4)) / 8);
  const part = Float32Array.of(8, 9, 10, 14, 15, 16).map((value) => value / 8);
  for (const name of ["types.pth", "types.safetensors"]) {
    const { tensors } = await readWeightsFile(golden(name));
    const { i64, bool, ...real } = tensors;
    assert.deepEqual([i64.dtype, bool.dtype, i64.shape, bool.shape], ["I64", "BOOL", [3], [2]]);
    const values = Object.fromEntries(Object.entries(real).map(([name, tensor]) => [name, tensor.values()]));
    assert.deepEqual(values, {
      ...Object.fromEntries(["f64", "f16", "bf16"].map((type) => [type, eighths(3)])),
      f32: eighths(24),
      scalar: Float32Array.of(1.5),
      empty: new Float32Array(0),
      transposed,
      part,
      channels_last: eighths(24),
      parameter: eighths(2),
    }, name);
    assert.deepEqual([real.transposed.shape, real.scalar.shape, real.empty.shape], [[6, 4], [], [0, 2]]);
  }
});

Deno.test("a state dict of torch's is a network's checkpoint, within what a training stores too: its prefix is told", async () => {
  for (const [name, prefix] of [["state.pth", ""], ["state.safetensors", ""], ["training.pth", "state_dict.module."]]) {
    const read = await readCheckpoint(golden(name), spec(3));
    assert.deepEqual([read.prefix, read.iteration], [prefix, 0]);
    assert.deepEqual(Object.keys(read.state).length, 8);
    assert.deepEqual(read.state["block.weight"], eighths(16));
    assert.deepEqual(read.state["norm.running_var"], eighths(2, 500));
    assert.deepEqual(read.state["head.bias"], eighths(3, 800));
  }
  const { others } = await matchWeights(golden("training.pth"), spec(3));
  assert.deepEqual(others.map((name) => name.split(".").slice(0, 2).join(".")), Array(6).fill("optimizer.state"));
});

Deno.test("of another network the matching part begins a training, and what does not match is named", async () => {
  const { state, lines } = await readInitial(golden("training.pth"), spec(4));
  assert.deepEqual(Object.keys(state), [
    "block.weight",
    "block.bias",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
  ]);
  assert.match(lines[0], /^6 of 8 arrays are those of ".*training\.pth", there behind "state_dict\.module\."$/);
  assert.equal(
    lines[1],
    "these begin anew:\n  head.weight: [4,2] wanted, [3,2] found\n  head.bias: [4] wanted, [3] found",
  );
  assert.match(lines[2], /^not of this network: optimizer\.state\.0\.momentum_buffer, /);
  await refused(
    readCheckpoint(golden("state.pth"), spec(4)),
    /another network\nhead\.weight: \[4,2\] wanted, \[3,2\] found/,
  );
  const { spec: other } = build((at) => at.linear("other", { in: 2, out: 3 }));
  await refused(
    readInitial(golden("state.pth"), other),
    /another network\nother\.weight: \[3,2\] wanted, nothing found/,
  );
});

Deno.test("what is no dictionary of tensors is refused with the way to save it, and nothing of it is run", async () => {
  const read = (name: string) => readWeightsFile(golden(name));
  await refused(
    read("old.pth"),
    /before 1\.6; save it again in Python: torch\.save\(torch\.load\(OLD, map_location="cpu"\), NEW\)/,
  );
  await refused(
    read("module.pth"),
    /holds the object __main__\.Net, .*: torch\.save\(model\.state_dict\(\), "weights\.pth"\)/,
  );
  await refused(read("script.pt"), /TorchScript; .*torch\.jit\.load\(OLD\)\.state_dict\(\)/);
  await refused(
    read("expanded.pth"),
    /shape \[1000\] and strides \[0\] from 0 on repeats .*; save TENSOR\.contiguous\(\)/,
  );
  await refused(read("system.pth"), /holds the object posix\.system, /);
  await refused(read("nothing.pth"), /there is no such file/);
  await refused(readWeightsFile(golden(".")), /it is no file/);
});

Deno.test("what is written for torch is read back bit by bit, and the same tensors are the same bytes", async () => {
  const tensors: Record<string, TensorSource> = {
    "a.weight": { shape: [2, 3], dtype: "F32", values: () => eighths(6) },
    "a.half": { shape: [4], dtype: "F16", values: () => asHalf("a.half", eighths(4)) },
    "ä": { shape: [0, 2], dtype: "F32", values: () => new Float32Array(0) },
    "n": { shape: [], dtype: "I64", values: () => BigInt64Array.of(7n) },
  };
  const bytes = await encodeTorchFile(tensors), read = await decodeTorchFile(bytes, "x.pth");
  assert.deepEqual(
    Object.entries(read).map(([name, { shape, dtype }]) => [name, shape, dtype]),
    Object.entries(tensors).map(([name, { shape, dtype }]) => [name, shape, dtype]),
  );
  assert.deepEqual([read["a.weight"].values(), read["a.half"].values()], [eighths(6), eighths(4)]);
  assert.deepEqual(await encodeTorchFile(tensors), bytes);
  const short = encodeTorchFile({ a: { shape: [2], dtype: "F32", values: () => eighths(1) } });
  await assert.rejects(short, new RangeError("Cannot write a: [2] of F32 wanted, 4 bytes found"));
  assert.throws(() => asHalf("a", Float32Array.of(1, -1e5)), /Cannot write a as float16: it holds -100000, /);
});

// ── Made by hand ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** A pickle's opcodes one behind the other, texts as they are. */
const pickled = (...parts: (string | number[])[]): Uint8Array =>
  Uint8Array.from(
    ["\x80\x02", ...parts, "."].flatMap((part) => [...part].map((c) => typeof c === "string" ? c.charCodeAt(0) : c)),
  );
const text = (value: string): number[] => [0x58, value.length, 0, 0, 0, ...new TextEncoder().encode(value)];
const int = (value: number): number[] => {
  const bytes = new Uint8Array(5);
  bytes[0] = 0x4a;
  new DataView(bytes.buffer).setInt32(1, value, true);
  return [...bytes];
};
const ints = (values: number[]): number[] => [0x28, ...values.flatMap(int), 0x74];
const storage = (count: number, key = "0"): (string | number[])[] => [
  "(",
  ...[text("storage"), "ctorch\nFloatStorage\n", text(key), text("cpu"), int(count)],
  "tQ",
];
const tensor = (
  of: (string | number[])[],
  offset: number,
  shape: number[],
  strides: number[],
): (string | number[])[] => [
  ...["ctorch._utils\n_rebuild_tensor_v2\n", "(", ...of, int(offset), ints(shape), ints(strides)],
  ...["\x89", "ccollections\nOrderedDict\n", ")R", "tR"],
];
const dictionary = (...value: (string | number[])[]) => pickled("}", text("w"), ...value, "s");

async function archive(files: Record<string, Uint8Array>, level = 0): Promise<Uint8Array> {
  const zip = new ZipWriter(new Uint8ArrayWriter(), { level });
  for (const [name, bytes] of Object.entries(files)) await zip.add(`a/${name}`, new Uint8ArrayReader(bytes));
  return await zip.close();
}
const four = new Uint8Array(eighths(4).buffer);
const decoded = async (pickle: Uint8Array, files: Record<string, Uint8Array> = { "data/0": four }) =>
  await decodeTorchFile(await archive({ "data.pkl": pickle, ...files }), "x.pth");

Deno.test("a tensor stays within its storage, and a storage is as long as its file", async () => {
  const { w } = await decoded(dictionary(...tensor(storage(4), 1, [2], [2])));
  assert.deepEqual([w.shape, w.values()], [[2], Float32Array.of(1 / 8, 3 / 8)]);
  const at = (...place: [number, number[], number[]]) => decoded(dictionary(...tensor(storage(4), ...place)));
  await refused(at(1, [4], [1]), /shape \[4\] and strides \[1\] from 1 on leaves its storage of 4 values/);
  await refused(at(0, [2, 2], [3, 2]), /leaves its storage/);
  await refused(at(0, [2 ** 30, 2 ** 30, 2 ** 30], [0, 0, 0]), /repeats values/);
  await refused(at(0, [2], [1, 1]), /as many strides as axes/);
  await refused(at(-1, [1], [1]), /a place in it/);
  await refused(at(0, [-1], [1]), /a place in it/);
  await refused(at(3, [2], [-1]), /a place in it/);
  await refused(at(0, Array(40).fill(1), Array(40).fill(1)), /a place in it/);
  const of = (...storage: (string | number[])[]) => decoded(dictionary(...tensor(storage, 0, [1], [1])));
  await refused(of(...storage(2 ** 30)), /storage 0 of 1073741824 F32 wanted, 16 bytes found/);
  await refused(of(...storage(4, "../../0")), /storage \.\.\/\.\.\/0 of 4 F32 wanted, no such file found/);
  await refused(of("N"), /a tensor wanted of a storage/);
  await refused(of(text("x"), "Q"), /no storage/);
});

Deno.test("a pickle has the opcodes of dictionaries of tensors, protocol 2, and no name outside the list", async () => {
  await refused(decoded(pickled("cposix\nsystem\n", "(", text("true"), "tR")), /the object posix\.system/);
  await refused(decoded(pickled("cbuiltins\neval\n")), /the object builtins\.eval/);
  await refused(decoded(pickled("cconstructor\nprototype\n")), /the object constructor\.prototype/);
  await refused(decoded(pickled("ctorch\nFloatStorage\n", ")R")), /a call of what cannot be called/);
  await refused(decoded(pickled("ccollections\nOrderedDict\n", ")R", ")R")), /a call of what cannot be called/);
  await refused(decoded(pickled("ccollections\nOrderedDict\n", ")\x81")), /the opcode 0x81/);
  await refused(decoded(pickled("(iposix\nsystem\n")), /the opcode 0x69/);
  await refused(decoded(Uint8Array.of(0x80, 4, 0x7d, 0x2e)), /protocol 2 wanted, .* found bytes 128,4/);
  await refused(decoded(pickled("}", [0x58, 255, 255, 255, 127])), /2147483647 bytes wanted, 1 are left/);
  await refused(decoded(pickled("}", [0x42, 251, 255, 255, 255])), /the opcode 0x42/); // a length below 0
  await refused(decoded(pickled("h\x05")), /number 5 of its memo/);
  await refused(decoded(pickled("u")), /a mark wanted/);
  await refused(decoded(pickled("}(", text("a"), "u")), /a key without a value/);
  await refused(decoded(pickled("N")), /a dictionary of tensors wanted/);
  await refused(decoded(pickled("}}")), /1 values too many/);
  await refused(decoded(pickled("}q\x00", text("a"), "h\x00s")), /dictionaries hold one another/);
  await refused(decoded(pickled("cx\n".padEnd(400, "y"))), /the end of its line wanted/);
});

Deno.test("dictionaries that share their entries are refused before they are spread out", async () => {
  /** A dictionary that holds the one below it thirty times, which stands in the pickle once. */
  const level = (n: number): (string | number[])[] => {
    const again = Array.from({ length: 29 }, (_, k) => [text(`${k}`), [0x68, n]]).flat();
    return n ? ["}(", text("x"), ...level(n - 1), [0x71, n], ...again, "u"] : ["}"];
  };
  await refused(decoded(pickled(...level(7))), /dictionaries hold one another/);
  await refused(
    decoded(pickled("}", text("n".repeat(200)), "}", text("m".repeat(220)), "Nss")),
    /a name of 421 characters/,
  );
});

Deno.test("an archive is stored as it is: packed, cut, damaged or without its pickle it is refused", async () => {
  const pickle = dictionary(...tensor(storage(4), 0, [4], [1])),
    whole = await archive({ "data.pkl": pickle, "data/0": four });
  const zeros = new Uint8Array(1e6), read = (bytes: Uint8Array) => decodeTorchFile(bytes, "x.pth");
  assert.deepEqual((await read(whole)).w.values(), eighths(4));
  await refused(
    read(await archive({ "data.pkl": pickle, "data/0": zeros }, 9)),
    /is packed; torch stores its files as they are/,
  );
  await refused(read(await archive({ "data/0": four })), /it has no data\.pkl/);
  const huge = new Uint8Array(whole), directory = new TextDecoder("latin1").decode(whole).indexOf("PK\x01\x02");
  for (const field of [20, 24]) new DataView(huge.buffer).setUint32(directory + field, 0x7fffffff, true); // its two lengths
  await refused(read(huge), /its files have more bytes than itself/);
  for (let length = 4; length < whole.length; length += 7) {
    await refused(read(whole.subarray(0, length)), /Cannot read "x\.pth"/);
  }
  const at = new TextDecoder("latin1").decode(whole).indexOf("data/0") + "data/0".length + four.length - 1;
  await refused(read(whole.map((byte, i) => i === at ? byte ^ 1 : byte)), /Cannot read "x\.pth"/);
  await refused(decoded(pickle, { "data/0": four, byteorder: new TextEncoder().encode("big") }), /not little-endian/);
});

Deno.test("2,100 mutated files give a dictionary within their own size or an error of the data, and nothing else", () =>
  withFolder(async (folder) => {
    const random = stream(1337, "mutations"), draw = (n: number) => Math.floor(random() * n);
    const mutated = (bytes: Uint8Array): Uint8Array => {
      const copy = new Uint8Array(bytes), kind = draw(4), at = draw(copy.length), length = 1 + draw(8);
      if (kind === 0) return copy.subarray(0, at);
      if (kind === 1) copy.copyWithin(at, draw(copy.length), draw(copy.length));
      else {for (let i = at; i < Math.min(at + length, copy.length); i++) {
          copy[i] = kind === 2 ? draw(256) : draw(2) * 255;
        }}
      return copy;
    };
    let good = 0, bad = 0;
    const check = async (bytes: Uint8Array, decode: () => Promise<Awaited<ReturnType<typeof decodeTorchFile>>>) => {
      try {
        for (const tensor of Object.values(await decode())) {
          assert.ok(sizeOf(tensor.shape) <= bytes.length, `[${tensor.shape}] of ${bytes.length} bytes`);
          if (REAL_TYPES.includes(tensor.dtype)) assert.equal(tensor.values().length, sizeOf(tensor.shape));
        }
        good++;
      } catch (error) {
        assert.ok(error instanceof DataError, (error as Error).stack);
        bad++;
      }
    };
    const before = [...Deno.readDirSync(Deno.cwd())].length, memory = Deno.memoryUsage().rss;
    for (const name of ["state.pth", "training.pth", "types.pth"]) {
      const whole = await Deno.readFile(golden(name)), files: Record<string, Uint8Array> = {};
      for (const entry of await new ZipReader(new Uint8ArrayReader(whole)).getEntries()) {
        const member = entry.filename.slice(entry.filename.indexOf("/") + 1);
        if (entry.directory || !member.startsWith("data")) continue; // the others are a byte each
        files[member] = await entry.getData(new Uint8ArrayWriter());
      }
      for (let i = 0; i < 250; i++) { // mostly told by the archive's checksums
        const bytes = mutated(whole);
        await check(bytes, () => decodeTorchFile(bytes, "x.pth"));
      }
      for (let i = 0; i < 400; i++) {
        const bytes = await archive({ ...files, "data.pkl": mutated(files["data.pkl"]) });
        await check(bytes, () => decodeTorchFile(bytes, "x.pth"));
      }
    }
    const stored = await Deno.readFile(golden("types.safetensors"));
    for (let i = 0; i < 150; i++) {
      const bytes = mutated(stored);
      await check(bytes, () => Promise.resolve(decodeSafetensors(bytes, "x").tensors));
    }
    assert.equal(good + bad, 2100);
    assert.ok(good > 100 && bad > 1000, `${good} read, ${bad} refused`);
    assert.equal([...Deno.readDirSync(Deno.cwd())].length, before);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    // Other tests of this process leave memory to it; what a header may announce is gigabytes.
    assert.ok(Deno.memoryUsage().rss - memory < 1.5e9);
  }));
