import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApi } from '../../src/api/openapi.ts';
import type { JsonSchema } from '../../src/api/schemas.ts';
import { isObject, type JsonObject } from '../../src/requests/checks.ts';
import { type TestApi, testApi } from '../support/api.ts';

/**
 * The published description is walked for limits, and each is tried over HTTP with as much as it allows and with one
 * more: what is documented is enforced. What is enforced is documented, because nothing else is asked (limits.ts).
 */
let api: TestApi;
beforeAll(async () => {
  api = await testApi((config) => {
    config.api.loginDisabled = true;
  });
  await api.ask('POST', '/api/v1/builds/rm', { json: { ...index, operators: ['a'] } });
});
afterAll(() => api.close());

const index = { from_index: 'i:1', binary_image: 'scratch' };
/** The least body of each route. */
const LEAST: Record<string, JsonObject> = {
  AddBody: index,
  RmBody: { ...index, operators: ['a'] },
  RegenerateBundleBody: { from_bundle_image: 'b:1' },
  MergeIndexImageBody: { source_from_index: 'i:1', binary_image: 'scratch' },
  CreateEmptyIndexBody: index,
  RecursiveRelatedBundlesBody: { parent_bundle_image: 'b:1' },
  FbcOperationsBody: { ...index, fbc_fragment: 'f:1' },
  AddDeprecationsBody: { ...index, operator_package: 'a', deprecation_schema: '{}' },
  Patch: {},
};

interface Limit {
  schema: string;
  /** The field, then `items`, `keys` or the name of a nested field. */
  path: string[];
  keyword: 'maxLength' | 'maxItems' | 'maxProperties';
  limit: number;
}

function limitsIn(schema: JsonSchema, path: string[]): Omit<Limit, 'schema'>[] {
  const found = (['maxLength', 'maxItems', 'maxProperties'] as const).flatMap((keyword) =>
    typeof schema[keyword] === 'number' ? [{ path, keyword, limit: schema[keyword] }] : [],
  );
  const inner = [
    ...((schema.anyOf ?? []) as JsonSchema[]).map((branch) => limitsIn(branch, path)),
    ...(isObject(schema.items) ? [limitsIn(schema.items, [...path, 'items'])] : []),
    ...(isObject(schema.propertyNames) ? [limitsIn(schema.propertyNames, [...path, 'keys'])] : []),
    ...(isObject(schema.additionalProperties) ? [limitsIn(schema.additionalProperties, [...path, 'values'])] : []),
    ...Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>).map(([name, of]) =>
      limitsIn(of, [...path, name]),
    ),
  ];
  return [...found, ...inner.flat()];
}

const schemas = openApi().components.schemas;
const LIMITS = Object.keys(LEAST).flatMap((schema) =>
  limitsIn(schemas[schema]!, []).map((limit): Limit => ({ schema, ...limit })),
);

/** A value with `count` of what the keyword counts, put where the path says. */
function valueWith({ path, keyword }: Limit, count: number): unknown {
  let value: unknown = 'x'.repeat(count);
  if (keyword === 'maxItems') value = Array.from({ length: count }, (_, n) => `x:${n}`);
  if (keyword === 'maxProperties') value = Object.fromEntries(Array.from({ length: count }, (_, n) => [`x:${n}`, 'y']));
  for (const step of path.slice(1).reverse()) {
    if (step === 'items') value = [value];
    else if (step === 'keys') value = { [value as string]: 'y' };
    else value = { [step === 'values' ? 'x' : step]: value };
  }
  return value;
}

const LIMIT_ERROR = /^(An item of |A key of |A value of )*"[a-z_]+" has \d+ [a-z]+; at most \d+ are allowed\. [A-Z]/;

async function errorOf(limit: Limit, count: number): Promise<string> {
  const { schema, path } = limit;
  const route =
    schema === 'Patch'
      ? '1'
      : schema
          .replace(/Body$/, '')
          .replace(/(?!^)[A-Z]/g, (c) => `-${c}`)
          .toLowerCase();
  const body = { ...LEAST[schema], [path[0]!]: valueWith(limit, count) };
  const answer = await api.ask(schema === 'Patch' ? 'PATCH' : 'POST', `/api/v1/builds/${route}`, { json: body });
  expect([200, 201, 400, 403]).toContain(answer.status);
  return answer.json.error ?? '';
}

