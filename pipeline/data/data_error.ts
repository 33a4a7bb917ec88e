/** The error of bad input data; apart from the cases, which read files themselves. @module */

/** A problem with input data: the message names the file, what was found and what is wanted. The tasks exit with code 3. */
export class DataError extends Error {
  /** What stands in front of the message where it is printed with its stack. */
  override name = "DataError";
}
