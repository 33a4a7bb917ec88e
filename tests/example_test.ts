/** The examples of CONTRIBUTING.md: a dataset is a folder and its line, a method a file and its line, and every task takes them. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { withFolder } from "./with_folder.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

async function copy(from: string, to: string) {
  await Deno.mkdir(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) await copy(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Adds an import to a list of modules, and its name to the list. */
async function addLine(path: string, { name, from, before }: { name: string; from: string; before: string }) {
  const text = await Deno.readTextFile(path);
  assert.ok(text.includes(before));
  const added = text.replace(before, `  ${name},\n${before}`).replace(
    "import ",
    `import { ${name.split(": ").at(-1)} } from "${from}";\nimport `,
  );
  await Deno.writeTextFile(path, added);
}

Deno.test("volumes of four classes and a toy method, a folder or file and a line each, go through every task to a report", () =>
  withFolder(async (folder) => {
    const project = `${folder}/project`, out = `${folder}/grid`;
    for (const part of ["pipeline", "tasks"]) await copy(`${ROOT}/${part}`, `${project}/${part}`);
    await Deno.mkdir(`${project}/data`);
    for (const file of ["deno.json", "deno.lock", "mod.ts", "data/costs.json"]) {
      await Deno.copyFile(`${ROOT}/${file}`, `${project}/${file}`);
    }
    await copy(`${ROOT}/tests/example/organs`, `${project}/pipeline/datasets/organs`);
    await addLine(`${project}/pipeline/datasets/datasets.ts`, {
      name: "ORGANS",
      from: "./organs/organs.ts",
      before: "];\n\n/** The datasets that come with the project, by name. */",
    });
    await Deno.copyFile(
      `${ROOT}/tests/example/entropy_minimization.ts`,
      `${project}/pipeline/methods/entropy_minimization.ts`,
    );
    await addLine(`${project}/pipeline/methods/methods.ts`, {
      name: "entropy: entropyMinimization",
      from: "./entropy_minimization.ts",
      before: "} as const satisfies Record<string, MethodDefinition>;",
    });
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-env", "--allow-run=deno"],
        ...["--allow-sys=hostname,systemMemoryInfo", `${project}/tasks/reproduce.ts`, "--scale", "ci"],
        ...["--dataset", "organs", "--method", "ssnet,entropy", "--out", out],
      ],
    }).output();
    const [text, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.equal(code, 0, text + error);
    assert.match(text, /\n4 passed, 0 failed\n/);
    const cell = `${out}/organs-4/ssnet/1337`;
    const { dataset, method, training } = JSON.parse(await Deno.readTextFile(`${cell}/config.json`));
    assert.deepEqual([dataset, method.name, method.settings.bankRows], ["organs", "ssnet", 32]);
    assert.deepEqual(training.patch, [16, 16, 16]);
    const metrics = JSON.parse(await Deno.readTextFile(`${cell}/evaluation-window/metrics.json`));
    assert.deepEqual(metrics.classes, ["left", "middle", "right"]);
    assert.equal(metrics.rows.length, 6);
    assert.ok(metrics.rows.some(({ voxels }: { voxels: number }) => voxels > 0), "the mask is not empty");
    const report = await Deno.readTextFile(`${out}/report/report.md`);
    for (const words of ["Organs", "SS-Net", "Entropy minimization", "no published results here"]) {
      assert.ok(report.includes(words), words);
    }
    assert.ok(!report.includes("≠"), "nothing differs from a protocol that there is not");
  }));
