// deno-lint-ignore-file no-explicit-any
import { runProgram } from "./in_process.ts";
import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { PbfReader } from "pbf";
import * as tf from "@tensorflow/tfjs";
import { ATTRIBUTE, Binding, type BindingOptions, contextConfig, DTYPE } from "../pipeline/tensorflow/binding.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { findLibrary, TensorFlowError } from "../pipeline/tensorflow/library.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";

const { backend, binding } = openTensorFlow({ threads: 2 });
const type = (name: string, value: number) => ({ name, type: ATTRIBUTE.type, value });

const OPEN = `
import * as tf from "@tensorflow/tfjs";
import { openTensorFlow } from "./pipeline/tensorflow/device.ts";
openTensorFlow({ threads: 2 });
`;
/** A traced call that takes about a second, given up after a fifth of one. */
const IN_FLIGHT = OPEN + `
import { trace } from "./pipeline/tensorflow/trace.ts";
import { runTask } from "./pipeline/command/options.ts";
const slow = trace((x, w) => [[1, 2, 3, 4, 5, 6, 7, 8].reduce((y) => tf.conv3d(y, w, 1, "same"), x)]);
const running = slow(tf.ones([1, 96, 96, 80, 16]), tf.ones([3, 3, 3, 16, 16])).then(() => console.log("finished"));
`;

Deno.test("a tensor of every data type survives the way to TensorFlow and back", () => {
  const cases: [number, any, any][] = [
    [DTYPE.float, new Float32Array([1.5, -2]), new Float32Array([1.5, -2])],
    [DTYPE.float, [1.5, -2], new Float32Array([1.5, -2])],
    [DTYPE.int32, new Int32Array([7, -(2 ** 31)]), new Int32Array([7, -(2 ** 31)])],
    [DTYPE.uint8, [0, 255], new Uint8Array([0, 255])],
    [DTYPE.bool, [true, false], new Uint8Array([1, 0])],
    [DTYPE.int64, [-1, 2 ** 40], new BigInt64Array([-1n, 2n ** 40n])],
    [DTYPE.complex64, new Float32Array([1, 2, 3, 4]), new Float32Array([1, 2, 3, 4])],
    [DTYPE.string, ["", "Vorhof ♥ ".repeat(5)], ["", "Vorhof ♥ ".repeat(5)].map((s) => new TextEncoder().encode(s))],
  ];
  for (const [dtype, values, back] of cases) {
    const id = binding.createTensor([2], dtype, values);
    strictEqual(binding.typeOf(id), dtype);
    deepStrictEqual(binding.tensorDataSync(id), back);
    binding.deleteTensor(id);
  }
  const empty = binding.createTensor([0, 3], DTYPE.string, []);
  deepStrictEqual(binding.tensorDataSync(empty), []);
  binding.deleteTensor(empty);
});

Deno.test("a tensor with too few values is refused before TensorFlow reads past them", () => {
  throws(() => binding.createTensor([3], DTYPE.float, [1, 2]), /shape \[3\]: 12 bytes wanted, 8 found/);
  throws(() => binding.createTensor([2], DTYPE.string, ["a"]), /48 bytes wanted, 24 found/);
  throws(() => binding.createTensor([1], 99, [1]), /the data type 99/);
});

Deno.test("tensors and strings that are deleted give their memory back", () => {
  const long = "x".repeat(1 << 20), before = binding.getNumOfTensors();
  const grow = () => {
    for (let i = 0; i < 300; i++) binding.deleteTensor(binding.createTensor([1], DTYPE.string, [long]));
    for (let i = 0; i < 300; i++) {
      binding.deleteTensor(binding.createTensor([1 << 18], DTYPE.float, new Float32Array(1 << 18)));
    }
    return Deno.memoryUsage().rss;
  };
  const first = grow(), second = grow();
  strictEqual(binding.getNumOfTensors(), before);
  ok(second - first < 100e6, `${Math.round((second - first) / 1e6)} MB more after 600 MB of deleted tensors`);
});

