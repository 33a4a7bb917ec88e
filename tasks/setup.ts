/** `deno task setup`: makes sure that TensorFlow's library is there; the only task that runs programs. Exit code 5 when it cannot be had. */
import { fetchLibrary, findLibrary, TensorFlowError } from "../pipeline/tensorflow/library.ts";

try {
  try {
    findLibrary();
  } catch (error) {
    if (!(error instanceof TensorFlowError) || Deno.env.get("SSNET_TENSORFLOW")) throw error;
    await fetchLibrary((line) => console.error(line));
  }
} catch (error) {
  if (!(error instanceof TensorFlowError)) throw error;
  console.error(error.message);
  Deno.exit(5);
}
