/** Which arrays of a file of weights are a network's: ours, the authors', or another program's. @module */
import { REAL_TYPES, type StoredTensor } from "../files/dtypes.ts";
import { readWeightsFile } from "../files/weights_file.ts";
import type { NetworkSpec, StateDict } from "./parameters.ts";

/** What a file has of a network. */
export interface MatchedWeights {
  /** The parameters and running statistics that are there in the network's shapes, in PyTorch's layout. */
  state: StateDict;
  /** What stands in front of the network's names in the file; "" as a rule. */
  prefix: string;
  /** The parameters that are not, a line each: what was wanted and what found. */
  lacking: string[];
  /** Names in the file that the network does not have. */
  others: string[];
  /** The metadata of the file. */
  metadata: Record<string, string>;
}

/** What PyTorch's wrappers, and programs that store more than weights, put in front of a network's names. */
const PREFIX = /^(?:(?:module|model|net|state_dict|model_state_dict)\.)+/;

/**
 * Reads what a file of {@linkcode readWeightsFile} has of a network. Needs `--allow-read`.
 *
 * Names may stand behind `module.` (PyTorch's data parallelism), `state_dict.`, `model_state_dict.`, `model.` or `net.`, or
 * several of them: the prefix is taken behind which most of the network's names are found.
 * @throws {DataError} When it is no such file.
 */
export async function matchWeights(path: string, spec: NetworkSpec): Promise<MatchedWeights> {
  const { tensors, metadata } = await readWeightsFile(path), wanted = [...spec.parameters, ...spec.buffers];
  const names = Object.keys(tensors), prefixes = new Set(["", ...names.map((name) => name.match(PREFIX)?.[0] ?? "")]);
  const count = (prefix: string) => wanted.filter(({ name }) => prefix + name in tensors).length;
  const prefix = [...prefixes].reduce((best, other) => count(other) > count(best) ? other : best);
  const lacking: string[] = [], state: StateDict = {};
  for (const { name, shape } of wanted) {
    const found = Object.hasOwn(tensors, prefix + name) ? tensors[prefix + name] : undefined;
    const problem = mismatch(found, { name, shape });
    if (problem) lacking.push(problem);
    else state[name] = found!.values();
  }
  const own = new Set(wanted.map(({ name }) => prefix + name));
  const others = names.filter((name) => !own.has(name) && !name.endsWith(".num_batches_tracked"));
  return { state, prefix, lacking, others, metadata };
}

/** Why an array of a file is not the one that is wanted: what is wanted and what was found; null where it is. */
export function mismatch(
  found: StoredTensor | undefined,
  { name, shape }: { name: string; shape: readonly number[] },
): string | null {
  const isReal = !found || REAL_TYPES.includes(found.dtype);
  if (found && isReal && String(found.shape) === String(shape)) return null;
  return `${name}: [${shape}] wanted, ${
    found ? `[${found.shape}]${isReal ? "" : ` of ${found.dtype}`}` : "nothing"
  } found`;
}
