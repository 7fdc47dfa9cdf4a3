/**
 * From the end of a PipelineRun to the request's next step, on a real cluster (`scripts/tools.sh cluster`): 50 overwriting
 * adds, one after the other. The end is when a watch of this process hears of it; the next step is when its intent stands
 * in the database, by the database's clock, which is this machine's.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig, Watch } from '@kubernetes/client-node';
import { Client } from 'pg';
import { z } from 'zod';
import { startRealSandbox } from '../src/sandbox/sandbox.ts';
import { NAMESPACE } from '../src/sandbox/service-files.ts';

const RUNS = Number(process.env.RUNS ?? 50);
const Run = z.object({
  metadata: z.object({ uid: z.string() }),
  status: z.object({ completionTime: z.string().optional() }).default({}),
});
const Request = z.object({ id: z.number(), state: z.string(), state_reason: z.string() });

if (process.argv.includes('--help')) {
  console.log('usage: node bench/pipeline-end.ts   (RUNS: 50 unless given)');
  process.exit();
}
const dir = mkdtempSync(join(tmpdir(), 'indexwright-bench-'));
const sandbox = await startRealSandbox({ dir, service: 'with-service' });
const database = new Client({ connectionString: sandbox.at.databaseUrl });
try {
  await database.connect();
  const ends = new Map<string, number>();
  const config = new KubeConfig();
  config.loadFromFile(sandbox.at.kubeconfig);
  const path = `/apis/tekton.dev/v1/namespaces/${NAMESPACE}/pipelineruns`;
  const seen = (_type: string, object: unknown) => {
    const { metadata, status } = Run.parse(object);
    if (status.completionTime !== undefined && !ends.has(metadata.uid)) ends.set(metadata.uid, Date.now());
  };
  const watch = await new Watch(config).watch(path, {}, seen, () => {});

  const delays: number[] = [];
  for (let at = 0; at < RUNS; at += 1) {
    const known = ends.size;
    const id = await add();
    const { rows } = await database.query<{ started: Date }>(
      `select s.started_at as started from delivery_steps s join requests r on r.delivery_id = s.delivery_id
        where r.id = $1 and s.name = 'stage'`,
      [id],
    );
    const end = [...ends.values()][known];
    if (rows[0] === undefined || end === undefined) throw new Error(`request ${id}: a moment is missing`);
    delays.push(rows[0].started.getTime() - end);
  }
  watch.abort();
  delays.sort((a, b) => a - b);
  const percentile = (part: number) => delays[Math.min(delays.length - 1, Math.floor(delays.length * part))];
  console.log(`${RUNS} runs, end of the PipelineRun to the request's next step, in milliseconds:`);
  console.log(`p50 ${percentile(0.5)}   p99 ${percentile(0.99)}   least ${delays[0]}   most ${delays.at(-1)}`);
} finally {
  await database.end();
  await sandbox.stop();
  rmSync(dir, { recursive: true, force: true });
}

/** One overwriting add of the newest lighthouse to its end; sent again it replaces itself, and is built all the same. */
async function add(): Promise<number> {
  const { at, seeded, layout } = sandbox;
  const answer = await fetch(`${at.apiUrl}/api/v1/builds/add`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      from_index: seeded.fromIndex,
      bundles: [seeded.newest.lighthouse],
      overwrite_from_index: true,
      overwrite_from_index_token: `release:${layout.identity.registryUsers.release}`,
    }),
  });
  const { id } = Request.parse(await answer.json());
  for (;;) {
    const request = Request.parse(await (await fetch(`${at.apiUrl}/api/v1/builds/${id}`)).json());
    if (request.state === 'complete') return id;
    if (request.state === 'failed') throw new Error(`request ${id}: ${request.state_reason}`);
    await new Promise((next) => setTimeout(next, 200));
  }
}
