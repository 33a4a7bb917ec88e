/** Programs and tasks in processes of their own, for tests of what ends or decides a whole process. @module */
import { fileURLToPath } from "node:url";

/**
 * Runs `tasks/NAME.ts` to its end; nobody is there to be asked.
 * @param options `rights` beside that to read.
 */
export async function runTaskFile(
  name: string,
  args: string[],
  { rights, env = {} }: { rights: string[]; env?: Record<string, string> },
): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--allow-read", ...rights],
      ...[fileURLToPath(new URL(`../tasks/${name}.ts`, import.meta.url)), ...args],
    ],
    env: { NO_COLOR: "1", ...env },
  }).output();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, error };
}

/** Runs a program that uses TensorFlow in a process of its own. */
export async function runProgram(code: string, env: Record<string, string> = {}) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys", "-"],
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1", ...env },
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(code));
  await writer.close();
  const { code: exit, signal, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { exit, signal, out: text(stdout), error: text(stderr) };
}
