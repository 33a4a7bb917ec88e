/** The methods by name: a researcher adds one by adding its file and a line here. @module */
import type { Method, MethodOptions } from "./method.ts";
import { ssnet } from "./ssnet.ts";
import { supervised } from "./supervised.ts";

/** Every method. */
export const METHODS = { ssnet, supervised } as const satisfies Record<string, (options: MethodOptions) => Method>;
/** Name of a method. */
export type MethodName = keyof typeof METHODS;
/** Their names. */
export const METHOD_NAMES = Object.keys(METHODS) as [MethodName, ...MethodName[]];