Deno.test("string constants may be traced", () => {
  binding.startRecording();
  const constant = binding.createTensor([2], DTYPE.string, ["left", "right"]);
  const { captured, nodes } = binding.finishRecording([constant]);
  deepStrictEqual([captured, nodes], [[], 1]);
});

Deno.test("a refused operation names itself and what TensorFlow says, and the next one works", () => {
  const x = tf.tensor1d([1, 2]), count = binding.getNumOfTensors();
  const [id] = backend.getInputTensorIds([x]);
  throws(() => binding.executeOp("NoSuchOp", [], [], 1), (error: any) => {
    ok(error instanceof TensorFlowError);
    match(error.message, /Cannot find the operation NoSuchOp: TensorFlow says: /);
    return error.code > 0 && error.op === "NoSuchOp";
  });
  throws(
    () => binding.executeOp("MatMul", [type("T", DTYPE.float)], [id, id], 1),
    /Cannot run MatMul: TensorFlow says:/,
  );
  throws(
    () => binding.executeOp("Neg", [{ name: "T", type: 42, value: 0 }], [id], 1),
    /Cannot set the attribute "T": its kind 42 is unknown/,
  );
  throws(() => binding.executeOp("Neg", [type("T", DTYPE.float)], [1e9], 1), /one of its inputs is disposed/);
  throws(() => binding.typeOf(1e9), /disposed or belongs to a trace/);
  deepStrictEqual([...tf.neg(x).dataSync()], [-1, -2]);
  strictEqual(binding.getNumOfTensors(), count + 1); // its negative
});

Deno.test("whole-number attributes drop a fraction, as tfjs's own addon does", () => {
  // tfjs passes its default seed 3.14 on.
  deepStrictEqual(tf.multinomial(tf.tensor1d([0, 1000]), 5, 3.14).shape, [5]);
});

Deno.test("more than 127 threads make a valid configuration", () => {
  const many = new Binding({ threads: 300, device: "cpu" });
  strictEqual(many.isUsingGpuDevice(), false);
  many[Symbol.dispose]();
});

Deno.test("the CPU's configuration hides GPUs, any other takes their memory bit by bit, up to a bound if there is one", () => {
  /** A message's numbers by the path of their fields: `ConfigProto` has device_count 1, intra 2, inter 5, gpu_options 6. */
  function read(reader: PbfReader, end: number, path = ""): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    reader.readFields(
      (field) => {
        const name = path + field;
        if (name === "1.1") found[name] = reader.readString();
        // gpu_options.experimental.virtual_devices.memory_limit_mb
        else if (name === "6.9.1.1") found[name] = reader.readPackedFloat();
        else if (reader.type === 2) Object.assign(found, read(reader, reader.readVarint() + reader.pos, `${name}.`));
        else found[name] = reader.readVarint();
      },
      undefined,
      end,
    );
    return found;
  }
  const config = (options: BindingOptions) => {
    const bytes = contextConfig({ threads: 300, ...options });
    return read(new PbfReader(bytes), bytes.length);
  };
  deepStrictEqual(config({ device: "cpu", pool: 4 }), { 2: 300, 5: 1, "1.1": "GPU", "1.2": 0 });
  deepStrictEqual(config({ device: "gpu" }), { 2: 300, 5: 1, "6.4": 1 });
  deepStrictEqual(config({}), config({ device: "gpu" }));
  deepStrictEqual(config({ device: "gpu", pool: 4.194304 }), { 2: 300, 5: 1, "6.4": 1, "6.9.1.1": [4000] });
});

Deno.test("tensors and the results of a traced function lie on the device that computes, whole numbers on the host", async () => {
  const square = await trace((x: tf.Tensor) => tf.square(x))(tf.tensor1d([1, 2]));
  const placeOf = (tensor: any) => binding.deviceOf(backend.getInputTensorIds([tensor])[0]);
  strictEqual(placeOf(square), binding.device);
  strictEqual(placeOf(tf.tensor1d([1, 2])), binding.device);
  match(placeOf(tf.tensor1d([1, 2], "int32")), /CPU:0$/);
  throws(() => binding.deviceOf(1e9), /Cannot tell where a tensor lies: it is disposed/);
});

