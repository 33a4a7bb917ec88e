/** The commit of this tree. @module */
import { fileURLToPath } from "node:url";

/** The commit of this tree, read from its `.git`; null outside a checkout. Needs `--allow-read`. */
export function commitOfTree(): string | null {
  const read = (path: string): string | null => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return null; // no checkout, or one that git keeps elsewhere: the commit is not known
    }
  };
  let git = fileURLToPath(new URL("../../.git", import.meta.url));
  const elsewhere = read(git)?.match(/^gitdir: (.+)$/m)?.[1]; // of a worktree
  if (elsewhere) git = elsewhere;
  const head = read(`${git}/HEAD`)?.trim(), ref = head?.match(/^ref: (.+)$/)?.[1];
  if (!head || !ref) return head ?? null;
  const common = read(`${git}/commondir`)?.trim(), folders = common ? [git, `${git}/${common}`] : [git];
  for (const folder of folders) {
    const own = read(`${folder}/${ref}`)?.trim();
    if (own) return own;
  }
  const packed = folders.map((folder) => read(`${folder}/packed-refs`)).find((text) => text);
  return packed?.match(new RegExp(`^([0-9a-f]+) ${RegExp.escape(ref)}$`, "m"))?.[1] ?? null;
}
