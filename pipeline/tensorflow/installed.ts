/**
 * What a library for GPUs is made of that Python has installed already: `tensorflow` of the version that is pinned, CUDA's
 * packages (`nvidia-*-cu12`, as `tensorflow[and-cuda]` and PyTorch bring them), else CUDA 13's of the same kind. They are
 * linked, not copied; only what is missing is fetched.
 * @module
 */
import { type Installed, installedPackages, isOlder, linkFiles } from "./pip.ts";
import { CUDA_13, CUDA_FILES, SEARCHED_FOLDER, VERSION, type Wheel } from "./wheels.ts";

/** Wheels that need not be fetched. */
export interface Taken {
  /** The wheels that were found. */
  wheels: Wheel[];
  /** File and link, by the name in the archive. */
  links: [path: string, member: string][];
  /** A line each. */
  notes: string[];
}

const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);
const wantedFiles = ({ members }: Wheel) => members.filter((member) => !member.endsWith("*"));

/** A wheel's files where Python has its package: TensorFlow of just this version, of CUDA not an older one. */
function ownFiles(wheel: Wheel, installed: Installed | undefined): [path: string, member: string][] | undefined {
  const { package: name, version } = wheel;
  const fits = installed &&
    (name.startsWith("nvidia-") ? !isOlder(installed.version, version) : installed.version === version);
  const files = fits ? installed.files : [];
  const pairs = wantedFiles(wheel).map((member) =>
    [files.find((path) => path.endsWith(`/${member}`)), member] as const
  );
  return pairs.every(([path]) => path) ? pairs as [string, string][] : undefined;
}

/** All that stands for CUDA 12 from CUDA 13's packages, or nothing. */
function cuda13Files(packages: Record<string, Installed>): [path: string, member: string][] {
  const links: [string, string][] = [];
  for (const { package: name, files } of CUDA_13) {
    for (const [wanted, file] of Object.entries(files)) {
      const path = packages[name]?.files.find((path) => nameOf(path) === file);
      if (!path) return [];
      const own = CUDA_FILES.find((member) => nameOf(member) === wanted)!, searched = `${SEARCHED_FOLDER}/${wanted}`;
      // What TensorFlow asks for is known to the loader under CUDA 13's name alone: it must find a file of 12's.
      for (const member of new Set([own, searched])) links.push([path, member]);
    }
  }
  return links;
}

/** Chooses from what Python has. @param wheels Of a library for GPUs. */
export function takeFrom(wheels: Wheel[], packages: Record<string, Installed>): Taken {
  const taken: Taken = { wheels: [], links: [], notes: [] };
  for (const wheel of wheels) {
    const links = ownFiles(wheel, packages[wheel.package]);
    if (!links) continue;
    taken.wheels.push(wheel);
    taken.links.push(...links);
    taken.notes.push(`taken: ${wheel.package} ${packages[wheel.package].version}, ${links[0][0]}`);
  }
  const served = new Set(CUDA_13.flatMap(({ files }) => Object.keys(files)));
  const isServed = (wheel: Wheel) => wantedFiles(wheel).every((member) => served.has(nameOf(member)));
  // One generation or the other: their libraries call one another.
  const links = taken.wheels.some(isServed) ? [] : cuda13Files(packages);
  if (!links.length) return taken;
  const versions = CUDA_13.map(({ package: name }) => `${name} ${packages[name].version}`).join(", ");
  return {
    wheels: [...taken.wheels, ...wheels.filter(isServed)],
    links: [...taken.links, ...links],
    notes: [
      ...taken.notes,
      `taken: CUDA 13's ${versions}; note: TensorFlow ${VERSION} is built for CUDA 12, with 13's it was seen to work on one machine`,
    ],
  };
}

/**
 * Links into a folder what Python has of a library's wheels. Needs `--allow-run=python3`, `--allow-env`.
 * @returns Nothing taken where there is no Python, or where it cannot make links.
 */
export async function takeInstalled(
  wheels: Wheel[],
  { folder, signal }: { folder: string; signal?: AbortSignal },
): Promise<Pick<Taken, "wheels" | "notes">> {
  const names = [...wheels, ...CUDA_13].map(({ package: name }) => name);
  const { links, ...taken } = takeFrom(wheels, await installedPackages(names, signal));
  if (!links.length) return taken;
  const problem = await linkFiles(links.map(([path, member]) => [path, `${folder}/${member}`]), signal);
  return problem ? { wheels: [], notes: [`Python's packages are not taken: ${problem}`] } : taken;
}
