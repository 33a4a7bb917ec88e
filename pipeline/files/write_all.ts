/** Bytes, or a text as UTF-8, written to the end. @module */

const encoder = new TextEncoder();

/** Writes all of it: the system may take a part at a time. */
export function writeAll(file: { writeSync(bytes: Uint8Array): number }, content: string | Uint8Array): void {
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  for (let n = 0; n < bytes.length;) n += file.writeSync(bytes.subarray(n));
}
