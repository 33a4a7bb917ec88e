/** Weights from elsewhere in the tasks: what begins a training, and what is evaluated without a run folder. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { sha256 } from "../pipeline/files/hash.ts";
import { writeRawHearts } from "../pipeline/datasets/acdc/phantom.ts";
import { readWeightsFile } from "../pipeline/files/weights_file.ts";
import { readNifti } from "../pipeline/files/nifti.ts";
import { readMetrics } from "../pipeline/records/evaluation.ts";
import { readScores } from "../pipeline/records/score.ts";
import { readNetworkMetadata, readRunConfig, writeRunConfig } from "../pipeline/records/run.ts";
import { runTaskFile } from "./in_process.ts";
import { withFolder } from "./with_folder.ts";

const TAKES_NO_DATASET = ["export", "predict", "score", "report"];

/** Runs a task on slices, at home in the folder. */
const task = (folder: string, name: string, args: string[]) =>
  runTaskFile(name, TAKES_NO_DATASET.includes(name) ? args : ["acdc", ...args], {
    rights: ["--allow-ffi", "--allow-env", "--allow-sys", `--allow-write=${folder}`],
    env: { SSNET_HOME: folder },
  });

Deno.test("weights evaluate without their run as with it, and begin another training of the method or of another", () =>
  withFolder(async (folder) => {
    const done = async (name: string, ...args: string[]) => {
      const { code, out, error } = await task(folder, name, args);
      assert.equal(code, 0, error);
      return out;
    };
    await writeRawHearts(`${folder}/raw/acdc`, { seed: 5, count: 4, shape: [6, 48, 40] });
    await done("preprocess");
    await done("split", "--labeled", "2", "--test-cases", "1");
    const train = (run: string, method: string, ...args: string[]) =>
      done("train", "--run", `${folder}/${run}`, "--method", method, "--patch", "64x64", ...args);
    await train("first", "supervised", "--iterations", "2");
    const weights = `${folder}/first/last.safetensors`;

    await done("evaluate", "--run", `${folder}/first`, "--checkpoint", "last");
    const out = await done("evaluate", "--weights", weights, "--method", "supervised", "--patch", "64x64");
    const place = out.match(/(\/.*)\/metrics\.json/)![1];
    assert.match(place.slice(folder.length), /^\/evaluations\/acdc-last-[0-9a-f]{8}\/evaluation-running$/);
    const [alone, own] = [await readMetrics(place), await readMetrics(`${folder}/first/evaluation-running`)];
    const scores = ({ rows }: typeof own) => rows.map((row) => ({ ...row, seconds: 0 }));
    assert.deepEqual(scores(alone), scores(own));
    assert.deepEqual([alone.checkpoint, alone.iteration, alone.trainingPreparations], [weights, 2, []]);

    const image = `${folder}/raw/acdc/patient001/patient001_frame01.nii.gz`;
    const mask = (name: string, ...args: string[]) =>
      done("predict", image, "-o", `${folder}/${name}`, ...args).then(() =>
        readNifti(`${folder}/${name}/patient001_frame01.nii.gz`)
      );
    // Weights alone do not say the orientation of their training: the dataset's published one counts, as of older runs.
    const { grid: _, ...ungridded } = await readRunConfig(`${folder}/first`);
    await writeRunConfig(`${folder}/first`, ungridded);
    const [byRun, byFile] = [
      await mask("by-run", "--run", `${folder}/first`, "--checkpoint", "last"),
      await mask("by-file", "--weights", weights, "--dataset", "acdc", "--method", "supervised", "--patch", "64x64"),
    ];
    assert.deepEqual(byFile.data, byRun.data);
    const bare = await task(folder, "predict", [image, "-o", `${folder}/none`, "--weights", weights]);
    assert.equal(bare.code, 3);
    assert.match(bare.error, /it does not say of which dataset its network is; --dataset la or acdc wanted$/m);

    const printed = await done(
      "score",
      `${folder}/first/evaluation-running`,
      `${folder}/cases/acdc`,
      "--dataset",
      "acdc",
    );
    const { rows, patientSummary } = await readScores(printed.match(/(\/.*)\/scores\.json/)![1]);
    assert.deepEqual(rows.map((row) => ({ ...row, seconds: 0 })), scores(own));
    assert.equal(patientSummary!.honest.mean.dice.mean, own.patientSummary!.honest.mean.dice.mean);
    const raw = await done("score", `${folder}/first/evaluation-running`, `${folder}/raw/acdc`, "--dataset", "acdc");
    const byNames = await readScores(raw.match(/(\/.*)\/scores\.json/)![1]); // the raw files say no phase
    // Along X, Y, Z instead of Z, Y, X: sums differ by the last digit.
    const rounded = (all: typeof rows) =>
      all.map((
        { patient, case: name, honest, voxels },
      ) => [patient, name, honest.dice, honest.hd95, honest.asd?.toFixed(9), voxels]);
    assert.deepEqual(rounded(byNames.rows), rounded(rows));

    // For other programs: the same network, from the file that they read.
    for (const [form, size] of [[["--format", "pth"], 7.5], [["--half"], 3.7]] as const) {
      const exported = await done("export", `${folder}/first`, "--checkpoint", "last", ...form);
      const file = exported.match(/model: (.*) \(([\d.]+) MB\)\ncard: (.*)\n$/)!,
        card = await Deno.readTextFile(file[3]);
      assert.ok(Math.abs(Number(file[2]) - size) < 0.5, file[2]);
      assert.equal((await Deno.stat(file[1])).size > 1e6, true);
      assert.ok(card.includes(sha256(await Deno.readFile(file[1]))) && !/undefined|null|NaN/.test(card), card);
      assert.match(card, /^# .*\n\n\*\*Not for clinical use\.\*\*/);
      assert.match(card, /\| patients \| 2 labeled, 1 unlabeled, 0 for validation \|\n/);
      assert.match(card, /\nrunning: 1 patient of .*\n\n\| class \| Dice % .*\n.*\n\| mean \| /);
      const isTold = form[0] === "--half", how = isTold ? [] : ["--method", "supervised", "--patch", "64x64"];
      const again = await done("evaluate", "--weights", file[1], ...how);
      const read = await readMetrics(again.match(/(\/.*)\/metrics\.json/)![1]);
      if (form[0] === "--half") {
        const [a, b] = [read, own].map(({ summary }) => summary.honest.mean.dice.mean!);
        assert.ok(Math.abs(a - b) < 0.02, `${a}, ${b}`);
        // A file of ours says all that a network of another file wants to be told.
        const { config, ...told } = readNetworkMetadata((await readWeightsFile(file[1])).metadata, file[1])!;
        assert.deepEqual(told, { components: "all", componentsChoice: null });
        assert.ok(!JSON.stringify(config).includes(folder) && config.split.labeled.length === 0);
        assert.match(card, /\n {4}deno task predict IMAGE --weights model\.safetensors -o OUT\n/);
        const alone = await mask("by-itself", "--weights", file[1]);
        const same = alone.data.filter((c, i) => c === byRun.data[i]).length;
        assert.ok(same > 0.98 * alone.data.length, `${same} of ${alone.data.length}`);
        const wrong = await task(folder, "predict", [
          ...[image, "-o", `${folder}/none`, "--weights", file[1], "--dataset", "la", "--method", "bcp"],
        ]);
        assert.equal(wrong.code, 3);
        assert.match(wrong.error, /it is a network of dataset acdc, not la, method supervised, not bcp$/m);
      } else assert.deepEqual(scores(read), scores(own));
    }

    const refused = async (code: number, wanted: RegExp, name: string, ...args: string[]) => {
      const answer = await task(folder, name, args);
      assert.deepEqual([answer.code, wanted.test(answer.error)], [code, true], answer.error);
    };
    await refused(
      2,
      /--run and --checkpoint cannot stand beside --weights/,
      "evaluate",
      "--weights",
      weights,
      "--run",
      "x",
      "--checkpoint",
      "best",
    );
    await refused(2, /--method wants --weights beside it/, "evaluate", "--method", "supervised");
    await refused(
      3,
      /checkpoint of another network\ndecoder\.out_conv_dp4\.weight: /,
      "evaluate",
      "--weights",
      weights,
      "--method",
      "urpc",
    );
    await refused(3, /there is no such file/, "evaluate", "--weights", `${folder}/none.pth`);

    // Nothing is trained: what is written is what was begun with.
    const begun = await train("second", "supervised", "--iterations", "0", "--init", weights);
    assert.match(begun, /^init: (\d+) of \1 arrays are those of ".*first\/last\.safetensors"$/m);
    const values = async (path: string) =>
      Object.entries((await readWeightsFile(path)).tensors).flatMap(([name, tensor]) =>
        tensor.dtype === "F32" ? [[name, tensor.values()]] : []
      );
    assert.deepEqual(await values(`${folder}/second/last.safetensors`), await values(weights));
    const { training: { init } } = await readRunConfig(`${folder}/second`);
    assert.equal(init!.file, weights);
    await done("evaluate", "--run", `${folder}/second`, "--checkpoint", "last");
    await done("report", `${folder}/second`);
    const report = await Deno.readTextFile(`${folder}/second/report.md`);
    assert.match(report, /^\| First weights \|.* last\.safetensors \(SHA-256 [0-9a-f]{8}…\)/m);
    const heads = await train("third", "ssnet", "--iterations", "0", "--init", weights);
    assert.match(
      heads,
      /^init: 1\d\d of \d+ arrays .*\ninit: these begin anew:\n {2}projection_head\.0\.weight: \[32,16\] wanted, nothing found$/m,
    );
    // From a run's network, without a warm-up; nothing but the teacher is new.
    const short = ["--preset", "fast", "--iterations", "1", "--init", `${folder}/first`];
    const taught = await train("taught", "mean_teacher", ...short);
    assert.match(taught, /^init: (\d+) of \1 arrays are those of ".*first\/last\.safetensors"$/m);
    assert.equal((await readRunConfig(`${folder}/taught`)).training.warmup, 0);
    // Another's network keeps its norm, whatever says it.
    const normOf = async (name: string, method: string, ...args: string[]) => {
      await train(name, method, "--preset", "fast", "--iterations", "0", ...args);
      return (await readRunConfig(`${folder}/${name}`)).training.norm;
    };
    const other = `${folder}/other`;
    assert.equal(await normOf("other", "supervised", "--norm", "instance"), "instance");
    await done("export", other, "--half");
    for (const [i, file] of ["", "/last.safetensors", "/model.safetensors"].entries()) {
      assert.equal(await normOf(`of-other-${i}`, "ssnet", "--init", other + file), "instance", file);
    }
    assert.equal(await normOf("of-first", "ssnet", "--init", `${folder}/first/model.pth`), "batch");
    const third = ["--run", `${folder}/third`, "--resume"];
    await refused(
      2,
      /init: started with .*first.*, now .*third/,
      "train",
      ...third,
      "--init",
      `${folder}/third/last.safetensors`,
    );
    await refused(
      3,
      /none\.pth": there is no such file/,
      "train",
      "--run",
      `${folder}/fourth`,
      "--init",
      `${folder}/none.pth`,
    );
    assert.ok(!existsSync(`${folder}/fourth`));
  }));
