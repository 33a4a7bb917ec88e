/** Disks that are full or read-only, and folders that vanish: the task says which file it was, and goes on once it may. @module */
import { stream } from "../../../pipeline/arrays/random.ts";
import { exists } from "../../../pipeline/files/exists.ts";
import { removeFolder } from "../../../pipeline/files/atomic.ts";
import { add, type Count, countOf, inLanes, wait } from "./counts.ts";
import { runShell, start } from "./processes.ts";
import { goOn, prepareFolder, refusalFaults, type Undisturbed } from "./trials.ts";

/** Stages that write files of some size. */
const WRITING = ["preprocess la", "preprocess acdc", "split acdc", "train acdc", "eval", "predict", "report"];
const BLOCK = 512; // bytes, of `ulimit -f`

/** Tries all of it, each so many times a stage. */
export async function disturbDisks(
  home: string,
  undisturbed: Undisturbed[],
  { seed, times, lanes }: { seed: number; times: number; lanes: number },
): Promise<Count[]> {
  const stages = undisturbed.filter(({ stage }) => WRITING.includes(stage.name));
  const trials = stages.flatMap((one) =>
    Array.from(
      { length: times },
      (_, i) => ({ one, name: `disk ${one.stage.name} ${i}`, random: stream(seed, `disk ${one.stage.name}`, i) }),
    )
  );
  const limited = countOf("file size limited (RLIMIT_FSIZE)"), full = countOf("disk full (tmpfs)");
  const closed = countOf("disk read-only (tmpfs)"), gone = countOf("run folder vanishes");
  await inLanes(trials, lanes, async ({ one, name, random }) => {
    const folder = await prepareFolder(home, name, one.stage), before = sizesOf(folder);
    const largest = Math.max(...Object.values(sizesOf(`${home}/${one.stage.name}`)));
    // Deno's own caches are files too, and mostly there already.
    const shell = `trap '' XFSZ; ulimit -f ${Math.floor(random() * largest / BLOCK)}`;
    const answer = await start(folder, one.stage.command(folder), shell).ended;
    const faults = answer.code ? [...refusalFaults(answer, folder), ...leftOver(folder, before)] : [];
    add(limited, [...faults, ...await goOn(folder, one)].map((fault) => `${one.stage.name}, ${shell}: ${fault}`));
    await removeFolder(folder);
  });
  const train = undisturbed.find(({ stage }) => stage.name === "train acdc");
  if (train) add(gone, await vanish(home, train));
  if (await canMount(home)) {
    await inLanes(trials, lanes, async ({ one, name, random }) => {
      const isClosed = name.endsWith(" 0"), folder = `${home}/${name}`;
      const kilobytes = Math.ceil(
        random() * Object.values(sizesOf(`${home}/${one.stage.name}`)).reduce((a, b) => a + b) / 1024,
      );
      await Deno.mkdir(folder);
      await runShell(`mount -t tmpfs -o size=1g ss-net "$1"`, folder);
      try {
        await prepareFolder(home, name, one.stage);
        const used = Math.ceil(Object.values(sizesOf(folder)).reduce((a, b) => a + b, 0) / 1024);
        await runShell(`mount -o remount,${isClosed ? "ro" : `size=${used + kilobytes}k`} "$1"`, folder);
        const answer = await start(folder, one.stage.command(folder)).ended;
        const faults = refusalFaults(answer, folder);
        await runShell(`mount -o remount,rw,size=1g "$1"`, folder);
        const all = [...faults, ...await goOn(folder, one)];
        add(isClosed ? closed : full, all.map((fault) => `${one.stage.name}, ${kilobytes} kB: ${fault}`));
      } finally {
        await runShell(`umount -l "$1"`, folder);
        await removeFolder(folder);
      }
    });
  } else full.note = closed.note = "skipped: no tmpfs can be mounted here";
  return [limited, full, closed, gone];
}

/** A training whose folder is moved away under it. */
async function vanish(home: string, train: Undisturbed): Promise<string[]> {
  const folder = await prepareFolder(home, "vanishing", train.stage), run = `${folder}/run`;
  const running = start(folder, train.stage.command(folder));
  while (!exists(`${run}/state.safetensors`)) await wait(0.01);
  await Deno.rename(run, `${folder}/away`);
  const answer = await running.ended;
  if (exists(run)) return ["it made the folder anew"];
  await Deno.rename(`${folder}/away`, run);
  const faults = [...refusalFaults(answer, run), ...await goOn(folder, train)];
  await removeFolder(folder);
  return faults;
}

async function canMount(home: string): Promise<boolean> {
  const folder = `${home}/mount`;
  await Deno.mkdir(folder);
  return await runShell(`mount -t tmpfs -o size=64k ss-net "$1" && umount "$1"`, folder);
}

/** Of all files below a folder. */
function sizesOf(folder: string): Record<string, number> {
  return Object.fromEntries([...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? Object.entries(sizesOf(path)) : [[path, Deno.statSync(path).size]];
  }));
}

/** A task that ends by itself leaves no temporary files. */
function leftOver(folder: string, before: Record<string, number>): string[] {
  const left = Object.keys(sizesOf(folder)).filter((path) => path.includes(".part") && !(path in before));
  return left.length ? [`it leaves ${left.join(", ")}`] : [];
}
