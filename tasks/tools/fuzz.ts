/**
 * `deno task fuzz`: good files of every format that the pipeline reads, mutated by fast-check from a seed, and read. A file
 * is refused by a typed error, or it says what it said before, or what another file of the format would say. Anything else
 * is a fault: another error, more than ten seconds, a change that a checksum or hash had to notice. Ends with the counts and
 * `N passed, N failed`; the bytes of a fault are kept.
 * @module
 */
import fc from "fast-check";
import { z } from "zod";
import { EXIT, parseOptions, runTask } from "../../pipeline/command/options.ts";
import { writeAtomically } from "../../pipeline/files/atomic.ts";
import { BoundedWorker } from "../../pipeline/files/bounded_worker.ts";
import { temporaryFolder } from "../../pipeline/files/places.ts";
import { FORMATS } from "./fuzz/formats.ts";
import type { FuzzJob, FuzzResult } from "./fuzz/worker.ts";

/** Longer counts as a hang. */
const SECONDS = 10;
/** Files that a thread reads before another takes its place: the library of HDF5 keeps what it opened. */
const RENEWED_AFTER = 500;

/** What stands in texts where something else is wanted. */
const HOSTILE = [
  ...[
    "",
    "0",
    "-1",
    "1e308",
    "-0",
    "NaN",
    "Infinity",
    "null",
    "true",
    "[]",
    "{}",
    '"',
    "\\",
    "\n",
    "\r\n",
    "\0",
    "\x1b[2J",
  ],
  ...["99999999999999999999", "4294967296", "0.1", "__proto__", "constructor", "../../x", "/etc/passwd", "é", "\u2028"],
];

/** One change of a file; places and lengths are shares of it. */
type Edit =
  | { kind: "flip"; at: number; bit: number }
  | { kind: "byte"; at: number; value: number }
  | { kind: "cut"; at: number; length: number }
  | { kind: "end"; at: number }
  | { kind: "repeat"; at: number; length: number }
  | { kind: "insert"; at: number; text: string }
  | { kind: "number"; at: number; text: string };

/** Uniform: fast-check prefers small numbers, which would change the first bytes alone. */
const share = fc.noBias(fc.integer({ min: 0, max: 2 ** 31 - 1 })).map((value) => value / 2 ** 31);
const length = fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 4096 }));
const EDIT: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at: share, bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ kind: fc.constant("byte" as const), at: share, value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant("cut" as const), at: share, length }),
  fc.record({ kind: fc.constant("end" as const), at: share }),
  fc.record({ kind: fc.constant("repeat" as const), at: share, length }),
  fc.record({ kind: fc.constant("insert" as const), at: share, text: fc.constantFrom(...HOSTILE) }),
  fc.record({ kind: fc.constant("number" as const), at: share, text: fc.constantFrom(...HOSTILE) }),
);
const EDITS = fc.array(EDIT, { minLength: 1, maxLength: 3 });

