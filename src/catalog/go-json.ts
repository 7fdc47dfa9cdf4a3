import { z } from 'zod';

/*
 * JSON that programs in Go write and read: a field that is null is one that is absent, and both are the zero value. Every
 * schema of what such a program writes is made of these.
 */

/** Text; null and absent are the empty text. */
export const goText = z
  .string()
  .nullish()
  .transform((text) => text ?? '');

/** A list; null and absent are the empty list. */
export const goList = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? []);

/** A struct; null and absent are one whose fields are all absent. */
export const goStruct = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.preprocess((value) => value ?? {}, z.object(shape));