test('every string, list and map of every body is limited', () => {
  const bare = Object.keys(LEAST).flatMap((schema) => unlimited(schemas[schema]!, [schema]));
  expect(bare).toEqual([]);
  expect(LIMITS.length).toBeGreaterThan(90);
});

/** The paths below which somebody may send as much as the body holds. */
function unlimited(schema: JsonSchema, path: string[]): string[] {
  const branches = (schema.anyOf ?? []) as JsonSchema[];
  const known = schema.enum !== undefined || schema.pattern !== undefined;
  const bare =
    (schema.type === 'string' && schema.maxLength === undefined && !known) ||
    (schema.type === 'array' && schema.maxItems === undefined) ||
    (isObject(schema.additionalProperties) && schema.maxProperties === undefined);
  return [
    ...(bare ? [path.join('.')] : []),
    ...branches.flatMap((branch) => unlimited(branch, path)),
    ...(isObject(schema.items) ? unlimited(schema.items, [...path, 'items']) : []),
    ...(isObject(schema.additionalProperties) ? unlimited(schema.additionalProperties, [...path, 'values']) : []),
    ...Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>).flatMap(([name, of]) =>
      unlimited(of, [...path, name]),
    ),
  ];
}

test.each(Object.keys(LEAST))(
  '%s: each limit holds, and not one sooner',
  async (schema) => {
    for (const limit of LIMITS.filter((found) => found.schema === schema)) {
      const at = [schema, ...limit.path, limit.keyword].join(' ');
      expect(`${at}: ${await errorOf(limit, limit.limit + 1)}`).toMatch(new RegExp(`: ${LIMIT_ERROR.source.slice(1)}`));
      expect(`${at}: ${await errorOf(limit, limit.limit)}`).not.toContain('at most');
    }
  },
  60_000,
);

test('characters are counted as JSON Schema counts them, and the error says where and what to do', async () => {
  const organization = '😀'.repeat(1024);
  expect((await api.ask('POST', '/api/v1/builds/add', { json: { ...index, organization } })).status).toBe(201);
  const over = await api.ask('POST', '/api/v1/builds/add', { json: { ...index, organization: `${organization}x` } });
  expect(over.json.error).toBe('"organization" has 1025 characters; at most 1024 are allowed. Shorten it.');
  const member = { ...index, bundles: Array(5001).fill('b:1') };
  const batch = await api.ask('POST', '/api/v1/builds/add-rm-batch', {
    json: { build_requests: [{ ...member, bundles: ['b:1'] }, member] },
  });
  expect(batch.json.error).toBe(
    '"bundles" has 5001 items; at most 5000 are allowed. Send several requests. This occurred on the build request in index 1.',
  );
});

test('annotations: bytes as they were written, values, levels, and what answers repeat', async () => {
  const post = (annotations: string, members = 1) => {
    const build_requests = JSON.stringify(Array(members).fill({ ...index, operators: ['a'] }));
    const raw = `{"annotations":${annotations},"build_requests":${build_requests}}`;
    return api.ask('POST', '/api/v1/builds/add-rm-batch', { raw });
  };
  const described = (schemas.AddRmBatchBody!.properties as Record<string, JsonSchema>).annotations!;
  const [bytes, values, depth, repeated] = ['x-maxBytes', 'x-maxValues', 'x-maxDepth', 'x-maxRepeatedBytes'].map(
    (name) => Number(described[name]),
  );
  const long = (length: number) => JSON.stringify({ a: 'x'.repeat(length - '{"a":""}'.length) });
  expect((await post(long(bytes!))).status).toBe(201);
  expect((await post(long(bytes! + 1))).json.error).toContain(
    `"annotations" has ${bytes! + 1} bytes; at most ${bytes}`,
  );
  expect((await post(`{"a":0.${'0'.repeat(bytes!)}}`)).json.error).toContain('bytes; at most');
  const many = (count: number) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, n) => [n, n])));
  expect((await post(many(values!))).status).toBe(201);
  expect((await post(many(values! + 1))).json.error).toContain(`${values! + 1} values; at most ${values}`);
  const deep = (levels: number) => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  expect((await post(deep(depth!))).status).toBe(201);
  expect((await post(deep(depth! + 1))).json.error).toContain(`${depth! + 1} levels; at most ${depth}`);
  const members = Math.floor(repeated! / bytes!) + 1;
  expect((await post(long(bytes!), members)).json.error).toContain(`repeated for each of ${members} build requests`);
  expect((await post(long(bytes!).replace('"a"', '"\\u0061"'))).status).toBe(201);
}, 60_000);
