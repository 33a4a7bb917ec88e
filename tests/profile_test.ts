/** The task profile as a user runs it, on the cheapest step there is. */
import assert from "node:assert/strict";
import { z } from "zod";
import { readJson } from "../pipeline/files/json.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";

const EVENTS = z.object({
  traceEvents: z.array(z.object({
    ph: z.enum(["X", "M"]),
    name: z.string(),
    dur: z.number().optional(),
    args: z.object({ outputs: z.string().optional() }),
  })),
});

Deno.test("profile prints a step's operations and shares, and writes the same ones as a trace", () =>
  withFolder(async (folder) => {
    const path = `${folder}/new/trace.json`;
    const how = ["--dataset", "acdc", "--method", "supervised", "--rows", "3", "--trace", path];
    const { code, out, error } = await runTaskFile("tools/profile", how, {
      rights: ["--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${folder}`],
    });
    assert.equal(code, 0, error);
    const [head, byOperation, byOutputs, last] = out.trim().split("\n\n");
    const count = Number(
      head.match(/^acdc supervised fp32: (\d+) operations, \d+\.\d\d s from the first to the last$/)![1],
    );
    assert.equal(last, `trace: ${path}`);
    const rows = (text: string) =>
      text.split("\n").slice(1).map((line) => line.match(/^ *([\d.]+) ms +([\d.]+) % +(\d+) {2}(.+)$/)!.slice(1));
    const shares = rows(byOperation).map(([, percent]) => Number(percent));
    assert.ok(shares.reduce((a, b) => a + b) > 95, out);
    assert.deepEqual(shares, shares.toSorted((a, b) => b - a));
    assert.equal(rows(byOutputs).length, 3);
    assert.ok(rows(byOutputs).every(([, , , name]) => name.includes(" -> ")), out);
    const events = await readJson(path, EVENTS, { what: "the trace", remedy: "it is broken" });
    const runs = events.traceEvents.filter(({ ph }) => ph === "X");
    const wide = runs.filter(({ name, args }) => name.includes("Conv2D") && args.outputs === "float[12,256,256,16]");
    assert.ok(wide.length >= 4, "the convolutions of the first and the last level");
    assert.equal(runs.length, count);
    // The first row of the table is what the trace holds of this operation.
    const [milliseconds, , times, operation] = rows(byOperation)[0];
    const same = runs.filter(({ name }) => name === operation);
    assert.equal(same.length, Number(times));
    const sum = same.reduce((sum, { dur }) => sum + dur!, 0) / 1000;
    assert.ok(Math.abs(sum - Number(milliseconds)) <= 0.05 + 1e-6, `${sum} ms, ${milliseconds} printed`);
  }));
