import { z } from 'zod';
import { has, isObject, type JsonObject, refuse } from './checks.ts';
import { ANNOTATIONS_BYTES, REPEATED_BYTES } from './fields.ts';

/** The keywords of a JSON Schema that limit how much a client may send; `x-` ones are this service's own. */
interface Limits {
  maxLength?: number;
  maxItems?: number;
  maxProperties?: number;
  'x-maxValues'?: number;
  'x-maxDepth'?: number;
  items?: Limits;
  properties?: Record<string, Limits>;
  additionalProperties?: Limits | boolean;
  propertyNames?: Limits;
  anyOf?: Limits[];
}

const known = new WeakMap<z.ZodType, Limits>();

/**
 * Refuses a body that has more of something than its schema allows. Types, patterns and names are left to the checks of
 * the request type, whose sentences are IIB's: a value of another type than the schema's has no limit here.
 *
 * @param schema the schema that the OpenAPI description prints
 * @throws Failure `request_invalid`, naming field, limit and remedy
 */
export function refuseBeyondLimits(schema: z.ZodType, body: JsonObject): void {
  let limits = known.get(schema);
  if (limits === undefined) {
    limits = z.toJSONSchema(schema, { unrepresentable: 'any' }) as Limits;
    known.set(schema, limits);
  }
  const { properties = {} } = limits;
  for (const [name, of] of Object.entries(properties)) {
    if (has(body, name)) refuseBeyond(of, body[name], `"${name}"`);
  }
}

/**
 * Refuses annotations that are too long, by themselves or because answers repeat them for each request of their batch.
 *
 * @param written JSON text with its numbers as the client wrote them, which may be longer than their values
 * @throws Failure `request_invalid`
 */
export function refuseLongAnnotations(written: string, members: number): void {
  const bytes = Buffer.byteLength(written);
  refuseMore(bytes, ANNOTATIONS_BYTES, '"annotations" has', 'bytes', 'Shorten it.');
  if (bytes * members <= REPEATED_BYTES) return;
  refuse(
    `"annotations" has ${bytes} bytes and is repeated for each of ${members} build requests; ` +
      `at most ${REPEATED_BYTES} bytes are allowed in all. Shorten it or send several batches.`,
  );
}

function refuseBeyond(limits: Limits, value: unknown, name: string): void {
  for (const branch of limits.anyOf ?? []) refuseBeyond(branch, value, name);
  if (typeof value === 'string') {
    refuseMore(charactersOf(value, limits.maxLength), limits.maxLength, `${name} has`, 'characters', 'Shorten it.');
  } else if (Array.isArray(value)) {
    const remedy = 'Send several requests.';
    refuseMore(value.length, limits.maxItems, `${name} has`, 'items', remedy);
    if (limits.items !== undefined) for (const item of value) refuseBeyond(limits.items, item, `An item of ${name}`);
  } else if (isObject(value)) {
    refuseBeyondInObject(limits, value, name);
  }
}

function refuseBeyondInObject(limits: Limits, value: JsonObject, name: string): void {
  const entries = Object.entries(value);
  refuseMore(entries.length, limits.maxProperties, `${name} has`, 'entries', 'Send fewer.');
  const { properties = {}, additionalProperties, propertyNames } = limits;
  for (const [key, member] of entries) {
    if (propertyNames !== undefined) refuseBeyond(propertyNames, key, `A key of ${name}`);
    const of = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    if (typeof of === 'object') refuseBeyond(of, member, `A value of ${name}`);
  }
  if (limits['x-maxDepth'] === undefined) return;
  const { values, depth } = sizeOf(value);
  refuseMore(depth, limits['x-maxDepth'], `${name} has`, 'levels', 'Make it flatter.');
  refuseMore(values, limits['x-maxValues'], `${name} has`, 'values', 'Send fewer.');
}

function refuseMore(count: number, limit: number | undefined, has: string, what: string, remedy: string): void {
  if (limit !== undefined && count > limit) refuse(`${has} ${count} ${what}; at most ${limit} are allowed. ${remedy}`);
}

/** Unicode characters, as JSON Schema counts them; cheaper where it is clear that the limit holds. */
function charactersOf(text: string, limit: number | undefined): number {
  if (limit === undefined || text.length <= limit) return text.length;
  let pairs = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit >= 0xd800 && unit <= 0xdbff) pairs += 1;
  }
  return text.length - pairs;
}

/** How many values are in a JSON value, itself and keys not counted, and how deep they lie. */
function sizeOf(value: unknown): { values: number; depth: number } {
  if (typeof value !== 'object' || value === null) return { values: 0, depth: 0 };
  let values = 0;
  let deepest = 0;
  for (const member of Object.values(value)) {
    const inner = sizeOf(member);
    values += 1 + inner.values;
    deepest = Math.max(deepest, inner.depth);
  }
  return { values, depth: deepest + 1 };
}
