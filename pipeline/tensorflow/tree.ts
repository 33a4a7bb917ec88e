/**
 * Trees of tensors: a tensor, null, or a list or record of trees. What a traced function takes and gives.
 * @module
 */
import defer * as tf from "@tensorflow/tfjs";
import type { Tensor } from "./tensors.ts";

/** Fields in the order of their names: in which order a record got them makes no difference. */
const fieldsOf = (tree: object) => Object.entries(tree).sort(([a], [b]) => a < b ? -1 : 1);

/** Tensors of a tree, of records in the order of the names. @throws {TypeError} For what is no tree, saying where it stands. */
export function tensorsOf(tree: unknown, place = ""): Tensor[] {
  if (tree instanceof tf.Tensor) return [tree];
  if (tree === null) return [];
  if (Array.isArray(tree)) return tree.flatMap((one, i) => tensorsOf(one, `${place}[${i}]`));
  if (typeof tree === "object") return fieldsOf(tree).flatMap(([name, one]) => tensorsOf(one, `${place}.${name}`));
  throw new TypeError(`Cannot take a tree of tensors: ${typeof tree} ${tree} stands at ${place || "its root"}`);
}

/** The same tree with other tensors, in the order of {@linkcode tensorsOf}. */
export function withTensors<T>(tree: T, tensors: Tensor[]): T {
  const rest = tensors[Symbol.iterator]();
  const replaced = (tree: unknown): unknown => {
    if (tree instanceof tf.Tensor) return rest.next().value;
    if (tree === null) return null;
    if (Array.isArray(tree)) return tree.map(replaced);
    const found = new Map(fieldsOf(tree as object).map(([name, one]) => [name, replaced(one)]));
    return Object.fromEntries(Object.keys(tree as object).map((name) => [name, found.get(name)]));
  };
  return replaced(tree) as T;
}

/** A text that trees of the same names, data types and shapes share, and no others. */
export function formOf(tree: unknown): string {
  if (tree instanceof tf.Tensor) return `${tree.dtype}[${tree.shape}]`;
  if (tree === null) return "null";
  if (Array.isArray(tree)) return `(${tree.map(formOf)})`;
  return `{${fieldsOf(tree as object).map(([name, one]) => `${JSON.stringify(name)}:${formOf(one)}`)}}`;
}
