import { z } from 'zod';
import { REQUEST_TYPES } from '../requests/all.ts';
import { shortAnswer, verboseAnswer } from '../requests/answer.ts';
import { BATCHES } from '../requests/batches.ts';
import { PatchBody } from '../requests/patch.ts';
import { Instant } from '../requests/type.ts';

/** A JSON Schema, as OpenAPI 3.1 uses it. */
export type JsonSchema = Record<string, unknown>;

const Amount = z.int().min(0);

/** `meta` of a page (rest-api.md §4). */
const Meta = z.strictObject({
  first: z.string(),
  last: z.string(),
  next: z.string().nullable(),
  previous: z.string().nullable(),
  page: Amount,
  pages: Amount,
  per_page: Amount,
  total: Amount,
});

const oneOf = (schemas: readonly z.ZodObject[]) =>
  z.discriminatedUnion('request_type', schemas as [z.ZodObject, ...z.ZodObject[]]);

/** The schemas of the description by their names there. */
const NAMED: Readonly<Record<string, z.ZodType>> = namedSchemas();

/** `add-rm-batch` → `AddRmBatch` */
export function pascal(name: string): string {
  return name.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
}

const uri = (name: string) => `#/components/schemas/${name}`;

/** Reference to a schema of `jsonSchemas` by its name. */
export function reference(name: string): JsonSchema {
  if (!Object.hasOwn(NAMED, name)) throw new Error(`no schema is named ${name}`);
  return { $ref: uri(name) };
}

/** The schemas as JSON Schema, referring to one another by `#/components/schemas/{name}`. */
export function jsonSchemas(): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(NAMED)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { uri, unrepresentable: 'any' });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $id: _id, $schema: _schema, ...schema }]) => [name, schema]),
  );
}

function namedSchemas(): Record<string, z.ZodType> {
  const named: Record<string, z.ZodType> = {};
  const short = new Map(REQUEST_TYPES.map((type) => [type, shortAnswer(type)]));
  const verbose = new Map(REQUEST_TYPES.map((type) => [type, verboseAnswer(type)]));
  for (const type of REQUEST_TYPES) {
    named[`${pascal(type.name)}Body`] = type.body;
    named[`${pascal(type.name)}Short`] = short.get(type)!;
    named[pascal(type.name)] = verbose.get(type)!;
  }
  for (const [name, { types, body }] of Object.entries(BATCHES)) {
    named[`${pascal(name)}Body`] = body;
    named[pascal(name)] = z.array(oneOf(types.map((type) => verbose.get(type)!)));
  }
  const request = oneOf([...verbose.values()]);
  return {
    ...named,
    Request: request,
    Page: z.strictObject({ items: z.array(z.union([oneOf([...short.values()]), request])), meta: Meta }),
    Patch: PatchBody,
    Steps: z.strictObject({
      delivery: z
        .strictObject({
          id: z.int(),
          state: z.enum(['open', 'undoing', 'complete', 'undone']),
          /** What holds up the undoing. */
          undo_error: z.string().nullable(),
        })
        .nullable(),
      items: z.array(
        z.strictObject({
          seq: z.int(),
          name: z.string(),
          started: Instant,
          ended: Instant.nullable(),
          undone: Instant.nullable(),
          notes: z.strictObject({
            merge_request: z.string().optional(),
            commit: z.string().optional(),
            pipeline_run: z.string().optional(),
            merged: z.string().optional(),
            progress: z.string().optional(),
          }),
        }),
      ),
    }),
    Health: z.strictObject({ status: z.literal('Health check OK') }),
    Error: z.strictObject({
      error: z.string(),
      code: z.string().optional().meta({
        description: 'Only for clients that accept application/vnd.indexwright+json; always in the header X-Error-Code',
      }),
    }),
  };
}
