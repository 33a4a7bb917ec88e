/** Symbolic links and pipes for tests, which have no right to make them: Deno asks for that of writing, or running, anything. */
import assert from "node:assert/strict";

/** Makes links by a process of its own. @param links Target by the path of the link. */
export async function linkTo(links: Record<string, string>): Promise<void> {
  const code = `for (const [path, target] of Object.entries(${JSON.stringify(links)})) Deno.symlinkSync(target, path);`;
  await evaluate(code);
}

/** Makes a pipe, which no one writes to. */
export async function pipeAt(path: string): Promise<void> {
  await evaluate(`Deno.exit((await new Deno.Command("mkfifo", { args: [${JSON.stringify(path)}] }).output()).code);`);
}

async function evaluate(code: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
