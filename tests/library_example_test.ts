/** The library as a user of it sees it: the example of README.md, from a folder outside the project's. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { stream } from "../pipeline/arrays/random.ts";
import { phantom } from "../pipeline/datasets/la/phantom.ts";
import { LA } from "../pipeline/datasets/la/profile.ts";
import { writeJson } from "../pipeline/files/atomic.ts";
import { readNifti } from "../pipeline/files/nifti.ts";
import { createMethod } from "../pipeline/methods/method.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { BARE_CASE, writeCase } from "../pipeline/records/case.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { writeCheckpoint } from "../pipeline/training/checkpoint.ts";
import { loadRun } from "../pipeline/training/trained_run.ts";
import { startState } from "../pipeline/training/training_step.ts";
import { withFolder } from "./with_folder.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url)), PATCH = [16, 16, 16];

Deno.test("the README's example, with the import map and the rights that stand there, writes the mask that the run gives", () =>
  withFolder(async (folder) => {
    const readme = await Deno.readTextFile(`${ROOT}/README.md`);
    const section = readme.slice(readme.indexOf("\n## Use as a library\n"));
    const [map, script] = ["json", "ts"].map((kind) => section.split("```" + kind + "\n")[1].split("```")[0]);
    const [, rights] = section.match(/^ {4}deno run (.*) segment\.ts/m)!;
    await Deno.writeTextFile(`${folder}/deno.json`, map.replaceAll("../ss-net/", new URL("..", import.meta.url).href));
    await Deno.writeTextFile(`${folder}/segment.ts`, script);
    // The project's packages are in Deno's cache as its lock file has them; without one Deno asks the registry what there is.
    const { workspace: _, ...lock } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.lock`));
    await writeJson(`${folder}/deno.lock`, lock);

    openTensorFlow({ threads: 2 });
    const run = `${folder}/run`, method = createMethod(METHODS.supervised, LA, { patch: PATCH });
    await Deno.mkdir(run);
    await writeJson(`${run}/config.json`, {
      ...{ dataset: "la", method: "supervised", patch: PATCH.join("x") },
      splitContent: { profile: "la", source: "test", labeled: ["a"], unlabeled: [], validation: [], test: ["b"] },
    });
    await writeCheckpoint(`${run}/last.safetensors`, method.spec, startState(method, stream(1, "weights")), 0);
    const volume = { ...phantom(1, "patient", [32, 24, 16]), shape: [32, 24, 16] as [number, number, number] };
    const one = { ...BARE_CASE, ...volume, preparation: "phantom" };
    await writeCase(`${folder}/CASE.h5`, one, { file: "phantom", sha256: "" });

    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--cached-only",
        "--check",
        ...rights.split(" "),
        "segment.ts",
        "run",
        "CASE.h5",
        "mask.nii.gz",
      ],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const { segment } = await loadRun(run, { batchNorm: "window" });
    const wanted = await segment(one), { data } = await readNifti(`${folder}/mask.nii.gz`);
    assert.ok(wanted.includes(0) && wanted.includes(1), "the untrained network decides for either class somewhere");
    assert.deepEqual(Uint8Array.from(data), wanted);
  }));
