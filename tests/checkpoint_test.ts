/** Checkpoints as files: written array by array, refused when broken, and the best one through crashes and validations. */
import assert from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { BARE_CASE, type Case } from "../pipeline/records/case.ts";
import { DataError, DivergedError } from "../pipeline/files/errors.ts";
import { toPyTorch } from "../pipeline/networks/parameters.ts";
import { readBestDice, readCheckpoint, readState, writeCheckpoint } from "../pipeline/training/checkpoint.ts";
import { readLog } from "../pipeline/files/log.ts";
import type { TensorSource } from "../pipeline/files/dtypes.ts";
import { decodeSafetensors, readSafetensors, writeSafetensors } from "../pipeline/files/safetensors.ts";
import type { TrainingState } from "../pipeline/training/training_step.ts";
import { openValidation } from "../pipeline/training/validation.ts";
import { build } from "../pipeline/networks/scope.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { withFolder } from "./with_folder.ts";

openTensorFlow();
const filesOf = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

Deno.test("a file is written array by array: each is asked for when those before it are on the disk", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.safetensors`, written: number[] = [];
    const source = (shape: number[], value: number): TensorSource => ({
      shape,
      dtype: "F32",
      values() {
        written.push(Deno.statSync(`${path}.${Deno.pid}.part`).size);
        return new Float32Array(shape.reduce((a, n) => a * n, 1)).fill(value);
      },
    });
    const counter: TensorSource = { shape: [], dtype: "I64", values: () => new BigInt64Array([7n]) };
    await writeSafetensors(path, { a: source([2, 3], 1), n: counter, b: source([5], 2), c: source([0], 3) }, {
      of: "us",
    });
    const begin = written[3], { tensors, metadata } = await readSafetensors(path);
    // Before anything is written each is asked for once, for the checksum.
    assert.deepEqual(written, [0, 0, 0, begin, begin + 24 + 8, begin + 24 + 8 + 20]);
    assert.equal(begin % 8, 0);
    const read = Object.entries(tensors).map(([name, { shape, dtype }]) => [name, shape, dtype]);
    assert.deepEqual(read, [["a", [2, 3], "F32"], ["n", [], "I64"], ["b", [5], "F32"], ["c", [0], "F32"]]);
    assert.deepEqual(tensors.b.values(), new Float32Array(5).fill(2));
    assert.throws(() => tensors.n.values(), new RangeError("it is I64; F32, F64, F16, BF16 wanted"));
    assert.deepEqual(metadata, { of: "us" });
  }));

Deno.test("a bit that flips in a file of ours is refused, wherever it stands; a file without a checksum is read", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.safetensors`;
    await writeSafetensors(path, { a: { shape: [3], dtype: "F32", values: () => Float32Array.of(1, 2, 3) } }, {
      iteration: "12",
    });
    const good = await Deno.readFile(path);
    for (let bit = 0; bit < 8 * good.length; bit++) {
      const bad = good.slice();
      bad[bit >> 3] ^= 1 << (bit & 7);
      assert.throws(() => decodeSafetensors(bad, "a"), DataError, `bit ${bit}`);
    }
    const text = '{"__metadata__":{"iteration":"12"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    const bare = new Uint8Array(8 + text.length + 4);
    bare[0] = text.length;
    bare.set(new TextEncoder().encode(text), 8);
    assert.deepEqual(decodeSafetensors(bare, "a").metadata, { iteration: "12" });
  }));

