/** The packages that `deno.lock` names, and what Deno's cache and `deno audit` say of them. @module */
import { z } from "zod";
import { parseJson } from "../../../pipeline/files/json.ts";

/** One package in one version. */
export interface Package {
  /** Its name, with its scope. */
  name: string;
  /** Its version. */
  version: string;
  /** Whether the project asks for it itself; the others come with those. */
  isDirect: boolean;
  /** Whether it has install scripts. Deno runs none. */
  hasScripts: boolean;
}

const LOCK = z.looseObject({
  specifiers: z.record(z.string(), z.string()),
  npm: z.record(z.string(), z.looseObject({ scripts: z.boolean().default(false) })),
});

/**
 * Takes `zod@4.6.7` or `@scope/a@1.0.0_b@2.0.0` apart, where the packages that it was resolved beside stand behind the
 * version.
 */
function nameAndVersion(key: string): { name: string; version: string } {
  const at = key.indexOf("@", 1);
  return { name: key.slice(0, at), version: key.slice(at + 1).split("_")[0] };
}

/**
 * All packages of a `deno.lock`, each version once, by their names.
 * @throws {DataError} When it is none.
 */
export function lockedPackages(lock: string, path: string): Package[] {
  const { specifiers, npm } = parseJson(lock, LOCK, { what: "the lock file", remedy: "run deno install", path });
  const direct = new Set(Object.keys(specifiers).map((key) => nameAndVersion(key.replace("npm:", "")).name));
  const all = new Map<string, Package>();
  for (const [key, { scripts }] of Object.entries(npm)) {
    const { name, version } = nameAndVersion(key);
    all.set(`${name}@${version}`, { name, version, isDirect: direct.has(name), hasScripts: scripts });
  }
  return [...all.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

const MANIFEST = z.looseObject({
  license: z.union([z.string(), z.looseObject({ type: z.string() })]).optional(),
  licenses: z.array(z.looseObject({ type: z.string() })).optional(),
});

/** The license that a `package.json` names, in whichever of npm's forms; null where it names none. */
export function licenseOf(manifest: string, path: string): string | null {
  const { license, licenses } = parseJson(manifest, MANIFEST, {
    what: "the package",
    remedy: "run deno install",
    path,
  });
  return (typeof license === "object" ? license.type : license) ?? licenses?.map(({ type }) => type).join(" or ") ??
    null;
}

const TIMES = z.looseObject({ time: z.record(z.string(), z.string()) });

/** The day on which a version was published, as the registry's document of the package has it; null where it lacks it. */
export function publishedOn(document: string, version: string, path: string): string | null {
  const file = { what: "the registry's document", remedy: "run deno install", path };
  return parseJson(document, TIMES, file).time[version]?.slice(0, 10) ?? null;
}

/** What `deno audit` printed: its findings, or why there are none. */
export function advisoriesSaid(out: string, error: string): string {
  const said = out.trim();
  return said ? `advisories: ${said}` : `advisories were not checked: ${error.trim().split("\n\nStack backtrace")[0]}`;
}
