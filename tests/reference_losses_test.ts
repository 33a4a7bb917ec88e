/** The first steps of every method on both datasets give what is stored: a changed draw, term or update is noticed. */
import assert from "node:assert/strict";
import { METHOD_NAMES } from "../pipeline/methods/methods.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { type DatasetName, type Reference, referenceOf, SMALL } from "./reference_losses.ts";

/**
 * By what part a loss may be off. Processors of other instruction sets add in another order, which moved losses by up to 8e-5
 * and updates by up to 1e-3 (`tests/golden/README.md`); another draw or term moves one of the losses by a hundredth and more.
 */
const TOLERANCE = 5e-4;
/** The same of the updates, and of what counts a few hundred pixels that pass a threshold: rounding may take one over it. */
const WIDER = 5e-3, UPDATE = "update", THRESHOLDED = /^(ua_mt|fixmatch) (certain_share|consistency)$/;

openTensorFlow({ device: "cpu" });
const references: Record<DatasetName, Record<string, Reference | undefined>> = JSON.parse(
  Deno.readTextFileSync(new URL("./golden/reference_losses.json", import.meta.url)),
);

/** The values of a reference by where they stand. */
function valuesOf({ losses, update }: Reference): [string, string, number][] {
  const steps: [string, Record<string, number>][] = losses.map((values, i) => [`step ${i + 1}`, values]);
  return [...steps, [UPDATE, update] as const].flatMap(([place, values]) =>
    Object.entries(values).map(([name, value]): [string, string, number] => [place, name, value])
  );
}

for (const dataset of Object.keys(SMALL) as DatasetName[]) {
  for (const name of METHOD_NAMES) {
    Deno.test(`${name} on ${dataset}: losses and update of its first steps are the stored ones`, async () => {
      const found = valuesOf(await referenceOf(dataset, name)), reference = references[dataset][name];
      assert.ok(reference, "nothing is stored: make the file anew as tests/reference_losses.ts says");
      const wanted = valuesOf(reference), placesOf = (values: typeof found) => values.map((value) => value.slice(0, 2));
      assert.deepEqual(placesOf(found), placesOf(wanted));
      const others = found.flatMap(([place, key, value], i) => {
        const before = wanted[i][2];
        const tolerance = place === UPDATE || THRESHOLDED.test(`${name} ${key}`) ? WIDER : TOLERANCE;
        const isNear = Math.abs(value - before) <= tolerance * Math.abs(before);
        return isNear ? [] : [`${place}: ${key} is ${value}, ${before} is stored`];
      });
      assert.deepEqual(others, []);
    });
  }
}