function edited(bytes: Uint8Array, edit: Edit): Uint8Array {
  const at = Math.floor(edit.at * bytes.length), head = bytes.subarray(0, at);
  const around = (middle: Uint8Array, rest: number) => joined(head, middle, bytes.subarray(rest));
  if (edit.kind === "flip" || edit.kind === "byte") {
    const changed = bytes.slice();
    if (at < bytes.length) changed[at] = edit.kind === "flip" ? bytes[at] ^ (1 << edit.bit) : edit.value;
    return changed;
  }
  if (edit.kind === "end") return head;
  if (edit.kind === "cut") return around(new Uint8Array(), at + edit.length);
  if (edit.kind === "repeat") return around(bytes.subarray(at, at + edit.length), at);
  const text = new TextEncoder().encode(edit.text);
  if (edit.kind === "insert") return around(text, at);
  // The next number of a text: a size, a count, an offset.
  const latin1 = new TextDecoder("latin1").decode(bytes), found = /-?\d[\d.]*/.exec(latin1.slice(at));
  if (!found) return bytes;
  const from = at + found.index;
  return joined(bytes.subarray(0, from), text, bytes.subarray(from + found[0].length));
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

/** Counts of one format. */
interface Counts {
  /** The files that said what the good file says. */
  same: number;
  /** The files that said something else that a file may say. */
  other: number;
  /** The files that were refused by a typed error. */
  refused: number;
  /** The files of any other outcome. */
  faults: string[];
}

async function fuzz(
  name: string,
  { inputs, seed, folder, keep }: Record<"inputs" | "seed", number> & Record<"folder" | "keep", string>,
) {
  const format = FORMATS[name], counts: Counts = { same: 0, other: 0, refused: 0, faults: [] };
  const seeds = await format.seeds(folder), wanted: string[] = [];
  let worker: BoundedWorker<FuzzJob, FuzzResult> | null = null, read = 0;
  const outcomeOf = async (bytes: Uint8Array, number: number) => {
    if (read++ % RENEWED_AFTER === 0) {
      worker?.end();
      worker = null;
    }
    worker ??= new BoundedWorker<FuzzJob, FuzzResult>(new URL("./fuzz/worker.ts", import.meta.url));
    await Deno.writeFile(`${folder}/${format.file}`, bytes);
    return await worker.call({ format: name, folder, seed: number }, { transfer: [], seconds: SECONDS });
  };
  for (const [number, bytes] of seeds.entries()) {
    const outcome = await outcomeOf(bytes, number);
    if (!outcome || !("read" in outcome)) {
      throw new Error(`a good file of ${name} is not read: ${JSON.stringify(outcome)}`);
    }
    wanted.push(outcome.read);
  }
  for (const [index, edits] of fc.sample(EDITS, { numRuns: inputs, seed }).entries()) {
    const number = index % seeds.length,
      bytes = edits.reduce(edited, seeds[number]),
      outcome = await outcomeOf(bytes, number);
    if (outcome && "refused" in outcome) counts.refused++;
    else if (outcome && "read" in outcome && outcome.read === wanted[number]) counts.same++;
    else if (outcome && "read" in outcome && !format.isGuarded) counts.other++;
    else {
      const what = !outcome
        ? `more than ${SECONDS} s`
        : "untyped" in outcome
        ? outcome.untyped.split("\n").slice(0, 2).join(" ")
        : "a change was not noticed";
      const path = `${keep}/${name}-${seed}-${index}-${format.file}`;
      await Deno.mkdir(keep, { recursive: true });
      await writeAtomically(path, [bytes]);
      counts.faults.push(`${path}: ${what}; ${JSON.stringify(edits)}`);
    }
  }
  (worker as BoundedWorker<FuzzJob, FuzzResult> | null)?.end();
  return counts;
}

await runTask(async () => {
  const { inputs, seed, format } = parseOptions(
    z.strictObject({
      inputs: z.int().positive().default(20_000).describe("files over all formats"),
      seed: z.int().nonnegative().default(1).describe("of the mutations"),
      format: z.string().default(Object.keys(FORMATS).join(",")).describe("formats, with commas"),
    }),
    { name: "fuzz", description: "Read mutated files of every format and count what comes of it", args: Deno.args },
  );
  const names = format.split(","), unknown = names.filter((name) => !Object.hasOwn(FORMATS, name));
  if (unknown.length) {
    console.error(`unknown format "${unknown.join('", "')}"; known are ${Object.keys(FORMATS).join(", ")}`);
    return EXIT.usage;
  }
  const folder = await temporaryFolder("ss-net-fuzz-"), keep = `${folder}-faults`;
  let passed = 0, failed = 0;
  console.log("format       inputs  refused     same    other   faults");
  for (const name of names) {
    const count = Math.ceil(inputs / names.length), counts = await fuzz(name, { inputs: count, seed, folder, keep });
    const numbers = [count, counts.refused, counts.same, counts.other, counts.faults.length];
    console.log(name.padEnd(12) + numbers.map((number) => String(number).padStart(7)).join("  "));
    counts.faults.slice(0, 10).forEach((fault) => console.error(`  ${fault}`));
    passed += count - counts.faults.length;
    failed += counts.faults.length;
  }
  await Deno.remove(folder, { recursive: true });
  console.log(`${passed} passed, ${failed} failed`);
  return failed ? 1 : EXIT.done;
});