Deno.test("an array that fails or does not fill its shape leaves the file that was there", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.safetensors`;
    const source = (values: () => Float32Array): Record<string, TensorSource> => ({
      first: { shape: [1], dtype: "F32", values: () => new Float32Array(1) },
      second: { shape: [2], dtype: "F32", values },
    });
    await writeSafetensors(path, source(() => new Float32Array(2)));
    const before = await Deno.readFile(path);
    const short = writeSafetensors(path, source(() => new Float32Array(1)));
    await assert.rejects(short, new RangeError("Cannot write second: [2] of F32 wanted, 4 bytes found"));
    const gone = writeSafetensors(path, source(() => assert.fail("it is disposed")));
    await assert.rejects(gone, /it is disposed/);
    assert.deepEqual(await Deno.readFile(path), before);
    assert.deepEqual(filesOf(folder), ["a.safetensors"]);
  }));

Deno.test("a file whose header is not safetensors' own, or not that of its bytes, is refused with what is wrong", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.safetensors`,
      refused = async (header: unknown, why: RegExp, size = 16) => {
        const head = new TextEncoder().encode(JSON.stringify(header)), bytes = new Uint8Array(8 + head.length + size);
        new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
        bytes.set(head, 8);
        await Deno.writeFile(path, bytes);
        await assert.rejects(readSafetensors(path), (error) => {
          assert.ok(error instanceof DataError, String(error));
          assert.match(error.message, why);
          return true;
        });
      };
    const a = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
    await refused([], /its header is not as wanted:\n/);
    await refused({ a: { dtype: "F32", shape: [2] } }, /→ at a\.data_offsets/);
    await refused({ a, b: { ...a, shape: [-2] } }, /→ at b\.shape\[0\]/);
    await refused({ a: { ...a, dtype: "BF16" } }, /a is \[2\] of BF16, for which 8 bytes are too few or too many/, 8);
    await refused({ a: { ...a, shape: [3] } }, /a is \[3\] of F32, for which 8 bytes are too few or too many/, 8);
    await refused({ a, b: { ...a, data_offsets: [8, 24] } }, /it is truncated at b/);
    await refused({ a, b: { ...a, data_offsets: [12, 16] } }, /b stands at bytes 12 to 16, where 8 is next/);
    await refused({ a, b: { ...a, data_offsets: [4, 12] } }, /b stands at bytes 4 to 12, where 8 is next/);
    await refused({ a: { ...a, data_offsets: [4, 12] } }, /a stands at bytes 4 to 12, where 0 is next/);
    await refused({ a }, /8 bytes stand behind its last array/);
  }));

Deno.test("a network that is no longer of numbers is neither written nor read, and its first such array is named", () =>
  withFolder(async (folder) => {
    const path = `${folder}/last.safetensors`, good = network(1), bad = network(1);
    bad.weights["head.bias"] = tf.tensor1d([1, NaN, 2]);
    const lost = network(1);
    lost.buffers["norm.running_var"] = tf.tensor1d([1, Infinity]);
    await writeCheckpoint(path, SPEC, good, 3);
    const before = await Deno.readFile(path),
      why = (text: string) => (error: unknown) => {
        assert.ok(error instanceof DivergedError, String(error));
        assert.match(error.message, new RegExp(`last.safetensors": ${text}, so the training diverged; `));
        return true;
      };
    await assert.rejects(writeCheckpoint(path, SPEC, bad, 4), why("head.bias holds NaN"));
    await assert.rejects(writeCheckpoint(path, SPEC, lost, 4), why("norm.running_var holds Infinity"));
    assert.deepEqual(await Deno.readFile(path), before);
    const value = (shape: number[], value: number): TensorSource => ({
      ...{ shape, dtype: "F32", values: () => new Float32Array(shape.reduce((a, n) => a * n, 1)).fill(value) },
    });
    const arrays = Object.fromEntries(
      [...SPEC.parameters, ...SPEC.buffers].map((
        { name, shape },
      ) => [name, value(shape, name === "norm.bias" ? NaN : 1)]),
    );
    await writeSafetensors(path, arrays);
    await assert.rejects(readCheckpoint(path, SPEC), why("norm.bias holds NaN"));
  }));

Deno.test("a state that does not say a whole iteration is refused", () =>
  withFolder(async (folder) => {
    const path = `${folder}/state.safetensors`, method = { spec: SPEC, methodState: () => ({}) };
    for (const iteration of ["abc", "-5", "", "1.5", "1e3", undefined]) {
      await writeSafetensors(path, {}, { ...iteration !== undefined && { iteration } });
      await assert.rejects(readState(path, method), (error) => {
        assert.ok(error instanceof DataError, String(error));
        assert.match(error.message, /its iteration is .*, a whole number wanted/);
        return true;
      });
    }
  }));

Deno.test("a value in PyTorch's layout costs about as much as transposing and reading it", () => {
  const x = tf.ones([8, 8, 8, 32, 64]), count = tf.memory().numTensors;
  const fastest = (run: () => void) =>
    Math.min(...[1, 2, 3].map(() => {
      const begun = performance.now();
      run();
      return performance.now() - begun;
    }));
  const least = fastest(() => {
    const transposed = tf.transpose(x, [4, 3, 0, 1, 2]);
    transposed.dataSync();
    transposed.dispose();
  });
  const found = fastest(() => toPyTorch(x));
  assert.ok(found < 4 * least + 20, `${found} ms, about ${least} ms wanted`); // a walk over the values takes many times that
  assert.equal(tf.memory().numTensors, count);
});

