/** Takes files out of a wheel, which is a zip archive, without ever holding one of them in memory. @module */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { configure, type FileEntry, Reader, ZipReader } from "@zip.js/zip.js";
import type { Wheel } from "./wheels.ts";

const BLOCK = 1 << 20; // bytes

/** A file on the disk as zip.js reads one: any part of it, when it is needed. */
class DiskReader extends Reader<Deno.FsFile> {
  constructor(private readonly file: Deno.FsFile) {
    super(file);
    this.size = file.statSync().size;
  }
  override readUint8Array(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - offset)));
    this.file.seekSync(offset, Deno.SeekMode.Start);
    for (let n = 0, read: number | null; n < bytes.length; n += read) {
      read = this.file.readSync(bytes.subarray(n));
      if (read === null) throw new Error("the file became shorter while it was read");
    }
    return Promise.resolve(bytes);
  }
}

/**
 * Checks a wheel's SHA-256 and unpacks its members. Needs `--allow-read`, `--allow-write` of the folder.
 *
 * @param strip Left out at the beginning of the members' names.
 * @throws {Error} If the checksum is another one, or a member is missing; nothing has been written then.
 */
export async function unpackWheel(
  path: string,
  { sha256, members }: Pick<Wheel, "sha256" | "members">,
  { folder, strip = "", signal }: { folder: string; strip?: string; signal?: AbortSignal },
): Promise<void> {
  using file = await Deno.open(path);
  const found = await sha256Of(file, signal);
  if (found !== sha256) throw new Error(`SHA-256 is ${found}, wanted ${sha256}`);
  configure({ useWebWorkers: false }); // one stream at a time: workers would only copy it
  const entries: FileEntry[] = [], isWanted = (name: string) => members.some((member) => isMember(name, member));
  for await (const entry of new ZipReader(new DiskReader(file)).getEntriesGenerator()) {
    if (!entry.directory && isWanted(entry.filename)) entries.push(entry);
  }
  const missing = members.filter((member) => !entries.some(({ filename }) => isMember(filename, member)));
  if (missing.length) throw new Error(`it has no ${missing.join(", ")}`);
  for (const entry of entries) {
    const { filename } = entry,
      target = `${folder}/${filename.startsWith(strip) ? filename.slice(strip.length) : filename}`;
    await Deno.mkdir(dirname(target), { recursive: true });
    const { writable } = await Deno.open(target, { write: true, createNew: true });
    await entry.getData(writable, { signal });
  }
}

const isMember = (name: string, member: string) =>
  member.endsWith("*") ? name.startsWith(member.slice(0, -1)) : name === member;

async function sha256Of(file: Deno.FsFile, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256"), block = new Uint8Array(BLOCK);
  for (let n: number | null; (n = await file.read(block)) !== null;) {
    signal?.throwIfAborted();
    hash.update(block.subarray(0, n));
  }
  return hash.digest("hex");
}
