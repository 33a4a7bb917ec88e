// deno-lint-ignore-file no-explicit-any
import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { PbfReader } from "pbf";
import { ATTRIBUTE, Binding, contextConfig, DTYPE } from "../pipeline/tensorflow/binding.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { findLibrary, TensorFlowError } from "../pipeline/tensorflow/library.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";

const { tf, backend, binding } = openTensorFlow({ threads: 2 });
const type = (name: string, value: number) => ({ name, type: ATTRIBUTE.type, value });

/** Runs a program that uses TensorFlow in a process of its own. */
async function run(code: string, env: Record<string, string> = {}) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys", "-"],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1", ...env },
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(code));
  await writer.close();
  const { code: exit, signal, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { exit, signal, out: text(stdout), error: text(stderr) };
}
const OPEN = `
import { openTensorFlow } from "./pipeline/tensorflow/device.ts";
const { tf } = openTensorFlow({ threads: 2 });
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

Deno.test("the CPU's configuration hides GPUs, any other takes their memory bit by bit", () => {
  /** `ConfigProto`: device_count 1 (key 1, value 2), intra 2, inter 5, gpu_options 6 (allow_growth 4). */
  const read = (device?: "cpu" | "gpu") => {
    const found: Record<string, unknown> = {};
    new PbfReader(contextConfig({ threads: 300, device })).readFields((field, _, reader) => {
      if (field === 2) found.intra = reader.readVarint();
      if (field === 5) found.inter = reader.readVarint();
      if (field === 1 || field === 6) {
        reader.readMessage((inner: number) => {
          found[`${field}.${inner}`] = field === 1 && inner === 1 ? reader.readString() : reader.readVarint();
        }, undefined);
      }
    }, undefined);
    return found;
  };
  deepStrictEqual(read("cpu"), { intra: 300, inter: 1, "1.1": "GPU", "1.2": 0 });
  deepStrictEqual(read("gpu"), { intra: 300, inter: 1, "6.4": 1 });
  deepStrictEqual(read(), read("gpu"));
});

Deno.test("tensors and the results of a traced function lie on the device that computes, whole numbers on the host", async () => {
  const [square] = await trace((x) => [tf.square(x)])(tf.tensor1d([1, 2]));
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
  const { exit, signal, out, error } = await run(OPEN + `console.log(tf.add(1, 2).dataSync()[0]);`);
  deepStrictEqual({ exit, signal, out, error }, { exit: 0, signal: null, out: "3\n", error: "" });
  const { error: lines } = await run(OPEN, { TF_CPP_MIN_LOG_LEVEL: "0" });
  match(lines, /TensorFlow/); // who asks for the lines gets them
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
    const { exit, signal, out, error } = await run(IN_FLIGHT + way + "\nawait running;");
    deepStrictEqual({ exit, signal, out }, { exit: code, signal: null, out: "" }, error);
    match(error, message);
  }
});
