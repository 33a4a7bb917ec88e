/** Programs in processes of their own, for tests of what ends or decides a whole process. @module */

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
