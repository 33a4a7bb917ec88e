/**
 * What TensorFlow's step statistics say about one run of a graph (`RunMetadata` of `tensorflow/core/protobuf/config.proto`,
 * `StepStats` of `tensorflow/core/framework/step_stats.proto`), as a table and as a trace file of Chrome's form.
 * @module
 */
import { PbfReader } from "pbf";
import { BFLOAT16 } from "./autocast.ts";
import { DTYPE } from "./binding.ts";

/** One operation's run. */
export interface OperationTime {
  /** Name of the node in the graph as TensorFlow has rewritten it. */
  node: string;
  /** TensorFlow's operation, for example "Conv3D"; of a fused one the fused. */
  operation: string;
  /** Data types and shapes of its outputs, for example "float[4,112,112,80,16]". */
  outputs: string;
  /** Microseconds from the first operation's begin. */
  begin: number;
  /** Microseconds. */
  duration: number;
  /** TensorFlow's thread. */
  thread: number;
}

/** Names of data types by TensorFlow's number; bfloat16 comes in by autocast, no tensor of ours has it. */
const TYPES = new Map<number, string>([
  ...Object.entries(DTYPE).map(([name, number]): [number, string] => [number, name]),
  [BFLOAT16, "bfloat16"],
]);

/** The message behind the current field, its fields handed over one by one. */
function readMessage(reader: PbfReader, readField: (field: number) => void): void {
  reader.readMessage(readField, undefined);
}

/** `TensorDescription`: dtype 1, shape 2 (dim 2 (size 1)). */
function readTensor(reader: PbfReader): string {
  let type = 0;
  const shape: number[] = [];
  readMessage(reader, (field) => {
    if (field === 1) type = reader.readVarint();
    if (field === 2) {
      readMessage(reader, (field) => {
        if (field === 2) readMessage(reader, (field) => field === 1 && shape.push(reader.readVarint(true)));
      });
    }
  });
  return `${TYPES.get(type) ?? `type ${type}`}[${shape}]`;
}

/** `NodeExecStats`: node_name 1, output 7 (tensor_description 3), timeline_label 8, thread_id 10, all_start_nanos 13, all_end_rel_nanos 16. */
function readNode(reader: PbfReader): OperationTime {
  let label = "";
  const time: OperationTime = { node: "", operation: "", outputs: "", begin: 0, duration: 0, thread: 0 };
  const outputs: string[] = [];
  readMessage(reader, (field) => {
    if (field === 1) time.node = reader.readString();
    if (field === 7) readMessage(reader, (field) => field === 3 && outputs.push(readTensor(reader)));
    if (field === 8) label = reader.readString();
    if (field === 10) time.thread = reader.readVarint();
    if (field === 13) time.begin = reader.readVarint() / 1000;
    if (field === 16) time.duration = reader.readVarint() / 1000;
  });
  // "node = Operation(inputs)"
  time.operation = label.match(/ = ([^(]+)\(/)?.[1] ?? label;
  time.outputs = outputs.join(" ");
  return time;
}

/**
 * The operations of a run in the order of their begin.
 * @param metadata A serialized `RunMetadata`: step_stats 1 (dev_stats 1 (node_stats 2)).
 */
export function readOperationTimes(metadata: Uint8Array): OperationTime[] {
  const times: OperationTime[] = [], reader = new PbfReader(metadata);
  reader.readFields((field) => {
    if (field !== 1) return;
    readMessage(reader, (field) => {
      if (field !== 1) return;
      readMessage(reader, (field) => field === 2 && times.push(readNode(reader)));
    });
  }, undefined);
  const first = times.reduce((least, { begin }) => Math.min(least, begin), Infinity);
  return times.map((time) => ({ ...time, begin: time.begin - first })).sort((a, b) => a.begin - b.begin);
}

/** A group of runs that a table has in one row. */
export interface OperationTotal {
  /** What the group has in common. */
  name: string;
  /** How many runs. */
  count: number;
  /** Milliseconds of all of them. */
  milliseconds: number;
  /** The share of the time of all operations. */
  share: number;
}

/**
 * Sums by a property, the largest first.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { totalTimes } from "@ssnet/pipeline/tensorflow/operation_times.ts";
 *
 * const run = (operation: string, duration: number) => ({ operation, duration, node: "", outputs: "", begin: 0, thread: 1 });
 * const totals = totalTimes([run("Relu", 1000), run("Conv3D", 2000), run("Relu", 1000)], ({ operation }) => operation);
 * assert.deepEqual(totals[0], { name: "Relu", count: 2, milliseconds: 2, share: 0.5 });
 * ```
 */
export function totalTimes(times: OperationTime[], nameOf: (time: OperationTime) => string): OperationTotal[] {
  const all = times.reduce((sum, { duration }) => sum + duration, 0), totals = new Map<string, OperationTotal>();
  for (const time of times) {
    const name = nameOf(time), total = totals.get(name) ?? { name, count: 0, milliseconds: 0, share: 0 };
    total.count++;
    total.milliseconds += time.duration / 1000;
    totals.set(name, total);
  }
  return [...totals.values()]
    .map((total) => ({ ...total, share: total.milliseconds * 1000 / all }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
}

/** What, as JSON, is a trace file that Chrome (`chrome://tracing`) and Perfetto open: complete events, microseconds. */
export function chromeTrace(times: OperationTime[], title: string): { traceEvents: Record<string, unknown>[] } {
  const threads = [...new Set(times.map(({ thread }) => thread))];
  const events = times.map(({ node, operation, outputs, begin, duration, thread }) => ({
    ...{ ph: "X", pid: 1, tid: threads.indexOf(thread) + 1, ts: begin, dur: duration },
    ...{ name: operation, args: { node, outputs } },
  }));
  const process = { ph: "M", pid: 1, name: "process_name", args: { name: title } };
  return { traceEvents: [process, ...events] };
}
