/**
 * What hostile bodies cost: the outcome, the time, the memory of the api, and the longest wait of ordinary requests beside them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../src/sandbox/ports.ts';
import { startPostgres } from '../src/sandbox/postgres.ts';
import { spawnApi } from '../test/api/support/api-process.ts';
import { HOSTILE } from '../test/api/support/hostile.ts';

if (process.argv.includes('--help')) {
  process.stdout.write('usage: node bench/hostile-api.ts\n\nONLY, a part of the name of a case: no others.\n');
  process.exit(0);
}

const only = process.env.ONLY ?? '';
const dir = mkdtempSync(join(tmpdir(), 'indexwright-hostile-'));
const postgres = await startPostgres({ dir: join(dir, 'postgres'), port: await freePort() });
const api = await spawnApi(postgres.url);
try {
  const ordinary = { method: 'GET', path: '/api/v1/healthcheck' };
  console.log('| what is sent | status | ms | longest wait of a health check beside it, ms | peak memory, MB |');
  console.log('|---|---|---|---|---|');
  for (const hostile of HOSTILE.filter(({ name }) => name.includes(only))) {
    // Made before, and the checks run in this process, too: what this process is busy with would count as the api's.
    const body = hostile.body?.();
    const sent = { ...hostile, ...(body === undefined ? {} : { body: () => body }) };
    let over = false;
    let longest = 0;
    const beside = (async () => {
      while (!over) {
        const began = performance.now();
        await api.send(ordinary);
        longest = Math.max(longest, performance.now() - began);
      }
    })();
    const began = performance.now();
    const { status } = await api.send(sent);
    const took = performance.now() - began;
    over = true;
    await beside;
    const cells = [hostile.name, status, took.toFixed(0), longest.toFixed(0), (api.peakRss() / 2 ** 20).toFixed(0)];
    console.log(`| ${cells.join(' | ')} |`);
  }
} finally {
  await api.stop();
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}
