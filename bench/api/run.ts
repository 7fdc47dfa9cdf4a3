/**
 * How fast the API answers with a million stored requests, against IIB's own figures at a hundred thousand.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { migrate } from '../../src/db/migrate.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { startPostgres } from '../../src/sandbox/postgres.ts';
import { type Call, measure } from './load.ts';
import { fragmentOf, fromIndexNamed, indexImageOf, SEED, seed } from './seed.ts';

if (process.argv.includes('--help')) {
  console.log('usage: node bench/api/run.ts   (REQUESTS, SECONDS, CONNECTIONS, ONLY: part of a name)');
  process.exit();
}
const count = Number(process.env.REQUESTS ?? 1_000_000);
const seconds = Number(process.env.SECONDS ?? 5);
const connections = Number(process.env.CONNECTIONS ?? 8);
const only = process.env.ONLY ?? '';

interface Case {
  name: string;
  next: (n: number) => Call;
  expected?: number;
  /** IIB's requests per second and p99 in milliseconds at 100,000 requests, two workers; where it was measured. */
  iib?: { perSecond: number; p99: number };
}

const page = (query: string, name = query): Pick<Case, 'name' | 'next'> => ({
  name: `list ${name}`,
  next: () => ({ method: 'GET', path: `/api/v1/builds?${query}` }),
});
/** Spread over all ids, the same in every run. */
const someId = (n: number) => 1 + ((n * 7919) % count);

const CASES: Case[] = [
  {
    name: 'get one',
    next: (n) => ({ method: 'GET', path: `/api/v1/builds/${someId(n)}` }),
    iib: { perSecond: 123, p99: 111 },
  },
  { ...page('', 'page of 20'), iib: { perSecond: 14.5, p99: 794 } },
  page('verbose=true'),
  { ...page('state=complete'), iib: { perSecond: 5, p99: 2000 } },
  page('state=failed'),
  page('state=in_progress'),
  page('request_type=add'),
  page('user=user-7@EXAMPLE.COM', 'user'),
  { name: 'list batch', next: (n) => ({ method: 'GET', path: `/api/v1/builds?batch=${someId(n)}` }) },
  page(`from_index=${fromIndexNamed(3, 7)}`, 'from_index'),
  {
    ...page('from_index_startswith=registry.example.com/catalogs/index-3', 'from_index_startswith'),
    iib: { perSecond: 4, p99: 2900 },
  },
  page(`from_index_startswith=${fromIndexNamed(3, 3)}`, 'from_index_startswith (rarer)'),
  page(`index_image=${fromIndexNamed(4, 7)}`, 'index_image (overwritten)'),
  {
    name: 'list index_image (own)',
    next: (n) => ({ method: 'GET', path: `/api/v1/builds?index_image=${indexImageOf(oddId(n))}` }),
  },
  {
    name: 'list fbc_fragment',
    next: (n) => ({
      method: 'GET',
      path: `/api/v1/builds?fbc_fragment=${fragmentOf(someId(n) - (someId(n) % 3) + 2)}`,
    }),
  },
  page(`user=user-7@EXAMPLE.COM&from_index=${fromIndexNamed(7, 7)}&state=complete`, 'user, from_index, state'),
  page(`submitted_before=${daysAgo(30)}`, 'submitted_before'),
  page(`submitted_after=${daysAgo(30)}`, 'submitted_after'),
  page(`modified_before=${daysAgo(30)}`, 'modified_before'),
  page(`modified_after=${daysAgo(1)}`, 'modified_after'),
  page(`completed_before=${daysAgo(30)}`, 'completed_before'),
  page(`completed_before=${daysAgo(30)}&order_by=-completed`, 'completed_before, ordered by it'),
  page(`completed_after=${daysAgo(1)}`, 'completed_after'),
  page('order_by=submitted'),
  page('order_by=-modified'),
  page('order_by=completed'),
  page(`page=${Math.floor(count / 40)}`, 'half way through all pages'),
  {
    name: 'submit',
    expected: 201,
    next: (n) => ({
      method: 'POST',
      path: '/api/v1/builds/rm',
      body: JSON.stringify({
        operators: [`operator-${n}`],
        from_index: fromIndexNamed(n % 20, n % 40),
        binary_image: 'scratch',
      }),
    }),
    iib: { perSecond: 74, p99: 214 },
  },
];

const dir = mkdtempSync(join(tmpdir(), 'indexwright-bench-'));
const postgres = await startPostgres({
  dir: join(dir, 'postgres'),
  port: await freePort(),
  settings: { shared_buffers: '512MB', max_wal_size: '4GB', effective_cache_size: '2GB', random_page_cost: '1.1' },
});
let api: ChildProcess | undefined;
try {
  await migrate(postgres.url);
  const began = performance.now();
  await seed(postgres.url, count);
  say(
    `${count} requests (${SEED.inProgress} in progress) seeded in ${Math.round((performance.now() - began) / 1000)} s`,
  );
  const url = await startApi(postgres.url);
  say(
    `${connections} connections, ${seconds} s each; one api process; ${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)}\n`,
  );
  say(row('', 'req/s', 'p50 ms', 'p99 ms', 'first ms', '  against IIB'));
  for (const { name, next, expected = 200, iib } of CASES.filter((given) => given.name.includes(only))) {
    const { perSecond, p50, p99, first } = await measure(url, next, { seconds, connections, expected });
    const ratio = iib ? `${(perSecond / iib.perSecond).toFixed(1)} × (p99 ÷ ${(iib.p99 / p99).toFixed(0)})` : '';
    say(row(name, perSecond.toFixed(0), p50.toFixed(1), p99.toFixed(1), first.toFixed(0), `  ${ratio}`));
  }
  say(`\nload ${loadavg()[0]?.toFixed(1)}`);
} finally {
  if (api?.exitCode === null) {
    api.kill('SIGTERM');
    await once(api, 'exit');
  }
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}

/** The service as it runs in production, in a process of its own. */
async function startApi(databaseUrl: string): Promise<string> {
  writeFileSync(join(dir, 'key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  const port = await freePort();
  const config = {
    databaseUrl,
    secretKeyFile: join(dir, 'key'),
    stateDir: join(dir, 'state'),
    logLevel: 'warn',
    api: { port },
    storage: { logsDir: join(dir, 'logs') },
    registry: { output: 'registry.example.com', artifactRegistry: 'registry.example.com/artifacts' },
    cluster: { url: 'http://127.0.0.1:9', namespace: 'bench', tokenFile: join(dir, 'none'), caFile: join(dir, 'none') },
    opm: { versions: {}, default: 'opm' },
  };
  writeFileSync(join(dir, 'config.yaml'), JSON.stringify(config));
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts');
  api = spawn(process.execPath, [main, 'api', '-c', join(dir, 'config.yaml')], { stdio: 'inherit' });
  const url = `http://127.0.0.1:${port}`;
  for (const limit = Date.now() + 30_000; ; await new Promise((next) => setTimeout(next, 100))) {
    const answer = await fetch(`${url}/api/v1/healthcheck`).catch(() => null);
    if (answer?.ok) return url;
    if (Date.now() > limit || api.exitCode !== null) throw new Error('the api did not start');
  }
}

/** An odd id: those do not overwrite, so their image is their own. */
function oddId(n: number): number {
  return Math.min(someId(n) | 1, count - SEED.inProgress - 1);
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString();
}

function row(name: string, ...cells: string[]): string {
  return `${name.padEnd(34)}${cells.map((cell) => cell.padStart(10)).join('')}`;
}

function say(line: string): void {
  console.log(line);
}
