/** What stands at a path, behind a symbolic link too. Each function needs `--allow-read`. @module */

function infoOf(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw error;
  }
}

/** Whether anything is there. */
export const exists = (path: string): boolean => infoOf(path) !== null;

/** Whether a file is there: no folder, pipe or device. */
export const isFile = (path: string): boolean => infoOf(path)?.isFile ?? false;

/** Whether a folder is there. */
export const isFolder = (path: string): boolean => infoOf(path)?.isDirectory ?? false;
