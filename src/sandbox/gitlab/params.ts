import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { refuse, refuseInput } from './reply.ts';

export type Params = Record<string, unknown>;

const YES = ['true', '1', 'on', 'yes', 'y', 't'];
const NO = ['false', '0', 'off', 'no', 'n', 'f'];

/** Everything GitLab takes as a flag: JSON booleans and the texts of queries and forms in any case (`True`). */
export const flag = z.union([z.boolean(), z.number(), z.string()]).transform((value, context) => {
  const said = String(value).toLowerCase();
  if (!YES.includes(said) && !NO.includes(said)) context.addIssue({ code: 'custom', message: 'no flag' });
  return YES.includes(said);
});

export const integer = z.union([
  z.number().int(),
  z
    .string()
    .regex(/^-?\d+$/)
    .transform(Number),
]);
export const text = z.union([z.string(), z.number().transform(String)]);
/** A list, or one text with commas. */
export const list = z.union([
  z.array(text),
  z
    .string()
    .transform((value) => value.split(',').map((part) => part.trim()))
    .transform((parts) => parts.filter(Boolean)),
]);
export const ids = z.union([
  z.array(integer),
  z.string().transform((value) => value.split(',').filter(Boolean).map(Number)),
  z.number().transform((one) => [one]),
]);

/**
 * Checks parameters against a schema; JSON nulls count as left out, as in GitLab.
 *
 * @throws Refused 400 `{"error": "title is missing, source_branch is missing"}`
 */
export function parse<S extends z.ZodType>(schema: S, params: Params): z.infer<S> {
  const given = Object.fromEntries(Object.entries(params).filter(([, value]) => value !== null));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const complaints = result.error.issues.map((issue) => {
    const name = issue.path.map((part, at) => (at === 0 ? String(part) : `[${String(part)}]`)).join('');
    const value = issue.path.reduce<unknown>(
      (at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part],
      given,
    );
    if (value === undefined) return `${name} is missing`;
    return issue.code === 'invalid_value' ? `${name} does not have a valid value` : `${name} is invalid`;
  });
  throw refuseInput(400, [...new Set(complaints)].join(', '));
}

/** Query or form pairs as an object: `a[]=1&a[]=2` is a list, `a[b]=1` an object. */
export function fromPairs(pairs: Iterable<[string, unknown]>): Params {
  const params: Params = {};
  for (const [key, value] of pairs) {
    const listed = key.match(/^(.+)\[\]$/)?.[1];
    const nested = key.match(/^([^[]+)\[([^\]]+)\]$/);
    if (listed !== undefined) {
      const so = params[listed];
      params[listed] = Array.isArray(so) ? [...so, value] : [value];
    } else if (nested?.[1] !== undefined && nested[2] !== undefined) {
      params[nested[1]] = { ...(params[nested[1]] as Params | undefined), [nested[2]]: value };
    } else {
      params[key] = value;
    }
  }
  return params;
}

/** Reads a request's body to its end. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The body's parameters: JSON, urlencoded or multipart form. @throws Refused 400 for what cannot be read */
export async function readParams(request: IncomingMessage): Promise<Params> {
  const body = await readBody(request);
  if (body.length === 0) return {};
  const type = request.headers['content-type'] ?? '';
  try {
    if (/urlencoded/.test(type)) return fromPairs(new URLSearchParams(body.toString()));
    if (/multipart\/form-data/.test(type)) {
      const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
      return fromPairs(form.entries() as Iterable<[string, unknown]>);
    }
    const value: unknown = JSON.parse(body.toString());
    return typeof value === 'object' && value !== null ? (value as Params) : {};
  } catch {
    throw refuse(400, 'message body does not match declared format');
  }
}
