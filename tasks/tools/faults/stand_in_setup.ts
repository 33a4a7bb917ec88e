/** `setup` with a wheel of some megabytes in the place of TensorFlow's, and a cache in a folder of its own. @module */
import { setUpLibrary } from "../../../pipeline/tensorflow/library.ts";

const [cache, path, wheel] = Deno.args, progress = { say: (line: string) => console.error(line), fetched() {} };
Deno.env.set("XDG_CACHE_HOME", cache);
await setUpLibrary("cpu", { progress, path, bundle: { tested: true, wheels: [JSON.parse(wheel)] } });
