/** The methods by name: a researcher adds one by adding its file and a line here. @module */
import { bcp } from "./bcp.ts";
import { dtc } from "./dtc.ts";
import { fixmatch } from "./fixmatch.ts";
import { mcNet } from "./mc_net.ts";
import { meanTeacher } from "./mean_teacher.ts";
import type { MethodDefinition } from "./method.ts";
import { sassnet } from "./sassnet.ts";
import { ssnet } from "./ssnet.ts";
import { supervised } from "./supervised.ts";
import { uaMt } from "./ua_mt.ts";
import { urpc } from "./urpc.ts";

/** The methods by name: what `--method` chooses from. */
export const METHODS = {
  ssnet,
  supervised,
  mean_teacher: meanTeacher,
  ua_mt: uaMt,
  sassnet,
  fixmatch,
  dtc,
  urpc,
  mc_net: mcNet,
  bcp,
} as const satisfies Record<string, MethodDefinition>;
/** A method's name, as in `--method` and in a run's `config.json`. */
export type MethodName = keyof typeof METHODS;
/** Whether there is a method of this name. */
export function isMethod(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}
/** The names of the methods, for schemas, which want at least one. */
export const METHOD_NAMES = Object.keys(METHODS) as [MethodName, ...MethodName[]];
/** The methods of SS-Net's table, and BCP: what `reproduce` trains where no method is named. */
export const TABLE_METHODS: readonly MethodName[] = METHOD_NAMES.filter((name) =>
  name !== "mean_teacher" && name !== "fixmatch"
);