Deno.test("a GPU that is not there is an error, never the CPU", { ignore: binding.isUsingGpuDevice() }, () => {
  throws(
    () => new Binding({ device: "gpu", library: findLibrary() }),
    /Cannot use a GPU: TensorFlow .* lists only .*CPU:0; .*(run deno task setup --gpu|NVIDIA's driver|nvidia-smi)/,
  );
  throws(() => openTensorFlow({ device: "gpu" }), /Cannot change to the gpu: TensorFlow is open on .*CPU:0/);
});

Deno.test("a program that uses TensorFlow ends with 0 and not a line of TensorFlow's own", async () => {
  const { exit, signal, out, error } = await runProgram(OPEN + `console.log(tf.add(1, 2).dataSync()[0]);`);
  deepStrictEqual({ exit, signal, out, error }, { exit: 0, signal: null, out: "3\n", error: "" });
  const { error: lines } = await runProgram(OPEN, { TF_CPP_MIN_LOG_LEVEL: "0" });
  match(lines, /TensorFlow/); // who asks for the lines gets them
});

Deno.test("before TensorFlow is open every operation of tfjs is an error that says what to do, and nothing is printed", async () => {
  const ways = [
    `import { linearDice } from "./pipeline/losses/dice.ts";
    linearDice(tf.tensor1d([1]), tf.tensor1d([1]));`,
    `tf.add(1, 2);`,
    `tf.fill([2], 1);`,
    `tf.range(0, 3);`,
    `tf.zeros([2]);`,
  ];
  for (const way of ways) {
    const { exit, out, error } = await runProgram(`import * as tf from "@tensorflow/tfjs";\n${way}`);
    deepStrictEqual([exit, out], [1, ""]);
    match(error, /TensorFlowError: Cannot run an operation of tfjs: TensorFlow is not open; call openTensorFlow\(\)/);
    ok(!error.includes("Hi, looks like you are running TensorFlow.js"), error);
  }
  const { error } = await runProgram(`import { trace } from "./pipeline/tensorflow/trace.ts";\ntrace((x) => [x]);`);
  match(error, /TensorFlowError: Cannot use TensorFlow: it is not open; call openTensorFlow\(\) before it/);
});

Deno.test("every network is built without TensorFlow, whose library is not even asked for", async () => {
  const { exit, out, error } = await runProgram(`
    import { buildNetwork, NETWORK_NAMES } from "./pipeline/networks/network.ts";
    Deno.permissions.revokeSync({ name: "ffi" });
    for (const name of NETWORK_NAMES) console.log(name, buildNetwork(name, { channels: 1, classes: 2 }).spec.parameters.length > 0);
  `);
  deepStrictEqual([exit, error], [0, ""]);
  match(out, /^vnet true\nunet true\n/);
});

Deno.test("an error while a traced call runs ends the process with its exit code, no signal", async () => {
  const ways: [string, number, RegExp][] = [
    [`setTimeout(() => { throw new Error("on purpose"); }, 200);`, 1, /on purpose/],
    [`setTimeout(() => Promise.reject(new Error("on purpose")), 200);`, 1, /on purpose/],
    [
      `import { TensorFlowError } from "./pipeline/tensorflow/library.ts";
      setTimeout(() => runTask(() => Promise.reject(new TensorFlowError("on purpose"))), 200);`,
      4,
      /^on purpose\n$/,
    ],
  ];
  for (const [way, code, message] of ways) {
    const { exit, signal, out, error } = await runProgram(IN_FLIGHT + way + "\nawait running;");
    deepStrictEqual({ exit, signal, out }, { exit: code, signal: null, out: "" }, error);
    match(error.replace(/^Download .*\n/gm, ""), message); // with an empty cache Deno tells what it fetches
  }
});
