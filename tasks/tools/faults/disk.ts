/** Disks that are full or read-only, and folders that vanish: the task says which file it was, and goes on once it may. @module */
import { stream } from "../../../pipeline/arrays/random.ts";
import { exists } from "../../../pipeline/files/exists.ts";
import { removeFolder } from "../../../pipeline/files/atomic.ts";
import { add, type Count, countOf, inLanes, type Lanes, wait } from "./counts.ts";
import { runShell, start } from "./processes.ts";
import { goOn, prepareFolder, refusalFaults, type Undisturbed } from "./trials.ts";

/** Stages that write files of some size. */
const WRITING = ["preprocess la", "preprocess acdc", "split acdc", "train acdc", "eval", "predict", "report"];
const BLOCK = 512; // bytes, of `ulimit -f`

/** Tries all of it, each so many times a stage. */
export async function disturbDisks(
  home: string,
  undisturbed: Undisturbed[],
  { seed, times, lanes }: { seed: number; times: number; lanes: Lanes },
): Promise<Count[]> {
  const trials = undisturbed.filter(({ stage }) => WRITING.includes(stage.name)).flatMap((one) =>
    Array.from({ length: times }, (_, i): Trial => {
      const { name } = one.stage, random = stream(seed, `disk ${name}`, i);
      return { one, name: `disk ${name} ${i}`, random, isFirst: i === 0 };
    })
  );
  const limited = countOf("file size limited (RLIMIT_FSIZE)"), full = countOf("disk full (tmpfs)");
  const closed = countOf("disk read-only (tmpfs)"),
    gone = countOf("run folder vanishes"),
    barred = countOf("no right to write");
  await inLanes(trials, lanes, (trial) => limitFiles(home, trial, limited));
  const under = await unprivileged();
  if (under === null) barred.note = "skipped: root may write everywhere";
  else {await inLanes(
      trials.filter(({ isFirst }) => isFirst),
      lanes,
      (trial) => barFolder(home, trial, { under, count: barred }),
    );}
  const train = undisturbed.find(({ stage }) => stage.name === "train acdc");
  if (train) add(gone, await vanish(home, train));
  if (await canMount(home)) {
    await inLanes(trials, lanes, (trial) => mountSmall(home, trial, trial.isFirst ? closed : full));
  } else full.note = closed.note = "skipped: no tmpfs can be mounted here";
  return [limited, full, closed, barred, gone];
}

/** One stage on one disk. */
interface Trial {
  one: Undisturbed;
  name: string;
  random: () => number;
  /** Whether the disk is read-only, as of the first trial of a stage, not full. */
  isFirst: boolean;
}

/** No file may be larger than some of those that the stage writes: as on a full disk, a write fails in the middle. */
async function limitFiles(home: string, { one, name, random }: Trial, count: Count) {
  const folder = await prepareFolder(home, name, one.stage);
  const limit = Math.floor(random() * Math.max(...madeBy(home, one, folder)) / BLOCK), before = sizesOf(folder);
  const limited = `sh -c 'trap "" XFSZ; ulimit -f ${limit}; exec "$@"' sh`;
  const answer = await start(folder, one.stage.command(folder), limited).ended;
  if (answer.code) {
    const left = Object.keys(sizesOf(folder)).filter((path) => path.endsWith(".part") && !(path in before));
    const faults = [...refusalFaults(answer, folder), ...left.map((path) => `it leaves ${path}`)];
    add(count, [...faults, ...await goOn(folder, one)].map((fault) => `${name}, limit ${limit}: ${fault}`));
  }
  await removeFolder(folder);
}

/** What starts a program that permissions hold for, also as root; null where there is none. */
async function unprivileged(): Promise<string | null> {
  if (!await runShell('test "$(id -u)" = 0')) return "";
  const without = "setpriv --bounding-set=-dac_override";
  return await runShell(`${without} true`) ? without : null;
}

/** A folder, with all that is in it, that the stage may not write to. */
async function barFolder(home: string, { one, name }: Trial, { under, count }: { under: string; count: Count }) {
  const folder = await prepareFolder(home, `barred ${name}`, one.stage);
  await runShell('chmod -R a-w "$1"', folder);
  const answer = await start(folder, one.stage.command(folder), under).ended;
  await runShell('chmod -R u+w "$1"', folder);
  const faults = answer.code ? refusalFaults(answer, folder) : ["it is not refused"];
  add(count, [...faults, ...await goOn(folder, one)].map((fault) => `${name}: ${fault}`));
  await removeFolder(folder);
}

/** A disk of its own, for a part of what the stage writes or for nothing. */
async function mountSmall(home: string, { one, name, random, isFirst }: Trial, count: Count) {
  const folder = `${home}/${name}`,
    kilobytes = (sizes: number[]) => sizes.reduce((sum, size) => sum + 4 * Math.ceil(size / 4096), 0);
  await Deno.mkdir(folder);
  await runShell(`mount -t tmpfs -o size=1g ss-net "$1"`, folder);
  try {
    await prepareFolder(home, name, one.stage);
    const used = kilobytes(Object.values(sizesOf(folder))), room = kilobytes(madeBy(home, one, folder)) * random();
    await runShell(`mount -o remount,${isFirst ? "ro" : `size=${used + Math.ceil(room)}k`} "$1"`, folder);
    const answer = await start(folder, one.stage.command(folder)).ended;
    await runShell(`mount -o remount,rw,size=1g "$1"`, folder);
    if (!answer.code) return;
    const faults = [...refusalFaults(answer, folder), ...await goOn(folder, one)];
    add(count, faults.map((fault) => `${name}, ${Math.ceil(room)} kB: ${fault}`));
  } finally {
    await runShell(`umount -l "$1"`, folder);
    await removeFolder(folder);
  }
}

/** A training whose folder is moved away under it. */
async function vanish(home: string, train: Undisturbed): Promise<string[]> {
  const folder = await prepareFolder(home, "vanishing", train.stage), run = `${folder}/run`;
  const running = start(folder, train.stage.command(folder));
  let isOver = false;
  running.ended.finally(() => isOver = true);
  while (!isOver && !exists(`${run}/state.safetensors`)) await wait(0.01);
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

/** Sizes of the files that a stage makes beside those in `folder`, which it starts from. */
function madeBy(home: string, { stage }: Undisturbed, folder: string): number[] {
  const from = sizesOf(folder), place = `${home}/${stage.name}`;
  return Object.entries(sizesOf(place)).filter(([path]) => !(path.replace(place, folder) in from)).map(([, size]) =>
    size
  );
}

/** The sizes of all files below a folder. */
function sizesOf(folder: string): Record<string, number> {
  return Object.fromEntries([...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? Object.entries(sizesOf(path)) : [[path, Deno.statSync(path).size]];
  }));
}
