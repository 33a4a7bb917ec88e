/** Files of earlier versions, whose fields had other names, are read as files of today. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readJson, recordText } from "../pipeline/files/json.ts";
import { readLog } from "../pipeline/files/log.ts";
import { readManifest } from "../pipeline/records/manifest.ts";
import { parseMeasurement, readSteps, stepsText } from "../pipeline/records/measurement.ts";
import { CLINICAL_NAMES, readMetrics, SUMMARIES } from "../pipeline/records/evaluation.ts";
import { FORMATS } from "../tasks/tools/fuzz/formats.ts";
import { withFolder } from "./with_folder.ts";

const seedOf = async (folder: string, format: string) =>
  new TextDecoder().decode((await FORMATS[format].seeds(folder))[0]);
const EARLIER = [["standardDeviation", "deviation"], ["learning_rate", "rate"], [
  "lowResolutionSeconds",
  "coarseSeconds",
]] as const;

/** A record's text with the checksum of what it says now, a log's without those that earlier versions had not. */
const sealed = (text: string) => {
  if (!text.includes('"checksum"')) return text.replaceAll(/,"crc32":\d+/g, "");
  const { checksum: _, ...record } = JSON.parse(text);
  return recordText(record);
};

/** Writes a file as an earlier version did, its checksum too, and reads it; the names must occur in it. */
async function readEarlier<T>(
  { path, text, names }: { path: string; text: string; names: (typeof EARLIER)[number][0][] },
  read: () => Promise<T>,
): Promise<{ today: T; earlier: T }> {
  await Deno.writeTextFile(path, sealed(text));
  const today = await read();
  for (const name of names) assert.ok(text.includes(`"${name}"`), `${path} has no ${name}`);
  const older = EARLIER.reduce((all, [now, then]) => all.replaceAll(`"${now}"`, `"${then}"`), text);
  await Deno.writeTextFile(path, sealed(older));
  return { today, earlier: await read() };
}

Deno.test("metrics, manifests, logs and costs of earlier versions are read under their present names", () =>
  withFolder(async (folder) => {
    const metrics = JSON.parse(await seedOf(folder, "metrics"));
    const agreement = {
      ...{ unit: "ml", bias: 1, standardDeviation: 2, limits: [-3, 5], meanAbsolute: 1, patients: 2 },
    };
    metrics.clinical = Object.fromEntries(CLINICAL_NAMES.map((name) => [name, agreement]));
    const evaluated = await readEarlier(
      { path: `${folder}/metrics.json`, text: JSON.stringify(metrics), names: ["standardDeviation"] },
      () => readMetrics(folder),
    );
    assert.deepEqual(evaluated.earlier, evaluated.today);
    assert.equal(evaluated.earlier.clinical!["LV EF"].standardDeviation, 2);

    const summaries = await readEarlier(
      { path: `${folder}/summary.json`, text: JSON.stringify(metrics.summary), names: ["standardDeviation"] },
      () => readJson(`${folder}/summary.json`, SUMMARIES, { what: "the summary", remedy: "" }),
    );
    assert.deepEqual(summaries.earlier, summaries.today);

    const manifest = await readEarlier(
      { path: `${folder}/manifest.json`, text: await seedOf(folder, "manifest"), names: ["standardDeviation"] },
      async () => (await readManifest(folder)).cases,
    );
    assert.deepEqual(manifest.earlier, manifest.today);

    const log = await readEarlier(
      { path: `${folder}/metrics.jsonl`, text: await seedOf(folder, "log"), names: ["learning_rate"] },
      () => readLog(`${folder}/metrics.jsonl`),
    );
    assert.deepEqual(log.earlier, log.today);
    assert.equal(log.earlier[0].learning_rate, 0.01);

    const costs = Deno.readTextFileSync(fileURLToPath(new URL("../data/costs.json", import.meta.url)));
    const steps = await readEarlier(
      { path: `${folder}/costs.json`, text: costs, names: ["lowResolutionSeconds"] },
      () => readSteps(`${folder}/costs.json`),
    );
    assert.ok(stepsText(steps.earlier) === stepsText(steps.today));
    const [step] = JSON.parse(costs).steps.filter((step: object) => "lowResolutionSeconds" in step);
    const printed = JSON.stringify(step).replace("lowResolutionSeconds", "coarseSeconds");
    assert.deepEqual(parseMeasurement(printed), parseMeasurement(JSON.stringify(step)));
  }));
