import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { fragmentOf, fromIndexNamed, indexImageOf, seed } from '../../bench/api/seed.ts';
import { type TestApi, testApi } from '../support/api.ts';

const STORED = 4000;
/** What a page may read and throw away again. */
const WASTE = 100;

interface Node {
  'Node Type': string;
  'Relation Name'?: string | undefined;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number | undefined;
  'Rows Removed by Index Recheck'?: number | undefined;
  Plans?: Node[] | undefined;
}
const Node: z.ZodType<Node> = z.lazy(() =>
  z.object({
    'Node Type': z.string(),
    'Relation Name': z.string().optional(),
    'Actual Loops': z.number(),
    'Rows Removed by Filter': z.number().optional(),
    'Rows Removed by Index Recheck': z.number().optional(),
    Plans: z.array(Node).optional(),
  }),
);
const Explained = z.tuple([z.object({ 'QUERY PLAN': z.tuple([z.object({ Plan: Node })]) })]);

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
  await seed(api.world.url, STORED);
  const json = { from_index: 'reg.example.com/index:v4.16', binary_image: 'scratch' };
  await api.ask('POST', '/api/v1/builds/create-empty-index', { user: 'rare@EXAMPLE.COM', json });
  await api.world.database.pool.query('analyze requests');
});
afterAll(() => api.close());

/** The scans of requests that answering takes, as they really went. */
async function scansOf(query: string): Promise<Node[]> {
  const { pool } = api.world.database;
  const { query: send } = pool;
  const seen: [text: string, values: unknown[]][] = [];
  // biome-ignore lint/suspicious/noExplicitAny: pg's query has a dozen overloads
  pool.query = ((...args: any[]) => {
    seen.push([args[0].text ?? args[0], args[1]]);
    return Reflect.apply(send, pool, args);
  }) as typeof send;
  try {
    const { json } = await api.ask('GET', `/api/v1/builds?${query}`);
    expect([query, json.items.length > 0]).toEqual([query, true]);
  } finally {
    pool.query = send;
  }
  expect(seen).toHaveLength(1);
  const [text, values] = seen[0]!;
  const { rows } = await pool.query(`explain (analyze, format json) ${text}`, values);
  const [
    {
      'QUERY PLAN': [{ Plan: plan }],
    },
  ] = Explained.parse(rows);
  const all = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(all)];
  return all(plan).filter((node) => node['Relation Name'] === 'requests');
}

const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();

test.each([
  ['state', 'state=in_progress'],
  ['batch', 'batch=7'],
  ['request_type', 'request_type=create-empty-index'],
  ['user', 'user=rare@EXAMPLE.COM'],
  ['from_index', `from_index=${fromIndexNamed(3, 7)}`],
  ['from_index_startswith', `from_index_startswith=${fromIndexNamed(3, 33).slice(0, -1)}`],
  ['index_image', `index_image=${indexImageOf(7)}`],
  ['fbc_fragment', `fbc_fragment=${fragmentOf(8)}`],
  ['submitted_before', `submitted_before=${daysAgo(1.36)}`],
  ['submitted_after', `submitted_after=${daysAgo(0.01)}`],
  ['modified_before', `modified_before=${daysAgo(1.36)}`],
  ['modified_after', `modified_after=${daysAgo(0.01)}`],
  ['completed_before', `completed_before=${daysAgo(1.36)}`],
  ['completed_after', `completed_after=${daysAgo(0.36)}`],
])('what matches %s is found without looking at the rest', async (_name, query) => {
  const scans = await scansOf(query);
  expect(scans.map((scan) => scan['Node Type'])).not.toContain('Seq Scan');
  const waste = scans.reduce(
    (sum, scan) =>
      sum +
      scan['Actual Loops'] * ((scan['Rows Removed by Filter'] ?? 0) + (scan['Rows Removed by Index Recheck'] ?? 0)),
    0,
  );
  expect(waste).toBeLessThan(WASTE);
});
