import { z } from 'zod';

/**
 * Fields of JSON that Go programs write and read. To them null, absent and the zero value ("" or 0) are the same: a field
 * that is not set. So all of them are read as undefined here; a value of another type is refused, as `encoding/json` does.
 */

/** A `string` of Go: undefined for null and "". */
export const goString = z
  .string()
  .nullish()
  .transform((text) => text || undefined);

/** An `int` of Go: undefined for null and 0. Fractions are refused, as Go refuses them. */
export const goInteger = z
  .number()
  .int()
  .nullish()
  .transform((number) => number || undefined);

/** A `map` of Go: an empty one for null. */
export const goMap = <V extends z.ZodType>(value: V) =>
  z
    .record(z.string(), value)
    .nullish()
    .transform((map) => map ?? {});