const { spec: SPEC } = build((at) => at.linearNorm(["head", "norm"], { in: 3, out: 2 }));
/** A network that is told apart by the value of all its numbers. */
const network = (value: number): TrainingState => {
  const all = (list: { name: string; shape: number[] }[]) =>
    Object.fromEntries(list.map(({ name, shape }) => [name, tf.fill([...shape].reverse(), value)]));
  return { weights: all(SPEC.parameters), buffers: all(SPEC.buffers) } as TrainingState;
};
const LABEL = Uint8Array.from({ length: 10 }, (_, i) => Number(i < 5));
const CASE: Case = {
  ...BARE_CASE,
  ...{ name: "a", shape: [10, 1, 1], image: new Float32Array(10), label: LABEL, preparation: "by hand" },
};

/** A run whose network at an iteration finds so many voxels of five, and no others: Dice `2 n / (n + 5)`. */
async function validate(folder: string, { from, found, crash }: {
  from: number;
  found: Record<number, number>;
  crash?: { at: number };
}) {
  const path = `${folder}/best.safetensors`;
  let iteration = from;
  using validation = await openValidation({
    path: `${folder}/validation.jsonl`,
    iteration: from,
    cases: [CASE],
    segment: () => Promise.resolve(LABEL.map((value, i) => Number(value && i < found[iteration]))),
    classes: 2,
    best: await readBestDice(path),
    async keepBest(dice) {
      await writeCheckpoint(path, SPEC, network(found[iteration]), iteration, { dice });
      if (iteration === crash?.at) throw new Error("crash");
    },
  });
  for (iteration of Object.keys(found).map(Number)) await validation.run(iteration);
}
const kept = async (folder: string) => {
  const path = `${folder}/best.safetensors`, { state, iteration } = await readCheckpoint(path, SPEC);
  return { iteration, value: state["head.weight"][0], dice: await readBestDice(path) };
};
const diceOf = (found: number) => 2 * found / (found + 5);

Deno.test("the best checkpoint survives a crash, is not written over by a worse one and yields to a better one", () =>
  withFolder(async (folder) => {
    assert.equal(await readBestDice(`${folder}/best.safetensors`), 0);
    await validate(folder, { from: 0, found: { 2: 2, 4: 4, 6: 3 } });
    const good = { iteration: 4, value: 4, dice: diceOf(4) };
    assert.deepEqual(await kept(folder), good);
    // It went on from the checkpoint of iteration 2; another device's networks are not the same again.
    await validate(folder, { from: 2, found: { 4: 3, 6: 3 } });
    assert.deepEqual(await kept(folder), good);
    await validate(folder, { from: 4, found: { 6: 4 } });
    assert.deepEqual(await kept(folder), good, "the first of two equals stays");
    await validate(folder, { from: 4, found: { 6: 5 } });
    assert.deepEqual(await kept(folder), { iteration: 6, value: 5, dice: 1 });
    assert.deepEqual(await readLog(`${folder}/validation.jsonl`), [
      { iteration: 2, dice: diceOf(2) },
      { iteration: 4, dice: diceOf(3) },
      { iteration: 6, dice: 1 },
    ]);
  }));

Deno.test("a crash between keeping the best network and logging it changes nothing in what is kept", () =>
  withFolder(async (folder) => {
    await assert.rejects(validate(folder, { from: 0, found: { 2: 1, 4: 4 }, crash: { at: 4 } }), /crash/);
    assert.deepEqual((await readLog(`${folder}/validation.jsonl`)).map(({ iteration }) => iteration), [2]);
    await validate(folder, { from: 2, found: { 4: 2, 6: 3 } });
    assert.deepEqual(await kept(folder), { iteration: 4, value: 4, dice: diceOf(4) });
  }));

Deno.test("a best checkpoint that does not say its Dice is not taken for a bad one", () =>
  withFolder(async (folder) => {
    const path = `${folder}/best.safetensors`;
    await writeCheckpoint(path, SPEC, network(1), 2);
    await assert.rejects(readBestDice(path), (error) => {
      assert.ok(error instanceof DataError);
      assert.match(error.message, /^Cannot tell how good ".*best\.safetensors" is: it does not say .*; move it away/);
      return true;
    });
  }));
